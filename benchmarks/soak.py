"""Service under overload and with malformed pictures: ``make soak``.

Ten minutes of requests at twice the measured capacity, then 2,000 mutated pictures. The load is an open loop:
requests are sent at a fixed rate, whether earlier ones are answered or not.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.common import Progress, Row, at_most, no_progress
from benchmarks.mutations import mutations
from benchmarks.servers import Client, Server, drawn_photo, lidloop_serve, running, sealed_demo, throughput
from lidloop.images import decode_rgb

MEMORY_TARGET: Final = 0.05
P99_TARGET: Final = 3.0
OVERLOAD: Final = 2.0
EXPECTED: Final = frozenset({200, 400, 413, 415, 422})
"""Expected statuses of mutated pictures."""

CLIENTS: Final = 8
_WARM: Final = 0.15  # share of the time before memory is compared
_TIMEOUT: Final = 60.0
_REST: Final = 3.0


class Hit(NamedTuple):
    """A request: seconds from the start until it was sent, status (0: no answer), and its time in seconds."""

    at: float
    status: int
    seconds: float


def run(
    *, imgsz: int = 640, minutes: float = 10.0, mutated: int = 2000, seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure.

    Args:
        imgsz: side of the network's input and of the picture, in pixels.
        minutes: length of the overload.
        mutated: number of mutated pictures sent after it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        progress("exporting the model")
        bundle, photo = sealed_demo(place, imgsz), drawn_photo(imgsz)
        with running(lidloop_serve(bundle), "/readyz") as server:
            progress("without load")
            unloaded = _unloaded(server, photo)
            progress("capacity")
            capacity = throughput(
                lambda: _client(server, photo), clients=CLIENTS, seconds=min(20.0, max(1.0, 6 * minutes))
            )["per_second"]
            rate = OVERLOAD * capacity
            hits, memory = asyncio.run(_overload(server, photo, rate, 60 * minutes, progress))
            time.sleep(_REST)
            unloaded = (unloaded + _unloaded(server, photo)) / 2  # the machine's speed may have changed
            progress(f"{mutated} mutated pictures")
            statuses, faults = _send_mutated(server, photo, mutated, seed)
            alive = server.process.poll() is None and _client(server, photo).post().status == 200
            traces = server.log().count("Traceback") + server.log().count("failed:")
        return {
            "imgsz": imgsz,
            "minutes": minutes,
            "calm_ms": 1e3 * unloaded,
            "capacity": capacity,
            "rate": rate,
            **_summary(hits, unloaded),
            **_memory(memory),
            "mutated": mutated,
            "mutated_statuses": {str(k): v for k, v in sorted(statuses.items())},
            "mutated_faults": faults,
            "alive": alive,
            "traces": traces,
        }


def _client(server: Server, photo: bytes) -> Client:
    return Client(server.port, "/v1/screen", photo, "image/jpeg")


def _unloaded(server: Server, photo: bytes) -> float:
    """Median seconds of a request without other load.

    Raises:
        RuntimeError: if a request is not answered with 200.
    """
    client = _client(server, photo)
    answers = [client.post() for _ in range(45)]
    client.close()
    if wrong := [answer for answer in answers if answer.status != 200]:
        raise RuntimeError(f"no answer: {wrong[0].status} {wrong[0].body[:300]!r}")
    return median(answer.seconds for answer in answers[5:])


async def _overload(
    server: Server, photo: bytes, rate: float, seconds: float, progress: Progress
) -> tuple[list[Hit], list[tuple[float, int]]]:
    """Send requests at a fixed rate; return them, and pairs of time and memory in bytes."""
    head = (
        "POST /v1/screen HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nConnection: close\r\n"
        f"Content-Length: {len(photo)}\r\n\r\n"
    ).encode()
    hits: list[Hit] = []
    memory: list[tuple[float, int]] = []
    tasks: set[asyncio.Task[None]] = set()
    start = time.perf_counter()

    async def send(at: float) -> None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(head + photo)
                line = await reader.readline()
                await reader.read()
                writer.close()
            status = int(line.split()[1])
        except (OSError, TimeoutError, IndexError):
            status = 0
        hits.append(Hit(at, status, time.perf_counter() - begun))

    for k in itertools.count():
        due = k / rate
        if due >= seconds:
            break
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
        task = asyncio.create_task(send(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if not memory or due - memory[-1][0] >= 1.0:
            memory.append((due, server.rss))
            progress(f"overload, {due:.0f} of {seconds:.0f} s")
    await asyncio.gather(*tasks)
    return hits, memory


def _summary(hits: list[Hit], unloaded: float) -> dict[str, Any]:
    accepted = [hit.seconds for hit in hits if hit.status == 200]
    refused = [hit.seconds for hit in hits if hit.status == 503]
    p99 = float(np.percentile(accepted, 99)) if accepted else float("inf")
    return {
        "sent": len(hits),
        "statuses": {str(k): v for k, v in sorted(Counter(hit.status for hit in hits).items())},
        "accepted_p50_ms": 1e3 * median(accepted) if accepted else None,
        "accepted_p99_ms": 1e3 * p99,
        "p99_ratio": p99 / unloaded,
        "refused_p99_ms": 1e3 * float(np.percentile(refused, 99)) if refused else None,
    }


def _memory(memory: list[tuple[float, int]]) -> dict[str, float]:
    """Memory after the warm-up: median of the first tenth of the time, and growth to the last tenth."""
    values = [rss for _, rss in memory[int(len(memory) * _WARM) :]]
    tenth = max(1, len(values) // 10)
    first, last = median(values[:tenth]), median(values[-tenth:])
    return {"memory_mb": first / 1e6, "memory_growth": last / first - 1}


def _send_mutated(server: Server, photo: bytes, number: int, seed: int) -> tuple[Counter[int], list[str]]:
    """Send mutated pictures; return counts of statuses, and descriptions of unexpected answers."""
    image = decode_rgb(photo, where="the picture")

    def send(mutation: Any) -> tuple[str, int]:
        client = Client(server.port, "/v1/screen", mutation.data, mutation.content_type)
        try:
            return mutation.name, client.post().status
        except OSError as error:
            return f"{mutation.name}: {type(error).__name__}", 0
        finally:
            client.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, mutations(image, number=number, seed=seed)))
    faults = [f"{name}: {status}" for name, status in answers if status not in EXPECTED]
    return Counter(status for _, status in answers), faults


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    wrong = sum(n for status, n in report["statuses"].items() if status not in ("200", "503"))
    growth, ratio, faults = report["memory_growth"], report["p99_ratio"], report["mutated_faults"]
    minutes = f"{report['minutes']:g} min at twice the capacity"
    return [
        Row(
            f"{minutes}: answers other than 200 and 503", f"{wrong} of {report['sent']:,}", "–", "–",
            "0", wrong == 0,
        ),
        Row(
            f"{minutes}: p99 of answers against p50 without load", f"{report['accepted_p99_ms']:.0f} ms",
            f"{report['calm_ms']:.0f} ms", f"{ratio:.1f}×", *at_most(ratio, P99_TARGET, f"{P99_TARGET:g}×"),
        ),
        Row(
            f"{minutes}: growth of memory", f"{report['memory_mb']:.0f} MB", "–", f"{100 * growth:+.1f} %",
            *at_most(growth, MEMORY_TARGET, f"{100 * MEMORY_TARGET:.0f} %"),
        ),
        Row(
            f"{report['mutated']:,} mutated pictures: faults, crashes, hangs", f"{len(faults)}", "–", "–",
            "0", not faults and report["alive"] and not report["traces"],
        ),
    ]  # fmt: skip

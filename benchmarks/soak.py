"""Does the service hold under load and abuse? ``make soak``: ten minutes at twice what it can do, then 2,000
mutated pictures.

Load is open: requests come at a fixed rate, whether earlier ones are answered or not, as from many people who
do not know of each other. That rate is twice the measured capacity.
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

from benchmarks.common import Row, Say, quiet
from benchmarks.mutations import mutations
from benchmarks.servers import Client, Server, drawn_photo, lidloop_serve, running, sealed_demo, throughput
from lidloop.images import decode_rgb

MEMORY_TARGET: Final = 0.05
P99_TARGET: Final = 3.0
OVERLOAD: Final = 2.0
EXPECTED: Final = frozenset({200, 400, 413, 415, 422})
"""Statuses of mutated pictures."""

_CLIENTS: Final = 8
_WARM: Final = 0.15  # share of the time after which memory counts
_TIMEOUT: Final = 60.0
_REST: Final = 3.0


class Hit(NamedTuple):
    """A request: when it was sent, counted from the start, its status (0: no answer), and its seconds."""

    at: float
    status: int
    seconds: float


def run(
    *, imgsz: int = 640, minutes: float = 10.0, mutated: int = 2000, seed: int = 0, say: Say = quiet
) -> dict[str, Any]:
    """Measure.

    Args:
        imgsz: side of the network's input and of the picture, in pixels.
        minutes: length of the overload. mutated: mutated pictures sent after it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        say("exporting the model")
        bundle, photo = sealed_demo(place, imgsz), drawn_photo(imgsz)
        with running(lidloop_serve(bundle), "/readyz") as server:
            say("without load")
            calm = _calm(server, photo)
            say("capacity")
            capacity = throughput(
                lambda: _client(server, photo), clients=_CLIENTS, seconds=min(20.0, max(4.0, 6 * minutes))
            )["per_second"]
            rate = OVERLOAD * capacity
            hits, memory = asyncio.run(_overload(server, photo, rate, 60 * minutes, say))
            time.sleep(_REST)
            calm = (calm + _calm(server, photo)) / 2  # the machine may have changed its pace meanwhile
            say(f"{mutated} mutated pictures")
            statuses, faults = _abuse(server, photo, mutated, seed)
            alive = server.process.poll() is None and _client(server, photo).post().status == 200
            traces = server.log().count("Traceback") + server.log().count("failed:")
        return {
            "imgsz": imgsz,
            "minutes": minutes,
            "calm_ms": 1e3 * calm,
            "capacity": capacity,
            "rate": rate,
            **_summary(hits, calm),
            **_memory(memory),
            "mutated": mutated,
            "mutated_statuses": {str(k): v for k, v in sorted(statuses.items())},
            "mutated_faults": faults,
            "alive": alive,
            "traces": traces,
        }


def _client(server: Server, photo: bytes) -> Client:
    return Client(server.port, "/v1/screen", photo, "image/jpeg")


def _calm(server: Server, photo: bytes) -> float:
    """Median seconds of a request where there is no other.

    Raises:
        RuntimeError: where one is not answered.
    """
    client = _client(server, photo)
    answers = [client.post() for _ in range(45)]
    client.close()
    if wrong := [answer for answer in answers if answer.status != 200]:
        raise RuntimeError(f"no answer: {wrong[0].status} {wrong[0].body[:300]!r}")
    return median(answer.seconds for answer in answers[5:])


async def _overload(
    server: Server, photo: bytes, rate: float, seconds: float, say: Say
) -> tuple[list[Hit], list[tuple[float, int]]]:
    """Send at a fixed rate; returns the requests, and memory in bytes by time."""
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
            say(f"overload, {due:.0f} of {seconds:.0f} s")
    await asyncio.gather(*tasks)
    return hits, memory


def _summary(hits: list[Hit], calm: float) -> dict[str, Any]:
    accepted = [hit.seconds for hit in hits if hit.status == 200]
    refused = [hit.seconds for hit in hits if hit.status == 503]
    p99 = float(np.percentile(accepted, 99)) if accepted else float("inf")
    return {
        "sent": len(hits),
        "statuses": {str(k): v for k, v in sorted(Counter(hit.status for hit in hits).items())},
        "accepted_p50_ms": 1e3 * median(accepted) if accepted else None,
        "accepted_p99_ms": 1e3 * p99,
        "p99_ratio": p99 / calm,
        "refused_p99_ms": 1e3 * float(np.percentile(refused, 99)) if refused else None,
    }


def _memory(memory: list[tuple[float, int]]) -> dict[str, float]:
    """Growth between the first and the last tenth of what comes after the warm-up."""
    values = [rss for _, rss in memory[int(len(memory) * _WARM) :]]
    tenth = max(1, len(values) // 10)
    first, last = median(values[:tenth]), median(values[-tenth:])
    return {"memory_mb": first / 1e6, "memory_growth": last / first - 1}


def _abuse(server: Server, photo: bytes, number: int, seed: int) -> tuple[Counter[int], list[str]]:
    """Send mutated pictures; returns the statuses, and what was not answered as it should."""
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
    """Lines of the table."""
    wrong = sum(n for status, n in report["statuses"].items() if status not in ("200", "503"))
    growth, ratio = report["memory_growth"], report["p99_ratio"]
    minutes = f"{report['minutes']:g} min at twice the capacity"
    return [
        Row(
            f"{minutes}: answers other than 200 and 503", f"{wrong} of {report['sent']:,}", "–", "–",
            "0", wrong == 0,
        ),
        Row(
            f"{minutes}: p99 of answers against p50 without load", f"{report['accepted_p99_ms']:.0f} ms",
            f"{report['calm_ms']:.0f} ms", f"{ratio:.1f}×", f"≤ {P99_TARGET:g}×", ratio <= P99_TARGET,
        ),
        Row(
            f"{minutes}: growth of memory", f"{report['memory_mb']:.0f} MB", "–", f"{growth:+.1%}",
            f"≤ {MEMORY_TARGET:.0%}", growth <= MEMORY_TARGET,
        ),
        Row(
            f"{report['mutated']:,} mutated pictures: faults, crashes, hangs",
            f"{len(report['mutated_faults'])}", "–", "–", "0",
            not report["mutated_faults"] and report["alive"] and not report["traces"],
        ),
    ]  # fmt: skip


def notes(report: Mapping[str, Any]) -> list[str]:
    """What to know beside the table."""
    shares = ", ".join(f"{status}: {n:,}" for status, n in report["statuses"].items())
    mutated = ", ".join(f"{status}: {n:,}" for status, n in report["mutated_statuses"].items())
    refused = report["refused_p99_ms"]
    return [
        f"Capacity: {report['capacity']:.1f} answers per second, measured with {_CLIENTS} clients; sent: "
        f"{report['rate']:.1f} per second, whether answered or not; answers by status: {shares}.",
        f"p50 of answers under overload: {report['accepted_p50_ms'] or 0:.0f} ms"
        + ("." if refused is None else f"; a refusal took {refused:.0f} ms at p99."),
        f"Mutated pictures by status: {mutated}.",
    ]

"""How fast is the service over HTTP, against the whole network alone and against Ultralytics behind BentoML?

One picture with one drawn face, batch 1, on this machine's CPU. The yardsticks are a bare forward pass of the
whole network on ONNX Runtime with its default options, on pixels that are ready; and ``YOLO.predict`` behind
a minimal BentoML service (``benchmarks/plain_service.py``). They take turns, and medians count. The service
does more than both: it decodes, detects, measures, checks and writes down.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.common import Row, Say, Skipped, quiet
from benchmarks.detection import bare
from benchmarks.servers import (
    Client,
    Server,
    drawn_photo,
    form,
    lidloop_serve,
    plain_serve,
    running,
    sealed_demo,
    throughput,
)
from lidloop.demo import demo_weights
from lidloop.detection.detector import load_detector
from lidloop.images import decode_rgb

LATENCY_TARGET: Final = 0.85
PLAIN_TARGET: Final = 0.4
THROUGHPUT_TARGET: Final = 2.3
COLD_TARGET: Final = 5.0
SIZE_TARGET: Final = 700
CLIENTS: Final = 8

_REST: Final = 0.1  # threads of ONNX Runtime's default options go on spinning for a while


def run(
    *, imgsz: int = 640, rounds: int = 15, each: int = 4, seconds: float = 15.0, starts: int = 3,
    size: bool = True, say: Say = quiet,
) -> dict[str, Any]:  # fmt: skip
    """Measure.

    Args:
        imgsz: side of the network's input and of the picture, in pixels.
        rounds: turns of the latency measurement. each: requests per turn.
        seconds: length of a throughput measurement; there are two of each.
        starts: cold starts.
        size: whether to install the serving environment and weigh it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        say("exporting the model")
        bundle, photo = sealed_demo(place, imgsz), drawn_photo(imgsz)
        cold = []
        for k in range(starts):
            say(f"cold start {k + 1} of {starts}")
            with running(lidloop_serve(bundle), "/readyz") as server:
                cold.append(server.seconds)
        plain = {"PLAIN_WEIGHTS": str(demo_weights()), "PLAIN_IMGSZ": str(imgsz)}
        with (
            running(lidloop_serve(bundle), "/readyz") as ours,
            running(plain_serve(), "/readyz", plain) as theirs,
        ):
            faces = _faces(ours, theirs, photo)
            report = {
                "imgsz": imgsz,
                "bytes": len(photo),
                "faces": faces,
                **_latency(bundle, photo, ours, theirs, rounds, each, say),
                **_throughput(photo, ours, theirs, seconds, say),
                "rss_mb": round(ours.rss / 1e6),
                "plain_rss_mb": round(theirs.rss / 1e6),
                "cold": {"seconds": [round(s, 2) for s in cold], "plain": round(theirs.seconds, 2)},
            }
        say("installing the serving environment")
        report["size_mb"] = environment_size(place / "venv") if size else None
    return report


def _ours(server: Server, photo: bytes) -> Client:
    return Client(server.port, "/v1/screen", photo, "image/jpeg")


def _theirs(server: Server, photo: bytes) -> Client:
    return Client(server.port, "/predict", *form("image", photo))


def _faces(ours: Server, theirs: Server, photo: bytes) -> int:
    """How many faces both find: without one, nothing is measured."""
    found = []
    for client in (_ours(ours, photo), _theirs(theirs, photo)):
        answer = client.post()
        if answer.status != 200:
            raise RuntimeError(f"no answer: {answer.status} {answer.body[:500]!r}")
        document = json.loads(answer.body)
        found.append(len(document["faces"] if isinstance(document, dict) else document))
    if found[0] != found[1] or not found[0]:
        raise RuntimeError(f"the two find {found} faces")
    return found[0]


def _latency(
    bundle: Path, photo: bytes, ours: Server, theirs: Server, rounds: int, each: int, say: Say
) -> dict[str, Any]:
    image = decode_rgb(photo, where="the picture")
    (forward,) = bare(bundle, [image], load_detector(bundle, whole=True))
    clients = _ours(ours, photo), _theirs(theirs, photo)
    ways: dict[str, Callable[[], Any]] = {
        "bare": forward,
        "service": clients[0].post,
        "plain": clients[1].post,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, rounds):  # the first warms up and does not count
        say(f"latency, round {turn + 1} of {rounds}")
        for name, call in ways.items():
            time.sleep(_REST)
            for _ in range(each):
                start = time.perf_counter()
                call()
                if turn >= 0:
                    seconds[name].append(time.perf_counter() - start)
    p50 = {name: median(values) for name, values in seconds.items()}
    return {
        "requests": rounds * each,
        "ms": {name: 1e3 * value for name, value in p50.items()},
        "p90_ms": {name: 1e3 * float(np.percentile(values, 90)) for name, values in seconds.items()},
        "ratio": {"bare": p50["service"] / p50["bare"], "plain": p50["service"] / p50["plain"]},
    }


def _throughput(photo: bytes, ours: Server, theirs: Server, seconds: float, say: Say) -> dict[str, Any]:
    made = {"service": lambda: _ours(ours, photo), "plain": lambda: _theirs(theirs, photo)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in made}
    for turn in (1, 2):
        for name, make in made.items():
            say(f"throughput of {name}, turn {turn} of 2")
            found[name].append(throughput(make, clients=CLIENTS, seconds=seconds))
    rate = {name: sum(t["per_second"] for t in turns) / len(turns) for name, turns in found.items()}
    return {
        "clients": CLIENTS,
        "per_second": rate,
        "refused": max(turn["refused"] for turn in found["service"]),
        "throughput_ratio": rate["service"] / rate["plain"],
    }


def environment_size(place: Path) -> int:
    """Megabytes of a fresh environment with only the extra ``serve``, as ``du`` counts them.

    Raises:
        Skipped: where there is no uv.
    """
    uv = shutil.which("uv") or ".uv/bin/uv"
    if not Path(uv).exists():
        raise Skipped("needs uv")
    command = [uv, "sync", "--frozen", "--no-dev", "--extra", "serve", "--quiet"]
    subprocess.run(command, check=True, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(place)})
    return sum(path.lstat().st_blocks * 512 for path in place.rglob("*")) // 1_000_000


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Lines of the table."""
    ms, ratio, rate = report["ms"], report["ratio"], report["per_second"]
    cold = median(report["cold"]["seconds"])
    lines = [
        Row(
            f"Service over HTTP, {report['imgsz']} px, p50, against the whole network alone",
            f"{ms['service']:.0f} ms", f"{ms['bare']:.0f} ms", f"{ratio['bare']:.2f}×",
            f"≤ {LATENCY_TARGET}×", ratio["bare"] <= LATENCY_TARGET,
        ),
        Row(
            "The same against Ultralytics behind BentoML", f"{ms['service']:.0f} ms", f"{ms['plain']:.0f} ms",
            f"{ratio['plain']:.2f}×", f"≤ {PLAIN_TARGET}×", ratio["plain"] <= PLAIN_TARGET,
        ),
        Row(
            f"Answers per second, {report['clients']} clients", f"{rate['service']:.1f}/s",
            f"{rate['plain']:.1f}/s", f"{report['throughput_ratio']:.1f}×", f"≥ {THROUGHPUT_TARGET}×",
            report["throughput_ratio"] >= THROUGHPUT_TARGET,
        ),
        Row(
            "Cold start until ready", f"{cold:.1f} s", f"{report['cold']['plain']:.1f} s", "–",
            f"< {COLD_TARGET:g} s", cold < COLD_TARGET,
        ),
    ]  # fmt: skip
    if report["size_mb"] is not None:
        size = report["size_mb"]
        lines.append(
            Row("Serving environment", f"{size} MB", "–", "–", f"< {SIZE_TARGET} MB", size < SIZE_TARGET)
        )
    return lines


def notes(report: Mapping[str, Any]) -> list[str]:
    """What to know beside the table."""
    p90 = report["p90_ms"]
    return [
        f"{report['requests']} requests each, in turns; one JPEG of {report['bytes']:,} bytes with "
        f"{report['faces']} drawn face; p90: service {p90['service']:.0f} ms, network alone "
        f"{p90['bare']:.0f} ms, Ultralytics {p90['plain']:.0f} ms.",
        f"With {report['clients']} clients that ask without a pause, {report['refused']:.0%} of what was "
        "sent to the service was refused with 503, and the client waited as it was told; only answers "
        "count. The plain service lets all wait.",
        f"Memory: service {report['rss_mb']} MB, plain service {report['plain_rss_mb']} MB.",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-size", action="store_true")
    given = parser.parse_args()
    report = run(imgsz=given.imgsz, rounds=given.rounds, size=not given.no_size, say=print)
    print(json.dumps(report, indent=1))
    for row in rows(report):
        print(*row, sep=" | ")


if __name__ == "__main__":
    main()

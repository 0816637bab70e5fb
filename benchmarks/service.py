"""Latency, throughput, start and size of the service, against the bare network and Ultralytics with BentoML.

One picture with one drawn face, batch 1, on this machine's CPU. The baselines are a bare forward pass of the
whole network on ONNX Runtime with default options, on prepared pixels, and ``YOLO.predict`` in a minimal
BentoML service (``benchmarks/plain_service.py``). All run alternately, and medians count. The service does
more than both: it decodes, detects, measures, checks the picture's quality and writes the audit log.
"""

from __future__ import annotations

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

from benchmarks.common import Progress, Row, Skipped, at_least, at_most, below, no_progress
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

_REST: Final = 0.1  # seconds; with default options ONNX Runtime's threads go on spinning for a while


def run(
    *, imgsz: int = 640, rounds: int = 15, each: int = 4, seconds: float = 15.0, starts: int = 3,
    size: bool = True, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure.

    Args:
        imgsz: side of the network's input and of the picture, in pixels.
        rounds: rounds of the latency measurement.
        each: requests of each side in a round.
        seconds: length of a throughput measurement; there are two for each side.
        starts: cold starts.
        size: True to install the serving environment and measure its size.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        progress("exporting the model")
        bundle, photo = sealed_demo(place, imgsz), drawn_photo(imgsz)
        cold = []
        for k in range(starts - 1):
            progress(f"cold start {k + 1} of {starts}")
            with running(lidloop_serve(bundle), "/readyz") as server:
                cold.append(server.seconds)
        variables = {"PLAIN_WEIGHTS": str(demo_weights()), "PLAIN_IMGSZ": str(imgsz)}
        with (
            running(lidloop_serve(bundle), "/readyz") as service,
            running(plain_serve(), "/readyz", variables) as plain,
        ):
            cold.append(service.seconds)
            faces = _faces(service, plain, photo)
            report = {
                "imgsz": imgsz,
                "bytes": len(photo),
                "faces": faces,
                **_latency(bundle, photo, service, plain, rounds, each, progress),
                **_throughput(photo, service, plain, seconds, progress),
                "rss_mb": round(service.rss / 1e6),
                "plain_rss_mb": round(plain.rss / 1e6),
                "cold": {"seconds": [round(s, 2) for s in cold], "plain": round(plain.seconds, 2)},
            }
        progress("installing the serving environment")
        report["size_mb"] = environment_size(place / "venv") if size else None
    return report


def _service(server: Server, photo: bytes) -> Client:
    return Client(server.port, "/v1/screen", photo, "image/jpeg")


def _plain(server: Server, photo: bytes) -> Client:
    return Client(server.port, "/predict", *form("image", photo))


def _faces(service: Server, plain: Server, photo: bytes) -> int:
    """Number of faces that both servers find.

    Raises:
        RuntimeError: if one does not answer, if they differ, or if there is no face.
    """
    found = []
    for client in (_service(service, photo), _plain(plain, photo)):
        answer = client.post()
        if answer.status != 200:
            raise RuntimeError(f"no answer: {answer.status} {answer.body[:500]!r}")
        document = json.loads(answer.body)
        found.append(len(document["faces"] if isinstance(document, dict) else document))
    if found[0] != found[1] or not found[0]:
        raise RuntimeError(f"the two servers find {found} faces")
    return found[0]


def _latency(
    bundle: Path, photo: bytes, service: Server, plain: Server, rounds: int, each: int, progress: Progress
) -> dict[str, Any]:
    image = decode_rgb(photo, where="the picture")
    (forward,) = bare(bundle, [image], load_detector(bundle, whole=True))
    clients = _service(service, photo), _plain(plain, photo)
    calls: dict[str, Callable[[], Any]] = {
        "bare": forward,
        "service": clients[0].post,
        "plain": clients[1].post,
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-1, rounds):  # the first round warms up and does not count
        progress(f"latency, round {turn + 1} of {rounds}")
        for name, call in calls.items():
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


def _throughput(
    photo: bytes, service: Server, plain: Server, seconds: float, progress: Progress
) -> dict[str, Any]:
    made = {"service": lambda: _service(service, photo), "plain": lambda: _plain(plain, photo)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in made}
    for turn in (1, 2):
        for name, make in made.items():
            progress(f"throughput of {name}, turn {turn} of 2")
            found[name].append(throughput(make, clients=CLIENTS, seconds=seconds))
    rate = {name: sum(t["per_second"] for t in turns) / len(turns) for name, turns in found.items()}
    return {
        "clients": CLIENTS,
        "per_second": rate,
        "refused": max(turn["refused"] for turn in found["service"]),
        "throughput_ratio": rate["service"] / rate["plain"],
    }


def environment_size(place: Path) -> int:
    """Disk usage in megabytes of a fresh environment with only the extra ``serve``.

    Raises:
        Skipped: if uv is not installed.
    """
    uv = shutil.which("uv") or ".uv/bin/uv"
    if not Path(uv).exists():
        raise Skipped("needs uv")
    command = [uv, "sync", "--frozen", "--no-dev", "--extra", "serve", "--no_progress"]
    subprocess.run(command, check=True, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(place)})
    return sum(path.lstat().st_blocks * 512 for path in place.rglob("*")) // 1_000_000


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    ms, ratio, rate = report["ms"], report["ratio"], report["per_second"]
    cold, size = median(report["cold"]["seconds"]), report["size_mb"]
    lines = [
        Row(
            f"Service over HTTP, {report['imgsz']} px, p50, against the bare network",
            f"{ms['service']:.0f} ms", f"{ms['bare']:.0f} ms", f"{ratio['bare']:.2f}×",
            *at_most(ratio["bare"], LATENCY_TARGET, f"{LATENCY_TARGET}×"),
        ),
        Row(
            "The same against Ultralytics behind BentoML", f"{ms['service']:.0f} ms", f"{ms['plain']:.0f} ms",
            f"{ratio['plain']:.2f}×", *at_most(ratio["plain"], PLAIN_TARGET, f"{PLAIN_TARGET}×"),
        ),
        Row(
            f"Answers per second, {report['clients']} clients", f"{rate['service']:.1f}/s",
            f"{rate['plain']:.1f}/s", f"{report['throughput_ratio']:.1f}×",
            *at_least(report["throughput_ratio"], THROUGHPUT_TARGET, f"{THROUGHPUT_TARGET}×"),
        ),
        Row(
            "Cold start until ready", f"{cold:.1f} s", f"{report['cold']['plain']:.1f} s", "–",
            *below(cold, COLD_TARGET, f"{COLD_TARGET:g} s"),
        ),
    ]  # fmt: skip
    if size is not None:
        target = below(size, SIZE_TARGET, f"{SIZE_TARGET} MB")
        lines.append(Row("Serving environment", f"{size} MB", "–", "–", *target))
    return lines

"""Time that counting faces for drift adds to a request.

One app, in this process, answers the same picture with and without the sliding window, in pairs of requests
whose order alternates. A pair gives a ratio, and the median of all pairs counts, so that other load of the
machine affects both sides. The window is full.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.common import Progress, Row, at_most, no_progress
from benchmarks.servers import drawn_photo, sealed_demo

TARGET: Final = 1.02
_WINDOW: Final = 100
_CLIENT: Final = ("127.0.0.1", 50000)
_RESAMPLED: Final = 1000


def run(
    *, imgsz: int = 640, pairs: int = 400, warm: int = 20, progress: Progress = no_progress
) -> dict[str, Any]:
    """Measure.

    Args:
        imgsz: side of the network's input and of the picture, in pixels.
        pairs: requests of each kind.
        warm: requests before the first that counts.
    """
    from serving.app import create_app
    from serving.settings import Settings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette warns about the version of httpx
        from starlette.testclient import TestClient
    with tempfile.TemporaryDirectory() as temporary:
        progress("exporting the model")
        bundle, photo = sealed_demo(Path(temporary), imgsz), drawn_photo(imgsz)
        settings = Settings(model=str(bundle), audit=os.devnull, window=_WINDOW)
        with TestClient(create_app(settings), base_url="http://127.0.0.1:8000", client=_CLIENT) as client:
            metrics = client.app.state.runtime.metrics  # type: ignore[attr-defined]
            tracked, untracked = metrics.faces, _without_window(metrics)

            def ask(faces: Callable[..., None]) -> float:
                metrics.faces = faces
                start = time.perf_counter()
                answer = client.post("/v1/screen", content=photo, headers={"Content-Type": "image/jpeg"})
                seconds = time.perf_counter() - start
                if answer.status_code != 200 or not answer.json()["faces"]:
                    raise RuntimeError(f"no face in the answer: {answer.status_code} {answer.text[:500]}")
                return seconds

            for _ in range(max(warm, 1)):
                ask(tracked)
            found = _faces_of(client, metrics, ask)
            for _ in range(2 * _WINDOW):
                tracked(*found)
            seconds = _pairs(ask, tracked, untracked, pairs, progress)
            own = _own_seconds(tracked, untracked, found)
    ratios = [on / off for on, off in seconds]
    low, high = _interval(ratios)
    return {
        "imgsz": imgsz,
        "pairs": pairs,
        "window": _WINDOW,
        "ms": {"with": 1e3 * median(on for on, _ in seconds), "without": 1e3 * median(o for _, o in seconds)},
        "ratio": median(ratios),
        "interval": [low, high],
        "own_ms": 1e3 * own,
        "target": TARGET,
    }


def _without_window(metrics: Any) -> Callable[..., None]:
    def faces(found: Sequence[Any], width: int, height: int) -> None:
        metrics._faces.observe(len(found))
        for face in found:
            metrics._confidence.observe(face.score)

    return faces


def _faces_of(client: Any, metrics: Any, ask: Callable[..., float]) -> tuple[Any, int, int]:
    """Arguments that the app passes to its metrics for the picture."""
    passed: list[tuple[Any, int, int]] = []
    ask(lambda found, width, height: passed.append((found, width, height)))
    return passed[0]


def _pairs(
    ask: Callable[..., float], tracked: Any, untracked: Any, pairs: int, progress: Progress
) -> list[tuple[float, float]]:
    seconds = []
    for k in range(pairs):
        if k % 50 == 0:
            progress(f"pair {k + 1} of {pairs}")
        order = (tracked, untracked) if k % 2 == 0 else (untracked, tracked)
        found = {id(faces): ask(faces) for faces in order}
        seconds.append((found[id(tracked)], found[id(untracked)]))
    return seconds


def _own_seconds(tracked: Any, untracked: Any, found: tuple[Any, int, int], calls: int = 300) -> float:
    """Seconds of the counting alone, from the medians of ``calls`` calls."""

    def each(faces: Any) -> float:
        times = []
        for _ in range(calls):
            start = time.perf_counter()
            faces(*found)
            times.append(time.perf_counter() - start)
        return median(times)

    return each(tracked) - each(untracked)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    rng = random.Random(0)
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(_RESAMPLED))
    return medians[int(0.025 * _RESAMPLED)], medians[int(0.975 * _RESAMPLED)]


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    ms, ratio = report["ms"], report["ratio"]
    return [
        Row(
            f"A request with drift tracking against one without, {report['imgsz']} px",
            f"{ms['with']:.1f} ms", f"{ms['without']:.1f} ms", f"{ratio:.3f}×",
            *at_most(ratio, report["target"], f"{report['target']}×"),
        )
    ]  # fmt: skip

"""Number of faces until a shift is detected, with at most one false alarm in a hundred days.

``python -m benchmarks.drift.measure`` writes ``docs/reports/DRIFT.md`` and its figures; about ten minutes on
two cores. All faces are drawn, from fixed seeds, and the network is the committed demo model. With
``LIDLOOP_300W`` set, human labels of real faces are measured, too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import beta

from benchmarks.auto_label import model_at
from benchmarks.common import REAL_FACES, Progress, Skipped, machine, path_from_environment
from benchmarks.drift.faces import (
    CHANGED,
    DRAWN,
    USUAL,
    drawn,
    found,
    labelled,
    lowered,
    moved,
    people,
    real,
    scattered,
    sizes_of,
)
from benchmarks.drift.page import STORED, drift_page
from benchmarks.drift.windows import RULES, Pool, edges_of, false_alarms, pool, power
from lidloop.demo import demo_weights
from lidloop.detection.detector import load_detector
from lidloop.drift import CONFIDENCE, PER_IMAGE
from lidloop.drift.agreement import agreement
from lidloop.drift.guards import DEFAULT as LIMITS
from lidloop.drift.guards import MIN_FACES
from lidloop.drift.shape import RESIDUAL, fit_shape
from lidloop.evaluation import metrics
from lidloop.evaluation.promotion_gate import decide
from lidloop.files import write_atomic
from lidloop.labels import Floats, LabelSet
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE

IMGSZ: Final = 256
CHECKS: Final = 24
"""Checks of traffic a day: one an hour, each on a window of its own faces."""
DAILY: Final = 0.01
ALPHA: Final = DAILY / CHECKS
SEEN: Final = 0.9
"""Share of windows with an alarm from which a shift counts as detected."""
PIXELS: Final = (1, 2, 3, 5)
NOISE: Final = 4.0
"""Error of a simulated model in px a point, on faces of some 100 px between the outer canthi."""


def run(*, quick: bool = False, progress: Progress = print) -> dict[str, Any]:
    """Measure all parts; with ``quick``, at sizes that only prove that all runs."""
    traffic = measure_traffic(
        unshifted=60 if quick else 320,
        shifted=20 if quick else 120,
        windows=200 if quick else 10_000,
        progress=progress,
    )
    faces = 120 if quick else 2000
    report = {
        "machine": machine(),
        "quick": quick,
        "alpha": ALPHA,
        "checks": CHECKS,
        "seen": SEEN,
        "traffic": traffic,
        "labels": measure_labels(people(faces, seed=1), windows=50 if quick else 400, progress=progress),
        "corrupted": measure_corrupted(people(faces, seed=2), repeat=5 if quick else 100, progress=progress),
    }
    try:
        folder = path_from_environment(REAL_FACES, "real faces with annotations")
    except Skipped as reason:
        progress(f"real faces: skipped, {reason}")
        return report
    with tempfile.TemporaryDirectory() as place:
        report["real"] = measure_real(folder, Path(place), windows=50 if quick else 400, progress=progress)
    return report


def measure_traffic(*, unshifted: int, shifted: int, windows: int, progress: Progress) -> dict[str, Any]:
    """Shifts of traffic: faces found by the demo network in changed pictures against those in others."""
    progress(f"traffic: drawing {unshifted} pictures")
    images = list(drawn(unshifted, seed=31, options=USUAL))
    with tempfile.TemporaryDirectory() as place:
        detector = load_detector(model_at(demo_weights(), IMGSZ, Path(place) / "model"))
        usual = found(detector, images)
        shape = fit_shape(people(400, seed=3).points)
        edges = edges_of(usual, sizes_of(usual), shape=shape)
        base = pool(usual, sizes_of(usual), edges, shape=shape)
        reference = unshifted // 2
        grid = (20, 30, 50, 75, 100, 150, 200, 300)
        disjoint = [n for n in grid if n <= reference]
        result: dict[str, Any] = {
            "reference_pictures": reference,
            "faces_per_picture": base.faces,
            "windows": windows,
            "false_alarms": _false_alarms(base, reference, disjoint, windows, progress),
            "power": {},
        }
        pools: dict[str, LabelSet] = {}
        for name, change in CHANGED.items():
            progress(f"traffic: {name}")
            pools[name] = found(detector, [change(image) for image in images[:shifted]])
        for k, (name, options) in enumerate(DRAWN.items()):
            progress(f"traffic: {name}")
            pools[name] = found(detector, list(drawn(shifted, seed=41 + k, options=options)))
    for name, labels in pools.items():
        other = pool(labels, sizes_of(labels), edges, shape=shape)
        result["power"][name] = _power(base, other, reference, grid, windows)
    return result


def measure_labels(labels: LabelSet, *, windows: int, progress: Progress) -> dict[str, Any]:
    """Changed labels against human labels of as many other faces, as between label versions."""
    progress("labels: moved, lowered, scattered")
    half = len(labels) // 2
    shape = fit_shape(labels.points[:half])
    edges = edges_of(labels, sizes_of(labels), shape=shape, but=(PER_IMAGE, CONFIDENCE, RESIDUAL))
    rows = np.arange(len(labels))
    first, others = labelled(labels.points[rows < half]), labels.points[rows >= half]
    base = pool(first, sizes_of(first), edges, shape=shape)
    changes = {"whole face moved": moved, "upper lids lowered": lowered, "points scattered": scattered}
    everyone = pool(labels, sizes_of(labels), edges, shape=shape)
    sizes = [n for n in (100, 200, 400, 800) if 2 * n <= len(labels)]
    result: dict[str, Any] = {"faces": half, "power": {}, "false_alarms": []}
    for n in sizes:
        rates = false_alarms(everyone, reference=n, n=n, windows=20 * windows, alpha=DAILY, seed=n)
        result["false_alarms"].append({"faces": n, "rules": rates})
    for name, change in changes.items():
        for pixels in PIXELS:
            other = change(labelled(others), pixels)
            shifted = pool(other, sizes_of(other), edges, shape=shape)
            entry = _power(base, shifted, half, (50, 100, 200, 500, 1000), windows, alpha=DAILY)
            result["power"][f"{name}, {pixels} px"] = entry
    return result


def measure_corrupted(labels: LabelSet, *, repeat: int, progress: Progress) -> dict[str, Any]:
    """A model trained on shifted points, judged by the promotion gate and by the guard ``disagreement``.

    Champion and candidate have independent noise of nearly the same size; the candidate's points are shifted.
    """
    progress("a corrupted iteration: the gate and the guard")
    rng = np.random.default_rng(5)
    counts = [n for n in (MIN_FACES, 50, 100, 200, 400) if n <= len(labels)]
    result: dict[str, Any] = {"noise_px": NOISE, "faces": counts, "pixels": [0, *PIXELS]}
    result |= {"gate": {}, "guard": {}, "passes_both": {}}
    for pixels in (0, *PIXELS):
        tallies = {name: [] for name in ("gate", "guard", "passes_both")}  # type: dict[str, list[float]]
        for n in counts:
            stopped = np.zeros((repeat, 2), dtype=bool)
            for k in range(repeat):
                points = labels.points[rng.permutation(len(labels))[:n]]
                champion, candidate = (_predicted(points, NOISE * 0.97**better, rng) for better in (0, 1))
                candidate[..., :2] += pixels * np.array([0.6, 0.8])
                answer = decide(_gold(candidate, points), _gold(champion, points))
                offset = agreement("0", champion, candidate).offset
                stopped[k] = not answer.promote, offset is not None and offset > LIMITS.disagreement
            tallies["gate"].append(float(stopped[:, 0].mean()))
            tallies["guard"].append(float(stopped[:, 1].mean()))
            tallies["passes_both"].append(float((~stopped.any(axis=1)).mean()))
        for name, shares in tallies.items():
            result[name][str(pixels)] = shares
    return result


def measure_real(folder: Path, place: Path, *, windows: int, progress: Progress) -> dict[str, Any]:
    """Human labels of real faces: one source against another, and changed labels."""
    progress("real faces: converting")
    sets, sizes = real(folder, place)
    result: dict[str, Any] = {"faces": {name: len(labels) for name, labels in sets.items()}, "power": {}}
    first = max(sets, key=lambda name: len(sets[name]))
    shape = fit_shape(sets[first].points)
    edges = edges_of(sets[first], sizes, shape=shape, but=(PER_IMAGE, CONFIDENCE, RESIDUAL))
    base = pool(sets[first], sizes, edges, shape=shape)
    half = len(base) // 2
    grid = [50, 100, 200, 300, 400]
    result |= {"reference": first, "reference_pictures": half}
    result["false_alarms"] = _false_alarms(base, half, [n for n in grid if n <= half], 50 * windows, progress)
    others = {f"source {name}": labels for name, labels in sets.items() if name != first}
    for change, name in ((moved, "whole face moved"), (lowered, "upper lids lowered")):
        others |= {f"{name}, {pixels} px": change(sets[first], pixels) for pixels in PIXELS}
    for name, labels in others.items():
        progress(f"real faces: {name}")
        other = pool(labels, sizes, edges, shape=shape)
        result["power"][name] = _power(base, other, half, grid, windows)
    return result


def _false_alarms(
    base: Pool, reference: int, grid: Sequence[int], windows: int, progress: Progress
) -> list[dict[str, Any]]:
    """Share of windows with an alarm by window size, and of days with one, with its 95 % upper bound."""
    rows = []
    for n in grid:
        progress(f"false alarms: windows of {n} pictures")
        rates = false_alarms(base, reference=reference, n=n, windows=windows, alpha=ALPHA, seed=n)
        entry: dict[str, Any] = {"pictures": n, "faces": n * base.faces, "rules": {}}
        for rule, rate in rates.items():
            hits = round(rate * windows)
            upper = float(beta.ppf(0.95, hits + 1, windows - hits)) if hits < windows else 1.0
            entry["rules"][rule] = {
                "window": rate, "day": 1 - (1 - rate) ** CHECKS, "day_at_most": 1 - (1 - upper) ** CHECKS
            }  # fmt: skip
        rows.append(entry)
    return rows


def _power(
    base: Pool, other: Pool, reference: int, grid: Sequence[int], windows: int, *, alpha: float = ALPHA
) -> dict[str, Any]:
    """Share of windows with an alarm by window size, and the smallest size at which nine of ten have one."""
    curve = [
        {
            "pictures": n,
            **power(base, other, reference=reference, n=n, windows=min(windows, 400), alpha=alpha, seed=n),
        }
        for n in grid
    ]
    least = {rule: next((c["pictures"] for c in curve if c["rules"][rule] >= SEEN), None) for rule in RULES}
    return {"curve": curve, "seen_at": least, "features": curve[-1]["features"] if curve else []}


def _predicted(points: Floats, noise: float, rng: np.random.Generator) -> Floats:
    out = points.copy()
    out[..., :2] += rng.normal(0, noise / np.sqrt(2), points[..., :2].shape)
    return out


def _gold(predicted: Floats, truth: Floats) -> Mapping[str, float]:
    """Gold figures that the gate reads, with all faces matched."""
    lids = [metrics.lid_opening_error(predicted, truth, eye) for eye in (LEFT_EYE, RIGHT_EYE)]
    return {
        "faces": len(truth), "matched": len(truth), "recall": 1.0,
        "nme_mean": float(metrics.normalised_mean_error(predicted, truth).mean()),
        "lid_error_mean": float(np.mean(lids)),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.measure", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, which only prove that all runs")
    parser.add_argument("--out", type=Path, help="where to write; default: docs, or runs/bench with --quick")
    given = parser.parse_args(arguments)
    out = given.out or (Path("runs/bench") if given.quick else Path("docs"))
    report = run(quick=given.quick, progress=lambda text: print(text, flush=True))
    write_atomic(out / STORED, json.dumps(report, indent=1) + "\n")
    print(f"written: {drift_page(out)}")


if __name__ == "__main__":
    main()

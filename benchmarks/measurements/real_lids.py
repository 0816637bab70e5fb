"""Lid points that people set on real faces, compared with the margins found in the pixels.

The measurement starts from the human landmarks with random errors, so that the margins depend on the human
lid points only by their approximate position. Only figures leave this module, nothing of the pictures.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common import picture_of
from lidloop.data.formats.ibug import parse
from lidloop.data.formats.records import Unusable
from lidloop.eyes.margins import Margins, heights_at, margins_from_landmarks
from lidloop.eyes_training.face_samples import perturb
from lidloop.images import read_rgb
from lidloop.labels import Face, Floats, box_of
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, Eye, outer_canthal_distance
from lidloop.screening.ptosis import measure_face

REAL_CANTHAL_PX: Final = 90.0
"""Smallest outer-canthal distance of a measured face; most pictures of the set are small."""
REAL_ERROR: Final = 0.025
"""Mean error of the landmarks, over the outer-canthal distance."""


def quantiles(values: Sequence[float | None]) -> list[float] | None:
    """Median and 90th percentile in per cent; None if nothing was measured."""
    known = [100 * value for value in values if value is not None]
    return [round(float(np.quantile(known, q)), 3) for q in (0.5, 0.9)] if known else None


def share(flags: Iterable[bool]) -> float:
    """Share of true values; 0 for none."""
    values = list(flags)
    return round(sum(values) / len(values), 4) if values else 0.0


def distance_to(point: Floats, curve: Floats) -> float:
    """Shortest distance of a point (2,) to a polyline (n, 2)."""
    start, step = curve[:-1], np.diff(curve, axis=0)
    along = ((point - start) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-12)
    nearest = start + np.clip(along, 0, 1)[:, None] * step
    return float(np.linalg.norm(nearest - point, axis=1).min())


def real_faces(folder: Path, *, faces: int, seed: int) -> dict[str, Any]:
    """Measure up to ``faces`` annotated faces under a folder of ``.pts`` files with their pictures."""
    rng = np.random.default_rng([seed, 9])
    rows = []
    for path, points in _annotated(folder, faces, seed):
        image = read_rgb(path)
        canthal = float(outer_canthal_distance(points))
        rough = perturb(points, rng, REAL_ERROR)
        measured = measure_face(image, Face(box_of(rough), rough))
        for eye, got in ((LEFT_EYE, measured.eyes["OD"]), (RIGHT_EYE, measured.eyes["OS"])):
            found = Margins(got.upper_lid, got.lower_lid)
            rows.append({
                "method": got.lid_method, "quality": got.lid_quality,
                "found": _lid_distance(points, eye, found) / canthal,
                "rough": _lid_distance(points, eye, margins_from_landmarks(rough, eye)) / canthal,
                "above": _offset(points, eye, found, upper=True) / canthal,
                "below": _offset(points, eye, found, upper=False) / canthal,
                "outer": _outwards(points, eye, found.upper[0], eye.outer) / canthal,
                "inner": _outwards(points, eye, found.upper[-1], eye.inner) / canthal,
                "pupil": got.pupil is not None,
            })  # fmt: skip
    by_quality = []
    for low, high in ((0.5, 0.65), (0.65, 0.8), (0.8, 1.01)):
        part = [r for r in rows if r["method"] == "pixels" and low <= r["quality"] < high]
        by_quality.append(_real_line(f"quality {low:g}–{min(high, 1):g}", part))
    pixels = [r for r in rows if r["method"] == "pixels"]
    rest = [r for r in rows if r["method"] == "landmarks"]
    return {
        "eyes": len(rows),
        "pixels": round(len(pixels) / max(len(rows), 1), 4),
        "pupils": share(r["pupil"] for r in rows),
        "lines": [
            _real_line("found in the pixels", pixels),
            *by_quality,
            _real_line("left to the landmarks", rest),
        ],
    }


def _annotated(folder: Path, faces: int, seed: int) -> Iterator[tuple[Path, Floats]]:
    files = sorted(folder.rglob("*.pts"))
    random.Random(seed).shuffle(files)
    given = 0
    for pts in files:
        picture = picture_of(pts)
        try:
            points = np.asarray(parse(pts.read_text()))
        except Unusable:
            continue
        if picture is None or float(outer_canthal_distance(points)) < REAL_CANTHAL_PX:
            continue
        yield picture, points
        given += 1
        if given == faces:
            return


def _lid_distance(points: Floats, eye: Eye, margins: Margins) -> float:
    upper = [distance_to(points[pair[0], :2], margins.upper) for pair in eye.lid_pairs]
    lower = [distance_to(points[pair[1], :2], margins.lower) for pair in eye.lid_pairs]
    return float(np.mean(upper + lower))


def _offset(points: Floats, eye: Eye, margins: Margins, *, upper: bool) -> float:
    """Mean height of a margin above the human points of its lid; negative below, NaN beyond the canthi."""
    across = points[RIGHT_EYE.outer, :2] - points[LEFT_EYE.outer, :2]
    down = np.array([-across[1], across[0]]) / np.linalg.norm(across)
    heights = [heights_at(margins, points[pair[0 if upper else 1], :2], down) for pair in eye.lid_pairs]
    known = [h[0] if upper else -h[1] for h in heights if h is not None]
    return float(np.mean(known)) if known else float("nan")


def _outwards(points: Floats, eye: Eye, canthus: Floats, index: int) -> float:
    """Distance of a canthus beyond the human one, away from the middle of the eye."""
    axis = points[eye.outer, :2] - points[eye.inner, :2]
    away = axis if index == eye.outer else -axis
    return float((canthus - points[index, :2]) @ away / np.linalg.norm(axis))


def _real_line(group: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    offsets = {
        key: round(100 * float(np.nanmedian([r[key] for r in rows])), 2) if rows else None
        for key in ("above", "below", "outer", "inner")
    }
    return {
        "group": group, "eyes": len(rows), "found": quantiles([r["found"] for r in rows]),
        "rough": quantiles([r["rough"] for r in rows]), **offsets,
    }  # fmt: skip

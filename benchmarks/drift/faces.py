"""Faces for the measurement of drift: drawn and detected by the demo model, drawn labels only, or real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.data.convert import convert
from lidloop.data.picture_index import ImageRecord
from lidloop.detection.detector import Detector
from lidloop.labels import HUMAN, Face, Floats, LabelSet, box_of
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE
from lidloop.machine import cpus
from lidloop.synthetic.geometry import Pose, build
from lidloop.synthetic.people import sample_expression, sample_identity
from lidloop.synthetic.scene import draw_picture
from lidloop.synthetic.truth import SceneOptions

Image = NDArray[np.uint8]
SIZE: Final = (480, 360)
CONF: Final = 0.25

USUAL: Final = SceneOptions(
    faces=(1, 2), face_px=(110.0, 260.0), yaw=(-25.0, 25.0), roll=(-15.0, 15.0), blink=0.02, sunglasses=0.0,
    mask=0.0, hand=0.02, clutter=0.02, border_cut=0.02, distractors=1, blur=(0.0, 0.8), ptosis=0.15,
)  # fmt: skip
"""Pictures of a clinic: one or two faces, most of them frontal."""


def _blurred(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def _dark(image: Image, gain: float) -> Image:
    return np.clip(np.round(image * gain), 0, 255).astype(np.uint8)


def _far(image: Image, scale: float) -> Image:
    """Reduce a picture, with a border that repeats its edge, as if taken from a greater distance."""
    height, width = image.shape[:2]
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    return np.asarray(
        cv2.copyMakeBorder(
            small, top, height - small.shape[0] - top, left, width - small.shape[1] - left,
            cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )  # fmt: skip


CHANGED: Final[dict[str, Callable[[Image], Image]]] = {
    "blur, sigma 2 px": partial(_blurred, sigma=2.0),
    "blur, sigma 4 px": partial(_blurred, sigma=4.0),
    "light, a third": partial(_dark, gain=0.33),
    "light, a tenth": partial(_dark, gain=0.1),
    "size, 0.85": partial(_far, scale=0.85),
    "size, 0.6": partial(_far, scale=0.6),
}
"""Shifts that change the same pictures."""

DRAWN: Final[dict[str, SceneOptions]] = {
    "pose, 10 degrees more to one side": replace(USUAL, yaw=(-15.0, 35.0)),
    "pose, 20 degrees more down": replace(USUAL, pitch=(2.0, 38.0)),
    "age of eyes, lids 15 % narrower": replace(USUAL, opening=(0.68, 1.02)),
    "age of eyes, everyone droops": replace(
        USUAL, ptosis=1.0, bilateral=1.0, ptosis_degree=(0.3, 0.7), opening=(0.7, 1.0)
    ),
    "a different source, close grey portraits": replace(
        USUAL, faces=(1, 1), face_px=(200.0, 300.0), yaw=(-10.0, 10.0), grey=1.0, noise=(4.0, 10.0)
    ),
}
"""Shifts of who is in the pictures, and how."""


def draw(seed: int, options: SceneOptions) -> Image:
    """One picture, as a camera gives it."""
    return draw_picture(seed=seed, size=SIZE, options=options).image


def drawn(count: int, *, seed: int, options: SceneOptions) -> Iterator[Image]:
    """Pictures of one kind; the same arguments give the same."""
    seeds = [(seed << 32) + k for k in range(count)]
    if cpus() < 2 or count < 50:
        yield from map(draw, seeds, repeat(options))
        return
    with ProcessPoolExecutor(cpus(), mp_context=get_context("spawn")) as workers:
        yield from workers.map(draw, seeds, repeat(options), chunksize=16)


def found(detector: Detector, images: Sequence[Image]) -> LabelSet:
    """Detect faces in pictures, as the service does."""
    faces: dict[str, list[Face]] = {}
    for start in range(0, len(images), 16):
        part = images[start : start + 16]
        prepared = [detector.prepare(image) for image in part]
        for k, group in enumerate(detector.detect_prepared(prepared, conf=[CONF] * len(part))):
            faces[f"{start + k:06d}"] = group
    return LabelSet.from_faces(faces)


def people(count: int, *, seed: int, options: SceneOptions = USUAL, ptosis: float = 0.15) -> LabelSet:
    """Labels of faces that nobody drew, one in a picture, about 100 px between the outer canthi."""
    rng = np.random.default_rng([20240411, seed])
    points = np.full((count, 51, 3), 2.0)
    for k in range(count):
        degree = float(rng.uniform(*options.ptosis_degree)) if rng.random() < ptosis else 0.0
        droop = (degree, 0.0) if rng.random() < 0.5 else (0.0, degree)
        model = build(sample_identity(rng), sample_expression(rng, options, droop), droop)
        angles = [float(rng.uniform(*span)) for span in (options.yaw, options.pitch, options.roll)]
        pose = Pose(yaw=angles[0], pitch=angles[1], roll=angles[2])
        xy = pose.project(model.points) * rng.uniform(0.8, 1.4)
        points[k, :, :2] = xy + rng.uniform((160, 120), (320, 240))
    return labelled(points, prefix=f"{seed}-")


def labelled(points: Floats, *, prefix: str = "") -> LabelSet:
    """Points as human labels, one face in each picture."""
    count = len(points)
    names = tuple(f"{prefix}{k:06d}" for k in range(count))
    return LabelSet(names, np.arange(count), box_of(points), points, np.full(count, HUMAN), np.ones(count))


def moved(labels: LabelSet, pixels: float) -> LabelSet:
    """Move all points by the same vector, as a wrong crop or 1-based coordinates do."""
    points = labels.points.copy()
    points[..., :2] += pixels * np.array([0.6, 0.8])
    return replace(labels, points=points, boxes=box_of(points))


def lowered(labels: LabelSet, pixels: float) -> LabelSet:
    """Lower the upper lids of both eyes."""
    points = labels.points.copy()
    upper = [pair[0] for eye in (LEFT_EYE, RIGHT_EYE) for pair in eye.lid_pairs]
    points[:, upper, 1] += pixels
    return replace(labels, points=points, boxes=box_of(points))


def scattered(labels: LabelSet, pixels: float) -> LabelSet:
    """Move every point by an independent normal error with a root mean square of ``pixels``."""
    points = labels.points.copy()
    points[..., :2] += np.random.default_rng(7).normal(0, pixels / np.sqrt(2), points[..., :2].shape)
    return replace(labels, points=points, boxes=box_of(points))


def real(folder: Path, place: Path) -> tuple[dict[str, LabelSet], dict[str, tuple[int, int]]]:
    """Human labels of real faces by source, and the sizes of their pictures."""
    sources = [f"ibug:{path}" for path in sorted(p for p in folder.iterdir() if p.is_dir())]
    dataset, version = convert(sources, place / "dataset", place / "labels", seed=0)
    labels = version.labels(dataset)
    by_source: dict[str, list[ImageRecord]] = {}
    for record in dataset.records:
        by_source.setdefault(record.source, []).append(record)
    sets = {name: labels.reindex([r.id for r in records]) for name, records in by_source.items()}
    return sets, {r.id: (r.width, r.height) for r in dataset.records}


def sizes_of(labels: LabelSet) -> dict[str, Any]:
    """Sizes of drawn pictures, which are all the same."""
    return dict.fromkeys(labels.images, SIZE)

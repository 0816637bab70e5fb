"""Synthetic faces as labels without pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lidloop.data.picture_index import ImageRecord
from lidloop.labels import HUMAN, LabelSet, box_of
from lidloop.synthetic.geometry import Pose, build
from lidloop.synthetic.people import sample_expression, sample_identity
from lidloop.synthetic.truth import SceneOptions

SIZE = (480, 360)


def synthetic_faces(
    n: int, *, seed: int, ptosis: float = 0.0, yaw: float = 15.0, prefix: str = "p"
) -> LabelSet:
    """Draw ``n`` faces, one per picture, with about 100 px between the outer canthi."""
    rng = np.random.default_rng(seed)
    points = np.full((n, 51, 3), 2.0)
    for k in range(n):
        model = build(
            sample_identity(rng),
            sample_expression(rng, SceneOptions(blink=0), (ptosis, ptosis)),
            (ptosis,) * 2,
        )
        pose = Pose(yaw=rng.uniform(-yaw, yaw), pitch=rng.uniform(-8, 8), roll=rng.uniform(-10, 10))
        scale = rng.uniform(0.9, 1.3)
        points[k, :, :2] = pose.project(model.points) * scale + rng.uniform((160, 120), (320, 240))
    names = tuple(f"{prefix}{k:04d}" for k in range(n))
    return LabelSet(names, np.arange(n), box_of(points), points, np.full(n, HUMAN), np.ones(n))


def sizes_of(labels: LabelSet) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(labels.images, SIZE)


def records_of(labels: LabelSet, sources: Sequence[str] = ("clinic",)) -> list[ImageRecord]:
    """Records of the pictures: every fifth for validation, the sources alternate."""
    return [
        ImageRecord(
            name,
            f"{name}.png",
            *SIZE,
            "val" if k % 5 == 4 else "train",
            sources[k % len(sources)],
            name,
            name,
        )
        for k, name in enumerate(labels.images)
    ]


def simulate(
    labels: LabelSet, *, noise: float, seed: int, shift: tuple[float, float] = (0, 0), iteration: int = 0
) -> LabelSet:
    """Simulate a model's predictions: random error of ``noise`` px per point plus a fixed ``shift`` in px."""
    rng = np.random.default_rng(seed)
    points = labels.points.copy()
    points[..., :2] += rng.normal(0, noise, points[..., :2].shape) + np.array(shift)
    n = len(labels)
    return LabelSet(
        labels.images, labels.image, box_of(points), points, np.full(n, iteration), rng.uniform(0.75, 0.95, n)
    )

"""Predictions on changed pictures: mirrored, and at three quarters of the size.

A model is unsure of a face that it places elsewhere when the picture changes in a way that changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.data.dataset import Dataset
from lidloop.data.picture_index import ImageRecord
from lidloop.detection.detector import Detector
from lidloop.errors import ImageError
from lidloop.images import read_rgb
from lidloop.labels import Face, LabelSet
from lidloop.landmarks import FLIP
from lidloop.review.signals import SEEN

log = logging.getLogger("lidloop")
SCALE: Final = 0.75
Image = NDArray[np.uint8]


def mirrored(image: Image) -> Image:
    """The picture with left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def unmirrored(face: Face, width: int) -> Face:
    """A face of a mirrored picture of that width, in the picture itself."""
    x1, y1, x2, y2 = face.box
    points = face.points[list(FLIP)].copy()
    points[:, 0] = width - points[:, 0]
    return Face(np.array([width - x2, y1, width - x1, y2]), points, face.origin, face.score)


def smaller(image: Image) -> Image:
    """The picture at ``SCALE`` of its size, in the corner of a grey one of its size."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (round(width * SCALE), round(height * SCALE)), interpolation=cv2.INTER_AREA)
    canvas = np.full_like(image, 114)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def unscaled(face: Face, width: int, height: int) -> Face:
    """A face of a smaller picture, in the picture itself, whose size is given."""
    gain = np.array([width / round(width * SCALE), height / round(height * SCALE)])
    points = face.points.copy()
    points[:, :2] *= gain
    return Face(face.box * np.tile(gain, 2), points, face.origin, face.score)


def predict_views(
    dataset: Dataset,
    detector: Detector,
    records: Sequence[ImageRecord],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[LabelSet]:
    """Predict on both views of pictures; the faces are in pixels of the pictures as they are.

    Pictures that cannot be read are logged and missing in the sets.
    """
    flipped: dict[str, list[Face]] = {}
    scaled: dict[str, list[Face]] = {}
    for done, record in enumerate(records, start=1):
        try:
            image = read_rgb(dataset.path(record.id))
        except ImageError as error:
            log.warning("not read: %s", error)
            continue
        both = [detector.prepare(mirrored(image)), detector.prepare(smaller(image))]
        one, other = detector.detect_prepared(both, conf=[SEEN, SEEN])
        flipped[record.id] = [unmirrored(face, record.width) for face in one]
        scaled[record.id] = [unscaled(face, record.width, record.height) for face in other]
        if progress:
            progress(done, len(records))
    return [LabelSet.from_faces(flipped), LabelSet.from_faces(scaled)]

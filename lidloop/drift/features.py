"""Features of a face for drift detection: numbers that are comparable between pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.drift.shape import Shape
from lidloop.errors import LidloopError
from lidloop.labels import Floats, LabelSet
from lidloop.landmarks import (
    LEFT_EYE,
    RIGHT_EYE,
    brow_lid_distance,
    eye_width,
    lid_opening,
    outer_canthal_distance,
    pitch_proxy,
    roll_degrees,
    yaw_proxy,
)

PER_IMAGE: Final = "faces_per_image"
CONFIDENCE: Final = "confidence"

DEFINITIONS: Final[dict[str, str]] = {
    PER_IMAGE: "faces in a picture, pictures without one included",
    "box_size": "diagonal of the box over diagonal of the picture",
    "box_aspect": "width of the box over its height",
    "position_x": "centre of the box over the picture's width, 0 left, 1 right",
    "position_y": "centre of the box over the picture's height, 0 top, 1 bottom",
    "roll": "degrees from the picture's horizontal to the line from the left outer canthus to the right one, "
    "positive where the right one is lower",
    "yaw": "where the nose tip falls on the line between the outer canthi: -1 at the left one, 0 midway, "
    "1 at the right one; a proxy, not an angle",
    "pitch": "how far the nose tip is on the way from the line of the outer canthi to the mouth: larger for "
    "a face that looks down; a proxy, not an angle",
    "pfh_ratio_left": "palpebral fissure height over width, eye at the picture's left",
    "pfh_ratio_right": "palpebral fissure height over width, eye at the picture's right",
    "pfh_asymmetry": "left minus right palpebral fissure height, over outer-canthal distance",
    "brow_lid_left": "centroid of the brow to centroid of the upper lid points, over outer-canthal distance, "
    "at the picture's left",
    "brow_lid_right": "the same at the picture's right",
    CONFIDENCE: "the model's score; 1 for a label that a person gave",
}
"""Features by name. Left and right are the picture's. A feature is undefined where a point it needs has
visibility 0 or a length it is divided by is 0. Where a reference has a shape (``lidloop.drift.shape``), that
adds features of its own."""


def features(
    labels: LabelSet, sizes: Mapping[str, tuple[int, int]], *, shape: Shape | None = None
) -> dict[str, NDArray[np.float64]]:
    """Compute every feature of ``DEFINITIONS``, and those of a shape where one is given.

    Args:
        labels: faces in pixels of the upright pictures.
        sizes: width and height in pixels of each picture that holds a face.
        shape: mean shape and components of the reference; adds its features.

    Returns:
        (n,) per feature, by face, NaN where undefined; ``faces_per_image`` by picture of ``labels.images``.

    Raises:
        LidloopError: for a picture with faces whose size is not given or not positive.
    """
    size = _sizes(labels, sizes)
    xy = np.where(labels.points[..., 2:] > 0, labels.points[..., :2], np.nan)
    box = labels.boxes[:, 2:] - labels.boxes[:, :2]
    centre = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / 2 / size
    canthal = outer_canthal_distance(xy)
    pfh_left, pfh_right = lid_opening(xy, LEFT_EYE), lid_opening(xy, RIGHT_EYE)
    counts = np.bincount(labels.image, minlength=len(labels.images)).astype(np.float64)
    found = {
        PER_IMAGE: counts,
        "box_size": np.hypot(box[:, 0], box[:, 1]) / np.hypot(size[:, 0], size[:, 1]),
        "box_aspect": _divide(box[:, 0], box[:, 1]),
        "position_x": centre[:, 0],
        "position_y": centre[:, 1],
        "roll": roll_degrees(xy),
        "yaw": yaw_proxy(xy),
        "pitch": pitch_proxy(xy),
        "pfh_ratio_left": _divide(pfh_left, eye_width(xy, LEFT_EYE)),
        "pfh_ratio_right": _divide(pfh_right, eye_width(xy, RIGHT_EYE)),
        "pfh_asymmetry": _divide(pfh_left - pfh_right, canthal),
        "brow_lid_left": _divide(brow_lid_distance(xy, LEFT_EYE), canthal),
        "brow_lid_right": _divide(brow_lid_distance(xy, RIGHT_EYE), canthal),
        CONFIDENCE: labels.score.astype(np.float64),
    }
    return found if shape is None else found | shape.features(labels.points)


def _sizes(labels: LabelSet, sizes: Mapping[str, tuple[int, int]]) -> Floats:
    """Width and height of each face's picture: (n, 2), in pixels."""
    table = np.full((len(labels.images), 2), np.nan)
    for row in np.unique(labels.image):
        name = labels.images[row]
        size = sizes.get(name)
        if size is None or min(size) <= 0:
            raise LidloopError(f"the size of the picture {name!r} must be given and positive, got {size}")
        table[row] = size
    return table[labels.image]


def _divide(a: Floats, b: Floats) -> Floats:
    quotient: Floats = np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)
    return quotient

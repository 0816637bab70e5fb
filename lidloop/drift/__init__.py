"""What the faces behind a model look like, so that later pictures can be compared with them.

A reference profile holds, for each feature, a histogram whose bins are tenths of the reference. The same
edges applied to other faces give the two distributions that a population stability index compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import LidloopError
from lidloop.labels import Floats, LabelSet
from lidloop.landmarks import (
    LEFT_EYE,
    RIGHT_EYE,
    brow_lid_distance,
    eye_width,
    lid_opening,
    outer_canthal_distance,
    roll_degrees,
    yaw_proxy,
)

FORMAT: Final = 1
PER_IMAGE: Final = "faces_per_image"
PSI_EPSILON: Final = 1e-4

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
    "pfh_ratio_left": "palpebral fissure height over width, eye at the picture's left",
    "pfh_ratio_right": "palpebral fissure height over width, eye at the picture's right",
    "pfh_asymmetry": "left minus right palpebral fissure height, over outer-canthal distance",
    "brow_lid_left": "centroid of the brow to centroid of the upper lid points, over outer-canthal distance, "
    "at the picture's left",
    "brow_lid_right": "the same at the picture's right",
    "confidence": "the model's score; 1 for a label that a person gave",
}
"""Features by name. Left and right are the picture's. A feature is undefined where a point it needs has
visibility 0 or a length it is divided by is 0."""


def features(labels: LabelSet, sizes: Mapping[str, tuple[int, int]]) -> dict[str, NDArray[np.float64]]:
    """Compute every feature of ``DEFINITIONS``.

    Args:
        labels: faces in pixels of the upright pictures.
        sizes: width and height in pixels of each picture that holds a face.

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
    return {
        PER_IMAGE: counts,
        "box_size": np.hypot(box[:, 0], box[:, 1]) / np.hypot(size[:, 0], size[:, 1]),
        "box_aspect": _divide(box[:, 0], box[:, 1]),
        "position_x": centre[:, 0],
        "position_y": centre[:, 1],
        "roll": roll_degrees(xy),
        "yaw": yaw_proxy(xy),
        "pfh_ratio_left": _divide(pfh_left, eye_width(xy, LEFT_EYE)),
        "pfh_ratio_right": _divide(pfh_right, eye_width(xy, RIGHT_EYE)),
        "pfh_asymmetry": _divide(pfh_left - pfh_right, canthal),
        "brow_lid_left": _divide(brow_lid_distance(xy, LEFT_EYE), canthal),
        "brow_lid_right": _divide(brow_lid_distance(xy, RIGHT_EYE), canthal),
        "confidence": labels.score.astype(np.float64),
    }


def decile_edges(values: Floats) -> list[float]:
    """Inner edges that split the values into tenths: rising, at most 18, taken from the values themselves.

    A value that fills more than one tenth gets a bin of its own, so that a feature with few values, as the
    number of faces in a picture, can move to either side of it.

    Raises:
        LidloopError: for no values, or one that is not finite.
    """
    if not len(values) or not np.isfinite(values).all():
        raise LidloopError("deciles need at least one value, all finite")
    cuts = np.sort(values)[len(values) * np.arange(1, 10) // 10]  # the first value of each later tenth
    unique, times = np.unique(cuts, return_counts=True)
    after = np.nextafter(unique[times > 1], np.inf)
    return [float(edge) for edge in np.union1d(unique, after)]


def bins(values: Floats, edges: Sequence[float]) -> NDArray[np.int64]:
    """Bin of each value that is not NaN: 0…``len(edges)``, the outer bins open. A value on an edge falls into
    the bin above it."""
    finite = values[~np.isnan(values)]
    return np.searchsorted(np.asarray(edges, dtype=np.float64), finite, side="right").astype(np.int64)


def histogram(values: Floats, edges: Sequence[float]) -> list[int]:
    """Count values by bin (``bins``): ``len(edges) + 1`` counts; NaN is not counted."""
    return [int(count) for count in np.bincount(bins(values, edges), minlength=len(edges) + 1)]


def psi(reference: Sequence[int], current: Sequence[int], *, epsilon: float = PSI_EPSILON) -> float:
    """Population stability index of two histograms over the same bins: ``Σ (c - r) ln(c / r)`` of shares.

    0 for equal shares; by convention under 0.1 is stable and over 0.25 has shifted. Without any shift its
    expectation is about ``(bins - 1) (1 / n + 1 / m)`` for samples of n and m, so small samples need care.

    Args:
        reference, current: counts by bin.
        epsilon: least share of a bin: one that is empty on one side would make the index infinite.

    Returns:
        The index; NaN where a histogram is empty.

    Raises:
        LidloopError: for histograms of different lengths, or a negative count.

    Source: N. Siddiqi, Credit Risk Scorecards (2006); expectation: B. Yurdakul, Statistical Properties of
    Population Stability Index (2018).
    """
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if r.shape != c.shape or r.ndim != 1:
        raise LidloopError(f"histograms over different bins cannot be compared: {r.shape} and {c.shape}")
    if (r < 0).any() or (c < 0).any():
        raise LidloopError("a histogram holds a negative count")
    if not r.sum() or not c.sum():
        return float("nan")
    share_r, share_c = np.maximum(r / r.sum(), epsilon), np.maximum(c / c.sum(), epsilon)
    return float(((share_c - share_r) * np.log(share_c / share_r)).sum())


def reference_profile(labels: LabelSet, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Describe faces, ready for JSON (no NaN): the reference to compare later faces with.

    Args:
        labels, sizes: as in ``features``. For the confidence to mean something, a model's predictions.

    Returns:
        ``{"format", "images", "faces", "features": {name: {"definition", "edges", "counts", "n",
        "undefined"}}}``. ``counts`` has one bin more than ``edges`` and sums to ``n``; a feature that is
        defined for no face has no edges and ``n`` 0.

    Raises:
        LidloopError: for no faces, or a picture whose size is not given.
    """
    if not len(labels):
        raise LidloopError("a reference profile needs at least one face; these pictures have none")
    profile: dict[str, Any] = {}
    for name, values in features(labels, sizes).items():
        defined = values[~np.isnan(values)]
        edges = decile_edges(defined) if len(defined) else []
        profile[name] = {
            "definition": DEFINITIONS[name],
            "edges": edges,
            "counts": histogram(defined, edges),
            "n": len(defined),
            "undefined": len(values) - len(defined),
        }
    return {"format": FORMAT, "images": len(labels.images), "faces": len(labels), "features": profile}


def _sizes(labels: LabelSet, sizes: Mapping[str, tuple[int, int]]) -> Floats:
    """(n, 2) width and height of each face's picture."""
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

"""Reference profiles: distributions of the features of a model's training faces, to compare later ones with.

A profile holds, for each feature, a histogram whose bins are tenths of the reference. The same edges applied
to other faces give the two distributions that a population stability index compares. With a hundred complete
faces or more it also holds their mean shape and its principal components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.drift.features import DEFINITIONS, features
from lidloop.drift.shape import Shape, fit_shape
from lidloop.errors import LidloopError
from lidloop.labels import Floats, LabelSet

FORMAT: Final = 1


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


def reference_profile(
    labels: LabelSet, sizes: Mapping[str, tuple[int, int]], *, seen: LabelSet | None = None
) -> dict[str, Any]:
    """Describe faces, ready for JSON (no NaN): the reference to compare later faces with.

    Args:
        labels, sizes: as in ``features``.
        seen: what the model finds in pictures like those. What it finds later is compared with this, not with
            the labels: a model draws faces nearer to the average than people do, which is no drift.

    Returns:
        ``{"format", "images", "faces", "shape", "features": {name: {"definition", "edges", "counts", "n",
        "undefined"}}, "live"}``. ``counts`` has one bin more than ``edges`` and sums to ``n``; a feature that
        is defined for no face has no edges and ``n`` 0. ``shape`` is that of ``Shape.to_json``, or null with
        too few complete faces. ``live`` has ``images``, ``faces`` and ``features`` of what was seen, or is
        null. Profiles of earlier versions lack ``shape`` and ``live``.

    Raises:
        LidloopError: for no faces, or a picture whose size is not given.
    """
    if not len(labels):
        raise LidloopError("a reference profile needs at least one face; these pictures have none")
    # What is measured by the shape as others will read it, not as it was before it was rounded.
    fitted = fit_shape(labels.points)
    shape = fitted and Shape.from_json(fitted.to_json())
    return {
        "format": FORMAT,
        **_describe(labels, sizes, shape),
        "shape": shape and shape.to_json(),
        "live": _describe(seen, sizes, shape) if seen is not None and len(seen) else None,
    }


def live_reference(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The features by name that a model's later finds are compared with; those of the labels in a profile of
    a version before there were others."""
    found: dict[str, Any] = (profile.get("live") or profile).get("features", {})
    return found


def _describe(labels: LabelSet, sizes: Mapping[str, tuple[int, int]], shape: Shape | None) -> dict[str, Any]:
    words = DEFINITIONS | (shape.definitions if shape else {})
    described: dict[str, Any] = {}
    for name, values in features(labels, sizes, shape=shape).items():
        defined = values[~np.isnan(values)]
        edges = decile_edges(defined) if len(defined) else []
        described[name] = {
            "definition": words[name],
            "edges": edges,
            "counts": histogram(defined, edges),
            "n": len(defined),
            "undefined": len(values) - len(defined),
        }
    return {"images": len(labels.images), "faces": len(labels), "features": described}

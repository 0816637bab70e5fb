"""Reference profiles: distributions of the features of a model's training faces, for drift detection.

A profile holds a histogram of each feature whose bins are deciles of the reference. Other faces counted in
the same bins give the second distribution of a population stability index. With at least a hundred complete
faces, the profile also holds their mean shape and its principal components.
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
    """Return the inner bin edges that split the values into deciles: rising, at most 18.

    The edges are taken from the values. A value that fills more than one decile gets its own bin, so that a
    feature with few distinct values, such as the number of faces in a picture, can shift to either side.

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
    """Return the bin of each value that is not NaN: 0…``len(edges)``; the outer bins are open.

    A value on an edge belongs to the bin above it.
    """
    finite = values[~np.isnan(values)]
    return np.searchsorted(np.asarray(edges, dtype=np.float64), finite, side="right").astype(np.int64)


def histogram(values: Floats, edges: Sequence[float]) -> list[int]:
    """Count values by bin (``bins``): ``len(edges) + 1`` counts; NaN is not counted."""
    return [int(count) for count in np.bincount(bins(values, edges), minlength=len(edges) + 1)]


def reference_profile(
    labels: LabelSet, sizes: Mapping[str, tuple[int, int]], *, seen: LabelSet | None = None
) -> dict[str, Any]:
    """Compute the reference profile of faces, ready for JSON (no NaN).

    Args:
        labels, sizes: as in ``features``.
        seen: the model's predictions on similar pictures. Later predictions are compared with these, not with
            the labels: predicted points are nearer to the average face than human labels, which is no drift.

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
    # Features use the rounded shape, as readers of the profile will.
    fitted = fit_shape(labels.points)
    shape = fitted and Shape.from_json(fitted.to_json())
    return {
        "format": FORMAT,
        **_describe(labels, sizes, shape),
        "shape": shape and shape.to_json(),
        "live": _describe(seen, sizes, shape) if seen is not None and len(seen) else None,
    }


def live_reference(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return the features by name that a model's later predictions are compared with.

    Profiles of earlier versions have no ``live``; then the features of the labels are returned.
    """
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

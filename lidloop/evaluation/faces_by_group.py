"""Groups and values of the faces of a dataset: skin tone, size and pose; found, errors, judged, flagged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidloop.data.dataset import Dataset
from lidloop.errors import LidloopError
from lidloop.evaluation.groups import Comparison, compare, pose_of, size_of
from lidloop.evaluation.metrics import FaceErrors, mean_of_known, outer_canthal_scale
from lidloop.evaluation.skin_tone import tone_of, typology_angle
from lidloop.images import read_rgb
from lidloop.labels import Face, Floats, LabelSet, box_of
from lidloop.landmarks import yaw_proxy
from lidloop.screening.ptosis import measure_face

MAX_FACES: Final = 1000
"""Most faces whose pixels are looked at; of more, a sample that a fixed seed chooses."""
_SEED: Final = 20240405


class FaceGroups(NamedTuple):
    """Groups by dimension and values by key of a metric, (n,) each; ``sampled`` of the dataset's faces."""

    groups: dict[str, list[str]]
    values: dict[str, Floats]
    sampled: int
    total: int


def compare_groups(
    dataset: Dataset,
    truth: LabelSet,
    errors: FaceErrors,
    *,
    most: int = MAX_FACES,
    total: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare the faces of a dataset by skin tone, size and pose; JSON-ready.

    Args:
        dataset: the pictures. truth: the labels, with ``errors`` of each of their faces.
        most: largest number of faces; of more, a sample.
        total: number of faces that ``truth`` is a ``sample`` of; by default it holds all.
        progress: called with the number of faces done and in all.

    Returns:
        ``Comparison.to_json``, with ``sampled`` and ``total`` faces.
    """
    faces = faces_by_group(dataset, truth, errors, most=most, progress=progress)
    found: Comparison = compare(faces.groups, faces.values)
    every = faces.total if total is None else total
    return {"sampled": faces.sampled, "total": every, **found.to_json()}


def faces_by_group(
    dataset: Dataset,
    truth: LabelSet,
    errors: FaceErrors,
    *,
    most: int = MAX_FACES,
    progress: Callable[[int, int], None] | None = None,
) -> FaceGroups:
    """Look at the pixels of labelled faces; pictures that cannot be read are left out.

    A face that was matched is measured from the predicted landmarks, as the service does it: ``judged`` is 0
    if its flag is ``undetermined``, ``flagged`` is 1 if it is ``suspicious`` or ``functional``, of those
    judged. These labels do not say who has ptosis, so a flag is not known to be false.
    """
    rows = sample(len(truth), most)
    rows = rows[np.argsort(truth.image[rows], kind="stable")]
    canthal = outer_canthal_scale(truth.points)
    names: dict[str, list[str]] = {"skin tone": [], "size": [], "pose": []}
    screened: list[tuple[float, float]] = []
    kept: list[int] = []
    name, image = "", None
    for done, row in enumerate(rows.tolist()):
        if progress is not None:
            progress(done, len(rows))
        if truth.images[truth.image[row]] != name:
            name = truth.images[truth.image[row]]
            image = _read(dataset, name)
        if image is None:
            continue
        points = truth.points[row]
        kept.append(row)
        angle = None if np.isnan(canthal[row]) else typology_angle(image, points)
        names["skin tone"].append(tone_of(angle))
        names["size"].append(size_of(float(canthal[row])))
        names["pose"].append(
            pose_of(float(yaw_proxy(points)) if not np.isnan(canthal[row]) else float("nan"))
        )
        screened.append(_screen(image, errors.points[row]) if errors.matched[row] else (np.nan, np.nan))
    lids = np.stack([errors.lid_left, errors.lid_right])
    values = {
        "recall": errors.matched[kept].astype(np.float64),
        "nme": errors.nme[kept],
        "lid_error": mean_of_known(lids)[kept],
        "judged": np.array([judged for judged, _ in screened]),
        "flagged": np.array([flagged for _, flagged in screened]),
    }
    return FaceGroups(names, values, len(kept), len(truth))


def sample(n: int, most: int) -> NDArray[np.int64]:
    """Rows of the faces whose pixels are looked at, rising: all of n, or ``most`` of them at random."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(_SEED).choice(n, most, replace=False))


def _read(dataset: Dataset, name: str) -> NDArray[np.uint8] | None:
    try:
        return read_rgb(dataset.path(name))
    except (LidloopError, OSError):
        return None  # evaluation counts the picture as unreadable already


def _screen(image: NDArray[np.uint8], points: Floats) -> tuple[float, float]:
    """1 or 0 for judged and for flagged; flagged is NaN if not judged."""
    level = measure_face(image, Face(box_of(points), points)).flag.level
    if level == "undetermined":
        return 0.0, float("nan")
    return 1.0, float(level in ("suspicious", "functional"))

"""What every reader of annotations returns, and the rules that they share.

Readers do not look at pixels: they name pictures and give points, and list what they had to leave out.
Points are in the upright picture (EXIF orientation applied), as the annotation tools show it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lidloop.landmarks import N_IBUG, N_JAW, N_POINTS

Reason = Literal[
    "missing-image",
    "unreadable-image",
    "unparsable-file",
    "wrong-point-count",
    "not-a-number",
    "empty-box",
    "outside-picture",
    "ignored",
]
"""Why something was left out. ``ignored`` is what the annotation itself marks as not to be used."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Something that could not be used: the file (relative to the source's folder), why, and details."""

    file: str
    reason: Reason
    detail: str
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class RawFace:
    """A face as annotated: (51, 3) points x, y, visibility 0/1/2; 0-based pixels of the upright picture, or
    fractions of its size where the picture's ``normalised`` is set. ``file`` says where it stands."""

    points: NDArray[np.float64]
    file: str


@dataclass(slots=True, eq=False)
class Picture:
    """A picture that a source names.

    Attributes:
        path: the picture's file; it may be missing.
        file: the same, relative to the source's folder.
        source: a name for people, such as ``afw``.
        split: the split that the source gives it: ``train``, ``val`` (also for its test sets) or None.
        faces: its usable annotations so far.
        rejected: how many annotations of it were rejected.
        normalised: whether points are fractions of the picture's width and height.
    """

    path: Path
    file: str
    source: str
    split: str | None = None
    faces: list[RawFace] = field(default_factory=list)
    rejected: int = 0
    normalised: bool = False


@dataclass(slots=True)
class Reading:
    """What a reader found. ``unannotated`` counts, by source, pictures that no annotation file names."""

    pictures: list[Picture] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    unannotated: Counter[str] = field(default_factory=Counter)


class Unusable(Exception):
    """An annotation that is rejected; readers catch it and list it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


def raw_points(
    xy: Sequence[Sequence[object]], visibility: Sequence[object] | None = None
) -> NDArray[np.float64]:
    """Check 51 or 68 points and return the (51, 3) that are used; the jaw is dropped.

    Visibility above 0 that is neither 1 nor 2 counts as 2: some tools write a confidence there. A point
    with visibility 0 becomes 0 0 0, whatever stood there.

    Raises:
        Unusable: for another number of points, or values that are not finite numbers.
    """
    if len(xy) not in (N_POINTS, N_IBUG):
        raise Unusable("wrong-point-count", f"{len(xy)} points; {N_POINTS} or {N_IBUG} are needed")
    try:
        points = np.full((len(xy), 3), 2.0)
        if visibility is not None:
            v = np.array(visibility, dtype=np.float64)
            points[:, 2] = np.where(np.isnan(v), np.nan, np.where(v <= 0, 0.0, np.where(v == 1, 1.0, 2.0)))
        points[:, :2] = np.array(xy, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Unusable("not-a-number", str(error)) from None
    if len(points) == N_IBUG:
        points = points[N_JAW:]
    points[points[:, 2] == 0] = 0.0
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise Unusable("not-a-number", f"point {bad} of the {N_POINTS} is not finite")
    return points


_SPLIT_FOLDER: Final = re.compile(r"(train|val|valid|test|dev)(ing|idation|set|ation)?[-_ ]?(set)?[-_ ]?\d*")
_GENERIC: Final = {
    "images", "image", "imgs", "img", "pictures", "photos", "labels", "label", "annotations", "annotation",
    "data", "dataset", "datasets", "jpg", "jpeg", "png", "pts",
}  # fmt: skip


def split_of_folder(name: str) -> str | None:
    """The split that a folder's name gives: ``trainset`` is ``train``; ``val``, ``testset`` are ``val``."""
    match = _SPLIT_FOLDER.fullmatch(name.lower())
    if match is None:
        return None
    return "train" if match[1] == "train" else "val"


def split_of_file(name: str) -> str | None:
    """The split that a word of a file's name gives: ``labels_train.xml``, ``keypoints_val2017.json``."""
    words = [split_of_folder(word) for word in re.split(r"[^a-z0-9]+", Path(name).stem.lower())]
    found = {word for word in words if word is not None}
    return found.pop() if len(found) == 1 else None


def given_split(file: str, root: Path | None = None) -> str | None:
    """The split that the folders of ``file`` (relative; the innermost decides) or ``root``'s name give."""
    names = [*([root.name] if root else []), *PurePosixPath(file).parts[:-1]]
    return next((s for s in map(split_of_folder, reversed(names)) if s is not None), None)


def slug(text: str) -> str:
    """Letters, digits, dot, dash and underscore only, safe in file names everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")


def source_name(file: str, root: Path) -> str:
    """Name the source of a file: its first folder under ``root`` with a name of its own, else ``root``'s.

    Folders named after a split or what they hold (``trainset``, ``images``) take their parent's name.
    """
    own = [p for p in PurePosixPath(file).parts[:-1] if p not in ("..", ".", "/")]
    above = [*reversed(root.resolve().parts[1:])]
    for name in [*own, *above]:
        if name.lower() not in _GENERIC and split_of_folder(name) is None and slug(name):
            return slug(name.lower())
    return "source"


def relative(path: Path, root: Path) -> str:
    """``path`` as seen from ``root``, with forward slashes."""
    return Path(os.path.relpath(path, root)).as_posix()


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield every folder under ``root`` with the names of its files, sorted; hidden ones are left out.

    Links to folders are followed; a folder is visited once.
    """
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in files if not name.startswith("."))

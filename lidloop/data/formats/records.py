"""Results of every reader of annotations: pictures with raw faces, and what was left out and why.

Readers do not decode pixels: they name pictures and give points, and list what they left out. Points are in
the upright picture (EXIF orientation applied), as the annotation tools show it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.text import shown

Reason = Literal[
    "missing-image",
    "ambiguous-image",
    "unreadable-image",
    "unreadable-folder",
    "unparsable-file",
    "wrong-point-count",
    "other-class",
    "not-a-number",
    "size-mismatch",
    "empty-box",
    "outside-picture",
    "ignored",
]
"""Reasons to leave something out. ``ignored`` is what the annotation itself marks as not to be used."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Something that could not be used: the file (relative to the source's folder), reason and details.

    ``file`` and ``detail`` are shortened to what can be printed.
    """

    file: str
    reason: Reason
    detail: str
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", shown(self.file))
        object.__setattr__(self, "detail", shown(self.detail, 400))


@dataclass(frozen=True, slots=True, eq=False)
class RawFace:
    """A face as annotated: (51, 3) points x, y, visibility 0/1/2; 0-based pixels of the upright picture, or
    fractions of its size where the picture's ``normalised`` is set. ``file`` names the annotation's place."""

    points: NDArray[np.float64]
    file: str


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of a source that a reader needs.

    Attributes:
        classes: names of the classes that are faces; empty to go by the names themselves.
        inside: nothing outside this folder may be read; None for a source on this machine.
    """

    classes: tuple[str, ...] = ()
    inside: Path | None = None


@dataclass(slots=True, eq=False)
class Picture:
    """A picture that a source names.

    Attributes:
        path: the picture's file; it may be missing.
        file: the same, relative to the source's folder.
        source: a short name for reports, such as ``afw``.
        split: the split that the source gives it: ``train``, ``val`` (also for its test sets) or None.
        faces: its usable annotations so far.
        rejected: number of its annotations that were rejected.
        normalised: True if points are fractions of the picture's width and height.
        size: width and height in pixels that the annotation file gives, None where it gives none.
        rivals: other files that the same labels could belong to, such as ``a.png`` beside ``a.jpg``.
        absent: why ``path`` could not be found, where the reader knows more than that it is missing.
        unlabelled: True if it comes from a source that has no labels (``images:DIR``).
    """

    path: Path
    file: str
    source: str
    split: str | None = None
    faces: list[RawFace] = field(default_factory=list)
    rejected: int = 0
    normalised: bool = False
    size: tuple[float | None, float | None] = (None, None)
    rivals: tuple[Path, ...] = ()
    absent: Unusable | None = None
    unlabelled: bool = False


@dataclass(slots=True)
class Reading:
    """Result of a reader. ``unannotated`` counts, by source, pictures that no annotation file names."""

    pictures: list[Picture] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    unannotated: Counter[str] = field(default_factory=Counter)

    def reject(self, picture: Picture, file: str, problem: Unusable) -> None:
        """List an annotation of ``picture`` that cannot be used."""
        self.rejects.append(Reject(file, problem.reason, problem.detail, picture.source))
        picture.rejected += 1


class Unusable(Exception):
    """An annotation or picture that is rejected; readers catch it and list it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail

"""Photographed faces with human landmarks, and drawn faces of known lids, for the screening benchmark."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Skipped, picture_of
from lidloop.data.formats.ibug import parse
from lidloop.data.formats.records import Unusable
from lidloop.files import sha256
from lidloop.images import read_rgb
from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, outer_canthal_distance, yaw_proxy
from lidloop.screening.quality import sharpness

SOURCES: Final = ("afw", "helen", "lfpw")
CHOSEN_ON: Final = ("afw", "lfpw")
"""Sources on which thresholds are chosen; ``helen`` is only reported."""
MIN_CANTHAL_PX: Final = 100.0
MAX_YAW: Final = 0.15
MIN_SHARPNESS: Final = 0.055
"""Faces of the targets: outer canthi at least so many pixels apart, |yaw proxy| and sharpness of the sharper
eye within these, all by the human landmarks, so that no model decides who belongs to them."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A photographed face that a person annotated.

    Attributes:
        name: path below the folder, without suffix. source: one of ``SOURCES``, or the folder's name.
        picture: file. points: (51, 3) landmarks in its pixels.
    """

    name: str
    source: str
    picture: Path
    points: Floats

    @property
    def canthal_px(self) -> float:
        return float(outer_canthal_distance(self.points))

    def read(self) -> NDArray[np.uint8]:
        """Read the picture: (h, w, 3) uint8 RGB."""
        return read_rgb(self.picture)


def people_of(folder: Path) -> list[Person]:
    """Read all annotated faces below a folder, ordered by name; byte-identical copies of a picture once.

    AFW has a copy of the picture for each of its faces: copies with other landmarks are kept.

    Raises:
        Skipped: if there is none.
    """
    found = []
    seen: set[tuple[str, bytes]] = set()
    for pts in sorted(folder.rglob("*.pts")):
        picture = picture_of(pts)
        if picture is None:
            continue
        try:
            points = np.asarray(parse(pts.read_text()))
        except Unusable:
            continue
        key = (sha256(picture), np.round(points[:, :2]).tobytes())
        if key in seen:
            continue
        seen.add(key)
        relative = pts.relative_to(folder).with_suffix("")
        source = next((part for part in relative.parts if part in SOURCES), relative.parts[0])
        found.append(Person(relative.as_posix(), source, picture, points))
    if not found:
        raise Skipped(f"{folder.name} holds no .pts file with its picture")
    return found


def is_target(points: Floats, sharpest: float | None) -> bool:
    """True for a face of the targets: large, frontal and sharp by its human landmarks."""
    frontal = abs(float(yaw_proxy(points))) <= MAX_YAW
    large = float(outer_canthal_distance(points)) >= MIN_CANTHAL_PX
    return frontal and large and sharpest is not None and sharpest >= MIN_SHARPNESS


def sharpest_eye(image: NDArray[np.uint8], points: Floats) -> float | None:
    """Sharpness of the sharper eye (``lidloop.screening.quality``); None if no eye is in the picture."""
    values = [sharpness(image, points, eye) for eye in (LEFT_EYE, RIGHT_EYE)]
    return max((v for v in values if v is not None), default=None)


def sampled(people: list[Person], count: int | None, seed: int) -> Iterator[Person]:
    """Sample people without replacement, in a random order that the seed fixes; all for None."""
    order = list(people)
    random.Random(seed).shuffle(order)
    yield from order if count is None else order[:count]

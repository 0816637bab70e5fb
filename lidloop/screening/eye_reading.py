"""Lid margins and pupil of both eyes of a face: from the landmarks or refined in the pixels, by quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lidloop.eyes.look import EyeLook, look_at
from lidloop.eyes.margins import Margins, heights_at, margins_from_landmarks, opening_beside_pupil
from lidloop.labels import Floats
from lidloop.landmarks import Eye, eye_width, lid_opening
from lidloop.screening.measurements import Pupil, Side

MIN_QUALITY: Final = 0.5
"""Smallest quality (0…1) of margins and pupils found in the pixels; below it they are not used."""
MIN_TRUST: Final = 0.2
"""Smallest trust (0…1) of the pixel refinement; below it the eye counts as hidden, e.g. by hair."""
MIN_LOOK_PX: Final = 40.0
"""Smallest outer-canthal distance in pixels at which the eyes are refined in the pixels."""
MAX_SHIFT: Final = 0.12
"""Largest distance in the middle between a margin found in the pixels and the landmarks, as a share of the
outer-canthal distance. A margin farther away is something else: a brow or the frame of glasses."""

Method = Literal["pixels", "landmarks"]


@dataclass(frozen=True, slots=True, eq=False)
class EyeReading:
    """Lid margins and pupil of one eye.

    Attributes:
        landmarks: margins through the landmarks.
        pixels: margins found in the pixels; None if they are not used.
        lid_quality: quality of ``pixels``, 0…1; 0 if they are not used.
        pupil: given by the caller or found in the pixels; None if neither.
        hidden: the pixel refinement finds no eye.
        opening, width: lid opening and eye width by the landmarks, in pixels.
    """

    landmarks: Margins
    pixels: Margins | None
    lid_quality: float
    pupil: Pupil | None
    hidden: bool
    opening: float
    width: float

    @property
    def method(self) -> Method:
        """Method of the best margins: ``pixels`` if they are used, else ``landmarks``."""
        return "landmarks" if self.pixels is None else "pixels"

    def margins(self, method: Method) -> Margins:
        """Margins by one method; those of the landmarks if no margins were found in the pixels."""
        return self.landmarks if method == "landmarks" or self.pixels is None else self.pixels

    def pfh(self, method: Method, down: Floats) -> float:
        """Palpebral fissure height in pixels: through the pupil if it is known, else ``beside_pupil``."""
        heights = self.heights(method, down)
        return self.beside_pupil(method) if heights is None else max(0.0, heights[0] + heights[1])

    def beside_pupil(self, method: Method) -> float:
        """Mean of the lid openings at one third and two thirds of the margins, in pixels."""
        if method == "landmarks" or self.pixels is None:
            return self.opening
        return opening_beside_pupil(self.pixels)

    def heights(self, method: Method, down: Floats) -> tuple[float, float] | None:
        """``(mrd1, mrd2)`` in pixels; None if no pupil is known between the canthi."""
        if self.pupil is None:
            return None
        return heights_at(self.margins(method), np.array([self.pupil.x, self.pupil.y]), down)

    def canthi_px(self, method: Method) -> float:
        """Distance between inner and outer canthus in pixels."""
        if method == "landmarks" or self.pixels is None:
            return self.width
        return float(np.linalg.norm(self.pixels.upper[-1] - self.pixels.upper[0]))


def read_eyes(
    image: NDArray[np.uint8],
    points: Floats,
    eyes: Mapping[Side, Eye],
    given: Mapping[Side, tuple[float, float]],
    *,
    canthal: float,
    whole: Mapping[Side, bool],
) -> dict[Side, EyeReading]:
    """Read both eyes of a face.

    Args:
        image: (h, w, 3) uint8 RGB, upright.
        points: (51, 3) landmarks.
        eyes: landmark indices by the patient's side.
        given: pupil centres (x, y) given by the caller; one that does not lie in its eye is not used.
        canthal: outer-canthal distance in pixels.
        whole: True if the eye lies entirely in the picture; other eyes are not refined in the pixels.
    """
    sides = [side for side in eyes if whole[side]] if canthal >= MIN_LOOK_PX else []
    found = look_at(image, points, [eyes[side] for side in sides]) if sides else []
    looks = dict(zip(sides, found, strict=True))
    return {side: _read(points, eye, looks.get(side), given.get(side), canthal) for side, eye in eyes.items()}


def _read(
    points: Floats, eye: Eye, look: EyeLook | None, centre: tuple[float, float] | None, canthal: float
) -> EyeReading:
    landmarks = margins_from_landmarks(points, eye)
    trusted = look is not None and look.trust >= MIN_TRUST and _agree(look.margins, landmarks, canthal)
    seen = look if trusted else None
    good = seen is not None and seen.lid_quality >= MIN_QUALITY
    return EyeReading(
        landmarks,
        seen.margins if seen is not None and good else None,
        seen.lid_quality if seen is not None and good else 0.0,
        _pupil(points, eye, seen, centre),
        look is not None and look.trust < MIN_TRUST,
        float(lid_opening(points, eye)),
        float(eye_width(points, eye)),
    )


def _agree(found: Margins, landmarks: Margins, canthal: float) -> bool:
    middle = len(found.upper) // 2
    shifts = [
        np.linalg.norm(a[middle] - b[middle])
        for a, b in ((found.upper, landmarks.upper), (found.lower, landmarks.lower))
    ]
    return float(max(shifts)) <= MAX_SHIFT * canthal


def lies_in(points: Floats, eye: Eye, centre: tuple[float, float]) -> bool:
    """True if a pupil centre lies within half an eye width of the middle of this eye.

    Args:
        points: (51, 2+) landmarks in pixels of the upright picture.
        eye: landmark indices of the eye.
        centre: (x, y) in pixels of the upright picture.
    """
    middle = points[[eye.outer, eye.inner], :2].mean(axis=0)
    return float(np.linalg.norm(np.array(centre) - middle)) < 0.5 * float(eye_width(points, eye))


def _pupil(
    points: Floats, eye: Eye, look: EyeLook | None, centre: tuple[float, float] | None
) -> Pupil | None:
    """Return the caller's pupil if it lies in the eye, else the fitted one."""
    fitted = look if look is not None and look.pupil_quality >= MIN_QUALITY else None
    radius = None if fitted is None else fitted.iris_radius
    if centre is not None and lies_in(points, eye, centre):
        return Pupil(float(centre[0]), float(centre[1]), "given", 1.0, radius)
    if fitted is None:
        return None
    return Pupil(float(fitted.pupil[0]), float(fitted.pupil[1]), "fitted", fitted.pupil_quality, radius)

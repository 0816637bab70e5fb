"""Find lid margins and irises of the eyes of a face in its pixels, with their quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.eyes.iris import IrisFit, fit_iris
from lidloop.eyes.lids import LidFit, fit_lid
from lidloop.eyes.margins import Margins
from lidloop.eyes.network import Answer, answer, info
from lidloop.eyes.patch import Frame, cut, frame_of, normalise
from lidloop.labels import Floats
from lidloop.landmarks import Eye

MIN_CONTRAST: Final = 4.0
"""Standard deviation of grey levels below which a patch counts as empty."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchLook:
    """Result for one patch, in its pixels; None where nothing could be fitted.

    Attributes:
        upper, lower: the margins. iris: see ``IrisFit``.
        trust: probability that an eye is visible.
        lid_features: features of the quality of the margins: 1, their spread, their misfit, the spread of the
            canthi, the logit of ``trust``, the spread of the iris.
        iris_features: the same for the iris: 1, the error of its centre, its misfit, its visible share, its
            spread, the logit of ``trust``.
    """

    upper: LidFit | None
    lower: LidFit | None
    iris: IrisFit | None
    trust: float
    lid_features: Floats
    iris_features: Floats


@dataclass(frozen=True, slots=True, eq=False)
class EyeLook:
    """Result for one eye, in pixels of the picture.

    Attributes:
        margins: from the outer to the inner canthus.
        lid_quality: estimated chance that the fissure height is right to 1 % of the outer-canthal distance.
        pupil: (2,) x, y of the pupil centre. iris_radius: of the iris.
        pupil_quality: estimated chance that the centre is right to 1 % of that distance.
        trust: probability that an eye is visible.
    """

    margins: Margins
    lid_quality: float
    pupil: Floats
    iris_radius: float
    pupil_quality: float
    trust: float


def read_patch(said: Answer, k: int) -> PatchLook:
    """Fit margins and iris to the network's answer for patch ``k``."""
    outer, inner, centre = said.points[k]
    upper, lower = (fit_lid(said.rows[k, j], said.spread[k, j], outer, inner) for j in (0, 1))
    iris = None
    if upper is not None and lower is not None:
        radius, spread = float(said.radius[k]), float(said.point_spread[k, 2])
        iris = fit_iris(said.iris[k], upper.curve, lower.curve, centre, radius, spread)
    trust = float(said.trust[k])
    if upper is None or lower is None or iris is None:
        return PatchLook(upper, lower, iris, trust, np.zeros(0), np.zeros(0))
    surely = np.clip(trust, 1e-4, 1 - 1e-4)
    logit = float(np.log(surely / (1 - surely)))
    canthi, pupil = float(said.point_spread[k, :2].mean()), float(said.point_spread[k, 2])
    misfit = upper.misfit + lower.misfit
    lid_features = np.array([1.0, upper.spread + lower.spread, misfit, canthi, logit, pupil])
    iris_features = np.array([1.0, iris.centre_error, iris.misfit, iris.seen, pupil, logit])
    return PatchLook(upper, lower, iris, trust, lid_features, iris_features)


def chance(features: Floats, weights: Sequence[float]) -> float:
    """Probability by logistic regression; 0 without features."""
    if not len(features):
        return 0.0
    return float(1 / (1 + np.exp(-np.clip(features @ np.asarray(weights), -30, 30))))


def look_at(image: NDArray[np.uint8], points: Floats, eyes: Sequence[Eye]) -> list[EyeLook | None]:
    """Find margins and iris of eyes of one face.

    Args:
        image: (h, w, 3) uint8 RGB, upright.
        points: (51, 2+) landmarks in its pixels; the outer canthi must not coincide.

    Returns:
        One result for each eye; None where nothing could be fitted.
    """
    frames = [frame_of(points, eye) for eye in eyes]
    patches = np.stack([cut(image, frame) for frame in frames])
    said = answer(normalise(patches))
    flat = patches.std(axis=(1, 2, 3)) < MIN_CONTRAST
    said = replace(said, trust=np.where(flat, 0.0, said.trust))
    calibration = info()["calibration"]
    return [_in_picture(read_patch(said, k), frame, calibration) for k, frame in enumerate(frames)]


def _in_picture(found: PatchLook, frame: Frame, calibration: dict[str, Any]) -> EyeLook | None:
    if found.upper is None or found.lower is None or found.iris is None:
        return None
    return EyeLook(
        Margins(frame.to_picture(found.upper.curve), frame.to_picture(found.lower.curve)),
        chance(found.lid_features, calibration["lid"]),
        frame.to_picture(found.iris.centre),
        found.iris.radius * frame.scale,
        chance(found.iris_features, calibration["pupil"]),
        found.trust,
    )

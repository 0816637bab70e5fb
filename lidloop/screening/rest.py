"""Checks of eyes and face: they look straight ahead and are at rest.

Every check looks at both sides or at parts of the face other than the upper lids: a lid that hangs on one
side is a finding, not a problem of the picture. Limits were chosen on the LFPW, AFW and HELEN parts of 300-W,
human landmarks and margins found in the pixels, so that each rejects a few per cent of the faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from lidloop.labels import Floats
from lidloop.landmarks import (
    GROUPS,
    MOUTH_CORNERS,
    Eye,
    pitch_proxy,
)
from lidloop.screening.measurements import SIDES, EyeMeasurement, Reason, Side

MAX_ASIDE: Final = 0.13
"""Largest shift of both pupils to one side, as a share of the eye width: about 3.8 mm, a turn of the eyes by
18°. Beyond it more than twice as many healthy people have lids of different heights as below."""
MAX_UP: Final = 0.20
MAX_DOWN: Final = 0.04
"""Largest mean height of the pupils above, and depth below, the lines between the canthi, as a share of the
eye width; 0.10 above is usual."""
PITCH_RANGE: Final = (0.20, 0.88)
"""Range of ``pitch_proxy`` of a face that is not nodded; 0.55 is usual, more where the chin is lowered."""
NARROW_MRD1: Final = 0.033
NARROW_MRD2: Final = 0.044
"""Largest MRD1 and MRD2 of narrowed eyes over the outer-canthal distance: 3 and 4 mm."""
WIDE_MOUTH: Final = 0.78
"""Smallest width of a mouth that is stretched, over the outer-canthal distance; 0.60 is usual."""
OPEN_MOUTH: Final = 0.25
"""Smallest gap between the lips of an open mouth, over the outer-canthal distance."""
BROW_RANGE: Final = (0.15, 0.33)
"""Range of the height of brows at rest above the middle of the eye, over the outer-canthal distance."""
_RELAX: Final = "ask for a relaxed face, eyes to the lens"


def gaze_problem(eyes: Mapping[Side, EyeMeasurement]) -> Reason | None:
    """Return a reason if both eyes look aside, up or down; None if they do not, or a pupil is not known.

    Eyes that look in different directions (strabismus) give no reason.
    """
    shifts = [_pupil_shift(eyes[side]) for side in SIDES]
    if any(shift is None for shift in shifts):
        return None
    (od_in, od_down), (os_in, os_down) = (shift for shift in shifts if shift is not None)
    aside, down = (od_in - os_in) / 2, (od_down + os_down) / 2
    if abs(aside) > MAX_ASIDE:
        return Reason("looks-aside", "the eyes look to the side; ask to look straight into the lens")
    if down < -MAX_UP:
        text = "the eyes look up; hold the camera at the height of the eyes and ask to look into the lens"
        return Reason("looks-up", text)
    if down > MAX_DOWN:
        text = "the eyes look down; hold the camera at the height of the eyes and ask to look into the lens"
        return Reason("looks-down", text)
    return None


def _pupil_shift(eye: EyeMeasurement) -> tuple[float, float] | None:
    """Pupil from the middle between the canthi, towards the inner canthus and down, over the eye width; None
    without a pupil, or without canthi found in the pixels: those of the landmarks are not exact enough."""
    if eye.pupil is None or eye.lid_method != "pixels":
        return None
    outer, inner = eye.upper_lid[0], eye.upper_lid[-1]
    axis = inner - outer
    square = float(axis @ axis)
    if square <= 0:
        return None
    offset = np.array([eye.pupil.x, eye.pupil.y]) - (outer + inner) / 2
    down = np.array([-axis[1], axis[0]])
    down = down if _mean_side(eye.lower_lid, outer, down) >= _mean_side(eye.upper_lid, outer, down) else -down
    return float(offset @ axis) / square, float(offset @ down) / square


def _mean_side(line: Floats, origin: Floats, direction: Floats) -> float:
    return float(((line - origin) @ direction).mean())


def squint_problem(eyes: Mapping[Side, EyeMeasurement], canthal: float) -> Reason | None:
    """Return a reason if on both sides the lower lid is raised and the upper lid is lowered: a squint or a
    smile. Ptosis leaves the lower lid where it is.

    Args:
        canthal: outer-canthal distance in the pixels of ``eyes``.
    """
    for side in SIDES:
        lengths = eyes[side].lengths
        if "mrd1" not in lengths or "mrd2" not in lengths or eyes[side].lid_method != "pixels":
            return None
        if lengths["mrd1"].px > NARROW_MRD1 * canthal or lengths["mrd2"].px > NARROW_MRD2 * canthal:
            return None
    return Reason("squint", f"both eyes are narrowed, as in a squint or a smile; {_RELAX}")


def nod_problem(points: Floats) -> Reason | None:
    """Return a reason if the chin is raised or lowered."""
    pitch = float(pitch_proxy(points))
    if np.isnan(pitch) or PITCH_RANGE[0] <= pitch <= PITCH_RANGE[1]:
        return None
    how = "lowered" if pitch > PITCH_RANGE[1] else "raised"
    return Reason("nodded", f"the chin is {how}; hold the camera at the height of the eyes, head upright")


def face_problems(points: Floats, eyes: Mapping[Side, Eye], canthal: float) -> list[Reason]:
    """Return reasons for a face that is not at rest: mouth stretched or open, both brows raised or lowered.

    They do not prevent a judgement; a raised brow may go with ptosis.

    Args:
        points: (51, 2+) landmarks. eyes: their indices by side. canthal: outer-canthal distance.
    """
    if canthal <= 0:
        return []
    reasons = []
    xy = points[:, :2] / canthal
    lips = list(GROUPS["inner_lip"])
    gap = float(np.linalg.norm(xy[lips[2]] - xy[lips[6]]))
    if gap >= OPEN_MOUTH:
        reasons.append(Reason("mouth-open", f"the mouth is wide open; {_RELAX}"))
    elif float(np.linalg.norm(xy[MOUTH_CORNERS[0]] - xy[MOUTH_CORNERS[1]])) >= WIDE_MOUTH:
        reasons.append(Reason("smile", f"a wide smile raises the lower lids; {_RELAX}"))
    heights = [
        float(np.linalg.norm(xy[list(eye.brow)].mean(axis=0) - xy[[eye.outer, eye.inner]].mean(axis=0)))
        for eye in eyes.values()
    ]
    if min(heights) > BROW_RANGE[1]:
        reasons.append(Reason("brows-raised", "both brows are raised; ask to relax the forehead"))
    elif max(heights) < BROW_RANGE[0]:
        reasons.append(Reason("brows-lowered", f"both brows are lowered; {_RELAX}"))
    return reasons

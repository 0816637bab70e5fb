"""Quality checks of the picture of a face: size, pose, sharpness, closed eyes, landmarks outside."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, Eye
from lidloop.screening.figures import figure
from lidloop.screening.measurements import Reason

MIN_CANTHAL_PX: Final = 60.0
"""Smallest outer-canthal distance in pixels; below it a pixel is more than 1.5 mm."""
MAX_YAW: Final = 0.36
MAX_ROLL: Final = 30.0
CLOSED_RATIO: Final = 0.10
"""Height over width of an eye; below it the eye counts as closed."""
MIN_SHARPNESS: Final = 0.055
"""Smallest ``sharpness``. Below it, blur is wider than about 2.5 % of the outer-canthal distance, and margins
found in the pixels are no more accurate than the landmarks."""
_SHARPNESS_PX: Final = 40.0


def seen(points: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(51,) True for points that can be measured: visibility above 0, inside a picture of (width, height)."""
    xy = points[:, :2]
    inside: NDArray[np.bool_] = (
        (points[:, 2] > 0) & (xy >= -0.5).all(axis=1) & (xy <= np.array(size) - 0.5).all(axis=1)
    )
    return inside


def eye_points(eye: Eye) -> list[int]:
    """Indices of an eye's canthi and lids."""
    return [eye.outer, eye.inner, *(k for pair in eye.lid_pairs for k in pair)]


def cut_off(visible: NDArray[np.bool_]) -> Reason | None:
    """Return a reason if a point of the eyes or brows is outside the picture."""
    rows = [k for eye in (LEFT_EYE, RIGHT_EYE) for k in (*eye_points(eye), *eye.brow)]
    missing = int((~visible[rows]).sum())
    if not missing:
        return None
    return Reason("cut-off", f"{missing} points of eyes and brows lie outside the picture")


def too_small(canthal_px: float, factor: float = 1.0) -> Reason | None:
    """Return a reason if the outer canthi are less than ``MIN_CANTHAL_PX`` apart.

    Args:
        canthal_px: distance between the outer canthi in pixels of the decoded image.
        factor: pixels of the file per pixel of the decoded image; the text gives pixels of the file.
    """
    if canthal_px >= MIN_CANTHAL_PX:
        return None
    found, least, better = (figure(px * factor, 0) for px in (canthal_px, MIN_CANTHAL_PX, 150))
    return Reason(
        "too-small",
        f"{found} pixels between the outer corners of the eyes; at least {least} are needed, {better} or "
        "more are better",
    )


def turned(yaw: float) -> Reason | None:
    """Return a reason if the head is turned to the side; ``yaw`` is the proxy in -1…1."""
    if abs(yaw) <= MAX_YAW:
        return None
    return Reason("turned", "the head is turned to the side; look straight into the camera")


def tilted(roll: float) -> Reason | None:
    """Return a reason if the head is tilted to a shoulder; ``roll`` in degrees."""
    if abs(roll) <= MAX_ROLL:
        return None
    return Reason("tilted", f"the head is tilted by {figure(abs(round(roll, 2)))}°; hold it upright")


def closed(ratios: list[float]) -> Reason | None:
    """Return a reason if both eyes are closed, by their height over width. One closed eye may be ptosis."""
    if len(ratios) < 2 or max(ratios) >= CLOSED_RATIO:
        return None
    return Reason("eyes-closed", "both eyes are closed, or nearly so")


def blurred(sharpness: float | None) -> Reason | None:
    """Return a reason if ``sharpness`` is too low; no reason if it is not known (None)."""
    if sharpness is None or sharpness >= MIN_SHARPNESS:
        return None
    return Reason("blurred", "the eyes are not sharp; hold the camera still and let it focus")


def sharpness(image: NDArray[np.uint8], points: Floats, eye: Eye) -> float | None:
    """Steepest edge of an eye relative to its contrast, per hundredth of the eye width.

    The 99th percentile of the gradient over the range of grey levels (2nd to 98th percentile). The eye is
    first averaged down to ``_SHARPNESS_PX`` and smoothed, so that sensor noise does not count as detail. None
    if the eye lies outside the picture.
    """
    xy = points[eye_points(eye), :2]
    width = float(np.linalg.norm(xy[0] - xy[1]))
    low = np.clip(np.floor(xy.min(axis=0) - 0.2 * width), 0, image.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(xy.max(axis=0) + 0.2 * width) + 1, 0, image.shape[1::-1]).astype(int)
    if (high - low < 4).any() or width < 4:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]), cv2.COLOR_RGB2GRAY)
    gain = min(1.0, _SHARPNESS_PX / width)
    size = np.maximum(np.round((high - low) * gain), 4).astype(int)
    grey = cv2.resize(grey, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 0.8)
    bottom, top = np.percentile(grey, (2, 98))
    if top - bottom < 2:
        return 0.0
    rows, columns = np.gradient(grey)
    return float(np.percentile(np.hypot(rows, columns), 99) / (top - bottom) * width * gain / 100)

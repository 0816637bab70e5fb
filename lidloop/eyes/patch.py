"""Patches of an eye: upright, at one scale, the input of the network.

The axes of a patch follow the line between the outer canthi, so that its columns run along the face's own
vertical, as MRD1 and MRD2 do. The outer canthus is at the left of every patch; the eye at the right of the
picture is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, Eye

WIDTH: Final = 128
HEIGHT: Final = 64
CANTHAL_PATCH_PX: Final = 225.0
"""Patch pixels between the outer canthi: 2.5 per millimetre if these are 90 mm apart."""
_CENTRE: Final = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Position of a patch in the picture: ``picture = centre + (patch - middle) @ axes``.

    Attributes:
        centre: (2,) pixel of the picture in the patch's middle.
        axes: (2, 2) steps in the picture of one patch pixel to the right (towards the nose) and down.
    """

    centre: Floats
    axes: Floats

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the patch."""
        return float(np.linalg.norm(self.axes[1]))

    def to_picture(self, xy: Floats) -> Floats:
        """(..., 2) pixels of the patch to pixels of the picture."""
        out: Floats = self.centre + (xy - _CENTRE) @ self.axes
        return out

    def to_patch(self, xy: Floats) -> Floats:
        """(..., 2) pixels of the picture to pixels of the patch."""
        out: Floats = (xy - self.centre) @ np.linalg.inv(self.axes) + _CENTRE
        return out


def frame_of(points: Floats, eye: Eye) -> Frame:
    """Frame of an eye from the landmarks of its face: (51, 2+) pixels. The outer canthi must not coincide."""
    across = points[RIGHT_EYE.outer, :2] - points[LEFT_EYE.outer, :2]
    right = across / CANTHAL_PATCH_PX
    down = np.array([-right[1], right[0]])
    rows = [eye.outer, eye.inner, *(k for pair in eye.lid_pairs for k in pair)]
    towards_nose = right if eye == LEFT_EYE else -right
    return Frame(points[rows, :2].mean(axis=0), np.stack([towards_nose, down]))


def cut(image: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Cut a patch (64, 128, 3) from a picture (h, w, 3).

    Pixels are averaged if the picture has a finer scale; beyond the picture its border is repeated.
    """
    corners = frame.to_picture(np.array([[0, 0], [WIDTH - 1, 0], [WIDTH - 1, HEIGHT - 1], [0, HEIGHT - 1.0]]))
    margin = 2 * frame.scale + 2
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(corners.min(axis=0) - margin).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(corners.max(axis=0) + margin).astype(int) + 1, low + 1, limit)
    part = image[low[1] : high[1], low[0] : high[0]]
    gain = np.ones(2)
    if frame.scale > 1.25:
        size = np.maximum(np.round((high - low) / frame.scale), 1).astype(int)
        gain = size / (high - low)
        part = cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    origin = (frame.to_picture(np.zeros(2)) - low + 0.5) * gain - 0.5
    matrix = np.hstack([(frame.axes * gain).T, origin[:, None]])
    out: NDArray[np.uint8] = cv2.warpAffine(
        part,
        matrix,
        (WIDTH, HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return out


def normalise(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalise patches for the network: (n, 64, 128, 3) to (n, 3, 64, 128).

    Every channel gets mean 0, and all together standard deviation 1, which removes exposure and white
    balance.
    """
    n = len(patches)
    x = patches.transpose(0, 3, 1, 2).reshape(n, 3, HEIGHT * WIDTH).astype(np.float32, order="C")
    x -= x.mean(axis=2, keepdims=True)
    flat = x.reshape(n, -1)
    deviation = np.sqrt(np.einsum("ij,ij->i", flat, flat) / np.float32(flat.shape[1]))
    flat /= deviation[:, None] + np.float32(4.0)
    return x.reshape(n, 3, HEIGHT, WIDTH)

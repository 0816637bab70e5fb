"""Fake detector that recognises drawn pictures and returns their true landmarks.

Tests of the page then need no trained or exported model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.detection.detector import Detector, Image
from lidloop.labels import Face, Floats, box_of
from lidloop.landmarks import FLIP

_THUMB = (48, 40)
_ALIKE = 10.0  # largest mean difference of grey levels


class DrawnDetector(Detector):
    """Finds the faces of known pictures, also mirrored or scaled; none in others.

    Args:
        known: pictures (h, w, 3) with the (51, 3) points of their faces.
    """

    def __init__(self, known: Sequence[tuple[Image, Sequence[Floats]]]) -> None:
        def nothing(*_: Any) -> Any:
            raise AssertionError("there is no network")

        super().__init__(nothing, imgsz=256, iteration=2, digest="0" * 64)
        self._known: list[tuple[NDArray[np.float64], tuple[int, int], list[Floats]]] = []
        for image, faces in known:
            height, width = image.shape[:2]
            self._known.append((_thumb(image), (width, height), list(faces)))
            turned = [face[list(FLIP)] * (-1, 1, 1) + (width - 1, 0, 0) for face in faces]
            self._known.append((_thumb(image[:, ::-1]), (width, height), turned))

    def detect(self, images: Sequence[Image], *, conf: float = 0.25, iou: float = 0.7) -> list[list[Face]]:
        return [self._faces(image) for image in images]

    def _faces(self, image: Image) -> list[Face]:
        off = [float(np.abs(_thumb(image) - thumb).mean()) for thumb, _, _ in self._known]
        best = int(np.argmin(off))
        if off[best] > _ALIKE:
            return []
        _, size, faces = self._known[best]
        scale = np.array(image.shape[1::-1]) / size
        found = []
        for k, face in enumerate(faces):
            points = face.copy()
            points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
            found.append(Face(box_of(points), points, 2, 0.9 - 0.1 * k))
        return found


def _thumb(image: Image) -> NDArray[np.float64]:
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float64)

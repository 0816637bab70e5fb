from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks import chromium, page
from lidloop.screening.screen import ModelInfo
from lidloop.synthetic import draw_face
from serving.model import Served
from tests.serving.page.drawn import DrawnDetector

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(chromium.find() is None, reason=chromium.MISSING),
]


def test_screenshot_of_a_screening() -> None:
    face = draw_face(seed=3, size=(640, 560), canthal_px=220.0)
    known = [(face.image, [face.faces[0].points])]
    model = Served(DrawnDetector(known), ModelInfo("drawn", None, 0, "0" * 64), {}, "drawn")
    with page.service(model) as address:
        shot = Image.open(io.BytesIO(page.screenshot(address, jpeg(face.image))))
        with pytest.raises(RuntimeError, match="No face was found"):
            page.screenshot(address, jpeg(np.full_like(face.image, 128)))
    assert shot.width == page.VIEW[0]
    assert shot.height > page.VIEW[1]
    # A page with background only has few grey levels.
    assert len(shot.convert("L").getcolors() or []) > 100


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()

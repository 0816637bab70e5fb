from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import chromium
from benchmarks.review import pictures
from lidloop.report.write import REPORT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(chromium.find() is None, reason=chromium.MISSING),
]


def test_the_screenshot_shows_a_drawn_face_in_the_review_mode(tmp_path: Path) -> None:
    pictures.drawn_run(tmp_path, pictures=16)
    shot = Image.open(io.BytesIO(pictures.screenshot(tmp_path / REPORT)))
    assert shot.size == pictures.VIEW
    face = shot.crop((300, 100, 650, 700)).convert("L")
    assert len(face.getcolors() or []) > 60

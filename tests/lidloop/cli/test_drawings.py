"""Drawings get names of their own and replace nothing but earlier drawings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lidloop.cli.drawings import plan_drawings, save_drawing
from lidloop.errors import LidloopError, OccupiedError

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def test_images_of_one_name_keep_apart(tmp_path: Path) -> None:
    images = [Path(p) for p in ("a/x.jpg", "b/x.jpg", "c/x-2.jpg", "d/X.JPG", "e/x.png", "-y.jpg", "f/.jpg")]
    names = [path.name for path in plan_drawings(tmp_path, images)]
    assert names[:2] == ["x.png", "x-2.png"]
    assert len({name.lower() for name in names}) == len(images)


def test_a_drawing_is_a_png_of_the_same_pixels_and_may_be_made_again(tmp_path: Path) -> None:
    for _ in range(2):
        (path,) = plan_drawings(tmp_path / "out", [Path("x.jpg")])
        save_drawing(path, PIXELS)
    assert (cv2.imread(str(path))[..., ::-1] == PIXELS).all()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["x.png"]


def test_photographs_are_not_replaced(tmp_path: Path) -> None:
    """`--draw` into the folder of the photographs, or one that holds others of the same names."""
    photo = tmp_path / "x.png"
    cv2.imwrite(str(photo), PIXELS)
    before = photo.read_bytes()
    for image in (photo, Path("elsewhere/x.jpg")):
        with pytest.raises(OccupiedError, match=r"x\.png"):
            plan_drawings(tmp_path, [image])
    assert photo.read_bytes() == before


def test_a_drawing_that_is_the_image_is_not_replaced(tmp_path: Path) -> None:
    (path,) = plan_drawings(tmp_path, [Path("x.jpg")])
    save_drawing(path, PIXELS)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OccupiedError, match="one of the images"):
        plan_drawings(tmp_path / "link", [path])


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for place in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(LidloopError, match="out"):
            save_drawing(plan_drawings(place, [Path("x.jpg")])[0], PIXELS)
    assert (tmp_path / "out").read_text() == "in the way"

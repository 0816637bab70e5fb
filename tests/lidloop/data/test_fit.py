"""Annotations of another size or orientation than the picture's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lidloop.data.fit import Fit, fit_points, into_picture, turn_upright
from lidloop.data.formats.records import Unusable
from lidloop.images import read_rgb


def points(*xy: tuple[float, float]) -> np.ndarray:
    result = np.zeros((51, 3))
    result[: len(xy)] = [(x, y, 2) for x, y in xy]
    return result


@pytest.mark.parametrize(
    ("given", "upright", "orientation", "fit", "expected", "why"),
    [
        ((None, None), (640, 480), 1, "", (100, 50), "no size given"),
        ((640, None), (640, 480), 1, "", (100, 50), "one axis given"),
        ((640, 480), (640, 480), 1, "", (100, 50), "the same size"),
        ((640.2, 480), (640, 480), 1, "", (100, 50), "a float"),
        ((640, 480), (640, 480), 1, "auto", (100, 50), "nothing to do"),
        ((640, 480), (320, 240), 1, "scale", (50, 25), "half the size"),
        ((640, 480), (320, 240), 1, "auto", (50, 25), "half the size, found by itself"),
        ((640, 480), (1920, 1440), 1, "scale", (300, 150), "three times the size"),
        ((641, 480), (320, 240), 1, "scale", (100 * 320 / 641, 25), "rounded to whole pixels"),
        ((640, 480), (480, 640), 6, "turn", (429, 100), "stored lying on its side"),
        ((640, 480), (480, 640), 8, "turn", (50, 539), "on the other side"),
        ((1280, 960), (480, 640), 6, "auto", (454, 50), "turned and scaled"),
        ((320, 320), (640, 640), 6, "scale", (200, 100), "a square is only scaled"),
    ],
)
def test_points_are_fitted(
    given: tuple[float | None, float | None], upright: tuple[int, int], orientation: int, fit: Fit,
    expected: tuple[float, float], why: str,
) -> None:  # fmt: skip
    result = fit_points(points((100, 50)), given, upright, orientation, fit)
    assert result[0].tolist() == pytest.approx([*expected, 2]), why
    assert (result[1:] == 0).all(), "a missing point stays 0 0 0"


@pytest.mark.parametrize(
    ("given", "upright", "orientation", "fit", "fragments", "why"),
    [
        ((640, 480), (320, 240), 1, "", ("640 x 480", "320 x 240", "?fit=scale"), "another size"),
        ((640, 480), (320, 240), 1, "turn", ("?fit=scale",), "the wrong option"),
        ((640, 480), (480, 640), 6, "", ("640 x 480", "480 x 640", "?fit=turn"), "before EXIF turned it"),
        ((640, 480), (480, 640), 6, "scale", ("?fit=turn",), "the wrong option"),
        ((1280, 960), (480, 640), 6, "", ("?fit=auto",), "both"),
        ((1280, 960), (480, 640), 6, "turn", ("?fit=auto",), "one of both"),
        ((640, 480), (480, 640), 1, "auto", ("on its side",), "nothing says which way it was turned"),
        ((640, 480), (640, 400), 1, "auto", ("640 x 480", "640 x 400", "cropped"), "the axes do not agree"),
        ((640, None), (600, 480), 1, "auto", ("640 x 480",), "one axis given, and it differs"),
    ],
)
def test_other_sizes_are_rejected(
    given: tuple[float | None, float | None], upright: tuple[int, int], orientation: int, fit: Fit,
    fragments: tuple[str, ...], why: str,
) -> None:  # fmt: skip
    with pytest.raises(Unusable) as info:
        fit_points(points((100, 50)), given, upright, orientation, fit)
    assert info.value.reason == "size-mismatch", why
    assert all(fragment in info.value.detail for fragment in fragments)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_points_stay_on_their_pixel(tmp_path: Path, orientation: int) -> None:
    """A red pixel of the stored picture is where ``turn_upright`` says in the upright one."""
    stored = np.zeros((5, 7, 3), dtype=np.uint8)
    x, y = 2, 1
    stored[y, x] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    upright = read_rgb(tmp_path / "a.png")
    size = (upright.shape[1], upright.shape[0])
    turned = turn_upright(points((x, y)), size, orientation)
    assert upright[int(turned[0, 1]), int(turned[0, 0])].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("inside", "outside", "kept", "why"),
    [(51, 0, True, "all"), (26, 25, True, "most"), (25, 26, False, "less than half"), (0, 51, False, "none")],
)
def test_a_face_mostly_outside_is_rejected(inside: int, outside: int, kept: bool, why: str) -> None:
    face = points(*[(10 + k, 10 + k) for k in range(inside)], *[(500, 10 + k) for k in range(outside)])
    if kept:
        moved, clipped = into_picture(face, np.array([100.0, 80.0]))
        assert len(clipped) == outside, why
        assert (moved[inside:, 0] == 99).all()
        return
    with pytest.raises(Unusable) as info:
        into_picture(face, np.array([100.0, 80.0]))
    assert info.value.reason == "outside-picture"

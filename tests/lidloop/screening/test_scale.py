"""Tests of the scale in millimetres per pixel and its error."""

from __future__ import annotations

import math

import pytest

from lidloop.screening.measurements import Pupil
from lidloop.screening.scale import MAX_YAW_FOR_SCALE, scale_of


def iris(radius: float | None, quality: float = 0.9) -> Pupil:
    return Pupil(0.0, 0.0, "fitted", quality, radius)


@pytest.mark.parametrize(
    ("given", "pupils", "canthal", "yaw", "method", "mm_per_px", "why"),
    [
        (0.5, [iris(10)], 200, 0.0, "given", 0.5, "the caller's scale comes first"),
        (None, [iris(10)], 200, 0.0, "iris", 0.585, "one iris of 20 px"),
        (
            None,
            [iris(10), iris(10)],
            0,
            0.9,
            "iris",
            0.585,
            "an iris needs no canthi and no frontal pose",
        ),
        (None, [iris(10, 0.9), iris(11, 0.0)], 200, 0.0, "iris", 0.585, "a bad fit does not count"),
        (None, [iris(10, 0.4)], 180, 0.0, "outer-canthal", 0.5, "too bad a fit"),
        (None, [iris(None)], 180, 0.0, "outer-canthal", 0.5, "a given pupil without an iris"),
        (None, [], 180, 0.0, "outer-canthal", 0.5, "90 mm"),
    ],
)
def test_the_most_accurate_scale_is_chosen(given, pupils, canthal, yaw, method, mm_per_px, why) -> None:
    scale = scale_of(given, pupils, canthal, yaw)
    assert scale is not None
    assert (scale.method, scale.mm_per_px) == (method, pytest.approx(mm_per_px)), why


@pytest.mark.parametrize(("canthal", "yaw"), [(0.0, 0.0), (180.0, MAX_YAW_FOR_SCALE + 0.01), (180.0, -0.9)])
def test_no_scale_without_canthi_or_beyond_the_yaw_limit(canthal: float, yaw: float) -> None:
    assert scale_of(None, [], canthal, yaw) is None


def test_error_bands() -> None:
    exact, one, two, canthi = (
        scale_of(0.5, [], 180, 0.0), scale_of(None, [iris(10)], 180, 0.0),
        scale_of(None, [iris(10), iris(10)], 180, 0.0), scale_of(None, [], 180, 0.0),
    )  # fmt: skip
    assert exact.relative_error == 0
    assert 0.5 / 11.7 < two.relative_error < one.relative_error < canthi.relative_error == pytest.approx(0.06)


def test_irises_of_different_size_increase_the_error() -> None:
    same, differ = scale_of(None, [iris(10)] * 2, 0, 0), scale_of(None, [iris(9), iris(11)], 0, 0)
    assert differ.mm_per_px == pytest.approx(same.mm_per_px, rel=0.02)
    assert differ.relative_error > math.hypot(same.relative_error, 0.05)


def test_yaw_is_corrected_and_increases_the_error() -> None:
    """A head turned by 15° shortens the canthal distance by cos 15°; its yaw proxy is tan 15° over 1.06."""
    turn = math.radians(15)
    straight = scale_of(None, [], 180, 0.0)
    turned = scale_of(None, [], 180 * math.cos(turn), math.tan(turn) / 1.06)
    assert turned.mm_per_px == pytest.approx(straight.mm_per_px, rel=1e-6)
    assert turned.relative_error > straight.relative_error

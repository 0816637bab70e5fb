"""Patches of eyes: position and content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.eyes.patch import CANTHAL_PATCH_PX, HEIGHT, WIDTH, cut, frame_of, normalise
from lidloop.landmarks import FLIP, LEFT_EYE, RIGHT_EYE, Eye
from lidloop.synthetic import draw_face

PICTURE = draw_face(seed=11, canthal_px=150, size=(360, 360), roll=8)
POINTS = PICTURE.faces[0].points


@pytest.mark.parametrize("eye", [LEFT_EYE, RIGHT_EYE])
def test_the_outer_canthus_is_at_the_left_and_level(eye: Eye) -> None:
    frame = frame_of(POINTS, eye)
    outer, inner = frame.to_patch(POINTS[[eye.outer, eye.inner], :2])
    assert 10 < outer[0] < 45 < 85 < inner[0] < 118
    assert abs(outer[1] - inner[1]) < 12
    across = frame.to_patch(POINTS[[LEFT_EYE.outer, RIGHT_EYE.outer], :2])
    assert abs(across[0, 1] - across[1, 1]) < 1e-6
    assert abs(across[0, 0] - across[1, 0]) == pytest.approx(CANTHAL_PATCH_PX)


@given(st.floats(-50, 200), st.floats(-50, 200))
def test_to_picture_undoes_to_patch(x: float, y: float) -> None:
    frame = frame_of(POINTS, RIGHT_EYE)
    assert np.allclose(frame.to_patch(frame.to_picture(np.array([x, y]))), [x, y], atol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.4, 3.0, 6.5])
def test_a_patch_shows_the_pixels_of_its_frame(scale: float) -> None:
    """A blob at a known place lands where ``to_patch`` puts it, to a tenth of a pixel, at every size."""
    points = POINTS[:, :2] * scale + 20
    frame = frame_of(points, LEFT_EYE)
    at = frame.to_picture(np.array([70.3, 28.6]))
    ys, xs = np.mgrid[0 : int(380 * scale), 0 : int(380 * scale)]
    blob = np.exp(-((xs - at[0]) ** 2 + (ys - at[1]) ** 2) / (2 * (4 * frame.scale) ** 2))
    patch = cut(np.repeat((255 * blob).astype(np.uint8)[..., None], 3, axis=2), frame)[..., 0].astype(float)
    total = patch.sum()
    found = np.array(
        [(patch.sum(axis=0) * np.arange(WIDTH)).sum(), (patch.sum(axis=1) * np.arange(HEIGHT)).sum()]
    )
    assert np.allclose(found / total, [70.3, 28.6], atol=0.1)


def test_a_mirrored_picture_has_the_same_patches() -> None:
    width = PICTURE.image.shape[1]
    points = POINTS[list(FLIP)].copy()
    points[:, 0] = width - 1 - points[:, 0]
    here = cut(PICTURE.image, frame_of(POINTS, LEFT_EYE))
    there = cut(np.ascontiguousarray(PICTURE.image[:, ::-1]), frame_of(points, RIGHT_EYE))
    assert np.abs(here.astype(int) - there).max() <= 2


@pytest.mark.parametrize("at", [(0, 0), (-300, -300), (359, 120)])
def test_a_patch_beyond_the_picture_repeats_its_border(at: tuple[int, int]) -> None:
    points = POINTS.copy()
    points[:, :2] += np.array(at) - points[LEFT_EYE.outer, :2]
    patch = cut(PICTURE.image, frame_of(points, LEFT_EYE))
    assert patch.shape == (HEIGHT, WIDTH, 3)
    assert patch.dtype == np.uint8


def test_normalising_removes_exposure_and_white_balance() -> None:
    rng = np.random.default_rng(0)
    patch = rng.integers(40, 120, (1, HEIGHT, WIDTH, 3)).astype(np.uint8)
    brighter = (patch * 2 + np.array([3, 7, 1])).astype(np.uint8)
    assert np.abs(normalise(patch) - normalise(brighter)).max() < 0.2
    assert np.isfinite(normalise(np.zeros_like(patch))).all()

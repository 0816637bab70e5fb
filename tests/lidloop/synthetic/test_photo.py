"""Drawn snapshots: reproducible, their points where annotators of photographs put them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, outer_canthal_distance
from lidloop.synthetic import draw_picture
from lidloop.synthetic.geometry import Expression, Identity, build
from lidloop.synthetic.negatives import bystanders
from lidloop.synthetic.photo import (
    cast_shadows,
    develop,
    photo_expression,
    photo_identity,
    photo_options,
)


def test_a_seed_gives_the_same_snapshot() -> None:
    first, second = (draw_picture(seed=5, size=(160, 160), options=photo_options()) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert [f.to_json() for f in first.faces] == [f.to_json() for f in second.faces]


def test_the_plain_style_is_not_the_photo_style() -> None:
    options = photo_options()
    plain = draw_picture(seed=5, size=(160, 160), options=replace(options, style="plain"))
    assert plain.image.tobytes() != draw_picture(seed=5, size=(160, 160), options=options).image.tobytes()


def test_negatives_show_nobody() -> None:
    for seed in range(3):
        picture = draw_picture(seed=seed, size=(120, 120), options=photo_options(negatives=True))
        assert picture.faces == []
        assert picture.image.std() > 3


def test_snapshots_have_the_proportions_of_the_published_mean_shape() -> None:
    rng = np.random.default_rng(0)
    shapes = []
    for _ in range(300):
        expression = photo_expression(rng, Expression())
        points = build(photo_identity(rng, expression), expression).points
        shapes.append(points / outer_canthal_distance(points) * 90)
    mean = np.mean(shapes, axis=0)
    assert mean[RIGHT_EYE.inner, 0] - mean[LEFT_EYE.inner, 0] == pytest.approx(38, abs=1.5)
    assert mean[9, 0] - mean[0, 0] == pytest.approx(119.6, abs=4)
    assert mean[5, 0] - mean[4, 0] == pytest.approx(23.6, abs=3)
    assert mean[37, 0] - mean[31, 0] == pytest.approx(57.6, abs=3)


@pytest.mark.parametrize(
    ("field", "value", "moved"),
    [
        pytest.param("brow_outer", 5.0, [0, 1, 2, 3, 6, 7, 8, 9], id="outer ends of the brows"),
        pytest.param("brow_slope", 4.0, [0, 1, 3, 4, 5, 6, 8, 9], id="slope of the brows"),
        pytest.param("corner_gap", 1.0, [31, 37], id="outer corners of the mouth"),
        pytest.param("canthi", (2.0, 1.0), [19, 22, 25, 28], id="canthi"),
    ],
)
def test_an_identity_moves_only_its_own_points(field: str, value: object, moved: list[int]) -> None:
    before = build(Identity(), Expression()).points
    after = build(replace(Identity(), **{field: value}), Expression()).points
    assert set(np.flatnonzero(np.abs(after - before).max(axis=1) > 0.05)) == set(moved) | (
        {2, 7} & set(np.flatnonzero(np.abs(after - before).max(axis=1) > 0.05).tolist())
    )


def test_teeth_open_the_lips_and_leave_the_corners() -> None:
    closed, grin = build(Identity(), Expression()).points, build(Identity(), Expression(teeth=6.0)).points
    gap = grin[[48, 49, 50], 1] - grin[[46, 45, 44], 1]
    assert (gap > closed[[48, 49, 50], 1] - closed[[46, 45, 44], 1] + 5).all()
    np.testing.assert_array_equal(grin[[31, 37]], closed[[31, 37]])


def test_bystanders_shadows_and_cameras_change_pictures_within_range() -> None:
    rng = np.random.default_rng(3)
    image = np.full((90, 120, 3), 128, np.uint8)
    before = image.copy()
    for _ in range(12):
        bystanders(image, rng)
        taken = develop(image, rng)
        assert taken.shape == image.shape
        assert taken.dtype == np.uint8
    assert (image != before).any()
    light = np.ones((60, 60), np.float32)
    cast_shadows(light, rng, 3, 1.0)
    assert 0 < light.min() < 1
    assert light.max() <= 1

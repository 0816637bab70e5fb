"""Measurements of drawn faces, against what is known about them."""

from __future__ import annotations

import pytest

from lidloop.ptosis import LENGTHS, SIDES, measure_face
from lidloop.synthetic import draw_face


@pytest.mark.parametrize("mirrored", [False, True])
def test_sides_are_the_patients(mirrored: bool) -> None:
    picture = draw_face(seed=3, ptosis=(0.7, 0.0))
    measured = measure_face(picture.image, picture.faces[0].face(), mirrored=mirrored)
    drooping, other = ("OS", "OD") if mirrored else ("OD", "OS")
    assert measured.eyes[drooping].lengths["pfh"].px < measured.eyes[other].lengths["pfh"].px


def test_every_length_is_measured_or_withheld_with_a_reason() -> None:
    picture = draw_face(seed=4)
    measured = measure_face(picture.image, picture.faces[0].face())
    for side in SIDES:
        eye = measured.eyes[side]
        assert set(eye.lengths) | set(eye.withheld) == set(LENGTHS)
        assert not set(eye.lengths) & set(eye.withheld)

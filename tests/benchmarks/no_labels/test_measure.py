"""Counts of right labels, and signs of quality without labels, on faces whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.no_labels import measure
from lidloop.labels import Face, LabelSet, box_of
from lidloop.synthetic import draw_face

CANTHAL = 100.0


def face(*, x: float = 0.0, wrong: float = 0.0, score: float = 0.9) -> Face:
    """A drawn face moved by x pixels, whose points are wrong by a share of the outer-canthal distance."""
    drawn = draw_face(seed=1, size=(400, 400), canthal_px=CANTHAL).faces[0]
    points = drawn.points.copy()
    points[:, 0] += x + wrong * CANTHAL
    return Face(box_of(drawn.points) + np.array([x, 0, x, 0]), points, 0, score)


def labels(**faces: list[Face]) -> LabelSet:
    return LabelSet.from_faces(faces)


def test_right_labels_are_counted() -> None:
    human = labels(a=[face()], b=[face()], c=[face()])
    grown = labels(
        a=[face(wrong=0.05)], b=[face(wrong=0.1), face(x=900.0)], c=[], elsewhere=[face()]
    )  # fmt: skip
    assert measure.right_labels(grown, human) == {"human": 3, "grown": 3, "matched": 2, "right": 1}


def test_signs_of_a_model_that_is_sure() -> None:
    found = labels(a=[face()], b=[face(wrong=0.02)])
    result = measure.signs(found, [found, found], found, labels(a=[face()], b=[face()]), score=0.5)
    assert result["again"] == 1.0
    assert result["disagreement"] == 0.0
    assert result["iterations"] == {"nme": 0.0, "again": 1.0}


def test_a_face_that_moves_when_the_picture_changes_is_told_from_others() -> None:
    found = labels(a=[face()], b=[face(wrong=0.15)], c=[face(wrong=0.01)])
    view = labels(a=[face()], b=[face(wrong=0.05)], c=[face(wrong=0.012)])
    human = labels(a=[face()], b=[face()], c=[face()])
    result = measure.signs(found, [view], None, human, score=0.5)
    assert result["auc"] == 1.0
    assert result["rank_correlation"] == pytest.approx(1.0)
    assert result["iterations"] is None


def test_faces_that_are_lost_in_a_view_or_since_the_iteration_before_count() -> None:
    found = labels(a=[face()], b=[face()])
    earlier = labels(a=[face()], b=[face(), face(x=500.0)])
    result = measure.signs(found, [labels(a=[face()], b=[])], earlier, found, score=0.5)
    assert result["again"] == 0.5
    assert result["iterations"]["again"] == pytest.approx(2 / 3)


def test_nothing_is_said_of_no_face() -> None:
    nothing = labels(a=[])
    result = measure.signs(nothing, [nothing], None, labels(a=[face()]), score=0.5)
    assert {k: result[k] for k in ("again", "disagreement", "rank_correlation", "auc")} == dict.fromkeys(
        ("again", "disagreement", "rank_correlation", "auc")
    )


def test_labels_of_two_datasets_meet_under_the_digest_of_the_picture() -> None:
    first, second = labels(p1=[face()]), labels(q7=[face(), face(x=500.0)])
    one = measure.by_digest(first, {"p1": "same"})
    other = measure.by_digest(second, {"q7": "same"})
    assert measure.right_labels(other, one) == {"human": 1, "grown": 2, "matched": 1, "right": 1}

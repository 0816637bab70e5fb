"""Label sets and box geometry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lidloop.labels import HUMAN, Face, LabelSet, box_iou, box_of, concat


def _face(x: float, *, origin: int = HUMAN, score: float = 1.0) -> Face:
    points = np.full((51, 3), 2.0)
    points[:, 0] = np.linspace(x, x + 50, 51)
    points[:, 1] = np.linspace(10, 40, 51)
    return Face(box_of(points), points, origin, score)


def test_box_is_the_bounds_of_visible_points() -> None:
    face = _face(5)
    points = face.points.copy()
    points[0] = (-100, -100, 0)
    points[50] = (70, 45, 1)
    assert face.box.tolist() == [5, 10, 55, 40]
    assert box_of(points) == pytest.approx([6, 10.6, 70, 45])


def test_box_of_a_face_without_visible_points_is_nan() -> None:
    points = np.zeros((2, 51, 3))
    points[1] = _face(0).points
    boxes = box_of(points)
    assert np.isnan(boxes[0]).all()
    assert np.isfinite(boxes[1]).all()


@pytest.mark.parametrize(
    ("a", "b", "expected", "reason"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0, "the same box"),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3, "half of each"),
        ((0, 0, 10, 10), (0, 0, 5, 5), 0.25, "one inside the other"),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0, "they touch"),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0.0, "apart in both directions"),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0, "both empty"),
        ((10, 10, 0, 0), (0, 0, 10, 10), 0.0, "corners the wrong way round"),
    ],
)
def test_box_iou(a: tuple[float, ...], b: tuple[float, ...], expected: float, reason: str) -> None:
    pair = np.array([a], dtype=float), np.array([b], dtype=float)
    assert box_iou(*pair)[0, 0] == pytest.approx(expected), reason
    assert box_iou(*pair[::-1])[0, 0] == pytest.approx(expected), reason


def test_box_iou_shapes() -> None:
    assert box_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
    assert box_iou(np.zeros((2, 4)), np.zeros((3, 4))).shape == (2, 3)


_boxes = npst.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(4)), elements=st.floats(-50, 50))


@given(_boxes, _boxes)
def test_box_iou_is_a_fraction_and_symmetric(a: np.ndarray, b: np.ndarray) -> None:
    iou = box_iou(a, b)
    assert (iou >= 0).all()
    assert (iou <= 1 + 1e-9).all()
    assert np.allclose(iou, box_iou(b, a).T)


def test_label_set_columns_of_different_lengths_are_rejected() -> None:
    with pytest.raises(ValueError, match="columns of a LabelSet"):
        LabelSet(
            ("a",), np.zeros(2, np.int64), np.zeros((1, 4)), np.zeros((2, 51, 3)), np.zeros(2), np.zeros(2)
        )


def test_from_faces_keeps_the_faces_of_each_picture() -> None:
    labels = LabelSet.from_faces({"b": [_face(1), _face(2, origin=3, score=0.5)], "a": []}, ["a", "b", "c"])
    assert labels.images == ("a", "b", "c")
    assert len(labels) == 2
    assert labels.of("a") == labels.of("c") == []
    first, second = labels.of("b")
    assert (first.origin, first.score, first.box[0]) == (HUMAN, 1.0, 1.0)
    assert (second.origin, second.score, second.box[0]) == (3, 0.5, 2.0)


def test_select_and_reindex_keep_rows_with_their_pictures() -> None:
    labels = LabelSet.from_faces({"a": [_face(1)], "b": [_face(2)], "c": [_face(3)]})
    assert [f.box[0] for f in labels.select(np.array([True, False, True])).of("c")] == [3.0]
    swapped = labels.reindex(["c", "x", "a"])
    assert swapped.images == ("c", "x", "a")
    assert len(swapped) == 2
    assert swapped.of("c")[0].box[0] == 3.0
    assert swapped.of("a")[0].box[0] == 1.0
    empty = LabelSet.from_faces({}).reindex(["a"])
    assert len(empty) == 0
    assert empty.of("a") == []


def test_concat_merges_faces_of_the_same_picture() -> None:
    joined = concat([LabelSet.from_faces({"a": [_face(1)]}), LabelSet.from_faces({"b": [], "a": [_face(2)]})])
    assert joined.images == ("a", "b")
    assert [f.box[0] for f in joined.of("a")] == [1.0, 2.0]
    with pytest.raises(ValueError, match="at least one"):
        concat([])

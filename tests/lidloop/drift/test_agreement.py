from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.drift.agreement import agreement, agreements, same_faces
from lidloop.evaluation.metrics import normalised_mean_error
from lidloop.labels import HUMAN, LabelSet, concat
from lidloop.landmarks import outer_canthal_distance
from tests.lidloop.drift.people import people, seen
from tests.properties import examples

LABELS = people(60, seed=3)


def test_faces_are_found_again_in_any_order() -> None:
    found = seen(LABELS, noise=1, seed=0).select(np.random.default_rng(1).permutation(60))
    label, prediction = same_faces(LABELS, found)
    assert sorted(label.tolist()) == list(range(60))
    assert [LABELS.images[LABELS.image[k]] for k in label] == [
        found.images[found.image[k]] for k in prediction
    ]


def test_equal_scores_are_paired_the_same_in_any_order() -> None:
    found = concat([seen(LABELS, noise=1, seed=0), seen(LABELS, noise=6, seed=1)])
    found = LabelSet(found.images, found.image, found.boxes, found.points, found.origin, np.full(120, 0.9))
    one = agreements(LABELS, found)
    assert agreements(LABELS, found.select(np.arange(120)[::-1])) == one


def test_what_is_no_pair() -> None:
    sure = seen(LABELS, noise=1, seed=0)
    doubtful = LabelSet(sure.images, sure.image, sure.boxes, sure.points, sure.origin, np.full(60, 0.2))
    assert len(same_faces(LABELS, doubtful)[0]) == 0, "a score under 0.25"
    far = seen(LABELS, noise=1, seed=0, shift=(300, 0))
    assert len(same_faces(LABELS, far)[0]) == 0, "elsewhere in the picture"
    strangers = seen(people(5, seed=3, prefix="q"), noise=1, seed=0)
    label, prediction = same_faces(LABELS, concat([strangers, sure]))
    assert sorted(prediction.tolist()) == list(range(5, 65)), "other pictures are passed over"
    assert len(label) == 60
    assert len(same_faces(LABELS, sure.select(np.zeros(60, dtype=bool)))[0]) == 0


def test_a_shift_is_offset_and_noise_is_not() -> None:
    canthal = outer_canthal_distance(LABELS.points)
    noisy = agreement("0", LABELS.points, seen(LABELS, noise=3, seed=1).points)
    shifted = agreement("0", LABELS.points, seen(LABELS, noise=3, seed=1, shift=(3, -4)).points)
    assert noisy.offset is not None
    assert shifted.offset is not None
    assert noisy.offset < 0.005 < 0.03 < noisy.nme
    assert shifted.offset == pytest.approx(float((5 / canthal).mean()), rel=0.05)


@examples(30)
@given(st.integers(2, 60), st.floats(0, 10), st.floats(-20, 20), st.floats(-20, 20))
def test_the_offset_is_never_above_the_root_mean_square_error(
    n: int, noise: float, x: float, y: float
) -> None:
    labels, other = LABELS.points[:n], seen(LABELS, noise=noise, seed=2, shift=(x, y)).points[:n]
    found = agreement("0", labels, other)
    scale = outer_canthal_distance(labels)
    square = ((other - labels)[..., :2] ** 2).sum(axis=-1) / scale[:, None] ** 2
    assert found.faces == n
    assert 0 <= found.offset <= np.sqrt(square.mean()) + 1e-9
    assert found.nme == pytest.approx(normalised_mean_error(other, labels).mean())


def test_points_that_are_not_seen_do_not_count() -> None:
    labels = LABELS.points.copy()
    other = labels.copy()
    other[:, 0, :2] += 50
    labels[:, 0, 2] = 0
    assert agreement("0", labels, other).offset == pytest.approx(0, abs=1e-9)
    labels[:, 19, 2] = 0  # an outer canthus: no scale
    found = agreement("0", labels, other)
    assert (found.faces, found.nme, found.offset) == (0, None, None)


def test_by_origin_people_first() -> None:
    origin = np.r_[np.full(20, HUMAN), np.full(25, 1), np.full(15, 0)]
    labels = LabelSet(LABELS.images, LABELS.image, LABELS.boxes, LABELS.points, origin, LABELS.score)
    found = agreements(labels, seen(LABELS, noise=1, seed=0).select(np.arange(50)))
    assert [(a.origin, a.faces) for a in found] == [("human", 20), ("0", 5), ("1", 25)]

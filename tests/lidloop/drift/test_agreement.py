from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.drift.agreement import agreement, agreements, same_faces
from lidloop.evaluation.metrics import normalised_mean_error
from lidloop.labels import HUMAN, LabelSet, concat
from lidloop.landmarks import outer_canthal_distance
from tests.lidloop.drift.synthetic_faces import simulate, synthetic_faces
from tests.properties import examples

LABELS = synthetic_faces(60, seed=3)


def test_same_faces_are_matched_in_any_order() -> None:
    found = simulate(LABELS, noise=1, seed=0).select(np.random.default_rng(1).permutation(60))
    label, prediction = same_faces(LABELS, found)
    assert sorted(label.tolist()) == list(range(60))
    assert [LABELS.images[LABELS.image[k]] for k in label] == [
        found.images[found.image[k]] for k in prediction
    ]


def test_equal_scores_give_the_same_pairs_in_any_order() -> None:
    found = concat([simulate(LABELS, noise=1, seed=0), simulate(LABELS, noise=6, seed=1)])
    found = LabelSet(found.images, found.image, found.boxes, found.points, found.origin, np.full(120, 0.9))
    one = agreements(LABELS, found)
    assert agreements(LABELS, found.select(np.arange(120)[::-1])) == one


def test_low_scores_distant_boxes_and_other_pictures_are_not_matched() -> None:
    good = simulate(LABELS, noise=1, seed=0)
    low = LabelSet(good.images, good.image, good.boxes, good.points, good.origin, np.full(60, 0.2))
    assert len(same_faces(LABELS, low)[0]) == 0, "a score under 0.25"
    far = simulate(LABELS, noise=1, seed=0, shift=(300, 0))
    assert len(same_faces(LABELS, far)[0]) == 0, "elsewhere in the picture"
    other_pictures = simulate(synthetic_faces(5, seed=3, prefix="q"), noise=1, seed=0)
    label, prediction = same_faces(LABELS, concat([other_pictures, good]))
    assert sorted(prediction.tolist()) == list(range(5, 65)), "other pictures are ignored"
    assert len(label) == 60
    assert len(same_faces(LABELS, good.select(np.zeros(60, dtype=bool)))[0]) == 0


def test_offset_measures_a_shift_but_not_noise() -> None:
    canthal = outer_canthal_distance(LABELS.points)
    noisy = agreement("0", LABELS.points, simulate(LABELS, noise=3, seed=1).points)
    shifted = agreement("0", LABELS.points, simulate(LABELS, noise=3, seed=1, shift=(3, -4)).points)
    assert noisy.offset is not None
    assert shifted.offset is not None
    assert noisy.offset < 0.005 < 0.03 < noisy.nme
    assert shifted.offset == pytest.approx(float((5 / canthal).mean()), rel=0.05)


@examples(30)
@given(st.integers(2, 60), st.floats(0, 10), st.floats(-20, 20), st.floats(-20, 20))
def test_offset_is_at_most_the_root_mean_square_error(n: int, noise: float, x: float, y: float) -> None:
    labels, other = (
        LABELS.points[:n],
        simulate(LABELS, noise=noise, seed=2, shift=(x, y)).points[:n],
    )
    found = agreement("0", labels, other)
    scale = outer_canthal_distance(labels)
    square = ((other - labels)[..., :2] ** 2).sum(axis=-1) / scale[:, None] ** 2
    assert found.faces == n
    assert 0 <= found.offset <= np.sqrt(square.mean()) + 1e-9
    assert found.nme == pytest.approx(normalised_mean_error(other, labels).mean())


def test_invisible_points_are_ignored() -> None:
    labels = LABELS.points.copy()
    other = labels.copy()
    other[:, 0, :2] += 50
    labels[:, 0, 2] = 0
    assert agreement("0", labels, other).offset == pytest.approx(0, abs=1e-9)
    labels[:, 19, 2] = 0  # an outer canthus: no scale
    found = agreement("0", labels, other)
    assert (found.faces, found.nme, found.offset) == (0, None, None)


def test_agreements_are_by_origin_with_human_labels_first() -> None:
    origin = np.r_[np.full(20, HUMAN), np.full(25, 1), np.full(15, 0)]
    labels = LabelSet(LABELS.images, LABELS.image, LABELS.boxes, LABELS.points, origin, LABELS.score)
    found = agreements(labels, simulate(LABELS, noise=1, seed=0).select(np.arange(50)))
    assert [(a.origin, a.faces) for a in found] == [("human", 20), ("0", 5), ("1", 25)]

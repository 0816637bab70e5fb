"""Signals, and the order that they give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.drift.faces import people
from lidloop.data.ledgers import read_ledgers
from lidloop.labels import LabelSet, box_of
from lidloop.landmarks import FLIP
from lidloop.review import signals
from lidloop.review.queue import Evidence, make_queue, of_dropped
from lidloop.review.shapes import completed, fit_reference, sides_are_swapped
from lidloop.review.shares import PRIOR, expected_shares, merged
from lidloop.review.views import SCALE, mirrored, smaller, unmirrored, unscaled
from tests.lidloop.review.conftest import Run


@pytest.fixture(scope="module")
def faces() -> LabelSet:
    return people(150, seed=5)


def changed(faces: LabelSet, row: int, points: np.ndarray) -> LabelSet:
    every = faces.points.copy()
    every[row] = points
    return replace(faces, points=every, boxes=box_of(every))


def sizes(faces: LabelSet) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(faces.images, (480, 360))


@pytest.mark.parametrize("kind", ["moved", "sides", "shape"])
def test_a_wrong_label_stands_out_in_the_signal_for_its_kind(faces: LabelSet, kind: str) -> None:
    points = faces.points[7].copy()
    if kind == "moved":
        points[:, :2] += 30
    elif kind == "sides":
        points = points[list(FLIP)]
    else:
        points[:, :2] += np.random.default_rng(0).normal(0, 8, (51, 2))
    wrong = changed(faces, 7, points)
    found = signals.of_labels(
        wrong, wrong, sizes(faces), predictions=[faces], shape=fit_reference(wrong.points)
    )  # fmt: skip
    name = {"moved": "disagreement", "sides": "unusual", "shape": "residual"}[kind]
    assert int(np.nanargmax(found[name])) == 7
    assert np.isnan(found["views"]).all()


def test_swapped_sides_are_seen_in_any_rotation(faces: LabelSet) -> None:
    for degrees in (0, 80, 170, 260):
        turn = np.exp(1j * np.radians(degrees))
        plane = (faces.points[..., 0] + 1j * faces.points[..., 1]) * turn
        turned = np.stack([plane.real, plane.imag, faces.points[..., 2]], axis=-1)
        assert not sides_are_swapped(turned).any()
        assert sides_are_swapped(turned[:, list(FLIP)]).all()


def test_a_shape_with_hidden_points_is_judged_by_the_others(faces: LabelSet) -> None:
    reference = fit_reference(faces.points)
    assert reference is not None
    part = faces.points[:5].copy()
    part[:, 31:37, 2] = 0
    whole, unusual = reference.distances(part)
    assert np.isfinite(whole).all()
    assert np.isfinite(unusual).all()
    filled = completed(part, reference.shape.mean)
    size = np.sqrt((faces.boxes[:5, 2:] - faces.boxes[:5, :2]).prod(axis=1))
    off = np.linalg.norm(filled[:, 31:37, :2] - faces.points[:5, 31:37, :2], axis=-1).mean(axis=1)
    assert (off / size < 0.2).all()
    part[:, 15:, 2] = 0
    assert np.isnan(reference.distances(part)[0]).all()


def test_a_face_that_the_model_misses_is_suspicious_where_another_prediction_has_no_label() -> None:
    faces = people(3, seed=2)
    elsewhere = faces.points[0] + [200.0, 0, 0]
    predictions = changed(faces, 0, elsewhere).select(np.array([0, 1]))
    found = signals.disagreement(faces, predictions)
    assert found.tolist() == [signals.MISPLACED, 0.0, signals.NOT_FOUND]


@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=20),
    shift=st.floats(-100, 100), scale=st.floats(0.1, 10),
)  # fmt: skip
def test_robust_deviations_do_not_depend_on_place_and_unit(
    values: list[float], shift: float, scale: float
) -> None:
    array = np.array(values)
    plain = signals.robust_z(array, array)
    assert np.isfinite(plain).tolist() == np.isfinite(array).tolist()
    if np.nanmax(array, initial=-np.inf) - np.nanmin(array, initial=np.inf) > 1:
        moved = array * scale + shift
        np.testing.assert_allclose(plain, signals.robust_z(moved, moved), rtol=1e-3, atol=1e-3)


def test_the_queue_holds_grown_and_dropped_faces_and_human_ones_when_asked(run: Run) -> None:
    evidence = Evidence(
        {r.id: (r.width, r.height) for r in run.dataset.records}, read_ledgers(run.labels), [run.predictions]
    )
    queue = make_queue(run.faces, evidence)
    every = make_queue(run.faces, evidence, human=True)
    assert {e.kind for e in queue} == {"grown", "dropped"}
    assert {e.kind for e in every} == {"human", "grown", "dropped"}
    assert len(every) == len(run.faces)
    assert [e.suspicion for e in every] == sorted((e.suspicion for e in every), reverse=True)
    assert all(e.line >= 0 or e.why == "below-confidence" for e in every)
    assert all(np.isfinite(list(e.signals.values())).all() for e in every)
    assert [e.face for e in queue] == [e.face for e in every if e.kind != "human"]


def test_more_of_a_kind_with_more_wrong_faces_is_at_the_front() -> None:
    kinds = np.array(["grown"] * 4 + ["dropped"] * 4)
    evidence = np.array([9.0, 7.0, 8.0, 6.0, 0.1, 0.4, 0.3, 0.2])
    even = np.argsort(-merged(evidence, kinds, {"grown": 0.1, "dropped": 0.1})).tolist()
    assert {*even[:4]} == {0, 2, 5, 6}
    more = np.argsort(-merged(evidence, kinds, {"grown": 0.4, "dropped": 0.1})).tolist()
    assert {*more[:4]} == {0, 1, 2, 3} - {3} | {5}


def test_errors_of_the_model_at_human_labels_are_expected_of_grown_ones() -> None:
    origin = np.array([-1] * 100 + [0] * 10)
    distance = np.concatenate([np.linspace(0.02, 0.04, 80), np.full(20, 0.07), np.full(10, 0.01)])
    found = {"disagreement": distance}
    shares = expected_shares(origin, found, np.zeros(0))
    assert shares["grown"] == pytest.approx((20 + 1) / (100 + 20))
    assert shares["human"] < shares["grown"]
    assert shares["dropped"] == PRIOR
    nothing = expected_shares(origin, {"disagreement": np.full(110, np.nan)}, np.zeros(0))
    assert set(nothing.values()) == {PRIOR}


def test_a_dropped_face_counts_more_the_surer_and_freer_it_is() -> None:
    found = {
        "confidence": np.array([0.4, 0.6, 0.4, 0.4]), "overlap": np.array([0.0, 0.0, 0.4, 0.0]),
        "residual": np.array([1.0, 1.0, 1.0, 9.0]),
    }  # fmt: skip
    labels = {"residual": np.array([0.9, 1.0, 1.1])}
    value = of_dropped(found, labels, np.array([1, 1, 1, 1]))
    assert int(value.argmax()) == 0
    assert of_dropped(found, labels, np.array([3, 1, 1, 1]))[0] > value[0]


def test_ids_of_labels_stay_in_the_next_version(run: Run) -> None:
    from lidloop.review.faces import read_faces_to_review

    first = read_faces_to_review(run.dataset, run.first)
    assert set(first.ids) <= set(run.faces.ids)
    assert len(set(run.faces.ids)) == len(run.faces)


def test_faces_of_changed_pictures_come_back_to_the_picture(run: Run) -> None:
    record = run.dataset.records[0]
    face = next(iter(run.faces.all.of(run.image(0))))
    image = np.zeros((record.height, record.width, 3), dtype=np.uint8)
    assert smaller(image).shape == mirrored(image).shape == image.shape
    twice = unmirrored(unmirrored(face, record.width), record.width)
    np.testing.assert_allclose(twice.points, face.points)
    small = replace(face, points=face.points * [SCALE, SCALE, 1], box=face.box * SCALE)
    back = unscaled(small, record.width, record.height)
    assert np.abs(back.points - face.points).max() < 0.5


def test_the_nearest_prediction_of_later_iterations_counts(run: Run) -> None:
    found = signals.iterations(run.faces.all, read_ledgers(run.labels))
    human = run.faces.is_label & (run.faces.all.origin == -1)
    assert np.isnan(found[~human]).all()
    assert np.nanmax(found[human]) < 0.5

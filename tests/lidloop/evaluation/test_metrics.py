from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lidloop.evaluation import metrics
from lidloop.labels import LabelSet, box_iou
from lidloop.landmarks import FLIP, LEFT_EYE, N_POINTS, RIGHT_EYE
from tests.properties import examples


def face(*, canthal: float = 100.0, lid: float = 10.0) -> np.ndarray:
    """(1, 51, 3) points on a grid, outer canthi ``canthal`` apart, lids ``lid`` open in both eyes."""
    points = np.zeros((1, N_POINTS, 3))
    points[0, :, 0] = np.arange(N_POINTS) % 10 * 10.0
    points[0, :, 1] = np.arange(N_POINTS) // 10 * 20.0
    points[0, :, 2] = 2
    points[0, LEFT_EYE.outer, :2] = 0, 50
    points[0, RIGHT_EYE.outer, :2] = canthal, 50
    for eye in (LEFT_EYE, RIGHT_EYE):
        for x, (upper, lower) in zip((30, 40), eye.lid_pairs, strict=True):
            points[0, upper, :2] = x, 45
            points[0, lower, :2] = x, 45 + lid
    return points


def moved(points: np.ndarray, dx: float, dy: float) -> np.ndarray:
    return points + np.array([dx, dy, 0.0])


def labels(*, image: list[int], x: list[float], score: list[float]) -> LabelSet:
    """Rows with boxes that begin at ``x`` and points at the origin."""
    n = len(image)
    boxes = np.array([[k, 0, k + 10, 10] for k in x], dtype=np.float64)
    points = np.zeros((n, N_POINTS, 3))
    return LabelSet(("a", "b"), np.array(image), boxes, points, np.full(n, -1), np.array(score))


class TestRows:
    def test_order_is_by_falling_score_then_image_then_coordinates(self) -> None:
        rows = labels(image=[1, 0, 1, 0, 0], x=[0, 5, 0, 5, 3], score=[0.5, 0.5, 0.9, 0.5, 0.5])
        rows.points[1, 50, 1] = 1
        assert metrics.order_by_score(rows).tolist() == [2, 4, 3, 1, 0]

    def test_truths_are_ordered_by_image_then_coordinates_not_by_score(self) -> None:
        rows = labels(image=[1, 0, 0, 0], x=[0, 5, 5, 3], score=[1, 0.5, 1, 0.9])
        rows.points[1, 50, 1] = 1
        assert metrics.truth_order(rows).tolist() == [3, 2, 1, 0]

    def test_rank_counts_within_a_picture(self) -> None:
        assert metrics.rank_in_image(np.array([3, 1, 3, 3, 1])).tolist() == [0, 0, 1, 2, 1]

    @given(st.lists(st.integers(0, 4), max_size=12), st.lists(st.integers(0, 4), max_size=12))
    def test_pairs_are_exactly_those_in_the_same_picture(self, a: list[int], b: list[int]) -> None:
        order = np.argsort(np.array(b, dtype=np.int64), kind="stable")
        rows, columns = metrics.pairs_in_image(
            np.array(a, dtype=np.int64), np.array(b, dtype=np.int64), order
        )
        expected = [(i, j) for i, x in enumerate(a) for j, y in enumerate(b) if x == y]
        assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@given(hnp.arrays(np.float64, (6, 4), elements=st.integers(0, 20).map(float)))
def test_paired_iou_is_the_diagonal_of_the_matrix(boxes: np.ndarray) -> None:
    other = boxes[::-1]
    np.testing.assert_allclose(metrics.paired_iou(boxes, other), np.diag(box_iou(boxes, other)))


class TestOks:
    BOX = np.array([[0.0, 0.0, 100.0, 100.0]])

    def test_oks_of_a_shift_equals_the_formula(self) -> None:
        truth = face()
        got = metrics.paired_oks(moved(truth, 3, 4), truth, self.BOX, sigma=0.05)
        # d² = 25, A = 0.53 * 10,000, (2σ)² = 0.01
        assert got[0] == pytest.approx(math.exp(-25 / (2 * 0.01 * 5300)))

    def test_invisible_points_are_ignored(self) -> None:
        truth = face()
        truth[0, :25] = 0
        predicted = moved(truth, 3, 4)
        predicted[0, :25, :2] = 9999
        got = metrics.paired_oks(predicted, truth, self.BOX, sigma=0.05)
        assert got[0] == pytest.approx(math.exp(-25 / 106))

    @pytest.mark.parametrize(
        ("x", "expected"),
        [
            pytest.param(-100.0, 1.0, id="on the rim of the doubled box, distance 0"),
            pytest.param(200.0, 1.0, id="on its other rim"),
            pytest.param(-105.0, math.exp(-25 / 106), id="5 px outside it"),
        ],
    )
    def test_a_truth_without_a_visible_point_is_compared_with_its_box(
        self, x: float, expected: float
    ) -> None:
        predicted = np.full((1, N_POINTS, 3), 50.0)
        predicted[..., 0] = x
        got = metrics.paired_oks(predicted, np.zeros((1, N_POINTS, 3)), self.BOX, sigma=0.05)
        assert got[0] == pytest.approx(expected)

    def test_oks_does_not_depend_on_the_chunk_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(0)
        truth = np.concatenate([rng.uniform(0, 100, (5, N_POINTS, 2)), np.full((5, N_POINTS, 1), 2.0)], -1)
        predicted = moved(truth, 1, 2)
        boxes = np.tile(self.BOX, (5, 1))
        rows, columns = np.arange(5).repeat(5), np.tile(np.arange(5), 5)
        whole = metrics.pairs_oks(predicted, truth, boxes, rows, columns, sigma=0.3)
        monkeypatch.setattr(metrics, "_CHUNK", 3)
        parts = metrics.pairs_oks(predicted, truth, boxes, rows, columns, sigma=0.3)
        np.testing.assert_array_equal(whole, parts)
        assert len(set(whole.round(9))) > 5


def match(values: dict[tuple[int, int], float], ranks: list[int], ignored: list[bool]) -> list[int]:
    """Matches at the lowest threshold."""
    pairs = sorted(values)
    rows = np.array([r for r, _ in pairs], dtype=np.int64)
    columns = np.array([c for _, c in pairs], dtype=np.int64)
    value = np.array([values[pair] for pair in pairs])
    found = metrics.greedy_match(
        rows, columns, value, rank=np.array(ranks, dtype=np.int64), ignored=np.array(ignored, dtype=bool)
    )
    return found[:, 0].tolist()


class TestGreedyMatch:
    @pytest.mark.parametrize(
        ("values", "ranks", "ignored", "expected"),
        [
            pytest.param({}, [], [], [], id="nothing at all"),
            pytest.param({(0, 0): 0.49}, [0], [False], [-1], id="under the threshold"),
            pytest.param({(0, 0): 0.5}, [0], [False], [0], id="on the threshold counts"),
            pytest.param({(0, 0): 0.6, (0, 1): 0.7}, [0], [False] * 2, [1], id="the most similar is taken"),
            pytest.param({(0, 0): 0.7, (0, 1): 0.7}, [0], [False] * 2, [1], id="of equals the last, as COCO"),
            pytest.param(
                {(0, 0): 0.6, (1, 0): 0.9}, [0, 1], [False], [0, -1],
                id="the better score chooses first, however similar the next is",
            ),
            pytest.param(
                {(0, 0): 0.6, (1, 0): 0.9}, [1, 0], [False], [-1, 0],
                id="rank decides, not row order",
            ),
            pytest.param(
                {(0, 0): 0.8, (0, 1): 0.7, (1, 0): 0.9, (1, 1): 0.6}, [0, 1], [False] * 2, [0, 1],
                id="the second takes what is left",
            ),
            pytest.param(
                {(0, 0): 0.9, (0, 1): 0.6}, [0], [True, False], [1],
                id="a real truth goes before an ignored one",
            ),
            pytest.param(
                {(0, 0): 0.9, (0, 1): 0.6, (1, 0): 0.9, (1, 1): 0.6}, [0, 1], [True, False], [1, 0],
                id="an ignored one is taken when nothing else is left",
            ),
            pytest.param(
                {(0, 0): 0.9, (1, 0): 0.9}, [0, 1], [True], [0, -1], id="an ignored one is taken once"
            ),
        ],
    )  # fmt: skip
    def test_by_hand(
        self,
        values: dict[tuple[int, int], float],
        ranks: list[int],
        ignored: list[bool],
        expected: list[int],
    ) -> None:
        assert match(values, ranks, ignored) == expected

    def test_thresholds_are_independent(self) -> None:
        found = metrics.greedy_match(
            np.array([0, 1]), np.array([0, 0]), np.array([0.62, 0.9]),
            rank=np.array([0, 1]), ignored=np.array([False]),
        )  # fmt: skip
        # 0.50, 0.55, 0.60: the first prediction takes it; from 0.65 to 0.90 only the second reaches it.
        assert found[:, :].tolist() == [[0, 0, 0] + [-1] * 7, [-1, -1, -1] + [0] * 6 + [-1]]


class TestAveragePrecision:
    @pytest.mark.parametrize(
        ("hits", "n_truth", "expected"),
        [
            pytest.param([], 0, None, id="nothing to find: not defined"),
            pytest.param([0, 0], 0, None, id="nothing to find, something predicted: not defined"),
            pytest.param([], 3, 0.0, id="nothing predicted"),
            pytest.param([1, 1], 2, 1.0, id="all right"),
            pytest.param([1], 2, 51 / 101, id="half found: recall levels 0 to 0.50"),
            pytest.param([1, 0], 1, 1.0, id="an extra of lower score costs nothing"),
            pytest.param([0, 1], 1, 0.5, id="an extra of higher score halves it"),
            pytest.param([1, 0, 1], 2, (51 + 50 * 2 / 3) / 101, id="precision 1 to recall 0.5, then 2/3"),
        ],
    )
    def test_by_hand(self, hits: list[int], n_truth: int, expected: float | None) -> None:
        got = metrics.average_precision(np.array(hits, dtype=bool).reshape(-1, 1), n_truth)
        if expected is None:
            assert got is None
        else:
            assert got is not None
            assert got[0] == pytest.approx(expected)

    @given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=15), st.integers(15, 20))
    def test_predictions_that_are_not_judged_are_ignored(
        self, rows: list[tuple[bool, bool]], n_truth: int
    ) -> None:
        hit = np.array([h for h, _ in rows], dtype=bool).reshape(-1, 1)
        judged = np.array([j for _, j in rows], dtype=bool).reshape(-1, 1)
        got = metrics.average_precision(hit, n_truth, judged=judged)
        expected = metrics.average_precision(hit[judged[:, 0]], n_truth)
        assert got is not None
        assert expected is not None
        assert got[0] == pytest.approx(expected[0])


class TestErrors:
    def test_nme_of_a_shift_is_its_length_over_the_outer_canthal_distance(self) -> None:
        truth = face(canthal=100)
        assert metrics.normalised_mean_error(moved(truth, 3, 4), truth)[0] == pytest.approx(0.05)

    def test_invisible_points_are_ignored_in_all_errors(self) -> None:
        truth = face()
        truth[0, 40:] = 0
        predicted = moved(truth, 3, 4)
        predicted[0, 40:, :2] = 1e6
        squares = metrics.point_square_errors(predicted, truth)[0]
        assert squares[:40].tolist() == pytest.approx([25.0] * 40)
        assert np.isnan(squares[40:]).all()
        assert metrics.normalised_mean_error(predicted, truth)[0] == pytest.approx(0.05)

    @pytest.mark.parametrize("index", [LEFT_EYE.outer, RIGHT_EYE.outer])
    def test_scale_is_nan_without_an_outer_canthus(self, index: int) -> None:
        truth = face()
        truth[0, index] = 0
        assert np.isnan(metrics.outer_canthal_scale(truth)).all()
        assert np.isnan(metrics.normalised_mean_error(truth, truth)).all()
        assert np.isnan(metrics.lid_opening_error(truth, truth, LEFT_EYE)).all()

    def test_scale_is_nan_if_both_canthi_have_the_same_position(self) -> None:
        assert np.isnan(metrics.outer_canthal_scale(face(canthal=0))).all()

    @pytest.mark.parametrize(
        ("lid", "expected"),
        [
            pytest.param(10.0, 0.0, id="as open"),
            pytest.param(13.0, 0.03, id="3 px wider of 100"),
            pytest.param(6.0, 0.04, id="4 px narrower, no sign"),
        ],
    )
    def test_lid_opening_error(self, lid: float, expected: float) -> None:
        # Moved as a whole besides: an opening does not depend on where the eye is.
        predicted = moved(face(lid=lid), 7, -3)
        for eye in (LEFT_EYE, RIGHT_EYE):
            assert metrics.lid_opening_error(predicted, face(lid=10), eye)[0] == pytest.approx(expected)

    def test_an_invisible_lid_affects_only_its_eye(self) -> None:
        truth = face()
        truth[0, LEFT_EYE.lid_pairs[1][0]] = 0
        assert np.isnan(metrics.lid_opening_error(face(lid=12), truth, LEFT_EYE)).all()
        assert metrics.lid_opening_error(face(lid=12), truth, RIGHT_EYE)[0] == pytest.approx(0.02)

    @examples(30)
    @given(hnp.arrays(np.float64, (2, N_POINTS, 2), elements=st.floats(1, 500)))
    def test_mirrored_faces_swap_the_lid_errors_and_keep_the_nme(self, xy: np.ndarray) -> None:
        points = np.concatenate([xy, np.full((2, N_POINTS, 1), 2.0)], axis=-1)
        truth, predicted = points[:1], points[1:]

        def mirror(p: np.ndarray) -> np.ndarray:
            return (p * (-1, 1, 1))[:, list(FLIP)]

        flipped = mirror(predicted), mirror(truth)
        np.testing.assert_allclose(
            metrics.normalised_mean_error(*flipped),
            metrics.normalised_mean_error(predicted, truth),
            rtol=1e-9,
        )
        np.testing.assert_allclose(
            metrics.lid_opening_error(*flipped, LEFT_EYE),
            metrics.lid_opening_error(predicted, truth, RIGHT_EYE),
            rtol=1e-9,
        )

    @pytest.mark.parametrize(
        ("errors", "expected"),
        [
            pytest.param([], None, id="no faces"),
            pytest.param([0.0, 0.0], 1.0, id="perfect"),
            pytest.param([0.04], 0.5, id="half the limit"),
            pytest.param([0.08, 0.5], 0.0, id="at the limit and beyond"),
            pytest.param([0.0, 0.02, 0.5], (1 + 0.75) / 3, id="mixed"),
        ],
    )
    def test_auc(self, errors: list[float], expected: float | None) -> None:
        assert metrics.cumulative_error_auc(np.array(errors), 0.08) == (
            None if expected is None else pytest.approx(expected)
        )

    @given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 0.2)))
    def test_auc_is_the_integral_of_the_curve(self, errors: np.ndarray) -> None:
        grid = np.linspace(0, 0.08, 8001)
        curve = np.searchsorted(np.sort(errors), grid, side="right") / len(errors)
        assert metrics.cumulative_error_auc(errors, 0.08) == pytest.approx(curve.mean(), abs=1e-3)

"""Statistics against SciPy, hand-worked cases and simulation."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from lidloop.drift import histogram, psi, psi_limit
from lidloop.drift.statistics import holm, js_distance, ks_of_counts, ks_test
from lidloop.errors import LidloopError

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(sum)


def test_psi_of_a_hand_worked_case() -> None:
    # Shares 0.5, 0.5 and 0.25, 0.75: -0.25 ln 0.5 + 0.25 ln 1.5.
    assert psi([10, 10], [5, 15]) == pytest.approx(0.25 * (np.log(2) + np.log(1.5)))
    # An empty bin counts as the least share: (0.0001 - 0.5) ln(0.0001 / 0.5) + (1 - 0.5) ln 2.
    assert psi([1, 1], [0, 1]) == pytest.approx(-0.4999 * np.log(0.0002) + 0.5 * np.log(2))
    assert np.isnan(psi([0, 0], [1, 2]))
    assert np.isnan(psi([1, 2], [0, 0]))


@given(COUNTS, st.integers(1, 50), st.randoms(use_true_random=False))
def test_psi_is_symmetric_and_zero_only_for_equal_shares(counts, times, random) -> None:
    assert psi(counts, [times * c for c in counts]) == pytest.approx(0, abs=1e-12)
    other = random.sample(counts, len(counts))
    assert psi(counts, other) >= 0
    assert psi(counts, other) == pytest.approx(psi(other, counts))


@pytest.mark.parametrize(
    ("reference", "current", "reason"),
    [([1, 2], [1, 2, 3], "different bins"), ([1, -2], [1, 2], "negative"), ([[1]], [[1]], "different bins")],
)
def test_psi_rejects_invalid_histograms(reference: list, current: list, reason: str) -> None:
    with pytest.raises(LidloopError, match=reason):
        psi(reference, current)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 1e-3, 1e-5])
@pytest.mark.parametrize("bins", [3, 10, 19])
def test_the_limit_of_psi_is_the_chi_square_quantile(bins: int, alpha: float) -> None:
    limit = psi_limit([40] * bins, [10] * bins, alpha=alpha)
    exact = stats.chi2.ppf(1 - alpha, bins - 1) * (1 / (40 * bins) + 1 / (10 * bins))
    assert limit == pytest.approx(exact, rel=0.08 if bins == 3 else 0.02)


def test_bins_empty_in_both_add_no_degree_of_freedom() -> None:
    assert psi_limit([5, 5, 0], [5, 5, 0], alpha=0.01) == psi_limit([5, 5], [5, 5], alpha=0.01)
    assert psi_limit([5, 0], [5, 0], alpha=0.01) == 0
    assert math.isnan(psi_limit([0, 0], [1, 1], alpha=0.01))


@pytest.mark.parametrize("alpha", [0, 1, -1])
def test_the_limit_needs_a_probability(alpha: float) -> None:
    with pytest.raises(LidloopError, match="alpha"):
        psi_limit([1, 2], [1, 2], alpha=alpha)


def test_samples_of_one_distribution_exceed_the_limit_with_probability_alpha() -> None:
    rng = np.random.default_rng(0)
    reference = [1000] * 10
    windows = rng.multinomial(500, [0.1] * 10, size=4000)
    over = [
        psi(reference, w) > psi_limit(reference, w.tolist(), alpha=0.05)
        for w in windows.tolist()
        for w in [np.array(w)]
    ]
    # The reference's own chance is in the limit, but this one is exact: the share is a little lower.
    assert 0.01 < np.mean(over) < 0.06


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param([1, 0], [0, 1], 1.0, id="nothing shared"),
        pytest.param([1, 1], [3, 3], 0.0, id="equal shares"),
        # m = (3/4, 1/4): half of log2(4/3), and half of (log2(2/3) + log2 2) / 2.
        pytest.param(
            [1, 0],
            [1, 1],
            math.sqrt(0.5 * math.log2(4 / 3) + 0.25 * (math.log2(2 / 3) + 1)),
            id="by hand",
        ),
    ],
)
def test_jensen_shannon(a: list[int], b: list[int], expected: float) -> None:
    assert js_distance(a, b) == pytest.approx(expected, abs=1e-7)
    assert js_distance(b, a) == pytest.approx(expected, abs=1e-7)


@given(COUNTS, st.randoms(use_true_random=False))
def test_jensen_shannon_equals_scipy_and_is_below_1(counts, random) -> None:
    other = random.sample(counts, len(counts))
    assert js_distance(counts, other) == pytest.approx(jensenshannon(counts, other, base=2), abs=1e-7)
    assert 0 <= js_distance(counts, other) <= 1 + 1e-9
    assert js_distance(counts, other) == pytest.approx(js_distance(other, counts))


def test_kolmogorov_smirnov_by_hand() -> None:
    # Steps of a at 1, 2, 3 and of b at 3, 4: at 2, two thirds of a and nothing of b.
    found = ks_test(np.array([1.0, 2, 3]), np.array([3.0, 4]))
    assert found.distance == pytest.approx(2 / 3)
    assert ks_test(np.array([1.0, 2]), np.array([3.0, 4])).p == pytest.approx(2 / 6)  # 2 of 6 orders
    assert all(math.isnan(value) for value in ks_test(np.array([]), np.array([1.0])))


@pytest.mark.parametrize(("n", "m"), [(40, 60), (500, 900)])
def test_kolmogorov_smirnov_equals_scipy(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n), rng.normal(0.1, 1, m)
    expected = stats.ks_2samp(a, b, method="exact")
    found = ks_test(a, b)
    assert found.distance == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=0.1)


def test_kolmogorov_smirnov_of_counts_is_conservative() -> None:
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.1, 0.4):
        a, b = rng.normal(0, 1, 400), rng.normal(shift, 1, 300)
        edges = np.quantile(a, np.arange(1, 10) / 10).tolist()
        binned, full = ks_of_counts(histogram(a, edges), histogram(b, edges)), ks_test(a, b)
        assert binned.distance <= full.distance + 1e-12
        assert binned.p >= full.p * 0.9
    assert all(math.isnan(value) for value in ks_of_counts([0, 0], [1, 1]))


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04: times 3, 2, 1, and never falling.
    assert holm({"a": 0.02, "b": 0.01, "c": 0.04, "d": math.nan}) == pytest.approx(
        {"a": 0.04, "b": 0.03, "c": 0.04, "d": math.nan}, nan_ok=True
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_raises_p_values_keeps_their_order_and_is_at_most_bonferroni(p: dict[str, float]) -> None:
    corrected = holm(p)
    assert set(corrected) == set(p)
    for name, value in p.items():
        assert value <= corrected[name] <= min(1.0, value * len(p)) + 1e-12
    order = sorted(p, key=lambda name: p[name])
    values = [corrected[name] for name in order]
    assert values == sorted(values)


def test_functions_used_by_serving_do_not_import_scipy() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from lidloop.drift import Shape, features, psi, psi_limit, reference_profile\n"
        "from lidloop.drift.statistics import js_distance, ks_distance_of_counts, ks_of_counts\n"
        "from lidloop.errors import LidloopError\n"
        "psi([1, 2], [2, 1]), psi_limit([1, 2], [2, 1], alpha=0.01)\n"
        "js_distance([1, 2], [2, 1]), ks_distance_of_counts([1, 2], [2, 1])\n"
        "try: ks_of_counts([1, 2], [2, 1])\n"
        "except LidloopError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lidloop[watch]" in done.stdout

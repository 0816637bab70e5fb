from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.drift import measure as drift
from benchmarks.drift import page as drift_page
from benchmarks.drift.faces import labelled, lowered, moved, people, scattered, sizes_of
from benchmarks.drift.windows import RULES, alarms, edges_of, false_alarms, histograms, pool, power
from lidloop.drift import CONFIDENCE, PER_IMAGE, features, histogram, psi, psi_limit
from lidloop.drift.shape import RESIDUAL

FACES = people(400, seed=1)
BUT = (PER_IMAGE, CONFIDENCE, RESIDUAL)
EDGES = edges_of(FACES, sizes_of(FACES), shape=None, but=BUT)
POOL = pool(FACES, sizes_of(FACES), EDGES, shape=None)


def test_a_window_has_the_histograms_of_its_faces() -> None:
    chosen = np.zeros((1, 400))
    chosen[0, :150] = 1
    counts = histograms(chosen, POOL)[0]
    values = features(FACES, sizes_of(FACES))
    for f, (name, edges) in enumerate(EDGES.items()):
        expected = histogram(values[name][:150], edges)
        assert counts[f, : len(expected)].tolist() == expected, name


def test_alarms_agree_with_the_library() -> None:
    rng = np.random.default_rng(0)
    first = np.stack([rng.multinomial(300, [0.1] * 10) for _ in range(40)]).astype(float)
    shares = rng.dirichlet([8] * 10, size=40)
    then = np.stack([rng.multinomial(250, share) for share in shares]).astype(float)
    found = alarms(first[:, None], then[:, None], alpha=0.01)
    for k in range(40):
        r, c = first[k].astype(int).tolist(), then[k].astype(int).tolist()
        assert found["convention"][k, 0] == (psi(r, c) > 0.25)
        assert found["psi"][k, 0] == (psi(r, c) > psi_limit(r, c, alpha=0.01))
    assert 0 < found["psi"].sum() < 40


def test_an_empty_window_raises_no_alarm() -> None:
    empty = alarms(np.full((1, 2, 10), 30.0), np.zeros((1, 2, 10)), alpha=0.01)
    assert not any(raised.any() for raised in empty.values())


def test_false_alarm_rate_and_power() -> None:
    rates = false_alarms(POOL, reference=200, n=150, windows=300, alpha=0.001, seed=0)
    assert set(rates) == set(RULES)
    assert max(rates["psi"], rates["ks"], rates["convention"]) <= 0.02
    low = lowered(FACES, 5)
    shifted = pool(low, sizes_of(low), EDGES, shape=None)
    found = power(POOL, shifted, reference=200, n=150, windows=50, alpha=0.001, seed=0)
    assert found["rules"]["psi"] == found["rules"]["ks"] == 1
    assert set(found["features"]) & {"pfh_ratio_left", "pfh_ratio_right"}


@pytest.mark.parametrize("change", [moved, lowered, scattered])
def test_labels_are_changed_by_the_given_distance(change: Any) -> None:
    before = labelled(FACES.points[:50])
    after = change(before, 3)
    distance = np.linalg.norm((after.points - before.points)[..., :2], axis=-1)
    hit = distance[distance > 0]
    assert np.sqrt((hit**2).mean()) == pytest.approx(3, rel=0.05)
    assert np.array_equal(change(before, 3).points, after.points), "the same every time"


def test_gate_and_guard_reject_a_corrupted_model() -> None:
    found = drift.measure_corrupted(FACES, repeat=4, progress=lambda _: None)
    assert found["gate"]["5"] == [1.0] * len(found["faces"])
    assert found["guard"]["5"] == [1.0] * len(found["faces"])
    assert found["guard"]["0"] == [0.0] * len(found["faces"])
    assert found["passes_both"]["5"] == [0.0] * len(found["faces"])


def test_the_page_lists_detected_and_missed_shifts() -> None:
    rules = dict.fromkeys(RULES, 1.0)
    seen = {"curve": [{"pictures": 50, "rules": rules, "features": ["yaw"]}],
            "seen_at": dict.fromkeys(RULES, 50), "features": ["yaw"]}  # fmt: skip
    unseen = seen | {"seen_at": dict.fromkeys(RULES), "features": []}
    rate = {"window": 0.0, "day": 0.0, "day_at_most": 0.004}
    report = {
        "machine": {"cores": 2, "versions": {"numpy": "2"}}, "quick": False, "alpha": 4e-4, "checks": 24,
        "traffic": {
            "reference_pictures": 150, "faces_per_picture": 1.5, "windows": 10,
            "false_alarms": [{"pictures": 50, "faces": 75, "rules": dict.fromkeys(RULES, rate)}],
            "power": {"blur, sigma 2 px": unseen, "pose, more": seen},
        },
        "labels": {"faces": 100, "power": {"upper lids lowered, 5 px": seen},
                   "false_alarms": [{"faces": 100, "rules": dict.fromkeys(RULES, 0.25)}]},
        "corrupted": {"noise_px": 4, "faces": [30], "pixels": [0, 5],
                      **{k: {"0": [0.5], "5": [1.0]} for k in ("gate", "guard", "passes_both")}},
    }  # fmt: skip
    text = drift_page.page(report)
    assert "| pose, more | 50 | 50 | 50 | `yaw` |" in text
    assert "largest window tried: blur, sigma 2 px." in text
    assert "0 % (≤ 0.4 %)" in text
    assert "| 100 | 25 % | 25 % | 25 % | 25 % |" in text
    assert "Real faces" not in text

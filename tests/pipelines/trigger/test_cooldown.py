"""A storm of alerts starts one run: the decision by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.trigger.cooldown import LastRun, Outcome, decide, until

OURS = {"lidloop_action": "iterate"}
DAY = 86400.0


@pytest.mark.parametrize(
    ("change", "expected", "why"),
    [
        ({}, "started", "nothing ran yet"),
        ({"firing": False}, "resolved", "a resolved alert starts none"),
        ({"labels": {}}, "not-ours", "an alert without the label is for somebody else"),
        ({"labels": {"lidloop_action": "page"}}, "not-ours", "another action is not ours"),
        ({"labels": {}, "firing": False}, "not-ours", "whose it is goes before how it is"),
        ({"labels": {**OURS, "model": "lidloop"}}, "started", "the model is ours"),
        ({"labels": {**OURS, "model": "other"}}, "not-ours", "another model has its own service"),
        ({"running": True}, "already-running", "a run is at work"),
        ({"last": LastRun(0, 50)}, "cooling-down", "50 s after the end of a run, of 60"),
        ({"last": LastRun(0, 40)}, "started", "60 s after the end of a run are over"),
        ({"last": LastRun(95, None)}, "cooling-down", "beside a running one, where several may run"),
        ({"last": LastRun(200, 300)}, "cooling-down", "the clock was put back"),
    ],
)  # fmt: skip
def test_outcomes_of_alerts(change: dict, expected: str, why: str) -> None:
    usual = {"firing": True, "labels": OURS, "running": False, "last": None}
    assert decide(**{**usual, **change}, model="lidloop", now=100, cooldown=60) == expected, why


def test_the_cool_down_counts_from_the_end() -> None:
    assert until(None, 60) is None
    assert until(LastRun(100, None), 60) == 160
    assert until(LastRun(100, 500), 60) == 560


@given(
    alerts=st.lists(
        st.tuples(st.floats(0, 2000), st.booleans(), st.booleans()), min_size=1, max_size=60
    ),  # seconds since the one before, firing, ours
    lasts=st.lists(st.floats(1, 20_000), min_size=60, max_size=60),
    cooldown=st.floats(1, DAY),
)
def test_runs_are_at_least_a_cool_down_apart(
    alerts: list[tuple[float, bool, bool]], lasts: list[float], cooldown: float
) -> None:
    now, runs = 0.0, []  # (started, ended)
    for wait, firing, ours in alerts:
        now += wait
        running = bool(runs) and now < runs[-1][1]
        last = LastRun(runs[-1][0], None if running else runs[-1][1]) if runs else None
        outcome = decide(
            firing=firing, labels=OURS if ours else {}, model="lidloop", running=running, last=last, now=now,
            cooldown=cooldown,
        )  # fmt: skip
        assert (outcome is Outcome.NOT_OURS) == (not ours)
        assert (outcome is Outcome.RESOLVED) == (ours and not firing)
        if outcome is Outcome.STARTED:
            assert not runs or now >= runs[-1][1] + cooldown, "a run's end and the next one's start"
            runs.append((now, now + lasts[len(runs)]))
        elif ours and firing:
            assert runs, "the first alert that is ours starts a run"
            assert now < runs[-1][1] + cooldown, "after the cool-down the next one does"

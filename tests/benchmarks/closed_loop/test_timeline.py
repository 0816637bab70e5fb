from __future__ import annotations

import pytest

from benchmarks.closed_loop.timeline import TimedOut, Timeline


def test_events_are_reported_and_recorded() -> None:
    reported: list[str] = []
    time = Timeline(reported.append)
    time.event("alert", "it fires")
    assert [(e["name"], e["text"]) for e in time.events] == [("alert", "it fires")]
    assert reported[0].endswith("it fires")


def test_the_missing_event_is_named() -> None:
    time = Timeline(lambda _: None)
    answers = iter([None, None, "there"])
    assert time.wait("something", 5, lambda: next(answers), every=0) == "there"
    with pytest.raises(TimedOut, match="the moon"):
        time.wait("the moon", 0, lambda: None, every=0)

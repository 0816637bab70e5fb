"""What happened when, and what did not."""

from __future__ import annotations

import pytest

from benchmarks.closed_loop.timeline import NotSeen, Timeline


def test_events_are_said_and_kept() -> None:
    said: list[str] = []
    time = Timeline(said.append)
    time.event("alert", "it fires")
    assert [(e["name"], e["text"]) for e in time.events] == [("alert", "it fires")]
    assert said[0].endswith("it fires")


def test_what_does_not_happen_is_named() -> None:
    time = Timeline(lambda _: None)
    looks = iter([None, None, "there"])
    assert time.wait("something", 5, lambda: next(looks), every=0) == "there"
    with pytest.raises(NotSeen, match="the moon"):
        time.wait("the moon", 0, lambda: None, every=0)

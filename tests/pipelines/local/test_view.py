from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipelines.local.view import LiveView, Plain, duration, title


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7810, "2 h 10 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("step", "iteration", "shard", "text"),
    [
        ("convert", None, None, "read the sources"),
        ("train", 2, None, "iteration 2 · train"),
        ("auto_label", 0, "0/1", "iteration 0 · auto-label"),
        ("auto_label", 0, "2/4", "iteration 0 · auto-label 3/4"),
        ("a_step_to_come", 1, None, "iteration 1 · a_step_to_come"),
    ],
)
def test_title(step: str, iteration: int | None, shard: str | None, text: str) -> None:
    assert title(step, iteration, shard) == text


def test_the_plain_view_prints_a_line_for_every_event() -> None:
    stream = io.StringIO()
    view = Plain(Console(file=stream, width=40))
    view.started("convert", None, None, True)
    view.ended("convert", None, None, 0.0, True)
    view.started("train", 0, None, False)
    view.said("train", 0, "INFO", "epoch 1 of 3: [box] 0.1, a line that is longer than the console is wide")
    view.said("train", 0, "WARNING", "slow")
    view.said("train", 0, "ERROR", "told at the end")
    view.ended("train", 0, None, 12.0, False)
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == [
        "read the sources: taken from the cache",
        "iteration 0 · train",
        "iteration 0 · train: epoch 1 of 3: [box] 0.1, a line that is longer than the console is wide",
        "iteration 0 · train: warning: slow",
        "iteration 0 · train: done in 12 s",
    ]


def test_the_live_view_keeps_finished_steps_and_shows_what_runs() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    with LiveView(console, iterations=2) as view:
        view.started("train", 1, None, False)
        view.said("train", 1, "INFO", "epoch 2 of 4: [box] 0.1")
        console.print(view._render())
        view.ended("train", 1, None, 65.0, False)
    shown = stream.getvalue()
    assert "iteration 1 of 0…1" in shown
    assert "iteration 1 · train" in shown
    assert "epoch 2 of 4: [box] 0.1" in shown
    assert "✓ train" in shown
    assert "1 min 05 s" in shown

"""Threads follow OMP_NUM_THREADS, else the cores."""

from __future__ import annotations

import pytest

from lidloop.machine import cpus, threads


@pytest.mark.parametrize(
    ("value", "number"),
    [
        pytest.param("3", 3, id="a number"),
        pytest.param("4,2", 4, id="a number for each level of nested threads"),
        pytest.param("", None, id="empty"),
        pytest.param("0", None, id="zero is not valid"),
        pytest.param("many", None, id="a word"),
    ],
)
def test_threads_follow_openmps_variable(
    value: str, number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads() == (number or cpus())

"""Fixtures of the dashboards' tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.dashboards import prometheus, series
from charts.dashboards.write import FOLDER

Boards = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def boards() -> Boards:
    """The dashboards as the chart ships them."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


@pytest.fixture(scope="session")
def recorded() -> list[series.Sample]:
    """Two hours of an installation."""
    return list(series.samples())


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, recorded: list[series.Sample]
) -> Iterator[prometheus.Server]:
    """A real Prometheus over the recorded hours, and over what the recording rules make of them."""
    folder = tmp_path_factory.mktemp("prometheus")
    prometheus.store(
        folder,
        series.open_metrics(recorded),
        start=series.END - series.SECONDS,
        end=series.END,
    )
    with prometheus.running(folder) as found:
        yield found

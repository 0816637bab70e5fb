"""`lidloop compile` replaces compiled pipelines only."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidloop.errors import OccupiedError
from pipelines.cli.compile import write_pipeline


def test_compile_replaces_its_own_work_and_nothing_else(tmp_path: Path) -> None:
    """The settings of the cluster, given as OUT by mistake, among what it must not replace."""
    out, settings = tmp_path / "loop.yaml", tmp_path / "cluster.yaml"
    write_pipeline(out, iterations=1)
    first = out.read_text()
    write_pipeline(out, iterations=2)
    assert out.read_text() != first
    settings.write_text("gpus: 2\n")
    with pytest.raises(OccupiedError, match=r"cluster\.yaml"):
        write_pipeline(settings, iterations=1)
    assert settings.read_text() == "gpus: 2\n"

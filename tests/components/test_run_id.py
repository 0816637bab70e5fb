from __future__ import annotations

import pytest

from components.run_id import RUN_ID, checkpoint_place, run_name
from lidloop.errors import LidloopError


def test_a_given_name_goes_before_the_id_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_ID, "id")
    assert run_name("may") == "may"
    assert run_name("") == "id"


def test_a_run_without_name_and_id_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_ID, raising=False)
    with pytest.raises(LidloopError, match="no name"):
        run_name("")


def test_runs_on_a_cluster_have_separate_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for run in ("one", "two"):
        monkeypatch.setenv(RUN_ID, run)
        folders.append(checkpoint_place("/workspace/checkpoints", 3))
    assert folders == [f"/workspace/checkpoints/{run}/iteration-3" for run in ("one", "two")]
    assert checkpoint_place("s3://b/c?region=eu", 0) == "s3://b/c/two/iteration-0?region=eu"


def test_a_local_run_uses_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_ID, raising=False)
    assert checkpoint_place("out/checkpoints", 0) == "out/checkpoints/iteration-0"
    assert checkpoint_place("", 0) is None

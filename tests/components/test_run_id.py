from __future__ import annotations

import pytest

from components.run_id import RUN_ID, own_place, run_name
from lidloop.errors import LidloopError


def test_a_given_name_is_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_ID, "id")
    assert run_name("may") == "may"
    assert run_name("") == "id"


def test_a_run_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_ID, raising=False)
    with pytest.raises(LidloopError, match="no name"):
        run_name("")


def test_no_run_goes_on_with_what_another_left(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for run in ("one", "two"):
        monkeypatch.setenv(RUN_ID, run)
        folders.append(own_place("/workspace/checkpoints", 3))
    assert folders == [f"/workspace/checkpoints/{run}/iteration-3" for run in ("one", "two")]
    assert own_place("s3://b/c?region=eu", 0) == "s3://b/c/two/iteration-0?region=eu"


def test_a_local_run_has_its_folder_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_ID, raising=False)
    assert own_place("out/checkpoints", 0) == "out/checkpoints/iteration-0"
    assert own_place("", 0) is None

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lidloop.files import folder_atomic, write_atomic


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"), folder_atomic(tmp_path / "out") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError("half way")
    assert not list(tmp_path.iterdir())
    with folder_atomic(tmp_path / "out") as folder:
        (folder / "a").write_text("whole")
    assert (tmp_path / "out" / "a").read_text() == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_stood_there_stays_when_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    with folder_atomic(target) as folder:
        (folder / "a").write_text("old")
    real = os.replace

    def refuse(source: os.PathLike[str], place: os.PathLike[str]) -> None:
        if Path(place) == target and Path(source).name != "was":
            raise OSError("disk full")
        real(source, place)

    with (
        pytest.raises(OSError, match="disk full"),
        monkeypatch.context() as patch,
        folder_atomic(target) as folder,
    ):
        (folder / "a").write_text("new")
        patch.setattr(os, "replace", refuse)
    assert (target / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_keeps_its_content_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    write_atomic(file, "old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(os, "replace", refuse)
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]

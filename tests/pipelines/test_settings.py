from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lidloop.data.sources import fingerprint, parse_source
from lidloop.errors import LidloopError, SourceError
from pipelines.settings import RunSettings, SettingsError, absolute_source, differences


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.pts").write_text("x")
    (tmp_path / "faces.xml").write_text("<dataset/>")
    return tmp_path


def settings(folder: Path, **changes: Any) -> RunSettings:
    return RunSettings(**{"sources": (f"ibug:{folder / 'faces'}",), **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sources": ()}, "no source is given"),
        ({"sources": ("faces",)}, "'faces' is not a source; it must be one of ibug:DIR"),
        ({"sources": ("pts:faces",)}, "'pts:faces' is not a source"),
        ({"sources": ("ibug:/nowhere/at-all",)}, "/nowhere/at-all does not exist"),
        ({"iterations": 0}, "--iterations must be 1 or more, not 0"),
        ({"epochs": 0}, "--epochs must be 1 or more"),
        ({"batch": 0}, "--batch must be 1 or more"),
        ({"shards": 0}, "--shards must be 1 or more"),
        ({"patience": -1}, "--patience must be 0 or more"),
        ({"imgsz": 100}, "--imgsz must be a multiple of 32"),
        ({"imgsz": 32}, "--imgsz must be a multiple of 32, at least 64"),
        ({"conf": 0.2}, "--conf must be between 0.25 and 1"),
        ({"conf": float("nan")}, "--conf must be between 0.25 and 1"),
        ({"iou": 1.5}, "--iou must be between 0 and 1"),
        ({"split": 1.0}, "--split must be between 0 and 1"),
        ({"min_growth": -0.1}, "--min-growth must be 0 or more"),
        ({"max_loss": float("inf")}, "--max-loss must be 0 or more"),
        ({"retention": "forget"}, "--retention must be accumulate or relabel"),
        ({"base_weights": "/nowhere/w.pt"}, "there are no base weights at /nowhere/w.pt"),
        ({"base_weights": "weights"}, "there are no base weights at weights"),
        ({"truth": "/nowhere/truth.json"}, "no file of hidden labels"),
        ({"gpus": 2, "device": "0"}, "--gpus or --device"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_invalid_settings_are_named(folder: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(LidloopError) as caught:
        settings(folder, **changes)
    assert says in str(caught.value)


def test_all_problems_are_named_at_once(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"--epochs.*--imgsz") as caught:
        settings(folder, epochs=0, imgsz=1)
    assert [name for name, _ in caught.value.problems] == ["epochs", "imgsz"]


@pytest.mark.parametrize(
    ("source", "says"),
    [("ibug:faces.xml", "give ibug:DIR"), ("dlib:faces", "give dlib:FILE.xml")],
    ids=["file for a folder", "folder for a file"],
)
def test_a_file_for_a_folder_or_a_folder_for_a_file_is_rejected(folder: Path, source: str, says: str) -> None:
    kind, name = source.split(":")
    with pytest.raises(LidloopError, match=says):
        settings(folder, sources=(f"{kind}:{folder / name}",))


def test_a_run_needs_a_source_with_labels(folder: Path) -> None:
    with pytest.raises(LidloopError, match="no source has labels"):
        settings(folder, sources=(f"images:{folder}",))
    settings(folder, sources=(f"images:{folder}", f"ibug:{folder / 'faces'}"))


def test_a_repeated_source_is_rejected(folder: Path) -> None:
    source = f"ibug:{folder / 'faces'}"
    with pytest.raises(LidloopError, match="given twice"):
        settings(folder, sources=(source, source))


def test_sources_are_parsed_and_made_absolute(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    assert absolute_source("coco:x.json?fit=scale") == f"coco:{folder / 'x.json'}?fit=scale"
    assert absolute_source("ibug:faces") == f"ibug:{folder / 'faces'}"
    assert absolute_source("ibug:s3://raw/afw") == "ibug:s3://raw/afw"
    with pytest.raises(SourceError):
        parse_source("ibug:")


@pytest.mark.parametrize("change", ["content", "new file", "removed"])
def test_the_fingerprint_follows_the_files(folder: Path, change: str) -> None:
    source = (f"ibug:{folder / 'faces'}",)
    before = fingerprint(source)
    assert fingerprint(source) == before
    file = folder / "faces" / "a.pts"
    if change == "content":
        file.write_text("y")
        os.utime(file, ns=(1, 1))
    elif change == "new file":
        (folder / "faces" / "b.pts").write_text("x")
    else:
        file.unlink()
    assert fingerprint(source) != before


def test_parameters_of_a_local_run(folder: Path) -> None:
    out = folder / "out"
    given = settings(folder, shards=3, gpus=2).parameters(out=out, run="r-1")
    assert given["shards"] == ["0/3", "1/3", "2/3"]
    assert given["device"] == "0,1"
    assert given["registry"] == str(out / "registry")
    assert given["checkpoints"] == str(out / "checkpoints")
    assert given["run"] == "r-1"


def test_differences_name_what_changed(folder: Path) -> None:
    before = settings(folder).identity(folder)
    now = settings(folder, epochs=3).identity(folder)
    assert differences(before, now) == ["epochs was 10 and is 3"]
    assert differences(before, dict(before)) == []


def test_the_starter_is_a_name_of_base_weights_that_every_machine_resolves_itself(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    settings = RunSettings(sources=(f"yolo:{tmp_path / 'faces'}",), base_weights="starter")
    assert settings.parameters(out=tmp_path / "run", run="r")["base_weights"] == "starter"
    assert settings.identity(tmp_path)["base weights' file"], "another release's starter is another run"

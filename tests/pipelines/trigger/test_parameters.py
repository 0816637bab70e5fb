"""Parameters of a run: what the operator's file may say, what reaches the command line, what lies inside."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lidloop.errors import LidloopError
from pipelines.cli import options
from pipelines.cli.run import run
from pipelines.settings import RemoteSettings, RunSettings, SettingsError
from pipelines.trigger.parameters import Rules, absolute, arguments, is_inside, read_defaults, schema
from tests.properties import examples

TEXT = st.text(st.characters(exclude_categories=["C"]), max_size=12)
SETTINGS = st.fixed_dictionaries(
    {"sources": st.lists(TEXT.map(lambda t: f"yolo:{t}"), min_size=1, max_size=3)},
    optional={
        "iterations": st.integers(1, 50), "epochs": st.integers(1, 50), "imgsz": st.sampled_from([64, 640]),
        "base_weights": TEXT, "conf": st.floats(0.25, 0.9), "seed": st.integers(0, 9), "device": TEXT,
        "ignore_unlabelled": st.booleans(), "paper_exact": st.booleans(), "keep_splits": st.booleans(),
        "retention": st.sampled_from(["accumulate", "relabel"]), "min_growth": st.floats(0, 1e9),
        "registry": TEXT, "truth": TEXT,
    },
)  # fmt: skip


@examples(30)
@given(parameters=SETTINGS)
def test_the_command_line_gets_the_same_settings(parameters: dict[str, Any]) -> None:
    told: list[RunSettings] = []
    app = typer.Typer()
    app.command("run")(run)
    app.command("other")(lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "RunSettings", lambda **given: told.append(given) or _Enough.stop())
        CliRunner().invoke(app, ["run", *arguments(parameters), "--out=o"], env={"LIDLOOP_REGISTRY": None})
    assert told, "a value passed for an option of its own"
    defaults = {f.name: f.default for f in fields(RunSettings)}
    expected = {**defaults, **parameters, "sources": tuple(parameters["sources"])}
    assert told[0] == expected


class _Enough(Exception):
    @staticmethod
    def stop() -> None:
        raise _Enough


@pytest.mark.parametrize(
    ("place", "allowed", "inside"),
    [
        ("/data", "/data", True),
        ("/data/a/b", "/data/", True),
        ("/database", "/data", False),
        ("/data/../etc", "/data", False),
        ("data/a", "data", False),
        ("~/a", "/root", False),
        ("s3://b/p/a", "s3://b/p", True),
        ("s3://b/p", "s3://b/p/", True),
        ("s3://b", "s3://b", True),
        ("s3://bb/p", "s3://b", False),
        ("s3://b/p/../q", "s3://b/p", False),
        ("s3://b/p//q", "s3://b/p", False),
        ("s3://b/p/..", "s3://b/p", False),
        ("/data/a", "s3://data", False),
        ("s3://data/a", "/data", False),
        ("file:///data/a", "/data", False),
    ],
)
def test_paths_and_addresses_inside_a_place(place: str, allowed: str, inside: bool) -> None:
    assert is_inside(place, allowed) is inside


def test_paths_of_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "own.pt").touch()
    given = {"sources": ["yolo:a", "coco:/b", "yolo:s3://c/d"], "registry": "r", "base_weights": "own.pt"}
    assert absolute(given, tmp_path) == {
        "sources": [f"yolo:{tmp_path}/a", "coco:/b", "yolo:s3://c/d"],
        "registry": f"{tmp_path}/r",
        "base_weights": f"{tmp_path}/own.pt",
    }
    assert absolute({"registry": "https://r", "base_weights": "yolov8n-pose.pt"}, tmp_path) == {
        "registry": "https://r",
        "base_weights": "yolov8n-pose.pt",
    }


@pytest.mark.parametrize("content", ["- a", "a: [", "1: 2", "\x00"])
def test_malformed_run_defaults_are_errors(tmp_path: Path, content: str) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text(content)
    with pytest.raises(LidloopError, match=r"defaults\.yaml"):
        read_defaults(file)


@pytest.mark.parametrize(
    ("defaults", "name"),
    [
        ({"source": ["a"]}, "source"),
        ({"epochs": "3"}, "epochs"),
        ({"sources": ["yolo:s3://b/a"], "imgsz": 100}, "imgsz"),
        ({"sources": ["ftp:x"]}, "sources"),
        ({"iterations": 3}, "iterations"),
    ],
)
def test_wrong_defaults_are_named_at_start_up(defaults: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Rules(defaults, settings=RemoteSettings, fixed={"iterations": "is fixed"})
    assert [problem for problem, _ in caught.value.problems] == [name]


def test_every_setting_is_described() -> None:
    described = schema()["properties"]
    assert list(described) == list(asdict(RemoteSettings(sources=("yolo:a",))))
    assert all(entry["description"] for entry in described.values())

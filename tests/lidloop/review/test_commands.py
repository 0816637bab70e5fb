"""``lidloop review`` on the folder of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lidloop.cli.main import app
from lidloop.errors import DatasetError, LidloopError
from lidloop.review.decisions import Decision, write_decisions
from tests.lidloop.review.conftest import Run, lidloop


def test_the_queue_is_printed_and_written_as_json(folder: Path, run: Run) -> None:
    content = json.loads(lidloop("review", "queue", folder, "--json", "--limit", 0))
    assert content["dataset"] == run.dataset.digest
    assert {entry["kind"] for entry in content["queue"]} == {"grown", "dropped"}
    assert content["faces"] == len(content["queue"])
    assert content["queue"][0]["face"] in lidloop("review", "queue", folder, "--limit", 1)


def test_an_import_becomes_the_version_that_the_next_one_builds_on(folder: Path, run: Run) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    for number in range(2):
        row = run.row("grown", number)
        decision = Decision(face=run.faces.ids[row], image=run.image(row), verdict="declined", at=at)
        write_decisions(folder / f"{number}.json", run.file(decision))
    assert "label version 2: 1 declined" in lidloop("review", "import", folder, folder / "0.json")
    assert "nothing new" in lidloop("review", "import", folder, folder / "0.json")
    both = lidloop("review", "import", folder, folder / "0.json", folder / "1.json", "--json")
    content = json.loads(both)
    assert (content["version"], content["already"]) == (3, 1)
    assert sorted(p.name for p in (folder / "reviewed").iterdir()) == ["labels-v2", "labels-v3"]
    left = json.loads(lidloop("review", "queue", folder, "--json", "--limit", 0))
    assert run.faces.ids[run.row("grown")] not in {e["face"] for e in left["queue"]}


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no run"):
        CliRunner().invoke(app, ["review", "queue", str(tmp_path)], catch_exceptions=False)


def test_an_export_comes_back_as_decisions(folder: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "coco"
    assert "for coco" in lidloop("review", "export", folder, "--to", "coco", "--out", out, "--limit", 3)
    file = out / "annotations.json"
    content = json.loads(file.read_text())
    first = content["annotations"].pop(0)
    assert first["attributes"]["face"] in run.faces.ids
    file.write_text(json.dumps(content))
    said = lidloop("review", "import", folder, file, "--export", out, "--reviewer", "Ada", "--json")
    applied = json.loads(said)["applied"]
    assert applied.pop("declined") == 1
    assert set(applied) <= {"confirmed"}
    assert "Ada" not in said
    assert "nothing new" in lidloop("review", "import", folder, file, "--export", out, "--reviewer", "Ada")


def test_human_labels_of_a_report_need_its_review_mode(folder: Path) -> None:
    with pytest.raises(LidloopError, match="--human needs --review"):
        CliRunner().invoke(app, ["report", str(folder), "--human"], catch_exceptions=False)

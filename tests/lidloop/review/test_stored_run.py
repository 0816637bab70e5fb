"""Review of a run in an object store: export, import and the exporter's counts."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lidloop.cli.main import app
from lidloop.data.dataset import LabelVersion
from lidloop.data.reviews import read_reviews
from lidloop.errors import LidloopError, StoreError
from lidloop.exporter.runs_source import RunsSource
from lidloop.report.stored_run import publish_review
from lidloop.review.exchange import read_manifest
from tests.lidloop.review.conftest import Run, lidloop
from tests.servers.buckets import Bucket

ROOT = "v2/artifacts/lidloop-refinement"
FOLDER = f"{ROOT}/run-1/report/e3/folder"


@pytest.fixture
def stored(run: Run, bucket: Bucket) -> str:
    """Address of the run as a cluster leaves it: artifacts of steps, and the summary beside them."""
    places = {"convert/e1/dataset": run.dataset.root, "nms-filter/e2/grown": run.labels.root,
              "auto-label/e2/shard": run.shard}  # fmt: skip
    for place, folder in places.items():
        for file in folder.rglob("*"):
            if file.is_file():
                key = f"{ROOT}/run-1/{place}/{file.relative_to(folder).as_posix()}"
                bucket.put(key, file.read_bytes())
    dataset, labels, shard = (f"../../../{place}" for place in places)
    paths = {"dataset": dataset, "labels": labels, "predictions": [shard], "evaluation": "none"}
    bucket.put(f"{FOLDER}/summary.json", json.dumps({"paths": paths}).encode())
    return bucket.address(FOLDER)


def refused(*arguments: object) -> str:
    with pytest.raises(LidloopError) as caught:
        CliRunner().invoke(app, ["review", *map(str, arguments)], catch_exceptions=False)
    return str(caught.value)


def test_a_stored_run_is_exported_imported_and_counted(
    stored: str, run: Run, bucket: Bucket, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    lidloop("review", "export", stored, "--to", "coco", "--out", out)
    content = json.loads((out / "annotations.json").read_text())
    names = {image["file_name"] for image in content["images"]}
    start = f"s3://{bucket.name}/{ROOT}/run-1/convert/e1/dataset/images/"
    assert {name.removeprefix(start) for name in names} <= {r.file for r in run.dataset.records}
    gone = content["annotations"].pop(0)["attributes"]["face"]
    file = tmp_path / "back.json"
    file.write_text(json.dumps(content))
    said = json.loads(lidloop("review", "import", stored, file, "--export", out, "--json"))
    assert said["applied"]["declined"] == 1
    assert said["folder"] == bucket.address(f"{FOLDER}/reviewed/labels-v2")
    assert "nothing new" in lidloop("review", "import", stored, file, "--export", out)
    queue = json.loads(lidloop("review", "queue", stored, "--json", "--limit", 0))
    assert queue["labels"] == 2
    assert gone not in {entry["face"] for entry in queue["queue"]}
    (record,) = [r for r in RunsSource(bucket.address(ROOT)).read().runs[0].labels if r.reviews]
    assert sum(one.verdicts.declined for one in record.reviews) + (gone in human_ids(run)) == 1


def human_ids(run: Run) -> set[str]:
    return {run.faces.ids[k] for k in range(len(run.faces)) if run.faces.kinds[k] == "human"}


def test_urls_with_a_time_limit_read_one_picture_and_stay_out_of_the_manifest(
    stored: str, run: Run, tmp_path: Path
) -> None:
    for options in (["--pictures", "presigned"], ["--expires", 2], ["--pictures", "path"]):
        refused("export", stored, "--to", "coco", "--out", tmp_path / "no", *options)
    out = tmp_path / "out"
    lidloop(
        "review", "export", stored, "--to", "label-studio", "--out", out, "--limit", 2,
        "--pictures", "presigned", "--expires", 2,
    )  # fmt: skip
    assert "X-Amz-Signature" not in (out / "manifest.json").read_text()
    for task, sent in zip(
        json.loads((out / "tasks.json").read_text()), read_manifest(out).pictures, strict=True
    ):
        address = task["data"]["image"]
        assert "X-Amz-Expires=7200" in address
        with urllib.request.urlopen(address) as response:
            assert hashlib.sha256(response.read()).hexdigest() == sent.sha256
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address.partition("?")[0])


def test_pictures_on_this_machine_have_no_address(folder: Path, tmp_path: Path) -> None:
    said = refused("export", folder, "--to", "coco", "--out", tmp_path / "out", "--pictures", "s3")
    assert "not in a store" in said


@pytest.mark.ceph
def test_two_imports_at_once_do_not_mix(stored: str, run: Run, bucket: Bucket, tmp_path: Path) -> None:
    versions = []
    for number in range(2):
        out = tmp_path / str(number)
        row = run.row("grown", number)
        decision = {"face": run.faces.ids[row], "image": run.image(row), "verdict": "declined",
                    "at": "2026-05-01T00:00:00Z"}  # fmt: skip
        file = {
            "dataset": run.dataset.digest, "labels": 1, "session": "s", "tool": "test",
            "pictures": {run.image(row): run.dataset.by_id[run.image(row)].sha256}, "decisions": [decision],
            "format": 1, "kind": "lidloop-decisions",
        }  # fmt: skip
        (tmp_path / f"{number}.json").write_text(json.dumps(file))
        lidloop("review", "import", stored, tmp_path / f"{number}.json", "--out", out)
        versions.append(LabelVersion.open(out))
    address = publish_review(versions[0], stored)
    assert publish_review(versions[0], stored) == address, "an interrupted import can be repeated"
    with pytest.raises(StoreError, match="was written by another import"):
        publish_review(versions[1], stored)
    kept = tmp_path / "kept"
    lidloop("store", "pull", address, kept)
    assert [row["face"] for row in read_reviews(LabelVersion.open(kept))] == [run.faces.ids[run.row("grown")]]

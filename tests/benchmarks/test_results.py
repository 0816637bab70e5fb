from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks import results
from benchmarks.common import DATA, FIGURES, REPORTS
from lidloop.data.dataset import Dataset, LabelVersion, write_next
from lidloop.data.tables import write_faces
from lidloop.errors import DatasetError
from lidloop.evaluation.evaluate import evaluate_iteration
from lidloop.files import write_atomic
from lidloop.labels import LabelSet
from lidloop.report import write_report
from lidloop.report.data import METRICS, shown
from lidloop.report.write import Options

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def run(drawn: tuple[Dataset, LabelVersion], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one iteration that predicted the labels as given and grew a face in every fourth picture."""
    dataset, gold = drawn
    place = "/home/somebody/w.pt"
    root = tmp_path_factory.mktemp("results") / "run"
    labels = gold.labels(dataset)
    ledger = gold.ledger().to_pylist()
    grown: dict[str, list[Any]] = {}
    for record in dataset.records[::4]:
        known = labels.of(record.id)
        if not known:
            continue
        face = type(known[0])(known[0].box, known[0].points, 0, 0.75)
        grown[record.id] = [face]
        box = dict(zip(("x1", "y1", "x2", "y2"), map(float, face.box), strict=True))
        ledger.append(
            {"image": record.id, "split": record.split, "line": len(known), **box, "origin": 0, "model": "m",
             "confidence": 0.75, "iou": 0.0, "decision": "kept", "reason": "grown"}
        )  # fmt: skip
    schema = gold.ledger().schema
    table = type(gold.ledger()).from_pylist(ledger, schema=schema)
    version = write_next(root / "labels-v1", gold, dataset, LabelSet.from_faces(grown), table)
    write_faces(root / "shard" / "faces.parquet", labels, model="m", iteration="0")
    evaluate_iteration(dataset, gold, gold, [root / "shard"], root / "evaluation", iteration=0, sigma=0.07)
    write_report(
        dataset.root, version.root, root / "evaluation", root, run="r",
        arguments={"seed": 1, "epochs": 3, "base_weights": place},
        options=Options(faces=False),
    )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def docs(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results.write_results(run / "summary.json", tmp_path_factory.mktemp("docs")).parents[1]


def test_the_page_has_the_figures_of_the_summary(run: Path, docs: Path) -> None:
    page = (docs / REPORTS / "RESULTS.md").read_text()
    summary = json.loads((run / "summary.json").read_text())
    grown = summary["growth"]
    assert f"| this run | {grown['from']} | {grown['to']} | {100 * grown['share']:+.1f} % |" in page
    assert "| the paper | 4,437 | 6,240 | +40.6 % |" in page
    gold = summary["iterations"][0]["metrics"]["gold"]
    assert f"| 0 ★ | {summary['iterations'][0]['faces']['gold']['faces']} | " + " | ".join(
        shown(m, gold[m.key]) for m in METRICS
    ) + " |" in page  # fmt: skip
    assert "0.07" in page
    linked = set(re.findall(r"\(images/results/([^)]+)\)", page))
    written = {p.name for p in (docs / FIGURES / "results").glob("*.png")}
    assert linked == written
    assert all(cv2.imread(str(docs / FIGURES / "results" / name)) is not None for name in written)


def test_gold_by_source_if_there_are_several(docs: Path) -> None:
    summary = json.loads((docs / DATA / "results.json").read_text())
    assert results.by_source(summary) == []
    (row,) = summary["iterations"]
    (figures,) = row["by_source"]["gold"].values()
    row["by_source"]["gold"] = {"near": figures, "far": figures | {"faces": 3, "nme": 0.0816, "recall": None}}
    text = results.page(summary, None)
    assert f"| near | 0 ★ | {figures['faces']} |" in text
    assert "| far | 0 ★ | 3 | – | 8.16 |" in text


def test_no_path_and_no_face_is_published(run: Path, docs: Path) -> None:
    page = (docs / REPORTS / "RESULTS.md").read_text()
    assert "/home/" not in page
    assert str(run.parent) not in page
    assert not list(docs.rglob("*.jpg"))
    kept = (docs / DATA / "results.json").read_text()
    assert "/home/" not in kept
    assert str(run.parent) not in kept


def test_the_same_run_gives_the_same_bytes(run: Path, docs: Path, tmp_path: Path) -> None:
    results.write_results(run / "summary.json", tmp_path)
    for file in docs.rglob("*.*"):
        assert file.read_bytes() == (tmp_path / file.relative_to(docs)).read_bytes()


def test_the_page_can_be_written_from_the_stored_figures(docs: Path, tmp_path: Path) -> None:
    shutil.copytree(docs, tmp_path / "docs")
    (tmp_path / "docs" / REPORTS / "RESULTS.md").unlink()
    again = results.write_results(tmp_path / "docs" / DATA / "results.json", tmp_path / "docs")
    assert again.read_bytes() == (docs / REPORTS / "RESULTS.md").read_bytes()


def test_a_review_is_shown(run: Path, tmp_path: Path) -> None:
    review = {"reviewed": 100, "wrong": 1, "wrong_ids": ["a:1"], "notes": "cut face", "hardware": "2 cores"}
    write_atomic(tmp_path / DATA / "review.json", json.dumps(review))
    page = results.write_results(run / "summary.json", tmp_path).read_text()
    assert "**1 of 100** random grown labels were wrong" in page
    for text in ("`a:1`", "cut face", "Hardware: 2 cores."):
        assert text in page


@pytest.mark.parametrize(
    "review",
    [
        {"reviewed": 100},
        {"reviewed": 100, "wrong": 101},
        {"reviewed": 0, "wrong": 0},
        {"reviewed": 100, "wrong": 2, "wrong_ids": ["a:1"]},
    ],
    ids=["no-count", "too-many", "none-reviewed", "ids-disagree"],
)
def test_a_review_that_contradicts_itself_is_rejected(review: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="count again"):
        results.checked(review)


def test_the_grid_shows_grown_labels(run: Path, tmp_path: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    n = results.write_grid(run, tmp_path / "grid.jpg", count=3)
    assert n == min(3, summary["versions"][-1]["grown"])
    sheet = cv2.imread(str(tmp_path / "grid.jpg"))
    assert sheet is not None
    assert sheet[:200, :200].std() > 10


@pytest.mark.parametrize(
    ("spec", "shown_as"), [("ibug:/a/b/afw", "ibug:afw"), ("coco:x/y.json", "coco:y.json"), ("/a/b", "b")]
)
def test_sources_are_shown_without_their_folder(spec: str, shown_as: str) -> None:
    assert results.source_name(spec) == shown_as

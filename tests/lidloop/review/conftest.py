"""A small run: drawn pictures, human labels, one iteration of predictions with grown and dropped faces."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lidloop.autolabel.refine import refine
from lidloop.cli.main import app
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.tables import write_faces
from lidloop.labels import LabelSet
from lidloop.review.decisions import Decision, DecisionFile
from lidloop.review.faces import Faces, read_faces_to_review


@dataclass(frozen=True)
class Run:
    """Dataset, versions 0 and 1, raw predictions of iteration 0 and the faces of version 1."""

    dataset: Dataset
    first: LabelVersion
    labels: LabelVersion
    predictions: LabelSet
    shard: Path
    faces: Faces

    def file(self, *decisions: Decision, session: str = "s1", **other: object) -> DecisionFile:
        pictures = {d.image: self.dataset.by_id[d.image].sha256 for d in decisions}
        content = {
            "dataset": self.dataset.digest, "labels": 1, "session": session, "tool": "test",
            "pictures": pictures, "decisions": list(decisions), **other,
        }  # fmt: skip
        return DecisionFile(**content)

    def row(self, kind: str, number: int = 0) -> int:
        """Row of a human, grown or dropped face."""
        faces = self.faces
        mine = {
            "human": faces.is_label & (faces.all.origin == -1),
            "grown": faces.is_label & (faces.all.origin >= 0),
            "dropped": ~faces.is_label,
        }
        return int(np.flatnonzero(mine[kind])[number])

    def image(self, row: int) -> str:
        return self.faces.all.images[self.faces.all.image[row]]


@pytest.fixture(scope="module")
def run(drawn: tuple[Dataset, LabelVersion], tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("review")
    dataset, given = drawn
    every = given.labels(dataset)
    rng = np.random.default_rng(3)
    human = np.ones(len(every), dtype=bool)
    human[::3] = False
    first = write_initial(place / "v0", dataset, every.select(human))
    score = np.where(human, 0.9, 0.95)
    score[np.flatnonzero(~human)[::3]] = 0.5
    points = every.points.copy()
    points[..., :2] += rng.normal(0, 0.3, points[..., :2].shape) * (points[..., 2:] > 0)
    predictions = replace(every, points=points, origin=np.zeros(len(every), np.int64), score=score)
    predictions = predictions.reindex([r.id for r in dataset.records])
    shard = place / "shard"
    write_faces(shard / "faces.parquet", predictions, model="m" * 64, iteration="0", dataset=dataset.digest)
    labels = refine(dataset, first, [shard], place / "v1", iteration=0, min_points_inside=20)
    return Run(dataset, first, labels, predictions, shard, read_faces_to_review(dataset, labels, predictions))


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """Folder of the run, as ``lidloop review`` reads it."""
    paths = {
        "dataset": str(run.dataset.root), "labels": str(run.labels.root), "evaluation": "none",
        "predictions": [str(run.shard)],
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps({"paths": paths}))
    return tmp_path


def lidloop(*arguments: object) -> str:
    """Run a command that succeeds; return what it prints."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output

"""Facts of labelled faces from their pixels, and the comparison of a dataset's groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lidloop.evaluation.evaluate import evaluate
from lidloop.evaluation.faces_by_group import compare_groups, faces_by_group
from lidloop.labels import Face, LabelSet, box_of
from lidloop.synthetic import draw_face

PTOSIS = {"a": (0.0, 0.0), "b": (0.9, 0.0), "c": (0.0, 0.0)}


class Folder:
    """Pictures of a folder by name, as a dataset gives them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / f"{name}.png"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, LabelSet]:
    """Three drawn faces; the second has severe ptosis, the third is missed by the predictions below."""
    root = tmp_path_factory.mktemp("faces")
    truth = {}
    for k, (name, ptosis) in enumerate(PTOSIS.items()):
        drawn = draw_face(seed=20 + k, size=(430, 430), canthal_px=180, ptosis=ptosis)
        Image.fromarray(drawn.image).save(root / f"{name}.png")
        truth[name] = [drawn.faces[0].face()]
    return Folder(root), LabelSet.from_faces(truth)


def predictions(truth: LabelSet) -> LabelSet:
    points = truth.points[:2]
    return LabelSet.from_faces(
        {name: [Face(box_of(p), p, score=0.9)] for name, p in zip(("a", "b"), points, strict=True)}
    )


def test_values_are_those_of_each_face(faces: tuple[Any, LabelSet]) -> None:
    dataset, truth = faces
    found = faces_by_group(dataset, truth, evaluate(predictions(truth), truth).errors)
    assert found.values["recall"].tolist() == [1, 1, 0]
    assert found.values["nme"][:2] == pytest.approx(0)
    assert np.isnan(found.values["nme"][2])
    assert found.values["judged"][:2].tolist() == [1, 1]
    assert found.values["flagged"][:2].tolist() == [0, 1]
    assert np.isnan(found.values["judged"][2])
    assert found.groups["size"] == ["150 px and more"] * 3
    assert found.groups["pose"] == ["frontal"] * 3
    assert len(found.groups["skin tone"]) == 3


def test_the_comparison_says_how_many_faces_it_looked_at(faces: tuple[Any, LabelSet]) -> None:
    dataset, truth = faces
    seen: list[tuple[int, int]] = []
    errors = evaluate(predictions(truth), truth).errors
    result = compare_groups(dataset, truth, errors, most=2, progress=lambda *at: seen.append(at))
    assert (result["sampled"], result["total"], result["comparisons"]) == (2, 3, 0)
    assert seen == [(0, 2), (1, 2)]


def test_pictures_that_cannot_be_read_are_left_out(faces: tuple[Any, LabelSet], tmp_path: Path) -> None:
    _, truth = faces
    found = faces_by_group(Folder(tmp_path), truth, evaluate(predictions(truth), truth).errors)  # type: ignore[arg-type]
    assert (found.sampled, found.total) == (0, 3)

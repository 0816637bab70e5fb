"""Problems that ``validate`` finds."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.picture_index import ImageRecord
from lidloop.data.validation import validate
from lidloop.files import sha256
from lidloop.labels import Face, LabelSet, box_of
from tests.label_files import as_text_files


def _good(root: Path) -> tuple[Dataset, LabelVersion]:
    rng = np.random.default_rng(0)
    images = root / "d/images"
    images.mkdir(parents=True)
    records, faces = [], {}
    for k in range(3):
        path = images / f"a-{k}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (50, 60, 3), dtype=np.uint8))
        records.append(
            ImageRecord(f"a-{k}", path.name, 60, 50, "val" if k == 0 else "train", "a", f"g{k}", sha256(path))
        )
        points = np.column_stack([rng.uniform(0, 49, (51, 2)), np.full(51, 2.0)])
        faces[f"a-{k}"] = [Face(box_of(points), points)]
    dataset = Dataset.write(root / "d", records, {})
    return dataset, write_initial(root / "l", dataset, LabelSet.from_faces(faces))


def _edit(old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / "l/text/a-1.txt"
        fields = path.read_text().split()
        fields[int(old)] = new
        path.write_text(" ".join(fields) + "\n")

    return edit


def _other_picture(root: Path) -> None:
    shutil.copy(root / "d/images/a-0.png", root / "d/images/a-1.png")


def _twice(root: Path) -> None:
    path = root / "l/text/a-1.txt"
    path.write_text(path.read_text() * 2)


def test_a_good_dataset_has_no_problems(tmp_path: Path) -> None:
    assert validate(*_good(tmp_path)) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "d/images/a-1.png").unlink(), "a-1.png is missing"),
        (_other_picture, "was changed after it was written"),
        (lambda root: (root / "l/text/a-1.txt").unlink(), "the ledger keeps 3 lines, the label files have 2"),
        (lambda root: (root / "l/text/b.txt").touch(), "label lines of b belong to no picture"),
        (lambda root: (root / "l/ledger/v0.parquet").unlink(), "cannot read the table"),
        (_twice, "a-1, line 1: the ledger does not know it"),
        (_edit("0", "0 0"), "159 fields"),
        (_edit("5", "1.5"), "a visible point is outside the picture"),
        (_edit("7", "0"), "a point with visibility 0 is not at 0 0"),
        (_edit("7", "3"), "a visibility is not 0, 1 or 2"),
        (_edit("3", "0"), "the box is empty"),
        (_edit("3", "0.5"), "the box is not the bounds of the points"),
    ],
)
def test_damage_is_found(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    dataset, labels = _good(tmp_path)
    as_text_files(labels.root)
    damage(tmp_path)
    assert any(message in problem for problem in validate(dataset, LabelVersion.open(labels.root)))


def test_packed_labels_of_an_unknown_picture_are_found(tmp_path: Path) -> None:
    dataset, labels = _good(tmp_path)
    fewer = replace(dataset, records=dataset.records[:2])
    assert "label lines of a-2 belong to no picture" in validate(fewer, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "g0"}, "group g0 is in several splits"),
        ({"split": "test"}, "unknown split 'test'"),
        ({"width": 61}, "the index says (61, 50)"),
        ({"id": "A-0"}, "2 pictures have the id a-0"),
    ],
)
def test_a_wrong_index_is_found(tmp_path: Path, change: dict[str, str], message: str) -> None:
    dataset, labels = _good(tmp_path)
    records = [replace(r, **change) if r.id == "a-1" else r for r in dataset.records]
    wrong = Dataset.write(tmp_path / "d", records, {})
    problems = validate(wrong, labels)
    assert any(message in problem for problem in problems)
    assert any("another dataset" in problem for problem in problems)

"""Datasets and label versions on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lidloop.data.dataset import Dataset, LabelVersion, Retention, write_initial, write_next, write_reviewed
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import write_table
from lidloop.data.version_writer import LEDGER_SCHEMA
from lidloop.errors import DatasetError
from lidloop.labels import HUMAN, Face, LabelSet, box_of
from tests.label_files import as_text_files, row_groups
from tests.properties import examples

N_IMAGES = 4


def _face(rng: np.random.Generator, *, origin: int = HUMAN) -> Face:
    points = np.column_stack([rng.uniform(0, 99, (51, 2)), rng.integers(1, 3, 51)]).astype(float)
    return Face(box_of(points), points, origin, 1.0 if origin == HUMAN else 0.75)


def _dataset(root: Path) -> Dataset:
    records = [
        ImageRecord(f"afw-{k}", f"afw-{k}.jpg", 100, 100, "train" if k else "val", "afw", f"g{k}", "0" * 64)
        for k in range(N_IMAGES)
    ]
    return Dataset.write(root, records, {"seed": 0})


def _labels(
    rng: np.random.Generator, dataset: Dataset, counts: list[int], *, origin: int = HUMAN
) -> LabelSet:
    pairs = zip(dataset.records, counts, strict=True)
    faces = {r.id: [_face(rng, origin=origin) for _ in range(n)] for r, n in pairs}
    return LabelSet.from_faces(faces)


def _ledger(dataset: Dataset, before: dict[str, int], grown: LabelSet, *, iteration: int) -> pa.Table:
    """The ledger of the lines that stay (``before``: how many by picture) and of the grown ones."""
    rows: list[dict[str, Any]] = []
    for record in dataset.records:
        kinds = [HUMAN] * before[record.id] + [iteration] * len(grown.of(record.id))
        for line, origin in enumerate(kinds):
            rows.append(
                {"image": record.id, "split": record.split, "line": line, "x1": 0.0, "y1": 0.0, "x2": 1.0,
                 "y2": 1.0, "origin": origin, "model": "", "confidence": 0.5, "iou": 0.0, "decision": "kept",
                 "reason": "human" if origin == HUMAN else "grown"}
            )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)


def test_a_dataset_round_trips(tmp_path: Path) -> None:
    written = _dataset(tmp_path)
    opened = Dataset.open(tmp_path)
    assert opened.records == written.records
    assert opened.digest == written.digest
    assert opened.info["seed"] == 0
    assert [r.id for r in opened.split("val")] == ["afw-0"]
    assert opened.path("afw-1") == tmp_path / "images/afw-1.jpg"


def test_the_digest_covers_every_field(tmp_path: Path) -> None:
    base = ImageRecord("a", "a.jpg", 10, 20, "train", "afw", "g", "0")
    others: list[dict[str, Any]] = [
        {"id": "b"}, {"file": "b.jpg"}, {"width": 11}, {"height": 21}, {"split": "val"}, {"source": "x"},
        {"group": "h"}, {"sha256": "1"},
    ]  # fmt: skip
    fields = {name: getattr(base, name) for name in ImageRecord.__slots__}
    records = [base, *(ImageRecord(**(fields | other)) for other in others)]
    digests = {Dataset.write(tmp_path, [record], {}).digest for record in records}
    assert len(digests) == 1 + len(ImageRecord.__slots__)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "dataset.json").unlink(), "not a finished dataset"),
        (lambda root: (root / "dataset.json").write_text("{"), "cannot read"),
        (lambda root: (root / "dataset.json").write_text('{"format": 99}'), "format 99"),
        (lambda root: (root / "images.parquet").unlink(), "cannot read the table"),
        (lambda root: (root / "images.parquet").write_bytes(b"PAR1"), "cannot read the table"),
        (
            lambda root: (root / "dataset.json").write_text(json.dumps({"format": 1, "digest": "x"})),
            "does not match",
        ),
        (lambda root: (root / "dataset.json").write_text("[" * 100_000), "cannot read"),
        (lambda root: (root / "dataset.json").write_text('{"format": ' + "9" * 5000 + "}"), "cannot read"),
        (lambda root: (root / "dataset.json").write_bytes(b"\xff\xfe"), "cannot read"),
        (lambda root: (root / "dataset.json").write_text("[]"), "has format"),
        (lambda root: (root / "dataset.json").write_text('{"format": 1}'), "no 'digest'"),
        (lambda root: write_table(root / "images.parquet", pa.table({"x": [1]})), "no index of pictures"),
    ],
    ids=[
        *("no-json", "half-json", "other-format", "no-table", "half-table", "other-digest", "deep"),
        *("5000-digits", "no-text", "list", "no-digest", "other-table"),
    ],
)
def test_a_damaged_dataset_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    _dataset(tmp_path)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(tmp_path)


def test_version_0_round_trips(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "d")
    labels = _labels(np.random.default_rng(0), dataset, [1, 0, 2, 3])
    written = write_initial(tmp_path / "l", dataset, labels)
    assert written.info["counts"] == {"train": {"human": 5, "grown": 0}, "val": {"human": 1, "grown": 0}}
    opened = LabelVersion.open(tmp_path / "l")
    back = opened.labels(dataset)
    assert np.abs(back.points - labels.points).max() < 1e-4
    assert np.abs(back.boxes - labels.boxes).max() < 1e-3
    assert (back.origin == HUMAN).all()
    assert (back.score == 1).all()
    assert len(opened.labels(dataset, "val")) == 1
    assert opened.labels(dataset, "val").images == ("afw-0",)


def test_labels_of_another_dataset_are_refused(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "d")
    version = write_initial(tmp_path / "l", dataset, _labels(np.random.default_rng(0), dataset, [1, 1, 1, 1]))
    other = Dataset.write(tmp_path / "o", dataset.records[:2], {})
    with pytest.raises(DatasetError, match="another dataset"):
        version.labels(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 1}', "no 'version'"),
        ('{"format": 1, "version": "x", "dataset": "", "counts": {}, "total": 0}', "no whole"),
    ],
)
def test_a_damaged_version_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "version.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        LabelVersion.open(tmp_path)


def test_labels_that_are_no_text_are_refused(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "d")
    version = write_initial(tmp_path / "l", dataset, _labels(np.random.default_rng(0), dataset, [1, 1, 1, 1]))
    (as_text_files(tmp_path / "l") / "afw-2.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="no text"):
        version.labels(dataset)


def test_text_without_ledger_is_refused(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "d")
    version = write_initial(tmp_path / "l", dataset, _labels(np.random.default_rng(0), dataset, [1, 1, 1, 1]))
    text = as_text_files(tmp_path / "l") / "afw-2.txt"
    text.write_bytes(text.read_bytes() * 2)
    with pytest.raises(DatasetError, match="does not know line 1 of afw-2"):
        version.labels(dataset)


@pytest.mark.parametrize("retention", ["accumulate", "relabel"])
@settings(examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_human_lines_survive_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, retention: Retention, data: st.DataObject
) -> None:
    """Over three iterations: v(k+1) begins with v(k) (accumulate) or with v0 (relabel), byte for byte."""
    root = tmp_path_factory.mktemp("versions")
    counts = st.lists(st.integers(0, 3), min_size=N_IMAGES, max_size=N_IMAGES)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dataset = _dataset(root / "d")
    first = previous = write_initial(root / "v0", dataset, _labels(rng, dataset, data.draw(counts)))
    for k in range(3):
        grown = _labels(rng, dataset, data.draw(counts), origin=k)
        base = previous if retention == "accumulate" else first
        before = {r.id: base.text(r.id).count(b"\n") for r in dataset.records}
        ledger = _ledger(dataset, before, grown, iteration=k)
        version = write_next(root / f"v{k + 1}", previous, dataset, grown, ledger, retention=retention)
        for record in dataset.records:
            text = version.text(record.id)
            assert text.startswith(base.text(record.id))
            assert text.startswith(first.text(record.id))
            assert text.count(b"\n") == before[record.id] + len(grown.of(record.id))
        assert version.info["total"] == sum(before.values()) + len(grown)
        assert len(version.labels(dataset)) == version.info["total"]
        assert version.ledger(0).equals(first.ledger())
        previous = version


def test_a_version_is_a_few_files_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of equal labels have equal files, however they were made."""
    monkeypatch.setattr("lidloop.data.dataset.BLOCK", 3)
    rng = np.random.default_rng(0)
    dataset = _dataset(tmp_path / "d")
    first = write_initial(tmp_path / "v0", dataset, _labels(rng, dataset, [1, 2, 1, 1]))
    files = sorted(str(path.relative_to(first.root)) for path in first.root.rglob("*") if path.is_file())
    assert files == ["ledger/v0.parquet", "text.parquet", "version.json"]
    assert row_groups(first.root / "text.parquet") == row_groups(first.root / "ledger/v0.parquet") == 2
    reviewed = write_reviewed(
        tmp_path / "v1", first, dataset, {"afw-1": first.text("afw-1").splitlines()}, first.ledger()
    )
    for mine in ("text.parquet", "ledger/v{}.parquet"):
        assert (first.root / mine.format(0)).read_bytes() == (reviewed.root / mine.format(1)).read_bytes()


def test_versions_of_text_files_are_read(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "d")
    first = write_initial(tmp_path / "v0", dataset, _labels(np.random.default_rng(0), dataset, [1, 0, 2, 0]))
    lines = [first.text(name) for name in dataset.ids]
    expected = first.labels(dataset)
    (as_text_files(tmp_path / "v0") / "afw-3.txt").touch()
    earlier = LabelVersion.open(tmp_path / "v0")
    assert [earlier.text(name) for name in dataset.ids] == lines
    assert earlier.texts.names() == {"afw-0", "afw-2", "afw-3"}
    assert np.array_equal(earlier.labels(dataset).points, expected.points)


@pytest.mark.parametrize("name", ["text.parquet", "ledger/v1.parquet"])
def test_files_of_other_versions_are_not_changed(tmp_path: Path, name: str) -> None:
    """A folder that was not empty: its file is a second name of another version's."""
    rng = np.random.default_rng(0)
    dataset = _dataset(tmp_path / "d")
    first = write_initial(tmp_path / "v0", dataset, _labels(rng, dataset, [1, 1, 1, 1]))
    before = first.text("afw-2")
    (tmp_path / "v1/ledger").mkdir(parents=True)
    (tmp_path / "v1" / name).hardlink_to(tmp_path / "v0/text.parquet")
    grown = _labels(rng, dataset, [1, 1, 1, 1], origin=0)
    ledger = _ledger(dataset, dict.fromkeys(dataset.by_id, 1), grown, iteration=0)
    with pytest.raises(FileExistsError):
        write_next(tmp_path / "v1", first, dataset, grown, ledger)
    assert LabelVersion.open(tmp_path / "v0").text("afw-2") == before


def test_writing_a_version_takes_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``LabelSet.of`` looks at all faces: once per picture is quadratic."""
    dataset = _dataset(tmp_path / "d")
    labels = _labels(np.random.default_rng(0), dataset, [1, 0, 2, 3])
    monkeypatch.setattr(LabelSet, "of", lambda *_: pytest.fail("searched"))
    assert write_initial(tmp_path / "v0", dataset, labels).info["total"] == len(labels)


def test_a_ledger_that_disagrees_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = _dataset(tmp_path / "d")
    first = write_initial(tmp_path / "v0", dataset, _labels(rng, dataset, [1, 1, 1, 1]))
    grown = _labels(rng, dataset, [1, 0, 0, 0], origin=0)
    with pytest.raises(DatasetError, match="5 label lines were written but the ledger keeps 4"):
        write_next(tmp_path / "v1", first, dataset, grown, first.ledger())
    with pytest.raises(DatasetError, match="not a finished label version"):
        LabelVersion.open(tmp_path / "v1")

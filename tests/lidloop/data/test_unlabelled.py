"""``images:DIR``: pictures without labels are in the dataset, in train, and not yet trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lidloop.errors import SourceError
from tests.lidloop.data.test_convert import Out, ibug, points, pts, save


@pytest.fixture
def out(tmp_path: Path) -> Out:
    return Out(tmp_path)


def folder(root: Path, n: int, *, first: int = 100) -> str:
    for k in range(first, first + n):
        save(root / f"{k}.jpg", k)
    return f"images:{root}"


@pytest.mark.parametrize("keep_splits", [False, True])
@pytest.mark.parametrize("name", ["clinic", "val"])
def test_unlabelled_pictures_go_to_train(tmp_path: Path, out: Out, keep_splits: bool, name: str) -> None:
    sources = [ibug(tmp_path / "afw", 10), folder(tmp_path / name, 30)]
    dataset, labels = out.convert(*sources, split=0.8, keep_splits=keep_splits)
    counts = Counter((r.group in {g.group for g in dataset.records[:10]}, r.split) for r in dataset.records)
    assert sum(counts.values()) == 40
    labelled = labels.labelled()
    assert Counter(r.split for r in dataset.records if r.id in labelled) == {"train": 8, "val": 2}
    assert {r.split for r in dataset.records if r.id not in labelled} == {"train"}
    assert len(labelled) == 10
    row = next(row for row in out.report["sources"] if row["source"] == sources[1])
    assert (row["pictures"], row["images"], row["faces"]) == (30, 30, 0)


def test_a_folder_of_pictures_is_a_source_of_its_own(tmp_path: Path, out: Out) -> None:
    dataset, labels = out.convert(folder(tmp_path / "clinic", 3))
    assert [(r.source, r.split) for r in dataset.records] == [("clinic", "train")] * 3
    assert labels.labelled() == set()


def test_a_labelled_copy_gives_the_picture_its_labels_name_and_split(tmp_path: Path, out: Out) -> None:
    sources = [ibug(tmp_path / "zoo", 4), folder(tmp_path / "a", 2, first=2)]
    alone, _ = Out(tmp_path / "alone").convert(sources[0])
    dataset, labels = out.convert(*sources)
    assert {(r.id, r.split) for r in dataset.records} == {(r.id, r.split) for r in alone.records}
    assert len(labels.labelled()) == 4
    assert out.report["totals"]["copies_merged"] == 2


def test_a_picture_whose_labels_were_rejected_is_still_unlabelled(tmp_path: Path, out: Out) -> None:
    sources = [ibug(tmp_path / "x", 2), folder(tmp_path / "y", 1, first=9)]
    save(tmp_path / "x/bad.jpg", 9)
    pts(tmp_path / "x/bad.pts", points()[:5])
    dataset, labels = out.convert(*sources)
    assert len(dataset.records) == 3
    assert len(labels.labelled()) == 2
    assert [r.split for r in dataset.records if r.id not in labels.labelled()] == ["train"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no picture"),
        ({"a.heic": b""}, "HEIC"),
        ({"a.jpg": b"x"}, "unreadable-image"),
        ({"a.txt": b""}, "no picture"),
    ],
)
def test_a_folder_without_a_usable_picture_is_refused(
    tmp_path: Path, out: Out, files: dict[str, bytes], message: str
) -> None:
    (tmp_path / "x").mkdir()
    for name, content in files.items():
        (tmp_path / "x" / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        out.convert(f"images:{tmp_path / 'x'}")


def test_other_kinds_hint_at_it(tmp_path: Path, out: Out) -> None:
    folder(tmp_path / "x", 2)
    with pytest.raises(SourceError, match="images:DIR"):
        out.convert(f"ibug:{tmp_path / 'x'}")

"""Folders of drawn faces: reproducible, hidden shares, valid labels, written atomically."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from lidloop.data.formats.yolo import parse
from lidloop.errors import OccupiedError, SourceError
from lidloop.files import sha256
from lidloop.synthetic import SceneOptions, read_truth, write_faces_folder
from lidloop.synthetic import write as module

SMALL = SceneOptions(faces=(1, 3), face_px=(24, 70))
SIZE = (160, 120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "faces"
    return write_faces_folder(out, images=10, seed=7, hide=0.3, size=SIZE, options=SMALL, workers=1)


def _digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_arguments_same_bytes_on_any_number_of_processes(folder: Path, tmp_path: Path) -> None:
    again = write_faces_folder(
        tmp_path / "again", images=10, seed=7, hide=0.3, size=SIZE, options=SMALL, workers=2
    )
    assert _digests(again) == _digests(folder)
    other = write_faces_folder(tmp_path / "other", images=2, seed=8, size=SIZE, options=SMALL, workers=1)
    assert not set(_digests(other).values()) & {v for k, v in _digests(folder).items() if k.endswith(".jpg")}


def test_layout_and_splits(folder: Path) -> None:
    data = yaml.safe_load((folder / "data.yaml").read_text())
    assert data["kpt_shape"] == [51, 3]
    assert len(data["flip_idx"]) == 51
    counts = {}
    for split in ("train", "val"):
        assert (folder / data[split]).is_dir()
        pictures = {p.stem for p in (folder / "images" / split).iterdir()}
        assert pictures == {p.stem for p in (folder / "labels" / split).iterdir()}
        counts[split] = len(pictures)
    assert counts == {"train": 8, "val": 2}


def test_labels_are_the_faces_not_hidden(folder: Path) -> None:
    truth = read_truth(folder)
    assert truth.hidden == round(0.3 * truth.faces)
    assert 0 < truth.hidden < truth.faces
    for image in truth.images:
        picture = cv2.imread(str(folder / "images" / image.split / f"{image.name}.jpg"))
        assert picture.shape == (image.height, image.width, 3)
        text = (folder / "labels" / image.split / f"{image.name}.txt").read_text()
        labels = parse(text, image.width, image.height, where=image.name)
        shown = [face.face() for face, h in zip(image.faces, image.hidden, strict=True) if not h]
        assert len(labels) == len(shown)
        for label, face in zip(labels, shown, strict=True):
            np.testing.assert_allclose(label.points, face.points, atol=1e-3)
            np.testing.assert_allclose(label.box, face.box, atol=1e-3)


@pytest.mark.parametrize("hide", [0.0, 1.0])
def test_all_or_no_labels(tmp_path: Path, hide: float) -> None:
    out = write_faces_folder(tmp_path / "f", images=3, seed=1, hide=hide, size=SIZE, options=SMALL, workers=1)
    lines = sum(len(p.read_text().splitlines()) for p in out.rglob("*.txt"))
    truth = read_truth(out)
    assert (lines, truth.hidden) == ((0, truth.faces) if hide else (truth.faces, 0))


def test_progress_counts_up(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_faces_folder(
        tmp_path / "f", images=3, seed=1, size=SIZE, options=SMALL, workers=1,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_no_partial_folder_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.draw_picture

    def fails_on_the_second(*, seed: int, **rest: object) -> object:
        if seed & 0xFFFFFFFF == 1:
            raise KeyboardInterrupt
        return real(seed=seed, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "draw_picture", fails_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_faces_folder(tmp_path / "f", images=3, seed=1, size=SIZE, options=SMALL, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["folder", "file", "drawn faces with a label corrected"])
def test_existing_files_are_not_replaced(tmp_path: Path, taken: str) -> None:
    out = tmp_path / "out"
    if taken == "file":
        out.write_text("years of work")
    elif taken == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("years of work")
    else:
        write_faces_folder(out, images=1, seed=1, size=SIZE, options=SMALL, workers=1)
        next(out.glob("labels/*/*.txt")).write_text("corrected by hand")
    before = _digests(tmp_path)
    with pytest.raises(OccupiedError, match="out"):
        write_faces_folder(out, images=1, seed=1, size=SIZE, options=SMALL, workers=1)
    assert _digests(tmp_path) == before


@pytest.mark.parametrize(
    "bad", [{"images": 0}, {"hide": 1.5}, {"val_fraction": -0.1}], ids=["no pictures", "hide", "val"]
)
def test_bad_arguments_are_rejected(tmp_path: Path, bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        write_faces_folder(tmp_path / "f", **({"images": 1, "seed": 0} | bad))  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [None, "{}", "not json"], ids=["missing", "empty", "garbled"])
def test_truth_that_cannot_be_read_names_the_file(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "truth.json").write_text(content)
    with pytest.raises(SourceError, match=r"truth\.json"):
        read_truth(tmp_path)

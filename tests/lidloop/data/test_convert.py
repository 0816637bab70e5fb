"""Annotations in, one dataset out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.validation import validate
from lidloop.errors import DatasetError, SourceError
from lidloop.images import read_rgb
from lidloop.labels import HUMAN
from tests.label_files import as_text_files

W, H = 120, 80


def picture(seed: int, width: int = W, height: int = H) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def points(x: float = 20, y: float = 10, size: float = 50, n: int = 68) -> NDArray[np.float64]:
    """(n, 2) 0-based points whose last 51 have exactly the bounds x, y, x + size, y + size."""
    unit = np.random.default_rng(51).uniform(0, 1, (n, 2))
    unit[-51], unit[-1] = (0, 0), (1, 1)
    return unit * size + (x, y)


def save(path: Path, seed: int, *, orientation: int = 1, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(picture(seed, **size)).save(
        path, exif=exif, **({"quality": 90} if path.suffix == ".jpg" else {})
    )
    return path


def pts(path: Path, xy: NDArray[np.float64], *, header: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{x + 1:.6f} {y + 1:.6f}" for x, y in xy)
    path.write_text(f"version: 1\nn_points: {len(xy)}\n{{\n{rows}\n}}\n" if header else rows)


def ibug(folder: Path, n: int = 3, *, first: int = 0) -> str:
    """A folder of ``n`` pictures with a face each."""
    for k in range(first, first + n):
        save(folder / f"{k}.jpg", k)
        pts(folder / f"{k}.pts", points(), header=bool(k % 2))
    return f"ibug:{folder}"


class Out:
    """Folders that a test converts to, and their content."""

    def __init__(self, root: Path) -> None:
        self.dataset, self.labels = root / "out/dataset", root / "out/labels-v0"

    def convert(self, *sources: str, **options: Any) -> tuple[Dataset, LabelVersion]:
        dataset, labels = convert(sources, self.dataset, self.labels, **options)
        assert validate(dataset, labels) == []
        return dataset, labels

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.dataset / "convert-report.json").read_text())
        return report

    def rejects(self) -> list[tuple[str, str]]:
        return [(r["file"], r["reason"]) for row in self.report["sources"] for r in row["rejects"]]

    def nothing_is_left(self) -> bool:
        return not self.dataset.parent.exists() or not any(self.dataset.parent.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Out:
    return Out(tmp_path)


def _as_ibug(root: Path) -> str:
    save(root / "a.png", 1)
    pts(root / "a.pts", points())
    return f"ibug:{root}"


def _as_dlib(root: Path) -> str:
    save(root / "a.png", 1)
    parts = "".join(f"<part name='{k:02d}' x='{x}' y='{y}'/>" for k, (x, y) in enumerate(points()))
    box = f"<box top='0' left='0' width='9' height='9'>{parts}</box>"
    (root / "x.xml").write_text(f"<dataset><images><image file='a.png'>{box}</image></images></dataset>")
    return f"dlib:{root / 'x.xml'}"


def _as_coco(root: Path) -> str:
    save(root / "a.png", 1)
    flat = [value for x, y in points() for value in (x, y, 2)]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "keypoints": flat}],
    }
    (root / "x.json").write_text(json.dumps(content))
    return f"coco:{root / 'x.json'}"


def yolo_line(xy: NDArray[np.float64], width: int = W, height: int = H) -> str:
    return "0 0.5 0.5 1 1 " + " ".join(f"{x / width:.9f} {y / height:.9f} 2" for x, y in xy[-51:]) + "\n"


def _as_yolo(root: Path) -> str:
    save(root / "images/a.png", 1)
    (root / "labels").mkdir()
    (root / "labels/a.txt").write_text(yolo_line(points()))
    return f"yolo:{root}"


FORMATS = {"ibug": _as_ibug, "dlib": _as_dlib, "coco": _as_coco, "yolo": _as_yolo}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_face(tmp_path: Path, out: Out, kind: str) -> None:
    dataset, labels = out.convert(FORMATS[kind](tmp_path / "faces"))
    (record,) = dataset.records
    assert (record.id, record.file, record.source) == ("faces-a", "faces-a.png", "faces")
    assert (record.width, record.height) == (W, H)
    (face,) = labels.labels(dataset).of(record.id)
    assert face.points[:, :2] == pytest.approx(points()[-51:], abs=1e-3)
    assert (face.points[:, 2] == 2).all()
    assert face.box == pytest.approx([20, 10, 70, 60], abs=1e-3)
    assert (face.origin, face.score) == (HUMAN, 1.0)
    assert out.report["totals"] | {"rejects": 0} == out.report["totals"]


def test_formats_mix_and_copies_across_them_become_one_image(tmp_path: Path, out: Out) -> None:
    sources = [make(tmp_path / kind) for kind, make in FORMATS.items()]
    dataset, labels = out.convert(*sources)
    assert [r.id for r in dataset.records] == ["coco-a"]
    assert len(labels.labels(dataset)) == 1
    assert (
        out.report["totals"] | {"copies_merged": 3, "duplicate_faces": 3, "annotations": 4}
        == out.report["totals"]
    )
    (copies,) = out.report["copies"]
    assert copies == {
        "image": "coco-a",
        "files": ["coco: a.png", "dlib: a.png", "ibug: a.png", "yolo: images/a.png"],
    }


def test_pictures_are_copied_byte_for_byte(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 1)
    dataset, _ = out.convert(source)
    assert dataset.path("afw-0").read_bytes() == (tmp_path / "afw/0.jpg").read_bytes()


def test_one_copy_per_face_becomes_one_image(tmp_path: Path, out: Out) -> None:
    """As AFW is spread; a PNG of the same pixels is a copy too."""
    root = tmp_path / "afw"
    for k in (1, 2):
        save(root / f"9_{k}.png", 9)
    Image.open(root / "9_1.png").save(root / "9_3.bmp")
    for k, x in ((1, 0.0), (2, 45.0), (3, 80.0)):
        pts(root / f"9_{k}.pts", points(x, 10, 30), header=False)
    save(root / "other.png", 10)
    pts(root / "other.pts", points())
    dataset, labels = out.convert(f"ibug:{root}")
    assert [r.id for r in dataset.records] == ["afw-9_1", "afw-other"]
    faces = labels.labels(dataset).of("afw-9_1")
    assert [round(f.box[0]) for f in faces] == [0, 45, 80]
    assert (
        out.report["totals"] | {"pictures": 4, "images": 2, "faces": 4, "copies_merged": 2}
        == out.report["totals"]
    )


@pytest.mark.parametrize(
    ("shift", "faces", "reason"),
    [(0.0, 1, "the same points"), (2.0, 1, "two people's clicks"), (40.0, 2, "a neighbour")],
)
def test_a_face_annotated_twice_is_kept_once(
    tmp_path: Path, out: Out, shift: float, faces: int, reason: str
) -> None:
    root = tmp_path / "lfpw"
    for name, x in (("a", 10.0), ("b", 10.0 + shift)):
        save(root / f"{name}.jpg", 1)
        pts(root / f"{name}.pts", points(x))
    dataset, labels = out.convert(f"ibug:{root}")
    found = labels.labels(dataset).of("lfpw-a")
    assert len(found) == faces, reason
    assert found[0].box[0] == pytest.approx(10.0, abs=1e-3), "the first file's annotation is kept"
    duplicates = out.report["sources"][0]["duplicates"]
    assert [(d["file"], d["same_as"]) for d in duplicates] == [("b.pts", "a.pts")] * (2 - faces)


def test_a_picture_listed_twice_in_one_source_is_read_once(tmp_path: Path, out: Out) -> None:
    _as_dlib(tmp_path / "x")
    file = tmp_path / "x/x.xml"
    text = file.read_text()
    image = text[text.index("<image ") : text.index("</images>")]
    file.write_text(text.replace("</images>", image + "</images>"))
    dataset, labels = out.convert(f"dlib:{file}")
    assert (len(dataset.records), len(labels.labels(dataset))) == (1, 1)


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path: Path, out: Out, orientation: int, kind: str) -> None:
    """The file is written upright; the coordinates were in the upright picture and stay as they are."""
    path = save(tmp_path / f"x/a.{kind}", 3, orientation=orientation)
    upright = read_rgb(path)
    pts(tmp_path / "x/a.pts", points(5, 5, 60))
    dataset, labels = out.convert(f"ibug:{tmp_path / 'x'}")
    (record,) = dataset.records
    assert (record.width, record.height) == ((W, H) if orientation < 5 else (H, W)) == upright.shape[1::-1]
    assert labels.labels(dataset).boxes[0] == pytest.approx([5, 5, 65, 65], abs=1e-3)
    written = cv2.imread(str(dataset.path(record.id)), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    worst = int(np.abs(written.astype(int) - upright).max())
    assert worst <= (12 if kind == "jpg" else 0), "PNG without loss, JPEG nearly so"
    unchanged = dataset.path(record.id).read_bytes() == path.read_bytes()
    assert unchanged == (orientation == 1)


def test_points_outside_are_clipped_and_flagged(tmp_path: Path, out: Out) -> None:
    xy = points(20, 10, 50)
    xy[17 + 3], xy[17 + 4], xy[17 + 5] = (-5, 30), (W + 3, H + 9), (-0.4, 30)
    save(tmp_path / "x/a.jpg", 1)
    pts(tmp_path / "x/a.pts", xy)
    dataset, labels = out.convert(f"ibug:{tmp_path / 'x'}")
    (face,) = labels.labels(dataset).of("x-a")
    assert face.points[3] == pytest.approx([0, 30, 1], abs=1e-3)
    assert face.points[4] == pytest.approx([W - 1, H - 1, 1], abs=1e-3)
    assert face.points[5] == pytest.approx([0, 30, 2], abs=1e-3), "inside the first pixel"
    assert face.box == pytest.approx([0, 10, W - 1, H - 1], abs=1e-3)
    assert out.report["sources"][0]["clipped"] == [{"file": "a.pts", "points": [3, 4]}]
    assert out.report["totals"]["clipped_points"] == 2


def _missing(root: Path) -> str:
    pts(root / "bad.pts", points())
    return "bad.pts"


def _not_a_picture(root: Path) -> str:
    (root / "bad.jpg").write_text("no picture")
    pts(root / "bad.pts", points())
    return "bad.jpg"


def _cut_short(root: Path) -> str:
    path = save(root / "bad.jpg", 5)
    path.write_bytes(path.read_bytes()[:-100])
    pts(root / "bad.pts", points())
    return "bad.jpg"


def _with_points(xy: NDArray[np.float64]) -> Any:
    def make(root: Path) -> str:
        save(root / "bad.jpg", 5)
        pts(root / "bad.pts", xy)
        return "bad.pts"

    return make


def _text(text: str) -> Any:
    def make(root: Path) -> str:
        save(root / "bad.jpg", 5)
        (root / "bad.pts").write_text(text)
        return "bad.pts"

    return make


NAN = points()
NAN[30, 1] = np.nan


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_missing, "missing-image"),
        (_not_a_picture, "unreadable-image"),
        (_cut_short, "unreadable-image"),
        (_with_points(points(n=67)), "wrong-point-count"),
        (_with_points(NAN), "not-a-number"),
        (_with_points(np.full((68, 2), 30.0)), "empty-box"),
        (_with_points(points(size=0.5)), "empty-box"),
        (_with_points(points(x=W + 10)), "outside-picture"),
        (_with_points(points(x=-500, y=-500)), "outside-picture"),
        (_text("garbage here and there\n"), "unparsable-file"),
        (_text(""), "wrong-point-count"),
    ],
    ids=["missing", "text", "cut-short", "67-points", "nan", "one-point", "half-a-pixel", "right-of-it",
         "left-of-it", "garbage", "empty"],
)  # fmt: skip
def test_rejects_are_listed_and_the_rest_is_kept(tmp_path: Path, out: Out, make: Any, reason: str) -> None:
    root = tmp_path / "afw"
    source = ibug(root, 2)
    file = make(root)
    dataset, _ = out.convert(source)
    assert [r.id for r in dataset.records] == ["afw-0", "afw-1"], (
        "a face without a label must not be background"
    )
    assert out.rejects() == [(file, reason)]
    assert out.report["reasons"] == {reason: 1}
    assert out.report["totals"] | {"annotations": 3, "faces": 2, "rejects": 1} == out.report["totals"]
    assert out.report["sources"][0]["rejects"][0]["detail"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [(_missing, "missing-image"), (_not_a_picture, "unreadable-image"), (_text("1 2"), "wrong-point-count")],
)
def test_a_source_with_nothing_usable_is_named(tmp_path: Path, out: Out, make: Any, reason: str) -> None:
    good, bad = ibug(tmp_path / "good", 2), tmp_path / "bad"
    bad.mkdir()
    make(bad)
    with pytest.raises(SourceError, match=rf"ibug:{bad}: nothing in it can be used \(1 x {reason}\).*bad"):
        out.convert(good, f"ibug:{bad}")
    assert out.nothing_is_left()


def test_pictures_too_large_are_rejected(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 1)
    save(tmp_path / "afw/big.jpg", 5, width=200, height=200)
    pts(tmp_path / "afw/big.pts", points())
    out.convert(source, max_pixels=20_000)
    assert out.rejects() == [("big.jpg", "unreadable-image")]
    assert "too large: 200 x 200" in out.report["sources"][0]["rejects"][0]["detail"]


def test_background_pictures_are_kept_without_faces(tmp_path: Path, out: Out) -> None:
    source = _as_yolo(tmp_path / "x")
    save(tmp_path / "x/images/empty.png", 2)
    dataset, labels = out.convert(source)
    assert [r.id for r in dataset.records] == ["x-a", "x-empty"]
    assert labels.labels(dataset).of("x-empty") == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/data/afw", "must be one of ibug:DIR, dlib:FILE.xml, coco:FILE.json, yolo:DIR"),
        ("voc:{tmp}", "must be one of ibug:DIR"),
        ("ibug:", "must be one of ibug:DIR"),
        ("ibug:{tmp}/none", "does not exist; ibug:DIR is expected"),
        ("dlib:{tmp}/none.xml", "does not exist; dlib:FILE.xml is expected"),
        ("ibug:{tmp}/file", "is a file; give ibug:DIR"),
        ("coco:{tmp}", "is a folder; give coco:FILE.json"),
        ("ibug:{tmp}/empty", "holds no annotated face"),
        ("yolo:{tmp}/empty", "holds no annotated face"),
        ("dlib:{tmp}/file", "is not an XML file"),
        ("coco:{tmp}/file", "is not a JSON file"),
    ],
)
def test_sources_that_cannot_be_read(tmp_path: Path, out: Out, source: str, message: str) -> None:
    (tmp_path / "file").write_text("?")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        out.convert(source.replace("{tmp}", str(tmp_path)))
    assert out.nothing_is_left()


def test_no_source_and_bad_split(out: Out, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no source given"):
        out.convert()
    with pytest.raises(DatasetError, match=r"split is 80"):
        out.convert(ibug(tmp_path / "x", 1), split=80)


def test_the_result_does_not_depend_on_the_order_of_sources(tmp_path: Path) -> None:
    sources = [
        ibug(tmp_path / "afw", 6),
        ibug(tmp_path / "helen/trainset", 5, first=4),
        _as_coco(tmp_path / "coco"),
    ]
    first, second = Out(tmp_path / "1"), Out(tmp_path / "2")
    a, la = first.convert(*sources, seed=3)
    b, lb = second.convert(*reversed(sources), sources[0], seed=3)
    assert a.records == b.records
    assert a.digest == b.digest
    assert all(la.text(r.id) == lb.text(r.id) for r in a.records)
    assert first.report == second.report
    other, _ = first.convert(*sources, seed=4)
    assert [r.split for r in other.records] != [r.split for r in a.records]


def test_splits_are_by_image_and_source(tmp_path: Path, out: Out) -> None:
    sources = [ibug(tmp_path / "afw", 10), ibug(tmp_path / "lfpw", 25, first=100)]
    for k in range(5):  # copies of AFW in LFPW
        save(tmp_path / f"lfpw/copy{k}.jpg", k)
        pts(tmp_path / f"lfpw/copy{k}.pts", points(60, 20, 30))
    dataset, labels = out.convert(*sources)
    assert len(dataset.records) == 35
    counts = Counter((r.source, r.split) for r in dataset.records)
    assert counts == {("afw", "train"): 8, ("afw", "val"): 2, ("lfpw", "train"): 20, ("lfpw", "val"): 5}
    assert len(labels.labels(dataset)) == 40
    assert len({r.group for r in dataset.records}) == 35
    half, _ = out.convert(*sources, split=0.5)
    assert Counter(r.split for r in half.records) in ({"train": 17, "val": 18}, {"train": 18, "val": 17})


def test_given_splits_are_kept_on_request(tmp_path: Path, out: Out) -> None:
    root = tmp_path / "set"
    ibug(root / "helen/trainset", 4)
    ibug(root / "helen/testset", 3, first=3)  # picture 3 is in both
    ibug(root / "afw", 5, first=10)
    dataset, _ = out.convert(f"ibug:{root}", keep_splits=True)
    split = {r.id: r.split for r in dataset.records}
    assert [split[f"helen-{k}"] for k in range(6) if f"helen-{k}" in split] == ["train"] * 3 + ["val"] * 3
    assert Counter(r.split for r in dataset.records if r.source == "afw") == {"train": 4, "val": 1}


def test_ids_are_unique_and_safe(tmp_path: Path, out: Out) -> None:
    root = tmp_path / "My Set"
    for k, name in enumerate(
        ["a b.jpg", "a-b.jpg", "A-B.jpg", "sub/images/a b.jpg", "日本.jpg", "x" * 180 + ".jpg"]
    ):
        save(root / name, k)
        pts((root / name).with_suffix(".pts"), points())
    dataset, _ = out.convert(f"ibug:{root}")
    ids = [r.id for r in dataset.records]
    assert len({i.lower() for i in ids}) == len(ids) == 6
    assert all(i.isascii() and not set(i) & set(' /\\:"*?<>|') and len(i) < 200 for i in ids)
    assert {"my-set-a-b", "sub-a-b", "my-set-image"} <= {i.lower() for i in ids}


def test_only_a_dataset_is_replaced(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 2)
    out.dataset.mkdir(parents=True)
    (out.dataset / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match=r"holds something else \(no dataset.json\)"):
        out.convert(source)
    (out.dataset / "thesis.txt").unlink()
    out.convert(source)
    info = out.labels / "version.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"version": 2}))
    with pytest.raises(DatasetError, match="grown labels"):
        out.convert(source)
    with pytest.raises(DatasetError, match="in each other"):
        convert([source], tmp_path / "x", tmp_path / "x/labels")


def test_what_was_changed_or_added_after_a_conversion_is_not_replaced(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 2)
    out.convert(source)
    out.convert(source)  # its own work may be made again
    label = next(as_text_files(out.labels).iterdir())
    added = out.dataset / "images" / "ours.txt"
    added.write_text("years of work")
    with pytest.raises(DatasetError, match=r"another origin, images/ours\.txt"):
        out.convert(source)
    added.unlink()
    corrected = label.read_text().replace("0 ", "0 0", 1)
    os.utime(out.labels / "version.json", ns=(1, 1))
    label.write_text(corrected)
    with pytest.raises(DatasetError, match="was changed after the conversion"):
        out.convert(source)
    assert label.read_text() == corrected


def test_an_error_leaves_what_was_there(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 30)
    calls: list[tuple[int, int]] = []

    def fail(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 45:  # while pictures are written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        out.convert(source, progress=fail)
    assert out.nothing_is_left()
    assert calls == [(k, 60) for k in range(1, 46)]
    before, _ = out.convert(source)
    with pytest.raises(KeyboardInterrupt):
        out.convert(source, seed=9, progress=fail)
    assert Dataset.open(out.dataset).digest == before.digest
    assert sorted(p.name for p in out.dataset.parent.iterdir()) == ["dataset", "labels-v0"]


def test_a_killed_conversion_leaves_no_dataset(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 20)
    code = (
        "import sys, time; from pathlib import Path; from lidloop.data.convert import convert\n"
        "def slow(done, total):\n"
        "    if done > 25: print('writing', flush=True); time.sleep(60)\n"
        "convert([sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]), progress=slow)\n"
    )
    command = [sys.executable, "-c", code, source, str(out.dataset), str(out.labels)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert not out.dataset.exists()
    assert not out.labels.exists()
    dataset, _ = out.convert(source)
    assert len(dataset.records) == 20


def test_a_broken_picture_does_not_stop_the_progress(tmp_path: Path, out: Out) -> None:
    source = ibug(tmp_path / "afw", 3)
    (tmp_path / "afw/1.jpg").write_bytes(b"")
    calls: list[tuple[int, int]] = []
    out.convert(source, progress=lambda *call: calls.append(call))
    assert calls == [(1, 6), (2, 6), (3, 6), (4, 5), (5, 5)]


@pytest.mark.skipif("LIDLOOP_300W" not in os.environ, reason="LIDLOOP_300W is not set")
def test_real_faces(out: Out) -> None:
    """AFW, HELEN and LFPW as they are spread: known numbers of annotations, pictures and copies."""
    started = time.perf_counter()
    dataset, labels = out.convert(f"ibug:{os.environ['LIDLOOP_300W']}")
    seconds = time.perf_counter() - started
    rows = {row["name"]: row for row in out.report["sources"]}
    assert {name: row["annotations"] for name, row in rows.items()} == {"afw": 337, "helen": 870, "lfpw": 805}
    assert {name: row["images"] for name, row in rows.items()} == {"afw": 185, "helen": 870, "lfpw": 804}
    assert {name: row["faces"] for name, row in rows.items()} == {"afw": 337, "helen": 870, "lfpw": 804}
    assert out.rejects() == []
    assert [d["file"] for d in rows["lfpw"]["duplicates"]] == ["lfpw/trainset/image_0710.pts"]
    assert len(labels.labels(dataset)) == 2011
    merged = {c["image"]: len(c["files"]) for c in out.report["copies"]}
    assert merged["lfpw-image_0708"] == 2
    assert "lfpw-image_0710" not in dataset.by_id
    counts = Counter((r.source, r.split) for r in dataset.records)
    assert [counts[name, "train"] for name in ("afw", "helen", "lfpw")] == [148, 696, 643]
    assert seconds < 60

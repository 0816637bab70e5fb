"""Tests of the NMS filter: accepted and dropped predictions with reasons; human labels stay unchanged."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.autolabel import candidates, pairwise_iou, priority_nms
from lidloop.autolabel.refine import read_existing, refine
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import read_faces, write_faces
from lidloop.data.version_writer import LEDGER_SCHEMA
from lidloop.errors import DatasetError, LidloopError, SourceError
from lidloop.labels import HUMAN, Face, LabelSet, box_iou, box_of
from tests.label_files import as_text_files
from tests.properties import examples

SIZE = (1000, 800)


def points_in(box: Sequence[float]) -> np.ndarray:
    """51 points whose bounds are ``box``: corners first, the rest on a grid within."""
    x1, y1, x2, y2 = box
    across, down = np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1, 7))
    unit = np.stack([across.ravel(), down.ravel()], axis=1)[:51]
    unit = np.concatenate([[(0, 0), (1, 1)], unit])[:51]
    xy = unit * (x2 - x1, y2 - y1) + (x1, y1)
    return np.concatenate([xy, np.full((51, 1), 2.0)], axis=1)


def face(bounds: Sequence[float], score: float = 0.9, **change: object) -> Face:
    values = {
        "box": np.array(bounds, dtype=float),
        "points": points_in(bounds),
        "origin": 0,
        "score": score,
    } | change
    return Face(**values)  # type: ignore[arg-type]


def human(box: Sequence[float]) -> Face:
    return Face(np.array(box, dtype=float), points_in(box))


def make_dataset(root: Path, names: Sequence[str], size: tuple[int, int] = SIZE) -> Dataset:
    records = [
        ImageRecord(name, f"{name}.png", *size, "val" if k % 3 == 2 else "train", "s", name, name)
        for k, name in enumerate(names)
    ]
    return Dataset.write(root, records, {})


def shard(root: Path, faces: dict[str, list[Face]], *, model: str = "m0", iteration: int = 0) -> Path:
    write_faces(root / "faces.parquet", LabelSet.from_faces(faces), model=model, iteration=str(iteration))
    return root


class Loop:
    """A dataset with one set of labels and predictions, in a folder."""

    def __init__(self, root: Path, labels: dict[str, list[Face]], size: tuple[int, int] = SIZE) -> None:
        self.root = root
        self.dataset = make_dataset(root / "dataset", list(labels), size)
        self.v0 = write_initial(root / "v0", self.dataset, LabelSet.from_faces(labels))

    def refine(self, before: LabelVersion, faces: dict[str, list[Face]], **options: object) -> LabelVersion:
        iteration = int(options.pop("iteration", before.version))  # type: ignore[call-overload]
        faces = {record.id: faces.get(record.id, []) for record in self.dataset.records}
        name = tempfile.mkdtemp(dir=self.root)
        path = shard(Path(name), faces, model=f"m{iteration}", iteration=iteration)
        out = Path(name) / "out"
        return refine(self.dataset, before, [path], out, iteration=iteration, **options)  # type: ignore[arg-type]


def reasons(version: LabelVersion) -> list[str]:
    """Reasons of grown labels and dropped faces in a version of one picture, by falling confidence."""
    rows = version.ledger().to_pylist()
    rows = [r for r in rows if r["reason"] not in ("human", "existing")]
    return [r["reason"] for r in sorted(rows, key=lambda r: -r["confidence"])]


LABEL = (100, 100, 200, 200)
NAN = float("nan")

# Shifting a square of side 100 by 100·(1 − 2t/(1 + t)) gives IoU t; t = 0.3 is shift 7/13 of the side.
ONE_PICTURE = [
    ("no label, no prediction", [], [], {}, []),
    ("no label, one face", [], [face((10, 10, 60, 60))], {}, ["grown"]),
    ("label and nothing predicted", [LABEL], [], {}, []),
    ("same face again", [LABEL], [face(LABEL)], {}, ["overlaps-label"]),
    ("touching only", [LABEL], [face((200, 100, 300, 200))], {}, ["grown"]),
    ("IoU exactly 0.25 at 0.25", [(0, 0, 100, 100)], [face((0, 0, 25, 100))], {"iou": 0.25}, ["grown"]),
    ("IoU 0.26 at 0.25", [(0, 0, 100, 100)], [face((0, 0, 26, 100))], {"iou": 0.25}, ["overlaps-label"]),
    ("IoU exactly 0.3 at 0.3", [(0, 0, 100, 100)], [face((0, 0, 30, 100))], {}, ["grown"]),
    ("IoU 0.301 at 0.3", [(0, 0, 100, 100)], [face((0, 0, 30.1, 100))], {}, ["overlaps-label"]),
    ("any overlap at 0", [LABEL], [face((199, 199, 300, 300))], {"iou": 0.0}, ["overlaps-label"]),
    ("confidence exactly 0.7", [], [face(LABEL, 0.7)], {}, ["grown"]),
    ("confidence under 0.7", [], [face(LABEL, 0.6999)], {}, ["below-confidence"]),
    ("weaker of two", [], [face((105, 100, 205, 200), 0.8), face(LABEL, 0.9)], {},
     ["grown", "overlaps-prediction"]),
    ("a dropped prediction suppresses nothing", [], [face(LABEL, 0.9), face((140, 100, 240, 200), 0.8),
     face((180, 100, 280, 200), 0.75)], {}, ["grown", "overlaps-prediction", "grown"]),
    ("a prediction below confidence suppresses nothing", [], [face(LABEL, 0.71), face(LABEL, 0.69)], {},
     ["grown", "below-confidence"]),
    ("a prediction that overlaps a label suppresses nothing", [LABEL], [face((140, 100, 240, 200), 0.9),
     face((180, 100, 280, 200), 0.8)], {}, ["overlaps-label", "grown"]),
    ("not a number in a point", [], [face(LABEL, points=points_in((NAN, 0, 9, 9)))], {}, ["degenerate"]),
    ("infinite box", [], [face(LABEL, box=np.array([0, 0, np.inf, 9]))], {}, ["degenerate"]),
    ("no area", [], [face((100, 100, 100, 200))], {}, ["degenerate"]),
    ("no area once written", [], [face((100, 100, 100.0004, 200))], {}, ["degenerate"]),
    ("all points beyond the border", [], [face((-300, 100, -200, 200))], {}, ["outside-picture"]),
    ("exactly on the border", [], [face((0, 0, 1000, 800))], {"min_points_inside": 51}, ["grown"]),
    ("a column of points outside", [], [face((-10, 100, 90, 200))], {}, ["grown"]),
    ("the same with all points required", [], [face((-10, 100, 90, 200))], {"min_points_inside": 51},
     ["outside-picture"]),
    ("half outside", [], [face((-50, 100, 50, 200))], {}, ["outside-picture"]),
    ("half outside, paper_exact", [], [face((-50, 100, 50, 200))], {"paper_exact": True}, ["grown"]),
    ("two similar faces, paper_exact", [], [face(LABEL, 0.9), face(LABEL, 0.8)], {"paper_exact": True},
     ["grown", "grown"]),
    ("same face as a label, paper_exact", [LABEL], [face(LABEL)], {"paper_exact": True}, ["overlaps-label"]),
    ("entirely outside, paper_exact", [], [face((-300, 100, -200, 200))],
     {"paper_exact": True}, ["degenerate"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "predictions", "options", "expected"),
    [r[1:] for r in ONE_PICTURE],
    ids=[r[0] for r in ONE_PICTURE],
)
def test_reasons(tmp_path, labels, predictions, options, expected):
    loop = Loop(tmp_path, {"a": [human(box) for box in labels]})
    assert reasons(loop.refine(loop.v0, {"a": predictions}, **options)) == expected


def test_points_outside_are_written_as_zeros_and_excluded_from_the_box(tmp_path):
    loop = Loop(tmp_path, {"a": []})
    cut = face((-10, 100, 90, 200))
    (line,) = loop.refine(loop.v0, {"a": [cut]}).text("a").decode().splitlines()
    values = np.array(line.split()[5:], dtype=float).reshape(51, 3)
    outside = cut.points[:, 0] < 0
    assert 0 < outside.sum() <= 10
    assert (values[outside] == 0).all()
    assert (values[~outside, 2] == 2).all()
    np.testing.assert_allclose(values[~outside, :2] * SIZE, cut.points[~outside, :2], atol=1e-3)
    cx, _, w, _ = (float(v) for v in line.split()[1:5])
    assert (cx - w / 2) * 1000 == pytest.approx(cut.points[~outside, 0].min(), abs=2e-3)


def test_negative_zero_is_written_as_zero(tmp_path):
    loop = Loop(tmp_path, {"a": []})
    at_corner = face((-0.0, -0.0, 50, 50))
    assert (at_corner.points == 0).any()
    for paper_exact in (False, True):
        assert b"-" not in loop.refine(loop.v0, {"a": [at_corner]}, paper_exact=paper_exact).text("a")


def test_paper_exact_moves_points_onto_the_border(tmp_path):
    loop = Loop(tmp_path, {"a": []})
    cut = face((-50, 100, 50, 200), box=np.array([-55.0, 90, 60, 210]))
    version = loop.refine(loop.v0, {"a": [cut]}, paper_exact=True)
    labels = version.labels(loop.dataset)
    np.testing.assert_allclose(labels.boxes[0], [0, 90, 60, 210], atol=1e-3)
    np.testing.assert_allclose(labels.points[0, :, 0], np.maximum(cut.points[:, 0], 0), atol=1e-3)
    assert (labels.points[0, :, 2] == 2).all()


def test_ledger_has_a_complete_row_for_every_face(tmp_path):
    loop = Loop(tmp_path, {"a": [human(LABEL)], "b": [], "c": []})
    version = loop.refine(
        loop.v0,
        {"a": [face((110, 100, 210, 200), 0.8), face((400, 400, 500, 500), 0.95), face(LABEL, 0.5)],
         "c": [face((0, 0, 50, 50), 0.75)]},
    )  # fmt: skip
    table = version.ledger()
    assert table.schema.equals(LEDGER_SCHEMA)
    rows = [
        (r["image"], r["split"], r["line"], r["origin"], r["model"], round(r["confidence"], 3),
         round(r["iou"], 3), r["decision"], r["reason"])
        for r in table.to_pylist()
    ]  # fmt: skip
    assert rows == [
        ("a", "train", 0, HUMAN, "", 1.0, 0.0, "kept", "human"),
        ("a", "train", 1, 0, "m0", 0.95, 0.0, "kept", "grown"),
        ("a", "train", -1, 0, "m0", 0.8, 0.818, "dropped", "overlaps-label"),
        ("a", "train", -1, 0, "m0", 0.5, 1.0, "dropped", "below-confidence"),
        ("c", "val", 0, 0, "m0", 0.75, 0.0, "kept", "grown"),
    ]
    parameters = version.info["parameters"]
    assert parameters["grown"] == 2
    assert parameters["growth"] == 2.0
    assert parameters["dropped"] == {"overlaps-label": 1, "below-confidence": 1}
    assert version.info["counts"] == {"train": {"human": 1, "grown": 1}, "val": {"human": 0, "grown": 1}}
    assert json.loads((version.root / "version.json").read_text())["parameters"] == parameters
    later = loop.refine(version, {"a": [face((700, 500, 800, 600), 0.9)]})
    rows = [(r["image"], r["line"], r["origin"], r["model"], r["reason"]) for r in later.ledger().to_pylist()]
    assert rows == [
        ("a", 0, HUMAN, "", "human"), ("a", 1, 0, "m0", "existing"), ("a", 2, 1, "m1", "grown"),
        ("c", 0, 0, "m0", "existing"),
    ]  # fmt: skip


def test_relabel_replaces_grown_labels_and_records_it(tmp_path):
    loop = Loop(tmp_path, {"a": [human(LABEL)], "b": []})
    first = loop.refine(loop.v0, {"a": [face((400, 400, 500, 500))], "b": [face(LABEL, 0.8)]})
    moved = face((402, 400, 502, 500), 0.85)
    second = loop.refine(first, {"a": [moved]}, retention="relabel")
    assert second.text("a").startswith(loop.v0.text("a"))
    assert second.text("a").count(b"\n") == 2
    assert second.text("b") == b""
    np.testing.assert_allclose(second.labels(loop.dataset).of("a")[1].box, moved.box, atol=1e-3)
    gone = [r for r in second.ledger().to_pylist() if r["reason"] == "relabelled"]
    assert [(r["image"], r["line"], r["origin"], r["model"], r["decision"]) for r in gone] == [
        ("a", -1, 0, "m0", "dropped"), ("b", -1, 0, "m0", "dropped"),
    ]  # fmt: skip
    assert second.info["parameters"]["growth"] == pytest.approx(-1 / 3)
    assert second.info["parameters"]["dropped"] == {"relabelled": 2}
    assert second.info["counts"]["train"] == {"human": 1, "grown": 1}
    kept = loop.refine(first, {"a": [moved]})
    assert reasons(kept) == ["overlaps-label"]


def test_growth_is_undefined_without_labels_before(tmp_path):
    loop = Loop(tmp_path, {"a": []})
    assert loop.refine(loop.v0, {"a": [face(LABEL)]}).info["parameters"]["growth"] is None


# Properties. Coordinates on a coarse grid, so that equal boxes, equal scores and exact thresholds occur.

corner = st.tuples(st.integers(-4, 16), st.integers(-4, 12), st.integers(1, 10), st.integers(1, 10))
boxes = corner.map(lambda c: (c[0] * 50, c[1] * 50, (c[0] + c[2]) * 50, (c[1] + c[3]) * 50))
inner = st.tuples(st.integers(0, 9), st.integers(0, 7), st.integers(1, 9), st.integers(1, 8)).map(
    lambda c: (c[0] * 100, c[1] * 100, min(1000, (c[0] + c[2]) * 100), min(800, (c[1] + c[3]) * 100))
)
scores = st.sampled_from([0.2, 0.7, 0.8, 0.8001, 0.9, 1.0])
odd = st.floats(-200, 1200, width=32) | st.sampled_from([float("nan"), float("inf")])


@st.composite
def predicted(draw: st.DrawFn) -> Face:
    box = np.array(draw(boxes), dtype=np.float32).astype(float)
    points = points_in(box)
    if draw(st.booleans()):
        points[draw(st.integers(0, 50)), draw(st.integers(0, 1))] = draw(odd)
    return Face(box, points.astype(np.float32).astype(float), 0, float(np.float32(draw(scores))))


pictures = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.lists(inner, max_size=3), st.lists(predicted(), max_size=7)),
    min_size=1,
)
thresholds = st.sampled_from([0.0, 0.3, 0.5])


def oracle(loop: Loop, faces: dict[str, list[Face]], iou: float, *, among: bool = True) -> dict[str, set]:
    """Greedy NMS by definition, on boxes of points rounded to six decimals; O(n²) with ``box_iou``."""
    kept: dict[str, set] = {}
    for record in loop.dataset.records:
        there = [f.box for f in loop.v0.labels(loop.dataset).of(record.id)]
        queue = []
        for one in faces.get(record.id, []):
            if not (np.isfinite(one.points).all() and one.score >= np.float32(0.7)):
                continue
            inside = ((one.points[:, :2] >= 0) & (one.points[:, :2] <= SIZE)).all(axis=1)
            if inside.sum() < candidates.MIN_POINTS_INSIDE and among:
                continue
            clipped = np.clip(one.box, 0, [*SIZE, *SIZE])
            seen = np.where(inside[:, None], one.points, 0)
            bounds = box_of(seen) if among else clipped
            grid = [
                round(v * 1e6) for v in (bounds / [*SIZE, *SIZE]).tolist()
            ]  # six decimals; halves to even
            cx, cy = round((grid[0] + grid[2]) / 2) / 1e6, round((grid[1] + grid[3]) / 2) / 1e6
            w, h = (grid[2] - grid[0]) / 1e6, (grid[3] - grid[1]) / 1e6
            if w <= 0 or h <= 0:
                continue
            box = np.array([(cx - w / 2) * 1000, (cy - h / 2) * 800, (cx + w / 2) * 1000, (cy + h / 2) * 800])
            queue.append((-one.score, *box, *one.points.ravel()))
        kept[record.id] = set()
        for item in sorted(queue):
            box = np.array(item[1:5])
            if all(box_iou(box[None], other[None])[0, 0] <= iou for other in there):
                kept[record.id].add((round(-item[0], 5), *np.round(box, 2)))
                if among:
                    there.append(box)
    return kept


def grown_of(version: LabelVersion, dataset: Dataset) -> dict[str, set]:
    labels = version.labels(dataset)
    return {
        r.id: {(round(f.score, 5), *np.round(f.box, 2)) for f in labels.of(r.id) if f.origin != HUMAN}
        for r in dataset.records
    }


@examples(50)
@given(pictures, thresholds, st.booleans())
def test_filter_equals_greedy_nms_by_definition(given_, iou, paper_exact):
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(Path(folder), {k: [human(b) for b in v[0]] for k, v in given_.items()})
        faces = {k: v[1] for k, v in given_.items()}
        version = loop.refine(loop.v0, faces, iou=iou, paper_exact=paper_exact)
        assert grown_of(version, loop.dataset) == oracle(loop, faces, iou, among=not paper_exact)
        rows = version.ledger().num_rows
        assert rows == sum(len(v[0]) + len(v[1]) for v in given_.values())


@examples(20)
@given(pictures, thresholds, st.sampled_from(["accumulate", "relabel"]), st.data())
def test_invariants_over_several_versions(given_, iou, retention, data):
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(Path(folder), {k: [human(b) for b in v[0]] for k, v in given_.items()})
        faces = {k: v[1] for k, v in given_.items()}
        version = loop.v0
        for _ in range(3):
            before = version
            version = loop.refine(before, faces, iou=iou, retention=retention)
            for record in loop.dataset.records:
                text = version.text(record.id)
                assert text.startswith(loop.v0.text(record.id)), "a human label changed"
                if retention == "accumulate":
                    assert text.startswith(before.text(record.id)), "a kept label changed"
            nothing_overlaps(version, loop.dataset, iou)
            again = loop.refine(version, faces, iou=iou, retention=retention)
            for record in loop.dataset.records:
                assert again.text(record.id) == version.text(record.id), "running twice added something"
            shuffled = {k: data.draw(st.permutations(v)) for k, v in reversed(faces.items())}
            other = loop.refine(before, shuffled, iou=iou, retention=retention)
            for record in loop.dataset.records:
                assert other.text(record.id) == version.text(record.id), "the order of input mattered"
            assert Counter(map(str, other.ledger().to_pylist())) == Counter(
                map(str, version.ledger().to_pylist())
            )
            faces = {k: data.draw(st.lists(predicted(), max_size=4)) for k in given_}


def nothing_overlaps(version: LabelVersion, dataset: Dataset, iou: float) -> None:
    labels = version.labels(dataset)
    for record in dataset.records:
        rows = np.flatnonzero(labels.image == labels.images.index(record.id))
        value = box_iou(labels.boxes[rows], labels.boxes[rows])
        grown = labels.origin[rows] != HUMAN
        either = grown[:, None] | grown[None, :]
        np.fill_diagonal(either, False)
        assert not (either & (value > iou)).any()


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 5), boxes), max_size=25), st.integers(0, 2**32 - 1))
def test_label_iou_and_pairs_equal_box_iou(rows, seed):
    rng = np.random.default_rng(seed)
    image = np.array([r[0] for r in rows], dtype=np.int64)
    given_boxes = np.array([r[1] for r in rows], dtype=float).reshape(-1, 4) * rng.uniform(0.5, 2)
    label = rng.random(len(rows)) < 0.4
    result = priority_nms.priority_nms(
        image[label], given_boxes[label], image[~label], given_boxes[~label], np.ones((~label).sum()), iou=0.3
    )
    same = image[~label][:, None] == image[label][None, :]
    value = np.where(same, box_iou(given_boxes[~label], given_boxes[label]), 0)
    np.testing.assert_array_equal(result.label_iou, value.max(axis=1, initial=0))
    np.testing.assert_array_equal(result.decision == priority_nms.OVERLAPS_LABEL, result.label_iou > 0.3)
    assert not np.signbit(result.label_iou).any()


@pytest.mark.parametrize("work", [1, 3, 20])
def test_result_does_not_depend_on_the_chunk_size(monkeypatch, work):
    rng = np.random.default_rng(2)
    image, label_image = rng.integers(0, 9, 60), rng.integers(0, 7, 30)
    drawn = rng.uniform(0, 60, (90, 2))
    drawn = np.concatenate([drawn, drawn + rng.uniform(10, 40, (90, 2))], axis=1)
    score = rng.choice([0.7, 0.8, 0.9], 60)

    def decide() -> priority_nms.NmsResult:
        return priority_nms.priority_nms(label_image, drawn[60:], image, drawn[:60], score, iou=0.1)

    whole = decide()
    assert set(whole.decision.tolist()) == {
        priority_nms.KEPT,
        priority_nms.OVERLAPS_LABEL,
        priority_nms.OVERLAPS_PREDICTION,
    }
    monkeypatch.setattr(pairwise_iou, "_WORK", work)
    cut = decide()
    np.testing.assert_array_equal(cut.decision, whole.decision)
    np.testing.assert_array_equal(cut.label_iou, whole.label_iou)


def test_a_long_chain_of_overlaps_is_resolved_by_priority():
    n = 301
    chain = np.stack([np.arange(n) * 40.0, np.zeros(n), np.arange(n) * 40.0 + 100, np.full(n, 100.0)], axis=1)
    zero = np.zeros(n, dtype=np.int64)
    result = priority_nms.priority_nms(zero[:0], chain[:0], zero, chain, np.linspace(1, 0.8, n), iou=0.3)
    assert (
        result.decision == np.where(np.arange(n) % 2, priority_nms.OVERLAPS_PREDICTION, priority_nms.KEPT)
    ).all()


def test_priority_order_distinguishes_nan_from_infinity():
    group = [face((0, 0, 50, 50), points=np.full((51, 3), value)) for value in (np.inf, NAN)]
    ordered = []
    for faces in (group, group[::-1]):
        labels = LabelSet.from_faces({"a": faces})
        order = priority_nms.priority_order(labels.image, labels.score, labels.boxes, labels.points)
        ordered.append(labels.points[order])
    np.testing.assert_array_equal(ordered[0], ordered[1])


@examples(100)
@given(st.lists(predicted(), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_priority_order_does_not_depend_on_the_order_of_input(faces, random):
    def ordered(group: list[Face]) -> list[bytes]:
        labels = LabelSet.from_faces({"a": group})
        order = priority_nms.priority_order(labels.image, labels.score, labels.boxes, labels.points)
        assert sorted(order.tolist()) == list(range(len(group)))
        assert (np.diff(labels.score[order]) <= 0).all()
        # + 0.0: -0.0 is equal to 0.0, and neither goes first.
        return [(labels.boxes[k] + 0.0).tobytes() + (labels.points[k] + 0.0).tobytes() for k in order]

    shuffled = faces * 2
    random.shuffle(shuffled)
    assert ordered(faces * 2) == ordered(shuffled)


def test_several_shards_equal_one_shard(tmp_path):
    names = ["a", "b", "c", "d"]
    loop = Loop(tmp_path, {name: [human(LABEL)] for name in names})
    faces = {name: [face((300 + 10 * k, 300, 400, 400)), face(LABEL)] for k, name in enumerate(names)}
    whole = loop.refine(loop.v0, faces)
    parts = [shard(tmp_path / f"s{k}", {name: faces[name] for name in names[k::2]}) for k in (1, 0)]
    split = refine(loop.dataset, loop.v0, parts, tmp_path / "split", iteration=0)
    assert [split.text(name) for name in names] == [whole.text(name) for name in names]
    assert split.ledger().equals(whole.ledger())


BAD_SHARDS = [
    ("none", [], "no predictions"),
    ("one missing", [({"a": []}, {})], "b for one"),
    ("a picture twice", [({"a": [], "b": []}, {}), ({"b": []}, {})], "picture b is in both"),
    ("an unknown picture", [({"a": [], "b": [], "z": []}, {})], "picture z"),
    ("two models", [({"a": []}, {}), ({"b": []}, {"model": "other"})], "more than one model"),
    ("another iteration", [({"a": [], "b": []}, {"iteration": 3})], "of iteration 3, not 0"),
    ("no model", [({"a": [], "b": []}, {"model": ""})], "digest of their model"),
]


@pytest.mark.parametrize(("parts", "message"), [r[1:] for r in BAD_SHARDS], ids=[r[0] for r in BAD_SHARDS])
def test_inconsistent_shards_are_rejected(tmp_path, parts, message):
    loop = Loop(tmp_path, {"a": [], "b": []})
    paths = [shard(tmp_path / f"s{k}", faces, **change) for k, (faces, change) in enumerate(parts)]
    with pytest.raises(DatasetError, match=message):
        refine(loop.dataset, loop.v0, paths, tmp_path / "out", iteration=0)
    assert not (tmp_path / "out").exists()


def test_missing_shards_and_other_datasets_are_rejected(tmp_path):
    loop = Loop(tmp_path, {"a": []})
    with pytest.raises(DatasetError, match=r"faces\.parquet"):
        refine(loop.dataset, loop.v0, [tmp_path / "nowhere"], tmp_path / "out", iteration=0)
    other = Loop(tmp_path / "other", {"a": [], "b": []})
    path = shard(tmp_path / "s", {"a": []})
    with pytest.raises(DatasetError, match="another dataset"):
        refine(loop.dataset, other.v0, [path], tmp_path / "out", iteration=0)
    faces, _ = read_faces(path / "faces.parquet")
    write_faces(path / "faces.parquet", faces, model="m0", iteration="0", dataset="0" * 64)
    with pytest.raises(DatasetError, match="another dataset"):
        refine(loop.dataset, loop.v0, [path], tmp_path / "out", iteration=0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda text: text + text, DatasetError, "the ledger keeps 1 lines"),
        (lambda text: b"", DatasetError, "the ledger keeps 1 lines"),
        (lambda text: b"0 0.5 0.5\n", SourceError, "fields"),
        (lambda text: b"0 x" + text[3:], DatasetError, "numbers"),
        (lambda text: b"0 nan" + text[10:], DatasetError, "not finite"),
    ],
    ids=["line added", "line lost", "line cut short", "not a number", "nan"],
)
def test_label_text_that_does_not_match_the_ledger_is_rejected(tmp_path, change, error, message):
    loop = Loop(tmp_path, {"a": [human(LABEL)]})
    path = as_text_files(loop.v0.root) / "a.txt"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(error, match=message):
        loop.refine(loop.v0, {"a": []})


@pytest.mark.parametrize(
    "option",
    [{"conf": 1.5}, {"iou": 1.0}, {"iou": -0.1}, {"retention": "all"}, {"min_points_inside": 0}],
    ids=str,
)
def test_settings_out_of_range_are_rejected(tmp_path, option):
    loop = Loop(tmp_path, {"a": []})
    with pytest.raises(LidloopError, match=next(iter(option))):
        loop.refine(loop.v0, {}, **option)


def test_the_previous_version_is_not_overwritten(tmp_path):
    loop = Loop(tmp_path, {"a": [human(LABEL)]})
    path = shard(tmp_path / "s", {"a": []})
    with pytest.raises(LidloopError, match="previous version"):
        refine(loop.dataset, loop.v0, [path], loop.v0.root, iteration=0)
    assert loop.v0.text("a")


def test_a_version_of_text_files_is_refined_into_a_packed_one(tmp_path):
    loop = Loop(tmp_path, {"a": [human(LABEL)], "b": [human(LABEL)]})
    lines = {name: loop.v0.text(name) for name in "ab"}
    as_text_files(loop.v0.root)
    version = loop.refine(LabelVersion.open(loop.v0.root), {"b": [face((300, 300, 400, 400))]})
    assert version.text("a") == lines["a"]
    assert version.text("b").startswith(lines["b"])
    assert version.text("b").count(b"\n") == 2
    assert not (version.root / "text").exists()


def test_existing_boxes_equal_those_of_the_label_reader(tmp_path):
    rng = np.random.default_rng(0)
    groups = {}
    for name in "abc":
        low = rng.uniform(0, 400, (4, 2))
        groups[name] = [human((*a, *(a + rng.uniform(20, 300, 2)))) for a in low]
    loop = Loop(tmp_path, groups, size=(1237, 911))
    existing, labels = read_existing(loop.dataset, loop.v0), loop.v0.labels(loop.dataset)
    np.testing.assert_array_equal(existing.boxes, labels.boxes)
    np.testing.assert_array_equal(existing.image, labels.image)


def test_grown_boxes_are_read_back_bit_identical(tmp_path):
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 900, (40, 2))
    raw = [face((*a, *(a + rng.uniform(5, 30, 2))), 0.9 - k / 1000) for k, a in enumerate(low)]
    size = np.array([[1237.0, 911.0]])
    loop = Loop(tmp_path, {"a": []}, size=(1237, 911))
    version = loop.refine(loop.v0, {"a": raw})
    labels = LabelSet.from_faces({"a": raw})
    stored = LabelSet(
        labels.images, labels.image, labels.boxes,
        labels.points.astype(np.float32).astype(float), labels.origin, labels.score,
    )  # fmt: skip
    found = candidates.find_candidates(stored, size)
    read = version.labels(loop.dataset)
    assert len(read) > 20
    assert {box.tobytes() for box in read.boxes} <= {box.tobytes() for box in found.boxes}


@examples(8)
@given(
    seed=st.integers(0, 2**32 - 1), block=st.integers(1, 9), shards=st.integers(1, 4),
    retention=st.sampled_from(["accumulate", "relabel"]),
)  # fmt: skip
def test_any_partition_into_blocks_and_shards_gives_the_same_version(seed, block, shards, retention):
    """One block of all pictures is what the filter did before there were blocks."""
    rng = np.random.default_rng(seed)
    names = [f"{k:02d}" for k in range(8)]

    def boxes(n):
        low = rng.uniform(0, 500, (n, 2))
        return [(*a, *(a + rng.uniform(20, 200, 2))) for a in low]

    def shard_of(root, group):
        return shard(root, {name: found[name] for name in group})

    labels = {name: [human(box) for box in boxes(int(rng.integers(0, 3)))] for name in names}
    found = {name: [face(box, rng.choice([0.5, 0.8, 0.9])) for box in boxes(4)] for name in names}
    owner = rng.integers(0, shards, len(names))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        loop = Loop(root, labels)
        groups = [[name for name, o in zip(names, owner, strict=True) if o == s] for s in range(shards)]
        parts = [shard_of(root / f"s{k}", group) for k, group in enumerate(groups)]
        whole = shard_of(root / "whole", names)
        one = refine(loop.dataset, loop.v0, [whole], root / "one", iteration=0, retention=retention)
        patch.setattr("lidloop.data.dataset.BLOCK", block)
        mixed = [parts[k] for k in rng.permutation(shards)]
        many = refine(loop.dataset, loop.v0, mixed, root / "many", iteration=0, retention=retention)
        assert many.info == one.info
        assert many.ledger().to_pylist() == one.ledger().to_pylist()
        assert [many.text(name) for name in names] == [one.text(name) for name in names]

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lidloop.data import dataset as ds
from lidloop.data.dataset import Dataset, LabelVersion, write_initial, write_next
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import read_table, write_faces
from lidloop.errors import DatasetError, LidloopError
from lidloop.evaluation.evaluate import (
    DEFAULT_SIGMA,
    Evaluation,
    Metrics,
    evaluate,
    evaluate_iteration,
    read_evaluation,
)
from lidloop.labels import HUMAN, Face, LabelSet, box_of, concat
from lidloop.landmarks import LEFT_EYE, N_POINTS, RIGHT_EYE, outer_canthal_distance
from tests.properties import examples

SHAPE = np.random.default_rng(7).uniform(0, 100, (N_POINTS, 2)).round(2)
SHAPE[[LEFT_EYE.outer, RIGHT_EYE.outer]] = (0, 40), (100, 40)
SHAPE[0], SHAPE[50] = (10, 0), (90, 100)
"""A face whose box is 0, 0, 100, 100 and whose outer canthi are 100 px apart."""


def face(
    x: float = 0,
    y: float = 0,
    *,
    score: float = 1.0,
    lid: float = 0,
    hidden: Sequence[int] = (),
    origin: int = HUMAN,
) -> Face:
    """SHAPE moved by (x, y); both lids ``lid`` px further open; the points ``hidden`` written as 0 0 0."""
    points = np.concatenate([SHAPE + np.array([x, y]), np.full((N_POINTS, 1), 2.0)], axis=1)
    for eye in (LEFT_EYE, RIGHT_EYE):
        for upper, lower in eye.lid_pairs:
            along = points[upper, :2] - points[lower, :2]
            points[upper, :2] += along / np.linalg.norm(along) * lid
    box = np.array([x, y, x + 100, y + 100], dtype=np.float64)
    points[list(hidden)] = 0
    return Face(box, points, origin, score)


def by_hand(
    predicted: Mapping[str, Sequence[Face]], true: Mapping[str, Sequence[Face]], **options: Any
) -> Metrics:
    images = list(true)
    return evaluate(
        LabelSet.from_faces(predicted), LabelSet.from_faces(true, images=images), **options
    ).overall


SHIFTED = {"mse_px2": 25.0, "nme_mean": 0.05, "nme_median": 0.05, "nme_failure8": 0.0, "nme_auc8": 0.375}
UNDEFINED = dict.fromkeys(
    ("mse_px2", "nme_mean", "nme_median", "nme_auc8", "nme_failure8", "lid_error_mean", "lid_error_median")
)
ALL_AP = ("box_ap50", "box_ap50_95", "pose_ap50", "pose_ap50_95")


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        pytest.param(
            {"a": [face(score=0.9)]}, {"a": [face()]},
            {"faces": 1, "predictions": 1, "matched": 1, "missed": 0, "precision": 1, "recall": 1,
             **dict.fromkeys(ALL_AP, 1.0), "mse_px2": 0, "nme_mean": 0, "nme_auc8": 1, "nme_failure8": 0,
             "lid_error_mean": 0, "lid_eyes": 2, "nme_faces": 1},
            id="a perfect prediction",
        ),
        pytest.param(
            {"a": [face(score=0.9)]}, {"a": [face(), face(200)]},
            {"faces": 2, "predictions": 1, "matched": 1, "missed": 1, "precision": 1, "recall": 0.5,
             **dict.fromkeys(ALL_AP, 51 / 101), "nme_mean": 0, "nme_failure8": 0, "nme_faces": 1},
            id="one missed: recall and AP fall, the errors are of the matched one only",
        ),
        pytest.param(
            {"a": [face(score=0.9), face(200, score=0.95)]}, {"a": [face()]},
            {"predictions": 2, "matched": 1, "missed": 0, "precision": 0.5, "recall": 1,
             **dict.fromkeys(ALL_AP, 0.5)},
            id="one extra, surer than the right one: AP halves",
        ),
        pytest.param(
            {"a": [face(score=0.9), face(200, score=0.1)]}, {"a": [face()]},
            {"predictions": 1, "precision": 1, "recall": 1, **dict.fromkeys(ALL_AP, 1.0)},
            id="an extra under the threshold counts nowhere",
        ),
        pytest.param(
            {"a": [face(score=0.1)]}, {"a": [face()]},
            {"predictions": 0, "matched": 0, "missed": 1, "precision": None, "recall": 0,
             **dict.fromkeys(ALL_AP, 1.0), **UNDEFINED},
            id="a right one under the threshold counts for AP alone",
        ),
        pytest.param(
            {"a": [face(score=0.25)]}, {"a": [face()]},
            {"predictions": 1, "matched": 1}, id="a score on the threshold counts",
        ),
        pytest.param(
            {"a": [face(3, 4, score=0.9), face(score=0.8)]}, {"a": [face()]},
            {"predictions": 2, "matched": 1, "precision": 0.5, "recall": 1, "box_ap50": 1.0, **SHIFTED},
            id="a duplicate: the surer one is matched, though the other is nearer",
        ),
        pytest.param(
            {"a": [face(3, 4, score=0.9)]}, {"a": [face()]},
            # IoU 97 * 96 / (20000 - 97 * 96) = 0.871: right at 8 of 10 thresholds.
            {"box_ap50": 1.0, "box_ap50_95": 0.8, **SHIFTED, "lid_error_mean": 0},
            id="shifted by 5 px of 100",
        ),
        pytest.param(
            {"a": [face(8, 6, score=0.9)]}, {"a": [face()]},
            {"mse_px2": 100, "nme_mean": 0.1, "nme_failure8": 1, "nme_auc8": 0},
            id="shifted by 10 px of 100: a failure",
        ),
        pytest.param(
            {"a": [face(score=0.9), face(3, 4, score=0.8)], "b": [face(8, 6, score=0.7)]},
            {"a": [face(), face(300)], "b": [face(), face(300, 300)]},
            {"faces": 4, "predictions": 3, "matched": 2, "missed": 2, "precision": 2 / 3, "recall": 0.5,
             "mse_px2": 50, "nme_mean": 0.05, "nme_median": 0.05, "nme_failure8": 0.5},
            id="the failure rate is over matched faces; missed ones are counted apart",
        ),
        pytest.param(
            {"a": [face(score=0.9, lid=4)]}, {"a": [face()]},
            {"lid_error_mean": 0.04, "lid_error_median": 0.04, "lid_eyes": 2, "mse_px2": 4 * 16 / N_POINTS},
            id="lids 4 px too far open",
        ),
        pytest.param(
            {"a": [face(3, 4, score=0.9)]}, {"a": [face(hidden=range(31, 51))]},
            {**SHIFTED, "lid_eyes": 2}, id="hidden lips count nowhere",
        ),
        pytest.param(
            {"a": [face(3, 4, score=0.9)]}, {"a": [face(hidden=[LEFT_EYE.outer])]},
            {"matched": 1, "mse_px2": 25, "nme_faces": 0, "nme_mean": None, "nme_failure8": None,
             "lid_eyes": 0},
            id="no outer canthus, no scale: MSE alone",
        ),
        pytest.param(
            {"a": [face(3, 4, score=0.9)]}, {"a": [face(hidden=[RIGHT_EYE.lid_pairs[0][0]])]},
            {**SHIFTED, "lid_eyes": 1}, id="one lid hidden: the other eye is measured",
        ),
        pytest.param(
            {"a": [face(score=0.9), face(300, score=0.8)]},
            {"a": [face(), face(300, hidden=range(N_POINTS))]},
            {"faces": 2, "matched": 2, **dict.fromkeys(ALL_AP, 1.0), "nme_faces": 1},
            id="a face without a visible point is ignored in pose AP, not in box AP",
        ),
        pytest.param(
            {"a": [face(-40, -40, score=0.9)]}, {"a": [face(-40, -40)]},
            {"box_ap50_95": 1.0, "nme_mean": 0}, id="outside the picture: nothing is clipped",
        ),
        pytest.param(
            {}, {"a": [face()], "b": []},
            {"faces": 1, "predictions": 0, "missed": 1, "precision": None, "recall": 0,
             **dict.fromkeys(ALL_AP, 0.0), **UNDEFINED},
            id="no predictions",
        ),
        pytest.param(
            {"a": [face(score=0.9)]}, {"a": [], "b": []},
            {"faces": 0, "predictions": 1, "precision": 0, "recall": None, **dict.fromkeys(ALL_AP),
             **UNDEFINED},
            id="no true faces",
        ),
        pytest.param(
            {}, {},
            {"faces": 0, "predictions": 0, "matched": 0, "missed": 0, "precision": None, "recall": None,
             **dict.fromkeys(ALL_AP), **UNDEFINED},
            id="nothing at all",
        ),
        pytest.param(
            {"b": [face(score=0.9)]}, {"a": [face()], "b": []},
            {"matched": 0, "precision": 0, "recall": 0, "box_ap50": 0},
            id="the right place in another picture",
        ),
    ],
)  # fmt: skip
def test_by_hand(
    predicted: dict[str, list[Face]], true: dict[str, list[Face]], expected: dict[str, float | None]
) -> None:
    got = by_hand(predicted, true).to_dict()
    assert {name: got[name] for name in expected} == {
        name: value if value is None else pytest.approx(value) for name, value in expected.items()
    }
    json.dumps(got, allow_nan=False)


@pytest.mark.parametrize(("sigma", "right"), [(0.03, 1), (0.05, 6), (0.2, 10)])
def test_pose_ap_depends_on_the_stated_sigma(sigma: float, right: int) -> None:
    oks = np.exp(-25 / (2 * (2 * sigma) ** 2 * 5300))
    assert np.count_nonzero(np.arange(50, 100, 5) / 100 <= oks) == right
    got = by_hand({"a": [face(3, 4, score=0.9)]}, {"a": [face()]}, sigma=sigma)
    assert got.pose_ap50_95 == pytest.approx(right / 10)
    assert got.box_ap50_95 == pytest.approx(0.8)


def test_only_the_hundred_predictions_of_highest_score_per_picture_count() -> None:
    extras = [face(1000 + 200 * k, score=0.5) for k in range(100)]
    true = {"a": [face()]}
    assert by_hand({"a": [*extras, face(score=0.4)]}, true).recall == 0
    assert by_hand({"a": [*extras[1:], face(score=0.4)]}, true).recall == 1


class TestSources:
    TRUE = {"a": [face()], "b": [face(), face(300)], "c": []}  # noqa: RUF012
    FOUND = {"a": [face(3, 4, score=0.9)], "b": [face(score=0.6), face(600, score=0.7)], "c": [face()]}  # noqa: RUF012

    def test_metrics_of_a_source_equal_those_of_its_pictures_alone(self) -> None:
        truth, found = LabelSet.from_faces(self.TRUE), LabelSet.from_faces(self.FOUND)
        got = evaluate(found, truth, sources={"a": "afw", "b": "helen", "c": "helen"})
        assert list(got.by_source) == ["afw", "helen"]
        alone = {
            "afw": evaluate(found.reindex(["a"]), truth.reindex(["a"])),
            "helen": evaluate(found.reindex(["b", "c"]), truth.reindex(["b", "c"])),
        }
        for name, other in alone.items():
            assert got.by_source[name] == other.overall
        assert got.by_source["afw"] != got.by_source["helen"]
        assert got.overall.faces == 3

    def test_by_source_is_empty_without_sources(self) -> None:
        truth = LabelSet.from_faces(self.TRUE)
        assert evaluate(truth, truth).by_source == {}


class TestRefusals:
    def test_predictions_on_a_picture_missing_in_the_truth_are_rejected(self) -> None:
        with pytest.raises(LidloopError, match="'b'"):
            by_hand({"b": [face()]}, {"a": [face()]})

    def test_an_unknown_picture_without_predictions_is_accepted(self) -> None:
        found = LabelSet.from_faces({"a": [face()]}, images=["a", "elsewhere"])
        assert evaluate(found, LabelSet.from_faces({"a": [face()]})).overall.recall == 1

    def test_a_picture_without_a_source_is_rejected(self) -> None:
        with pytest.raises(LidloopError, match="'b'"):
            by_hand({}, {"a": [face()], "b": []}, sources={"a": "afw"})

    @pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_sigma_that_is_not_positive_is_rejected(self, sigma: float) -> None:
        with pytest.raises(LidloopError, match="sigma"):
            by_hand({}, {"a": [face()]}, sigma=sigma)

    @pytest.mark.parametrize("where", ["box", "points", "score"])
    def test_values_that_are_not_finite_are_rejected(self, where: str) -> None:
        good = face()
        bad = Face(good.box.copy(), good.points.copy(), score=float("nan") if where == "score" else 1.0)
        if where != "score":
            getattr(bad, where).flat[2] = np.nan
        with pytest.raises(LidloopError, match="predictions of 'a'"):
            by_hand({"a": [bad]}, {"a": [good]})
        with pytest.raises(LidloopError, match="labels of 'a'"):
            by_hand({"a": [good]}, {"a": [bad]})


# -- comparison with pycocotools ---------------------------------------------------------------------------


def in_file_order(labels: LabelSet) -> LabelSet:
    """Rows sorted by image name, box and points: pycocotools breaks ties by the order of its file."""
    names = sorted(labels.images)
    rows = labels.reindex(names)
    keys = [(int(rows.image[k]), *rows.boxes[k], *rows.points[k].ravel()) for k in range(len(rows))]
    return rows.select(np.array(sorted(range(len(rows)), key=keys.__getitem__), dtype=np.int64))


def coco_ap(predictions: LabelSet, truth: LabelSet, kind: str, *, sigma: float) -> tuple[float, float]:
    """AP50 and AP50:95 by pycocotools, -1 if undefined; rows are sorted, so that ties are broken as here."""
    predictions, truth = in_file_order(predictions), in_file_order(truth)
    wh = lambda box: [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]  # noqa: E731
    annotations = []
    for k in range(len(truth)):
        x, y, w, h = wh(truth.boxes[k])
        annotations.append(
            {"id": k + 1, "image_id": int(truth.image[k]) + 1, "category_id": 1, "iscrowd": 0,
             "bbox": [x, y, w, h], "area": 0.53 * w * h, "keypoints": truth.points[k].ravel().tolist(),
             "num_keypoints": int((truth.points[k, :, 2] > 0).sum())}
        )  # fmt: skip
    results = [
        {"image_id": int(predictions.image[k]) + 1, "category_id": 1, "score": float(predictions.score[k]),
         **({"bbox": wh(predictions.boxes[k])} if kind == "bbox"
            else {"keypoints": predictions.points[k].ravel().tolist()})}
        for k in range(len(predictions))
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": k + 1} for k in range(len(truth.images))],
            "categories": [{"id": 1, "name": "face"}],
            "annotations": annotations,
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), kind)
        judge.params.maxDets = [100]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        if kind == "keypoints":
            judge.params.kpt_oks_sigmas = np.full(N_POINTS, sigma)
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, 0, 0, 0]
    return float(precision[0].mean()), float(precision.mean())


def scene(seed: int, *, pictures: int, coarse: bool, blind: float = 0.15) -> tuple[LabelSet, LabelSet]:
    """Random truths, some overlapping, some with hidden points, and predictions: near ones, duplicates and
    false ones.

    Args:
        coarse: round boxes and scores, so that many of them tie.
        blind: share of the truths without a visible point, which tie in OKS.
    """
    rng = np.random.default_rng(seed)
    images = [f"p{k}" for k in range(pictures)]
    true: dict[str, list[Face]] = {name: [] for name in images}
    found: dict[str, list[Face]] = {name: [] for name in images}
    for name in images:
        for _ in range(rng.integers(0, 5)):
            size = rng.integers(20, 90)
            corner = rng.integers(0, 100, 2)
            xy = (corner + rng.uniform(0, 1, (N_POINTS, 2)) * size).round(3)
            visible = np.where(rng.uniform(size=(N_POINTS, 1)) < rng.choice([0, 0.3]), 0, rng.integers(1, 3))
            points = np.concatenate([xy, visible], axis=1).astype(np.float64)
            if rng.uniform() < blind:
                points[:] = 0
            box = np.array([*corner, *(corner + size)], dtype=np.float64)
            true[name].append(Face(box, points))
            for _ in range(rng.integers(0, 4)):
                noise = rng.choice([0.5, 3, 12])
                seen = np.concatenate(
                    [xy + rng.normal(0, noise, xy.shape), np.full((N_POINTS, 1), 2)], axis=1
                )
                near = box + rng.normal(0, noise, 4)
                near = near.round() if coarse else near
                if (near[2:] <= near[:2]).any():
                    continue
                score = rng.uniform(0.01, 1)
                found[name].append(Face(near, seen, 0, round(score, 1) if coarse else score))
        for _ in range(rng.integers(0, 2)):
            false = np.concatenate([rng.uniform(0, 200, (N_POINTS, 2)), np.full((N_POINTS, 1), 2)], axis=1)
            found[name].append(Face(box_of(false), false, 0, rng.uniform(0.01, 1)))
    return LabelSet.from_faces(found, images), LabelSet.from_faces(true, images)


@examples(60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
    st.booleans(),
    st.sampled_from([DEFAULT_SIGMA, 0.06, 0.1, 0.4]),
    st.sampled_from([0.15, 0.6]),
)
def test_average_precision_equals_pycocotools(
    seed: int, pictures: int, coarse: bool, sigma: float, blind: float
) -> None:
    found, truth = scene(seed, pictures=pictures, coarse=coarse, blind=blind)
    if not len(found):  # pycocotools cannot load an empty result
        return
    got = evaluate(found, truth, sigma=sigma).overall
    for kind, pair in (
        ("bbox", (got.box_ap50, got.box_ap50_95)),
        ("keypoints", (got.pose_ap50, got.pose_ap50_95)),
    ):
        expected = coco_ap(found, truth, kind, sigma=sigma)
        mine = tuple(-1.0 if value is None else value for value in pair)
        assert mine == pytest.approx(expected, abs=1e-6), kind


def test_average_precision_of_many_faces_equals_pycocotools() -> None:
    found, truth = scene(1, pictures=150, coarse=True)
    got = evaluate(found, truth, sigma=0.06).overall
    assert (got.box_ap50, got.box_ap50_95) == pytest.approx(
        coco_ap(found, truth, "bbox", sigma=0.06), abs=1e-6
    )
    assert (got.pose_ap50, got.pose_ap50_95) == pytest.approx(
        coco_ap(found, truth, "keypoints", sigma=0.06), abs=1e-6
    )
    assert 0.1 < (got.pose_ap50 or 0) < 0.95  # else it would compare nothing


def shuffled(labels: LabelSet, rng: np.random.Generator) -> LabelSet:
    """The same faces, rows and images in another order."""
    names = [labels.images[k] for k in rng.permutation(len(labels.images))]
    return labels.reindex(names).select(rng.permutation(len(labels)))


@examples(50)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0.15, 0.6]))
@example(574094305, False, 0.15)  # two truths without a visible point are equally similar to a prediction
def test_metrics_do_not_depend_on_the_order_of_rows_and_images(seed: int, coarse: bool, blind: float) -> None:
    found, truth = scene(seed, pictures=4, coarse=coarse, blind=blind)
    rng = np.random.default_rng(seed)
    sources = {"p0": "a", "p1": "b", "p2": "a", "p3": "b"}
    one = evaluate(found, truth, sources=sources).to_dict()
    other = evaluate(shuffled(found, rng), shuffled(truth, rng), sources=sources).to_dict()
    for mine, theirs in [
        (one["overall"], other["overall"]),
        *zip(one["by_source"].values(), other["by_source"].values(), strict=True),
    ]:
        assert mine == {k: None if v is None else pytest.approx(v, rel=1e-9) for k, v in theirs.items()}
        assert {k: mine[k] for k in ALL_AP} == {k: theirs[k] for k in ALL_AP}


def test_only_faces_of_the_same_picture_are_paired() -> None:
    """10,000 pictures of 2 faces and 6 predictions each: 120,000 pairs, not the 1.2e9 of all with all."""
    n = 10_000
    names = tuple(f"p{k}" for k in range(n))
    shape = np.concatenate([SHAPE, np.full((N_POINTS, 1), 2.0)], axis=1)

    def many(shifts: Sequence[float]) -> LabelSet:
        image = np.repeat(np.arange(n), len(shifts))
        shift = np.tile(np.array(shifts, dtype=np.float64), n)
        points = shape + np.stack([shift, 0 * shift, 0 * shift], axis=-1)[:, None]
        boxes = np.stack([shift, 0 * shift, shift + 100, 0 * shift + 100], axis=-1)
        score = 1 - np.arange(len(image)) % len(shifts) / 10
        return LabelSet(names, image, boxes, points, np.zeros_like(image), score)

    got = evaluate(many([0, 300, 600, 900, 1200, 1500]), many([0, 300])).overall
    assert (got.faces, got.predictions, got.matched) == (2 * n, 6 * n, 2 * n)
    assert (got.recall, got.box_ap50_95, got.pose_ap50_95) == (1, 1, 1)


# -- an iteration on disk ----------------------------------------------------------------------------------

HIDDEN = 300.0
"""x of the face without a label in version 0."""


class Project:
    """Six pictures of two sources, each with two faces, of which version 0 has a label for one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        records = [
            ImageRecord(f"p{k}", f"p{k}.png", 500, 200, "val" if k % 2 else "train",
                        "afw" if k < 4 else "helen", f"g{k}", "0" * 64)
            for k in range(6)
        ]  # fmt: skip
        self.dataset = Dataset.write(root / "dataset", records, {})
        self.ids = [r.id for r in records]
        labels = LabelSet.from_faces({name: [face()] for name in self.ids})
        self.gold = write_initial(root / "v0", self.dataset, labels)
        grown = LabelSet.from_faces({name: [face(HIDDEN, score=0.9, origin=0)] for name in self.ids})
        self.grown = self._next(grown)

    def _next(self, grown: LabelSet) -> LabelVersion:
        before = self.gold.ledger(0).to_pylist()
        for name, picture in zip(self.ids, range(len(self.ids)), strict=True):
            box = dict(zip(("x1", "y1", "x2", "y2"), grown.boxes[picture].tolist(), strict=True))
            before.append(
                {"image": name, "split": self.dataset.by_id[name].split, "line": 1, **box, "origin": 0,
                 "model": "abc", "confidence": 0.9, "iou": 0.0, "decision": "kept", "reason": "grown"}
            )  # fmt: skip
        ledger = ds.pa.Table.from_pylist(before, schema=ds.LEDGER_SCHEMA)
        return write_next(self.root / "v1", self.gold, self.dataset, grown, ledger)

    def shard(
        self,
        name: str,
        faces: Mapping[str, Sequence[Face]],
        *,
        images: Sequence[str] | None = None,
        model: str = "abc",
        iteration: int = 0,
    ) -> Path:
        folder = self.root / name
        found = LabelSet.from_faces(faces, images)
        write_faces(folder / "faces.parquet", found, model=model, iteration=str(iteration))
        (folder / "failures.json").write_text("[]")
        return folder

    def shards(self) -> list[Path]:
        """Predictions of both faces; in p3 the labelled one is 5 px off, in p5 it is missing."""
        faces = {name: [face(score=0.75), face(HIDDEN, score=0.5)] for name in self.ids}
        faces["p3"][0] = face(3, 4, score=0.75)
        faces["p5"] = faces["p5"][1:]
        half = {name: faces[name] for name in self.ids[:3]}, {name: faces[name] for name in self.ids[3:]}
        return [self.shard("shard-0", half[0]), self.shard("shard-1", half[1])]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestIteration:
    def test_both_yardsticks_use_validation_pictures_only(self, project: Project) -> None:
        out = project.root / "evaluation"
        got = evaluate_iteration(
            project.dataset, project.gold, project.grown, project.shards(), out, iteration=0, sigma=0.06
        )
        gold, paper = got["gold"]["overall"], got["paper"]["overall"]
        # val is p1, p3, p5: 3 human faces, of which p5's is missed; 5 predictions.
        assert (gold["faces"], gold["predictions"], gold["matched"], gold["missed"]) == (3, 5, 2, 1)
        assert (paper["faces"], paper["predictions"], paper["matched"], paper["missed"]) == (6, 5, 5, 1)
        assert gold["precision"] == pytest.approx(2 / 5)
        assert paper["precision"] == 1
        # The labels' text rounds coordinates to six decimals of the picture's size.
        assert gold["nme_mean"] == pytest.approx(0.025, abs=1e-5)
        assert paper["nme_mean"] == pytest.approx(0.01, abs=1e-5)
        assert set(got["gold"]["by_source"]) == {"afw", "helen"}
        assert got["gold"]["by_source"]["helen"]["recall"] == 0
        assert (got["iteration"], got["model"], got["sigma"], got["images"]) == (0, "abc", 0.06, 3)
        assert got["settings"]["oks_sigma"] == 0.06
        assert got["settings"]["score_threshold"] == 0.25
        assert json.loads((out / "evaluation.json").read_text()) == got == read_evaluation(out)

    def test_evaluation_json_has_the_documented_keys(self, project: Project) -> None:
        got = evaluate_iteration(
            project.dataset, project.gold, project.grown, project.shards(), project.root / "e", iteration=0
        )
        assert got["sigma"] == pytest.approx(1 / 51)
        agreed = {
            "faces", "predictions", "precision", "recall", "box_ap50", "box_ap50_95", "pose_ap50",
            "pose_ap50_95", "mse_px2", "nme_mean", "nme_median", "nme_auc8", "nme_failure8",
            "lid_error_mean", "lid_error_median", "matched",
        }  # fmt: skip
        for yardstick in ("gold", "paper"):
            assert agreed <= set(got[yardstick]["overall"])
            for figures in got[yardstick]["by_source"].values():
                assert agreed <= set(figures)

    def test_points_table_has_a_row_for_every_gold_face(self, project: Project) -> None:
        out = project.root / "e"
        evaluate_iteration(project.dataset, project.gold, project.grown, project.shards(), out, iteration=0)
        rows = {row["image"]: row for row in read_table(out / "points.parquet").to_pylist()}
        assert list(rows) == ["p1", "p3", "p5"]
        assert [row["matched"] for row in rows.values()] == [True, True, False]
        assert rows["p3"]["source"] == "afw"
        assert rows["p3"]["nme"] == pytest.approx(0.05, abs=1e-5)
        assert rows["p3"]["mse_px2"] == pytest.approx(25, abs=1e-2)
        assert rows["p3"]["score"] == 0.75
        assert rows["p3"]["lid_error_left"] == pytest.approx(0, abs=1e-5)
        missed = rows["p5"]
        assert (missed["source"], missed["face"]) == ("helen", 0)
        for name in ("score", "iou", "oks", "nme", "mse_px2", "lid_error_left", "lid_error_right"):
            assert missed[name] is None, name

    def test_history_grows_and_a_repeated_iteration_replaces_itself(self, project: Project) -> None:
        def run(iteration: int, previous: Path | None) -> dict[str, Any]:
            faces = {name: [face(score=0.9)] for name in project.ids}
            shard = project.shard(f"shards-{iteration}", faces, iteration=iteration, model=f"m{iteration}")
            out = project.root / f"e{iteration}"
            return evaluate_iteration(
                project.dataset,
                project.gold,
                project.grown,
                [shard],
                out,
                iteration=iteration,
                previous=previous,
            )

        run(0, None)
        run(1, project.root / "e0")
        last = run(2, project.root / "e1")
        assert [entry["model"] for entry in last["iterations"]] == ["m0", "m1", "m2"]
        assert [entry["iteration"] for entry in last["iterations"]] == [0, 1, 2]
        assert {k: v for k, v in last.items() if k != "iterations"} == last["iterations"][-1]
        again = run(1, project.root / "e2")
        assert [entry["iteration"] for entry in again["iterations"]] == [0, 1]

    def test_an_unreadable_picture_counts_as_missed_and_is_reported(self, project: Project) -> None:
        faces = {name: [face(score=0.9)] for name in project.ids if name != "p3"}
        shard = project.shard("s", faces)
        (shard / "failures.json").write_text(json.dumps([{"image": "p3", "reason": "truncated"}]))
        got = evaluate_iteration(
            project.dataset, project.gold, project.gold, [shard], project.root / "e", iteration=0
        )
        assert (got["unreadable"], got["gold"]["overall"]["missed"]) == (1, 1)
        assert got["gold"] == got["paper"]

    def test_same_input_same_bytes(self, project: Project) -> None:
        for name in ("a", "b"):
            evaluate_iteration(
                project.dataset, project.gold, project.grown, project.shards()[::1 if name == "a" else -1],
                project.root / name, iteration=0,
            )  # fmt: skip
        for file in ("evaluation.json", "points.parquet"):
            assert (project.root / "a" / file).read_bytes() == (project.root / "b" / file).read_bytes()


class TestIterationRefusals:
    def run(self, project: Project, shards: Sequence[Path], **options: Any) -> None:
        arguments = {"gold": project.gold, "iteration": 0} | options
        gold = arguments.pop("gold")
        evaluate_iteration(project.dataset, gold, project.grown, shards, project.root / "e", **arguments)

    @pytest.fixture(autouse=True)
    def _nothing_written(self, project: Project) -> Any:
        yield
        assert not (project.root / "e").exists()

    def test_gold_of_another_version_than_0_is_rejected(self, project: Project) -> None:
        with pytest.raises(DatasetError, match="label version 1"):
            self.run(project, project.shards(), gold=project.grown)

    def test_no_shards_are_rejected(self, project: Project) -> None:
        with pytest.raises(DatasetError, match="auto-label"):
            self.run(project, [])

    def test_a_missing_shard_is_rejected(self, project: Project) -> None:
        with pytest.raises(DatasetError, match="covers 2 of 3 validation pictures, 'p3'"):
            self.run(project, project.shards()[:1])

    def test_a_picture_predicted_in_two_shards_is_rejected(self, project: Project) -> None:
        faces = {name: [face(score=0.9)] for name in project.ids}
        with pytest.raises(DatasetError, match=r"p0 was predicted in .*one and again in .*two"):
            self.run(project, [project.shard("one", faces), project.shard("two", faces)])

    def test_shards_of_two_models_are_rejected(self, project: Project) -> None:
        first, _ = project.shards()
        other = project.shard("other", {name: [] for name in project.ids[3:]}, model="xyz")
        with pytest.raises(DatasetError, match="different models"):
            self.run(project, [first, other])

    def test_shards_of_another_iteration_are_rejected(self, project: Project) -> None:
        with pytest.raises(DatasetError, match="iteration 0, not of 3"):
            self.run(project, project.shards(), iteration=3)

    def test_shards_of_another_dataset_are_rejected(self, project: Project) -> None:
        found = LabelSet.from_faces({name: [face(score=0.9)] for name in project.ids})
        write_faces(project.root / "s" / "faces.parquet", found, model="abc", iteration="0", dataset="other")
        with pytest.raises(DatasetError, match="another dataset"):
            self.run(project, [project.root / "s"])

    def test_damaged_failures_json_is_rejected(self, project: Project) -> None:
        shards = project.shards()
        (shards[0] / "failures.json").write_text('{"p1": ')
        with pytest.raises(DatasetError, match=r"failures\.json"):
            self.run(project, shards)

    @pytest.mark.parametrize("content", [None, "not json", "[]", '{"iteration": 0}'])
    def test_an_invalid_previous_evaluation_is_rejected(self, project: Project, content: str | None) -> None:
        folder = project.root / "before"
        folder.mkdir()
        if content is not None:
            (folder / "evaluation.json").write_text(content)
        with pytest.raises(DatasetError, match=r"evaluation\.json"):
            self.run(project, project.shards(), previous=folder)

    def test_a_dataset_without_validation_pictures_is_rejected(self, project: Project) -> None:
        train = [r for r in project.dataset.records if r.split == "train"]
        project.dataset = Dataset.write(project.root / "train-only", train, {})
        with pytest.raises(DatasetError, match="no validation pictures"):
            self.run(project, project.shards())


# -- real annotations --------------------------------------------------------------------------------------


@pytest.mark.skipif("LIDLOOP_300W" not in os.environ, reason="LIDLOOP_300W is not set")
def test_real_faces_shifted_by_4_percent_have_an_nme_of_4_percent() -> None:
    faces: dict[str, list[Face]] = {}
    for path in sorted(Path(os.environ["LIDLOOP_300W"]).rglob("*.pts"))[:300]:
        numbers = path.read_text().replace("{", "\n").replace("}", "\n").split("\n")
        rows = [line.split() for line in numbers if len(line.split()) == 2 and ":" not in line]
        xy = np.array(rows, dtype=np.float64)[17:] - 1
        points = np.concatenate([xy, np.full((N_POINTS, 1), 2.0)], axis=1)
        faces[str(path)] = [Face(box_of(points), points)]
    assert len(faces) == 300
    truth = LabelSet.from_faces(faces)
    step = 0.04 * outer_canthal_distance(truth.points)
    moved = truth.points.copy()
    moved[..., 0] += step[:, None]
    found = LabelSet(truth.images, truth.image, box_of(moved), moved, truth.origin, truth.score)
    got: Evaluation = evaluate(concat([found]), truth)
    assert got.overall.matched == 300
    assert got.overall.nme_mean == pytest.approx(0.04)
    assert got.overall.nme_auc8 == pytest.approx(0.5)
    assert got.overall.lid_error_mean == pytest.approx(0, abs=1e-12)

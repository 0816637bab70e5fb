"""Evaluation of predictions against labels, overall and by source, on the yardsticks gold and paper.

``gold`` is the human validation labels of version 0, which never change in a run (a continued run may take
those of reviewed labels, ``lidloop.data.gold``); ``paper`` is the validation labels of the iteration, which
grow. Precision and average precision need complete labels: on gold, a correct
prediction of a face without a label counts as wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.gold import gold_before, gold_digest, require_gold
from lidloop.data.tables import read_faces, write_table
from lidloop.errors import DatasetError, LidloopError
from lidloop.evaluation import metrics
from lidloop.evaluation.faces_by_group import compare_groups
from lidloop.files import write_atomic
from lidloop.labels import Floats, LabelSet, concat
from lidloop.landmarks import N_POINTS

FILE: Final = "evaluation.json"
POINTS_FILE: Final = "points.parquet"

DEFAULT_SIGMA: Final = 1 / N_POINTS
"""OKS sigma of every point: 1/51 = 0.0196, as Ultralytics uses if there are not 17 points."""

DEFAULT_SCORE: Final = 0.25
"""Smallest score of predictions in precision, recall and errors; Ultralytics' default."""

MATCH_IOU: Final = 0.5
MAX_DETECTIONS: Final = 100
NME_LIMIT: Final = 0.08


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of one set of pictures. Fractions, not percent; None if there are no values to average.

    Attributes:
        faces: number of true faces.
        predictions: number of predicted faces with at least the score threshold.
        matched: number of matches of the two: box IoU of at least 0.5, greedily by falling score.
        missed: number of true faces without a match.
        precision: matched / predictions. recall: matched / faces.
        box_ap50, box_ap50_95: average precision by box IoU, over predictions of any score.
        pose_ap50, pose_ap50_95: the same by OKS; true faces without a visible point are ignored.
        mse_px2: mean squared distance (dx² + dy²) in px² over all visible points of all matched faces.
        nme_mean, nme_median: of the matched faces' NME by outer canthi.
        nme_auc8: area under the cumulative NME curve up to 8 %, over 8 %, of the matched faces.
        nme_failure8: share of the matched faces with NME above 8 %. Missed faces have no NME; they count in
            ``missed`` and ``recall``.
        nme_faces: number of matched faces with a defined NME (both outer canthi visible).
        lid_error_mean, lid_error_median: of |PFH - PFH_true| / outer-canthal distance, both eyes pooled.
        lid_eyes: number of eyes of matched faces with a defined lid error.
    """

    faces: int
    predictions: int
    matched: int
    missed: int
    precision: float | None
    recall: float | None
    box_ap50: float | None
    box_ap50_95: float | None
    pose_ap50: float | None
    pose_ap50_95: float | None
    mse_px2: float | None
    nme_mean: float | None
    nme_median: float | None
    nme_auc8: float | None
    nme_failure8: float | None
    nme_faces: int
    lid_error_mean: float | None
    lid_error_median: float | None
    lid_eyes: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the metrics by name, ready for JSON: no NaN."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics overall and by source, the settings of the computation, and the errors of each face."""

    overall: Metrics
    by_source: dict[str, Metrics]
    sigma: float
    score: float
    errors: metrics.FaceErrors

    def to_dict(self) -> dict[str, Any]:
        """Return ``overall`` and ``by_source``, ready for JSON."""
        return {
            "overall": self.overall.to_dict(),
            "by_source": {name: m.to_dict() for name, m in self.by_source.items()},
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the computation; metrics are comparable only with equal settings."""
        return settings(sigma=self.sigma, score=self.score)


def settings(*, sigma: float, score: float) -> dict[str, Any]:
    """Return the settings that define the metrics, ready for JSON."""
    return {
        "oks_sigma": sigma,
        "oks_area": f"{metrics.OKS_AREA_FACTOR} of the box area",
        "score_threshold": score,
        "match_iou": MATCH_IOU,
        "max_detections_per_image": MAX_DETECTIONS,
        "nme_normaliser": "outer canthi",
        "nme_limit": NME_LIMIT,
        "errors_over": "visible points of matched faces; missed faces are counted apart",
    }


def evaluate(
    predictions: LabelSet,
    truth: LabelSet,
    *,
    sources: Mapping[str, str] | None = None,
    sigma: float = DEFAULT_SIGMA,
    score: float = DEFAULT_SCORE,
) -> Evaluation:
    """Compare predictions with labels. Only points with visibility above 0 in the labels count.

    The metrics do not depend on the order of rows or images; ``lidloop.evaluation.metrics`` describes the
    tie-break.

    Args:
        predictions: boxes and points in pixels, not clipped to the picture, of any score; average precision
            needs low scores too. The 100 of highest score count in each picture.
        truth: the labels. ``truth.images`` are the evaluated pictures, including those without a face.
        sources: picture id to source, for the metrics by source.
        sigma: OKS sigma of every point.
        score: threshold for precision, recall and errors.

    Raises:
        LidloopError: for a picture missing in ``truth`` or ``sources``, a value that is not finite, or a
            sigma that is not positive.
    """
    _check(predictions, truth, sources, sigma)
    names = sorted(truth.images)  # equal scores of two images are ordered by name, not by position
    truth, found = truth.reindex(names), predictions.reindex(names)
    found = found.select(metrics.order_by_score(found))
    rank = metrics.rank_in_image(found.image)
    found, rank = found.select(rank < MAX_DETECTIONS), rank[rank < MAX_DETECTIONS]

    rows, columns = metrics.pairs_in_image(found.image, truth.image, metrics.truth_order(truth))
    iou = metrics.paired_iou(found.boxes[rows], truth.boxes[columns])
    oks = metrics.pairs_oks(found.points, truth.points, truth.boxes, rows, columns, sigma=sigma)
    blind = np.logical_not((truth.points[..., 2] > 0).any(axis=-1))
    nothing = np.zeros(len(truth), dtype=bool)
    by_box = metrics.greedy_match(rows, columns, iou, rank=rank, ignored=nothing)
    by_pose = metrics.greedy_match(rows, columns, oks, rank=rank, ignored=blind)
    judged = ~np.append(blind, False)[by_pose]  # the appended False is for -1, no match

    counted = found.score >= score
    match = np.full(len(truth), -1, dtype=np.int64)
    pairs = np.flatnonzero(counted & (by_box[:, 0] >= 0))
    match[by_box[pairs, 0]] = pairs
    errors = metrics.face_errors(found, truth, match, sigma=sigma)

    def figures(pictures: metrics.Bools) -> Metrics:
        p, t = pictures[found.image], pictures[truth.image]
        box = metrics.average_precision(by_box[p] >= 0, int(t.sum()))
        pose = metrics.average_precision(by_pose[p] >= 0, int((t & ~blind).sum()), judged=judged[p])
        return _figures(errors, t, int((counted & p).sum()), box, pose)

    by_source = {}
    if sources is not None:
        of_image = np.array([sources[name] for name in truth.images], dtype=object)
        by_source = {name: figures(of_image == name) for name in sorted(set(of_image.tolist()))}
    overall = figures(np.ones(len(truth.images), dtype=bool))
    return Evaluation(overall=overall, by_source=by_source, sigma=sigma, score=score, errors=errors)


def evaluate_iteration(
    dataset: Dataset,
    gold: LabelVersion,
    labels: LabelVersion,
    predictions: Sequence[Path],
    out: Path,
    *,
    iteration: int,
    sigma: float = DEFAULT_SIGMA,
    score: float = DEFAULT_SCORE,
    previous: Path | None = None,
) -> dict[str, Any]:
    """Evaluate an iteration's model on the validation pictures, on both yardsticks.

    Gold faces are also compared by skin tone, size and pose (``groups``, see ``faces_by_group``). A group
    that falls behind trips the guard ``group_gap`` (``lidloop.drift.guards``), and the report says so.
    Writes ``points.parquet`` (errors of every gold face), then ``evaluation.json``: this iteration's metrics
    at the top level, and those of all iterations so far under ``iterations``, this one last.

    Args:
        dataset: the pictures.
        gold: label version 0, or the yardstick of a continued run. If that has a yardstick of before, the
            model is measured on it too (``gold_before``).
        labels: the label version of the iteration.
        predictions: shard folders of the auto-label step (``faces.parquet``, ``failures.json``), together
            covering the validation pictures. Faces of a picture that could not be read count as missed.
        out: folder to write to.
        iteration: the iteration whose model made the predictions.
        sigma, score: as in ``evaluate``.
        previous: evaluation folder of the previous iteration, whose history is continued.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        DatasetError: if ``gold`` is no yardstick; if the shards are of different models, another iteration
            or dataset, miss a validation picture or predict one twice; or if ``previous`` cannot be read.
        LidloopError: as ``evaluate``.
    """
    require_gold(gold)
    records = dataset.split("val")
    if not records:
        raise DatasetError(
            f"{dataset.root} has no validation pictures to evaluate on; convert with a val share"
        )
    ids = tuple(r.id for r in records)
    sources = {r.id: r.source for r in records}
    history = _history(previous, iteration)
    found, unreadable, model = _read_shards(predictions, dataset, ids, iteration)
    gold_labels = gold.labels(dataset, "val").reindex(ids)
    on_gold = evaluate(found, gold_labels, sources=sources, sigma=sigma, score=score)
    paper_labels = labels.labels(dataset, "val").reindex(ids)
    on_paper = evaluate(found, paper_labels, sources=sources, sigma=sigma, score=score)
    entry = {
        "iteration": iteration,
        "label_version": labels.version,
        "model": model,
        "sigma": sigma,
        "images": len(ids),
        "unreadable": unreadable,
        "settings": on_gold.settings,
        "gold_digest": gold_digest(dataset, gold),
        "gold": on_gold.to_dict(),
        "paper": on_paper.to_dict(),
        "groups": compare_groups(dataset, gold_labels, on_gold.errors),
    }
    before = gold_before(gold)
    if before is not None:
        truth = before.labels(dataset, "val").reindex(ids)
        entry["gold_before"] = evaluate(found, truth, sources=sources, sigma=sigma, score=score).to_dict()
    written = {**entry, "iterations": [*history, entry]}
    write_table(out / POINTS_FILE, _points_table(on_gold.errors, gold_labels, sources))
    write_atomic(out / FILE, json.dumps(written, indent=1, allow_nan=False) + "\n")
    return written


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Read the ``evaluation.json`` of a folder.

    Raises:
        DatasetError: if it is missing, damaged or not an evaluation.
    """
    path = folder / FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read the evaluation {path}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("iterations"), list):
        raise DatasetError(f"{path} is not an evaluation: it has no list 'iterations'")
    return content


def _check(predictions: LabelSet, truth: LabelSet, sources: Mapping[str, str] | None, sigma: float) -> None:
    if not (np.isfinite(sigma) and sigma > 0):
        raise LidloopError(f"the OKS sigma must be a positive number, got {sigma}")
    known = set(truth.images)
    named = [predictions.images[k] for k in np.unique(predictions.image)]
    unknown = [name for name in named if name not in known]
    if unknown:
        raise LidloopError(
            f"{len(unknown)} predicted pictures are not among those evaluated, {unknown[0]!r} for one; "
            "reindex the predictions, or name the picture in the truth"
        )
    unsourced = [] if sources is None else [name for name in truth.images if name not in sources]
    if unsourced:
        raise LidloopError(f"no source is given for {len(unsourced)} pictures, {unsourced[0]!r} for one")
    for what, faces in (("predictions", predictions), ("labels", truth)):
        for column in (faces.boxes, faces.points, faces.score):
            finite = np.isfinite(column).all(axis=tuple(range(1, column.ndim)))
            bad = np.flatnonzero(~finite)
            if len(bad):
                name = faces.images[faces.image[bad[0]]]
                raise LidloopError(f"the {what} of {name!r} hold a box, point or score that is not finite")


def _figures(
    errors: metrics.FaceErrors, rows: metrics.Bools, predictions: int, box: Floats | None, pose: Floats | None
) -> Metrics:
    faces, matched = int(rows.sum()), int(errors.matched[rows].sum())
    nme = _finite(errors.nme[rows])
    lids = _finite(np.concatenate([errors.lid_left[rows], errors.lid_right[rows]]))
    return Metrics(
        faces=faces,
        predictions=predictions,
        matched=matched,
        missed=faces - matched,
        precision=matched / predictions if predictions else None,
        recall=matched / faces if faces else None,
        box_ap50=None if box is None else float(box[0]),
        box_ap50_95=_mean(box),
        pose_ap50=None if pose is None else float(pose[0]),
        pose_ap50_95=_mean(pose),
        mse_px2=_mean(_finite(errors.squares[rows])),
        nme_mean=_mean(nme),
        nme_median=_median(nme),
        nme_auc8=metrics.cumulative_error_auc(nme, NME_LIMIT),
        nme_failure8=_mean((nme > NME_LIMIT).astype(np.float64)),
        nme_faces=len(nme),
        lid_error_mean=_mean(lids),
        lid_error_median=_median(lids),
        lid_eyes=len(lids),
    )


def _finite(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _mean(values: Floats | None) -> float | None:
    return None if values is None or not len(values) else float(values.mean())


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if len(values) else None


def _history(previous: Path | None, iteration: int) -> list[dict[str, Any]]:
    if previous is None:
        return []
    earlier: list[dict[str, Any]] = read_evaluation(previous)["iterations"]
    return [entry for entry in earlier if entry["iteration"] < iteration]


def _read_shards(
    folders: Sequence[Path], dataset: Dataset, ids: Sequence[str], iteration: int
) -> tuple[LabelSet, int, str]:
    """Return predictions of the pictures ``ids``, number of unreadable ones, and digest of the model."""
    if not folders:
        raise DatasetError("no shard folders of predictions were given; run the auto-label step first")
    shards: list[LabelSet] = []
    owner: dict[str, Path] = {}
    covered: set[str] = set()
    failed: set[str] = set()
    models: dict[str, Path] = {}
    for folder in folders:
        faces, metadata = read_faces(folder / "faces.parquet")
        models.setdefault(metadata.get("model", ""), folder)
        if metadata.get("iteration", str(iteration)) != str(iteration):
            raise DatasetError(
                f"{folder} holds predictions of iteration {metadata['iteration']}, not of {iteration}"
            )
        if metadata.get("dataset", dataset.digest) != dataset.digest:
            raise DatasetError(f"{folder} holds predictions of another dataset than {dataset.root}")
        for name in (faces.images[k] for k in np.unique(faces.image)):
            if owner.setdefault(name, folder) is not folder:
                raise DatasetError(
                    f"{name} was predicted in {owner[name]} and again in {folder}; give each once"
                )
        covered.update(faces.images)
        failed.update(_failures(folder / "failures.json"))
        shards.append(faces)
    if len(models) > 1:
        a, b = list(models.values())[:2]
        raise DatasetError(f"{a} and {b} hold predictions of different models; predict again with one")
    missing = [name for name in ids if name not in covered and name not in failed]
    if missing:
        raise DatasetError(
            f"no shard covers {len(missing)} of {len(ids)} validation pictures, {missing[0]!r} for one; "
            "give all shard folders"
        )
    return concat(shards).reindex(ids), len(failed.intersection(ids)), next(iter(models))


def _failures(path: Path) -> list[str]:
    if not path.exists():
        return []
    try:
        return [str(entry["image"]) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"cannot read the failures {path}: {error!r}") from error


def _points_table(errors: metrics.FaceErrors, truth: LabelSet, sources: Mapping[str, str]) -> pa.Table:
    """Build a table with one row per gold face; null if a metric is not defined."""
    images = [truth.images[k] for k in truth.image]
    visible = (~np.isnan(errors.squares)).sum(axis=-1)
    mse = np.nansum(errors.squares, axis=-1) / np.where(visible, visible, np.nan)
    columns = {
        "score": errors.score,
        "iou": errors.iou,
        "oks": errors.oks,
        "mse_px2": mse,
        "nme": errors.nme,
        "lid_error_left": errors.lid_left,
        "lid_error_right": errors.lid_right,
    }
    return pa.table(
        {
            "image": pa.array(images, pa.string()),
            "source": pa.array([sources[name] for name in images], pa.string()),
            "face": pa.array(metrics.rank_in_image(truth.image), pa.int32()),
            "matched": pa.array(errors.matched, pa.bool_()),
            **{name: pa.array(values, pa.float64(), from_pandas=True) for name, values in columns.items()},
        }
    )

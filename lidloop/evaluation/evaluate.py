"""Evaluation of predictions against labels, overall and by source, on the yardsticks gold and paper.

``gold`` is the human validation labels of version 0, which never change in a run (a continued run may take
those of reviewed labels, ``lidloop.data.gold``); ``paper`` is the validation labels of the iteration, which
grow. Precision and average precision need complete labels: on gold, a correct
prediction of a face without a label counts as wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.face_tables import FACES_FILE, FaceTable, FaceTables
from lidloop.data.gold import SPLIT as GOLD_SPLIT
from lidloop.data.gold import gold_before, gold_digest, require_gold
from lidloop.data.sorted_table import BLOCK
from lidloop.data.tables import write_table
from lidloop.errors import DatasetError, LidloopError
from lidloop.evaluation import metrics, parts
from lidloop.evaluation.faces_by_group import MAX_FACES, compare_groups, sample
from lidloop.files import write_atomic
from lidloop.labels import Floats, LabelSet, concat
from lidloop.landmarks import N_POINTS
from lidloop.workers import in_order, processes_for

FILE: Final = "evaluation.json"
POINTS_FILE: Final = "points.parquet"

DEFAULT_SIGMA: Final = 1 / N_POINTS
"""OKS sigma of every point: 1/51 = 0.0196, as Ultralytics uses if there are not 17 points."""

DEFAULT_SCORE: Final = 0.25
"""Smallest score of predictions in precision, recall and errors; Ultralytics' default."""

MATCH_IOU: Final = 0.5
PARALLEL_FROM: Final = 16
"""Blocks of validation pictures from which on they are compared side by side."""
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
        "max_detections_per_image": parts.MAX_DETECTIONS,
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
    compared = parts.compare_part(predictions, truth, sigma=sigma, score=score)
    overall, by_source = judge(compared.counted, sources=sources, score=score)
    return Evaluation(overall=overall, by_source=by_source, sigma=sigma, score=score, errors=compared.errors)


def judge(
    counted: parts.Counted, *, sources: Mapping[str, str] | None, score: float
) -> tuple[Metrics, dict[str, Metrics]]:
    """Compute the metrics of compared pictures, overall and by source; arguments as of ``evaluate``."""
    order = parts.by_falling_score(counted)
    image, is_counted = counted.found_image[order], counted.found_score[order] >= score
    boxes, poses, judged = counted.box[order], counted.pose[order], counted.judged[order]

    def figures(pictures: metrics.Bools) -> Metrics:
        p, t = pictures[image], pictures[counted.image]
        box = metrics.average_precision(parts.hits(boxes[p]), int(t.sum()))
        seen = int((t & ~counted.blind).sum())
        pose = metrics.average_precision(parts.hits(poses[p]), seen, judged=parts.hits(judged[p]))
        return _figures(counted, t, int((is_counted & p).sum()), box, pose)

    by_source = {}
    if sources is not None:
        of_image = parts.sources_of(counted.images, sources)
        by_source = {name: figures(of_image == name) for name in sorted(set(of_image.tolist()))}
    return figures(np.ones(len(counted.images), dtype=bool)), by_source


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
    records = dataset.split(GOLD_SPLIT)
    if not len(records):
        raise DatasetError(
            f"{dataset.root} has no validation pictures to evaluate on; convert with a val share"
        )
    history = _history(previous, iteration)
    found, unreadable, model = _read_shards(predictions, dataset, records.ids, iteration)
    before = gold_before(gold)
    yardsticks = [version for version in (gold, labels, before) if version is not None]
    faces = sum(gold.info["counts"][GOLD_SPLIT].values())
    sampled = sample(faces, MAX_FACES)

    def jobs() -> Iterator[_Job]:
        first = 0
        for block in dataset.blocks(GOLD_SPLIT):
            stop = first + len(block.records)
            roots = [version.root for version in yardsticks]
            yield _Job(block, found.between(first, stop), roots, sigma, score)
            first = stop

    done: list[list[parts.Counted]] = [[] for _ in yardsticks]
    looked_at: list[tuple[LabelSet, metrics.FaceErrors]] = []
    number = 0
    count = -(-len(records) // BLOCK)
    for result in in_order(_compare_block, jobs(), processes=processes_for(count, from_jobs=PARALLEL_FROM)):
        for column, compared in zip(done, result, strict=True):
            column.append(compared.counted)
        on_gold = result[0]
        rows = sampled[(sampled >= number) & (sampled < number + len(on_gold.truth))] - number
        number += len(on_gold.truth)
        looked_at.append((on_gold.truth.select(rows), on_gold.errors.take(rows)))
    if number != faces:
        raise DatasetError(f"{gold.root}: the ledger keeps {faces} validation labels, {number} are written")
    counted = parts.join(done[0])
    sources = dict(zip(counted.images, records.column("source").to_pylist(), strict=True))
    groups = compare_groups(
        dataset,
        concat([truth for truth, _ in looked_at]),
        metrics.FaceErrors.concat([errors for _, errors in looked_at]),
        total=faces,
    )
    results = []
    for column in done:
        overall, by_source = judge(parts.join(column), sources=sources, score=score)
        column.clear()
        results.append(
            {"overall": overall.to_dict(), "by_source": {k: m.to_dict() for k, m in by_source.items()}}
        )
    entry = {
        "iteration": iteration,
        "label_version": labels.version,
        "model": model,
        "sigma": sigma,
        "images": len(records),
        "unreadable": unreadable,
        "settings": settings(sigma=sigma, score=score),
        "gold_digest": gold_digest(dataset, gold),
        "gold": results[0],
        "paper": results[1],
        "groups": groups,
    }
    if before is not None:
        entry["gold_before"] = results[2]
    written = {**entry, "iterations": [*history, entry]}
    write_table(out / POINTS_FILE, _points_table(counted, sources))
    write_atomic(out / FILE, json.dumps(written, indent=1, allow_nan=False) + "\n")
    return written


@dataclass(frozen=True, eq=False)
class _Job:
    """A block of validation pictures to compare: its predictions, and the folders of the yardsticks."""

    block: Dataset
    found: LabelSet
    yardsticks: list[Path]
    sigma: float
    score: float


def _compare_block(job: _Job) -> list[parts.Compared]:
    """Compare the predictions of a block with each yardstick."""
    compared = []
    for root in job.yardsticks:
        truth = LabelVersion.open(root).labels(job.block).reindex(job.block.ids)
        _check(job.found, truth, None, job.sigma)
        compared.append(parts.compare_part(job.found, truth, sigma=job.sigma, score=job.score))
    return compared


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
    counted: parts.Counted, rows: metrics.Bools, predictions: int, box: Floats | None, pose: Floats | None
) -> Metrics:
    faces, matched = int(rows.sum()), int(counted.matched[rows].sum())
    nme = _finite(counted.nme[rows])
    lids = _finite(np.concatenate([counted.lid_left[rows], counted.lid_right[rows]]))
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
        mse_px2=parts.mean_of(parts.select_values(counted, rows)),
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
    folders: Sequence[Path], dataset: Dataset, ids: pa.StringArray, iteration: int
) -> tuple[FaceTables, int, str]:
    """Return predictions of the pictures ``ids``, number of unreadable ones, and digest of the model."""
    if not folders:
        raise DatasetError("no shard folders of predictions were given; run the auto-label step first")
    every, failed, models = dataset.records.ids, set[str](), dict[str, Path]()
    owner = np.full(len(every), -1)
    for number, folder in enumerate(folders):
        table = FaceTable(folder / FACES_FILE, every)
        models.setdefault(table.metadata.get("model", ""), folder)
        if table.metadata.get("iteration", str(iteration)) != str(iteration):
            raise DatasetError(
                f"{folder} holds predictions of iteration {table.metadata['iteration']}, not of {iteration}"
            )
        if table.metadata.get("dataset", dataset.digest) != dataset.digest:
            raise DatasetError(f"{folder} holds predictions of another dataset than {dataset.root}")
        mine = table.with_faces
        twice = mine[owner[mine] >= 0]
        if len(twice):
            first = folders[owner[twice[0]]]
            raise DatasetError(
                f"{every[int(twice[0])]} was predicted in {first} and again in {folder}; give each once"
            )
        owner[mine] = number
        failed.update(_failures(folder / "failures.json"))
    if len(models) > 1:
        a, b = list(models.values())[:2]
        raise DatasetError(f"{a} and {b} hold predictions of different models; predict again with one")
    opened = FaceTables(folders, ids)
    names = np.array([name in failed for name in ids.to_pylist()], dtype=bool)
    missing = np.flatnonzero((opened.times == 0) & ~names)
    if len(missing):
        raise DatasetError(
            f"no shard covers {len(missing)} of {len(ids)} validation pictures, "
            f"{ids[int(missing[0])].as_py()!r} for one; give all shard folders"
        )
    return opened, int(names.sum()), next(iter(models))


def _failures(path: Path) -> list[str]:
    if not path.exists():
        return []
    try:
        return [str(entry["image"]) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"cannot read the failures {path}: {error!r}") from error


def _points_table(counted: parts.Counted, sources: Mapping[str, str]) -> pa.Table:
    """Build a table with one row per gold face; null if a metric is not defined."""
    images = [counted.images[k] for k in counted.image]
    columns = {
        "score": counted.score,
        "iou": counted.iou,
        "oks": counted.oks,
        "mse_px2": counted.mse,
        "nme": counted.nme,
        "lid_error_left": counted.lid_left,
        "lid_error_right": counted.lid_right,
    }
    return pa.table(
        {
            "image": pa.array(images, pa.string()),
            "source": pa.array([sources[name] for name in images], pa.string()),
            "face": pa.array(metrics.rank_in_image(counted.image.astype(np.int64)), pa.int32()),
            "matched": pa.array(counted.matched, pa.bool_()),
            **{name: pa.array(values, pa.float64(), from_pandas=True) for name, values in columns.items()},
        }
    )

"""The NMS filter: choose the predictions of one iteration that become labels of the next one.

Raw predictions become candidates (in the form in which they would be written), candidates pass priority NMS
(``lidloop.autolabel.priority_nms``), and all that were not kept go to the ledger with a reason:

=================== ===================================================================================
reason              a prediction that …
=================== ===================================================================================
below-confidence    has less than ``conf``; exactly ``conf`` is enough
degenerate          has a coordinate or score that is not finite, or a box without area once written
outside-picture     has fewer than ``min_points_inside`` points inside the picture
overlaps-label      has IoU above ``iou`` with an existing label
overlaps-prediction has IoU above ``iou`` with a more confident prediction that was kept
relabelled          was grown by an earlier iteration and is replaced by this one's (``relabel`` only)
declined            has IoU above ``iou`` with a place where a person said that there is no face
=================== ===================================================================================

IoU is computed for boxes as they are written, rounded to six decimals, so that the files meet the limits
exactly.

Pictures do not depend on each other. They are filtered in blocks (``filter_block``), from some ten thousand
pictures on in one process per core, and a block's lines and ledger rows are written when it is done: no
process holds the faces of all pictures. The index of the pictures is held whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lidloop.autolabel import priority_nms
from lidloop.autolabel.candidates import (
    DECLINED,
    EXISTING_LABEL,
    HUMAN_LABEL,
    MIN_POINTS_INSIDE,
    REASONS,
    RELABELLED,
    find_candidates,
    finish_points,
)
from lidloop.autolabel.priority_nms import Bools, Ints
from lidloop.data.dataset import Dataset, LabelVersion, Retention, finish_next, next_texts
from lidloop.data.face_tables import FaceTables
from lidloop.data.formats import yolo
from lidloop.data.reviews import declined_boxes, read_reviews
from lidloop.data.sorted_table import BLOCK
from lidloop.data.version_writer import LEDGER_SCHEMA, VersionWriter
from lidloop.errors import DatasetError, LidloopError
from lidloop.files import folder_atomic
from lidloop.labels import HUMAN, Floats, LabelSet
from lidloop.landmarks import N_POINTS
from lidloop.workers import in_order, processes_for

log = logging.getLogger("lidloop")

PARALLEL_FROM: Final = 16
"""Blocks of pictures from which on they are filtered side by side."""


@dataclass(frozen=True, eq=False)
class Existing:
    """Labels on disk as columns, by picture in the dataset's order and by line.

    Attributes:
        image: (m,) index into the dataset's pictures.
        line: (m,) line in the text file, from 0.
        boxes: (m, 4) x1, y1, x2, y2 in pixels, as read from the text.
        origin: (m,) ``HUMAN``, or the iteration that grew the label.
        confidence: (m,) score of the label.
        model: (m,) digest of the model that grew each label, "" for human ones.
    """

    image: Ints
    line: Ints
    boxes: Floats
    origin: Ints
    confidence: Floats
    model: pa.Array

    def select(self, rows: Bools) -> Existing:
        """Return the labels of a boolean mask."""
        return Existing(
            self.image[rows], self.line[rows], self.boxes[rows], self.origin[rows], self.confidence[rows],
            self.model.filter(pa.array(rows)),
        )  # fmt: skip


def read_existing(dataset: Dataset, labels: LabelVersion) -> Existing:
    """Read the boxes of a version's labels from their lines, and the other columns from its ledger.

    Args:
        dataset: the pictures, or a block of them.
        labels: the version.

    Raises:
        DatasetError: if the labels belong to another dataset, or text and ledger disagree.
        SourceError: for a line that is not a YOLO pose line.
    """
    if labels.dataset_digest != dataset.digest:
        raise DatasetError(f"{labels.root} holds labels of another dataset than {dataset.root}")
    heads: list[bytes] = []
    counts = np.zeros(len(dataset.records), dtype=np.int64)
    for k, text in enumerate(labels.texts.many(dataset.ids)):
        if text:
            fields = [line.split(None, 5) for line in text.splitlines() if line.strip()]
            if any(len(line) < 6 for line in fields):
                record = dataset.records[k]
                yolo.parse(text.decode(), record.width, record.height, where=f"{labels.root}: {record.id}")
            counts[k] = len(fields)
            heads += [value for line in fields for value in line[1:5]]
    try:
        boxes = np.array(heads, dtype=np.bytes_).astype(np.float64).reshape(-1, 4)
    except ValueError as error:
        raise DatasetError(f"{labels.root}: a label line does not hold numbers: {error}") from None
    if not np.isfinite(boxes).all():
        raise DatasetError(f"{labels.root}: a label line holds a box that is not finite")
    image = np.repeat(np.arange(len(counts)), counts)
    line = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    size = dataset.sizes[image]
    centre, half = boxes[:, :2], boxes[:, 2:] / 2

    kept = labels.ledger_of(dataset.ids)
    kept = kept.filter(pc.greater_equal(kept["line"], 0))
    known = pc.index_in(kept["image"].cast(pa.string()), value_set=dataset.records.ids).fill_null(-1)
    known = known.to_numpy()
    order = np.lexsort((kept["line"].to_numpy(), known))
    kept = kept.take(pa.array(order))
    if not (np.array_equal(known[order], image) and np.array_equal(kept["line"].to_numpy(), line)):
        raise DatasetError(
            f"{labels.root}: the ledger keeps {len(order)} lines that are not the {len(image)} of the text "
            "files; the folder was changed after it was written, make the version again"
        )
    return Existing(
        image, line, np.concatenate([(centre - half) * size, (centre + half) * size], axis=1),
        kept["origin"].to_numpy().astype(np.int64), kept["confidence"].to_numpy().astype(np.float64),
        kept["model"].cast(pa.string()).combine_chunks(),
    )  # fmt: skip


def read_predictions(dataset: Dataset, shards: Sequence[Path]) -> tuple[LabelSet, str, int | None]:
    """Read the predictions of all shards.

    Returns:
        The predictions, with ``image`` as index into the dataset's pictures; digest of the model; iteration
        of the model, None if not stated.

    Raises:
        DatasetError: if the shards are of several models, or do not cover every picture exactly once.
    """
    tables, model, iteration = open_predictions(dataset, shards)
    return tables.between(0, len(dataset.records)), model, iteration


def open_predictions(dataset: Dataset, shards: Sequence[Path]) -> tuple[FaceTables, str, int | None]:
    """Open the predictions of all shards; as ``read_predictions``, without reading the faces."""
    if not shards:
        raise DatasetError("no predictions: give the shard folders that auto-labelling wrote")
    ids = dataset.records.ids
    opened = FaceTables(shards, ids)
    for name in ("model", "iteration", "dataset"):
        values = sorted({table.metadata.get(name, "") for table in opened.tables})
        if len(values) > 1:
            raise DatasetError(f"the shards come from more than one {name}: {', '.join(map(repr, values))}")
    metadata = opened.tables[0].metadata
    if metadata.get("dataset", dataset.digest) != dataset.digest:
        raise DatasetError(f"{shards[0]} holds predictions on another dataset than {dataset.root}")
    for shard, table in zip(shards, opened.tables, strict=True):
        foreign = np.flatnonzero(table.place < 0)
        if len(foreign):
            raise DatasetError(
                f"{shard} predicts on picture {table.images[int(foreign[0])]}, which {dataset.root} does not "
                "hold"
            )
    times = opened.times
    repeated = np.flatnonzero(times > 1)
    if len(repeated):
        found = [s for s, t in zip(shards, opened.tables, strict=True) for k in t.place if k == repeated[0]]
        raise DatasetError(f"picture {ids[int(repeated[0])]} is in both {found[0]} and {found[1]}")
    missing = np.flatnonzero(times == 0)
    if len(missing):
        raise DatasetError(
            f"{len(missing)} of {len(ids)} pictures have no predictions, {ids[int(missing[0])]} for one: "
            "give the folders of all shards"
        )
    if not metadata.get("model"):
        raise DatasetError(f"{shards[0]}: the predictions do not state the digest of their model")
    number = metadata.get("iteration", "")
    return opened, metadata["model"], int(number) if number.lstrip("-").isdigit() else None


def refine(
    dataset: Dataset,
    labels: LabelVersion,
    predictions: Sequence[Path],
    out: Path,
    *,
    iteration: int,
    conf: float = 0.7,
    iou: float = 0.3,
    retention: Retention = "accumulate",
    paper_exact: bool = False,
    min_points_inside: int = MIN_POINTS_INSIDE,
) -> LabelVersion:
    """Grow labels: filter an iteration's predictions on train and val pictures and write the next version.

    Args:
        dataset: the pictures.
        labels: the previous label version.
        predictions: shard folders, each with ``faces.parquet`` of unclipped predictions.
        out: folder of the new version; written atomically.
        iteration: iteration of the model that predicted. The origin of grown labels is the number of the
            previous label version: that of the iteration, unless the run goes on from an earlier one.
        conf: smallest confidence, inclusive.
        iou: largest IoU with a label or a kept prediction, inclusive.
        retention: ``accumulate`` keeps labels grown by earlier iterations as existing labels; ``relabel``
            keeps only human labels, and replaces earlier grown labels by the newest accepted predictions.
        paper_exact: as in arXiv 2404.05348: the network's boxes and clipped points, compared with existing
            labels but not with each other; no rule for faces cut by the border.
        min_points_inside: smallest number of points inside the picture, 1 to 51.

    Returns:
        The new version. ``info["parameters"]`` holds the settings, ``model``, ``grown`` (labels added),
        ``growth`` (relative change of the number of labels; null if there were none) and ``dropped`` (counts
        by reason).

    Raises:
        DatasetError: if labels, predictions and dataset do not match or are damaged.
        LidloopError: for a setting out of range.
    """
    _check(conf, iou, retention, min_points_inside)
    if out.resolve() == labels.root.resolve():
        raise LidloopError(f"{out} holds the previous version; choose another folder for the new one")
    if labels.dataset_digest != dataset.digest:
        raise DatasetError(f"{labels.root} holds labels of another dataset than {dataset.root}")
    opened, model, predicted_by = open_predictions(dataset, predictions)
    if predicted_by is not None and predicted_by != iteration:
        raise DatasetError(f"the predictions are of iteration {predicted_by}, not {iteration}")
    rules = Rules(conf, iou, retention, paper_exact, min_points_inside)
    declined = declined_boxes(read_reviews(labels))

    def jobs() -> Iterator[_Job]:
        first = 0
        for block in dataset.blocks():
            stop = first + len(block.records)
            mine = {name: declined[name] for name in block.ids if name in declined} if declined else {}
            yield _Job(block, labels.root, opened.between(first, stop), model, rules, mine)
            first = stop

    count = -(-len(dataset.records) // BLOCK)
    before = after = grown = predicted = 0
    dropped = np.zeros(len(REASONS), dtype=np.int64)
    with folder_atomic(out) as folder:
        with VersionWriter(folder, labels.version + 1) as writer:
            processes = processes_for(count, from_jobs=PARALLEL_FROM)
            for done in in_order(filter_block, jobs(), processes=processes):
                writer.add(done.images, done.texts, done.ledger)
                before, after = before + done.before, after + done.after
                grown, predicted = grown + done.grown, predicted + done.predicted
                dropped += done.dropped
        parameters: dict[str, Any] = {
            "iteration": iteration, "model": model, "conf": conf, "iou": iou, "paper_exact": paper_exact,
            "min_points_inside": min_points_inside, "grown": grown,
            "growth": (after - before) / before if before else None,
            "dropped": {REASONS[k]: int(n) for k, n in enumerate(dropped) if k and n},
        }  # fmt: skip
        finish_next(folder, labels, dataset, writer, retention, parameters)
    log.info("iteration %d: %d of %d predictions became labels, %d labels now",
             iteration, grown, predicted, after)  # fmt: skip
    return LabelVersion.open(out)


@dataclass(frozen=True)
class Rules:
    """Settings of the filter; as of ``refine``."""

    conf: float
    iou: float
    retention: Retention
    paper_exact: bool
    min_points_inside: int


@dataclass(frozen=True, eq=False)
class _Job:
    """A block of pictures to filter: its predictions, and the places where a person said there is no face."""

    block: Dataset
    labels: Path
    raw: LabelSet
    model: str
    rules: Rules
    declined: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class FilteredBlock:
    """A block of pictures in the next version.

    Attributes:
        images: ids of the pictures.
        texts: their label lines.
        ledger: rows of their faces, by picture.
        before, after: number of labels in the version before and in this one.
        grown, predicted: number of labels added, and of predictions.
        dropped: number of faces dropped, by index into ``REASONS``.
    """

    images: tuple[str, ...]
    texts: list[bytes]
    ledger: pa.Table
    before: int
    after: int
    grown: int
    predicted: int
    dropped: Ints


def filter_block(job: _Job) -> FilteredBlock:
    """Filter the predictions of a block of pictures; other pictures do not matter to it."""
    dataset, raw, rules = job.block, job.raw, job.rules
    labels = LabelVersion.open(job.labels)
    existing = read_existing(dataset, labels)
    relabel = rules.retention == "relabel"
    stays = existing.origin == HUMAN if relabel else np.ones(len(existing.image), dtype=bool)
    base = existing.select(stays)

    sizes = dataset.sizes
    found = find_candidates(
        raw, sizes, conf=rules.conf, min_points_inside=rules.min_points_inside, paper_exact=rules.paper_exact
    )
    order = priority_nms.priority_order(raw.image, raw.score, found.boxes, raw.points)
    raw, boxes, reason = raw.select(order), found.boxes[order], found.reason[order]
    reason[_on_declined(job.declined, raw, boxes, reason == 0, rules.iou)] = DECLINED
    result = priority_nms.priority_nms(
        base.image, base.boxes, raw.image, boxes, raw.score,
        iou=rules.iou, takes_part=reason == 0, among_predictions=not rules.paper_exact,
    )  # fmt: skip
    reason = np.where(reason > 0, reason, result.decision)
    kept = np.flatnonzero(reason == 0)
    image = raw.image[kept]
    points = finish_points(raw.points[kept], sizes[image], paper_exact=rules.paper_exact)
    grown = LabelSet(
        raw.images, image, boxes[kept], points, np.full(len(kept), labels.version), raw.score[kept],
    )  # fmt: skip
    replaced = existing.select(~stays)
    ledger = _ledger(dataset, base, replaced, raw, boxes, reason, result.label_iou, labels.version, job.model)
    dropped = np.bincount(reason, minlength=len(REASONS)).astype(np.int64)
    dropped[RELABELLED] = len(replaced.image)
    return FilteredBlock(
        dataset.ids, next_texts(labels, dataset, grown, retention=rules.retention), ledger,
        before=len(existing.image), after=len(base.image) + len(kept), grown=len(kept), predicted=len(raw),
        dropped=dropped,
    )  # fmt: skip


def _check(conf: float, iou: float, retention: str, min_points_inside: int) -> None:
    if not 0 <= conf <= 1:
        raise LidloopError(f"conf must be from 0 to 1, not {conf}")
    if not 0 <= iou < 1:
        raise LidloopError(f"iou must be at least 0 and below 1, not {iou}")
    if retention not in ("accumulate", "relabel"):
        raise LidloopError(f"retention must be accumulate or relabel, not {retention!r}")
    if not 1 <= min_points_inside <= N_POINTS:
        raise LidloopError(f"min_points_inside must be from 1 to {N_POINTS}, not {min_points_inside}")


def _on_declined(
    places: Mapping[str, Floats], raw: LabelSet, boxes: Floats, candidate: Bools, iou: float
) -> Bools:
    """(n,) True for candidates at a place where a person said that there is no face.

    Such a place drops what an existing label there would drop, but is no label.
    """
    if not places:
        return np.zeros(len(raw), dtype=bool)
    index = {name: k for k, name in enumerate(raw.images)}
    declined = np.repeat([index[name] for name in places], [len(group) for group in places.values()])
    found = priority_nms.priority_nms(
        declined.astype(np.int64), np.concatenate(list(places.values())), raw.image, boxes, raw.score,
        iou=iou, takes_part=candidate, among_predictions=False,
    )  # fmt: skip
    on_declined: Bools = candidate & (found.decision == priority_nms.OVERLAPS_LABEL)
    return on_declined


def _ledger(
    dataset: Dataset, base: Existing, replaced: Existing, raw: LabelSet, boxes: Floats,
    reason: NDArray[np.int8], label_iou: Floats, origin: int, model: str,
) -> pa.Table:  # fmt: skip
    """Build the ledger, one row per face; by picture: labels that stay, grown labels, dropped faces."""
    n = len(raw)
    counts = np.bincount(base.image, minlength=len(dataset.records))
    line = np.full(n, -1)
    kept = np.flatnonzero(reason == 0)
    picture = raw.image[kept]  # sorted; rows of a picture are in the order of its new lines
    line[kept] = counts[picture] + np.arange(len(kept)) - np.searchsorted(picture, picture)
    image = np.concatenate([base.image, replaced.image, raw.image])
    lines = np.concatenate([base.line, np.full(len(replaced.image), -1), line])
    code = np.concatenate([
        np.where(base.origin == HUMAN, HUMAN_LABEL, EXISTING_LABEL),
        np.full(len(replaced.image), RELABELLED), reason,
    ])  # fmt: skip
    order = np.lexsort((np.where(lines < 0, np.iinfo(np.int64).max, lines), image))
    old = len(image) - n
    corners = np.concatenate([base.boxes, replaced.boxes, boxes])[order].astype(np.float32)
    splits = dataset.records.column("split")
    split = splits.indices.to_numpy()[image[order]]
    models = pa.concat_arrays([base.model, replaced.model, pa.repeat(pa.scalar(model), n)])
    columns = [
        _names(image[order], list(dataset.ids)),
        _names(split, splits.dictionary.to_pylist()),
        pa.array(lines[order], pa.int32()),
        *(pa.array(corners[:, k]) for k in range(4)),
        pa.array(np.concatenate([base.origin, replaced.origin, np.full(n, origin)])[order], pa.int32()),
        models.dictionary_encode().take(pa.array(order)),
        pa.array(np.concatenate([base.confidence, replaced.confidence, raw.score])[order].astype(np.float32)),
        pa.array(np.concatenate([np.zeros(old), label_iou])[order].astype(np.float32)),
        _names((lines[order] < 0).astype(np.int64), ["kept", "dropped"]),
        _names(code[order], list(REASONS)),
    ]
    return pa.Table.from_arrays(columns, schema=LEDGER_SCHEMA)


def _names(index: NDArray[Any], values: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(values, pa.string()))

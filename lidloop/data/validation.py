"""Check a dataset and a label version on disk: files, digests, sizes, splits, labels, ledger."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.formats import yolo
from lidloop.data.version_writer import SPLITS
from lidloop.errors import LidloopError
from lidloop.files import sha256
from lidloop.images import image_size
from lidloop.labels import HUMAN, Face, box_of

_TOLERANCE = 0.02  # pixels; six decimals of a fraction are 0.01 px at 10,000 px, box and point each


def validate(dataset: Dataset, labels: LabelVersion) -> list[str]:
    """Check files, digests, sizes, splits, points, boxes and ledger against each other.

    Grown boxes may differ from the bounds of their points, which may lie outside the picture.

    Returns:
        the problems, one sentence each; empty if there is none.
    """
    problems = _check_pictures(dataset)
    if labels.dataset_digest != dataset.digest:
        return [*problems, f"{labels.root} holds labels of another dataset than {dataset.root}"]
    try:
        rows = labels.ledger().to_pylist()
    except LidloopError as error:
        return [*problems, str(error)]
    ledger = {(row["image"], row["line"]): row for row in rows if row["line"] >= 0}
    if len(ledger) != sum(row["line"] >= 0 for row in rows):
        problems.append("the ledger names a line of a label file twice")
    lines = 0
    for record in dataset.records:
        try:
            text = labels.text(record.id).decode()
            faces = yolo.parse(text, record.width, record.height, where=record.id)
        except (LidloopError, UnicodeDecodeError) as error:
            problems.append(str(error))
            continue
        lines += len(faces)
        for line, face in enumerate(faces):
            where = f"{record.id}, line {line}"
            row = ledger.get((record.id, line))
            if row is None:
                problems.append(f"{where}: the ledger does not know it")
                continue
            if row["split"] != record.split:
                problems.append(
                    f"{where}: the ledger has it in {row['split']}, its picture is in {record.split}"
                )
            human = row["origin"] == HUMAN
            if labels.version == 0 and not human:
                problems.append(f"{where}: version 0 holds a label that is not human")
            problems += [
                f"{where}: {what}" for what in _check_face(face, record.width, record.height, human=human)
            ]
    if lines != len(ledger):
        problems.append(f"the ledger keeps {len(ledger)} lines, the label files have {lines}")
    unknown = labels.texts.names() - set(dataset.ids)
    problems += [f"label lines of {name} belong to no picture" for name in sorted(unknown)]
    return problems


def _check_pictures(dataset: Dataset) -> list[str]:
    problems = [
        f"{n} pictures have the id {name}"
        for name, n in Counter(r.id.lower() for r in dataset.records).items()
        if n > 1
    ]
    splits: dict[str, set[str]] = defaultdict(set)
    for record in dataset.records:
        splits[record.group].add(record.split)
        path = dataset.path(record.id)
        if record.split not in SPLITS:
            problems.append(f"{record.id}: unknown split {record.split!r}")
        if not path.is_file():
            problems.append(f"{record.id}: {record.file} is missing")
            continue
        if sha256(path) != record.sha256:
            problems.append(f"{record.id}: {record.file} was changed after it was written")
            continue
        try:
            size = image_size(path)
        except LidloopError as error:
            problems.append(str(error))
            continue
        if size != (record.width, record.height):
            problems.append(f"{record.id}: {size} pixels, the index says {(record.width, record.height)}")
    problems += [f"group {group} is in several splits" for group, names in splits.items() if len(names) > 1]
    return problems


def _check_face(face: Face, width: int, height: int, *, human: bool) -> list[str]:
    problems = []
    if not np.isin(face.points[:, 2], (0, 1, 2)).all():
        problems.append("a visibility is not 0, 1 or 2")
    seen = face.points[:, 2] > 0
    xy = face.points[:, :2]
    if (xy[~seen] != 0).any():
        problems.append("a point with visibility 0 is not at 0 0")
    if (xy[seen] < 0).any() or (xy[seen] > (width, height)).any():
        problems.append("a visible point is outside the picture")
    if not (face.box[2:] > face.box[:2]).all():
        problems.append("the box is empty")
    elif human and not np.allclose(face.box, box_of(face.points), atol=_TOLERANCE, rtol=0):
        problems.append("the box is not the bounds of the points")
    return problems

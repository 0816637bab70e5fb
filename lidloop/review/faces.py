"""Faces of a label version that a person can review: its labels, and the faces that were dropped."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.ledgers import Ints, Ledger, read_ledgers
from lidloop.data.reviews import declined_boxes, read_reviews
from lidloop.labels import HUMAN, Floats, LabelSet, box_iou
from lidloop.landmarks import N_POINTS

SAME_FACE: Final = 0.5
"""IoU from which two boxes of one picture are taken for the same face."""
NEVER_A_FACE: Final = frozenset({"degenerate", "declined", "corrected", "relabelled"})
"""Reasons of the ledger for which a dropped row is not shown: it has no usable box, a person has decided on
it, or a newer label took its place."""

_ID_CHARACTERS: Final = 12


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces to review: the labels first, in the order of pictures and lines, then the dropped faces.

    Attributes:
        ids: (n,) id of each face: picture, a colon, and the beginning of the SHA-256 of its label line, or of
            its row in the ledger. A label keeps its id in all versions, as its line keeps its bytes.
        all: labels and dropped faces as one set. A dropped face whose points are not known has none visible.
        line: (n,) line in the picture's label file, -1 for dropped faces.
        iou: (n,) largest IoU with a label that was there before, as the ledger has it.
        reason: (n,) reason in the ledger of the version that kept or dropped the face.
        version: (n,) that version.
        times: (n,) versions that dropped a face at this place; 0 for labels.
    """

    ids: tuple[str, ...]
    all: LabelSet
    line: Ints
    iou: Floats
    reason: tuple[str, ...]
    version: Ints
    times: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_label(self) -> NDArray[np.bool_]:
        """(n,) True for labels, False for dropped faces."""
        return np.asarray(self.line >= 0)

    @property
    def kinds(self) -> NDArray[np.str_]:
        """(n,) ``human``, ``grown`` or ``dropped``."""
        return np.where(~self.is_label, "dropped", np.where(self.all.origin == HUMAN, "human", "grown"))


def face_id(image: str, content: bytes) -> str:
    """Id of a face: its picture and the beginning of the SHA-256 of its label line or ledger row."""
    return f"{image}:{hashlib.sha256(content).hexdigest()[:_ID_CHARACTERS]}"


def label_lines(labels: LabelVersion, image: str) -> list[bytes]:
    """Label lines of a picture without their line ends."""
    return [line for line in labels.text(image).splitlines() if line.strip()]


def label_ids(image: str, lines: Sequence[bytes]) -> list[str]:
    """Ids of a picture's labels by line; a repeated line gets a number behind its id."""
    seen: Counter[str] = Counter()
    ids = []
    for line in lines:
        name = face_id(image, line.strip())
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids


def read_faces_to_review(
    dataset: Dataset,
    labels: LabelVersion,
    predictions: LabelSet | None = None,
    ledgers: Sequence[Ledger] | None = None,
) -> Faces:
    """Read the labels of a version and the faces dropped by it and by earlier versions.

    Dropped rows at the place of a label (IoU of ``SAME_FACE``) are that face and left out, and so are those
    at a place where a person said that there is no face. Of several rows at one place the one of highest
    confidence stands for all.

    Args:
        dataset: the pictures.
        labels: the version.
        predictions: raw predictions of any iterations; they give dropped faces their points.
        ledgers: result of ``read_ledgers``, if it was read already.

    Raises:
        DatasetError: if labels and dataset do not match or are damaged.
    """
    kept = labels.labels(dataset)
    ledgers = read_ledgers(labels) if ledgers is None else ledgers
    ids: list[str] = []
    lines: list[int] = []
    for record in dataset.records:
        names = label_ids(record.id, label_lines(labels, record.id))
        ids += names
        lines += range(len(names))
    rows = {(i, n): k for k, (i, n) in enumerate(zip(ledgers[-1].image, ledgers[-1].line, strict=True))}
    order = [rows[kept.images[i], n] for i, n in zip(kept.image.tolist(), lines, strict=True)]
    newest = ledgers[-1]
    dropped, places, times = _dropped(kept, ledgers, declined_boxes(read_reviews(labels)))
    points = _points_of(dropped, places, ledgers, predictions)
    everything = LabelSet(
        kept.images,
        np.concatenate([kept.image, dropped.image]),
        np.concatenate([kept.boxes, dropped.boxes]),
        np.concatenate([kept.points, points]),
        np.concatenate([kept.origin, dropped.origin]),
        np.concatenate([kept.score, dropped.score]),
    )
    sources = [(ledgers[v], k) for v, k in places]
    return Faces(
        ids=(*ids, *(_dropped_id(ledger, k) for ledger, k in sources)),
        all=everything,
        line=np.array(lines + [-1] * len(places), dtype=np.int64),
        iou=np.array([newest.iou[k] for k in order] + [ledger.iou[k] for ledger, k in sources], np.float64),
        reason=(*(str(newest.reason[k]) for k in order), *(str(le.reason[k]) for le, k in sources)),
        version=np.array([newest.version] * len(order) + [ledger.version for ledger, _ in sources], np.int64),
        times=np.array([0] * len(order) + times, dtype=np.int64),
    )


def _dropped_id(ledger: Ledger, row: int) -> str:
    box = ",".join(f"{value:.2f}" for value in ledger.boxes[row])
    content = f"dropped v{ledger.version} {ledger.origin[row]} {ledger.confidence[row]:.6f} {box}"
    return face_id(str(ledger.image[row]), content.encode())


def _dropped(
    kept: LabelSet, ledgers: Sequence[Ledger], declined: Mapping[str, Floats]
) -> tuple[LabelSet, list[tuple[int, int]], list[int]]:
    """Dropped faces that are at no label's place: the set, their (version, row), and times dropped."""
    index = {name: k for k, name in enumerate(kept.images)}
    by_image: dict[str, list[tuple[float, int, int]]] = {}
    for ledger in ledgers:
        for row in np.flatnonzero(ledger.line < 0).tolist():
            usable = np.isfinite(ledger.boxes[row]).all() and np.isfinite(ledger.confidence[row])
            if usable and ledger.reason[row] not in NEVER_A_FACE:
                entry = (-float(ledger.confidence[row]), -ledger.version, row)
                by_image.setdefault(str(ledger.image[row]), []).append(entry)
    places: list[tuple[int, int]] = []
    times: list[int] = []
    for image, entries in by_image.items():
        entries.sort()
        boxes = np.array([ledgers[-v].boxes[row] for _, v, row in entries]).reshape(-1, 4)
        taken = np.concatenate(
            [kept.boxes[kept.image == index[image]], declined.get(image, np.zeros((0, 4)))]
        )
        free = (box_iou(boxes, taken) < SAME_FACE).all(axis=1)
        same = box_iou(boxes, boxes) >= SAME_FACE
        while free.any():
            first = int(np.flatnonzero(free)[0])
            group = free & same[first]
            group[first] = True
            places.append((-entries[first][1], entries[first][2]))
            times.append(len({entries[k][1] for k in np.flatnonzero(group)}))
            free &= ~group
    rows = [(ledgers[v], k) for v, k in places]
    dropped = LabelSet(
        kept.images,
        np.array([index[str(ledger.image[k])] for ledger, k in rows], dtype=np.int64),
        np.array([ledger.boxes[k] for ledger, k in rows], dtype=np.float64).reshape(-1, 4),
        np.zeros((len(rows), N_POINTS, 3)),
        np.array([ledger.origin[k] for ledger, k in rows], dtype=np.int64),
        np.array([ledger.confidence[k] for ledger, k in rows], dtype=np.float64),
    )
    return dropped, places, times


def _points_of(
    dropped: LabelSet,
    places: Sequence[tuple[int, int]],
    ledgers: Sequence[Ledger],
    predictions: LabelSet | None,
) -> Floats:
    """Points of dropped faces from the prediction of the same picture, iteration and score: (n, 51, 3)."""
    points = dropped.points.copy()
    if predictions is None:
        return points
    known: dict[tuple[str, int, float], list[int]] = {}
    for row in range(len(predictions)):
        name = predictions.images[predictions.image[row]]
        key = (name, int(predictions.origin[row]), float(np.float32(predictions.score[row])))
        known.setdefault(key, []).append(row)
    for k in range(len(dropped)):
        key = (dropped.images[dropped.image[k]], int(dropped.origin[k]), float(np.float32(dropped.score[k])))
        rows = known.get(key, [])
        iou = box_iou(dropped.boxes[k][None], predictions.boxes[rows])[0] if rows else np.zeros(0)
        if len(iou) and iou.max() > 0:
            points[k] = predictions.points[rows[int(iou.argmax())]]
    return points

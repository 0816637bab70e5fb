"""Datasets and label versions on disk.

::

    dataset/                     written once, never changed
      dataset.json               format, digest, seed, counts, sources
      images.parquet             one row per picture: id, file, width, height, split, source, group, sha256
      images/<id>.<ext>          unless they were shared: then dataset.json says where
      (``lidloop.data.image_store``)
      convert-report.json        what was read, and every reject with its reason
    labels-v<k>/
      version.json               version, parent, dataset digest, counts, parameters
      text/<id>.txt              YOLO pose lines; a picture without a face has an empty file or none
      ledger/v0.parquet …        one row per face and version, the dropped ones too
      ledger/review-v<k>.parquet decisions of people that made version k (``lidloop.data.reviews``)

A text file of version k+1 begins with the human lines of version k (``relabel``) or with all of them
(``accumulate``), so human labels survive byte for byte. In a version that people reviewed, faces that they
confirmed, corrected or added are human labels behind the earlier ones, before the grown ones; the line of a
corrected or declined label is kept in the table of decisions. Unchanged files are hard links.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute

from lidloop.data.formats import yolo
from lidloop.data.formats.text import shown
from lidloop.data.image_store import Folder, Pictures, Shared, share
from lidloop.data.tables import BOX, read_table, write_table
from lidloop.errors import DatasetError
from lidloop.files import link_or_copy, write_atomic
from lidloop.labels import HUMAN, Face, LabelSet
from lidloop.storage import parse_address

FORMAT: Final = 1
SPLITS: Final = ("train", "val")
Retention = Literal["accumulate", "relabel"]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture: its size in pixels after EXIF orientation, its split, the source it came from, and
    the group (a picture and its copies) that never falls into two splits. ``file`` is under ``images/``."""

    id: str
    file: str
    width: int
    height: int
    split: str
    source: str
    group: str
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """The pictures of a dataset folder. Open one with ``Dataset.open``."""

    root: Path
    records: tuple[ImageRecord, ...]
    digest: str
    info: dict[str, Any]

    @classmethod
    def open(cls, root: Path) -> Dataset:
        """Open a dataset folder.

        Raises:
            DatasetError: where it is missing, unfinished, of another format, or its digest is not its own.
        """
        info = _read_json(root / "dataset.json", "dataset", ("digest",))
        table = read_table(root / "images.parquet")
        try:
            records = tuple(ImageRecord(**row) for row in table.to_pylist())
        except TypeError as error:
            raise DatasetError(f"{root}: images.parquet is no index of pictures: {error}") from error
        if _digest(records) != info["digest"]:
            raise DatasetError(f"{root}: images.parquet does not match dataset.json; convert again")
        return cls(root, records, info["digest"], info)

    @classmethod
    def write(cls, root: Path, records: Iterable[ImageRecord], info: Mapping[str, Any]) -> Dataset:
        """Write the index of a dataset whose pictures already lie under ``root/images``."""
        records = tuple(sorted(records, key=lambda r: r.id))
        columns = {name: [getattr(r, name) for r in records] for name in ImageRecord.__slots__}
        write_table(root / "images.parquet", pa.table(columns))
        complete = {"format": FORMAT, "digest": _digest(records), "images": len(records), **info}
        write_atomic(root / "dataset.json", json.dumps(complete, indent=1))
        return cls(root, records, complete["digest"], complete)

    @cached_property
    def by_id(self) -> dict[str, ImageRecord]:
        return {record.id: record for record in self.records}

    @cached_property
    def pictures(self) -> Pictures:
        """Storage of the pictures' files."""
        place = self.info.get("pictures")
        return Shared(place, self.digest) if place else Folder(self.root / "images")

    def path(self, image: str) -> Path:
        """Path of a picture's file, which is fetched where it is in a store.

        Raises:
            StoreError, DatasetError: where it cannot be fetched, or is not the picture of the index.
        """
        return self.pictures.path(self.by_id[image])

    def split(self, name: str) -> tuple[ImageRecord, ...]:
        """The pictures of ``train`` or ``val``."""
        return tuple(r for r in self.records if r.split == name)


def share_pictures(dataset: Dataset, place: str) -> Dataset:
    """Move the pictures of a dataset into a shared place; what is left in its folder is their index.

    Args:
        dataset: one whose pictures lie in its folder.
        place: folder or ``s3://`` address; other datasets may have theirs there too.

    Raises:
        StoreError: where the place cannot be read or written; the dataset stays as it was.
    """
    where = parse_address(place)
    share(dataset.root / "images", dataset.records, place)
    info = {**dataset.info, "pictures": str(where) if isinstance(where, Path) else place}
    write_atomic(dataset.root / "dataset.json", json.dumps(info, indent=1))
    shutil.rmtree(dataset.root / "images")
    return Dataset.open(dataset.root)


@dataclass(frozen=True)
class LabelVersion:
    """The labels of one version: text files and ledgers. Open one with ``LabelVersion.open``."""

    root: Path
    version: int
    dataset_digest: str
    info: dict[str, Any]

    @classmethod
    def open(cls, root: Path) -> LabelVersion:
        """Open a label version.

        Raises:
            DatasetError: where it is missing, unfinished or of another format.
        """
        info = _read_json(root / "version.json", "label version", ("version", "dataset", "counts", "total"))
        if not isinstance(info["version"], int):
            raise DatasetError(f"{root / 'version.json'} is damaged: 'version' is no whole number")
        return cls(root, info["version"], str(info["dataset"]), info)

    def ledger(self, version: int | None = None) -> pa.Table:
        """The ledger of this version, or of an earlier one."""
        return read_table(self.root / "ledger" / f"v{self.version if version is None else version}.parquet")

    def text(self, image: str) -> bytes:
        """The label lines of a picture, as they are on disk."""
        path = self.root / "text" / f"{image}.txt"
        return path.read_bytes() if path.exists() else b""

    def labelled(self) -> set[str]:
        """Ids of the pictures that have at least one label, human or grown."""
        ledger = self.ledger()
        kept = ledger.filter(pa.compute.greater_equal(ledger["line"], 0))
        return set(kept["image"].unique().to_pylist())

    def labels(self, dataset: Dataset, split: str | None = None) -> LabelSet:
        """Read the labels of all pictures, or of one split, with origin and score from the ledger.

        Raises:
            DatasetError: where the labels belong to another dataset, or text and ledger disagree.
        """
        if self.dataset_digest != dataset.digest:
            raise DatasetError(f"{self.root} holds labels of another dataset than {dataset.root}")
        records = dataset.records if split is None else dataset.split(split)
        try:
            texts = {record.id: self.text(record.id).decode() for record in records}
        except UnicodeDecodeError as error:
            raise DatasetError(f"{self.root}: a label file is no text: {error}") from error
        faces = {r.id: yolo.parse(texts[r.id], r.width, r.height, where=r.id) for r in records}
        labels = LabelSet.from_faces(faces)
        ledger = self.ledger()
        kept = ledger.filter(pa.compute.greater_equal(ledger["line"], 0))
        known = {
            (image, line): (origin, score)
            for image, line, origin, score in zip(
                kept["image"].to_pylist(), kept["line"].to_pylist(), kept["origin"].to_pylist(),
                kept["confidence"].to_pylist(), strict=True,
            )
        }  # fmt: skip
        keys = [(r.id, line) for r in records for line in range(len(faces[r.id]))]
        missing = [key for key in keys if key not in known]
        if missing:
            raise DatasetError(
                f"{self.root}: the ledger does not know line {missing[0][1]} of {missing[0][0]}"
            )
        rows = np.array([known[key] for key in keys], dtype=np.float64).reshape(-1, 2)
        return LabelSet(
            labels.images, labels.image, labels.boxes, labels.points, rows[:, 0].astype(np.int64), rows[:, 1]
        )


LEDGER_SCHEMA: Final = pa.schema(
    [
        ("image", pa.dictionary(pa.int32(), pa.string())),
        ("split", pa.dictionary(pa.int32(), pa.string())),
        ("line", pa.int32()),  # line in the text file, from 0; -1 for a face that was dropped
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        (
            "origin",
            pa.int32(),
        ),  # -1 human, else the label version that the model which predicted it was trained on
        (
            "model",
            pa.dictionary(pa.int32(), pa.string()),
        ),  # digest of the model that did; "" for human labels
        ("confidence", pa.float32()),
        (
            "iou",
            pa.float32(),
        ),  # largest IoU with a label that was there before; 0 for those labels themselves
        ("decision", pa.dictionary(pa.int32(), pa.string())),  # kept | dropped
        ("reason", pa.dictionary(pa.int32(), pa.string())),  # human, grown, existing, overlaps-…, …
    ]
)


def write_initial(root: Path, dataset: Dataset, labels: LabelSet) -> LabelVersion:
    """Write version 0: the labels as given, all human.

    ``root`` must be empty; it counts as written once ``version.json`` is there, which comes last.
    """
    (root / "text").mkdir(parents=True, exist_ok=True)
    by_image = _faces_by_image(labels)
    rows: list[dict[str, Any]] = []
    for record in dataset.records:
        faces = by_image.get(record.id, [])
        if faces:
            text = yolo.format_lines(faces, record.width, record.height)
            _write_new(root / "text" / f"{record.id}.txt", text.encode())
        for line, face in enumerate(faces):
            box = dict(zip(BOX, map(float, face.box), strict=True))
            rows.append(
                {"image": record.id, "split": record.split, "line": line, **box, "origin": HUMAN,
                 "model": "", "confidence": 1.0, "iou": 0.0, "decision": "kept", "reason": "human"}
            )  # fmt: skip
    ledger = pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)
    write_table(root / "ledger" / "v0.parquet", ledger)
    return _finish(root, 0, dataset, ledger_counts(ledger), {"parent": None})


def write_next(
    root: Path,
    previous: LabelVersion,
    dataset: Dataset,
    grown: LabelSet,
    ledger: pa.Table,
    *,
    retention: Retention = "accumulate",
    parameters: Mapping[str, Any] | None = None,
) -> LabelVersion:
    """Write the version after ``previous``: its lines, byte for byte, and the grown ones behind them.

    Args:
        root: an empty folder.
        previous: the version before.
        dataset: the pictures of both.
        grown: accepted predictions, in the order in which they become lines of their picture's file.
        ledger: the complete ledger of the new version (``LEDGER_SCHEMA``).
        retention: ``accumulate`` appends to the lines of ``previous``, ``relabel`` to the human ones.
        parameters: recorded in ``version.json``.

    Raises:
        DatasetError: where the ledger's kept lines are not the lines written.
    """
    text = root / "text"
    text.mkdir(parents=True, exist_ok=True)
    by_image = _faces_by_image(grown)
    humans = _human_counts(previous)
    written = 0
    for record in dataset.records:
        faces = by_image.get(record.id, [])
        old = previous.root / "text" / f"{record.id}.txt"
        before = previous.text(record.id)
        base = before
        if retention == "relabel":
            base = b"".join(before.splitlines(keepends=True)[: humans[record.id]])
        written += base.count(b"\n") + len(faces)
        if not faces and base == before:
            if old.exists():
                link_or_copy(old, text / old.name)
            continue
        added = yolo.format_lines(faces, record.width, record.height)
        _write_new(text / f"{record.id}.txt", base + added.encode())
    return _finish_next(root, previous, dataset, ledger, written, retention, parameters)


def write_reviewed(
    root: Path,
    previous: LabelVersion,
    dataset: Dataset,
    changed: Mapping[str, Sequence[bytes]],
    ledger: pa.Table,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> LabelVersion:
    """Write the version after ``previous`` in which people decided on faces.

    Args:
        root: an empty folder.
        previous: the version before; the files of pictures that are not in ``changed`` stay as they are.
        dataset: the pictures of both.
        changed: label lines, without line ends, of the pictures with a decision: human ones first.
        ledger: the complete ledger of the new version (``LEDGER_SCHEMA``).
        parameters: recorded in ``version.json``.

    Raises:
        DatasetError: where the ledger's kept lines are not the lines written.
    """
    text = root / "text"
    text.mkdir(parents=True, exist_ok=True)
    written = 0
    for record in dataset.records:
        lines = changed.get(record.id)
        old = previous.root / "text" / f"{record.id}.txt"
        if lines is None:
            written += previous.text(record.id).count(b"\n")
            if old.exists():
                link_or_copy(old, text / old.name)
        else:
            written += len(lines)
            _write_new(text / old.name, b"".join(line + b"\n" for line in lines))
    return _finish_next(root, previous, dataset, ledger, written, "review", parameters)


def write_human_labels(
    root: Path, labels: LabelVersion, dataset: Dataset, split: str, info: Mapping[str, Any]
) -> LabelVersion:
    """Write the human labels of one split of a version alone, with its number and without earlier ledgers.

    Args:
        root: an empty folder, or a new one.
        labels: the version.
        dataset: its pictures.
        split: ``train`` or ``val``.
        info: recorded in ``version.json``.
    """
    text = root / "text"
    text.mkdir(parents=True, exist_ok=True)
    humans = _human_counts(labels)
    for record in dataset.split(split):
        lines = labels.text(record.id).splitlines(keepends=True)
        source, target = labels.root / "text" / f"{record.id}.txt", text / f"{record.id}.txt"
        if lines and len(lines) == humans[record.id]:
            link_or_copy(source, target)
        elif humans[record.id]:
            _write_new(target, b"".join(lines[: humans[record.id]]))
    ledger = labels.ledger()
    human = pa.compute.and_(
        pa.compute.greater_equal(ledger["line"], 0), pa.compute.equal(ledger["origin"], HUMAN)
    )
    here = pa.compute.equal(ledger["split"].cast(pa.string()), split)
    kept = ledger.filter(pa.compute.and_(human, here))
    write_table(root / "ledger" / f"v{labels.version}.parquet", kept)
    return _finish(root, labels.version, dataset, ledger_counts(kept), info)


def _finish_next(
    root: Path,
    previous: LabelVersion,
    dataset: Dataset,
    ledger: pa.Table,
    written: int,
    retention: str,
    parameters: Mapping[str, Any] | None,
) -> LabelVersion:
    """Add the ledgers and ``version.json`` to a version whose ``written`` label lines are in its folder."""
    version = previous.version + 1
    carry_ledgers(previous, root)
    table = ledger.cast(LEDGER_SCHEMA)
    kept = pa.compute.sum(pa.compute.greater_equal(table["line"], 0)).as_py() or 0
    if kept != written:
        raise DatasetError(f"{root}: {written} label lines were written but the ledger keeps {kept}")
    write_table(root / "ledger" / f"v{version}.parquet", table)
    info = {"parent": previous.version, "retention": retention, "parameters": dict(parameters or {})}
    return _finish(root, version, dataset, ledger_counts(table), info)


def carry_ledgers(previous: LabelVersion, root: Path) -> None:
    """Give the folder of a new version the ledgers of all earlier versions, and the decisions of people."""
    (root / "ledger").mkdir(exist_ok=True)
    for file in sorted((previous.root / "ledger").glob("*.parquet")):
        link_or_copy(file, root / "ledger" / file.name)


def _human_counts(labels: LabelVersion) -> Counter[str]:
    """Number of human labels by picture; they are the first lines of its file."""
    ledger = labels.ledger()
    human = pa.compute.and_(
        pa.compute.greater_equal(ledger["line"], 0), pa.compute.equal(ledger["origin"], HUMAN)
    )
    return Counter(ledger.filter(human)["image"].to_pylist())


def _faces_by_image(labels: LabelSet) -> dict[str, list[Face]]:
    """Faces by picture id, in row order; pictures without one are left out."""
    faces: dict[str, list[Face]] = {}
    for row, image in enumerate(labels.image.tolist()):
        face = Face(
            labels.boxes[row], labels.points[row], int(labels.origin[row]), float(labels.score[row])
        )  # fmt: skip
        faces.setdefault(labels.images[image], []).append(face)
    return faces


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet: an existing one may be a hard link to another version's file.

    No temporary name is used, which would double the time of a version: a half-written file is in a folder
    without ``version.json``.
    """
    with path.open("xb") as file:
        file.write(data)


def ledger_counts(ledger: pa.Table) -> dict[str, dict[str, int]]:
    """Count the kept rows of a ledger: ``{"train": {"human": n, "grown": n}, "val": …}``."""
    kept = pa.compute.greater_equal(ledger["line"], 0)
    human = pa.compute.equal(ledger["origin"], HUMAN)
    counts = {}
    for name in SPLITS:
        here = pa.compute.and_(kept, pa.compute.equal(ledger["split"].cast(pa.string()), name))
        total = pa.compute.sum(here).as_py() or 0
        given = pa.compute.sum(pa.compute.and_(here, human)).as_py() or 0
        counts[name] = {"human": given, "grown": total - given}
    return counts


def _finish(
    root: Path, version: int, dataset: Dataset, counts: dict[str, dict[str, int]], info: Mapping[str, Any]
) -> LabelVersion:
    total = sum(sum(c.values()) for c in counts.values())
    complete = {
        "format": FORMAT,
        "version": version,
        "dataset": dataset.digest,
        "counts": counts,
        "total": total,
    }
    complete |= info
    write_atomic(root / "version.json", json.dumps(complete, indent=1))
    return LabelVersion(root, version, dataset.digest, complete)


def _digest(records: Sequence[ImageRecord]) -> str:
    sha = hashlib.sha256()
    for record in records:
        sha.update(json.dumps(asdict(record), sort_keys=True).encode())
    return sha.hexdigest()


def _read_json(path: Path, what: str, keys: Sequence[str]) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path.parent} is not a finished {what}: it has no {path.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"cannot read {path}: {shown(str(error))}") from error
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        given = shown(info.get("format") if isinstance(info, dict) else info, 40)
        raise DatasetError(f"{path} has format {given}; this lidloop reads {FORMAT}")
    missing = [key for key in keys if key not in info]
    if missing:
        raise DatasetError(f"{path} is damaged: it has no '{missing[0]}'")
    return info

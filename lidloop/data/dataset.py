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
      text.parquet               one row per picture with a label: its YOLO pose lines, as bytes
      ledger/v0.parquet …        one row per face and version, the dropped ones too
      ledger/review-v<k>.parquet decisions of people that made version k (``lidloop.data.reviews``)

Both tables have one row group for each block of pictures, in the order of the dataset
(``lidloop.data.sorted_table``), so that a version is read and written in bounded memory. Versions of earlier
releases (format 1) have a text file ``text/<id>.txt`` for each labelled picture; they are read as well, and
``lidloop labels export`` writes such files from any version.

The lines of a picture in version k+1 begin with the human lines of version k (``relabel``) or with all of
them (``accumulate``), so human labels survive byte for byte. In a version that people reviewed, faces that
they confirmed, corrected or added are human labels behind the earlier ones, before the grown ones; the line
of a corrected or declined label is kept in the table of decisions. Unchanged ledgers are hard links.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lidloop.data.formats import yolo
from lidloop.data.formats.text import shown
from lidloop.data.image_store import Folder, Pictures, Shared, share
from lidloop.data.label_texts import Texts, open_texts
from lidloop.data.picture_index import ById, ImageRecord, Records
from lidloop.data.sorted_table import BLOCK, SortedTable
from lidloop.data.tables import BOX, read_table, write_table
from lidloop.data.version_writer import LEDGER_SCHEMA, Counts, VersionWriter, ledger_file
from lidloop.errors import DatasetError
from lidloop.files import link_or_copy, write_atomic
from lidloop.labels import HUMAN, Face, Floats, LabelSet
from lidloop.storage import parse_address

FORMAT: Final = 1
"""Format of a dataset."""
LABELS_FORMAT: Final = 2
"""Format of a label version: packed. Format 1, with a text file for each picture, is read as well."""
Retention = Literal["accumulate", "relabel"]


@dataclass(frozen=True)
class Dataset:
    """The pictures of a dataset folder. Open one with ``Dataset.open``."""

    root: Path
    records: Records
    digest: str
    info: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.records, Records):
            object.__setattr__(self, "records", Records.of(self.records))

    @classmethod
    def open(cls, root: Path) -> Dataset:
        """Open a dataset folder.

        Raises:
            DatasetError: where it is missing, unfinished, of another format, or its digest is not its own.
        """
        info = _read_json(root / "dataset.json", "dataset", ("digest",), (FORMAT,))
        table = read_table(root / "images.parquet")
        try:
            records = Records(table)
        except TypeError as error:
            raise DatasetError(f"{root}: images.parquet is no index of pictures: {error}") from error
        if records.digest() != info["digest"]:
            raise DatasetError(f"{root}: images.parquet does not match dataset.json; convert again")
        return cls(root, records, info["digest"], info)

    @classmethod
    def write(cls, root: Path, records: Iterable[ImageRecord], info: Mapping[str, Any]) -> Dataset:
        """Write the index of a dataset whose pictures already lie under ``root/images``."""
        ordered = records if isinstance(records, Records) else Records.of(sorted(records, key=lambda r: r.id))
        write_table(root / "images.parquet", ordered.table)
        complete = {"format": FORMAT, "digest": ordered.digest(), "images": len(ordered), **info}
        write_atomic(root / "dataset.json", json.dumps(complete, indent=1))
        return cls(root, ordered, complete["digest"], complete)

    @cached_property
    def by_id(self) -> Mapping[str, ImageRecord]:
        """Records by id."""
        return ById(self.records)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of the pictures."""
        return tuple(self.records.ids.to_pylist())

    @cached_property
    def sizes(self) -> Floats:
        """(n, 2) width and height of the pictures in pixels."""
        both = [self.records.column(name).to_numpy() for name in ("width", "height")]
        return np.stack(both, axis=-1).astype(np.float64).reshape(-1, 2)

    def blocks(self, split: str | None = None) -> Iterator[Dataset]:
        """Blocks of ``BLOCK`` pictures in their order, each as a dataset of its own; all, or of one split."""
        records = self.records if split is None else self.split(split)
        for low in range(0, len(records), BLOCK):
            yield replace(self, records=records[low : low + BLOCK])

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

    def only(self, split: str) -> Dataset:
        """Pictures of one split, as a dataset of its own."""
        return replace(self, records=self.split(split))

    def split(self, name: str) -> Records:
        """The pictures of ``train`` or ``val``."""
        return self.records.of_split(name)


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
    """The labels of one version: label lines and ledgers. Open one with ``LabelVersion.open``."""

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
        keys = ("version", "dataset", "counts", "total")
        info = _read_json(root / "version.json", "label version", keys, (1, LABELS_FORMAT))
        if not isinstance(info["version"], int):
            raise DatasetError(f"{root / 'version.json'} is damaged: 'version' is no whole number")
        return cls(root, info["version"], str(info["dataset"]), info)

    @cached_property
    def texts(self) -> Texts:
        """Label lines by picture."""
        return open_texts(self.root)

    @cached_property
    def _newest(self) -> SortedTable:
        return SortedTable(ledger_file(self.root, self.version))

    def ledger(self, version: int | None = None) -> pa.Table:
        """The ledger of this version, or of an earlier one."""
        table = read_table(ledger_file(self.root, self.version if version is None else version))
        return table.unify_dictionaries()

    def ledger_parts(self, version: int | None = None) -> Iterator[pa.Table]:
        """Rows of the ledger of this version, or of an earlier one, block by block."""
        return SortedTable(ledger_file(self.root, self.version if version is None else version)).parts()

    def ledger_of(self, images: Sequence[str]) -> pa.Table:
        """Rows of this version's ledger for the pictures from the first to the last of ``images``."""
        if not images:
            return LEDGER_SCHEMA.empty_table()
        return self._newest.between(min(images), max(images))

    def text(self, image: str) -> bytes:
        """The label lines of a picture, as they are on disk."""
        return self.texts.of(image)

    def labelled(self) -> set[str]:
        """Ids of the pictures that have at least one label, human or grown."""
        names: set[str] = set()
        for part in self.ledger_parts():
            names.update(part.filter(pc.greater_equal(part["line"], 0))["image"].to_pylist())
        return names

    def labels(self, dataset: Dataset, split: str | None = None) -> LabelSet:
        """Read the labels of all pictures, or of one split, with origin and score from the ledger.

        Args:
            dataset: the pictures, or a block of them.
            split: ``train`` or ``val``.

        Raises:
            DatasetError: where the labels belong to another dataset, or text and ledger disagree.
        """
        if self.dataset_digest != dataset.digest:
            raise DatasetError(f"{self.root} holds labels of another dataset than {dataset.root}")
        records = list(dataset.records if split is None else dataset.split(split))
        ids = [record.id for record in records]
        try:
            texts = [text.decode() for text in self.texts.many(ids)]
        except UnicodeDecodeError as error:
            raise DatasetError(f"{self.root}: a label file is no text: {error}") from error
        faces = {
            r.id: yolo.parse(text, r.width, r.height, where=r.id)
            for r, text in zip(records, texts, strict=True)
        }
        labels = LabelSet.from_faces(faces)
        ledger = self.ledger_of(ids)
        kept = ledger.filter(pc.greater_equal(ledger["line"], 0))
        known = {
            (image, line): (origin, score)
            for image, line, origin, score in zip(
                kept["image"].to_pylist(), kept["line"].to_pylist(), kept["origin"].to_pylist(),
                kept["confidence"].to_pylist(), strict=True,
            )
        }  # fmt: skip
        keys = [(image, line) for image in ids for line in range(len(faces[image]))]
        missing = [key for key in keys if key not in known]
        if missing:
            raise DatasetError(
                f"{self.root}: the ledger does not know line {missing[0][1]} of {missing[0][0]}"
            )
        rows = np.array([known[key] for key in keys], dtype=np.float64).reshape(-1, 2)
        return LabelSet(
            labels.images, labels.image, labels.boxes, labels.points, rows[:, 0].astype(np.int64), rows[:, 1]
        )


def write_initial(root: Path, dataset: Dataset, labels: LabelSet) -> LabelVersion:
    """Write version 0: the labels as given, all human.

    ``root`` must be empty; it counts as written once ``version.json`` is there, which comes last.

    Raises:
        FileExistsError: where a file of a version is in ``root``.
    """
    by_image = _faces_by_image(labels)
    with VersionWriter(root, 0) as writer:
        for block in dataset.blocks():
            texts, rows = [], []
            for record in block.records:
                faces = by_image.get(record.id, [])
                texts.append(yolo.format_lines(faces, record.width, record.height).encode())
                for line, face in enumerate(faces):
                    box = dict(zip(BOX, map(float, face.box), strict=True))
                    rows.append(
                        {"image": record.id, "split": record.split, "line": line, **box, "origin": HUMAN,
                         "model": "", "confidence": 1.0, "iou": 0.0, "decision": "kept", "reason": "human"}
                    )  # fmt: skip
            writer.add(block.ids, texts, pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA))
    return _finish(root, 0, dataset, writer.counts, {"parent": None})


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
        grown: accepted predictions, in the order in which they become lines of their picture.
        ledger: the complete ledger of the new version (``LEDGER_SCHEMA``).
        retention: ``accumulate`` appends to the lines of ``previous``, ``relabel`` to the human ones.
        parameters: recorded in ``version.json``.

    Raises:
        DatasetError: where the ledger's kept lines are not the lines written.
    """
    by_image = _faces_by_image(grown)
    with VersionWriter(root, previous.version + 1) as writer:
        for block, rows in _by_block(dataset, ledger):
            mine = LabelSet.from_faces({name: by_image.get(name, []) for name in block.ids})
            writer.add(block.ids, next_texts(previous, block, mine, retention=retention), rows)
    return finish_next(root, previous, dataset, writer, retention, parameters)


def next_texts(
    previous: LabelVersion, block: Dataset, grown: LabelSet, *, retention: Retention
) -> list[bytes]:
    """Label lines of a block's pictures in the version after ``previous``; arguments as of ``write_next``."""
    before = previous.texts.many(block.ids)
    if retention == "relabel":
        humans = _human_counts(previous.ledger_of(block.ids))
        before = [
            b"".join(text.splitlines(keepends=True)[: humans[name]])
            for name, text in zip(block.ids, before, strict=True)
        ]
    place = {name: k for k, name in enumerate(block.ids)}
    of_image = np.array([place[name] for name in grown.images], dtype=np.int64)[grown.image]
    lines = yolo.lines_of(grown.boxes, grown.points, block.sizes[of_image])
    for k, line in zip(of_image.tolist(), lines, strict=True):
        before[k] += line
    return before


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
        previous: the version before; the lines of pictures that are not in ``changed`` stay as they are.
        dataset: the pictures of both.
        changed: label lines, without line ends, of the pictures with a decision: human ones first.
        ledger: the complete ledger of the new version (``LEDGER_SCHEMA``).
        parameters: recorded in ``version.json``.

    Raises:
        DatasetError: where the ledger's kept lines are not the lines written.
    """
    with VersionWriter(root, previous.version + 1) as writer:
        for block, rows in _by_block(dataset, ledger):
            texts = [
                b"".join(line + b"\n" for line in changed[name]) if name in changed else text
                for name, text in zip(block.ids, previous.texts.many(block.ids), strict=True)
            ]
            writer.add(block.ids, texts, rows)
    return finish_next(root, previous, dataset, writer, "review", parameters)


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
    with VersionWriter(root, labels.version) as writer:
        for block in dataset.blocks(split):
            ledger = labels.ledger_of(block.ids)
            human = pc.and_(pc.greater_equal(ledger["line"], 0), pc.equal(ledger["origin"], HUMAN))
            here = pc.equal(ledger["split"].cast(pa.string()), split)
            kept = ledger.filter(pc.and_(human, here))
            humans = _human_counts(kept)
            texts = [
                b"".join(text.splitlines(keepends=True)[: humans[name]])
                for name, text in zip(block.ids, labels.texts.many(block.ids), strict=True)
            ]
            writer.add(block.ids, texts, kept)
    return _finish(root, labels.version, dataset, writer.counts, info)


def finish_next(
    root: Path,
    previous: LabelVersion,
    dataset: Dataset,
    written: VersionWriter,
    retention: str,
    parameters: Mapping[str, Any] | None,
) -> LabelVersion:
    """Add earlier ledgers and ``version.json`` to a version whose lines and ledger were written.

    Raises:
        DatasetError: where the ledger's kept lines are not the lines written.
    """
    if written.kept != written.lines:
        raise DatasetError(
            f"{root}: {written.lines} label lines were written but the ledger keeps {written.kept}"
        )
    carry_ledgers(previous, root)
    info = {"parent": previous.version, "retention": retention, "parameters": dict(parameters or {})}
    return _finish(root, previous.version + 1, dataset, written.counts, info)


def carry_ledgers(previous: LabelVersion, root: Path) -> None:
    """Give the folder of a new version the ledgers of all earlier versions, and the decisions of people."""
    (root / "ledger").mkdir(exist_ok=True)
    for file in sorted((previous.root / "ledger").glob("*.parquet")):
        link_or_copy(file, root / "ledger" / file.name)


def _human_counts(ledger: pa.Table) -> Counter[str]:
    """Number of human labels by picture; they are its first lines."""
    human = pc.and_(pc.greater_equal(ledger["line"], 0), pc.equal(ledger["origin"], HUMAN))
    return Counter(ledger.filter(human)["image"].to_pylist())


def _by_block(dataset: Dataset, ledger: pa.Table) -> Iterator[tuple[Dataset, pa.Table]]:
    """Blocks of a dataset, each with its pictures' rows of a ledger, in the order of the pictures."""
    table = ledger.cast(LEDGER_SCHEMA)
    place = pc.index_in(table["image"].cast(pa.string()), value_set=dataset.records.ids)
    place = place.fill_null(len(dataset.records)).to_numpy()
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(0, len(dataset.records) + BLOCK, BLOCK))
    for number, block in enumerate(dataset.blocks()):
        yield block, table.take(pa.array(order[ends[number] : ends[number + 1]]))


def _faces_by_image(labels: LabelSet) -> dict[str, list[Face]]:
    """Faces by picture id, in row order; pictures without one are left out."""
    faces: dict[str, list[Face]] = {}
    for row, image in enumerate(labels.image.tolist()):
        face = Face(
            labels.boxes[row], labels.points[row], int(labels.origin[row]), float(labels.score[row])
        )  # fmt: skip
        faces.setdefault(labels.images[image], []).append(face)
    return faces


def _finish(
    root: Path, version: int, dataset: Dataset, counts: Counts, info: Mapping[str, Any]
) -> LabelVersion:
    total = sum(sum(c.values()) for c in counts.values())
    complete = {
        "format": LABELS_FORMAT,
        "version": version,
        "dataset": dataset.digest,
        "counts": counts,
        "total": total,
    }
    complete |= info
    write_atomic(root / "version.json", json.dumps(complete, indent=1))
    return LabelVersion(root, version, dataset.digest, complete)


def _read_json(path: Path, what: str, keys: Sequence[str], formats: Sequence[int]) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path.parent} is not a finished {what}: it has no {path.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"cannot read {path}: {shown(str(error))}") from error
    if not isinstance(info, dict) or info.get("format") not in formats:
        given = shown(info.get("format") if isinstance(info, dict) else info, 40)
        known = " and ".join(map(str, formats))
        raise DatasetError(f"{path} has format {given}; this lidloop reads {known}")
    missing = [key for key in keys if key not in info]
    if missing:
        raise DatasetError(f"{path} is damaged: it has no '{missing[0]}'")
    return info

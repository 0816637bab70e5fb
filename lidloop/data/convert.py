"""Convert annotations of any mix of formats to one dataset and its label version 0.

Copies of a picture are recognised by their decoded pixels and become one image with all its faces. The
result does not depend on the order of the sources.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
import numpy as np

from lidloop.data.convert_report import Report
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.decode import Pixels, decode
from lidloop.data.fit import Fit, fit_points, into_picture
from lidloop.data.formats.records import Picture, Reject, Unusable
from lidloop.data.formats.text import shown
from lidloop.data.label_texts import TEXT_FILE, TEXT_FOLDER
from lidloop.data.merge import SAME_FACE_IOU, Entry, Group, assign_ids, assign_splits, merge
from lidloop.data.picture_index import ImageRecord
from lidloop.data.sources import KINDS, accepted, fetched, parse_source, read_source
from lidloop.errors import DatasetError, SourceError
from lidloop.files import folder_atomic, write_atomic
from lidloop.images import MAX_PIXELS, decode_rgb, read_bytes
from lidloop.labels import Face, LabelSet, box_of

logger = logging.getLogger("lidloop")

Progress = Callable[[int, int], None]

JPEG_QUALITY: Final = 95
"""JPEG quality of pictures that are turned upright. Other formats are then written as PNG, without loss."""

_EXTENSIONS: Final = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif"}


def convert(
    sources: Sequence[str],
    dataset_dir: Path,
    labels_dir: Path,
    *,
    split: float = 0.8,
    seed: int = 0,
    keep_splits: bool = False,
    max_pixels: int = MAX_PIXELS,
    workers: int = 0,
    progress: Progress | None = None,
) -> tuple[Dataset, LabelVersion]:
    """Read annotations and write a dataset and its label version 0; both appear whole or not at all.

    Coordinates are those of the upright picture (EXIF orientation applied). A picture that is stored
    turned is written upright; all others are copied byte for byte. A point outside the picture is moved
    onto its border and gets visibility 1. ``convert-report.json`` in the dataset's folder lists every
    annotation that was left out, with its reason.

    Args:
        sources: strings such as ``ibug:DIR``, ``dlib:FILE.xml``, ``coco:FILE.json``, ``yolo:DIR``, each here
            or in an object store (``lidloop.data.sources``).
        dataset_dir: the dataset's folder; an earlier dataset there is replaced.
        labels_dir: the folder of label version 0; an earlier version 0 there is replaced.
        split: the share of each source's pictures that is for training, 0…1.
        seed: another seed gives another split.
        keep_splits: keep the splits that sources give (test sets become ``val``). A picture whose copies
            are given to both goes to ``val``; pictures without a given split are split as usual.
        max_pixels: larger pictures are rejected.
        workers: threads that decode; 0 for one per core.
        progress: called with pictures done and in all, read and written counted separately.

    Raises:
        SourceError: for a source that cannot be read, or of which nothing can be used.
        StoreError: for a source in a store that cannot be reached or read.
        DatasetError: where a folder to be written holds something else.
    """
    if not 0 <= split <= 1:
        raise DatasetError(f"split is {split}; it is the share of pictures for training, from 0 to 1")
    if not sources:
        raise SourceError(f"no source given; a source is one of {accepted()}")
    _check_targets(dataset_dir, labels_dir)
    info = {"split": split, "seed": seed, "keep_splits": keep_splits, "same_face_iou": SAME_FACE_IOU}
    with fetched(sorted(set(sources))) as places:
        content = _convert(
            places, dataset_dir, labels_dir, info, max_pixels, workers or os.cpu_count() or 1, progress
        )
    totals = content["totals"]
    logger.info("%d images, %d faces, %d rejects", totals["images"], totals["faces"], totals["rejects"])
    return Dataset.open(dataset_dir), LabelVersion.open(labels_dir)


def _convert(
    places: Mapping[str, Path],
    dataset_dir: Path,
    labels_dir: Path,
    info: Mapping[str, Any],
    max_pixels: int,
    threads: int,
    progress: Progress | None,
) -> dict[str, Any]:
    """Convert sources that lie on this disk; returns the content of the report."""
    report = Report()
    entries: list[Entry] = []
    specs = tuple(places)
    for spec, path in places.items():
        entries += _read_source(spec, path, report)
    entries.sort(key=lambda e: e.order)
    paths = list(
        dict.fromkeys(
            path for e in entries if e.picture.absent is None for path in (e.picture.path, *e.picture.rivals)
        )
    )
    logger.info("reading %d pictures of %d sources", len(paths), len(specs))
    with ThreadPoolExecutor(threads, thread_name_prefix="lidloop-convert") as pool:
        n = len(paths)
        results = _map(pool, lambda p: decode(p, max_pixels), paths, progress, 0, 2 * n)
        decoded = dict(zip(paths, results, strict=True))
        for entry in entries:
            _add_faces(entry, decoded, parse_source(entry.spec).fit, report)
        groups = merge(entries, report)
        _require_usable(specs, groups, report)
        assign_splits(groups, info["split"], info["seed"], keep_splits=info["keep_splits"])
        assign_ids(groups)
        _count(groups, report)
        with (
            folder_atomic(dataset_dir, replace=True) as folder,  # _check_targets found them free or our own
            folder_atomic(labels_dir, replace=True) as labels_folder,
        ):
            images = folder / "images"
            images.mkdir()
            records = _map(
                pool, lambda g: _write_picture(g, images, max_pixels), groups, progress, n, n + len(groups)
            )
            copies = {
                g.id: [f"{e.picture.source}: {e.picture.file}" for e in g.entries]
                for g in groups
                if len(g.entries) > 1
            }
            content = report.content(copies, {"sources_given": list(specs), **info})
            write_atomic(folder / "convert-report.json", json.dumps(content, indent=1))
            described = {"sources": list(specs), **info, "faces": content["totals"]["faces"]}
            dataset = Dataset.write(folder, records, described)
            faces = {g.id: [face for _, _, face in g.faces] for g in groups}
            labels = LabelSet.from_faces(faces, [r.id for r in dataset.records])
            write_initial(labels_folder, dataset, labels)
    return content


def _check_targets(dataset_dir: Path, labels_dir: Path) -> None:
    dataset_real, labels_real = dataset_dir.resolve(), labels_dir.resolve()
    if (
        dataset_real == labels_real
        or dataset_real in labels_real.parents
        or labels_real in dataset_real.parents
    ):
        raise DatasetError("the folders of the dataset and of the labels must not lie in each other")
    for folder, mark in ((dataset_dir, "dataset.json"), (labels_dir, "version.json")):
        if not os.path.lexists(folder):
            continue
        if not folder.is_dir():
            raise DatasetError(f"{folder} is a file; give the name of a folder to write")
        if any(folder.iterdir()):
            if not (folder / mark).is_file():
                raise DatasetError(
                    f"{folder} holds something else (no {mark}); give another folder or empty it"
                )
            _check_untouched(folder, mark)


def _check_untouched(folder: Path, mark: str) -> None:
    """Check that a folder holds exactly what a conversion wrote: nothing added, no label edited since.

    Raises:
        DatasetError: for grown labels, an added file, or a file newer than ``mark``, which is written last.
    """
    if mark == "version.json":
        if LabelVersion.open(folder).version != 0:
            raise DatasetError(f"{folder} holds grown labels; give another folder")
        written = {"version.json", "ledger/v0.parquet", TEXT_FILE}
        allowed = f"{TEXT_FOLDER}/"
    else:
        dataset = Dataset.open(folder)
        written = {
            mark,
            "images.parquet",
            "convert-report.json",
            *(f"images/{r.file}" for r in dataset.records),
        }
        allowed = ""
    finished = (folder / mark).stat().st_mtime_ns
    for path in sorted(_files_below(folder)):
        name = path.relative_to(folder).as_posix()
        if name not in written and not (allowed and name.startswith(allowed) and name.endswith(".txt")):
            raise DatasetError(f"{folder} holds a file of another origin, {name}; give another folder")
        if path.lstat().st_mtime_ns > finished:
            raise DatasetError(
                f"{name} in {folder} was changed after the conversion and would be lost; give another folder"
            )


def _files_below(folder: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=stop):
        links = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in (*names, *links))


def _read_source(spec: str, path: Path, report: Report) -> list[Entry]:
    reading = read_source(spec, path)
    for reject in reading.rejects:
        report.reject(spec, reject)
        report.row(spec, reject.source)["annotations"] += 1
    for name, count in reading.unannotated.items():
        report.row(spec, name)["unannotated_pictures"] += count
    for picture in reading.pictures:
        row = report.row(spec, picture.source)
        row["pictures"] += 1
        row["annotations"] += len(picture.faces)
    return [Entry(spec, picture) for picture in reading.pictures]


_T = TypeVar("_T")
_R = TypeVar("_R")


def _map(
    pool: ThreadPoolExecutor,
    work: Callable[[_T], _R],
    items: Iterable[_T],
    progress: Progress | None,
    start: int,
    total: int,
) -> list[_R]:
    """Map in threads, in order. On an error nothing more starts, and what runs is waited for, so that no
    thread writes into a folder that is being removed."""
    pending = [pool.submit(work, item) for item in items]
    results: list[_R] = []
    try:
        for future in pending:
            results.append(future.result())
            if progress:
                progress(start + len(results), total)
    finally:
        wait([future for future in pending if not future.cancel()])
    return results


def _add_faces(entry: Entry, decoded: Mapping[Path, Pixels | Unusable], fit: Fit, report: Report) -> None:
    """Give an entry its pixels and bring its faces into the picture, or list why not."""
    picture = entry.picture
    row = report.row(entry.spec, picture.source)
    pixels = picture.absent or decoded[picture.path]
    if isinstance(pixels, Unusable):
        lost = f" ({len(picture.faces)} annotated faces)" if picture.faces else ""
        detail = f"{pixels.detail}{lost}"
        report.reject(entry.spec, Reject(picture.file, pixels.reason, detail, picture.source))
        return
    entry.pixels = pixels
    size = np.array([pixels.width, pixels.height], dtype=np.float64)
    other = _contradicting(picture, pixels, decoded)
    for raw in picture.faces:
        try:
            if other is not None:
                raise other
            if picture.normalised:
                points = raw.points * (*size, 1)
            else:
                upright = (pixels.width, pixels.height)
                points = fit_points(raw.points, picture.size, upright, pixels.orientation, fit)
            points, outside = into_picture(points, size)
        except Unusable as error:
            report.reject(entry.spec, Reject(raw.file, error.reason, error.detail, picture.source))
            picture.rejected += 1
            continue
        if outside:
            row["clipped_points"] += len(outside)
            row["clipped"].append({"file": raw.file, "points": outside})
        entry.faces.append((raw, Face(box_of(points), points)))


def _contradicting(
    picture: Picture, pixels: Pixels, decoded: Mapping[Path, Pixels | Unusable]
) -> Unusable | None:
    """The rejection of labels that could belong to several pictures which do not show the same."""
    for rival in picture.rivals:
        other = decoded[rival]
        if isinstance(other, Unusable):
            continue
        same_size = (other.width, other.height) == (pixels.width, pixels.height)
        if not pixels.looks_like(other) or not (same_size or picture.normalised):
            return Unusable(
                "ambiguous-image",
                f"{picture.path.name} and {rival.name} differ, and the labels could be for either; keep "
                "the one that they were made for",
            )
    return None


def _require_usable(specs: Iterable[str], groups: Iterable[Group], report: Report) -> None:
    usable = {e.spec for group in groups for e in group.entries if e.faces or e.picture.unlabelled}
    for spec in specs:
        if spec in usable:
            continue
        rejects = report.rejects(spec)
        kind = parse_source(spec).kind
        if not rejects:
            if kind == "images":
                raise SourceError(f"{shown(spec)} holds no picture")
            hint = "; pictures without labels are a source images:DIR" if KINDS[kind] == "DIR" else ""
            raise SourceError(f"{shown(spec)} holds no annotated face that {kind} would find{hint}")
        reasons = ", ".join(f"{n} x {why}" for why, n in Counter(r["reason"] for r in rejects).most_common())
        examples = "; ".join(f"{r['file']}: {r['detail']}" for r in rejects[:3])
        raise SourceError(f"{shown(spec)}: nothing in it can be used ({reasons}). For example {examples}")


def _count(groups: Iterable[Group], report: Report) -> None:
    for group in groups:
        first = group.first
        report.row(first.spec, first.picture.source)["images"] += 1
        for entry in group.entries[1:]:
            report.row(entry.spec, entry.picture.source)["copies_merged"] += 1
        for entry, _, _ in group.faces:
            report.row(entry.spec, entry.picture.source)["faces"] += 1


def _write_picture(group: Group, folder: Path, max_pixels: int) -> ImageRecord:
    picture, pixels = group.first.picture, group.first.pixels
    assert pixels is not None
    data = read_bytes(picture.path)
    extension = _EXTENSIONS.get(pixels.format, ".png")
    if pixels.orientation != 1 or pixels.format not in _EXTENSIONS:
        upright = decode_rgb(data, where=str(picture.path), max_pixels=max_pixels)
        extension = ".jpg" if pixels.format == "JPEG" else ".png"
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if extension == ".jpg" else []
        done, encoded = cv2.imencode(extension, cv2.cvtColor(upright, cv2.COLOR_RGB2BGR), options)
        if not done:
            raise DatasetError(f"{picture.path} cannot be written upright")
        data = encoded.tobytes()
    name = group.id + extension
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return ImageRecord(
        group.id, name, pixels.width, pixels.height, group.split, picture.source, group.hash, digest
    )

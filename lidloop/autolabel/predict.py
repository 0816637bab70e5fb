"""Predictions of a model on the pictures of a dataset, in shards that can run in parallel."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

from lidloop.data.dataset import Dataset
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import write_faces
from lidloop.detection.detector import Backend, Detector, Prepared, load_detector
from lidloop.errors import DatasetError, ImageError
from lidloop.files import folder_atomic, write_atomic
from lidloop.images import read_rgb
from lidloop.labels import Face, LabelSet

log = logging.getLogger("lidloop")

TRAIN_FLOOR: Final = 0.25
"""Smallest score kept on training pictures; below ``conf``, so that the ledger shows near misses."""
VAL_FLOOR: Final = 0.01
"""Smallest score kept on validation pictures: average precision needs the whole curve."""

_CHUNK: Final = 32


def predict_shard(
    dataset: Dataset,
    model: Path,
    out: Path,
    *,
    shard: int = 0,
    shards: int = 1,
    backend: Backend = "onnxruntime",
    device: str = "cpu",
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Predict on one of ``shards`` ranges of pictures, as equal as they can be, and write the predictions.

    ``out`` gets ``faces.parquet`` (unclipped faces, see ``tables.write_faces``; metadata: digest and
    iteration of the model) and ``failures.json`` (pictures that could not be read, with the reason).

    Args:
        dataset: the pictures, of both splits.
        model: a model folder, a bundle or an ONNX file.
        out: the folder, written atomically.
        shard: 0 … shards − 1.
        shards: number of shards.
        backend, device, threads: as in ``load_detector``.
        progress: called with the number of pictures done and of all pictures.

    Returns:
        ``out``.

    Raises:
        DatasetError: for a shard number out of range, or if no picture could be read.
    """
    if not 0 <= shard < shards:
        raise DatasetError(f"there is no shard {shard} of {shards}")
    n = len(dataset.records)
    records = dataset.records[n * shard // shards : n * (shard + 1) // shards]
    detector = load_detector(model, backend=backend, device=device, threads=threads)
    found, failures = predict(dataset, detector, records, progress=progress)
    if failures and len(failures) == len(records):
        raise DatasetError(
            f"none of {len(records)} pictures could be read; the first: {failures[0]['reason']}"
        )
    for failure in failures:
        log.warning("not read: %s", failure["reason"])
    with folder_atomic(out) as folder:
        metadata = {"model": detector.digest, "iteration": str(detector.iteration), "dataset": dataset.digest}
        write_faces(folder / "faces.parquet", found, **metadata)
        write_atomic(folder / "failures.json", json.dumps(failures, indent=1))
    return out


def predict(
    dataset: Dataset,
    detector: Detector,
    records: Sequence[ImageRecord],
    *,
    floor: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LabelSet, list[dict[str, str]]]:
    """Predict on pictures of a dataset.

    Args:
        floor: smallest score kept; by default ``VAL_FLOOR`` or ``TRAIN_FLOOR`` by the picture's split.

    Returns:
        The unclipped faces, and the pictures that could not be read with the reason.
    """
    faces: dict[str, list[Face]] = {}
    failures: list[dict[str, str]] = []
    for done, (chunk, prepared) in enumerate(_prefetch(dataset, detector, records), start=1):
        good: list[tuple[ImageRecord, Prepared]] = []
        for record, result in zip(chunk, prepared, strict=True):
            if isinstance(result, Prepared):
                good.append((record, result))
            else:
                failures.append({"image": record.id, "reason": str(result)})
        floors = [floor or (VAL_FLOOR if r.split == "val" else TRAIN_FLOOR) for r, _ in good]
        found = detector.detect_prepared([p for _, p in good], conf=floors)
        faces |= {r.id: f for (r, _), f in zip(good, found, strict=True)}
        if progress:
            progress(min(done * _CHUNK, len(records)), len(records))
    return LabelSet.from_faces(faces, [r.id for r in records]), failures


def _prefetch(
    dataset: Dataset, detector: Detector, records: Sequence[ImageRecord]
) -> Iterator[tuple[Sequence[ImageRecord], list[Prepared | ImageError]]]:
    """Read and prepare pictures chunk by chunk, one chunk ahead of the network."""

    def read(record: ImageRecord) -> Prepared | ImageError:
        try:
            return detector.prepare(read_rgb(dataset.path(record.id)))
        except ImageError as error:
            return error

    remaining = iter(records)
    with ThreadPoolExecutor() as pool:

        def start() -> list[tuple[ImageRecord, Future[Prepared | ImageError]]]:
            return [(record, pool.submit(read, record)) for record in islice(remaining, _CHUNK)]

        ahead = start()
        while ahead:
            current, ahead = ahead, start()
            yield [record for record, _ in current], [future.result() for _, future in current]

"""A run in an object store: what a review needs of it is downloaded, the reviewed version is written back.

Pictures stay in the store: a tool reads them from there, by their address or by a URL with a time limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lidloop.data.dataset import LabelVersion
from lidloop.errors import DatasetError, StoreError
from lidloop.files import write_atomic
from lidloop.report.data import SUMMARY, read_summary, run_paths
from lidloop.report.earlier_run import below
from lidloop.review import REVIEWED
from lidloop.storage import Store, open_store
from lidloop.storage.files import is_stored, pull_file
from lidloop.storage.sync import pull

_VERSION = "version.json"


@contextmanager
def run_here(run: str) -> Iterator[Path]:
    """Yield the folder of a run; of one in a store, a temporary copy without pictures.

    The copy holds the dataset's index, the newest labels (reviewed ones, if there are any) and the newest
    predictions.

    Raises:
        DatasetError: if there is no finished run.
        StoreError: if an address cannot be read.
    """
    if not is_stored(run):
        yield Path(run)
        return
    with TemporaryDirectory(prefix="lidloop-run-") as temporary:
        folder = Path(temporary)
        pull_file(below(run, SUMMARY), folder)
        summary = read_summary(folder)
        run_paths(folder, summary)  # refuses a summary that names no folders
        names = summary["paths"]
        reviewed = newest_review(run)
        _pull(below(run, names["dataset"]), folder / "dataset")
        _pull(reviewed or below(run, names["labels"]), folder / "labels")
        shards = list(names.get("predictions") or [])
        for number, shard in enumerate(shards):
            _pull(below(run, shard), folder / "predictions" / str(number))
        paths = {
            "dataset": "dataset", "labels": "labels", "evaluation": names["evaluation"],
            "predictions": [f"predictions/{number}" for number in range(len(shards))],
        }  # fmt: skip
        write_atomic(folder / SUMMARY, json.dumps({**summary, "paths": paths}))
        yield folder


def dataset_place(run: str) -> str:
    """Address of the dataset of a run in a store; empty for a run on this machine."""
    if not is_stored(run):
        return ""
    with TemporaryDirectory(prefix="lidloop-run-") as temporary:
        pull_file(below(run, SUMMARY), Path(temporary))
        return below(run, read_summary(Path(temporary))["paths"]["dataset"])


def newest_review(run: str) -> str:
    """Address of the newest complete reviewed version of a stored run; empty if there is none."""
    store = open_store(below(run, REVIEWED))
    numbers = []
    for item in store.items(recursive=False):
        number = item.key.rstrip("/").removeprefix("labels-v")
        if item.is_prefix and number.isdigit() and store.stat(f"labels-v{number}/{_VERSION}") is not None:
            numbers.append(int(number))
    return below(run, f"{REVIEWED}/labels-v{max(numbers)}") if numbers else ""


def publish_review(labels: LabelVersion, run: str) -> str:
    """Write a reviewed version into the store of its run; readers see all of it or nothing.

    The table of decisions is written first and only if no other import has written one for that version, and
    ``version.json``, by which the version is found, last.

    Returns:
        Address of the version.

    Raises:
        StoreError: if another import wrote this version, or the store cannot be written.
    """
    address = below(run, f"{REVIEWED}/labels-v{labels.version}")
    store = open_store(address)
    claim = f"ledger/review-v{labels.version}.parquet"
    files = {path.relative_to(labels.root).as_posix(): path for path in labels.root.rglob("*")}
    files = {key: path for key, path in files.items() if path.is_file() and not path.name.startswith(".")}
    first, last = files.pop(claim), files.pop(_VERSION)
    if not _put(store, claim, first, only_if_absent=True) and not _is_same(store, claim, first):
        raise StoreError(
            f"{address} was written by another import, which may still be at work: import again, or remove "
            "that prefix if an import was interrupted"
        )
    for key, path in sorted(files.items()):
        _put(store, key, path)
    _put(store, _VERSION, last)
    return address


def _put(store: Store, key: str, path: Path, *, only_if_absent: bool = False) -> bool:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return store.put(path, key, sha256=digest, only_if_absent=only_if_absent)


def _is_same(store: Store, key: str, path: Path) -> bool:
    content = path.read_bytes()
    try:
        return store.read(key, limit=len(content)) == content
    except StoreError:  # it is longer
        return False


def _pull(place: str, folder: Path) -> None:
    """Download a folder without the pictures and hidden files in it.

    Raises:
        DatasetError: for a place outside the store.
    """
    if not is_stored(place):
        raise DatasetError(f"{place} is not in the store")
    pull(open_store(place), folder, wanted=lambda key: not key.startswith(("images/", ".")))

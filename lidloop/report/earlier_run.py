"""Start of a run from the reviewed labels of an earlier one: dataset, labels and gold are taken over.

The folder of a run is a path or an ``s3://`` address: of a local run its ``--out``, of a run on a cluster the
artifact ``folder`` of its report step. ``summary.json`` in it names the other folders relative to itself.
"""

from __future__ import annotations

import posixpath
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.gold import gold_digest, require_gold, write_gold
from lidloop.data.reviews import read_reviews
from lidloop.errors import DatasetError
from lidloop.files import link_or_copy
from lidloop.report.data import RUN, SUMMARY, gold_folder, read_json, read_summary, run_paths
from lidloop.review import REVIEWED
from lidloop.storage import open_store
from lidloop.storage.files import is_stored, pull_file
from lidloop.storage.sync import pull


def begin_from(
    run: str, label_version: str, dataset_dir: Path, labels_dir: Path, gold_dir: Path, *, extend_gold: bool
) -> LabelVersion:
    """Copy dataset, labels and gold of an earlier run into the folders of a new one.

    Files are hard links where that is possible.

    Args:
        run: folder or ``s3://`` address of the earlier run.
        label_version: number of a reviewed version of that run, its folder or its ``s3://`` address; empty
            takes the newest reviewed version.
        dataset_dir, labels_dir, gold_dir: folders to write, empty or new.
        extend_gold: take the human validation labels of that version as gold, instead of the run's own gold.

    Returns:
        The label version.

    Raises:
        DatasetError: if the folder holds no finished run, or the labels are not of its dataset or were not
            reviewed.
        StoreError: if an address cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-run-") as temporary:
        summary_dir = _summary_folder(run, Path(temporary))
        summary = read_summary(summary_dir)
        run_paths(summary_dir, summary)  # refuses a summary that names no folders
        names = summary["paths"]
        reviewed = _reviewed(run, label_version)
        _copy(below(run, names["dataset"]), dataset_dir)
        dataset = Dataset.open(dataset_dir)
        _copy(reviewed, labels_dir)
        labels = LabelVersion.open(labels_dir)
        if labels.dataset_digest != dataset.digest:
            raise DatasetError(f"{reviewed} holds labels of another dataset than the run {run}")
        if not read_reviews(labels):
            raise DatasetError(f"{reviewed} was not reviewed; make a version with `lidloop review import`")
        with _fetched(below(run, gold_folder(names))) as folder:
            gold = LabelVersion.open(folder)
            require_gold(gold)
            info = {"continued": {"run": str(summary.get("run", "")), "labels": labels.version}}
            extended = extend_gold and gold_digest(dataset, gold) != _digest_of_human(dataset, labels)
            write_gold(
                gold_dir,
                dataset,
                labels if extended else gold,
                before=gold if extended else None,
                info={**info, "asked": extend_gold},
            )
    return labels


def registry_of(run: Path) -> str:
    """Return the registry of a local run: the one that was given for it, else the one in its folder.

    Raises:
        DatasetError: if the folder holds no run.
    """
    begun = read_json(run / RUN, "run")
    identity = begun.get("identity")
    given = identity.get("registry") if isinstance(identity, dict) else ""
    return str(given or (run / "registry").resolve())


def below(place: str, relative: str) -> str:
    """Join a folder or ``s3://`` address and a relative path, which may begin with ``..``.

    Raises:
        DatasetError: for a path that leaves the bucket.
    """
    if not is_stored(place):
        return str(Path(place) / relative)
    address, mark, parameters = place.partition("?")
    bucket, _, prefix = address[len("s3://") :].partition("/")
    key = posixpath.normpath(posixpath.join(prefix, relative))
    if key.startswith(("..", "/")):
        raise DatasetError(f"{relative} is not in the bucket of {address}")
    return f"s3://{bucket}/{key}{mark}{parameters}"


def _summary_folder(run: str, work: Path) -> Path:
    """Folder with ``summary.json``, which is downloaded from a store."""
    if not is_stored(run):
        return Path(run)
    pull_file(below(run, SUMMARY), work)
    return work


def _reviewed(run: str, label_version: str) -> str:
    """Folder or address of a reviewed version.

    Raises:
        DatasetError: if there is none, or it must be named.
    """
    if label_version.isdigit():
        return below(run, f"{REVIEWED}/labels-v{label_version}")
    if label_version:
        return label_version
    if is_stored(run):
        raise DatasetError(f"name the label version of {run} to start from, by its number or address")
    versions = [LabelVersion.open(f.parent) for f in Path(run).glob(f"{REVIEWED}/labels-v*/version.json")]
    if not versions:
        raise DatasetError(f"{run} has no reviewed labels; make a version with `lidloop review import`")
    return str(max(versions, key=lambda labels: labels.version).root)


def _digest_of_human(dataset: Dataset, labels: LabelVersion) -> str:
    with tempfile.TemporaryDirectory(prefix="lidloop-gold-") as temporary:
        return gold_digest(dataset, write_gold(Path(temporary), dataset, labels))


@contextmanager
def _fetched(place: str) -> Iterator[Path]:
    """A folder as it is, or a temporary copy of one in a store."""
    if not is_stored(place):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="lidloop-pull-") as temporary:
        pull(open_store(place), Path(temporary))
        yield Path(temporary)


def _copy(place: str, target: Path) -> None:
    """Copy or download a folder. Hidden files, which are not part of a dataset, are left out."""

    def copy(source: str, to: str) -> None:
        link_or_copy(Path(source), Path(to))

    if not is_stored(place) and not Path(place).is_dir():
        raise DatasetError(f"{place} does not exist")
    with _fetched(place) as folder:
        shutil.copytree(
            folder, target, dirs_exist_ok=True, copy_function=copy, ignore=shutil.ignore_patterns(".*")
        )

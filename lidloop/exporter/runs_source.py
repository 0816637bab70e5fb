"""Reading of a folder or bucket of runs for the exporter: state and end of each run, counts of its ledgers.

Two layouts are supported::

    RUN/run.json, .lock, summary.json, steps/…     written by `lidloop run --out RUN`
    RUN/TASK/EXECUTION/ARTIFACT/…                  written by Kubeflow Pipelines to its bucket
    …/reviewed/labels-v<k>                         beside the summary, written by `lidloop review import`

``version.json`` of a label version holds the counts of its ledger, so no ledger is opened. A bucket shows
only the end of a run (its ``summary.json``), not if a run is active or has failed; that comes from the system
that runs it (``lidloop.exporter.places``).
"""

from __future__ import annotations

import fcntl
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from lidloop.errors import DatasetError, LidloopError, StoreError
from lidloop.exporter.figures import LabelRecord, RunRecord, RunsReading
from lidloop.exporter.places import OPENERS, Readable
from lidloop.exporter.registry_source import space
from lidloop.review import REVIEWED
from lidloop.review.tally import Tally
from lidloop.storage import Item, LocalStore, Store, open_store
from lidloop.storage.transport import RetryPolicy

MAX_RUNS: Final = 200
"""Largest number of runs read; the newest ones of a folder."""
MAX_FOLDERS: Final = 20_000
"""Largest number of folders listed per run."""
MAX_BYTES: Final = 1 << 24
REVIEWED_RUNS: Final = 5
"""Number of newest runs whose reviews are read at every reading, as people review after a run's end."""
ABANDONED_AFTER: Final = 7 * 86400.0
"""Seconds without a new file after which an unfinished run in a bucket is no longer read."""
BEGUN, SUMMARY, VERSION, LOCK, LOG = "run.json", "summary.json", "version.json", ".lock", "logs/run.log"

_DEPTH: Final = 6  # RUN/steps/PIPELINE/TASK/ARTIFACT, plus one
_SKIPPED_FOLDERS: Final = (
    "images", "text", "ledger", "predictions", "checkpoints", "cache", "logs", "registry", "artifacts",
    "train", "auto-label", "evaluate", "register", "promote", "deploy",
)  # fmt: skip


class AllRuns:
    """Runs of several locations as one source. A reading fails if one location fails."""

    def __init__(self, places: Sequence[str]) -> None:
        """Check the addresses, without connecting.

        Raises:
            LidloopError: for an invalid address, or a missing dependency.
        """
        self._places: list[Readable] = []
        for place in places:
            kind, _, rest = place.partition(":")
            opener = OPENERS.get(kind)
            if opener is None and kind == "kubeflow":
                raise LidloopError("runs of Kubeflow need its client: pip install 'lidloop[cluster]'")
            self._places.append(RunsSource(place) if opener is None else opener(rest))

    def read(self) -> RunsReading:
        """Read all locations."""
        readings = [place.read() for place in self._places]
        return RunsReading(
            [run for reading in readings for run in reading.runs],
            sum(reading.left_out for reading in readings),
            next((reading.space for reading in readings if reading.space), {}),
        )


class RunsSource:
    """Reader of the runs of one location. Label versions are cached, as they never change."""

    def __init__(self, where: str) -> None:
        """Check the address, without connecting: a folder of runs, a run's folder, or ``s3://BUCKET/PREFIX``.

        Raises:
            StoreError: for an invalid address, or missing keys.
        """
        self._store = open_store(where, retry_policy=RetryPolicy(tries=2, first=0.2, longest=1.0))
        self._ended: dict[str, RunRecord] = {}
        self._labels: dict[str, LabelRecord] = {}
        self._summaries: dict[str, list[str]] = {}

    def read(self) -> RunsReading:
        """Read all runs.

        Raises:
            StoreError: if the location cannot be reached.
        """
        local = self._store.root if isinstance(self._store, LocalStore) else None
        if local is not None and not local.is_dir():
            raise StoreError(f"there is no folder of runs at {local}")
        left_out: list[str] = []
        names = _names(self._store, local)
        runs = self._reviewed([self._run(name, left_out) for name in names[:MAX_RUNS]], left_out)
        known = set(names)
        self._ended = {name: run for name, run in self._ended.items() if name in known}
        self._labels = {key: found for key, found in self._labels.items() if key.split("/")[0] in known}
        self._summaries = {name: found for name, found in self._summaries.items() if name in known}
        return RunsReading(
            runs,
            len(left_out) + max(0, len(names) - MAX_RUNS),
            {} if local is None else space(local),
        )

    def _run(self, name: str, left_out: list[str]) -> RunRecord:
        known = self._ended.get(name)
        store = self._store.at(name) if name else self._store
        if isinstance(store, LocalStore):
            state, ended = local_state(store.root)
            if known is None or (known.state, known.ended) != (state, ended):
                known = RunRecord(name, state, ended, self._records(name, store.at("steps"), left_out))
            if state != "running":
                self._ended[name] = known
            return known
        if known is not None:
            return known
        found = list(_walk(store))
        ends = [item.modified for item in found if item.key.rpartition("/")[2] == SUMMARY]
        self._summaries[name] = [
            item.key.rpartition("/")[0] for item in found if item.key.rpartition("/")[2] == SUMMARY
        ]
        grown = [item for item in found if REVIEWED not in item.key.split("/")]
        labels = self._records(name, store, left_out, grown)
        record = RunRecord(name, "", max(ends) if ends else None, labels)
        newest = max((item.modified for item in found), default=math.inf)
        if ends or newest < time.time() - ABANDONED_AFTER:
            self._ended[name] = record
        return record

    def _reviewed(self, runs: list[RunRecord], left_out: list[str]) -> list[RunRecord]:
        """Add the label versions of reviews to the newest runs."""
        newest = sorted(runs, key=lambda run: -(math.inf if run.ended is None else run.ended))[:REVIEWED_RUNS]
        found = {run.name: self._reviews(run.name, left_out) for run in newest}
        return [replace(run, labels=(*run.labels, *found.get(run.name, ()))) for run in runs]

    def _reviews(self, name: str, left_out: list[str]) -> tuple[LabelRecord, ...]:
        records: list[LabelRecord] = []
        for folder in dict.fromkeys(("", *self._summaries.get(name, ()))):
            place = "/".join(filter(None, (name, folder, REVIEWED)))
            records += self._records(place, self._store.at(place), left_out)
        return tuple(records)

    def _records(
        self, name: str, store: Store, left_out: list[str], found: list[Item] | None = None
    ) -> tuple[LabelRecord, ...]:
        """Return the label versions of a run."""
        records = []
        for item in _walk(store) if found is None else found:
            if item.key.rpartition("/")[2] != VERSION:
                continue
            key = f"{name}/{item.key} {item.tag}"
            try:
                if key not in self._labels:
                    self._labels[key] = label_record(store.read(item.key, limit=MAX_BYTES))
            except DatasetError:
                left_out.append(key)
            else:
                records.append(self._labels[key])
        return tuple(records)


def label_record(content: bytes | None) -> LabelRecord:
    """Read a ``version.json``.

    Raises:
        DatasetError: if it is damaged.
    """
    try:
        info = json.loads(content or b"")
        parameters: Mapping[str, Any] = info.get("parameters") or {}
        outcomes = {"grown": parameters["grown"]} if "grown" in parameters else {}
        review: Mapping[str, Any] = parameters.get("review") or {}
        return LabelRecord(
            int(info["version"]),
            str(parameters.get("model", "")),
            {split: dict(counts) for split, counts in info["counts"].items()},
            {**outcomes, **parameters.get("dropped", {})},
            tuple(map(Tally.from_json, review.get("faces", ()))),
            dict(review.get("models", {})),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(f"a label version's {VERSION} is damaged: {error!r}") from error


def local_state(run: Path) -> tuple[str, float | None]:
    """Return the state of a run's folder, and the Unix time of its end.

    A run holds its lock file while it is active. It writes the log until its end, then the summary; a log
    newer than the summary is of a later start, which has failed.
    """
    if _held(run / LOCK):
        return "running", None
    log, summary = _modified(run / LOG), _modified(run / SUMMARY)
    if summary is not None and (log is None or log <= summary):
        return "done", log if log is not None else summary
    return "failed", log if log is not None else _modified(run / BEGUN)


def _held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _names(store: Store, local: Path | None) -> list[str]:
    """Return the names of runs; of a local folder newest first, or "" if it is a run's own folder."""
    if local is None:
        return [item.key.rstrip("/") for item in store.items(recursive=False) if item.is_prefix]
    if (local / BEGUN).is_file():
        return [""]
    begun = [(_modified(path / BEGUN), path.name) for path in local.iterdir()]
    return [name for when, name in sorted(((w, n) for w, n in begun if w is not None), reverse=True)]


def _walk(store: Store) -> Iterator[Item]:
    """Yield ``version.json`` and ``summary.json`` files of a run, breadth first, skipping large folders."""
    level, looked = [""], 0
    for _ in range(_DEPTH):
        below: list[str] = []
        for prefix in level:
            looked += 1
            if looked > MAX_FOLDERS:
                return
            items = list((store.at(prefix) if prefix else store).items(recursive=False))
            start = f"{prefix}/" if prefix else ""
            files = {item.key for item in items}
            yield from (
                Item(start + item.key, item.size, item.tag, modified=item.modified)
                for item in items
                if item.key in (VERSION, SUMMARY)
            )
            if not files & {VERSION, "dataset.json", "bundle.json"}:
                names = [item.key.rstrip("/") for item in items if item.is_prefix]
                below += [start + name for name in names if not name.startswith(_SKIPPED_FOLDERS)]
        level = below

"""Memory and time of the steps that work by blocks of pictures, for ten thousand to a million pictures.

    python -m benchmarks.shards [--pictures N …] [--step NAME …] [--work DIR] [--json FILE]

The rows are made up and there are no pixels: 1.3 labels and 3 predictions for each picture. Each step runs in
a process of its own. Memory is the proportional set size, sampled ten times a second: of the largest process
of a step, and of all of them together. The exit status is 1 where a process takes more than ``MEMORY_LIMIT``,
or ten times the pictures more than ``TIME_LIMIT`` times as long.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.scale.measure import faces
from lidloop.data.dataset import Dataset, LabelVersion, finish_next
from lidloop.data.face_tables import FACES_FILE
from lidloop.data.formats import yolo
from lidloop.data.picture_index import ImageRecord, Records
from lidloop.data.sorted_table import BLOCK
from lidloop.data.tables import BOX, FACES_PER_GROUP
from lidloop.data.version_writer import LEDGER_SCHEMA, VersionWriter
from lidloop.files import write_atomic
from lidloop.labels import HUMAN, Face, LabelSet
from lidloop.landmarks import N_POINTS

SIZES: Final = (10_000, 100_000, 1_000_000)
HUMANS, GROWN, FOUND = 0.9, 0.4, 3.0
"""Human and grown labels and predictions for each picture."""
MEMORY_LIMIT: Final = 500e6
TIME_LIMIT: Final = 11.0
DISTINCT: Final = 8
"""Blocks of different faces; later blocks repeat them under other ids."""
MODEL: Final = "0" * 64
MADE: Final = "labels-v2"


class _Rows:
    """Made-up faces of one block of pictures."""

    def __init__(self, seed: int, pictures: int) -> None:
        rng = np.random.default_rng(seed)
        names = [str(k) for k in range(pictures)]

        def made(each: float, origin: int) -> LabelSet:
            image = np.sort(rng.integers(0, pictures, round(each * pictures)))
            return faces(rng, names, image, origin)

        self.human, self.grown, self.found = made(HUMANS, HUMAN), made(GROWN, 0), made(FOUND, 1)
        # Every third prediction is a label with an error of a few pixels.
        labels = self.human
        at = np.flatnonzero(rng.random(len(self.found)) < 0.33)
        of = rng.integers(0, len(labels), len(at))
        move = rng.normal(0, 2, (len(at), N_POINTS, 2))
        self.found.image[at] = labels.image[of]
        self.found.points[at] = labels.points[of]
        self.found.points[at, :, :2] += move
        low, high = self.found.points[..., :2].min(axis=1), self.found.points[..., :2].max(axis=1)
        self.found.boxes[:] = np.concatenate([low, high], axis=1)
        self.found = self.found.select(np.argsort(self.found.image, kind="stable"))
        self.texts = [_lines(self.human, pictures), _lines(self.grown, pictures)]


def _lines(labels: LabelSet, pictures: int) -> list[bytes]:
    texts = [b""] * pictures
    for k, image in enumerate(labels.image.tolist()):
        texts[image] += yolo.format_lines([Face(labels.boxes[k], labels.points[k])], 640, 480).encode()
    return texts


def make(root: Path, pictures: int) -> None:
    """Write a dataset's index, label versions 0 and 1, and predictions of iteration 1 in four shards."""
    ids = [f"{k:09d}" for k in range(pictures)]
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in ids]
    columns = {
        "id": ids,
        "file": [f"{name}.jpg" for name in ids],
        "width": [640] * pictures,
        "height": [480] * pictures,
        "split": ["val" if k % 5 == 0 else "train" for k in range(pictures)],
        "source": [("afw", "helen")[k % 3 == 0] for k in range(pictures)],
        "group": ids,
        "sha256": digests,
    }
    assert list(columns) == list(ImageRecord.__slots__)
    (root / "dataset").mkdir(parents=True)
    dataset = Dataset.write(root / "dataset", Records(pa.table(columns)), {})
    rows = [_Rows(seed, BLOCK) for seed in range(min(DISTINCT, -(-pictures // BLOCK)))]
    _versions(root, dataset, rows)
    _predictions(root, dataset, rows)


def _versions(root: Path, dataset: Dataset, rows: list[_Rows]) -> None:
    first, second = root / "labels-v0", root / "labels-v1"
    with VersionWriter(first, 0) as v0, VersionWriter(second, 1) as v1:
        for number, block in enumerate(dataset.blocks()):
            made, n = rows[number % len(rows)], len(block.ids)
            human, grown = made.texts[0][:n], made.texts[1][:n]
            v0.add(block.ids, human, _ledger(block, [made.human]))
            both = [a + b for a, b in zip(human, grown, strict=True)]
            v1.add(block.ids, both, _ledger(block, [made.human, made.grown]))
    info = {"format": 2, "version": 0, "dataset": dataset.digest, "counts": v0.counts, "total": v0.lines}
    write_atomic(first / "version.json", json.dumps(info | {"parent": None}))
    finish_next(second, LabelVersion.open(first), dataset, v1, "accumulate", {})


def _ledger(block: Dataset, sets: list[LabelSet]) -> pa.Table:
    """Ledger rows of a block: human labels, then the grown ones, by picture."""
    n = len(block.ids)
    here = [labels.select(labels.image < n) for labels in sets]
    image = np.concatenate([labels.image for labels in here])
    order = np.argsort(image, kind="stable")
    image = image[order]
    boxes = np.concatenate([labels.boxes for labels in here])[order].astype(np.float32)
    origin = np.concatenate([labels.origin for labels in here])[order].astype(np.int32)
    line = (np.arange(len(image)) - np.searchsorted(image, image)).astype(np.int32)
    human = origin == HUMAN
    ids, splits = np.array(block.ids), np.array(block.records.column("split").to_pylist())
    columns: dict[str, Any] = {
        "image": ids[image], "split": splits[image], "line": line,
        **{name: boxes[:, k] for k, name in enumerate(BOX)}, "origin": origin,
        "model": np.where(human, "", MODEL), "confidence": np.where(human, 1, 0.9).astype(np.float32),
        "iou": np.zeros(len(image), np.float32), "decision": np.full(len(image), "kept"),
        "reason": np.where(human, "human", "grown"),
    }  # fmt: skip
    return pa.table({name: pa.array(values) for name, values in columns.items()}).cast(LEDGER_SCHEMA)


def _predictions(root: Path, dataset: Dataset, rows: list[_Rows], shards: int = 4) -> None:
    n = len(dataset.records)
    ids = dataset.ids
    tables = [_found(made.found) for made in rows]
    for shard in range(shards):
        low, high = n * shard // shards, n * (shard + 1) // shards
        metadata = {
            "images": "\n".join(ids[low:high]), "model": MODEL, "iteration": "1", "dataset": dataset.digest
        }  # fmt: skip
        path = root / f"shard-{shard}" / FACES_FILE
        path.parent.mkdir()
        write_atomic(path.with_name("failures.json"), "[]")
        schema = tables[0].schema.with_metadata(metadata)
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["image", "origin"]) as writer:
            for start in range(low // BLOCK * BLOCK, high, BLOCK):
                table = tables[start // BLOCK % len(tables)]
                place = table["image"].to_numpy() + start
                mine = (place >= low) & (place < high)
                table = table.set_column(0, "image", pa.array(place - low, pa.int32()))
                writer.write_table(table.filter(pa.array(mine)).cast(schema), FACES_PER_GROUP)


def _found(found: LabelSet) -> pa.Table:
    columns: dict[str, Any] = {"image": pa.array(found.image, pa.int32())}
    columns |= {name: pa.array(found.boxes[:, k].astype(np.float32)) for k, name in enumerate(BOX)}
    columns["origin"] = pa.array(found.origin, pa.int32())
    columns["score"] = pa.array(found.score.astype(np.float32))
    points = pa.array(found.points.astype(np.float32).ravel())
    columns["points"] = pa.FixedSizeListArray.from_arrays(points, N_POINTS * 3)
    return pa.table(columns)


def run_filter(root: Path) -> None:
    """The step ``nms_filter``: write label version 2 and its ledger."""
    from lidloop.autolabel.refine import refine

    dataset, labels = Dataset.open(root / "dataset"), LabelVersion.open(root / "labels-v1")
    refine(dataset, labels, sorted(root.glob("shard-*")), root / MADE, iteration=1)


def run_evaluate(root: Path) -> None:
    """The step ``evaluate``: metrics on both yardsticks."""
    from lidloop.evaluation.evaluate import evaluate_iteration

    dataset = Dataset.open(root / "dataset")
    gold, labels = (LabelVersion.open(root / f"labels-v{k}") for k in (0, 1))
    shards = sorted(root.glob("shard-*"))
    evaluate_iteration(dataset, gold, labels, shards, root / "evaluation", iteration=1)


STEPS: Final[Mapping[str, Callable[[Path], None]]] = {"filter": run_filter, "evaluate": run_evaluate}
"""Steps by name; each needs what those before it wrote."""


def measure(step: str, root: Path) -> dict[str, float]:
    """Run a step in a process; return its seconds, its seconds of CPU and its largest memory in bytes.

    The time of the CPU is that of all its processes; ``bytes`` is the memory of the largest of them,
    ``bytes_together`` that of all at once.
    """
    command = [sys.executable, "-m", "benchmarks.shards", "--child", step, "--work", str(root)]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = together = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            sizes = [_memory(pid) for pid in _tree(process.pid)]
            peak, together = max(peak, *sizes), max(together, sum(sizes))
            time.sleep(0.1)
        if process.returncode:
            raise SystemExit(f"the step {step} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - start, "cpu_seconds": cpu, "bytes": peak,
            "bytes_together": together}  # fmt: skip


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def stored(root: Path) -> dict[str, float]:
    """Objects and bytes of version 2 as it is, and as text files with the same ledgers."""
    dataset, labels = Dataset.open(root / "dataset"), LabelVersion.open(root / MADE)
    files = [path for path in labels.root.rglob("*") if path.is_file()]
    texts = [text for block in dataset.blocks() for text in labels.texts.many(block.ids) if text]
    packed = (labels.root / "text.parquet").stat().st_size
    size = sum(path.stat().st_size for path in files)
    return {
        "objects": len(files), "bytes": size,
        "objects_as_text_files": len(files) - 1 + len(texts),
        "bytes_as_text_files": size - packed + sum(map(len, texts)),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, nargs="+", default=SIZES)
    parser.add_argument("--step", nargs="+", choices=STEPS, default=list(STEPS), metavar="NAME")
    parser.add_argument("--work", type=Path, help="folder for the rows, kept; default: a temporary one")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--child", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        STEPS[given.child](given.work)
        return 0
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        for pictures in given.pictures:
            root = (given.work or Path(temporary)) / str(pictures)
            if not root.exists():
                make(root, pictures)
            rows.append(measure_size(pictures, root, given.step))
    if given.json:
        write_atomic(given.json, json.dumps(rows, indent=1) + "\n")
    found = missed(rows)
    print("\n".join(found) or "every limit is kept")
    return int(bool(found))


def measure_size(pictures: int, root: Path, steps: Sequence[str]) -> dict[str, Any]:
    """Measure steps on the rows in a folder, and print a line for each."""
    row: dict[str, Any] = {"pictures": pictures}
    for step in steps:
        if step == "filter" and (root / MADE).exists():
            shutil.rmtree(root / MADE)
        row[step] = measure(step, root)
        took, cpu, peak, together = row[step].values()
        memory = f"{peak / 1e6:6.0f} MB, all {together / 1e6:.0f} MB"
        print(f"{pictures:>9,} {step:9} {took:8.1f} s {cpu:8.1f} s of CPU {memory}", flush=True)
    if (root / MADE).exists():
        row["stored"] = stored(root)
        print(f"{pictures:>9,} version   {row['stored']}", flush=True)
    return row


def missed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Limits that were not kept, a sentence each; of times those of the CPU are compared."""
    found = []
    for row in rows:
        for step in STEPS:
            if step in row and row[step]["bytes"] > MEMORY_LIMIT:
                found.append(f"{step}: {row['pictures']:,} pictures take {row[step]['bytes'] / 1e6:.0f} MB")
    for few, many in pairwise(rows):
        for step in STEPS:
            if many["pictures"] >= max(SIZES) and step in few and step in many:
                growth = many["pictures"] / few["pictures"] / 10
                times = many[step]["cpu_seconds"] / few[step]["cpu_seconds"] / growth
                if times > TIME_LIMIT:
                    found.append(f"{step}: ten times the pictures take {times:.1f} times as long")
    return found


if __name__ == "__main__":
    sys.exit(main())

"""Cost for each picture of label versions, ledgers, predictions and the filter, measured at two sizes.

``python -m benchmarks.scale.measure PICTURES`` measures one size in a process of its own, since memory is
measured by the process's peak, and prints JSON. The pictures themselves are not needed and do not exist.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lidloop.autolabel.refine import refine
from lidloop.data.dataset import Dataset, write_initial
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import write_faces
from lidloop.labels import HUMAN, LabelSet

LABELLED, FOUND = 0.7, 1.2
"""Human labels and predictions for each picture; a picture may have several predictions."""


def faces(rng: np.random.Generator, ids: list[str], image: Any, origin: int) -> LabelSet:
    """Random faces in pictures of 640 × 480 pixels: boxes of 40 to 160 px with 51 points in them."""
    n = len(image)
    side = rng.uniform(40, 160, (n, 2))
    corner = rng.uniform(0, 1, (n, 2)) * ((640, 480) - side)
    points = np.full((n, 51, 3), 2.0)
    points[:, :, :2] = corner[:, None] + rng.uniform(0, 1, (n, 51, 2)) * side[:, None]
    low, high = points[:, :, :2].min(axis=1), points[:, :, :2].max(axis=1)
    boxes = np.concatenate([low, high], axis=1)
    score = np.ones(n) if origin == HUMAN else rng.uniform(0.7, 1, n)
    return LabelSet(tuple(ids), image, boxes, points, np.full(n, origin), score)


def measure(pictures: int, *, seed: int = 0) -> dict[str, float]:
    """Write a dataset's index, its labels and an iteration's predictions, and filter them.

    Returns:
        Seconds, bytes and counts; ``memory_bytes`` is the peak memory of the process.
    """
    rng = np.random.default_rng(seed)
    ids = [f"{k:09d}" for k in range(pictures)]
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        root = Path(temporary)
        digests = [hashlib.sha256(name.encode()).hexdigest() for name in ids]
        splits = ["val" if k % 5 == 0 else "train" for k in range(pictures)]
        records = [
            ImageRecord(name, f"{name}.jpg", 640, 480, split, "drawn", name, digest)
            for name, split, digest in zip(ids, splits, digests, strict=True)
        ]
        (root / "dataset").mkdir()
        dataset = Dataset.write(root / "dataset", records, {})
        human = faces(rng, ids, np.flatnonzero(rng.random(pictures) < LABELLED), HUMAN)
        labels = write_initial(root / "labels", dataset, human)
        image = np.sort(rng.integers(0, pictures, int(FOUND * pictures)))
        found = faces(rng, ids, image, 0)
        write_faces(
            root / "shard" / "faces.parquet", found, model="0" * 64, iteration="0", dataset=dataset.digest
        )
        start = time.perf_counter()
        Dataset.open(root / "dataset")
        opened = time.perf_counter()
        grown = refine(dataset, labels, [root / "shard"], root / "grown", iteration=0)
        filtered = time.perf_counter()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "pictures": pictures,
            "labels": len(human.image),
            "predictions": len(found.image),
            "grown": grown.info["parameters"]["grown"],
            "open_seconds": opened - start,
            "filter_seconds": filtered - opened,
            "memory_bytes": memory,
            "index_bytes": (root / "dataset" / "images.parquet").stat().st_size,
            "predictions_bytes": (root / "shard" / "faces.parquet").stat().st_size,
            "text_bytes": (grown.root / "text.parquet").stat().st_size,
            "files_written": sum(path.stat().st_nlink == 1 for path in grown.root.rglob("*.*")),
            "ledger_bytes": (grown.root / "ledger" / "v1.parquet").stat().st_size,
            "ledger_rows": grown.ledger(1).num_rows,
        }


def slopes(small: dict[str, float], large: dict[str, float]) -> dict[str, float]:
    """Figures per additional picture, without the constant part."""
    more = large["pictures"] - small["pictures"]
    return {key: (large[key] - small[key]) / more for key in large if key != "pictures"}


def run(*, sizes: tuple[int, int] = (5_000, 50_000)) -> dict[str, Any]:
    """Measure two sizes, each in a process of its own."""
    rows = []
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.scale.measure", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
        rows.append(json.loads(done.stdout))
    return {"sizes": rows, "per_picture": slopes(*rows)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=int)
    print(json.dumps(measure(parser.parse_args(arguments).pictures)))


if __name__ == "__main__":
    main()

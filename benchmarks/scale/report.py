"""Cost of the loop at 10^5, 10^7 and 10^9 pictures, and its first limits.

A model computed from figures for each picture, and a simulation of auto-labelling's shards on preemptible
GPUs. Every figure is either measured (now, or in ``docs/reports/data/benchmarks.json``) or assumed, and names
its source.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.common import NO_TARGET, Progress, Row, Skipped, no_progress
from benchmarks.scale import measure as scale_measure

PICTURES: Final = (10**5, 10**7, 10**9)
FLEET: Final = {10**5: 1, 10**7: 8, 10**9: 64}
"""GPUs that auto-label in parallel. Training is one pod and takes at most ``TRAINERS`` of them."""
TRAINERS: Final = 8
ITERATIONS, EPOCHS, TRAIN_SHARE = 4, 10, 0.8
CORES: Final = 16
"""Cores of a pod with GPUs, and of the pod that converts."""
POD_BYTES: Final = 64 * 2**30
SHARDS: Final = 1000
SHARD_SECONDS: Final = 1200.0
"""Time of a shard: long against a pod's start, short against the time until a GPU is taken away."""


class Assumed(NamedTuple):
    """A figure that was not measured, and its source."""

    value: float
    unit: str
    source: str


ASSUMED: Final = {
    "infer_per_second": Assumed(
        9.2 / 14 * 1000 / 1.18, "pictures/s of a GPU",
        "Ultralytics' table for YOLOv8n-pose at 640 px: 1.18 ms on an A100 with TensorRT, 9.2 GFLOPs; with "
        "51 points it has 14, so the time in that ratio. An upper bound: lidloop runs torch there",
    ),
    "train_per_second": Assumed(
        9.2 / 14 * 1000 / 1.18 / 6, "pictures/s of a GPU",
        "a sixth of inference: forward and backward cost about three forwards, and eager torch reaches "
        "half of TensorRT's rate",
    ),
    "put_per_second": Assumed(
        100, "objects/s", "KFP's launcher uploads an artifact's files one after the other, about 10 ms each",
    ),
    "pod_seconds": Assumed(30, "s", "start of a pod whose image is on the node, and of torch"),
    "lost_every_hours": Assumed(24, "h", "mean time until a preemptible GPU is taken away; exponential"),
    "spread": Assumed(0.15, "", "sigma of the logarithm of a shard's time, for nodes that differ"),
    "shards": Assumed(
        SHARDS, "shards", "2,000 tasks in a loop exceed what etcd takes (kubeflow/pipelines #4175)"
    ),
    "pod_bytes": Assumed(POD_BYTES, "B", "memory of the filter's pod"),
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Measured figures, for each picture unless stated otherwise, in seconds of one core or process.

    Attributes:
        picture_bytes: size of a picture as stored.
        version_bytes: label text and ledger of a version.
        predictions_bytes: predictions of an iteration.
        files: number of label files that a version writes.
        decode: reading a picture and preparing it for the network.
        convert: converting a source.
        filter: the filter with reading and writing.
        filter_bytes: memory of the filter.
        evaluate: evaluating a validation picture.
        fixed: seconds of an iteration's other steps, independent of the number of pictures.
        model_bytes: an iteration's model, as artifact and in the registry.
    """

    picture_bytes: float
    version_bytes: float
    predictions_bytes: float
    files: float
    decode: float
    convert: float
    filter: float
    filter_bytes: float
    evaluate: float
    fixed: float
    model_bytes: float


def figures(measured: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[Figures, dict[str, str]]:
    """Combine what was measured now with the content of ``benchmarks.json``.

    Returns:
        The figures, and the source of each.

    Raises:
        Skipped: if a measurement that this needs is not stored.
    """
    try:
        label, overhead = stored["auto_label"], stored["overhead"]
        report, cores = label["report"], label["machine"]["cores"]
        disk, steps = overhead["report"]["disk"], overhead["report"]["time"]["steps"]
    except KeyError as missing:
        raise Skipped(f"needs auto_label and overhead in benchmarks.json, which has no {missing}") from None
    each = measured["per_picture"]
    run = "`overhead`: " + overhead["report"]["data"]
    on = f"`auto_label`, on {cores} cores ({label['machine']['cpu']})"
    now = "`python -m benchmarks.scale.measure`, slope between two sizes"
    pictures, versions = disk["pictures"]["files"], len(disk["label_versions"]) - 1
    rows = {
        "picture_bytes": (disk["pictures"]["bytes"] / pictures, run),
        "version_bytes": (each["text_bytes"] + each["ledger_bytes"], now),
        "predictions_bytes": (each["predictions_bytes"], now),
        "files": (each["files_written"], now),
        "decode": (report["parts"]["read_and_prepare"] * cores / report["pictures"], on),
        "convert": (steps["convert"] * overhead["machine"]["cores"] / pictures, run),
        "filter": (each["filter_seconds"] + each["open_seconds"], now),
        "filter_bytes": (each["memory_bytes"], now),
        "evaluate": (steps["evaluate"] / versions / (pictures * (1 - TRAIN_SHARE)), run),
        "fixed": ((steps["register"] + steps["promote"] + steps["report"]) / versions, run),
        "model_bytes": (
            (disk["other"]["train: model"]["bytes"] + disk["other"]["registry"]["bytes"]) / versions, run
        ),
    }  # fmt: skip
    given = Figures(**{key: value for key, (value, _) in rows.items()})
    return given, {key: source for key, (_, source) in rows.items()}


def computed(pictures: int, gpus: int, given: Figures) -> dict[str, Any]:
    """Compute seconds of each step of a run, GPU hours, bytes, and which needs exceed their limit."""
    a = {key: entry.value for key, entry in ASSUMED.items()}
    rate = min(a["infer_per_second"], CORES / given.decode / min(gpus, 8))
    train = pictures * TRAIN_SHARE * EPOCHS / (a["train_per_second"] * min(gpus, TRAINERS))
    label = pictures / (rate * gpus)
    iteration = {
        "train": train + a["pod_seconds"],
        "auto-label": label + a["pod_seconds"],
        "filter": pictures * given.filter + a["pod_seconds"],
        "labels to the store": pictures * given.files / a["put_per_second"],
        "evaluate": pictures * (1 - TRAIN_SHARE) * given.evaluate + a["pod_seconds"],
        "register, promote, report": given.fixed + 2 * a["pod_seconds"],
    }
    convert = pictures * given.convert / CORES + pictures / a["put_per_second"]
    seconds = {"convert, pictures to the store": convert, **{k: v * ITERATIONS for k, v in iteration.items()}}
    rounds = math.ceil(pictures / (rate * SHARD_SECONDS * gpus))  # so that all GPUs end together
    shards = min(SHARDS // gpus * gpus, rounds * gpus)
    labels = pictures * (given.version_bytes + given.predictions_bytes) + given.model_bytes
    pulls = 2 * pictures * given.picture_bytes  # by the trainer, which keeps them, and by all shards together
    needs = {
        "memory of the filter": (pictures * given.filter_bytes, a["pod_bytes"]),
        "shards of 20 minutes": (pictures / (rate * SHARD_SECONDS), a["shards"]),
    }
    return {
        "pictures": pictures,
        "gpus": gpus,
        "shards": shards,
        "seconds": seconds,
        "gpu_hours": ITERATIONS * (train * min(gpus, TRAINERS) + label * gpus) / 3600,
        "label_per_second": rate * gpus,
        "run_per_second": pictures / sum(seconds.values()),
        "bytes_moved": pictures * given.picture_bytes + ITERATIONS * (pulls + labels),
        "bytes_stored": pictures * given.picture_bytes + ITERATIONS * labels,
        "over": {name: [need, limit] for name, (need, limit) in needs.items() if need > limit},
        "slowest": max(seconds, key=lambda name: seconds[name]),
    }


def simulate(pictures: int, gpus: int, shards: int, rate: float, *, seed: int = 0) -> dict[str, float]:
    """Simulate auto-labelling once: shards go to the next free GPU, and start again if it is taken away.

    Args:
        rate: pictures per second of one GPU.

    Returns:
        ``seconds`` until the last shard is done, ``gpu_hours`` held, ``lost`` starts, and the ``share`` of
        the held time that labelled.
    """
    a = {key: entry.value for key, entry in ASSUMED.items()}
    rng = np.random.default_rng(seed)
    each = pictures / shards / rate
    work = each * rng.lognormal(-(a["spread"] ** 2) / 2, a["spread"], shards)
    free = [0.0] * gpus
    held = useful = last = 0.0
    lost = 0
    queue = [(0.0, float(seconds)) for seconds in work[::-1]]  # earliest start, duration
    while queue:
        ready, seconds = queue.pop()
        start = max(heapq.heappop(free), ready)
        takes = a["pod_seconds"] + seconds
        until_lost = float(rng.exponential(a["lost_every_hours"] * 3600))
        if until_lost < takes:
            lost += 1
            held += until_lost
            queue.append((start + until_lost, seconds))
            heapq.heappush(free, start + until_lost + a["pod_seconds"])  # another GPU comes
            continue
        held += takes
        useful += seconds
        last = max(last, start + takes)
        heapq.heappush(free, start + takes)
    return {"seconds": last, "gpu_hours": held / 3600, "lost": lost, "share": useful / held}


def run(
    *,
    stored: Mapping[str, Any],
    sizes: tuple[int, int] = (5_000, 50_000),
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure labels, ledger and filter, and compute the cost of the three sizes.

    Args:
        stored: the measurements of ``benchmarks.json``, by name.
        sizes: the two numbers of pictures to measure with.

    Raises:
        Skipped: if ``stored`` lacks a measurement.
    """
    figures({"per_picture": dict.fromkeys(_EACH, 1.0)}, stored)  # raises Skipped before measuring
    progress(f"labels, ledger and filter of {sizes[0]:,} and {sizes[1]:,} pictures")
    measured = scale_measure.run(sizes=sizes)
    given, sources = figures(measured, stored)
    rows = []
    for pictures in PICTURES:
        cost = computed(pictures, FLEET[pictures], given)
        rate = cost["label_per_second"] / cost["gpus"]
        cost["simulated"] = simulate(pictures, cost["gpus"], cost["shards"], rate, seed=seed)
        rows.append(cost)
    return {
        "question": "cost at scale",
        "seed": seed,
        "measured": measured,
        "figures": {name: getattr(given, name) for name in sources},
        "sources": sources,
        "assumed": {key: list(entry) for key, entry in ASSUMED.items()},
        "settings": {"iterations": ITERATIONS, "epochs": EPOCHS, "train_share": TRAIN_SHARE, "imgsz": 640},
        "rows": rows,
    }


_EACH: Final = (
    "text_bytes", "ledger_bytes", "predictions_bytes", "files_written", "filter_seconds", "open_seconds",
    "memory_bytes",
)  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table of all measurements."""
    return [
        Row(
            f"Computed: a run of {row['pictures']:,} pictures on {row['gpus']} GPU{'s' * (row['gpus'] != 1)}",
            f"{row['run_per_second']:.1f} pictures/s", "–", f"{row['gpu_hours']:,.0f} GPU hours", *NO_TARGET,
        )
        for row in report["rows"]
    ]  # fmt: skip

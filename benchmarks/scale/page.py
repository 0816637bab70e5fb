"""``docs/reports/SCALE.md``, from the entry ``scale`` of ``docs/reports/data/benchmarks.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.filesize import decimal

from benchmarks.common import Row

_HEAD: Final = """# Cost at scale

Generated from `docs/reports/data/benchmarks.json` by `make docs`; measured and worked out by
`python -m benchmarks --only scale`. No run of these sizes was made: these are figures for each picture,
measured where it says so, multiplied on paper, and a simulation of the step whose parts run side by side.
"""

_WORDS: Final = {
    "picture_bytes": ("a picture as stored", "bytes"),
    "version_bytes": ("label text and ledger of one version", "bytes"),
    "predictions_bytes": ("predictions of one iteration", "bytes"),
    "files": ("label files that a version writes", "count"),
    "decode": ("reading and preparing for the network, one core", "ms"),
    "convert": ("convert, one core", "ms"),
    "filter": ("filter with reading and writing, one process", "ms"),
    "filter_bytes": ("memory of the filter", "bytes"),
    "evaluate": ("evaluate, for each validation picture, one process", "ms"),
    "fixed": ("register, promote and report, for each iteration", "s"),
    "model_bytes": ("model as artifact and in the registry, for each iteration", "bytes"),
}
_REMEDIES: Final = {
    "train": (
        "training is one pod with at most 8 GPUs, and sees every picture in every epoch. Fewer epochs in "
        "later iterations, or training on a sample, shorten it; more GPUs need training over several nodes, "
        "which lidloop does not do"
    ),
    "labels to the store": "one text file for each labelled picture; they want packing, as the ledger is",
    "convert, pictures to the store": "one pod reads and uploads all; it wants shards",
    "filter": "one process over all pictures, which do not depend on each other: it wants shards",
    "memory of the filter": "it holds all faces at once, though pictures do not depend on each other",
    "shards of 20 minutes": "a KFP loop takes about a thousand tasks; longer ones lose more with a GPU",
}


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Lines of the table of all benchmarks."""
    return [
        Row(
            f"On paper: a run of {row['pictures']:,} pictures on {_gpus(row['gpus'])}",
            f"{row['run_per_second']:.1f} pictures/s", "–", f"{row['gpu_hours']:,.0f} GPU hours", "–", None,
        )
        for row in report["rows"]
    ]  # fmt: skip


def notes(report: Mapping[str, Any]) -> list[str]:
    """What to know beside them."""
    sizes = " and ".join(f"{size['pictures']:,}" for size in report["measured"]["sizes"])
    return [
        f"From figures for each picture: labels, ledger and filter were measured with {sizes} pictures, and "
        "GPUs are assumed. All of it: [SCALE.md](SCALE.md)."
    ]


def page(entry: Mapping[str, Any]) -> str:
    """The page.

    Args:
        entry: that of ``scale`` in ``docs/reports/data/benchmarks.json``.
    """
    report, machine = entry["report"], entry["machine"]
    said = report["settings"]
    parts = [
        _HEAD,
        f"A run is {said['iterations']} iterations of {said['epochs']} epochs at {said['imgsz']} px, "
        f"{said['train_share']:.0%} of the pictures for training, with about one face in each.\n",
        "## What a run costs\n",
        _costs(report["rows"]),
        "## Where the time goes\n",
        _steps(report["rows"]),
        "## What stops it first\n",
        *[_stop(row) for row in report["rows"]],
        "## Auto-labelling, simulated\n",
        "Shards go to the next free GPU, take times that differ, and start again where their GPU is taken "
        f"away (seed {report['seed']}). Once for each iteration:\n",
        _simulated(report["rows"]),
        "## Figures measured, for each picture unless it says otherwise\n",
        _measured(report),
        f"\nMeasured now: {entry['measured']}, {machine['cpu']}, {machine['cores']} cores. The pictures are "
        "300-W's, scaled to 480 px at most: multiply the bytes for larger ones.\n",
        "## Figures assumed\n",
        _assumed(report["assumed"]),
    ]
    return "\n".join(parts) + "\n"


def _costs(found: list[dict[str, Any]]) -> str:
    head = ("pictures", "GPUs", "time", "pictures/s, whole run", "pictures/s, auto-labelling", "GPU hours",
            "bytes moved", "bytes stored", "shards")  # fmt: skip
    lines = [
        (
            f"{row['pictures']:,}", str(row["gpus"]), _time(sum(row["seconds"].values())),
            f"{row['run_per_second']:.1f}", f"{row['label_per_second']:,.0f}", f"{row['gpu_hours']:,.0f}",
            decimal(int(row["bytes_moved"])), decimal(int(row["bytes_stored"])), f"{row['shards']:,}",
        )
        for row in found
    ]  # fmt: skip
    return _table(head, lines)


def _steps(found: list[dict[str, Any]]) -> str:
    head = ("step, all iterations", *(f"{row['pictures']:,}" for row in found))
    return _table(
        head, [(name, *(_time(row["seconds"][name]) for row in found)) for name in found[0]["seconds"]]
    )


def _stop(row: Mapping[str, Any]) -> str:
    total = sum(row["seconds"].values())
    share = row["seconds"][row["slowest"]] / total
    text = [f"**{row['pictures']:,} pictures.** "]
    for name, (need, limit) in row["over"].items():
        values = (
            (decimal(int(need)), decimal(int(limit)))
            if "memory" in name
            else (f"{need:,.0f}", f"{limit:,.0f}")
        )
        text.append(f"Over a limit: {name}, {values[0]} where {values[1]} are there: {_REMEDIES[name]}. ")
    text.append(f"Slowest: {row['slowest']}, {share:.0%} of the time: {_REMEDIES[row['slowest']]}.")
    after = sorted(row["seconds"], key=lambda name: -row["seconds"][name])[1]
    text.append(
        f" Next: {after}, {_time(row['seconds'][after])}"
        + (f": {_REMEDIES[after]}" if after in _REMEDIES else "")
        + ".\n"
    )
    return "".join(text)


def _simulated(found: list[dict[str, Any]]) -> str:
    head = ("pictures", "time", "on paper", "GPU hours held", "of it labelling", "starts lost")
    lines = []
    for row in found:
        made = row["simulated"]
        paper = row["pictures"] / row["label_per_second"]
        lines.append(
            (f"{row['pictures']:,}", _time(made["seconds"]), _time(paper), f"{made['gpu_hours']:,.1f}",
             f"{made['share']:.0%}", f"{made['lost']:,}")
        )  # fmt: skip
    return _table(head, lines)


def _measured(report: Mapping[str, Any]) -> str:
    lines = []
    for name, (what, unit) in _WORDS.items():
        value = report["figures"][name]
        shown = {
            "bytes": decimal(int(value)),
            "count": f"{value:.2f}",
            "ms": f"{1000 * value:.2f} ms",
            "s": f"{value:.1f} s",
        }
        lines.append((what, shown[unit], report["sources"][name]))
    return _table(("what", "figure", "from"), lines)


def _assumed(found: Mapping[str, list[Any]]) -> str:
    lines = [
        (name.replace("_", " "), f"{value:,.4g} {unit}".strip(), source)
        for name, (value, unit, source) in found.items()
    ]
    return _table(("what", "figure", "why"), lines)


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines)) + "\n"


def _gpus(count: int) -> str:
    return f"{count} GPU{'s' * (count != 1)}"


def _time(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"

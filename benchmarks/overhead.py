"""Cost of a finished run besides training: share of the wall time, and disk space of each label version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.common import NO_TARGET, Row, Skipped, at_most
from benchmarks.pages.markdown import megabytes, percent
from lidloop.errors import DatasetError
from lidloop.report.data import read_json, read_timings

TIME_TARGET: Final = 0.10
DISK_TARGET: Final = 0.02
_BLOCK: Final = 512  # unit of st_blocks, in bytes


class Meter:
    """Adds up the disk space of files and folders; a file with several hard links counts once."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def add(self, paths: Iterable[Path]) -> dict[str, int]:
        """Measure files, and folders with their content. Symbolic links are not followed.

        Returns:
            ``files``: their number; ``bytes``: apparent size of files and folders; ``blocks``: space that
            they occupy, in bytes. What an earlier call counted is left out.
        """
        total = {"files": 0, "bytes": 0, "blocks": 0}
        for path in paths:
            inside = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
            for entry in (path, *inside):
                info = entry.lstat()
                if (info.st_dev, info.st_ino) in self._seen:
                    continue
                self._seen.add((info.st_dev, info.st_ino))
                total["files"] += not entry.is_dir()
                total["bytes"] += info.st_size
                total["blocks"] += info.st_blocks * _BLOCK
        return total


def disk(run_dir: Path) -> dict[str, Any]:
    """Bytes of the pictures, of the files that each label version adds, and of all else in a run's folder.

    Raises:
        DatasetError: if the run's dataset or label versions are missing.
    """
    summary = read_json(run_dir / "summary.json", "summary")
    dataset = run_dir / summary["paths"]["dataset"]
    if not (dataset / "images").is_dir():
        raise DatasetError(f"{dataset} holds no pictures: the run's dataset is gone")
    digest = summary["dataset"]["digest"]
    versions: dict[int, Path] = {}
    for file in sorted(run_dir.rglob("version.json")):
        info = read_json(file, "label version")
        if info.get("dataset") == digest:
            versions.setdefault(int(info["version"]), file.parent)
    if not versions:
        raise DatasetError(f"{run_dir} holds no label version")
    meter = Meter()
    pictures = meter.add(sorted((dataset / "images").iterdir()))
    index = meter.add([dataset])
    added = [{"version": k, **meter.add([versions[k]])} for k in sorted(versions)]
    later = [entry for entry in added if entry["version"] > 0]
    other = {name: meter.add(paths) for name, paths in sorted(_by_kind(run_dir).items())}
    other = {name: size for name, size in other.items() if size["bytes"]}
    return {
        "pictures": pictures, "index": index, "label_versions": added, "other": other,
        "share": max((v["bytes"] for v in later), default=0) / pictures["bytes"] if later else None,
        "share_blocks": max((v["blocks"] for v in later), default=0) / pictures["blocks"] if later else None,
    }  # fmt: skip


def _by_kind(run_dir: Path) -> dict[str, list[Path]]:
    """Paths in a run's folder: by artifact for outputs of steps, by name for the rest."""
    kinds: dict[str, list[Path]] = {}
    for path in run_dir.iterdir():
        if path.name != "steps":
            kinds.setdefault(path.name if path.is_dir() else "files of the run", []).append(path)
    for path in sorted((run_dir / "steps").rglob("*")) if (run_dir / "steps").is_dir() else []:
        if (path.parent / "executor_output.json").exists():
            step = re.sub(r"-\d+$", "", path.parent.name)
            kinds.setdefault(f"{step}: {path.name}" if path.is_dir() else "files of steps", []).append(path)
    return kinds


def time_shares(run_dir: Path) -> dict[str, Any]:
    """Seconds of a whole run, of its steps, and of training.

    The wall time is from the start of the run to the end of its last step if it was started once and its
    files have their original times; else it is the sum of the steps, without the time between them.
    Training is the time in ``training.json``, without the start of the process.

    Raises:
        DatasetError: for a run without timings, or without a training among them.
    """
    steps = read_timings(run_dir / "timings.json")
    by_step: dict[str, float] = {}
    for step in steps:
        by_step[step["step"]] = by_step.get(step["step"], 0.0) + step["seconds"]
    if not by_step.get("train"):
        raise DatasetError(f"{run_dir / 'timings.json'} times no training")
    wall, wall_from = _wall(run_dir, sum(by_step.values()))
    fitted = _training_seconds(run_dir)
    iterations = {step["iteration"] for step in steps if step["step"] == "train"}
    whole = set(fitted) >= iterations
    training = min(sum(fitted[k] for k in iterations), by_step["train"]) if whole else by_step["train"]
    return {
        "wall_seconds": wall, "wall_from": wall_from, "training_seconds": training,
        "training_from": "training.json" if whole else "timings.json",
        "train_step_seconds": by_step["train"], "steps": by_step, "share": 1 - training / wall,
        "share_beside_train_steps": 1 - by_step["train"] / wall,
    }  # fmt: skip


def _wall(run_dir: Path, steps: float) -> tuple[float, str]:
    log, begun, ended = run_dir / "logs" / "run.log", run_dir / "run.json", run_dir / "timings.json"
    starts = sum(line.startswith("==== ") for line in log.read_text().splitlines()) if log.exists() else 0
    if starts == 1 and begun.exists():
        wall = ended.stat().st_mtime - begun.stat().st_mtime
        # Copied files may have lost their original times.
        if wall >= 0.9 * steps:
            return wall, "begin to end of the run"
    return steps, "sum of the steps: " + (f"the run was started {starts} times" if starts > 1 else "no times")


def _training_seconds(run_dir: Path) -> dict[int, float]:
    """Seconds of the fine-tunes by iteration, without resumed ones, whose seconds are incomplete."""
    seconds: dict[int, float] = {}
    for file in sorted((run_dir / "steps").rglob("training.json")):
        info = read_json(file, "training")
        if "seconds" in info and not info.get("resumed"):
            seconds.setdefault(int(info["iteration"]), float(info["seconds"]))
    return seconds


def newest_model(run_dir: Path) -> Path | None:
    """The model folder of a run's last iteration; None if there is none."""
    found = {}
    for file in sorted((run_dir / "steps").rglob("training.json")):
        if (file.parent / "weights.pt").exists():
            found[int(read_json(file, "training")["iteration"])] = file.parent
    return found[max(found)] if found else None


def run(*, run_dir: Path | None = None) -> dict[str, Any]:
    """Measure a finished run.

    Raises:
        Skipped: if there is none.
        DatasetError: if its files are damaged or missing.
    """
    if run_dir is None:
        raise Skipped("needs a finished run: give --run DIR")
    if not (run_dir / "summary.json").exists():
        raise Skipped(f"{run_dir.name} is no finished run: it has no summary.json")
    summary = read_json(run_dir / "summary.json", "summary")
    settings = summary.get("settings") or {}
    return {
        "question": "time beside training, and disk per label version",
        "data": f"run of {summary['dataset']['images']['total']} pictures, "
        f"{len(summary['iterations'])} iterations of {settings.get('epochs')} epochs at "
        f"{settings.get('imgsz')} px, device {settings.get('device') or 'as found'}",
        "time": time_shares(run_dir), "disk": disk(run_dir),
        "targets": {"time": TIME_TARGET, "disk": DISK_TARGET},
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    time, space, targets = report["time"], report["disk"], report["targets"]
    lines = [
        Row(
            "Everything but training, share of a run's wall time",
            f"{time['wall_seconds'] - time['training_seconds']:.0f} s",
            f"{time['wall_seconds']:.0f} s in all",
            percent(time["share"]), *at_most(time["share"], targets["time"], percent(targets["time"])),
        )
    ]  # fmt: skip
    for name, unit, kind in (
        ("share", "bytes", "apparent size"),
        ("share_blocks", "blocks", "blocks occupied"),
    ):
        share, target = space[name], targets["disk"]
        if share is None:
            continue
        largest = max(v[unit] for v in space["label_versions"] if v["version"] > 0)
        lines.append(
            Row(
                f"Disk that an iteration's labels add, {kind}, the largest", megabytes(largest),
                f"{megabytes(space['pictures'][unit])} of pictures", percent(share),
                *(at_most(share, target, percent(target)) if name == "share" else NO_TARGET),
            )
        )  # fmt: skip
    return lines

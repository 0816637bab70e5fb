"""What the measurements share: reasons to skip, samples of real pictures, and where it was measured."""

from __future__ import annotations

import json
import os
import platform
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

from lidloop.files import write_atomic
from lidloop.images import SUFFIXES
from lidloop.machine import cpus

REAL_FACES: Final = "LIDLOOP_300W"
BASE_WEIGHTS: Final = "LIDLOOP_BASE_WEIGHTS"
DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
REPORTS: Final = Path("reports")
DATA: Final = REPORTS / "data"
FIGURES: Final = REPORTS / "images"
IMAGES: Final = Path("images")
"""Folders below ``docs``: generated reports, their figures as JSON and as images, and images of guides."""
LIBRARIES: Final = ("lidloop", "ultralytics", "torch", "onnxruntime", "opencv-python-headless", "numpy")

os.environ.setdefault("YOLO_VERBOSE", "False")  # read when Ultralytics is imported

Say = Callable[[str], None]
"""Called with what a measurement does now."""


class Skipped(Exception):
    """A measurement that cannot be made here; the message says what it needs."""


class Row(NamedTuple):
    """One line of the table; ``met`` is None where there is no target."""

    question: str
    ours: str
    theirs: str
    ratio: str
    target: str
    met: bool | None


def quiet(_: str) -> None:
    """A ``Say`` that says nothing."""


def from_environment(name: str, what: str) -> Path:
    """The path that an environment variable names.

    Raises:
        Skipped: where it is not set, or nothing is there.
    """
    value = os.environ.get(name)
    if not value:
        raise Skipped(f"needs {what}: set {name}")
    path = Path(value)
    if not path.exists():
        raise Skipped(f"needs {what}, but there is nothing at the place that {name} names")
    return path


def show(
    report: Mapping[str, Any], rows: Sequence[Row], notes: Sequence[str], *, json_file: Path | None, word: str
) -> None:
    """Print a benchmark's rows and notes; write its report where a file is named.

    Args:
        word: between ours and theirs: ``against``, or ``of`` for a share.
    """
    for row in rows:
        print(f"{row.question}: {row.ours} {word} {row.theirs}, {row.ratio}, target {row.target}")
    print("\n".join(notes))
    if json_file:
        write_atomic(json_file, json.dumps(report, indent=1))


def sample_ibug(folder: Path, out: Path, *, annotations: int, seed: int) -> int:
    """Link a random choice of the ``.pts`` files under ``folder``, and their pictures, into ``out``.

    Returns:
        How many there are, fewer than asked for where the folder holds fewer.

    Raises:
        Skipped: where it holds none with its picture.
    """
    found = [(pts, picture) for pts in sorted(folder.rglob("*.pts")) if (picture := _picture(pts))]
    if not found:
        raise Skipped(f"{folder.name} holds no .pts file with its picture")
    chosen = random.Random(seed).sample(found, min(annotations, len(found)))
    for files in chosen:
        for file in files:
            link = out / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    return len(chosen)


def _picture(pts: Path) -> Path | None:
    return next((p for s in sorted(SUFFIXES) if (p := pts.with_suffix(s)).exists()), None)


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, system, and the versions of what was measured."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {"cpu": _processor(), "cores": cpus(), "system": sys.platform, "versions": versions}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

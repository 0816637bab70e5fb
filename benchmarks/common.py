"""Shared by the measurements: paths, rows of the table, skipping, samples of real pictures, the machine."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

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

Progress = Callable[[str], None]
"""Called with a short text at each stage of a measurement."""


class Skipped(Exception):
    """Raised by a measurement that cannot be made on this machine; the message says what it needs."""


class Row(NamedTuple):
    """One row of the table; ``met`` is None if there is no target."""

    question: str
    lidloop: str
    baseline: str
    ratio: str
    target: str
    met: bool | None


NO_TARGET: Final = ("–", None)
"""Last two fields of a row without a target."""


def at_most(value: float, limit: float, shown: str) -> tuple[str, bool]:
    """Last two fields of a row whose target is an upper limit, shown as ``≤ shown``."""
    return f"≤ {shown}", value <= limit


def at_least(value: float, limit: float, shown: str) -> tuple[str, bool]:
    """Last two fields of a row whose target is a lower limit, shown as ``≥ shown``."""
    return f"≥ {shown}", value >= limit


def below(value: float, limit: float, shown: str) -> tuple[str, bool]:
    """Last two fields of a row whose value must be below a limit, shown as ``< shown``."""
    return f"< {shown}", value < limit


def no_progress(_: str) -> None:
    """A ``Progress`` that does nothing."""


def path_from_environment(name: str, content: str) -> Path:
    """Return the path that an environment variable names.

    Args:
        content: what is to be found there, for the message.

    Raises:
        Skipped: if the variable is not set, or the path does not exist.
    """
    value = os.environ.get(name)
    if not value:
        raise Skipped(f"needs {content}: set {name}")
    path = Path(value)
    if not path.exists():
        raise Skipped(f"needs {content}, but the path that {name} names does not exist")
    return path


def sample_ibug(folder: Path, out: Path, *, annotations: int, seed: int) -> int:
    """Link a random sample of the ``.pts`` files under ``folder``, and their pictures, into ``out``.

    Returns:
        Number of annotations linked, fewer than asked for if the folder holds fewer.

    Raises:
        Skipped: if the folder holds no annotation with its picture.
    """
    found = [(pts, picture) for pts in sorted(folder.rglob("*.pts")) if (picture := picture_of(pts))]
    if not found:
        raise Skipped(f"{folder.name} holds no .pts file with its picture")
    chosen = random.Random(seed).sample(found, min(annotations, len(found)))
    for files in chosen:
        for file in files:
            link = out / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    return len(chosen)


def picture_of(pts: Path) -> Path | None:
    """The picture beside a ``.pts`` file; None if there is none."""
    return next((p for s in sorted(SUFFIXES) if (p := pts.with_suffix(s)).exists()), None)


def machine() -> dict[str, Any]:
    """Processor, usable cores, operating system, and versions of Python and of ``LIBRARIES``."""
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

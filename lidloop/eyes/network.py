"""The network that finds lid margins and iris in eye patches, on ONNX Runtime.

``eyes.onnx`` was trained by ``lidloop.eyes_training`` on drawn eyes only; ``eyes.json`` holds the parameters
of the training and the accuracy. Its digest is verified before it is loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import ModelError
from lidloop.eyes.patch import HEIGHT, WIDTH
from lidloop.files import sha256
from lidloop.labels import Floats

OUTPUTS: Final = ("rows", "spread", "points", "point_spread", "radius", "trust", "iris")
COLUMNS: Final = np.arange(0, WIDTH, 2, dtype=np.float64)
"""Columns of a patch with outputs for margins and iris: every second one."""
ROWS: Final = np.arange(0, HEIGHT, 2, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Output of the network for n patches, in pixels of the patch.

    Attributes:
        rows: (n, 2, 64) expected row of the upper and of the lower margin at ``COLUMNS``.
        spread: (n, 2, 64) standard deviation of that row.
        points: (n, 3, 2) x and y of the outer canthus, the inner one and the pupil centre.
        point_spread: (n, 3) standard deviation of each.
        radius: (n,) of the iris.
        trust: (n,) probability that an eye is visible.
        iris: (n, 32, 64) probability that a pixel inside the opening belongs to the iris, at ``ROWS`` and
            ``COLUMNS``; undefined outside the opening.
    """

    rows: Floats
    spread: Floats
    points: Floats
    point_spread: Floats
    radius: Floats
    trust: Floats
    iris: Floats


def model_path() -> Path:
    """Path of the committed network."""
    return Path(__file__).parent / "eyes.onnx"


@cache
def info() -> dict[str, Any]:
    """Content of ``eyes.json``: training parameters, digest, and calibration of the qualities."""
    text = model_path().with_suffix(".json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _session() -> Any:
    import onnxruntime as ort

    path = model_path()
    if sha256(path) != info()["sha256"]:
        raise ModelError(
            f"{path.name} is not the network that {path.stem}.json describes; install lidloop again"
        )
    return session_of(path, ort)


def session_of(path: Path, ort: Any) -> Any:
    """Create an ONNX Runtime session with one thread, which is fastest for two patches."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def answer(patches: NDArray[np.float32], session: Any = None) -> Answer:
    """Run the network on normalised patches (n, 3, 64, 128). Thread-safe.

    Raises:
        ModelError: if the installed network is damaged.
    """
    found = (session or _session()).run(list(OUTPUTS), {"patches": patches})
    return Answer(*(np.asarray(values, dtype=np.float64) for values in found))


def warm_up() -> None:
    """Load the network and run it once, so that the first face takes no extra time.

    Raises:
        ModelError: if the installed network is damaged.
    """
    answer(np.zeros((2, 3, HEIGHT, WIDTH), dtype=np.float32))

"""The small network of the second look, on ONNX Runtime: patches in, lids and iris of each out.

``eyes.onnx`` was trained by ``lidloop.eyes_training`` on drawn eyes alone; ``eyes.json`` says how, and how
good
it is. It is part of the program: its digest is verified before it is loaded.
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
"""Columns of a patch at which margins are answered; every second one, as the iris is."""
ROWS: Final = np.arange(0, HEIGHT, 2, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the network says of n patches, in pixels of the patch.

    Attributes:
        rows: (n, 2, 64) row of the upper and of the lower margin at ``COLUMNS``, its expectation.
        spread: (n, 2, 64) deviation of that row.
        points: (n, 3, 2) x and y of the outer canthus, the inner one and the pupil centre.
        point_spread: (n, 3) deviation of each.
        radius: (n,) of the iris.
        trust: (n,) 0…1, that there is an eye to be seen.
        iris: (n, 32, 64) 0…1, whether a place inside the opening belongs to the iris, at ``ROWS`` and
            ``COLUMNS``; it means nothing outside the opening.
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
    """``eyes.json``: how the network was made, its digest, and the calibration of its quality."""
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
    """An ONNX Runtime session on one thread: for two patches more of them only wait for each other."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def answer(patches: NDArray[np.float32], session: Any = None) -> Answer:
    """Run the network on normalised patches (n, 3, 64, 128). Safe to call from many threads.

    Raises:
        ModelError: where the installed network is damaged.
    """
    found = (session or _session()).run(list(OUTPUTS), {"patches": patches})
    return Answer(*(np.asarray(values, dtype=np.float64) for values in found))


def warm_up() -> None:
    """Load the network and run it once, so that the first face does not pay for it.

    Raises:
        ModelError: where the installed network is damaged.
    """
    answer(np.zeros((2, 3, HEIGHT, WIDTH), dtype=np.float32))

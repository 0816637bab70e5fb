"""Train the network of ``lidloop.eyes``: ``python -m lidloop.eyes_training``; twenty minutes on two cores.

It is trained on random eyes (``samples``) and on those of drawn faces (``face_samples``), and calibrated and
evaluated on others from other seeds.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from lidloop.eyes.network import model_path, session_of
from lidloop.eyes_training.calibration import calibrate, look_at_samples, summary
from lidloop.eyes_training.face_samples import eye_samples, random_face
from lidloop.eyes_training.samples import EyeSample, draw_eye
from lidloop.files import sha256, write_atomic
from lidloop.machine import cpus

LANDMARK_ERROR: Final = 0.03
"""Mean error of the landmarks that patches are cut from, over the outer-canthal distance."""
_CHUNK: Final = 20


def _wild(seed: int, chunk: int) -> list[EyeSample]:
    return [draw_eye(np.random.default_rng([seed, chunk, k])) for k in range(_CHUNK)]


def _faces(seed: int, chunk: int) -> list[EyeSample]:
    first = seed * 1_000_000 + chunk * _CHUNK
    return [
        sample for k in range(_CHUNK) for sample in eye_samples(random_face(first + k), error=LANDMARK_ERROR)
    ]


def _draw(work: Callable[[int], list[EyeSample]], count: int) -> list[EyeSample]:
    chunks = range(-(-count // _CHUNK))
    if len(chunks) < 20:
        return [sample for chunk in chunks for sample in work(chunk)]
    with ProcessPoolExecutor(cpus()) as pool:
        return [sample for part in pool.map(work, chunks) for sample in part]


def samples(*, eyes: int, faces: int, seed: int) -> list[EyeSample]:
    """Draw ``eyes`` random eyes and both eyes of ``faces`` faces, rounded up to twenties."""
    return _draw(partial(_wild, seed), eyes) + _draw(partial(_faces, seed), faces)


def make(
    *,
    eyes: int = 24_000,
    faces: int = 3_000,
    epochs: int = 6,
    batch: int = 64,
    seed: int = 1,
    out: Path | None = None,
) -> dict[str, Any]:
    """Draw samples, train, export and calibrate; write the network and its JSON, and return the latter.

    Args:
        out: an ``.onnx`` file; default: the committed one.
    """
    import onnxruntime as ort
    import torch

    from lidloop.eyes_training.train import Examples, export, train_network

    out = out or model_path()
    start = time.perf_counter()
    examples = Examples.of(samples(eyes=eyes, faces=faces, seed=seed))
    drawn = time.perf_counter()
    network = train_network(examples, epochs=epochs, seed=seed, batch=batch)
    trained = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eyes.onnx"
        export(network, path)
        session = session_of(path, ort)
        held_back = samples(eyes=eyes // 8, faces=faces // 8, seed=seed + 1)
        weights = calibrate(held_back, look_at_samples(held_back, session))
        unseen = samples(eyes=eyes // 8, faces=faces // 8, seed=seed + 2)
        figures = summary(unseen, look_at_samples(unseen, session), weights)
        write_atomic(out, path.read_bytes())
    info = {
        "command": "python -m lidloop.eyes_training",
        "sha256": sha256(out),
        "bytes": out.stat().st_size,
        "parameters": sum(p.numel() for p in network.parameters()),
        "training": {
            "eyes": eyes, "faces": faces, "epochs": epochs, "batch": batch, "seed": seed,
            "landmark_error": LANDMARK_ERROR,
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
            "seconds": {"drawing": round(drawn - start, 1), "training": round(trained - drawn, 1)},
        },
        "calibration": {"seed": seed + 1, **weights},
        "unseen": {"seed": seed + 2, **figures},
    }  # fmt: skip
    write_atomic(out.with_suffix(".json"), json.dumps(info, indent=1) + "\n")
    return info


def main(
    eyes: Annotated[int, typer.Option(help="Random eyes to train on.")] = 24_000,
    faces: Annotated[int, typer.Option(help="Drawn faces to train on, both eyes of each.")] = 3_000,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 6,
    seed: Annotated[int, typer.Option(help="Calibration uses seed + 1, the figures seed + 2.")] = 1,
) -> None:
    """Train the eye network from random numbers on drawn eyes and replace the committed one."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    typer.echo(json.dumps(make(eyes=eyes, faces=faces, epochs=epochs, seed=seed), indent=1))


if __name__ == "__main__":
    typer.run(main)

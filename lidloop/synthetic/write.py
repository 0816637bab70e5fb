"""Folders of drawn pictures in the YOLO-pose layout, with the ground truth in ``truth.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from lidloop.data.formats.yolo import format_lines
from lidloop.errors import SourceError
from lidloop.files import folder_atomic, write_atomic
from lidloop.landmarks import FLIP, N_POINTS
from lidloop.machine import cpus
from lidloop.synthetic.scene import draw_picture
from lidloop.synthetic.truth import FaceTruth, SceneOptions

TRUTH = "truth.json"


@dataclass(frozen=True, eq=False)
class TruthImage:
    """All faces of one picture of a folder; ``hidden`` marks those whose label was withheld.

    Attributes:
        name: file name without its ending; the picture is ``images/SPLIT/NAME.jpg``.
        faces: every drawn face; the label file holds those not hidden, in this order.
    """

    name: str
    split: str
    width: int
    height: int
    faces: tuple[FaceTruth, ...]
    hidden: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """Content of a folder's ``truth.json``."""

    seed: int
    hide: float
    images: tuple[TruthImage, ...]

    @property
    def faces(self) -> int:
        return sum(len(image.faces) for image in self.images)

    @property
    def hidden(self) -> int:
        return sum(sum(image.hidden) for image in self.images)


def _draw_to(path: Path, seed: int, size: tuple[int, int], options: SceneOptions) -> list[dict[str, Any]]:
    """Draw one picture into a JPEG file and return its faces' truth."""
    picture = draw_picture(seed=seed, size=size, options=options)
    done, data = cv2.imencode(
        ".jpg", picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, picture.jpeg_quality]
    )
    if not done:
        raise SourceError(f"OpenCV could not encode {path.name} as JPEG")
    path.write_bytes(data.tobytes())
    return [face.to_json() for face in picture.faces]


def _draw_all(
    paths: list[Path], seeds: list[int], size: tuple[int, int], options: SceneOptions, workers: int
) -> Iterator[list[dict[str, Any]]]:
    if workers <= 1:
        for path, seed in zip(paths, seeds, strict=True):
            yield _draw_to(path, seed, size, options)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_draw_to, paths, seeds, repeat(size), repeat(options), chunksize=8)


def write_faces_folder(
    out: Path,
    *,
    images: int,
    seed: int,
    hide: float = 0.0,
    size: tuple[int, int] = (480, 360),
    options: SceneOptions | None = None,
    val_fraction: float = 0.2,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> Path:
    """Write a YOLO-pose folder of drawn pictures, whole or not at all.

    The same arguments give the same bytes.

    Layout: ``images/{train,val}/NAME.jpg``, ``labels/{train,val}/NAME.txt``, ``data.yaml`` and
    ``truth.json`` with every face. ``round(hide * faces)`` faces, drawn evenly from all splits, have no
    line in their label file; a file may be left empty.

    Args:
        out: folder to write: a new one, or an empty one.
        seed: folders of different seeds share no picture.
        hide: share of faces whose label is withheld.
        val_fraction: share of pictures in the split ``val``.
        progress: called with (pictures done, all pictures).
        workers: processes; by default one per core for a hundred pictures or more. As they are spawned,
            a script that asks for several needs the usual ``if __name__ == "__main__"`` guard.

    Raises:
        ValueError: for a share outside 0…1, or fewer than one picture.
        OccupiedError: where ``out`` is a file or a folder that is not empty.
    """
    if images < 1 or not 0 <= hide <= 1 or not 0 <= val_fraction <= 1:
        raise ValueError(f"images={images}, hide={hide}, val_fraction={val_fraction}: out of range")
    options = options or SceneOptions()
    if workers is None:
        workers = cpus() if images >= 100 else 1
    rng = np.random.default_rng([20240407, seed])
    val = set(rng.permutation(images)[: round(val_fraction * images)].tolist())
    names = [f"face_{seed}_{k:06d}" for k in range(images)]
    splits = ["val" if k in val else "train" for k in range(images)]
    seeds = [(seed << 32) + k for k in range(images)]
    with folder_atomic(out) as folder:
        for kind in ("images", "labels"):
            for split in ("train", "val"):
                (folder / kind / split).mkdir(parents=True)
        paths = [folder / "images" / s / f"{n}.jpg" for s, n in zip(splits, names, strict=True)]
        drawn: list[list[dict[str, Any]]] = []
        for faces in _draw_all(paths, seeds, size, options, workers):
            drawn.append(faces)
            if progress:
                progress(len(drawn), images)
        counts = [len(faces) for faces in drawn]
        total = sum(counts)
        hidden = np.zeros(total, dtype=bool)
        hidden[rng.permutation(total)[: round(hide * total)]] = True
        entries = []
        first = 0
        for name, split, faces in zip(names, splits, drawn, strict=True):
            flags = hidden[first : first + len(faces)].tolist()
            first += len(faces)
            labels = [FaceTruth.from_json(f).face() for f, h in zip(faces, flags, strict=True) if not h]
            (folder / "labels" / split / f"{name}.txt").write_text(format_lines(labels, *size))
            entries.append(
                {
                    "name": name, "split": split, "width": size[0], "height": size[1],
                    "faces": [face | {"hidden": h} for face, h in zip(faces, flags, strict=True)],
                }
            )  # fmt: skip
        truth = {"seed": seed, "hide": hide, "options": asdict(options), "images": entries}
        write_atomic(folder / TRUTH, json.dumps(truth, separators=(",", ":")))
        data = {
            "train": "images/train",
            "val": "images/val",
            "kpt_shape": [N_POINTS, 3],
            "flip_idx": list(FLIP),
            "names": {0: "face"},
        }
        write_atomic(folder / "data.yaml", yaml.safe_dump(data, sort_keys=False, default_flow_style=None))
    return out


def read_truth(folder: Path) -> Truth:
    """Read the truth of a folder that ``write_faces_folder`` wrote.

    Raises:
        SourceError: when ``truth.json`` is missing or not readable as such.
    """
    path = folder / TRUTH
    try:
        value = json.loads(path.read_text())
        images = tuple(
            TruthImage(
                image["name"],
                image["split"],
                image["width"],
                image["height"],
                tuple(FaceTruth.from_json(face) for face in image["faces"]),
                tuple(bool(face["hidden"]) for face in image["faces"]),
            )
            for image in value["images"]
        )
        return Truth(value["seed"], value["hide"], images)
    except FileNotFoundError:
        raise SourceError(
            f"{path}: no such file; a folder of drawn faces has its ground truth there"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path}: not the ground truth of drawn faces ({error!r})") from error

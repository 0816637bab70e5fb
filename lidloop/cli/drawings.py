"""Files of ``--draw``: one per image, under names that collide with nothing, and marked as lidloop's own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.errors import LidloopError, OccupiedError, doing
from lidloop.files import refuse_foreign_file, write_atomic

_AFTER_IHDR: Final = 33  # bytes of a PNG's signature and first chunk
_MARK: Final = b"tEXtSoftware\0lidloop"


def plan_drawings(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Name the drawing of each image, ``folder/STEM.png``, and check that all may be written.

    Images of one name in different folders get ``STEM-2.png`` and so on; upper and lower case count as the
    same name, as some file systems have it.

    Args:
        folder: folder for the drawings; it may hold earlier drawings, which are replaced.
        images: the images, in order.

    Returns:
        One path for each image, all different.

    Raises:
        OccupiedError: where a path is an image of the call, or a file that is not a drawing of lidloop.
    """
    if folder.exists() and not folder.is_dir():
        raise OccupiedError(f"--draw: {folder} is a file; give a folder")
    taken: set[str] = set()
    paths = []
    for image in images:
        stem, number = image.stem or "image", 1
        while (name := f"{stem}.png" if number == 1 else f"{stem}-{number}.png").casefold() in taken:
            number += 1
        taken.add(name.casefold())
        paths.append(folder / name)
    inputs = {_identity(image) for image in images}
    for path in paths:
        if path.exists() and _identity(path) in inputs:
            raise OccupiedError(f"--draw would replace {path}, one of the images; give another folder")
        with doing(f"write the drawing {path}"):
            refuse_foreign_file(path, lambda head: _MARK in head[:256], what="a drawing")
    return paths


def save_drawing(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a drawing as PNG with a mark of its origin.

    Args:
        path: one of ``plan_drawings``.
        pixels: (h, w, 3) RGB.

    Raises:
        LidloopError: where it cannot be encoded or written.
    """
    done, encoded = cv2.imencode(".png", pixels[..., ::-1])
    if not done:
        raise LidloopError(f"the drawing {path} cannot be encoded as PNG")
    png = encoded.tobytes()
    mark = (len(_MARK) - 4).to_bytes(4, "big") + _MARK + zlib.crc32(_MARK).to_bytes(4, "big")
    with doing(f"write the drawing {path}"):
        write_atomic(path, png[:_AFTER_IHDR] + mark + png[_AFTER_IHDR:])


def _identity(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return path
    return found.st_dev, found.st_ino

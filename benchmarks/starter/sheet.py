"""Sheets of pictures with all finds, for counting those that are no face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.starter.measure import SHEET_PICTURES, Measured, spread, unlabelled_finds
from lidloop.images import read_rgb

_TILE = 300
_COLUMNS, _ROWS = 5, 4
_LABELLED, _OTHER = (0, 200, 145), (255, 60, 40)


def write_sheets(
    measured: Measured, out: Path, *, score: float, pictures: int = SHEET_PICTURES
) -> list[Path]:
    """Write PNG sheets of pictures spread evenly over the sources; return their paths.

    Finds that match a label are framed in green, the others in red with a number that runs through all
    sheets. The sheets show people: keep them out of repositories and reports.
    """
    out.mkdir(parents=True, exist_ok=True)
    other = unlabelled_finds(measured.found, measured.truth, score=score)
    chosen = spread(sorted(measured.records, key=lambda r: (r.source, r.id)), pictures)
    paths, count, per_page = [], 0, _COLUMNS * _ROWS
    for page, first in enumerate(range(0, len(chosen), per_page), start=1):
        sheet = np.full((_ROWS * _TILE, _COLUMNS * _TILE, 3), 255, np.uint8)
        for place, record in enumerate(chosen[first : first + per_page]):
            image = read_rgb(measured.dataset.path(record.id))
            unlabelled = {tuple(face.box) for face in other.of(record.id)}
            found = [face for face in measured.found.of(record.id) if face.score >= score]
            gain = _TILE / max(image.shape[:2])
            tile = _scaled(image, gain)
            for face in found:
                box = face.box * gain
                red = tuple(face.box) in unlabelled
                count += red
                _frame(tile, box, _OTHER if red else _LABELLED, f"{count} {face.score:.2f}" if red else "")
            y, x = place // _COLUMNS * _TILE, place % _COLUMNS * _TILE
            sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        path = out / f"sheet-{page}.png"
        cv2.imwrite(str(path), sheet[..., ::-1])
        paths.append(path)
    return paths


def _scaled(image: NDArray[np.uint8], gain: float) -> NDArray[np.uint8]:
    size = (max(int(image.shape[1] * gain), 1), max(int(image.shape[0] * gain), 1))
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _frame(
    tile: NDArray[np.uint8], box: NDArray[np.float64], colour: tuple[int, int, int], text: str
) -> None:
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    cv2.rectangle(tile, (x1, y1), (x2, y2), colour, 1)
    if text:
        cv2.putText(
            tile, text, (max(x1, 0), max(y1 - 2, 9)), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA
        )

"""Image of grown labels for the README, from a run on drawn faces: ``python -m benchmarks.picture RUN``.

Top: the given labels. Bottom: the same pictures with the labels that the loop grew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from benchmarks.common import DOCS, IMAGES
from lidloop import drawing
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.files import write_atomic
from lidloop.images import read_rgb
from lidloop.labels import HUMAN
from lidloop.report.data import read_json

_WIDTH, _HEIGHT = 360, 270


def compose(dataset: Dataset, labels: LabelVersion, *, columns: int = 4) -> drawing.Image:
    """Draw the pictures with most grown labels: given labels at the top, all labels at the bottom."""
    faces = labels.labels(dataset)
    grown = np.bincount(faces.image[faces.origin != HUMAN], minlength=len(faces.images))
    given = np.bincount(faces.image[faces.origin == HUMAN], minlength=len(faces.images))
    order = np.lexsort((np.arange(len(grown)), -grown * (given > 0)))
    tiles: tuple[list[drawing.Image], list[drawing.Image]] = ([], [])
    for name in (faces.images[k] for k in order[:columns]):
        crop = drawing.fit(read_rgb(dataset.path(name)), size=_WIDTH)
        shown = [crop.face(face) for face in faces.of(name)]
        for row, some in zip(tiles, ([f for f in shown if f.origin == HUMAN], shown), strict=True):
            row.append(_framed(drawing.draw_faces(crop.image, some)))
    return np.vstack([np.hstack(row) for row in tiles])


def _framed(image: drawing.Image) -> drawing.Image:
    tile = np.full((_HEIGHT + 4, _WIDTH + 4, 3), 255, dtype=np.uint8)
    image = image[:_HEIGHT, :_WIDTH]
    tile[2 : 2 + image.shape[0], 2 : 2 + image.shape[1]] = image
    return tile


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a run on drawn faces.")] = Path("runs/demo"),
    out: Annotated[Path, typer.Option(help="File to write.")] = DOCS / IMAGES / "picture.jpg",
) -> None:
    """Write the image of the README."""
    paths = read_json(run / "summary.json", "summary")["paths"]
    image = compose(Dataset.open(run / paths["dataset"]), LabelVersion.open(run / paths["labels"]))
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    write_atomic(out, encoded.tobytes())
    typer.echo(out)


if __name__ == "__main__":
    typer.run(main)

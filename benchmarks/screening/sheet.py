"""A sheet of photographed eyes before and after their lid was lowered, to look at.

    python -m benchmarks.screening.sheet FOLDER --out sheet.jpg

The sheet shows real faces: keep it out of the repository. Each pair has the picture as it was above, and
below it the same with the lid of the named side lowered by the named millimetres.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.screening.lowering import canthal_px_per_mm, lower_lids
from benchmarks.screening.people import Person, is_target, people_of, sampled, sharpest_eye
from lidloop.errors import LidloopError
from lidloop.files import write_atomic
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE
from lidloop.screening.measurements import Side

MILLIMETRES: Final = (1.0, 1.5, 2.0, 3.0)
_WIDTH: Final = 420


def pair(person: Person, by_mm: dict[Side, float]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crop both eyes of a face before and after; both enlarged to the same width.

    Raises:
        LidloopError: if an eye is not open far enough.
    """
    image = person.read()
    per_mm = canthal_px_per_mm(person.points)
    after = lower_lids(image, person.points, {side: mm * per_mm for side, mm in by_mm.items()}).image
    ends = person.points[[LEFT_EYE.outer, RIGHT_EYE.outer], :2]
    middle, canthal = ends.mean(axis=0), person.canthal_px
    low = np.clip(middle - (0.62 * canthal, 0.3 * canthal), 0, None).astype(int)
    high = np.add(middle, (0.62 * canthal, 0.22 * canthal)).astype(int)
    crops = [picture[low[1] : high[1], low[0] : high[0]] for picture in (image, after)]
    size = (_WIDTH, max(1, round(_WIDTH * crops[0].shape[0] / crops[0].shape[1])))
    before, later = (np.asarray(cv2.resize(c, size, interpolation=cv2.INTER_CUBIC), np.uint8) for c in crops)
    return before, later


def sheet(people: list[Person], *, count: int, seed: int, columns: int = 5) -> Image.Image:
    """Draw pairs of ``count`` people that are large, frontal and sharp: one side, the other, both in turn."""
    sides: tuple[tuple[Side, ...], ...] = (("OD",), ("OS",), ("OD", "OS"))
    tiles = []
    for person in sampled(people, None, seed):
        if not is_target(person.points, sharpest_eye(person.read(), person.points)):
            continue
        which, mm = sides[len(tiles) % 3], MILLIMETRES[len(tiles) % len(MILLIMETRES)]
        try:
            before, after = pair(person, dict.fromkeys(which, mm))
        except LidloopError:
            continue
        tile = Image.fromarray(np.vstack([before, after]))
        ImageDraw.Draw(tile).text((4, 2), f"{len(tiles) + 1}: {' and '.join(which)} {mm:g} mm", fill="yellow")
        tiles.append(tile)
        if len(tiles) == count:
            break
    height = max((tile.height for tile in tiles), default=1)
    rows = -(-len(tiles) // columns)
    whole = Image.new("RGB", (columns * (_WIDTH + 6), max(rows, 1) * (height + 6)), "white")
    for k, tile in enumerate(tiles):
        whole.paste(tile, (k % columns * (_WIDTH + 6), k // columns * (height + 6)))
    return whole


def main(
    folder: Annotated[Path, typer.Argument(help="Pictures with .pts files, such as 300W.")],
    out: Annotated[Path, typer.Option(help="JPEG to write, outside the repository: it shows real faces.")],
    count: Annotated[int, typer.Option(help="Pairs on the sheet.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 11,
) -> None:
    """Write a sheet of eyes before and after their lid was lowered."""
    content = sheet(people_of(folder), count=count, seed=seed)
    encoded = cv2.imencode(".jpg", np.asarray(content)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    write_atomic(out, encoded.tobytes())
    typer.echo(out)


if __name__ == "__main__":
    typer.run(main)

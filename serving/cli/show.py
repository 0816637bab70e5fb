"""Print a screening as a table, and draw it on a copy of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from lidloop.detection.detector import Image
from lidloop.drawing import RGB, draw_faces, stroke_for
from lidloop.images import Decoded
from lidloop.labels import Face, Floats
from lidloop.screening.figures import figure
from lidloop.screening.measurements import LENGTHS, NOTICE, SIDES, EyeMeasurement, FaceMeasurement, Length
from lidloop.screening.screen import Screening

LABELS: Final = {
    "pfh": "fissure height, PFH",
    "width": "fissure width",
    "mrd1": "MRD1, upper lid",
    "mrd2": "MRD2, lower lid",
    "brow_lid": "brow to lid",
}
SIDE_LABELS: Final = {"OD": "OD (right eye)", "OS": "OS (left eye)"}
_FLAG_STYLE: Final = {
    "none": "green",
    "suspicious": "yellow",
    "functional": "bold red",
    "undetermined": "cyan",
}
_LID: Final[RGB] = (240, 228, 66)
_PUPIL: Final[RGB] = (204, 121, 167)
_SHIFT: Final = 4
_SCALES: Final = {
    "given": "as given",
    "iris": "from the iris, 11.7 ± 0.5 mm across",
    "outer-canthal": "from the distance between the outer canthi, about 90 mm",
}


def show(console: Console, path: Path, screening: Screening) -> None:
    """Print the result of a picture: a table per face, flag, scale and problems."""
    console.print(
        f"[bold]{escape(str(path))}[/]  {screening.width} x {screening.height} pixels", highlight=False
    )
    for reason in screening.warnings:
        console.print(f"  [yellow]{escape(reason.text)}[/]", highlight=False, soft_wrap=True)
    if screening.empty:
        console.print(f"  {screening.empty}", highlight=False)
        return
    for number, face in enumerate(screening.faces, start=1):
        console.print(
            f"  face {number} of {len(screening.faces)}, score {figure(round(face.face.score, 4), 2)}",
            highlight=False,
        )
        console.print(_table(face))
        _print_notes(console, face)
    console.print(f"[dim]{NOTICE}[/]", highlight=False)


def _table(face: FaceMeasurement) -> Table:
    table = Table(
        Column(no_wrap=True),
        *(SIDE_LABELS[side] for side in SIDES),
        "OD - OS",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name in LENGTHS:
        cells = [_cell(face.eyes[side], name) for side in SIDES]
        difference = face.differences.get(name)
        compared = "" if difference is None else length(difference, signed=True)
        table.add_row(f"  {LABELS[name]}", *cells, compared)
    return table


def _cell(eye: EyeMeasurement, name: str) -> str:
    value = eye.lengths.get(name)
    return "[dim]withheld[/]" if value is None else length(value)


def length(value: Length, *, signed: bool = False) -> str:
    """Format a length: millimetres with their error band, or pixels."""
    if value.mm is None:
        return f"{figure(value.px, signed=signed)} px"
    band = "" if value.mm_error is None else f" ± {figure(value.mm_error)}"
    return f"{figure(value.mm, signed=signed)}{band} mm"


def _print_notes(console: Console, face: FaceMeasurement) -> None:
    style = _FLAG_STYLE[face.flag.level]
    sides = f" ({', '.join(face.flag.sides)})" if face.flag.sides else ""
    lines = [f"flag:     [{style}]{face.flag.level}[/]{sides}"]
    lines += [f"          {escape(reason.text)}" for reason in face.flag.reasons]
    if face.scale is not None:
        error = face.scale.relative_error
        band = f" ± {figure(100 * round(error, 4))} %" if error else ""
        scale = f"{round(face.scale.mm_per_px, 6):#.3g} mm per pixel{band}"
        lines.append(f"scale:    {scale}, {_SCALES[face.scale.method]}")
    lines += [f"picture:  [yellow]{escape(problem.text)}[/]" for problem in face.problems]
    withheld = {
        f"{side} {LABELS[name].split(',')[0]}": reason.text
        for side in SIDES
        for name, reason in face.eyes[side].withheld.items()
    }
    for text in dict.fromkeys(withheld.values()):
        names = ", ".join(name for name, why in withheld.items() if why == text)
        lines.append(f"withheld: {names}: {escape(text)}")
    for line in lines:
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def draw(decoded: Decoded, screening: Screening) -> Image:
    """Draw landmarks, lid margins, pupils and a caption on a copy of an image: (h, w, 3) RGB.

    Args:
        decoded: the image; the result has the size of its pixels.
        screening: its faces, in pixels of the file.
    """
    captions = [_caption(face) for face in screening.faces]
    drawn = [_in_pixels(face.face, decoded) for face in screening.faces]
    canvas = draw_faces(decoded.pixels, drawn, captions=captions)
    for box, face in zip((face.box for face in drawn), screening.faces, strict=True):
        width = stroke_for(float(np.max(box[2:] - box[:2]))).line
        for eye in face.eyes.values():
            for line in (eye.upper_lid, eye.lower_lid):
                points = _fixed(decoded.from_file(line))
                cv2.polylines(canvas, [points], False, _LID, width, cv2.LINE_AA, _SHIFT)
            if eye.pupil is not None:
                radius = (eye.pupil.iris_radius or 0.0) / decoded.factor or 2.0 * width
                (centre,) = _fixed(decoded.from_file(np.array([[eye.pupil.x, eye.pupil.y]])))
                size = round(radius * (1 << _SHIFT))
                cv2.circle(canvas, tuple(map(int, centre)), size, _PUPIL, width, cv2.LINE_AA, _SHIFT)
    return canvas


def _in_pixels(face: Face, decoded: Decoded) -> Face:
    points = np.concatenate([decoded.from_file(face.points[:, :2]), face.points[:, 2:]], axis=1)
    return Face(decoded.from_file(face.box.reshape(2, 2)).ravel(), points, face.origin, face.score)


def _caption(face: FaceMeasurement) -> str:
    heights = [
        f"{side} {length(face.eyes[side].lengths['pfh']).replace(' ± ', '+-')}"
        for side in SIDES
        if "pfh" in face.eyes[side].lengths
    ]
    return "; ".join([*heights, face.flag.level])


def _fixed(points: Floats) -> NDArray[np.int32]:
    """Points in OpenCV's fixed-point format: sixteenths of a pixel."""
    return np.rint(np.clip(points, -30_000, 30_000) * (1 << _SHIFT)).astype(np.int32)

"""A screening for people: a table on the terminal, and a copy of the picture with what was found drawn in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from lidloop.detection.detector import Image
from lidloop.drawing import RGB, draw_faces, stroke_for
from lidloop.labels import Floats
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
    "given": "as you said",
    "iris": "from the iris, 11.7 ± 0.5 mm across",
    "outer-canthal": "from the distance between the outer canthi, about 90 mm",
}


def show(console: Console, path: Path, screening: Screening) -> None:
    """Print what was found in a picture."""
    console.print(
        f"[bold]{escape(str(path))}[/]  {screening.width} x {screening.height} pixels", highlight=False
    )
    for reason in screening.warnings:
        console.print(f"  [yellow]{reason.text}[/]", highlight=False)
    if screening.empty:
        console.print(f"  {screening.empty}", highlight=False)
        return
    for number, face in enumerate(screening.faces, start=1):
        console.print(
            f"  face {number} of {len(screening.faces)}, score {face.face.score:.2f}", highlight=False
        )
        console.print(_table(face))
        _print_words(console, face)
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
    """A length in words: millimetres with their error band, or pixels."""
    sign = "+" if signed else ""
    if value.mm is None:
        return f"{value.px:{sign}.1f} px"
    band = "" if value.mm_error is None else f" ± {value.mm_error:.1f}"
    return f"{value.mm:{sign}.1f}{band} mm"


def _print_words(console: Console, face: FaceMeasurement) -> None:
    style = _FLAG_STYLE[face.flag.level]
    sides = f" ({', '.join(face.flag.sides)})" if face.flag.sides else ""
    lines = [f"flag:     [{style}]{face.flag.level}[/]{sides}"]
    lines += [f"          {escape(reason.text)}" for reason in face.flag.reasons]
    if face.scale is not None:
        error = f"± {face.scale.relative_error:.0%}"
        lines.append(
            f"scale:    {face.scale.mm_per_px:.3f} mm per pixel {error}, {_SCALES[face.scale.method]}"
        )
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


def draw(image: Image, screening: Screening) -> Image:
    """Landmarks, lid margins, pupils and a caption drawn on a copy of a picture: (h, w, 3) RGB."""
    captions = [_caption(face) for face in screening.faces]
    canvas = draw_faces(image, [face.face for face in screening.faces], captions=captions)
    for face in screening.faces:
        width = stroke_for(float(np.max(face.face.box[2:] - face.face.box[:2]))).line
        for eye in face.eyes.values():
            for line in (eye.upper_lid, eye.lower_lid):
                cv2.polylines(canvas, [_fixed(line)], False, _LID, width, cv2.LINE_AA, _SHIFT)
            if eye.pupil is not None:
                radius = eye.pupil.iris_radius or 2.0 * width
                (centre,) = _fixed(np.array([[eye.pupil.x, eye.pupil.y]]))
                size = round(radius * (1 << _SHIFT))
                cv2.circle(canvas, tuple(map(int, centre)), size, _PUPIL, width, cv2.LINE_AA, _SHIFT)
    return canvas


def _caption(face: FaceMeasurement) -> str:
    heights = [
        f"{side} {length(face.eyes[side].lengths['pfh']).replace(' ± ', '+-')}"
        for side in SIDES
        if "pfh" in face.eyes[side].lengths
    ]
    return "; ".join([*heights, face.flag.level])


def _fixed(points: Floats) -> np.ndarray:
    """OpenCV's fixed point: sixteenths of a pixel."""
    return np.rint(np.clip(points, -30_000, 30_000) * (1 << _SHIFT)).astype(np.int32)

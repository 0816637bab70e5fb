"""``lidloop detect``: faces and landmarks of single images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lidloop.cli.console import say
from lidloop.cli.options import AsJson, OptionalModel, OptionalRegistry, model_folder
from lidloop.cli.paths import path
from lidloop.errors import LidloopError

if TYPE_CHECKING:
    from lidloop.labels import Face


def detect(
    image: Annotated[list[Path], typer.Argument(parser=path, help="Images: JPEG or PNG.")],
    model: OptionalModel = None,
    registry: OptionalRegistry = None,
    conf: Annotated[float, typer.Option(min=0, max=1, help="Smallest confidence of a face.")] = 0.25,
    draw: Annotated[
        Path | None, typer.Option(parser=path, help="Folder for copies with the landmarks drawn in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find faces and their 51 landmarks in images.

    Example: lidloop detect photo.jpg --draw out/
    """
    from lidloop.cli.drawings import plan_drawings, save_drawing
    from lidloop.detection.detector import load_detector
    from lidloop.drawing import draw_faces
    from lidloop.images import read_rgb

    drawings = plan_drawings(draw, image) if draw else []
    answers: list[dict[str, Any]] = []
    failed = 0
    with model_folder(model or "", registry or "") as folder:
        detector = load_detector(folder)
    for number, file in enumerate(image):
        try:
            pixels = read_rgb(file)
        except LidloopError as error:
            failed += 1
            answers.append({"image": str(file), "error": str(error)})
            say(f"{file}: {error}", err=True)
            continue
        faces = detector.detect([pixels], conf=conf)[0]
        answers.append({"image": str(file), "faces": _as_json(faces)})
        if draw:
            captions = [f"{face.score:.2f}" for face in faces]
            save_drawing(drawings[number], draw_faces(pixels, faces, captions=captions))
        if not as_json:
            scores = ", ".join(f"{face.score:.2f}" for face in faces)
            say(f"{file}: {len(faces)} face{'s' * (len(faces) != 1)}" + (f" ({scores})" if faces else ""))
    if as_json:
        typer.echo(json.dumps(answers, indent=1))
    if failed:
        raise typer.Exit(1)


def _as_json(faces: Sequence[Face]) -> list[dict[str, Any]]:
    """Faces with score, box (x1, y1, x2, y2) and landmarks by name, in pixels of the upright image."""
    from lidloop.landmarks import NAMES

    return [
        {
            "score": round(face.score, 4),
            "box": [round(float(v), 2) for v in face.box],
            "landmarks": {
                name: [round(float(x), 2), round(float(y), 2)]
                for name, (x, y, _) in zip(NAMES, face.points, strict=True)
            },
        }
        for face in faces
    ]

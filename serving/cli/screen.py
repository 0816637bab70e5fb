"""``lidloop screen``: screen pictures without a server, with the same code as over HTTP."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from lidloop.cli.console import console, say
from lidloop.cli.paths import path as local_path
from lidloop.errors import LidloopError
from lidloop.screening.thresholds import THRESHOLDS
from serving.cli.model import model_option, registry_option, say_if_starter
from serving.settings import Settings


def screen(
    photo: Annotated[
        list[Path], typer.Argument(parser=local_path, help="Photographs: JPEG, PNG, HEIC or DICOM.")
    ],
    model: Annotated[
        str | None,
        model_option("champion; starter where there is no registry"),
    ] = None,
    registry: Annotated[str | None, registry_option()] = None,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="The picture is mirrored, as by a selfie camera.")
    ] = False,
    mm_per_px: Annotated[
        float | None, typer.Option(help="Millimetres per pixel at the face, if known.")
    ] = None,
    pupil: Annotated[
        list[str],
        typer.Option(metavar="OD=X,Y", help="Centre of a pupil in pixels, if known. Repeatable."),
    ] = [],  # noqa: B006 - typer reads it
    max_faces: Annotated[
        int, typer.Option(help="Largest number of faces; those with the highest scores are kept.")
    ] = 10,
    threshold: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=MM",
            help="Threshold of the flag in mm. Repeatable. "
            + "; ".join(f"{entry.name} ({entry.default:g}): {entry.text}" for entry in THRESHOLDS.values()),
            show_default="the settings LIDLOOP_…",
        ),
    ] = [],  # noqa: B006 - typer reads it
    draw: Annotated[
        Path | None,
        typer.Option(parser=local_path, help="Folder for copies with landmarks, lids and pupils drawn in."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list with an entry per picture.")
    ] = False,
    as_fhir: Annotated[
        bool, typer.Option("--fhir", help="Print a FHIR R4B Bundle per picture, one per line.")
    ] = False,
    transaction: Annotated[
        bool,
        typer.Option("--transaction", help="With --fhir: transaction Bundles, which a FHIR server stores."),
    ] = False,
    secondary_capture: Annotated[
        bool | None,
        typer.Option(
            "--secondary-capture",
            help="Accept DICOM Secondary Capture and JPEG Lossless as well.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure eyelids in photographs and flag signs of ptosis. A flag is not a diagnosis.

    Sides are the patient's: OD is the right eye, OS the left. Millimetres come with their error band; they
    need a scale: a given one (--mm-per-px), the iris, or, least exact, the distance between the eyes.

    [bold]Examples[/bold]

    With the starter weights, which come with lidloop:

    $ lidloop screen photo.jpg

    With the champion of a run:

    $ lidloop screen photo.jpg --registry runs/demo/registry

    $ lidloop screen selfie.jpg --mirrored --draw out/

    $ lidloop screen photo.jpg --mm-per-px 0.21 --pupil OD=412,300 --pupil OS=523,302 --json
    """
    from lidloop.cli.drawings import plan_drawings, save_drawing
    from lidloop.images import read_bytes
    from lidloop.screening.screen import screen as compute
    from lidloop.web.problems import Problem
    from serving import intake
    from serving.cli.show import draw as drawn
    from serving.cli.show import show
    from serving.model import load
    from serving.screen import FHIR, Asked, picture, render
    from serving.screening_answer import to_json

    if as_json and as_fhir:
        raise LidloopError("--json and --fhir cannot be given together")
    if transaction and not as_fhir:
        raise LidloopError("--transaction needs --fhir")
    settings = Settings.read(os.environ, model=model, registry=registry, secondary_capture=secondary_capture)
    given = {"mirrored": str(mirrored).lower(), "max_faces": str(max_faces)}
    given |= {} if mm_per_px is None else {"mm_per_px": str(mm_per_px)}
    given |= {"pupils": json.dumps(_pupils(pupil))} if pupil else {}
    given |= _thresholds(threshold)
    with _command_line_errors():
        options = intake.options(given, settings)
    drawings = plan_drawings(draw, photo) if draw else []
    say_if_starter(settings)
    served = load(settings)
    screen_console, answers, failed = console(markup=True), [], 0
    for number, path in enumerate(photo):
        try:
            file = read_bytes(path)
            image, dicom, known = picture(file, options, settings)
            screening = compute(image, served.detector, served.info, known)
            intake.check_sides(screening, known)
        except (Problem, LidloopError) as error:
            say(f"{path}: {error}", err=True)
            failed += 1
            continue
        if draw:
            save_drawing(drawings[number], drawn(image, screening))
        if as_fhir:
            asked = Asked(file, known, None, FHIR, "transaction" if transaction else "collection")
            typer.echo(render(screening, dicom, asked, str(uuid.uuid4())).decode())
        elif as_json:
            answers.append({"file": str(path), **to_json(screening)})
        else:
            show(screen_console, path, screening)
    if as_json:
        typer.echo(json.dumps(answers, indent=1))
    if failed:
        raise typer.Exit(1)


def _pupils(given: list[str]) -> dict[str, Any]:
    """Convert ``OD=X,Y`` to the request parameter ``pupils``, which is validated later."""
    pupils: dict[str, Any] = {}
    for text in given:
        side, _, point = text.partition("=")
        try:
            pupils[side.strip().upper()] = [float(value) for value in point.split(",")]
        except ValueError:
            pupils[side] = point
    return pupils


def _thresholds(given: list[str]) -> dict[str, str]:
    """Convert ``NAME=MM`` to request parameters, whose values are validated later."""
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        name = name.strip().lower().replace("-", "_")
        if name not in THRESHOLDS:
            raise LidloopError(
                f"--threshold {text}: there is no such threshold; there are {', '.join(THRESHOLDS)}"
            )
        found[name] = value
    return found


@contextmanager
def _command_line_errors() -> Iterator[None]:
    """Convert problems of parameters to errors of the command line."""
    from lidloop.web.problems import Problem

    try:
        yield
    except Problem as problem:
        raise LidloopError(problem.detail) from None

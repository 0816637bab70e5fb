"""``lidloop demo``: the whole loop on drawn faces."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import path
from lidloop.errors import LidloopError, doing
from lidloop.starter.choose import STARTER
from pipelines.cli.options import option
from pipelines.local.follow import follow
from pipelines.settings import RunSettings


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=path,
            metavar="DIR",
            help="Folder of the run; the faces are written beside it.",
        ),
    ] = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=20, help="Number of pictures to draw.")] = 160,
    hide: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the labels that are hidden.")] = 0.3,
    iterations: Annotated[int, option("iterations")] = 3,
    epochs: Annotated[int, option("epochs")] = 2,
    imgsz: Annotated[int, option("imgsz")] = 256,
    seed: Annotated[int, option("seed", after=" It also draws the faces.")] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the run in the folder and start anew.")
    ] = False,
    photo: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="A photograph that the starter weights screen at the end.",
        ),
    ] = None,
) -> None:
    """Run the loop on drawn faces: hide some of the labels, and let the model find them again.

    Starts from weights trained on other drawn faces, needs no network and no GPU, and takes a few minutes.
    The report says how many of the hidden faces were found, and how many grown labels are right.
    At the end the starter weights screen a drawn patient, and a photograph if one is given.
    """
    from lidloop.demo import demo_weights
    from lidloop.synthetic import write_faces_folder

    faces = out.with_name(f"{out.name}-faces") / f"{images}-pictures-{hide:g}-hidden-seed-{seed}"
    if photo and not photo.is_file():
        raise LidloopError(f"there is no photograph at {photo}")
    with doing(f"run in {out}"):
        out.mkdir(parents=True, exist_ok=True)  # fails before the faces are drawn
    if not (faces / "truth.json").exists():
        say(f"drawing {images} pictures and hiding {hide:.0%} of the labels")
        with doing(f"write the faces {faces}"):
            write_faces_folder(faces, images=images, seed=seed, hide=hide)
    settings = RunSettings(
        sources=(f"yolo:{faces}",), base_weights=str(demo_weights()), iterations=iterations, epochs=epochs,
        imgsz=imgsz, seed=seed, device="cpu", keep_splits=True, min_growth=0.0, max_loss=0.5,
        truth=str(faces / "truth.json"),
    )  # fmt: skip
    result = follow(settings, out=out, fresh=fresh)
    hidden = result.summary["hidden_truth"]
    say(
        f"hidden:   {hidden['recovered']} of {hidden['hidden']} hidden faces found again; "
        f"{hidden['grown_correct']} of {hidden['grown']} grown labels are right"
    )
    program = shlex.quote(os.path.relpath(sys.argv[0]))
    registry = ["--registry", result.registry]
    picture = str(_largest_face(faces))
    pictures = [picture, *([str(photo)] if photo else [])]
    say(f"the starter weights screen a drawn patient{' and the photograph' if photo else ''}:")
    screened = subprocess.run(
        [
            sys.executable,
            "-m",
            "lidloop.cli",
            "screen",
            *pictures,
            "--model",
            STARTER,
            "--draw",
            str(out / "drawn"),
        ],
        check=False,
    )
    for what, command in (
        ("serve it", ["serve", *registry]),
        ("screen", ["screen", picture, *registry, "--draw", str(out / "drawn")]),
    ):
        say(f"{what + ':':<9} {program} {shlex.join(command)}")
    if screened.returncode:
        raise LidloopError("a picture could not be screened with the starter weights; the reason is above")


def _largest_face(faces: Path) -> Path:
    """Validation picture with the largest labelled face: lids of a small one cannot be measured."""

    def size(label: Path) -> float:
        boxes = (line.split(maxsplit=5)[3:5] for line in label.read_text().splitlines())
        return max((float(width) * float(height) for width, height in boxes), default=0.0)

    label = max(sorted((faces / "labels" / "val").glob("*.txt")), key=size)
    return faces / "images" / "val" / f"{label.stem}.jpg"

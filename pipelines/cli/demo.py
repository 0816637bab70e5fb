"""``lidloop demo``: the whole loop on faces that it draws itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import option
from pipelines.local.follow import follow
from pipelines.settings import RunSettings


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The run's folder; the faces lie beside it.")
    ] = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=20, help="Pictures to draw.")] = 160,
    hide: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the labels to hide.")] = 0.3,
    iterations: Annotated[int, option("iterations")] = 3,
    epochs: Annotated[int, option("epochs")] = 2,
    imgsz: Annotated[int, option("imgsz")] = 256,
    seed: Annotated[int, option("seed", after=" It also draws the faces.")] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the run in the folder and start anew.")
    ] = False,
) -> None:
    """See the loop work: draw faces, hide some labels, and let the model find them again.

    It starts from weights trained on other drawn faces, needs no network and no GPU, and takes a few minutes.
    The report says how many of the hidden faces were found, and how many of the found ones are right.
    """
    from lidloop.demo import demo_weights
    from lidloop.synthetic import write_faces_folder

    faces = out.with_name(f"{out.name}-faces") / f"{images}-pictures-{hide:g}-hidden-seed-{seed}"
    if not (faces / "truth.json").exists():
        typer.echo(f"drawing {images} pictures, and hiding {hide:.0%} of the labels")
        write_faces_folder(faces, images=images, seed=seed, hide=hide)
    settings = RunSettings(
        sources=(f"yolo:{faces}",), base_weights=str(demo_weights()), iterations=iterations, epochs=epochs,
        imgsz=imgsz, seed=seed, device="cpu", keep_splits=True, min_growth=0.0, max_loss=0.5,
        truth=str(faces / "truth.json"),
    )  # fmt: skip
    result = follow(settings, out=out, fresh=fresh)
    hidden = result.summary["hidden_truth"]
    console = Console()
    console.print(
        f"hidden:   {hidden['recovered']} of {hidden['hidden']} hidden faces found again; "
        f"{hidden['grown_correct']} of {hidden['grown']} grown labels are right",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    program = os.path.relpath(sys.argv[0])
    for what, command in (
        ("serve it", f"serve --registry {result.registry}"),
        ("screen", f"screen {_largest_face(faces)} --registry {result.registry} --draw {out}/drawn"),
    ):
        console.print(f"{what + ':':<9} {program} {command}", highlight=False, soft_wrap=True)


def _largest_face(faces: Path) -> Path:
    """The validation picture with the largest labelled face: lids of a small one cannot be measured."""

    def size(label: Path) -> float:
        boxes = (line.split(maxsplit=5)[3:5] for line in label.read_text().splitlines())
        return max((float(width) * float(height) for width, height in boxes), default=0.0)

    label = max(sorted((faces / "labels" / "val").glob("*.txt")), key=size)
    return faces / "images" / "val" / f"{label.stem}.jpg"

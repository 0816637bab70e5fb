"""``lidloop synthesize``: drawn faces with exact landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.console import progress, say
from lidloop.cli.paths import path
from lidloop.errors import doing


def synthesize(
    out: Annotated[
        Path,
        typer.Argument(parser=path, help="Folder to write, empty or new: images, labels and truth.json."),
    ],
    images: Annotated[int, typer.Option(min=1, help="Number of images.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    hide: Annotated[float, typer.Option(min=0, max=1, help="Share of faces without a label.")] = 0.0,
) -> None:
    """Draw faces with exact landmarks, pupils and lid heights, and hide some of the labels.

    The folder is a source for `lidloop run --source yolo:FOLDER`.
    """
    from lidloop.synthetic import write_faces_folder

    with doing(f"write the drawn faces {out}"), progress("images") as update:
        say(write_faces_folder(out, images=images, seed=seed, hide=hide, progress=update))

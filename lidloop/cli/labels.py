"""``lidloop labels``: label versions for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import path
from lidloop.errors import doing

labels_app = typer.Typer(name="labels", no_args_is_help=True, help="Label versions of a run for other tools.")


@labels_app.command("export")
def export_labels(
    run: Annotated[Path, typer.Argument(parser=path, help="Folder of a finished run: its --out.")],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to write, new or empty.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Folder of another label version of the run.", show_default="the newest"
        ),
    ] = None,
) -> None:
    """Write labels and images as the YOLO pose folder that other tools read.

    The newest label version of the run is taken, a reviewed one too. Label lines are the bytes of the
    version, and [bold]lidloop run --source yolo:DIR[/bold] reads the folder again.

    Example: lidloop labels export runs/mine -o runs/mine-yolo
    """
    from lidloop.cli.review import open_run
    from lidloop.data.dataset import LabelVersion
    from lidloop.data.export import export_yolo

    dataset, newest, _ = open_run(run)
    version = newest if labels is None else LabelVersion.open(labels)
    with doing(f"write {out}"):
        labelled = export_yolo(dataset, version, out)
    say(f"label version {version.version} of {labelled} labelled images: {out}")

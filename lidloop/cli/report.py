"""``lidloop report``: the report of a finished run, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import path
from lidloop.errors import doing


def report(
    run: Annotated[Path, typer.Argument(parser=path, help="Folder of a finished run: its --out.")],
) -> None:
    """Write report.html and summary.json of a run again, from its label versions and evaluations."""
    from lidloop.report.write import regenerate

    with doing(f"write the report of {run}"):
        say(regenerate(run))

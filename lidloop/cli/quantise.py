"""``lidloop quantise``: an INT8 variant of a model, kept only where it is as good on gold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.console import say
from lidloop.cli.options import AsJson, Model, model_folder
from lidloop.cli.paths import optional_place, path
from lidloop.errors import doing


def quantise(
    run: Annotated[
        Path, typer.Argument(parser=path, help="Folder of the run that trained the model: its --out.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=path, help="Folder for the new bundle, empty or new.")
    ],
    model: Model = "champion",
    registry: Annotated[
        str,
        typer.Option(
            parser=optional_place,
            metavar="DIR|URI",
            help="Registry of --model.",
            show_default="that of the run",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Try a model in INT8, and accept that only if it is as good on gold.

    Training images of the run calibrate. INT8 is accepted where it loses no recall and neither gold NME nor
    lid-opening error becomes more than 2 % worse. The new bundle says what was tried and what runs. Where
    INT8 was rejected it runs as the old one did, and the command exits with 1 and the reasons.

    Example: lidloop quantise runs/mine -o runs/mine-int8
    """
    from lidloop.data.dataset import Dataset, LabelVersion
    from lidloop.files import require_free
    from lidloop.models.bundle import Bundle
    from lidloop.report.data import read_summary, run_paths
    from lidloop.training.quantise import quantise as make

    require_free(out)
    paths = run_paths(run, read_summary(run))
    dataset, labels = Dataset.open(paths.dataset), LabelVersion.open(paths.labels)
    with model_folder(model, registry or str(run / "registry")) as folder, doing(f"write the bundle {out}"):
        made = make(Bundle.open(folder), dataset, labels, out)
    tried = made.info["variants"]["int8"]
    if as_json:
        typer.echo(json.dumps(tried, indent=1))
    else:
        say(f"INT8 was {'accepted' if tried['accepted'] else 'rejected'}: {out}")
        for line in tried["reasons"]:
            say(f"  {line}")
    if not tried["accepted"]:
        raise typer.Exit(1)

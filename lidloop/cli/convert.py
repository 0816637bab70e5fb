"""``lidloop convert``: annotations of any format become one dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.console import progress, say
from lidloop.cli.options import AsJson, Sources
from lidloop.cli.paths import path
from lidloop.errors import doing


def convert(
    source: Sources,
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=path, help="Folder for dataset/ and labels-v0/.")
    ],
    split: Annotated[float, typer.Option(min=0, max=1, help="Share of the images for training.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    keep_splits: Annotated[bool, typer.Option("--keep-splits", help="Keep the splits sources give.")] = False,
    as_json: AsJson = False,
) -> None:
    """Convert annotations of any mix of formats to one dataset with label version 0.

    Copies of an image become one image with all its faces. Annotations that cannot be used are listed with
    the reason in dataset/convert-report.json.

    Example: lidloop convert -s ibug:300w/afw -s ibug:300w/helen -o data/300w
    """
    from lidloop.data.convert import convert as convert_sources

    with doing(f"convert the sources to {out}"), progress("images") as update:
        dataset, labels = convert_sources(
            source, out / "dataset", out / "labels-v0", split=split, seed=seed, keep_splits=keep_splits,
            progress=update,
        )  # fmt: skip
        report = json.loads((dataset.root / "convert-report.json").read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps({"labels": labels.info, "report": report}, indent=1))
        return
    say(f"{len(dataset.records)} images, {labels.info['total']} faces: {out}")
    rejected = sum(len(s["rejects"]) for s in report["sources"])
    if rejected:
        say(f"{rejected} annotations were left out; the reasons: {dataset.root / 'convert-report.json'}")

"""``lidloop run``, and the registration of all commands of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.paths import path
from lidloop.exporter.places import OPENERS, Readable
from pipelines.cli.compile import compile_command
from pipelines.cli.demo import demo
from pipelines.cli.deploy import deploy_app
from pipelines.cli.host import logs, status, submit, upload
from pipelines.cli.options import takes_run_settings
from pipelines.cli.recurring import recurring_app
from pipelines.cli.trigger import trigger
from pipelines.local.follow import follow
from pipelines.settings import DATA, MACHINE, RunSettings


def register(app: typer.Typer) -> None:
    """Add the commands to the root app."""
    app.command("demo")(demo)
    app.command("run")(run)
    app.command("compile")(compile_command)
    for command in (upload, submit, status, logs):
        app.command(command.__name__)(command)
    app.add_typer(recurring_app)
    app.add_typer(deploy_app)
    app.command("trigger")(trigger)
    OPENERS["kubeflow"] = _kubeflow_runs


def _kubeflow_runs(host: str) -> Readable:
    from pipelines.kubeflow.watch import KubeflowRuns

    return KubeflowRuns(host)


@takes_run_settings
def run(
    settings: RunSettings,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=path,
            metavar="DIR",
            help="Folder of the run, empty or new.",
            rich_help_panel=DATA,
        ),
    ],
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Delete the run in OUT and start anew.", rich_help_panel=MACHINE),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="process|docker",
            help="Run the steps as processes, or as containers of Docker or podman (DOCKER_HOST).",
            rich_help_panel=MACHINE,
        ),
    ] = "process",
    image: Annotated[
        str,
        typer.Option(
            help="Image of the containers.",
            show_default="lidloop/steps:VERSION-gpu",
            rich_help_panel=MACHINE,
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON, and no progress.")
    ] = False,
) -> None:
    """Run the loop on this machine: train, predict, add confident predictions as labels, repeat.

    Writes OUT/report.html and OUT/summary.json, and registers a champion. The labels you give are never
    changed.

    The same command resumes a run that was stopped or killed.

    [bold]Examples[/bold]

    A small first run on a laptop:

    $ lidloop run -s ibug:300w/afw -o runs/try --iterations 2 --epochs 3 --imgsz 256

    As in the paper, from two collections:

    $ lidloop run -s ibug:300w/helen -s ibug:300w/lfpw -o runs/paper --epochs 100 --paper-exact

    On two GPUs, without a download:

    $ lidloop run -s coco:faces.json -o runs/gpu --gpus 2 --base-weights weights/yolov8n-pose.pt
    """
    result = follow(settings, out=out, fresh=fresh, quiet=as_json, engine=engine, image=image)
    if as_json:
        typer.echo(json.dumps(result.summary, indent=1))

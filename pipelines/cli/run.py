"""``lidloop run``; here the other commands of this package join the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lidloop.autolabel.stopping import DEFAULT_MAX_LOSS, DEFAULT_MIN_GROWTH
from lidloop.exporter.places import OPENERS, Readable
from pipelines.cli.compile import compile_command
from pipelines.cli.demo import demo
from pipelines.cli.deploy import deploy_app
from pipelines.cli.host import logs, status, submit, upload
from pipelines.cli.recurring import recurring_app
from pipelines.cli.trigger import trigger
from pipelines.local.follow import follow
from pipelines.settings import DEFAULT_WEIGHTS, RETENTIONS, RunSettings

_TRAINING = "Training"
_LABELS = "Which predictions become labels"
_DATA = "Data"
_LOOP = "The loop"
_MACHINE = "This machine"


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


def run(
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            "-s",
            help="ibug:DIR, dlib:FILE.xml, coco:FILE.json or yolo:DIR; DIR and FILE may be s3://BUCKET/…. "
            "May be repeated and mixed.",
            rich_help_panel=_DATA,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The run's folder, empty or new.", rich_help_panel=_DATA)
    ],
    split: Annotated[
        float, typer.Option(help="Share of the pictures for training, 0 to 1.", rich_help_panel=_DATA)
    ] = 0.8,
    keep_splits: Annotated[
        bool,
        typer.Option("--keep-splits", help="Keep the splits that sources give.", rich_help_panel=_DATA),
    ] = False,
    truth: Annotated[
        str,
        typer.Option(
            help="File with the hidden labels of generated faces; the report then counts the recovered ones.",
            rich_help_panel=_DATA,
        ),
    ] = "",
    iterations: Annotated[int, typer.Option(help="How often to train, at most.", rich_help_panel=_LOOP)] = 4,
    min_growth: Annotated[
        float,
        typer.Option(
            help="Stop when labels grow by less than this fraction; 0 never stops for it.",
            rich_help_panel=_LOOP,
        ),
    ] = DEFAULT_MIN_GROWTH,
    max_loss: Annotated[
        float,
        typer.Option(
            help="Stop when gold recall falls, or gold NME rises, by more than this fraction.",
            rich_help_panel=_LOOP,
        ),
    ] = DEFAULT_MAX_LOSS,
    seed: Annotated[int, typer.Option(help="Seed of the split and of training.", rich_help_panel=_LOOP)] = 0,
    registry: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_REGISTRY",
            metavar="DIR|URI",
            help="Where models are registered.",
            show_default="OUT/registry",
            rich_help_panel=_LOOP,
        ),
    ] = "",
    base_weights: Annotated[
        str,
        typer.Option(
            help="Weights that iteration 0 starts from: a YOLOv8 pose .pt file, or a name that Ultralytics "
            "publishes. A .pt is a pickle: only use one you trust.",
            rich_help_panel=_TRAINING,
        ),
    ] = DEFAULT_WEIGHTS,
    epochs: Annotated[
        int, typer.Option(help="Passes over the training pictures per iteration.", rich_help_panel=_TRAINING)
    ] = 10,
    patience: Annotated[
        int,
        typer.Option(
            help="Stop a training after so many epochs without a better validation; 0 never does.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    imgsz: Annotated[
        int,
        typer.Option(
            help="Longer side of the network's input in pixels, a multiple of 32.", rich_help_panel=_TRAINING
        ),
    ] = 640,
    batch: Annotated[
        int, typer.Option(help="Pictures per training step, over all GPUs.", rich_help_panel=_TRAINING)
    ] = 16,
    ignore_unlabelled: Annotated[
        bool,
        typer.Option(
            "--ignore-unlabelled/--punish-unlabelled",
            help="Whether training leaves alone what the model takes for a face that nobody labelled, or "
            "teaches it as background.",
            rich_help_panel=_TRAINING,
        ),
    ] = True,
    conf: Annotated[
        float, typer.Option(help="Least confidence of a new label, 0.25 to 1.", rich_help_panel=_LABELS)
    ] = 0.7,
    iou: Annotated[
        float,
        typer.Option(
            help="A prediction whose box overlaps a label's by more is dropped, 0 to 1.",
            rich_help_panel=_LABELS,
        ),
    ] = 0.3,
    retention: Annotated[
        str,
        typer.Option(
            metavar="|".join(RETENTIONS),
            help="accumulate: a grown label stays for good. relabel: each iteration grows them anew. "
            "Human labels stay in either.",
            rich_help_panel=_LABELS,
        ),
    ] = "accumulate",
    paper_exact: Annotated[
        bool,
        typer.Option(
            "--paper-exact",
            help="Compare predictions with existing labels only, not with each other, as the paper does.",
            rich_help_panel=_LABELS,
        ),
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            help="cpu, 0, or 0,1 and so on.", show_default="what there is", rich_help_panel=_MACHINE
        ),
    ] = "",
    gpus: Annotated[
        int,
        typer.Option(
            help="Train on so many GPUs, instead of --device.",
            show_default="--device",
            rich_help_panel=_MACHINE,
        ),
    ] = 0,
    workers: Annotated[
        int, typer.Option(help="Processes that load pictures while training.", rich_help_panel=_MACHINE)
    ] = 4,
    shards: Annotated[
        int,
        typer.Option(
            help="Parts in which pictures are auto-labelled; two at a time here, all on a cluster.",
            rich_help_panel=_MACHINE,
        ),
    ] = 1,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Begin anew where OUT holds a run.", rich_help_panel=_MACHINE),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="process|docker",
            help="What runs the steps: processes here, or containers of Docker or podman (DOCKER_HOST).",
            rich_help_panel=_MACHINE,
        ),
    ] = "process",
    image: Annotated[
        str,
        typer.Option(
            help="Image that containers are made of.",
            show_default="lidloop/steps:VERSION-gpu",
            rich_help_panel=_MACHINE,
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON, and nothing meanwhile.")
    ] = False,
) -> None:
    """Grow labels: train, predict, keep what is new and sure, train again.

    Ends with OUT/report.html, OUT/summary.json and a champion in the registry. The labels you give are
    never changed.

    Killed or stopped? The same command goes on where it was.

    [bold]Examples[/bold]

    A first try on a laptop, small and quick:

    $ lidloop run -s ibug:300w/afw -o runs/try --iterations 2 --epochs 3 --imgsz 256

    As in the paper, from two collections:

    $ lidloop run -s ibug:300w/helen -s ibug:300w/lfpw -o runs/paper --epochs 100 --paper-exact

    On two GPUs, without a download:

    $ lidloop run -s coco:faces.json -o runs/gpu --gpus 2 --base-weights weights/yolov8n-pose.pt
    """
    settings = RunSettings(
        sources=tuple(source),
        iterations=iterations,
        epochs=epochs,
        imgsz=imgsz,
        base_weights=base_weights,
        conf=conf,
        iou=iou,
        seed=seed,
        batch=batch,
        device=device,
        gpus=gpus,
        workers=workers,
        patience=patience,
        ignore_unlabelled=ignore_unlabelled,
        shards=shards,
        retention=retention,
        paper_exact=paper_exact,
        split=split,
        keep_splits=keep_splits,
        min_growth=min_growth,
        max_loss=max_loss,
        registry=registry,
        truth=truth,
    )
    result = follow(settings, out=out, fresh=fresh, quiet=as_json, engine=engine, image=image)
    if as_json:
        typer.echo(json.dumps(result.summary, indent=1))

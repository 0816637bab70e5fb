"""``lidloop submit``, ``status``, ``logs`` and ``upload``: runs on a Kubeflow Pipelines host."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.step import parse_line
from lidloop.cli.console import say
from lidloop.cli.paths import path
from pipelines.cli.host_options import (
    CaFile,
    CookiesFile,
    Experiment,
    Host,
    Json,
    Namespace,
    TokenFile,
    Ui,
    as_json,
    open_host,
    print_run,
    print_runs,
    resolve,
)
from pipelines.cli.host_requests import (
    Cluster,
    DryRun,
    Iterations,
    Parameter,
    Pipeline,
    Source,
    chosen_pipeline,
    fingerprint_from_here,
    print_request,
    read_parameters,
)
from pipelines.names import EXPERIMENT, PIPELINE
from pipelines.settings import RunSettings

if TYPE_CHECKING:
    from pipelines.kubeflow.host import KubeflowHost
    from pipelines.kubeflow.runs import Run

EVERY = 15.0
"""Seconds between two requests while waiting for the end of a run."""


def submit(
    source: Source = None,
    run: Annotated[
        str,
        typer.Option(help="Name of the run, on the host and in the registry.", show_default="lidloop-TIME"),
    ] = "",
    parameter: Parameter = None,
    pipeline: Pipeline = PIPELINE,
    cluster: Cluster = None,
    iterations: Iterations = RunSettings.iterations,
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    ui: Ui = "",
    experiment: Experiment = EXPERIMENT,
    dry_run: DryRun = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the run; exit with 1 unless it succeeds.")
    ] = False,
    as_json_: Json = False,
) -> None:
    """Start a run on a Kubeflow Pipelines host.

    The pipeline is an uploaded one or a file. Parameters are checked before anything is sent.

    [bold]Examples[/bold]

    The uploaded pipeline:

    $ lidloop submit -s ibug:s3://raw/afw -p epochs=100 --run may --host https://kfp.example.org

    A pipeline compiled for a cluster now, as a dry run:

    $ lidloop submit -s coco:s3://raw/faces.json --cluster cluster.yaml --dry-run
    """
    name = run or f"lidloop-{time.strftime('%Y%m%d-%H%M%S')}"
    with chosen_pipeline(pipeline, cluster, iterations) as place:
        kfp = open_host(
            host=host, pipeline=place, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file,
            namespace=namespace, ui=ui,
        )  # fmt: skip
        parameters = read_parameters(kfp, source, parameter or [])
        parameters.setdefault("sources_fingerprint", fingerprint_from_here(source, name))
        if dry_run:
            print_request(kfp, parameters, name, experiment, whole=as_json_)
            return
        id = kfp.submit(parameters, run=name, experiment=experiment)
    if not as_json_:
        say(f"{name}: {id}")
        say(kfp.link(id))
    if wait:
        ended = _wait(kfp, id, quiet=as_json_)
        typer.echo(as_json(ended)) if as_json_ else print_run(ended)
        raise typer.Exit(ended.state != "SUCCEEDED")
    if as_json_:
        typer.echo(json.dumps({"id": id, "run": name, "link": kfp.link(id)}))


def status(
    run: Annotated[str, typer.Argument(help="Id or name of a run.", show_default="the newest runs")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the run; exit with 1 unless it succeeds.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Number of runs to list.")] = 20,
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    ui: Ui = "",
    experiment: Experiment = EXPERIMENT,
    as_json_: Json = False,
) -> None:
    """Show the newest runs on a host, or one run with its steps.

    [bold]Examples[/bold]

    $ lidloop status

    $ lidloop status may --wait
    """
    kfp = open_host(
        host=host, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file, namespace=namespace,
        ui=ui,
    )  # fmt: skip
    if not run:
        runs = kfp.runs(experiment=experiment, limit=limit)
        typer.echo(as_json(runs)) if as_json_ else print_runs(runs)
        return
    id = resolve(kfp, run, experiment)
    found = _wait(kfp, id, quiet=as_json_) if wait else kfp.run(id)
    typer.echo(as_json(found)) if as_json_ else print_run(found)
    if wait:
        raise typer.Exit(found.state != "SUCCEEDED")


def logs(
    run: Annotated[str, typer.Argument(help="Id or name of a run.")],
    step: Annotated[str, typer.Option(help="Only this step: train for all, train-2 for the second.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Print KFP's own lines too.")] = False,
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    experiment: Experiment = EXPERIMENT,
    as_json_: Json = False,
) -> None:
    """Print the logs of a run's steps.

    Example: lidloop logs may --step train
    """
    kfp = open_host(
        host=host, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file, namespace=namespace
    )
    for task, line in kfp.logs(resolve(kfp, run, experiment), step=step):
        said = parse_line(line)
        if said is None and not everything:
            continue
        if as_json_:
            content = {"task": task, "level": said and said.level, "text": said.text if said else line}
            typer.echo(json.dumps(content, ensure_ascii=False))
        else:
            say(f"{task}: {said.level} {said.text}" if said else f"{task}: {line}")


def upload(
    file: Annotated[Path, typer.Argument(parser=path, metavar="FILE.yaml", help="A compiled pipeline.")],
    version: Annotated[str, typer.Option(help="Unique name of the version.", show_default="TIME")] = "",
    pipeline: Annotated[str, typer.Option(help="Name of the pipeline on the host.")] = PIPELINE,
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    as_json_: Json = False,
) -> None:
    """Upload a compiled pipeline to a host as its newest version, which new runs use.

    Example: lidloop compile loop.yaml --cluster cluster.yaml && lidloop upload loop.yaml --version 3
    """
    kfp = open_host(
        host=host, pipeline=pipeline, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file,
        namespace=namespace,
    )  # fmt: skip
    name = version or time.strftime("%Y%m%d-%H%M%S")
    id = kfp.upload(file, version=name)
    say(json.dumps({"id": id, "version": name}) if as_json_ else f"{pipeline} {name}: {id}")


def _wait(kfp: KubeflowHost, id: str, *, quiet: bool) -> Run:
    """Wait for the end of a run; up to 20 failed requests in a row are repeated."""
    from pipelines.kubeflow.errors import HostError, RunUnknown
    from pipelines.kubeflow.runs import ENDED

    seen: set[tuple[str, str]] = set()
    failures = 0
    while True:
        try:
            run = kfp.run(id)
            failures = 0
        except RunUnknown:
            raise
        except HostError as error:
            failures += 1
            if failures > 20:
                raise
            say(error, err=True)
        else:
            for task in run.tasks:
                if (task.pod, task.state) not in seen and not quiet:
                    say(f"{time.strftime('%H:%M:%S')} {task.name}: {task.state}", err=True)
                seen.add((task.pod, task.state))
            if run.state in ENDED:
                return run
        time.sleep(EVERY)

"""``lidloop recurring``: schedules of runs on a Kubeflow Pipelines host."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lidloop.cli.console import add_row, console, new_table, say
from lidloop.errors import LidloopError
from pipelines.cli.host_options import (
    CaFile,
    CookiesFile,
    Experiment,
    Host,
    Json,
    Namespace,
    TokenFile,
    as_json,
    open_host,
)
from pipelines.cli.host_requests import (
    Cluster,
    DryRun,
    Iterations,
    Parameter,
    Pipeline,
    Source,
    chosen_pipeline,
    print_request,
    read_parameters,
)
from pipelines.names import EXPERIMENT, PIPELINE
from pipelines.settings import RunSettings

recurring_app = typer.Typer(
    name="recurring",
    no_args_is_help=True,
    help="Start runs on a Kubeflow Pipelines host on a schedule: add, list, delete.",
)
Name = Annotated[str, typer.Argument(help="Name of the schedule.")]


@recurring_app.command("add")
def add(
    name: Name,
    source: Source,
    cron: Annotated[
        str,
        typer.Option(
            help="Six fields: second minute hour day month weekday, in the host's time zone; five fields get "
            "second 0."
        ),
    ],
    parameter: Parameter = None,
    pipeline: Pipeline = PIPELINE,
    cluster: Cluster = None,
    iterations: Iterations = RunSettings.iterations,
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    experiment: Experiment = EXPERIMENT,
    dry_run: DryRun = False,
    as_json_: Json = False,
) -> None:
    """Start runs on a schedule, one at a time.

    The name of each run in the registry is its id on the host. Every run reads its sources again.

    Example, Mondays at three: lidloop recurring add weekly -s ibug:s3://raw/afw --cron "0 3 * * 1"
    """
    with chosen_pipeline(pipeline, cluster, iterations) as place:
        kfp = open_host(
            host=host, pipeline=place, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file,
            namespace=namespace,
        )  # fmt: skip
        parameters = read_parameters(kfp, source, parameter or [])
        if dry_run:
            print_request(kfp, parameters, "", experiment, whole=as_json_)
            return
        id = kfp.schedule(cron, parameters, name=name, experiment=experiment)
    say(json.dumps({"id": id, "name": name}) if as_json_ else f"{name}: {id}")


@recurring_app.command("list")
def list_(
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    experiment: Experiment = EXPERIMENT,
    as_json_: Json = False,
) -> None:
    """List the schedules."""
    kfp = open_host(
        host=host, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file, namespace=namespace
    )
    found = kfp.schedules(experiment=experiment)
    if as_json_:
        typer.echo(as_json(found))
        return
    table = new_table("name", "cron", "state", "id", lines=False)
    for entry in found:
        add_row(table, entry.name, entry.cron, "on" if entry.enabled else "off", entry.id)
    console().print(table)


@recurring_app.command("delete")
def delete(
    name: Name,
    host: Host = "",
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
    namespace: Namespace = "",
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Delete a schedule; the runs that it started stay."""
    kfp = open_host(
        host=host, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file, namespace=namespace
    )
    ids = [entry.id for entry in kfp.schedules(experiment=experiment) if name in (entry.name, entry.id)]
    if not ids:
        raise LidloopError(f"{kfp.host} has no schedule {name!r} in {experiment}")
    for id in ids:
        kfp.delete_schedule(id)
    say(f"{name} is deleted")

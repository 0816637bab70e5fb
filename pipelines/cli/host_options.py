"""Options of all commands for a Kubeflow Pipelines host, and the output of its runs."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lidloop.cli.console import add_row, console, new_table, say
from lidloop.cli.paths import path
from lidloop.errors import LidloopError, printable
from pipelines.local.view import duration

if TYPE_CHECKING:
    from pipelines.kubeflow.host import KubeflowHost
    from pipelines.kubeflow.runs import Run

_HOST = "Host"

Host = Annotated[
    str,
    typer.Option(
        envvar="KF_PIPELINES_ENDPOINT",
        metavar="URL",
        help="Address of Kubeflow Pipelines, https://HOST/PATH.",
        rich_help_panel=_HOST,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="LIDLOOP_KFP_TOKEN_FILE",
        parser=path,
        metavar="FILE",
        help="File of a bearer token, read again for every request. In a pod of the cluster the service "
        "account's token for KFP is the default.",
        rich_help_panel=_HOST,
    ),
]
CookiesFile = Annotated[
    Path | None,
    typer.Option(
        envvar="LIDLOOP_KFP_COOKIES_FILE",
        parser=path,
        metavar="FILE",
        help="File with the Cookie header of a session, for a host behind a log-in page.",
        rich_help_panel=_HOST,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="LIDLOOP_KFP_CA_FILE",
        parser=path,
        metavar="FILE",
        help="CA certificates of the host, PEM.",
        rich_help_panel=_HOST,
    ),
]
Namespace = Annotated[
    str,
    typer.Option(
        envvar="LIDLOOP_KFP_NAMESPACE",
        help="Your profile, on a multi-user host.",
        rich_help_panel=_HOST,
    ),
]
Ui = Annotated[
    str,
    typer.Option(
        envvar="KF_PIPELINES_UI_ENDPOINT",
        metavar="URL",
        help="Address of the user interface, for links.",
        show_default="--host",
        rich_help_panel=_HOST,
    ),
]
Experiment = Annotated[str, typer.Option(help="Experiment of the runs on the host.", rich_help_panel=_HOST)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def open_host(**settings: Any) -> KubeflowHost:
    """Return a client of the host that the options describe.

    Raises:
        HostError: for invalid options.
        LidloopError: if KFP is not installed.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # no warnings about retries
    try:
        from pipelines.kubeflow.host import KubeflowHost
    except ImportError as error:
        raise LidloopError(f"a host needs KFP ({error}): pip install 'lidloop[pipeline]'") from error
    return KubeflowHost.from_settings(**settings)


def resolve(host: KubeflowHost, run: str, experiment: str) -> str:
    """Return the id of a run given by id or name.

    Raises:
        RunUnknown: if there is no such run.
    """
    from pipelines.kubeflow.errors import RunUnknown

    try:
        return host.run(run, tasks=False).id
    except RunUnknown:
        id = host.find(run, experiment=experiment)
        if id is None:
            raise RunUnknown(
                f"{host.host} has no run {run!r}, neither as id nor as name in {experiment}"
            ) from None
        return id


def as_json(value: Any) -> str:
    """Return values of ``pipelines.kubeflow.runs`` as JSON, times in UTC."""

    def plain(entry: Any) -> Any:
        if isinstance(entry, datetime):
            return entry.astimezone(UTC).isoformat()
        return dataclasses.asdict(entry)

    return json.dumps(value, indent=1, ensure_ascii=False, default=plain)


def print_run(run: Run) -> None:
    """Print a run and its steps as text."""
    out = console()
    out.print(Text(printable(run.name), style="bold"), f" {run.state}  {_took(run.created, run.ended)}")
    if run.error:
        say(run.error)
    if run.tasks:
        table = new_table("step", "state", "time", "error", lines=False)
        for task in run.tasks:
            took = _took(task.started, task.ended)
            add_row(table, task.name, task.state, took, " ".join(task.error.split()))
        out.print(table)
    say(run.link)


def print_runs(runs: list[Run]) -> None:
    """Print one line for every run."""
    table = new_table("run", "state", "started", "time", "id", lines=False)
    for run in runs:
        started = run.created.astimezone().strftime("%Y-%m-%d %H:%M") if run.created else "–"
        add_row(table, run.name, run.state, started, _took(run.created, run.ended), run.id)
    console().print(table)


def _took(begun: datetime | None, ended: datetime | None) -> str:
    if begun is None:
        return "–"
    return duration(max(0.0, ((ended or datetime.now(UTC)) - begun).total_seconds()))

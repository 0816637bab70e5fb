"""Options of every command that talks to a Kubeflow Pipelines host, and what it prints of runs."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lidloop.errors import LidloopError
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
        metavar="FILE",
        help="Bearer token, read again for every request. In a pod of the cluster the service account's "
        "token for KFP is used by itself.",
        rich_help_panel=_HOST,
    ),
]
CookiesFile = Annotated[
    Path | None,
    typer.Option(
        envvar="LIDLOOP_KFP_COOKIES_FILE",
        metavar="FILE",
        help="Cookie header of a session, for a host behind a log-in page.",
        rich_help_panel=_HOST,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="LIDLOOP_KFP_CA_FILE", metavar="FILE", help="CA of the host, PEM.", rich_help_panel=_HOST
    ),
]
Namespace = Annotated[
    str,
    typer.Option(
        envvar="LIDLOOP_KFP_NAMESPACE",
        help="Your profile, on a host for many users.",
        rich_help_panel=_HOST,
    ),
]
Ui = Annotated[
    str,
    typer.Option(
        envvar="KF_PIPELINES_UI_ENDPOINT",
        metavar="URL",
        help="Where people reach the host, for links.",
        show_default="--host",
        rich_help_panel=_HOST,
    ),
]
Experiment = Annotated[
    str, typer.Option(help="Experiment on the host that the runs belong to.", rich_help_panel=_HOST)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def open_host(**settings: Any) -> KubeflowHost:
    """The host that the options describe.

    Raises:
        HostError: where they cannot be right.
        LidloopError: where KFP is not installed.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # what is tried again is no news
    try:
        from pipelines.kubeflow.host import KubeflowHost
    except ImportError as error:
        raise LidloopError(f"a host needs KFP ({error}): pip install 'lidloop[pipeline]'") from error
    return KubeflowHost.from_settings(**settings)


def resolve(host: KubeflowHost, run: str, experiment: str) -> str:
    """The id of a run given by id or name.

    Raises:
        RunUnknown: where there is none.
    """
    from pipelines.kubeflow.errors import RunUnknown

    try:
        return host.run(run).id
    except RunUnknown:
        id = host.find(run, experiment=experiment)
        if id is None:
            raise RunUnknown(
                f"{host.host} has no run {run!r}, neither as id nor as name in {experiment}"
            ) from None
        return id


def as_json(value: Any) -> str:
    """Values of ``pipelines.kubeflow.host.runs`` as JSON, times in UTC."""

    def plain(entry: Any) -> Any:
        if isinstance(entry, datetime):
            return entry.astimezone(UTC).isoformat()
        return dataclasses.asdict(entry)

    return json.dumps(value, indent=1, ensure_ascii=False, default=plain)


def print_run(run: Run) -> None:
    """A run and its steps, for people."""
    console = Console()
    console.print(
        f"[bold]{escape(run.name)}[/]  {run.state}  {_took(run.created, run.ended)}", highlight=False
    )
    if run.error:
        console.print(escape(run.error), highlight=False, soft_wrap=True)
    if run.tasks:
        table = Table("step", "state", "time", "", box=None)
        for task in run.tasks:
            table.add_row(
                task.name, task.state, _took(task.started, task.ended), escape(" ".join(task.error.split()))
            )
        console.print(table)
    console.print(run.link, highlight=False, soft_wrap=True)


def print_runs(runs: list[Run]) -> None:
    """One line for every run."""
    table = Table("run", "state", "started", "time", "id", box=None)
    for run in runs:
        started = run.created.astimezone().strftime("%Y-%m-%d %H:%M") if run.created else "–"
        table.add_row(escape(run.name), run.state, started, _took(run.created, run.ended), run.id)
    Console().print(table)


def _took(begun: datetime | None, ended: datetime | None) -> str:
    if begun is None:
        return "–"
    return duration(max(0.0, ((ended or datetime.now(UTC)) - begun).total_seconds()))

"""``lidloop trigger``."""

from __future__ import annotations

import fcntl
import logging
import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lidloop.cli.paths import optional_place, path, place
from lidloop.errors import LidloopError, doing
from lidloop.web.peers import TrustedProxies, is_loopback
from lidloop.web.server import listen, url, uvicorn_config
from pipelines.names import EXPERIMENT, PIPELINE

_STATE: Final = "State and runs"
_ACCESS: Final = "Access"
_KUBEFLOW: Final = "Kubeflow Pipelines"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class TriggerError(LidloopError):
    """A setting with which the service cannot start."""


def trigger(
    state: Annotated[
        Path,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_STATE",
            parser=path,
            metavar="DIR",
            help="Folder of the service's database; local runs are in STATE/runs.",
            rich_help_panel=_STATE,
        ),
    ],
    run_defaults: Annotated[
        Path | None,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_RUN_DEFAULTS",
            parser=path,
            metavar="FILE.yaml",
            help="Parameters of runs that an alert starts, and defaults for those that a caller omits. "
            "Without sources in it, alerts are rejected.",
            show_default="none",
            rich_help_panel=_STATE,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_DATA",
            parser=place,
            metavar="DIR|s3://BUCKET/PREFIX",
            help="Folder or prefix from which callers may use sources; may be repeated.",
            show_default="only the sources of the run defaults",
            rich_help_panel=_STATE,
        ),
    ] = None,
    registry: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_REGISTRY",
            parser=optional_place,
            metavar="DIR|URI",
            help="Model registry of the runs, unless the run defaults name one.",
            show_default="the run's own folder",
            rich_help_panel=_STATE,
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(help="Model whose alerts start runs (their label `model`).", rich_help_panel=_STATE),
    ] = "lidloop",
    cooldown: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_COOLDOWN",
            help="Time after the end of a run in which no alert starts another: 90s, 30m, 6h, 2d.",
            rich_help_panel=_STATE,
        ),
    ] = "6h",
    max_runs: Annotated[
        int, typer.Option(min=1, help="Largest number of concurrent runs.", rich_help_panel=_STATE)
    ] = 1,
    launcher: Annotated[
        str,
        typer.Option(
            metavar="local|kubeflow",
            help="Run on this machine, or on Kubeflow Pipelines.",
            rich_help_panel=_STATE,
        ),
    ] = "local",
    run_command: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_RUN_COMMAND",
            help="Command of local runs, with the options of `lidloop run`.",
            show_default="lidloop run",
            rich_help_panel=_STATE,
        ),
    ] = "",
    every: Annotated[
        float, typer.Option(min=0.05, help="Seconds between two checks of the runs.", rich_help_panel=_STATE)
    ] = 2.0,
    keys: Annotated[
        Path | None,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_KEYS",
            parser=path,
            metavar="FILE",
            help="File of hashed API keys, written by `lidloop serve-key --scope …`.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    no_keys: Annotated[
        bool,
        typer.Option(
            "--no-keys", help="Require no API keys, and answer this machine only.", rich_help_panel=_ACCESS
        ),
    ] = False,
    trusted_proxies: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_TRUSTED_PROXIES",
            metavar="ADDRESS[,CIDR…]",
            help="Reverse proxies that may name the caller's address.",
            show_default="none",
            rich_help_panel=_ACCESS,
        ),
    ] = "",
    proxy_header: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_TRIGGER_PROXY_HEADER",
            metavar="NAME",
            help="Header that names it: X-Forwarded-For, Forwarded or X-Real-IP.",
            rich_help_panel=_ACCESS,
        ),
    ] = "X-Forwarded-For",
    host: Annotated[str, typer.Option(help="Address to listen on.", rich_help_panel=_ACCESS)] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", "-p", min=0, max=65535, help="Port to listen on.", rich_help_panel=_ACCESS),
    ] = 8090,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="FILE",
            help="Certificate chain, PEM; turns on HTTPS.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            parser=path, metavar="FILE", help="Private key of the certificate, PEM.", rich_help_panel=_ACCESS
        ),
    ] = None,
    kfp_host: Annotated[
        str,
        typer.Option(
            envvar="KF_PIPELINES_ENDPOINT",
            help="Address of the host, https://HOST/PATH.",
            rich_help_panel=_KUBEFLOW,
        ),
    ] = "",
    kfp_pipeline: Annotated[
        str,
        typer.Option(
            help="Name of an uploaded pipeline, or a compiled file.",
            rich_help_panel=_KUBEFLOW,
        ),
    ] = PIPELINE,
    kfp_experiment: Annotated[
        str, typer.Option(help="Experiment of the runs.", rich_help_panel=_KUBEFLOW)
    ] = EXPERIMENT,
    kfp_namespace: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_KFP_NAMESPACE", help="Profile, on a multi-user host.", rich_help_panel=_KUBEFLOW
        ),
    ] = "",
    kfp_token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="LIDLOOP_KFP_TOKEN_FILE",
            parser=path,
            metavar="FILE",
            help="File of a bearer token.",
            show_default="the one that Kubernetes mounts",
            rich_help_panel=_KUBEFLOW,
        ),
    ] = None,
    kfp_ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="LIDLOOP_KFP_CA_FILE",
            parser=path,
            metavar="FILE",
            help="CA certificates to trust, PEM.",
            rich_help_panel=_KUBEFLOW,
        ),
    ] = None,
    kfp_ui: Annotated[
        str,
        typer.Option(
            envvar="KF_PIPELINES_UI_ENDPOINT",
            help="Address for links, if it differs from the host's.",
            rich_help_panel=_KUBEFLOW,
        ),
    ] = "",
    kfp_service_account: Annotated[
        str, typer.Option(help="Service account of the steps.", rich_help_panel=_KUBEFLOW)
    ] = "",
) -> None:
    """Start runs over HTTP, and when Alertmanager reports drift of labels or traffic.

    An alert with the label lidloop_action="iterate" starts one run; further alerts start none during the run
    and the cool-down. Runs continue while the service is stopped, and it finds them again. docs/TRIGGER.md
    has the configuration of Alertmanager and the HTTP interface.

    [bold]Examples[/bold]

    A trial on this machine:

    $ echo 'sources: [yolo:/data/faces]' > defaults.yaml
    $ lidloop trigger --state trigger --run-defaults defaults.yaml --no-keys
    $ curl -X POST -H 'Content-Type: application/json' -d '{"epochs": 5}' localhost:8090/v1/runs

    For other machines, with one key for client programs and one for Alertmanager:

    $ lidloop serve-key "night shift" --scope runs:start --file keys.json
    $ lidloop serve-key alertmanager --scope alerts --file keys.json
    $ lidloop trigger --state trigger --run-defaults defaults.yaml --keys keys.json --host 0.0.0.0

    Runs on a cluster:

    $ lidloop trigger --state trigger --run-defaults defaults.yaml --keys keys.json \\
        --launcher kubeflow --kfp-host https://kfp.example.org
    """
    _check_access(keys, no_keys, host, tls_cert, tls_key)
    seconds = duration(cooldown)
    try:
        proxies = TrustedProxies.parse(trusted_proxies, proxy_header)
    except ValueError as error:
        raise TriggerError(f"--trusted-proxies or --proxy-header: {error}") from None
    from pipelines.settings import RemoteSettings
    from pipelines.trigger.access import Access
    from pipelines.trigger.app import create_app
    from pipelines.trigger.launchers import COMMAND, Launcher, LocalLauncher
    from pipelines.trigger.parameters import Rules, absolute, read_defaults
    from pipelines.trigger.store import Store

    defaults = read_defaults(run_defaults) if run_defaults else {}
    if registry:
        defaults.setdefault("registry", registry)
    starts: Launcher
    if launcher == "local":
        folder = run_defaults.parent if run_defaults else Path()
        rules = Rules(absolute(defaults, folder), places=data or ())
        starts = LocalLauncher(state, command=shlex.split(run_command) or COMMAND)
    elif launcher == "kubeflow":
        from pipelines.kubeflow.host import KubeflowHost
        from pipelines.trigger.kubeflow_launcher import FIXED, KubeflowLauncher

        rules = Rules(defaults, places=data or (), settings=RemoteSettings, fixed=FIXED)
        reached = KubeflowHost.from_settings(
            kfp_host,
            pipeline=kfp_pipeline,
            token_file=kfp_token_file,
            ca_file=kfp_ca_file,
            namespace=kfp_namespace,
            ui=kfp_ui,
            service_account=kfp_service_account,
        )
        starts = KubeflowLauncher(reached, experiment=kfp_experiment)
    else:
        raise TriggerError(f"--launcher must be local or kubeflow, not {launcher!r}")
    access = Access(keys)
    with _locked(state), listen(host, port) as listening:
        store = Store(state / "trigger.db", model=model, cooldown=seconds, most=max_runs)
        app = create_app(
            rules=rules, store=store, launcher=starts, access=access, proxies=proxies, every=every
        )
        _serve(app, listening, host, tls_cert, tls_key)


def duration(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``30m``, ``6h``, ``2d`` or ``1h30m``.

    Raises:
        TriggerError: for an invalid duration.
    """
    if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?[smhd])+", text):
        raise TriggerError(f"{text!r} is not a duration such as 90s, 30m, 6h or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))


def _check_access(
    keys: Path | None, no_keys: bool, host: str, tls_cert: Path | None, tls_key: Path | None
) -> None:
    if keys and no_keys:
        raise TriggerError("give --keys or --no-keys, not both")
    if not keys and not no_keys:
        raise TriggerError(
            "the service starts trainings, so callers need API keys: create them with `lidloop serve-key "
            "NAME --scope runs:start` and give their file with --keys; for this machine only, use --no-keys"
        )
    if no_keys and not is_loopback(host):
        raise TriggerError(f"without keys the service listens on 127.0.0.1 only, not on {host}")
    if bool(tls_cert) != bool(tls_key):
        raise TriggerError("--tls-cert and --tls-key belong together")


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Lock the folder of the state, so that a second service does not start its runs again."""
    with doing(f"use the state folder {state}", TriggerError):
        state.mkdir(parents=True, exist_ok=True)
        opened = (state / ".lock").open("a")
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TriggerError(f"another `lidloop trigger` uses {state}; give another --state") from None
        yield


def _serve(
    app: Any, listening: socket.socket, host: str, tls_cert: Path | None, tls_key: Path | None
) -> None:
    import uvicorn

    config = uvicorn_config(
        app,
        grace=15,
        limit_concurrency=500,
        ssl_certfile=tls_cert,
        ssl_keyfile=str(tls_key) if tls_key else None,
    )
    # A service's log is read by programs: a line each, with its time, and none is wrapped.
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("lidloop.trigger").setLevel(logging.INFO)
    shown = url(listening, host, scheme="https" if tls_cert else "http")
    typer.echo(f"listening: {shown} (stop with Ctrl-C)", err=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops gracefully, and then raises the signal again: an orderly end is exit status 0.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])

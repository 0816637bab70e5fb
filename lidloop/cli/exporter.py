"""``lidloop exporter``: Prometheus metrics of a registry and its runs."""

from __future__ import annotations

import signal
import threading
from importlib.util import find_spec
from typing import Annotated

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import place
from lidloop.errors import LidloopError
from lidloop.starter.choose import DEFAULT_REGISTRY

_READ = "Sources"
_SHOWN = "Metrics"


def exporter(
    registry: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_REGISTRY",
            parser=place,
            metavar="DIR|URI",
            help="Folder of the registry, or sqlite:///FILE, or http(s)://SERVER.",
            rich_help_panel=_READ,
        ),
    ] = DEFAULT_REGISTRY,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            envvar="LIDLOOP_RUNS",
            parser=place,
            metavar="DIR|s3://…|kubeflow[:URL]",
            help="Place of the runs: a folder that holds their folders (their --out), the pipeline's prefix "
            "in Kubeflow's bucket for their ledgers, Kubeflow's API for how they ended. May be repeated.",
            show_default="no runs",
            rich_help_panel=_READ,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_REGISTERED_MODEL", help="Name of the registered model.", rich_help_panel=_READ
        ),
    ] = "lidloop",
    interval: Annotated[
        float,
        typer.Option(
            envvar="LIDLOOP_EXPORTER_INTERVAL",
            min=1,
            help="Seconds between two readings.",
            rich_help_panel=_READ,
        ),
    ] = 30.0,
    iterations: Annotated[
        int,
        typer.Option(
            envvar="LIDLOOP_EXPORTER_ITERATIONS",
            min=1,
            max=1000,
            help="Number of iterations that have series: the newest ones.",
            rich_help_panel=_SHOWN,
        ),
    ] = 100,
    host: Annotated[
        str,
        typer.Option(
            envvar="LIDLOOP_EXPORTER_HOST",
            help="Address to listen on; 0.0.0.0 for all.",
            rich_help_panel=_SHOWN,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            "-p",
            envvar="LIDLOOP_EXPORTER_PORT",
            min=0,
            max=65535,
            help="Port to listen on; 0 for a free one.",
            rich_help_panel=_SHOWN,
        ),
    ] = 9108,
) -> None:
    """Export metrics of the registry's models and the runs' labels for Prometheus.

    It serves /metrics, /livez and /readyz; docs/METRICS.md lists the metrics. The registry and the runs are
    read in the background, and a scrape is answered from memory: where a source is down, its last values stay
    and lidloop_exporter_source_timestamp_seconds says how old they are.

    Credentials come from the environment only: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or
    MLFLOW_TRACKING_TOKEN), and for a bucket AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a file of theirs.
    They need read permission only.

    [bold]Examples[/bold]

    The runs of this machine; then look at http://127.0.0.1:9108/metrics:

    $ lidloop exporter --registry runs/demo/registry --runs runs

    A cluster's registry, Kubeflow and its bucket, for a Prometheus elsewhere:

    $ lidloop exporter --registry https://mlflow.example --runs kubeflow:https://kubeflow.example/pipeline
    --runs s3://kfp/v2/artifacts/lidloop-refinement --host 0.0.0.0
    """
    absent = [
        name for name in ("prometheus_client", "mlflow", "starlette", "uvicorn") if find_spec(name) is None
    ]
    if absent:
        raise LidloopError(f"the exporter needs {' and '.join(absent)}: pip install 'lidloop[watch]'")
    from lidloop.exporter.run import Exporter

    made = Exporter(
        registry=registry, runs=runs or (), model=model, interval=interval, iterations=iterations, host=host,
        port=port,
    )  # fmt: skip
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with made:
        say(f"http://{f'[{host}]' if ':' in host else host}:{made.port}/metrics")
        stop.wait()

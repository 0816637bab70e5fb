"""Request that starts a run on a host: options, pipeline, checked parameters, dry run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import path
from lidloop.data.sources import fingerprint, parse_source
from lidloop.errors import LidloopError, StoreError
from lidloop.storage.files import is_stored
from pipelines.cli.options import option
from pipelines.names import PIPELINE
from pipelines.parameters import declared, from_json, type_problems
from pipelines.settings import RemoteSettings, RunSettings, SettingsError, shard_names

if TYPE_CHECKING:
    from pipelines.kubeflow.host import KubeflowHost

Pipeline = Annotated[
    str,
    typer.Option(metavar="NAME|FILE.yaml", help="Pipeline to run: a name on the host, or a compiled file."),
]
Cluster = Annotated[
    Path | None,
    typer.Option(
        parser=path, metavar="FILE.yaml", help="Compile for this cluster now, instead of --pipeline."
    ),
]
Iterations = Annotated[int, option("iterations", before="With --cluster: ")]
Source = Annotated[
    list[str] | None,
    option("sources", after=" A path is one that the steps see. None with -p continue_from=s3://…"),
]
Parameter = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", "-p", metavar="NAME=VALUE", help="Parameter of the pipeline, such as epochs=100."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the request and print it; send nothing.")]


@contextmanager
def chosen_pipeline(pipeline: str, cluster: Path | None, iterations: int) -> Iterator[str | Path]:
    """Yield the named pipeline, or a file compiled for the cluster, deleted afterwards."""
    if cluster is None:
        yield path(pipeline) if pipeline.endswith((".yaml", ".yml")) else pipeline
        return
    if pipeline != PIPELINE:
        raise LidloopError("give --pipeline or --cluster, not both")
    from pipelines.cli.compile import write_pipeline

    with tempfile.TemporaryDirectory() as folder:
        write_pipeline(Path(folder) / "pipeline.yaml", iterations=iterations, cluster=cluster)
        yield Path(folder) / "pipeline.yaml"


def read_parameters(kfp: KubeflowHost, sources: Sequence[str] | None, given: Sequence[str]) -> dict[str, Any]:
    """Return the pipeline's parameters from the command line, types and ranges checked.

    Raises:
        LidloopError: for a parameter that is unknown, given twice, or has an invalid value.
    """
    from pipelines.kubeflow.pipeline_file import parse_value

    sources = sources or []
    known = kfp.definitions()
    parameters: dict[str, Any] = {}
    for entry in given:
        name, equals, text = entry.partition("=")
        if not equals:
            raise LidloopError(f"--parameter {entry!r} does not have the form NAME=VALUE")
        if name in parameters or name in ("sources", "run"):
            raise LidloopError(f"the parameter {name} is given twice, or has an option of its own")
        parameters[name] = parse_value(text, known.get(name, {}))
    known = {name: value for name, value in parameters.items() if name in declared(RunSettings)}
    if isinstance(known.get("shards"), list):
        del known["shards"]  # as the pipeline takes them: 0/2, 1/2
    if problems := list(type_problems(RunSettings, known)):
        raise SettingsError([(name, f"{name} {text}, not {known[name]!r}") for name, text in problems])
    RemoteSettings(sources=tuple(sources), **from_json(RunSettings, known))
    if isinstance(parameters.get("shards"), int):
        parameters["shards"] = list(shard_names(parameters["shards"]))
    return {"sources": list(sources), **parameters}


def fingerprint_from_here(sources: Sequence[str] | None, run: str) -> str:
    """Fingerprint of sources in an object store; the run's name if it cannot be computed on this machine."""
    if not sources or not all(is_stored(parse_source(source).place) for source in sources):
        return run
    try:
        return fingerprint(sources)
    except StoreError as error:
        say(
            f"sources cannot be listed from this machine; the run reads them again: {error}",
            err=True,
        )
        return run


def print_request(
    kfp: KubeflowHost, parameters: Mapping[str, Any], run: str, experiment: str, *, whole: bool
) -> None:
    """Print the request of a dry run as JSON; ``whole`` includes the compiled pipeline."""
    request = kfp.describe(parameters, run=run)
    content = {"host": kfp.host, "experiment": experiment, "run": run, "request": request}
    if not whole:
        spec = request.pop("pipeline_spec", None)
        content["pipeline"] = f"{len(json.dumps(spec)):,} bytes; --json shows them" if spec else "on the host"
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))

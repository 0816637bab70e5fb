"""``lidloop compile``: the loop as a file that Kubeflow Pipelines takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lidloop.errors import LidloopError, doing
from lidloop.files import refuse_foreign_file
from pipelines.cli.options import option
from pipelines.cluster_file import example, read_cluster
from pipelines.kfp_import import import_kfp
from pipelines.settings import RunSettings

_HEADER = b"# PIPELINE DEFINITION"  # first line of what KFP compiles


def compile_command(
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT.yaml", help="The file to write.", show_default=False)
    ] = None,
    iterations: Annotated[int, option("iterations")] = RunSettings.iterations,
    cluster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="What the cluster gives to the steps: images, GPUs, memory, volumes, Secrets, retries.",
        ),
    ] = None,
    image: Annotated[
        str,
        typer.Option(
            help="Image of the steps, where no cluster says more.", show_default="lidloop/steps:VERSION"
        ),
    ] = "",
    print_cluster: Annotated[
        bool, typer.Option("--print-cluster", help="Print a file for --cluster with all settings, and stop.")
    ] = False,
) -> None:
    """Compile the loop for Kubeflow Pipelines.

    The number of iterations and what the cluster gives are fixed here; all else is a parameter of the
    pipeline, with a default and a description on the host's page.

    [bold]Examples[/bold]

    $ lidloop compile --print-cluster > cluster.yaml

    $ lidloop compile loop.yaml --cluster cluster.yaml --iterations 6
    """
    if print_cluster:
        typer.echo(example(), nl=False)
        return
    if out is None:
        raise LidloopError("give the file to write: lidloop compile OUT.yaml")
    write_pipeline(out, iterations=iterations, cluster=cluster, image=image)
    typer.echo(out)


def write_pipeline(out: Path, *, iterations: int, cluster: Path | None = None, image: str = "") -> None:
    """Write the compiled pipeline.

    Raises:
        OccupiedError: where ``out`` is a file that is not a compiled pipeline, such as the settings.
        LidloopError: where KFP is not installed, or the cluster's settings cannot be.
    """
    with doing(f"write the pipeline {out}"):
        refuse_foreign_file(out, lambda head: head.startswith(_HEADER), what="a compiled pipeline")
    settings = None if cluster is None else read_cluster(cluster)
    if settings and image:
        raise LidloopError("give --cluster, which names the images, or --image")
    try:
        import_kfp()
        from pipelines.refinement import IMAGE, compile_pipeline

        compile_pipeline(out, iterations, image=image or IMAGE, cluster=settings)
    except ImportError as error:
        raise LidloopError(f"compiling needs KFP ({error}): pip install 'lidloop[pipeline]'") from error

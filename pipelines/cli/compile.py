"""``lidloop compile``: write the loop as a pipeline file for Kubeflow Pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components.image import IMAGE
from lidloop.cli.console import say
from lidloop.cli.paths import path
from lidloop.errors import LidloopError, doing
from lidloop.files import refuse_foreign_file
from pipelines.cli.options import option
from pipelines.cluster_file import example, read_cluster
from pipelines.kfp_import import import_kfp
from pipelines.settings import RunSettings

_HEADER = b"# PIPELINE DEFINITION"  # first line of what KFP compiles


def compile_command(
    out: Annotated[
        Path | None,
        typer.Argument(parser=path, metavar="OUT.yaml", help="The file to write.", show_default=False),
    ] = None,
    iterations: Annotated[int, option("iterations")] = RunSettings.iterations,
    cluster: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="FILE.yaml",
            help="Settings of the cluster: images, GPUs, memory, volumes, Secrets, retries.",
        ),
    ] = None,
    image: Annotated[
        str,
        typer.Option(help="Image of the steps, without --cluster.", show_default="lidloop/steps:VERSION"),
    ] = "",
    print_cluster: Annotated[
        bool, typer.Option("--print-cluster", help="Print a file for --cluster with all settings, and stop.")
    ] = False,
) -> None:
    """Compile the loop for Kubeflow Pipelines.

    The number of iterations and the settings of the cluster are fixed in the file; everything else is a
    parameter of the pipeline with a default and a description.

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
    say(out)


def write_pipeline(out: Path, *, iterations: int, cluster: Path | None = None, image: str = "") -> None:
    """Write the compiled pipeline.

    Raises:
        OccupiedError: if ``out`` is a file that is not a compiled pipeline, such as the settings.
        LidloopError: if KFP is not installed, the settings are invalid, or the file cannot be written.
    """
    with doing(f"write the pipeline {out}"):
        refuse_foreign_file(out, lambda head: head.startswith(_HEADER), what="a compiled pipeline")
    settings = None if cluster is None else read_cluster(cluster)
    if settings and image:
        raise LidloopError("give --cluster, which names the images, or --image")
    try:
        import_kfp()
        from pipelines.refinement import compile_pipeline

        with doing(f"write the pipeline {out}"):
            compile_pipeline(out, iterations, image=image or IMAGE, cluster=settings)
    except ImportError as error:
        raise LidloopError(f"compiling needs KFP ({error}): pip install 'lidloop[pipeline]'") from error

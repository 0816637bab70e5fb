"""Root of the command line ``lidloop``, and the one place where errors become a line on stderr.

Other packages add their commands through the entry-point group ``lidloop.commands``: each entry is a
function that takes the root app. Commands of a package that is not installed are absent.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from lidloop import __version__
from lidloop.cli import console
from lidloop.cli.convert import convert
from lidloop.cli.detect import detect
from lidloop.cli.evaluate import evaluate
from lidloop.cli.exporter import exporter
from lidloop.cli.labels import labels_app
from lidloop.cli.quantise import quantise
from lidloop.cli.registry import registry_app
from lidloop.cli.report import report
from lidloop.cli.review import review_app
from lidloop.cli.store import store_app
from lidloop.cli.synthesize import synthesize
from lidloop.errors import LidloopError, doing

app = typer.Typer(
    name="lidloop",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Grow facial-landmark labels by training, predicting and training again; keep the model of every "
    "iteration in a registry; measure eyelids with the best one.\n\n"
    "New here? [bold]lidloop demo[/bold] runs the whole loop on drawn faces in a few minutes.\n\n"
    "Your own images: [bold]lidloop run --source ibug:DIR --out runs/mine[/bold].",
)
for command in (convert, evaluate, detect, quantise, report, synthesize):
    app.command()(command)
app.add_typer(registry_app)
app.add_typer(store_app)
app.add_typer(review_app)
app.add_typer(labels_app)
app.command()(exporter)

_OPTIONAL = ("kfp", "bentoml", "pyarrow", "pipelines", "serving")
"""Packages that an image may leave out: its other commands work without them."""

logger = logging.getLogger("lidloop")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log more to stderr, and the stack of an error.")
    ] = False,
) -> None:
    """Options of every command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    console.set_up_logging(verbose=verbose)


def main() -> None:
    """Run the command line. An error that the user can correct is one line on stderr and exit status 1."""
    console.prepare_streams()
    add_other_commands()
    try:
        with doing(f"run {_command(sys.argv)}"):
            _run()
    except LidloopError as error:
        logger.debug("the stack of the error below", exc_info=True)
        console.fail(error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        sys.exit("error: datasets need pyarrow, which an image for serving leaves out: pip install pyarrow")


def _run() -> None:
    """Run the app and flush stdout, so that a full disk behind it is noticed here."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # as with `| head`: nobody reads any more
        console.discard_stdout()
        sys.exit(1)
    except OSError:
        console.discard_stdout()
        raise


def _command(arguments: list[str]) -> str:
    """The command as a person knows it: ``lidloop registry list``."""
    words = []
    for word in arguments[1:]:
        if word.startswith("-"):
            break
        words.append(word)
    names = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    groups = {group.typer_instance.info.name for group in app.registered_groups if group.typer_instance}
    if words and words[0] in names:
        return f"`lidloop {words[0]}`"
    return f"`lidloop {' '.join(words[:2])}`" if words and words[0] in groups else "lidloop"


def add_other_commands() -> None:
    """Add the commands of the installed packages of the entry-point group ``lidloop.commands``."""
    for entry in entry_points(group="lidloop.commands"):
        try:
            register = entry.load()
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in _OPTIONAL:
                continue
            raise
        register(app)

"""Output of the command line: tables, lines, progress bars and logging that survive pipes and any encoding.

Text of users (names, paths, messages) is printed as it is: neither rich's markup (``[v1]``) nor its emoji
codes (``:smile:``) are interpreted, and control characters are shown as escapes.
"""

from __future__ import annotations

import codecs
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from lidloop.errors import one_line, printable

Update = Callable[[int, int], None]
"""Called with what is done and what there is in all."""

_UNLIMITED: Final = 100_000
"""Columns where nobody's screen limits them."""
_ENCODABLE: Final = "lidloop.encodable"
_ASCII: Final = {
    "★": "*", "–": "-", "—": "-", "…": "...", "±": "+-", "→": "->", "✓": "v", "×": "x", "·": "-", "²": "2",
    "≥": ">=", "≤": "<=", "µ": "u", "°": " deg",
}  # fmt: skip
"""Our own typographic characters, for terminals that do not have them."""


def console(*, stderr: bool = False, markup: bool = False) -> Console:
    """Console for stdout, or for stderr, that prints text as it is and cuts nothing where it is piped.

    Args:
        stderr: print to stderr.
        markup: interpret rich's markup; the caller escapes what comes from users.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNLIMITED
    return Console(stderr=stderr, markup=markup, emoji=False, highlight=False, width=width)


def say(text: object, *, err: bool = False) -> None:
    """Print one line; control characters in it are escaped."""
    # Not typer.echo: it sends UTF-8 to a terminal that says it is ASCII.
    print(printable(str(text)), file=sys.stderr if err else sys.stdout, flush=err)


def fail(error: BaseException) -> None:
    """Print an error as one line on stderr."""
    line = Text("error: ", style="bold red")
    line.append(one_line(str(error)), style="not bold default")
    console(stderr=True).print(line, soft_wrap=True)


def new_table(*headers: str, right: tuple[str, ...] = (), lines: bool = True) -> Table:
    """Table without rows; nothing in its cells is cut.

    Args:
        headers: one for each column; all empty for a table without a header.
        right: headers of the columns that are aligned to the right.
        lines: draw lines around the header and the columns.
    """
    table = Table(show_header=any(headers)) if lines else Table(show_header=any(headers), box=None)
    for header in headers:
        justify: Literal["left", "right"] = "right" if header in right else "left"
        table.add_column(printable(header), justify=justify, overflow="fold")
    return table


def add_row(table: Table, *cells: object) -> None:
    """Add a row; control characters in its cells are escaped. A ``Text`` keeps its style."""
    table.add_row(*(cell if isinstance(cell, Text) else printable(str(cell)) for cell in cells))


@contextmanager
def progress(what: str, *, unit: Literal["count", "bytes"] = "count") -> Iterator[Update]:
    """Progress bar on stderr, removed at the end. Where stderr is not a terminal it shows nothing.

    Args:
        what: what is counted, in a word or two.
        unit: whether numbers are shown as counts, or as bytes with their speed.
    """
    amounts = (
        (MofNCompleteColumn(),) if unit == "count" else (DownloadColumn(), TransferSpeedColumn())
    )  # fmt: skip
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *amounts, TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def set_up_logging(*, verbose: bool) -> None:
    """Send log records to stderr: wrapped on a terminal, one line each elsewhere."""
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(
            console=console(stderr=True), show_path=False, show_time=False, show_level=verbose
        )
    else:
        handler = logging.StreamHandler()
    handler.setFormatter(_Printable())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lidloop").setLevel(logging.DEBUG if verbose else logging.INFO)


class _Printable(logging.Formatter):
    """The message alone, its control characters escaped; a stack trace keeps its lines."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))


def prepare_streams() -> None:
    """Let stdout and stderr print any text whatever their encoding.

    A character that the encoding lacks becomes an ASCII likeness where it is one of lidloop's own symbols,
    else its JSON escape (``\\u60a3``), so that printed JSON stays valid.
    """
    codecs.register_error(_ENCODABLE, _encodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "surrogateescape":
            stream.reconfigure(errors=_ENCODABLE)


def _encodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or json.dumps(c)[1:-1] for c in characters), error.end


def discard_stdout() -> None:
    """Send what is left of stdout nowhere, so that Python's own flush at the end does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

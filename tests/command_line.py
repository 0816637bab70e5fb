"""The ``lidloop`` command line in the process of a test: starting Python anew takes seconds."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from lidloop.cli import main


def lidloop(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``lidloop`` with these arguments from its entry point, with its logging and its handling of errors.

    Returns:
        exit status, stdout and stderr, as ``subprocess.run`` gives them.
    """
    command = ["lidloop", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    arguments_of = mock.patch.object(sys, "argv", command)
    with _own_logging(), _own_commands(), arguments_of, redirect_stdout(out), redirect_stderr(err):
        try:
            main.main()
            status: object = 0
        except SystemExit as end:
            status = end.code
    if isinstance(status, str):
        err.write(f"{status}\n")
    code = status if isinstance(status, int) else int(status is not None)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


@contextmanager
def _own_logging() -> Iterator[None]:
    """Give the command loggers without handlers, and restore those of the test."""
    root, ours = logging.getLogger(), logging.getLogger("lidloop")
    before = root.handlers[:], root.level, ours.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:], root.level = before[0], before[1]
        ours.setLevel(before[2])


@contextmanager
def _own_commands() -> Iterator[None]:
    """Remove the commands that ``main`` adds from entry points."""
    commands, groups = main.app.registered_commands[:], main.app.registered_groups[:]
    try:
        yield
    finally:
        main.app.registered_commands[:], main.app.registered_groups[:] = commands, groups

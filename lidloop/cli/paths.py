"""Parsers for path options: ``typer.Option(parser=path)``. They expand ``~`` in every spelling.

A shell expands ``--out ~/set`` itself, but not ``--out=~/set`` and not the value of an environment variable.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

from lidloop.errors import printable
from lidloop.files import expand_user


def path(value: str | Path) -> Path:
    """Path of a file or folder on this machine.

    Raises:
        typer.BadParameter: for an empty path, which a shell makes of a variable that is not set, and for a
            path of Windows.
    """
    text = str(value)
    _refuse_empty(text)
    _refuse_windows(text)
    return expand_user(value)


def place(value: str) -> str:
    """Path or address (``s3://…``, ``https://…``, ``sqlite:///…``), as text. Addresses stay as they are.

    Raises:
        typer.BadParameter: as ``path``.
    """
    _refuse_empty(value)
    _refuse_windows(value)
    return os.path.expanduser(value)


def optional_place(value: str) -> str:
    """Path or address as ``place``, or the empty text for none.

    Raises:
        typer.BadParameter: as ``path``.
    """
    return place(value) if value else ""


def _refuse_empty(text: str) -> None:
    if not text.strip():
        raise typer.BadParameter("the path is empty")


def _refuse_windows(text: str) -> None:
    drive = len(text) > 2 and text[0].isascii() and text[0].isalpha() and text[1] == ":" and text[2] in "\\/"
    if os.sep == "/" and drive and text[2:4] != "//" and not os.path.exists(text):
        raise typer.BadParameter(
            f"{printable(text)} is a path of Windows; give the folder as this system names it, such as "
            f"/mnt/{text[0].lower()}/…"
        )

"""Kinds of places of runs that other packages know. Light: every start of the command line imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from lidloop.exporter.figures import RunsReading


class Readable(Protocol):
    """A place of runs."""

    def read(self) -> RunsReading:
        """Read it now."""


OPENERS: Final[dict[str, Callable[[str], Readable]]] = {}
"""How such places are opened, by what stands before the colon of their address, or is all of it. A package
that knows a kind enters it here; it is given what stands after the colon."""

"""Registry of openers for locations of runs, filled by other packages.

Imported at every start of the command line, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from lidloop.exporter.figures import RunsReading


class Readable(Protocol):
    """Location of runs that can be read."""

    def read(self) -> RunsReading:
        """Read all runs."""


OPENERS: Final[dict[str, Callable[[str], Readable]]] = {}
"""Openers by scheme: the part of an address before the colon, or the whole address. A package adds its scheme
here; the opener gets the part after the colon."""

"""Termination message of a step's container, in which Kubernetes reports the step's error."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from lidloop.errors import cause

FILE: Final = Path("/dev/termination-log")
"""File whose text Kubernetes takes as the container's termination message; elsewhere it does not exist. Argo
adds that text to the error of the failed step, which ``lidloop status`` and KFP's web page show."""

_LONGEST: Final = 2000
"""Bytes of a message; Kubernetes cuts one off at 4096."""


def report(line: str) -> None:
    """Make a line the container's termination message; without Kubernetes nothing is written."""
    if not FILE.is_file():
        return
    try:
        FILE.write_bytes(line.encode()[:_LONGEST])
    except OSError as error:
        logging.getLogger("lidloop").warning("%s cannot be written: %s", FILE, cause(error))

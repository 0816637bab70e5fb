"""Name of the run that a step belongs to, and its own folder where runs share a place."""

from __future__ import annotations

import os
from typing import Final

from lidloop.errors import LidloopError

RUN_ID: Final = "LIDLOOP_RUN_ID"
"""Environment variable with the id of the run; a cluster sets it for every step, different for every run."""


def run_name(given: str) -> str:
    """Return the run's name in the registry: the given one, else its id on the cluster.

    Raises:
        LidloopError: if there is neither.
    """
    name = given or os.environ.get(RUN_ID, "")
    if not name:
        raise LidloopError(f"the run has no name; give the parameter run, or set {RUN_ID}")
    return name


def checkpoint_place(checkpoints: str, iteration: int) -> str | None:
    """Return the folder or ``s3://`` address of an iteration's checkpoints; None for none.

    On a cluster all runs share a volume or bucket. Each run has its own folder there, so that none resumes
    the training of another.
    """
    if not checkpoints:
        return None
    place, mark, parameters = checkpoints.partition("?") if "://" in checkpoints else (checkpoints, "", "")
    parts = (place.rstrip("/"), os.environ.get(RUN_ID, ""), f"iteration-{iteration}")
    return "/".join(part for part in parts if part) + mark + parameters

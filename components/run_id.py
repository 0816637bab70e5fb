"""Which run a step belongs to, where runs share what a step writes to."""

from __future__ import annotations

import os
from typing import Final

from lidloop.errors import LidloopError

RUN_ID: Final = "LIDLOOP_RUN_ID"
"""Environment variable with the id of the run, which a cluster sets on every step; another for every run."""


def run_name(given: str) -> str:
    """The run's name in the registry: the one given, else its id on the cluster.

    Raises:
        LidloopError: where there is neither.
    """
    name = given or os.environ.get(RUN_ID, "")
    if not name:
        raise LidloopError(f"the run has no name; give the parameter run, or set {RUN_ID}")
    return name


def own_place(checkpoints: str, iteration: int) -> str | None:
    """Where an iteration keeps what a killed training needs, folder or ``s3://`` address; None for nowhere.

    On a cluster runs share a volume or bucket: each has a place of its own there, so that none resumes
    another's.
    """
    if not checkpoints:
        return None
    place, mark, parameters = checkpoints.partition("?") if "://" in checkpoints else (checkpoints, "", "")
    parts = (place.rstrip("/"), os.environ.get(RUN_ID, ""), f"iteration-{iteration}")
    return "/".join(part for part in parts if part) + mark + parameters

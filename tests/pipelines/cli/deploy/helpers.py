"""Names and helpers of the tests of `lidloop deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import Result

from components.kserve.state import PREFIX
from lidloop.errors import LidloopError
from tests.servers.kserve import Place

ROOT = Path(__file__).parents[4]
MODELS = "s3://hospital/models/lidloop"
NAME = "lidloop-serving"


def done(result: Result) -> str:
    """Return the output of a command that succeeded."""
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(result: Result) -> str:
    """Return the message of a command that failed with a LidloopError."""
    assert isinstance(result.exception, LidloopError), (result.output, result.exception)
    return str(result.exception)


def serves(place: Place) -> dict[str, Any]:
    """Return address and version of the InferenceService's model, and its canary."""
    spec = place.service()["spec"]
    notes = place.service()["metadata"]["annotations"]
    model = spec["predictor"]["model"]
    found = {"uri": model["storageUri"].removeprefix(MODELS), "version": notes.get(PREFIX + "version")}
    if spec.get("canary"):
        entry = spec["canary"][0]
        found["canary"] = (
            entry["predictor"]["model"]["storageUri"].removeprefix(MODELS), entry["trafficPercent"]
        )  # fmt: skip
    return found

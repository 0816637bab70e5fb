"""One step of the compiled pipeline in a container, as KFP starts it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.images.podman import HARDENED, Podman

PIPELINE: Final = Path(__file__).parents[2] / "pipelines" / "compiled" / "refinement.yaml"
USER: Final = 10001
Made = dict[str, Path]
Artifacts = Mapping[str, Path | Sequence[Path]]


class Steps:
    """Runs steps in an image.

    Args:
        podman: where the image is.
        tag: the image.
        folder: what steps read and write; mounted where it is, and theirs from now on.
    """

    def __init__(self, podman: Podman, tag: str, folder: Path) -> None:
        self._podman, self._tag, self._folder = podman, tag, folder
        self._pipeline = next(yaml.load_all(PIPELINE.read_text(), yaml.CSafeLoader))
        give(folder)

    def run(self, name: str, artifacts: Artifacts, **parameters: Any) -> tuple[Made, dict[str, Any]]:
        """Run a step.

        Args:
            name: the step's, as in the pipeline.
            artifacts: places of its input artifacts.
            parameters: values of its input parameters.

        Returns:
            Places of its output artifacts, and values of its output parameters.

        Raises:
            AssertionError: where it failed.
        """
        component = self._pipeline["components"][f"comp-{name.replace('_', '-')}"]
        executor = self._pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        place = self._folder / name
        place.mkdir()
        give(place)
        given = component["inputDefinitions"].get("artifacts", {})
        outputs = component["outputDefinitions"]
        made = {output: place / output for output in outputs.get("artifacts", {})}
        values = {output: place / f"{output}.txt" for output in outputs.get("parameters", {})}
        result = place / "executor_output.json"
        message = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {
                    key: {"artifacts": [_artifact(key, path, given[key]) for path in _all(paths)]}
                    for key, paths in artifacts.items()
                },
            },
            "outputs": {
                "artifacts": {
                    key: {"artifacts": [_artifact(key, path, outputs["artifacts"][key])]}
                    for key, path in made.items()
                },
                "parameters": {key: {"outputFile": str(path)} for key, path in values.items()},
                "outputFile": str(result),
            },
        }
        words = [*executor["command"], *executor["args"]]
        words = [word.replace("{{$}}", json.dumps(message)) for word in words]
        self._podman(
            "run", "--rm", *HARDENED, "--network=none", "--tmpfs=/tmp:mode=1777", "--shm-size=512m",
            f"--volume={self._folder}:{self._folder}", self._tag, *words, timeout=600,
        )  # fmt: skip
        returned = json.loads(result.read_text()).get("parameterValues", {}) if result.exists() else {}
        read = {key: path.read_text() for key, path in values.items() if path.exists()}
        return made, {**read, **returned}


def give(folder: Path) -> None:
    """Make a folder, and what is in it, that of the user whom steps run as."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)


def _all(paths: Path | Sequence[Path]) -> Sequence[Path]:
    return [paths] if isinstance(paths, Path) else paths


def _artifact(name: str, path: Path, definition: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "uri": str(path), "type": definition["artifactType"], "metadata": {}}

"""Objects that helm and kustomize render, for tests; and what to do where either is missing."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.tools import cluster_tools

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "lidloop"
VALUES: Final = {path.stem.removeprefix("values-"): path for path in sorted(CHART.glob("values-*.yaml"))}
"""Values files by name."""

Object = dict[str, Any]


class RenderError(Exception):
    """Output of helm or kubectl that ended with an error."""


class _StrictLoader(yaml.CSafeLoader):
    """Refuses a key that is there twice, of which YAML's loaders silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"keys twice in one mapping: {sorted(twice)}{node.start_mark}")
        return super().construct_mapping(node, deep)  # type: ignore[no-untyped-call]


def load_all(text: str) -> list[Object]:
    """All objects of a YAML stream.

    Raises:
        yaml.YAMLError: for broken YAML, or a key twice in one mapping.
    """
    return [item for item in yaml.load_all(text, _StrictLoader) if item is not None]


def program(name: str) -> str:
    """Path of helm or kubectl. Without it the test is skipped; in CI it fails, for there a skip hides it."""
    path = cluster_tools.find(name)
    if path is None:
        reason = f"there is no {name}: `make cluster-tools` says why"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def run(name: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run helm or kubectl.

    Raises:
        RenderError: with what it said, where it refused.
    """
    done = subprocess.run(
        [program(name), *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )
    if done.returncode:
        raise RenderError(done.stderr.strip() or done.stdout.strip())
    return done


def template(
    values: str | None = None,
    changes: dict[str, Any] | None = None,
    *,
    release: str = "lidloop",
    namespace: str = "lidloop",
    chart: Path = CHART,
) -> list[Object]:
    """Objects of the chart.

    Args:
        values: name of a values file (``VALUES``).
        changes: values that go before those of the file.
        release: name of the release.
        namespace: namespace of the release.
        chart: the chart's folder.

    Raises:
        RenderError: where helm refuses.
    """
    return load_all(_template(values, json.dumps(changes or {}), release, namespace, chart))


@cache
def _template(values: str | None, changes: str, release: str, namespace: str, chart: Path) -> str:
    arguments: list[str | Path] = ["template", release, chart, "--namespace", namespace]
    if values is not None:
        arguments += ["--values", VALUES[values]]
    return run("helm", *arguments, "--values", "-", input=changes).stdout


@cache
def _kustomize(folder: Path) -> str:
    return run("kubectl", "kustomize", folder).stdout


def kustomize(folder: Path) -> list[Object]:
    """Objects of a kustomization.

    Raises:
        RenderError: where kubectl refuses.
    """
    return load_all(_kustomize(folder))


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of a kind (and name)."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}"
    return found[0]


def kinds(objects: list[Object]) -> set[tuple[str, str]]:
    """Kind and name of all objects."""
    return {(o["kind"], o["metadata"]["name"]) for o in objects}

"""One version: the package, the lock file, the chart, the images, the changelog and the citation agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from lidloop import __version__

ROOT = Path(__file__).parents[1]


def locked_version() -> str:
    """Version of lidloop in uv.lock."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    [found] = [package["version"] for package in packages if package["name"] == "lidloop"]
    return str(found)


def test_package_and_lock_file_have_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["version"], locked_version()) == (__version__, __version__)


@pytest.mark.parametrize("field", ["version", "appVersion"])
def test_chart_has_the_version_of_the_package(field: str) -> None:
    chart = yaml.safe_load((ROOT / "charts" / "lidloop" / "Chart.yaml").read_text())
    assert chart[field] == __version__


@pytest.mark.parametrize("path", ["serving/Dockerfile", "components/Dockerfile"])
def test_dockerfile_has_the_version_of_the_package(path: str) -> None:
    assert re.findall(r"^ARG VERSION=(.*)$", (ROOT / path).read_text(), re.MULTILINE) == [__version__]


def test_images_of_the_overlays_have_the_version_of_the_package() -> None:
    text = (ROOT / "k8s" / "overlays" / "production" / "cluster.yaml").read_text()
    assert re.findall(r"lidloop/steps:([\d.]+)", text) == [__version__, __version__]


def test_changelog_begins_with_the_version_of_the_package() -> None:
    """An ``Unreleased`` section may stand above it."""
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == __version__
    numbers = [tuple(map(int, release.split("."))) for release in releases]
    assert numbers == sorted(set(numbers), reverse=True)


def test_citation_has_the_version_of_the_package() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__

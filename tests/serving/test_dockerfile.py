"""The serving image's Dockerfile: rules that hold without building it, and what the chart expects of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lidloop import __version__
from serving.settings import Settings
from tests.images.dockerfile import problems, read

ROOT = Path(__file__).parents[2]
FILE = ROOT / "serving" / "Dockerfile"
TEXT = FILE.read_text()
IMAGE = read(TEXT).image("serving")


def test_it_keeps_the_rules() -> None:
    assert problems(read(TEXT), ("serving",)) == []


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("there is no hadolint for this platform")
    done = subprocess.run([hadolint, FILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_that_trains_is_installed() -> None:
    [installs] = [value for name, value in read(TEXT).stages["dependencies"].body if "uv sync" in value]
    assert "--no-install-package pyarrow" in installs
    [extras] = [value for name, value in read(TEXT).stages["dependencies"].body if value.startswith("EXTRAS")]
    assert extras == 'EXTRAS="--extra serve --extra store"'


def test_it_is_the_version_that_it_says() -> None:
    assert ("ARG", f"VERSION={__version__}") in IMAGE


def test_it_runs_as_whom_the_chart_runs_it() -> None:
    helpers = (ROOT / "charts" / "lidloop" / "templates" / "_helpers.tpl").read_text()
    user, group = next(value for name, value in IMAGE if name == "USER").split(":")
    assert f"runAsUser: {user}\n" in helpers
    assert f"runAsGroup: {group}\n" in helpers


def test_its_settings_are_settings() -> None:
    [values] = [value for name, value in IMAGE if name == "ENV"]
    given = dict(word.split("=", 1) for word in values.split())
    settings = Settings.read(given)
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    assert ("EXPOSE", str(settings.port)) in IMAGE
    assert given["PYTHONDONTWRITEBYTECODE"] == "1"
    assert given["HOME"] == "/tmp"


def test_values_name_the_image() -> None:
    values = yaml.safe_load((ROOT / "charts" / "lidloop" / "values.yaml").read_text())
    assert values["serving"]["image"]["repository"] == "lidloop/serving"

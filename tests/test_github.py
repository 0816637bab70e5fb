"""Files that GitHub reads: they name what is in the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
MANIFESTS = {
    "uv": "uv.lock",
    "docker": "Dockerfile",
    "github-actions": ".github/workflows",
    "npm": "package.json",
}
"""File or folder that Dependabot looks for, by ecosystem."""


def read(name: str) -> dict[str, Any]:
    """Parse a YAML file of ``.github``."""
    content: dict[str, Any] = yaml.safe_load((GITHUB / name).read_text())
    return content


def test_workflow_runs_the_ci_script() -> None:
    steps = [step for job in read("workflows/ci.yml")["jobs"].values() for step in job["steps"]]
    scripts = [step["run"] for step in steps if "run" in step]
    assert scripts == [".ci/run"]
    assert os.access(ROOT / scripts[0], os.X_OK)


def test_workflow_may_only_read() -> None:
    assert read("workflows/ci.yml")["permissions"] == {"contents": "read"}


def test_dependabot_finds_what_it_updates() -> None:
    for entry in read("dependabot.yml")["updates"]:
        for folder in entry.get("directories", [entry.get("directory")]):
            path = ROOT / folder.lstrip("/") / MANIFESTS[entry["package-ecosystem"]]
            assert path.exists(), path


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_issue_form_asks_for_no_patient_data(form: str) -> None:
    """The reporter must confirm it before the issue is sent."""
    boxes = [part for part in read(f"ISSUE_TEMPLATE/{form}.yml")["body"] if part["type"] == "checkboxes"]
    assert [option["required"] for box in boxes for option in box["attributes"]["options"]] == [True]

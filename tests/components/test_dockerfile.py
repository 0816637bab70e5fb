"""Rules of the steps' Dockerfile and of both images' tools, checked without a build."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from components.image import IMAGE
from tests.images.dockerfile import problems, read

ROOT = Path(__file__).parents[2]
FILE = ROOT / "components" / "Dockerfile"
STEPS = read(FILE.read_text())
SERVING = read((ROOT / "serving" / "Dockerfile").read_text())


def test_the_dockerfile_keeps_the_rules() -> None:
    assert problems(STEPS, ("cpu", "gpu")) == []


def test_hadolint_reports_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("there is no hadolint for this platform")
    done = subprocess.run([hadolint, FILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_there_is_no_entry_point(target: str) -> None:
    """KFP's local runner passes the command as arguments, which would go to an entry point."""
    assert "ENTRYPOINT" not in {name for name, _ in STEPS.image(target)}


def test_the_tag_is_the_version() -> None:
    assert ("ARG", f"VERSION={IMAGE.rpartition(':')[2]}") in STEPS.image("gpu")


def test_only_the_gpu_image_has_torch() -> None:
    extras = {
        name: set(re.findall(r"--extra (\w+)", " ".join(value for _, value in STEPS.stages[name].body)))
        for name in ("cpu-dependencies", "gpu-dependencies")
    }
    assert extras["gpu-dependencies"] - extras["cpu-dependencies"] == {"train"}
    assert extras["cpu-dependencies"] < extras["gpu-dependencies"]


def test_both_images_have_the_same_base_and_tools() -> None:
    assert STEPS.arguments == SERVING.arguments
    common = len(STEPS.stages["tools"].body)
    assert STEPS.stages["tools"].body == SERVING.stages["dependencies"].body[:common]


def test_copied_files_are_in_the_build_context() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for dockerfile in (STEPS, SERVING):
        for stage in dockerfile.stages.values():
            for name, value in stage.body:
                if name == "COPY" and not value.startswith("--from="):
                    *sources, _ = value.split()
                    assert set(sources) <= kept, value
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_build_requirements_are_those_of_the_lock_file() -> None:
    """`make build-requirements.txt` writes the file from uv.lock; hashes must match."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {package["name"]: package for package in lock}
    text = (ROOT / "build-requirements.txt").read_text()
    entries = re.findall(r"^([\w.-]+)==(\S+)[^\n]*\\\n((?:    --hash=\S+(?: \\)?\n)+)", text, re.MULTILINE)
    for name, version, hashes in entries:
        package = locked[name]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        assert version == package["version"]
        assert set(re.findall(r"sha256:\w+", hashes)) <= {file["hash"] for file in files}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["images"]
    assert {re.split(r"[><=~!]", one)[0] for one in wanted} <= {name for name, _, _ in entries}
    assert len(entries) == text.count("==")

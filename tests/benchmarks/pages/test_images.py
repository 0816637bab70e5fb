from __future__ import annotations

import re

from benchmarks.common import DOCS
from benchmarks.pages.images import DOCKERFILE, page
from tests.images.dockerfile import read

MACHINE = {"cpu": "a processor", "cores": 2}


def test_figures_that_were_not_measured_are_dashes() -> None:
    rows = {"serving": {"measured": "2026-01-02", "size_mb": 650, "ready_s": 2.5, "build_s": None}}
    text = page({"machine": MACHINE, "images": rows}, DOCKERFILE.read_text())
    assert "| serving | 650 | – | – | 2.5 | – | – | – |" in text


def test_targets_and_build_arguments_of_the_page_exist() -> None:
    text = (DOCS / "IMAGES.md").read_text()
    for folder, target in re.findall(r"docker build -f (\w+)/Dockerfile(?: --target (\w+))?", text):
        found = read((DOCS.parent / folder / "Dockerfile").read_text())
        assert (target or folder) in found.stages
    declared = {value.split("=")[0] for name, value in read(DOCKERFILE.read_text()).image("serving")}
    for name in ("BASE", "VERSION", "REVISION", "SOURCE"):
        assert f"`{name}`" in text
        assert name in declared

"""The page about images: figures that were measured, and what can be checked of its words."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.common import DATA
from benchmarks.pages.images import DOCKERFILE, images_page, render
from tests.images.dockerfile import read

ROOT = Path(__file__).parents[3]
MACHINE = {"cpu": "a processor", "cores": 2}


def test_a_row_for_each_image_with_a_dash_for_what_was_not_measured() -> None:
    rows = {"serving": {"measured": "2026-01-02", "size_mb": 650, "ready_s": 2.5, "build_s": None}}
    page = render({"machine": MACHINE, "images": rows}, DOCKERFILE.read_text())
    assert "| serving | 650 | – | – | 2.5 | – | – | – |" in page
    assert "Measured 2026-01-02 on 2 cores" in page


def test_nothing_measured_no_page(tmp_path: Path) -> None:
    assert images_page(tmp_path) is None


def test_the_page_names_targets_and_arguments_that_there_are() -> None:
    page = render({"machine": MACHINE, "images": {"x": {"measured": ""}}}, DOCKERFILE.read_text())
    for house, target in re.findall(r"docker build -f (\w+)/Dockerfile(?: --target (\w+))?", page):
        found = read((ROOT / house / "Dockerfile").read_text())
        assert (target or house) in found.stages
    declared = {value.split("=")[0] for name, value in read(DOCKERFILE.read_text()).image("serving")}
    for name in ("BASE", "VERSION", "REVISION", "SOURCE"):
        assert f"`{name}`" in page
        assert name in declared


def test_the_kept_page_is_the_one_that_its_figures_make() -> None:
    stored = json.loads((ROOT / "docs" / DATA / "images.json").read_text())
    assert (ROOT / "docs" / "IMAGES.md").read_text() == render(stored, DOCKERFILE.read_text())

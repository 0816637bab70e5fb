"""Every step is a small file around one library call that imports without the library's dependencies."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from kfp import dsl

from components.image import IMAGE

FOLDER = Path(__file__).parents[2] / "components"
STEPS = (
    *("convert", "train", "auto_label", "nms_filter", "evaluate", "register", "promote", "deploy", "report"),
)
HELPERS = ("__init__", "first_weights", "image", "run_id", "step", "termination")
LIGHT = {"kfp", "components", "typing", "__future__", "lidloop"}
STANDARD_OF_HELPERS = {
    "collections",
    "contextlib",
    "dataclasses",
    "json",
    "logging",
    "os",
    "pathlib",
    "re",
    "sys",
    "time",
}


def test_every_file_is_a_step_or_a_helper() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == {*STEPS, *HELPERS}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_a_file_is_small_and_light_to_import(file: Path) -> None:
    source = file.read_text()
    assert len(source.splitlines()) < 150
    tree = ast.parse(source)
    modules = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    heavy = {name for name in modules if name.split(".")[0] not in LIGHT | STANDARD_OF_HELPERS}
    assert not heavy, "a step imports what it needs inside its function"
    deep = {name for name in modules if name.startswith("lidloop.")}
    assert deep <= {"lidloop.errors"}, "the library is imported inside the step"


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_one_component_in_our_image(name: str) -> None:
    step = getattr(importlib.import_module(f"components.{name}"), name)
    container = step.component_spec.implementation.container
    assert container.image == IMAGE
    command = " ".join(map(str, container.command))
    assert "pip install" not in command, "the image holds all that a step needs"
    assert step.component_spec.description, "KFP's interface shows the docstring"


@pytest.mark.parametrize("name", STEPS)
def test_every_input_and_output_is_described(name: str) -> None:
    step = getattr(importlib.import_module(f"components.{name}"), name)
    text = inspect.getdoc(step.python_func) or ""
    missing = [p for p in inspect.signature(step.python_func).parameters if f"\n    {p}: " not in text]
    assert not missing


@pytest.mark.parametrize("name", STEPS)
def test_a_step_takes_its_iteration_from_the_pipeline(name: str) -> None:
    step = getattr(importlib.import_module(f"components.{name}"), name)
    inputs = step.component_spec.inputs
    assert ("iteration" in inputs) == (name not in ("convert", "deploy", "report"))
    assert issubclass(type(step), dsl.base_component.BaseComponent)

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path
from typing import Any, List  # noqa: UP035 - KFP does not know list[str]

import pytest
import yaml

from components.auto_label import auto_label
from components.convert import convert
from components.evaluate import evaluate
from components.nms_filter import nms_filter
from components.promote import promote
from components.register import register
from components.report import report
from components.train import train
from lidloop.autolabel.refine import refine
from lidloop.autolabel.stopping import judge
from lidloop.data.convert import convert as convert_sources
from lidloop.errors import TrainingError
from lidloop.training.fine_tune import TrainSettings
from pipelines.parameters import declared
from pipelines.refinement import OWN_PARAMETERS, build_pipeline, compile_pipeline
from pipelines.settings import RunSettings

GOLDEN = Path(__file__).parents[2] / "pipelines" / "compiled" / "refinement.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "three.yaml"
    compile_pipeline(path, 3)
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def steps_of(component: dict[str, Any], components: dict[str, Any]) -> list[str]:
    """Return the component names of all steps below a component."""
    found: list[str] = []
    for task in component.get("dag", {}).get("tasks", {}).values():
        name = task["componentRef"]["name"]
        found += steps_of(components[name], components) if "dag" in components[name] else [name]
    return found


def test_the_compiled_pipeline_is_the_one_in_the_repository(tmp_path: Path) -> None:
    fresh = tmp_path / "refinement.yaml"
    compile_pipeline(fresh)
    assert fresh.read_text() == GOLDEN.read_text(), (
        "the pipeline changed: look at the difference, then "
        "`lidloop compile pipelines/compiled/refinement.yaml`"
    )


def test_every_iteration_has_every_step(compiled: dict[str, Any]) -> None:
    steps = steps_of(compiled["root"], compiled["components"])
    counts = Counter(re.sub(r"-\d+$", "", name.removeprefix("comp-")) for name in steps)
    assert counts.pop("convert") == 1
    each = ("train", "auto-label", "nms-filter", "evaluate", "register", "promote", "report")
    assert counts == dict.fromkeys(each, 3)


def test_every_possible_last_iteration_ends_with_one_report(compiled: dict[str, Any]) -> None:
    """At every branch, one side is only the report and the other the next iteration."""
    components = compiled["components"]
    forks = [c for name, c in components.items() if name.startswith("comp-condition-branches")]
    assert len(forks) == 2
    for fork in forks:
        sides = [
            steps_of(components[t["componentRef"]["name"]], components) for t in fork["dag"]["tasks"].values()
        ]
        ends = [side for side in sides if len(side) == 1]
        assert len(sides) == 2
        assert len(ends) == 1
        assert ends[0][0].startswith("comp-report")


def test_later_iterations_start_from_the_previous_model(compiled: dict[str, Any]) -> None:
    tasks = {}
    for component in [compiled["root"], *compiled["components"].values()]:
        tasks.update(component.get("dag", {}).get("tasks", {}))
    assert "previous" not in tasks["train"]["inputs"]["artifacts"]
    for name in ("train-2", "train-3"):
        assert "previous" in tasks[name]["inputs"]["artifacts"]


def test_every_parameter_is_described_and_set_by_a_local_run(
    compiled: dict[str, Any], tmp_path: Path
) -> None:
    parameters = compiled["root"]["inputDefinitions"]["parameters"]
    assert not [name for name, entry in parameters.items() if not entry.get("description")]
    settings = RunSettings(sources=(f"ibug:{tmp_path}",), base_weights="yolov8n-pose.pt")
    assert set(settings.parameters(out=tmp_path, run="r")) == set(parameters)


def test_the_literal_signature_agrees_with_the_declared_parameters() -> None:
    """KFP reads names, types and defaults from the function's text; they are declared in ``RunSettings``."""
    signature = inspect.signature(build_pipeline(1).pipeline_func).parameters
    known = declared(RunSettings)
    only_here = {"run", "checkpoints", "pictures", "sources_fingerprint"}
    only_on_one_machine = {"iterations", "gpus"}
    assert set(signature) - only_here == set(known) - only_on_one_machine
    for name, literal in signature.items():
        if name in only_here | {"shards", "registry"}:
            continue
        assert literal.annotation == (List[str] if known[name].is_list else known[name].kind), name  # noqa: UP006
        expected = inspect.Parameter.empty if known[name].is_required else known[name].default
        assert literal.default == (list(expected) if known[name].is_list else expected), name


def test_the_descriptions_in_kfp_are_the_declared_help_texts(compiled: dict[str, Any]) -> None:
    described = compiled["root"]["inputDefinitions"]["parameters"]
    for name, known in declared(RunSettings).items():
        if name in described and name not in OWN_PARAMETERS:
            assert described[name]["description"] == known.declaration.help


def test_the_steps_literal_signatures_agree_with_the_declared_parameters() -> None:
    known = declared(RunSettings)
    seen = set()
    for step in (auto_label, convert, evaluate, nms_filter, promote, register, report, train):
        for name, literal in inspect.signature(step.python_func).parameters.items():
            if name in known:
                seen.add(name)
                assert literal.annotation == (List[str] if known[name].is_list else known[name].kind), name  # noqa: UP006
                assert literal.default is inspect.Parameter.empty, name
    assert seen == set(known) - {"iterations", "gpus", "shards"}


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (convert_sources, {"split", "seed", "keep_splits"}),
        (refine, {"conf", "iou", "retention", "paper_exact"}),
        (judge, {"min_growth", "max_loss"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_library_has_the_same_defaults(function: Any, names: set[str]) -> None:
    literal = inspect.signature(function).parameters
    assert {n: literal[n].default for n in names} == {n: declared(RunSettings)[n].default for n in names}


@pytest.mark.parametrize("name", ["epochs", "imgsz", "batch", "patience"])
def test_the_library_refuses_the_same_training_settings(name: str) -> None:
    known = declared(RunSettings)[name]
    least = int(known.declaration.minimum or 0)
    for value in (-1, 0, 1, 31, 32, 64, 65, 96, least - 1, least):
        refused = False
        try:
            TrainSettings(**{name: value})
        except TrainingError:
            refused = True
        assert refused == (known.problem(value) is not None), value


def test_image_replaces_the_image_of_all_steps(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    compile_pipeline(path, 1, image="registry.example/steps:2")
    executors = yaml.safe_load(path.read_text())["deploymentSpec"]["executors"]
    assert {e["container"]["image"] for e in executors.values()} == {"registry.example/steps:2"}


def test_zero_iterations_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least one iteration"):
        build_pipeline(0)

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.refinement import build_pipeline, compile_pipeline
from pipelines.settings import RunSettings

GOLDEN = Path(__file__).parents[2] / "pipelines" / "compiled" / "refinement.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "three.yaml"
    compile_pipeline(path, 3)
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def steps_of(component: dict[str, Any], components: dict[str, Any]) -> list[str]:
    """Every executed step below a component, by the name of its component."""
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


def test_whichever_iteration_is_the_last_ends_with_one_report(compiled: dict[str, Any]) -> None:
    """At every branching, one side is the report alone and the other holds the next iteration."""
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


def test_later_iterations_start_from_the_model_before(compiled: dict[str, Any]) -> None:
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


def test_defaults_are_those_of_a_local_run(tmp_path: Path) -> None:
    settings = RunSettings(sources=(f"ibug:{tmp_path}",))
    given = settings.parameters(out=tmp_path, run="r")
    own = {"sources", "registry", "run", "checkpoints", "sources_fingerprint"}
    parameters = inspect.signature(build_pipeline(1).pipeline_func).parameters
    assert {n: p.default for n, p in parameters.items() if n not in own} == {
        n: v for n, v in given.items() if n not in own
    }


def test_the_image_of_all_steps_can_be_another(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    compile_pipeline(path, 1, image="registry.example/steps:2")
    executors = yaml.safe_load(path.read_text())["deploymentSpec"]["executors"]
    assert {e["container"]["image"] for e in executors.values()} == {"registry.example/steps:2"}


def test_a_loop_without_iterations_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one iteration"):
        build_pipeline(0)

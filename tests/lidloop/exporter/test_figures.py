"""Tests of the conversion of readings, also damaged ones, to samples."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.drift import compare, guards, watch
from lidloop.evaluation.intervals import share_of
from lidloop.exporter import figures as tested
from lidloop.exporter.families import BY_NAME
from lidloop.exporter.figures import LabelRecord, RegistryReading, RunRecord, RunsReading, Samples, figures
from lidloop.registry.versions import ModelVersion
from lidloop.review.tally import Tally, Verdicts
from tests.lidloop.exporter.conftest import LABELS, entry, watched


def version(iteration: int, *, run: str = "r", number: int | None = None, **changes: Any) -> ModelVersion:
    values: dict[str, Any] = {
        "version": str(iteration + 1 if number is None else number), "run": run, "iteration": iteration,
        "parent": None, "champion": False, "dataset": "d", "label_version": iteration, "labels": LABELS,
        "gold": {"nme_mean": 0.5, "recall": 0.25}, "created": "2026-01-05T10:00:00+00:00",
        "model": f"model-{run}-{iteration}", "bundle": "b", "mlflow_run": "m",
    }  # fmt: skip
    return ModelVersion(**(values | changes))


def made(registry: RegistryReading | None, runs: RunsReading | None = None, iterations: int = 100) -> Samples:
    return figures(registry, runs, model="m", iterations=iterations)


def evaluation(iteration: int) -> dict[str, Any]:
    return {**entry(iteration), "iterations": [entry(k) for k in range(iteration + 1)]}


def test_pairs_guards_and_levels_equal_those_of_the_drift_package() -> None:
    assert all(f'"{pair}": {{' in (watch.__doc__ or "") for pair in tested.PAIRS)
    assert tuple(field.name for field in fields(guards.Limits)) == tested.GUARDS
    assert tested.LEVELS == compare.LEVELS


def test_samples_of_a_run_of_three_iterations() -> None:
    versions = [version(0, champion=True), version(1), version(2)]
    reading = RegistryReading(versions, {"1": evaluation(0), "3": evaluation(2)}, watched(2))
    found = made(reading).values
    assert found["labels"]["m", "train", "human", "2"] == 80
    assert found["labels"]["m", "train", "grown", "3"] == 30, "what the newest iteration made"
    assert found["evaluation"]["m", "1", "gold", "nme"] == pytest.approx(0.049)
    assert found["evaluation"]["m", "1", "paper", "nme"] == pytest.approx(0.098)
    assert found["evaluation"]["m", "0", "gold", "mse_px2"] == 12.5
    assert found["source_lid_error_ratio"]["m", "2", "helen"] == pytest.approx(0.012)
    assert found["champion_info"] == {("m", "1", "0", "r"): 1}
    assert found["champion_evaluation"]["m", "gold", "nme"] == pytest.approx(0.05)
    assert found["candidate_evaluation"]["m", "gold", "nme"] == pytest.approx(0.048)
    assert found["label_drift"]["m", "human_grown", "yaw", "psi"] == 0.3
    assert found["label_drift_pvalue"]["m", "human_grown", "yaw"] == 0.004
    assert found["label_drift_level"]["m", "reference_current", "box_size"] == 2
    assert found["guard_tripped"]["m", "grown_share"] == 0
    assert found["last_run_timestamp_seconds"] == {("m",): 1767607200.0}
    assert "runs_running" not in found
    assert "last_run_failed" not in found


def test_iterations_are_those_of_the_newest_run() -> None:
    versions = [version(0, run="old"), version(1, run="old"), version(0, run="new", number=3)]
    found = made(RegistryReading(versions)).values
    assert {labels[1] for labels in found["evaluation"]} == {"0"}
    assert {labels[3] for labels in found["labels"]} == {"0"}


def test_metrics_come_from_the_tags_if_the_evaluation_is_missing() -> None:
    found = made(RegistryReading([version(0)])).values
    assert found["evaluation"] == {("m", "0", "gold", "nme"): 0.5, ("m", "0", "gold", "recall"): 0.25}
    assert "label_drift" not in found
    assert "guard" not in found


def run(state: str, ended: float | None) -> RunRecord:
    return RunRecord("a", state, ended)


@pytest.mark.parametrize(
    ("runs", "timestamp", "failed", "running"),
    [
        pytest.param([run("done", 5.0), run("failed", 9.0)], 9.0, 1, 0, id="the newest"),
        pytest.param([run("done", 5.0), run("running", None)], 5.0, 0, 1, id="one works"),
        pytest.param([run("stopped", 5.0)], 5.0, 0, 0, id="a person's stop is no failure"),
        pytest.param([run("", 5.0)], 5.0, None, None, id="a bucket does not tell states"),
        pytest.param(
            [run("", 7.0), run("failed", 6.0)],
            6.0,
            1,
            0,
            id="runs with a state take precedence",
        ),
        pytest.param([], None, None, 0, id="none yet"),
    ],
)
def test_runs(runs: list[RunRecord], timestamp: Any, failed: Any, running: Any) -> None:
    found = made(None, RunsReading(runs)).values
    assert found.get("last_run_timestamp_seconds", {}).get(("m",)) == timestamp
    assert found.get("last_run_failed", {}).get(("m",)) == failed
    assert found.get("runs_running", {}).get(("m",)) == running


def test_a_label_version_is_assigned_to_the_iteration_of_its_model() -> None:
    counts = {"train": {"human": 80, "grown": 7}, "val": {"human": 20, "grown": 3}}
    mine = LabelRecord(1, "model-r-0", counts, {"grown": 10, "overlaps-label": 90, "human": 5})
    other = LabelRecord(1, "model-other-0", {"train": {"human": 1}}, {"grown": 1})
    runs = RunsReading([RunRecord("x", "done", 1.0, (mine, other, LabelRecord(0, "", counts, {})))])
    found = made(RegistryReading([version(0)]), runs).values
    assert found["labels"]["m", "train", "grown", "1"] == 7
    assert found["labels"]["m", "train", "human", "0"] == 80, "version 0 comes from the registry"
    assert found["filter_predictions"] == {
        ("m", "0", "grown"): 10, ("m", "0", "overlaps-label"): 90,
    }  # fmt: skip


def reviewed(version: int, models: dict[str, str], *counts: Tally) -> LabelRecord:
    return LabelRecord(version, "", {}, {}, counts, models)


def test_reviewed_faces_and_the_share_of_wrong_labels_by_iteration() -> None:
    models = {"0": "model-r-0", "1": "model-r-1"}
    first = reviewed(3, models, Tally(0, "grown", Verdicts(1, 0, 9, 0)))
    last = reviewed(
        4, models, Tally(0, "grown", Verdicts(confirmed=90, corrected=4, declined=6, open=2)),
        Tally(1, "grown", Verdicts(confirmed=30, declined=20)), Tally(1, "dropped", Verdicts(confirmed=3)),
    )  # fmt: skip
    other = reviewed(9, {"0": "model-other-0"}, Tally(0, "grown", Verdicts(declined=100)))
    runs = RunsReading([RunRecord("x", "done", 1.0, (last, first)), RunRecord("y", "done", 2.0, (other,))])
    found = made(RegistryReading([version(0), version(1)]), runs).values
    counts = found["reviewed_faces"]
    assert {labels[3]: n for labels, n in counts.items() if labels[1:3] == ("0", "grown")} == {
        "confirmed": 90, "corrected": 4, "declined": 6, "open": 2,
    }  # fmt: skip
    assert counts["m", "1", "dropped", "confirmed"] == 3
    shares = found["wrong_labels_ratio"]
    assert [shares["m", "0", bound] for bound in tested.BOUNDS] == list(share_of(10, 100)[:3])
    assert [shares["m", "1", bound] for bound in tested.BOUNDS] == list(share_of(20, 50)[:3])
    rise = found["wrong_labels_rise_ratio"]
    assert rise["m", "value"] == pytest.approx(0.3)
    assert 0.1 < rise["m", "low"] < 0.3 < rise["m", "high"]


def test_a_rise_needs_two_iterations_with_decided_labels() -> None:
    models = {"0": "model-r-0", "1": "model-r-1"}
    one = reviewed(2, models, Tally(0, "grown", Verdicts(1, 1)), Tally(1, "grown", Verdicts(open=4)))
    found = made(RegistryReading([version(0), version(1)]), RunsReading([RunRecord("x", "", 1.0, (one,))]))
    assert set(found.values["wrong_labels_ratio"]) == {("m", "0", bound) for bound in tested.BOUNDS}
    assert "wrong_labels_rise_ratio" not in found.values


def test_the_number_of_series_is_bounded() -> None:
    many = 300
    sources = tuple(f"source{k}" for k in range(50))
    history = [entry(k, sources) for k in range(many)]
    features = {f"f{k}": watched(0)["pairs"]["human_grown"]["features"]["yaw"] for k in range(500)}
    pairs = {pair: {"faces": [1, 2], "features": features} for pair in tested.PAIRS}
    reading = RegistryReading(
        [version(k) for k in range(many)],
        {str(many): {**history[-1], "iterations": history}},
        watched(many - 1, pairs=pairs, guards={f"g{k}": {"value": 1} for k in range(99)}),
    )
    found = made(reading, iterations=100)
    count = {name: len(values) for name, values in found.values.items()}
    assert count["labels"] == 101 * 4
    assert count["evaluation"] == 100 * 2 * 4
    assert count["source_lid_error_ratio"] == 100 * tested.MAX_SOURCES
    assert min(int(labels[1]) for labels in found.values["evaluation"]) == 200, "the newest ones"
    assert {labels[2] for labels in found.values["source_lid_error_ratio"]} == set(sources[-20:])
    assert count["label_drift"] == 3 * tested.MAX_FEATURES * 3
    assert "guard" not in count
    assert len(found) < 100 * (4 + 24 + tested.MAX_SOURCES + 7) + 1000


@pytest.mark.parametrize(
    "watch",
    [
        {"pairs": None, "guards": None},
        {"pairs": {"human_grown": None}},
        {"pairs": {"human_grown": {"faces": "many", "features": {"yaw": None, "roll": {"psi": "large"}}}}},
        {"guards": {"grown_share": {"value": None, "threshold": float("nan"), "tripped": "yes"}}},
        {"made": {"labels": {"train": 7}}},
        {"pairs": {"human_grown": {"features": {"yaw": {"level": "awful", "ks": float("inf")}}}}},
    ],
    ids=["null", "a null pair", "texts", "a guard of nothing", "no counts", "unknown level"],
)
def test_damaged_content_has_no_series(watch: dict[str, Any]) -> None:
    found = made(RegistryReading([version(0)], {"1": {"gold": [], "iterations": {}}}, watch)).values
    assert not {name for name in found if name.startswith(("label_drift", "guard"))}
    assert {labels[3] for labels in found["labels"]} == {"0"}


def test_label_values_contain_no_path_and_no_line_break() -> None:
    samples = Samples()
    samples.add("source_lid_error_ratio", "m", 0, "/home/a\nb/c:d" * 20, value=1)
    (key,) = samples.values["source_lid_error_ratio"]
    assert "/" not in key[2]
    assert "\n" not in key[2]
    assert len(key[2]) == 80


def test_a_wrong_number_of_labels_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="does not have 1 labels"):
        Samples().add("labels", "m", value=1)


KEYS = (
    "pairs", "guards", "made", "labels", "train", "features", "iterations", "gold", "by_source", "overall",
    "human_grown", "grown_share", "faces",
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_arbitrary_json_content_raises_no_error(content: Any) -> None:
    reading = RegistryReading([version(0, labels=content)], {"1": content}, content)
    for name, values in made(reading).values.items():
        assert all(len(labels) == len(BY_NAME[name].labels) for labels in values)

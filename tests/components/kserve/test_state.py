from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kserve.rollout import planned, promoted, rolled_back
from components.kserve.state import KEPT, PREFIX, DeployError, Model, State, deployment_of, document, read

ONE, TWO, THREE = (Model(str(k), f"s3://b/models/{k}", str(k) * 64) for k in (1, 2, 3))
versions = st.integers(1, 999).map(lambda k: Model(str(k), f"s3://b/models/{k}", f"{k:064x}"))


def item(uri: str = ONE.uri, **annotations: str) -> dict[str, Any]:
    """Return an InferenceService as the chart makes it."""
    return {
        "metadata": {"name": "s", "namespace": "n", "annotations": annotations},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "lidloop"},
                    "storageUri": uri,
                    "env": [{"name": "OTHER", "value": "x"}],
                }
            }
        },
    }


def applied(there: dict[str, Any], state: State) -> dict[str, Any]:
    """Return the object after server-side apply of the state, without other field managers."""
    ours, made = document(there, state), copy.deepcopy(there)
    notes = made["metadata"]["annotations"]
    for key in [key for key in notes if key.startswith(PREFIX)]:
        del notes[key]
    notes |= ours["metadata"].get("annotations", {})
    model = made["spec"]["predictor"]["model"]
    model["storageUri"] = ours["spec"]["predictor"]["model"]["storageUri"]
    names = {entry["name"] for entry in ours["spec"]["predictor"]["model"].get("env", [])}
    names.add("LIDLOOP_MODEL_VERSION")
    model["env"] = [entry for entry in model["env"] if entry["name"] not in names]
    model["env"] += ours["spec"]["predictor"]["model"].get("env", [])
    made["spec"].pop("canary", None)
    if "canary" in ours["spec"]:
        made["spec"]["canary"] = ours["spec"]["canary"]
    return made


@given(
    stable=versions,
    canary=st.none() | versions,
    percent=st.integers(0, 100),
    earlier=st.lists(versions, max_size=KEPT),
)
def test_a_state_is_read_as_it_was_written(
    stable: Model, canary: Model | None, percent: int, earlier: list[Model]
) -> None:
    state = State(stable, canary, percent if canary else 0, tuple(earlier))
    assert read(applied(item(), state)) == state


@given(deployed=st.lists(versions, min_size=1, max_size=2 * KEPT))
def test_rollback_goes_back_as_many_models_as_are_recorded(deployed: list[Model]) -> None:
    there = item("s3://b/models/0")
    line = [read(there).stable]
    for model in deployed:
        before, after = planned(there, model)
        if after != before:
            line.append(model)
        there = applied(there, after)
    for model in line[:-1][::-1][:KEPT]:
        there = applied(there, rolled_back(read(there)))
        assert read(there).stable == model
    with pytest.raises(DeployError, match="no model before"):
        rolled_back(read(there))


@pytest.mark.parametrize(
    ("uri", "version", "why"),
    [
        ("s3://b/models/7", "7", "the last part is a number"),
        ("s3://b/models/7/", "7", "a final slash is ignored"),
        ("s3://b/models/v7", "", "not a version number"),
        ("pvc://claim/7", "7", "any scheme"),
    ],
)
def test_without_annotations_the_version_comes_from_the_address(uri: str, version: str, why: str) -> None:
    state = read(item(uri))
    assert (state.stable, state.marked) == (Model(version, uri), False), why
    assert "annotations" not in document(item(uri), state)["metadata"]


def test_annotations_of_another_model_are_ignored() -> None:
    there = applied(item(), State(TWO, earlier=(ONE,)))
    there["spec"]["predictor"]["model"]["storageUri"] = THREE.uri
    state = read(there)
    assert (state.stable, state.earlier) == (Model("3", THREE.uri), ())


def test_a_canary_is_a_copy_of_the_model_with_another_address() -> None:
    there = item()
    made = document(there, State(ONE, TWO, 20))["spec"]["canary"][0]
    assert made["trafficPercent"] == 20
    assert made["predictor"]["name"] == "v2"
    model = made["predictor"]["model"]
    assert model["modelFormat"] == {"name": "lidloop"}
    assert model["storageUri"] == TWO.uri
    assert model["env"] == [{"name": "OTHER", "value": "x"}, {"name": "LIDLOOP_MODEL_VERSION", "value": "2"}]
    assert there == item(), "the input is not changed"


def test_names_of_deployments() -> None:
    there = item()
    assert deployment_of(there) == "s-predictor"
    assert deployment_of(there, TWO) == "s-v2-predictor"
    there["spec"]["predictor"]["name"] = "v1"
    assert deployment_of(there) == "s-v1-predictor", "a named predictor"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i["spec"]["predictor"].pop("model"), "not of lidloop's chart"),
        (lambda i: i["spec"].update(canary=[{}, {}]), "canaries that .* did not make"),
        (
            lambda i: i["metadata"]["annotations"].update(
                {PREFIX + "uri": ONE.uri, PREFIX + "earlier": "no list"}
            ),
            "lidloop/earlier of InferenceService s is damaged",
        ),
    ],
)
def test_an_unknown_or_damaged_object_is_rejected(change: Any, message: str) -> None:
    there = item()
    change(there)
    with pytest.raises(DeployError, match=message):
        read(there)


@pytest.mark.parametrize(
    ("state", "model", "percent", "message"),
    [
        (State(ONE, TWO, 10), THREE, None, "a canary, version 2, runs"),
        (State(ONE, TWO, 10), THREE, 10, "another canary, version 2, runs"),
        (State(ONE), ONE, 10, "serves already"),
        (State(Model("1", ONE.uri + "/"), marked=False), ONE, 10, "serves already"),
        (State(ONE), TWO, 101, "0 to 100 percent"),
    ],
)
def test_impossible_changes_are_rejected(
    state: State, model: Model, percent: int | None, message: str
) -> None:
    with pytest.raises(DeployError, match=message):
        planned(applied(item(), state), model, percent=percent)


def test_promotion_makes_the_canary_stable() -> None:
    assert promoted(State(ONE, TWO, 10)) == State(TWO, earlier=(ONE,))
    half = State(TWO, TWO, 10, earlier=(ONE,))
    assert promoted(half) == State(TWO, earlier=(ONE,)), "an interrupted promotion is completed"
    with pytest.raises(DeployError, match="no canary runs"):
        promoted(State(ONE))


def test_a_state_is_json() -> None:
    made = State(ONE, TWO, 10, earlier=(THREE,)).to_dict()
    assert json.loads(json.dumps(made))["canary"] == {
        "version": "2",
        "uri": TWO.uri,
        "digest": "2" * 64,
        "percent": 10,
    }

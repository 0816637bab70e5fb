"""Which model an InferenceService serves, and the fields of it that are ours. Pure.

Ours are ``predictor.model.storageUri``, the variable that tells the server its version, the list ``canary``
and the annotations ``lidloop/…``; everything else is the chart's. KServe copies an InferenceService's
annotations to its pods, so ours change only together with the model: else pods would restart for nothing.

In KServe's Standard mode ``canaryTrafficPercent`` is ignored without a word. Since 0.20 the mode has a list
of its own, ``spec.canary``: each entry becomes a Deployment ``NAME-ENTRY-predictor``, made of the stable
predictor's fields with the entry's over them, and the HTTPRoute that KServe makes splits the traffic.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lidloop.errors import LidloopError

Object = Mapping[str, Any]

API_VERSION: Final = "serving.kserve.io/v1beta1"
KIND: Final = "InferenceService"
PREFIX: Final = "lidloop/"
SOURCE: Final = "internal.serving.kserve.io/storage-initializer-sourceuri"
"""Annotation of pods, by KServe: where their model came from."""
CLUSTER_LOCAL: Final = ("networking.kserve.io/visibility", "cluster-local")
VERSION_VARIABLE: Final = "LIDLOOP_MODEL_VERSION"
CONTAINER: Final = "kserve-container"
"""Name that KServe gives, and asks of, the server's container."""
KEPT: Final = 10
"""So many earlier models are remembered to go back to."""


class DeployError(LidloopError):
    """A deployment that cannot be made, was refused, or did not become ready."""


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle where KServe reads it.

    Attributes:
        version: its number in the registry; empty where nothing says it.
        uri: the bundle's prefix, ``s3://BUCKET/PREFIX``.
        digest: SHA-256 of ``bundle.json``; empty where nothing says it.
    """

    version: str
    uri: str
    digest: str = ""

    def __str__(self) -> str:
        return f"version {self.version}" if self.version else f"the model at {self.uri}"


@dataclass(frozen=True, slots=True)
class State:
    """What an InferenceService serves.

    Attributes:
        stable: the model that serves.
        canary: the model that is tried beside it, or None.
        percent: share of the traffic that goes to the canary, 0 to 100.
        earlier: what was stable before, oldest first.
        marked: whether ``stable`` was set by us: only then its version is written into the annotations.
        reported: where it was not, the version that the object tells the server; empty for none.
    """

    stable: Model
    canary: Model | None = None
    percent: int = 0
    earlier: tuple[Model, ...] = ()
    marked: bool = True
    reported: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "stable": _plain(self.stable),
            "canary": None if self.canary is None else {**_plain(self.canary), "percent": self.percent},
            "earlier": [_plain(model) for model in self.earlier],
        }


def read(item: Object) -> State:
    """What an InferenceService serves.

    Raises:
        DeployError: where it is of another kind than the chart makes, or ours in it is damaged.
    """
    name, spec = item["metadata"]["name"], item["spec"]
    uri = spec.get("predictor", {}).get("model", {}).get("storageUri")
    if not uri:
        raise DeployError(
            f"InferenceService {name} has no predictor.model.storageUri, so it is none of lidloop's chart; "
            "name another with --name"
        )
    notes = item["metadata"].get("annotations") or {}
    marked = notes.get(PREFIX + "uri") == uri
    # Where somebody else changed the address since, as `helm upgrade` may, what is noted is of another model.
    stable = _noted(notes) if marked else Model(_number(uri), uri)
    try:
        earlier = (
            tuple(Model(**row) for row in json.loads(notes.get(PREFIX + "earlier", "[]"))) if marked else ()
        )
    except (TypeError, ValueError) as error:
        raise DeployError(
            f"the annotation {PREFIX}earlier of InferenceService {name} is damaged; remove it with "
            f"`kubectl annotate inferenceservice {name} {PREFIX}earlier-`"
        ) from error
    reported = "" if marked else _reported(spec["predictor"]["model"])
    entries = spec.get("canary") or []
    if len(entries) > 1 or (entries and not entries[0]["predictor"].get("model", {}).get("storageUri")):
        raise DeployError(
            f"InferenceService {name} has canaries that lidloop did not make; remove them first"
        )
    if not entries:
        return State(stable, earlier=earlier, marked=marked, reported=reported)
    predictor = entries[0]["predictor"]
    there = predictor["model"]["storageUri"]
    own = predictor.get("annotations") or {}
    canary = _noted(own) if own.get(PREFIX + "uri") == there else Model(_number(there), there)
    return State(stable, canary, int(entries[0]["trafficPercent"]), earlier, marked, reported)


def document(item: Object, state: State) -> dict[str, Any]:
    """The fields that are ours, for server-side apply: what is left out here and was ours is removed.

    Args:
        item: the InferenceService as it is; a canary is a copy of its model.
        state: what it is to serve.
    """
    metadata = {key: item["metadata"][key] for key in ("name", "namespace")}
    made: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    model: dict[str, Any] = {"storageUri": state.stable.uri}
    if state.marked:
        earlier = json.dumps([_plain(entry) for entry in state.earlier])
        metadata["annotations"] = {**_notes(state.stable), PREFIX + "earlier": earlier}
    reported = state.stable.version if state.marked else state.reported
    if reported:
        model["env"] = [{"name": VERSION_VARIABLE, "value": reported}]
    made["spec"] = {"predictor": {"model": model}}
    if state.canary is not None:
        made["spec"]["canary"] = [_entry(item, state.canary, state.percent)]
    return made


def canary_name(model: Model) -> str:
    """Name of a canary's predictor: part of the names of its Deployment and Service."""
    return f"v{model.version}"


def deployment_of(item: Object, canary: Model | None = None) -> str:
    """Name of the Deployment, and of the Service, that KServe makes of the stable predictor or a canary."""
    entry = canary_name(canary) if canary else item["spec"]["predictor"].get("name", "")
    name = item["metadata"]["name"]
    return f"{name}-{entry}-predictor" if entry else f"{name}-predictor"


def is_cluster_local(item: Object) -> bool:
    """Whether KServe makes no route to it, so that nothing splits its traffic."""
    label, value = CLUSTER_LOCAL
    return (item["metadata"].get("labels") or {}).get(label) == value


def _entry(item: Object, canary: Model, percent: int) -> dict[str, Any]:
    model = copy.deepcopy(dict(item["spec"]["predictor"]["model"]))
    model["storageUri"] = canary.uri
    model["name"] = model.get("name") or CONTAINER  # a canary's schema requires it; a stable model's does not
    others = [variable for variable in model.get("env", []) if variable["name"] != VERSION_VARIABLE]
    model["env"] = [*others, {"name": VERSION_VARIABLE, "value": canary.version}]
    predictor = {"name": canary_name(canary), "annotations": _notes(canary), "model": model}
    return {"trafficPercent": percent, "predictor": predictor}


def _notes(model: Model) -> dict[str, str]:
    return {PREFIX + key: value for key, value in _plain(model).items()}


def _noted(notes: Mapping[str, str]) -> Model:
    return Model(*(notes.get(PREFIX + key, "") for key in ("version", "uri", "digest")))


def _plain(model: Model) -> dict[str, str]:
    return {"version": model.version, "uri": model.uri, "digest": model.digest}


def _reported(model: Object) -> str:
    found = (entry.get("value", "") for entry in model.get("env") or [] if entry["name"] == VERSION_VARIABLE)
    return str(next(found, ""))


def _number(uri: str) -> str:
    found = re.search(r"(?:^|/)(\d+)/?$", uri)
    return found[1] if found else ""

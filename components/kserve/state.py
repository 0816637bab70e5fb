"""Models of an InferenceService: reading them from its fields, and the fields that set them. Pure.

``lidloop deploy`` owns ``predictor.model.storageUri``, the variable with the model's version, the list
``canary`` and the annotations ``lidloop/…``; the chart owns all other fields. KServe copies an
InferenceService's annotations to its pods, so the annotations change only together with the model: otherwise
the pods would restart without need.

KServe's Standard mode ignores ``canaryTrafficPercent``. Since 0.20 it has the list ``spec.canary``: each
entry becomes a Deployment ``NAME-ENTRY-predictor`` with the stable predictor's fields, overridden by the
entry's, and KServe's HTTPRoute splits the traffic.
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
"""Annotation that KServe sets on pods: the address of their model."""
CLUSTER_LOCAL: Final = ("networking.kserve.io/visibility", "cluster-local")
VERSION_VARIABLE: Final = "LIDLOOP_MODEL_VERSION"
CONTAINER: Final = "kserve-container"
"""Name that KServe requires for the server's container."""
KEPT: Final = 10
"""Number of earlier models that are recorded for a rollback."""


class DeployError(LidloopError):
    """A deployment that is not possible, was refused, or did not become ready."""


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle in the object store that KServe reads.

    Attributes:
        version: its number in the registry; empty if unknown.
        uri: the bundle's prefix, ``s3://BUCKET/PREFIX``.
        digest: SHA-256 of ``bundle.json``; empty if unknown.
    """

    version: str
    uri: str
    digest: str = ""

    def __str__(self) -> str:
        return f"version {self.version}" if self.version else f"the model at {self.uri}"


@dataclass(frozen=True, slots=True)
class State:
    """Models of an InferenceService.

    Attributes:
        stable: the served model.
        canary: the model that runs beside it as a canary, or None.
        percent: share of the traffic of the canary, 0 to 100.
        earlier: earlier stable models, oldest first.
        marked: True if ``lidloop deploy`` set ``stable``; only then the annotations hold its version.
        reported: if it did not, the version in the server's environment variable; empty for none.
    """

    stable: Model
    canary: Model | None = None
    percent: int = 0
    earlier: tuple[Model, ...] = ()
    marked: bool = True
    reported: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "stable": _plain(self.stable),
            "canary": None if self.canary is None else {**_plain(self.canary), "percent": self.percent},
            "earlier": [_plain(model) for model in self.earlier],
        }


def read(item: Object) -> State:
    """Return the state of an InferenceService.

    Raises:
        DeployError: if the chart did not make it, or the annotations are damaged.
    """
    name, spec = item["metadata"]["name"], item["spec"]
    uri = spec.get("predictor", {}).get("model", {}).get("storageUri")
    if not uri:
        raise DeployError(
            f"InferenceService {name} has no predictor.model.storageUri, so it is not of lidloop's chart; "
            "give another with --name"
        )
    notes = item["metadata"].get("annotations") or {}
    marked = notes.get(PREFIX + "uri") == uri
    # If another client changed the address, as `helm upgrade` may, the annotations are about another model.
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
            f"InferenceService {name} has canaries that `lidloop deploy` did not make; remove them first"
        )
    if not entries:
        return State(stable, earlier=earlier, marked=marked, reported=reported)
    predictor = entries[0]["predictor"]
    there = predictor["model"]["storageUri"]
    own = predictor.get("annotations") or {}
    canary = _noted(own) if own.get(PREFIX + "uri") == there else Model(_number(there), there)
    return State(stable, canary, int(entries[0]["trafficPercent"]), earlier, marked, reported)


def document(item: Object, state: State) -> dict[str, Any]:
    """Return the fields for server-side apply; the server removes fields applied earlier and absent now.

    Args:
        item: the present InferenceService; a canary is a copy of its model.
        state: the wanted state.
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
    """Name of a canary's predictor, part of the names of its Deployment and Service."""
    return f"v{model.version}"


def deployment_of(item: Object, canary: Model | None = None) -> str:
    """Name of the Deployment and Service that KServe creates for the stable predictor or a canary."""
    entry = canary_name(canary) if canary else item["spec"]["predictor"].get("name", "")
    name = item["metadata"]["name"]
    return f"{name}-{entry}-predictor" if entry else f"{name}-predictor"


def is_cluster_local(item: Object) -> bool:
    """True if KServe creates no route to it, so that its traffic cannot be split."""
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

"""A stand-in for KServe's controller, and a namespace to work in, on the mock API server or on a live one.

It does what KServe does as far as `lidloop deploy` looks at it: a Deployment for the stable predictor and for
each canary, an HTTPRoute with their shares, and the InferenceService's status. No pod ever runs: a Deployment
that is to be ready wants none, one that is not to be ready wants one that nobody starts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from components.kserve.api import DEPLOYMENTS, ROUTES, SERVICES
from components.kserve.state import SOURCE

Object = dict[str, Any]
MERGE: Final = "application/merge-patch+json"


@dataclass
class Place:
    """A namespace, and a client that may do everything in it.

    Attributes:
        kubeconfig: of who deploys.
        has_routes: whether the server knows HTTPRoutes.
    """

    client: Any
    namespace: str
    kubeconfig: Path
    has_routes: bool = True

    def call(
        self, method: str, kind: tuple[str, str], name: str = "", body: Any = None, *, manager: str = "helm"
    ) -> Any:
        """One call; None where there is no such object."""
        from kubernetes.client import ApiException

        path = f"{kind[0]}/namespaces/{self.namespace}/{kind[1]}" + (f"/{name}" if name else "")
        headers = {
            "Content-Type": MERGE if method == "PATCH" else "application/json",
            "Accept": "application/json",
        }
        try:
            return self.client.call_api(
                path, method, body=body, query_params=[("fieldManager", manager)], header_params=headers,
                response_type="object", auth_settings=["BearerToken"], _return_http_data_only=True,
            )  # fmt: skip
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def service(self, name: str = "lidloop-serving") -> Any:
        """The InferenceService."""
        return self.call("GET", SERVICES, name)


@dataclass
class KServe:
    """The stand-in.

    Attributes:
        never: addresses of models whose pods never become ready.
        broken: addresses of models that KServe says it cannot load, with what it says.
        no_routes: whether it makes no HTTPRoute, as where its Gateway API is off.
    """

    place: Place
    name: str = "lidloop-serving"
    never: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)
    no_routes: bool = False

    def step(self) -> None:
        """Look at the InferenceService once."""
        item = self.place.service(self.name)
        if item is None:
            return
        predictor, canaries = item["spec"]["predictor"], item["spec"].get("canary") or []
        uri = predictor["model"]["storageUri"]
        self._deployment(f"{self.name}-predictor", uri)
        statuses, ready = [], []
        for canary in canaries:
            own, there = canary["predictor"]["name"], canary["predictor"]["model"]["storageUri"]
            self._deployment(f"{self.name}-{own}-predictor", there)
            good = there not in self.never | set(self.broken)
            status = {"name": own, "ready": good, "trafficPercent": canary["trafficPercent"]}
            statuses.append({**status, **self._model(there)})
            ready += [(f"{self.name}-{own}-predictor", canary["trafficPercent"])] if good else []
        if self.place.has_routes and not self.no_routes:
            self._route(ready)
        status = {
            "observedGeneration": item["metadata"]["generation"],
            "conditions": [{"type": "Ready", "status": "True"}],  # by the old pods, while new ones start
            "canaryStatuses": statuses or None,
            "modelStatus": self._model(uri).get("modelStatus"),
        }
        there = item.get("status") or {}
        if any(there.get(key) != value for key, value in status.items()):
            self.place.call("PATCH", SERVICES, f"{self.name}/status", {"status": status})

    def _model(self, uri: str) -> Object:
        if uri not in self.broken:
            return {}
        failure = {"reason": "ModelLoadFailed", "message": self.broken[uri]}
        return {"modelStatus": {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": failure}}

    def _deployment(self, name: str, uri: str) -> None:
        wanted = 1 if uri in self.never | set(self.broken) else 0
        template = {
            "metadata": {"labels": {"app": name}, "annotations": {SOURCE: uri}},
            "spec": {"containers": [{"name": "none", "image": "none"}]},
        }
        spec = {"replicas": wanted, "paused": True, "template": template}
        there = self.place.call("GET", DEPLOYMENTS, name)
        if there is None:
            item = {
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
            }  # fmt: skip
            there = self.place.call("POST", DEPLOYMENTS, body=item)
        elif (_source(there), there["spec"]["replicas"]) != (uri, wanted):
            there = self.place.call("PATCH", DEPLOYMENTS, name, {"spec": spec})
        if (there.get("status") or {}).get("observedGeneration", 0) < there["metadata"]["generation"]:
            status = {"observedGeneration": there["metadata"]["generation"]}
            self.place.call("PATCH", DEPLOYMENTS, f"{name}/status", {"status": status})

    def _route(self, canaries: list[tuple[str, int]]) -> None:
        stable = (f"{self.name}-predictor", 100 - sum(share for _, share in canaries))
        backends = [{"name": name, "port": 80, "weight": share} for name, share in (stable, *canaries)]
        spec = {"rules": [{"backendRefs": backends}]}
        there = self.place.call("GET", ROUTES, stable[0])
        if there is None:
            item = {
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {"name": stable[0]}, "spec": spec,
            }  # fmt: skip
            self.place.call("POST", ROUTES, body=item)
        elif there["spec"]["rules"] != spec["rules"]:
            self.place.call("PATCH", ROUTES, stable[0], {"spec": spec})

    @contextmanager
    def running(self, every: float = 0.02) -> Iterator[KServe]:
        """Keep looking, in a thread."""
        ended = threading.Event()
        errors: list[Exception] = []

        def work() -> None:
            while not ended.wait(every):
                try:
                    self.step()
                except Exception as error:
                    if getattr(error, "status", None) == 503:  # a mood of the mock's
                        continue
                    errors.append(error)
                    return

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
        assert not errors, errors


def _source(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["metadata"].get("annotations", {}).get(SOURCE))

"""Client of the Kubernetes API server for InferenceServices, and the meaning of its error statuses.

It needs ``get`` and ``patch`` of InferenceServices, ``get`` of Deployments and HTTPRoutes and, to create a
first one, ``create`` of InferenceServices and ServingRuntimes; ``docs/DEPLOY.md`` has the Role.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from components.kserve.state import DeployError, Object

MANAGER: Final = "lidloop-deploy"
"""Field manager of server-side apply for the fields that ``lidloop deploy`` sets."""
CREATOR: Final = "lidloop-create"
"""Field manager of all fields of an InferenceService that ``lidloop deploy --create`` makes."""
SERVING: Final = "/apis/serving.kserve.io"
SERVICES: Final = f"{SERVING}/v1beta1", "inferenceservices"
RUNTIMES: Final = f"{SERVING}/v1alpha1", "servingruntimes"
DEPLOYMENTS: Final = "/apis/apps/v1", "deployments"
ROUTES: Final = "/apis/gateway.networking.k8s.io/v1", "httproutes"
_TIMEOUT: Final = (5, 30)
_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Unavailable(DeployError):
    """The API server cannot be reached or cannot answer now; a retry may succeed."""


class Changed(DeployError):
    """The object was changed by another client since it was read."""


class Owned(DeployError):
    """Another field manager owns the fields.

    Attributes:
        managers: names of those managers.
    """

    def __init__(self, message: str, managers: frozenset[str]) -> None:
        super().__init__(message)
        self.managers = managers


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, client: Any, namespace: str) -> None:
        """Use a ``kubernetes.client.ApiClient``; ``open`` makes one."""
        self._client, self.namespace = client, namespace

    @classmethod
    def open(cls, *, kubeconfig: str = "", context: str = "", namespace: str = "") -> Cluster:
        """Connect to the cluster of a kubeconfig; in a pod without a kubeconfig, to the pod's own cluster.

        Args:
            kubeconfig: a file; empty: ``KUBECONFIG``, else ``~/.kube/config``.
            context: of the kubeconfig; empty: its current one.
            namespace: empty: that of the context, else of the pod, else ``lidloop``.

        Raises:
            DeployError: if there is neither, or the Kubernetes client is not installed.
        """
        try:
            from kubernetes import client, config
            from yaml import YAMLError
        except ModuleNotFoundError as error:
            raise DeployError(
                "deploying needs the Kubernetes client: pip install 'lidloop[cluster]'"
            ) from error
        settings = client.Configuration()
        settings.retries = False  # Rollout retries the calls that are safe to repeat
        try:
            named = kubeconfig or os.environ.get("KUBECONFIG")
            if not named and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=settings)
                own = _POD.read_text().strip() if _POD.exists() else ""
            else:
                config.load_kube_config(
                    named or None, context or None, client_configuration=settings, persist_config=False
                )
                contexts, current = config.list_kube_config_contexts(named or None)
                chosen = next((c for c in contexts if c["name"] == context), current)
                own = chosen["context"].get("namespace", "")
        except (config.ConfigException, OSError, YAMLError) as error:
            raise DeployError(
                f"no cluster is configured: {error}; give a kubeconfig with --kubeconfig or KUBECONFIG"
            ) from error
        return cls(client.ApiClient(settings), namespace or own or "lidloop")

    def service(self, name: str) -> Object | None:
        """Return an InferenceService; None if it does not exist.

        Raises:
            DeployError: if the cluster has no KServe, or does not answer.
        """
        return self._get(SERVICES, name, "KServe")

    def runtime(self, name: str) -> Object | None:
        """Return a ServingRuntime; None if it does not exist."""
        return self._get(RUNTIMES, name, "KServe")

    def deployment(self, name: str) -> Object | None:
        """Return a Deployment; None if it does not exist."""
        return self._get(DEPLOYMENTS, name)

    def route(self, name: str) -> Object | None:
        """Return an HTTPRoute; None if it does not exist, or the cluster has no Gateway API."""
        return self._get(ROUTES, name)

    def create(self, item: dict[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object.

        Raises:
            DeployError: if the API server refuses it.
        """
        kind = SERVICES if item["kind"] == "InferenceService" else RUNTIMES
        return self._call("POST", kind, "", body=item, query=_options(CREATOR, dry_run))

    def apply(
        self, document: dict[str, Any], *, seen: Object, dry_run: bool = False, force: bool = False
    ) -> Object:
        """Apply fields of an InferenceService (server-side apply).

        Fields that were applied earlier and are absent now are removed.

        Args:
            document: the fields.
            seen: the object as it was read before.
            dry_run: the server computes and checks the result, and stores nothing.
            force: take over fields of other managers.

        Raises:
            Changed: if it was changed since it was read.
            Owned: if another manager owns a field that would change.
            DeployError: if the API server refuses it.
        """
        metadata = dict(document["metadata"])
        if not dry_run:  # a preview stays valid if the status changes meanwhile
            metadata["resourceVersion"] = seen["metadata"]["resourceVersion"]
        query = [*_options(MANAGER, dry_run), ("force", "true" if force else "false")]
        body = {**document, "metadata": metadata}
        return self._call("PATCH", SERVICES, document["metadata"]["name"], body=body, query=query)

    def _get(self, kind: tuple[str, str], name: str, needed: str = "") -> Object | None:
        try:
            return self._call("GET", kind, name)
        except _NotFound as error:
            if needed and not error.named:
                raise DeployError(f"the cluster has no {kind[1]}: {needed} is not installed") from error
            return None

    def _call(
        self, method: str, kind: tuple[str, str], name: str, *, body: Any = None, query: Any = ()
    ) -> Object:
        path = f"{kind[0]}/namespaces/{self.namespace}/{kind[1]}" + (f"/{name}" if name else "")
        patch = method == "PATCH"
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/apply-patch+yaml" if patch else "application/json",
        }
        with _translated_errors(f"{method} {kind[1]} {name}".strip(), self._client.configuration.host):
            answer: Object = self._client.call_api(
                path, method, query_params=list(query), header_params=headers, body=body,
                response_type="object", auth_settings=["BearerToken"], _return_http_data_only=True,
                _request_timeout=_TIMEOUT,
            )  # fmt: skip
        return answer


class _NotFound(DeployError):
    def __init__(self, message: str, named: bool) -> None:
        super().__init__(message)
        self.named = named


def _options(manager: str, dry_run: bool) -> list[tuple[str, str]]:
    options = [("fieldManager", manager), ("fieldValidation", "Strict")]
    return [*options, ("dryRun", "All")] if dry_run else options


@contextmanager
def _translated_errors(doing: str, host: str) -> Iterator[None]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise refusal(doing, error.status or 0, error.body) from error
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"the API server {host} cannot be reached: {reason}") from error


def refusal(doing: str, status: int, body: Any) -> DeployError:
    """Return the error that an error status of the API server means, from its ``Status`` object."""
    try:
        said = json.loads(body)
    except (TypeError, ValueError):
        said = {}
    said = said if isinstance(said, dict) else {}
    details = said.get("details") or {}
    message = str(said.get("message") or f"status {status}")
    owners = {
        found[1]
        for cause in details.get("causes") or []
        if (found := re.search(r'conflict with "([^"]+)"', str(cause.get("message"))))
    }
    if status == 404:
        return _NotFound(message, bool(details.get("name")))
    if status == 401:
        return DeployError("the API server rejects the credentials (401): they are wrong or have expired")
    if status == 403:
        return DeployError(f"{message}; docs/DEPLOY.md has the Role that `lidloop deploy` needs")
    if status == 409 and owners:
        return Owned(
            f"{', '.join(sorted(owners))} sets the model too, and would reset it; remove the field from its "
            "configuration, or take it over with --force",
            frozenset(owners),
        )
    if status == 409:
        return Changed(message)
    if status == 429 or status >= 502:
        return Unavailable(f"the API server cannot answer now: {message}")
    if "canary" in message and "schema" in message:
        return DeployError(
            "canaries in Standard mode need KServe 0.20 or newer; this cluster has an older one"
        )
    return DeployError(f"the API server refused to {doing}: {message}")

"""The API server's few answers that a deployment needs, and what its refusals mean.

It takes ``get`` and ``patch`` of InferenceServices, ``get`` of Deployments and HTTPRoutes and, to make a
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
"""Our name as the manager of the fields that are ours, for server-side apply."""
CREATOR: Final = "lidloop-create"
"""The manager of all fields of a first InferenceService."""
SERVING: Final = "/apis/serving.kserve.io"
SERVICES: Final = f"{SERVING}/v1beta1", "inferenceservices"
RUNTIMES: Final = f"{SERVING}/v1alpha1", "servingruntimes"
DEPLOYMENTS: Final = "/apis/apps/v1", "deployments"
ROUTES: Final = "/apis/gateway.networking.k8s.io/v1", "httproutes"
_TIMEOUT: Final = (5, 30)
_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Unavailable(DeployError):
    """An API server that cannot be reached or is not able to answer now; another try may do."""


class Changed(DeployError):
    """An object that somebody else changed since it was read."""


class Owned(DeployError):
    """Fields that another manager owns.

    Attributes:
        managers: their names.
    """

    def __init__(self, message: str, managers: frozenset[str]) -> None:
        super().__init__(message)
        self.managers = managers


class Cluster:
    """A namespace of a cluster."""

    def __init__(self, client: Any, namespace: str) -> None:
        """Use a ``kubernetes.client.ApiClient``."""
        self._client, self.namespace = client, namespace

    @classmethod
    def open(cls, *, kubeconfig: str = "", context: str = "", namespace: str = "") -> Cluster:
        """The cluster of a kubeconfig; inside a pod, without one, the pod's own.

        Args:
            kubeconfig: a file; empty: ``KUBECONFIG``, else ``~/.kube/config``.
            context: of the kubeconfig; empty: its current one.
            namespace: empty: that of the context, else of the pod, else ``lidloop``.

        Raises:
            DeployError: where there is neither, or the client is not installed.
        """
        try:
            from kubernetes import client, config
            from yaml import YAMLError
        except ModuleNotFoundError as error:
            raise DeployError(
                "deploying needs the Kubernetes client: pip install 'lidloop[cluster]'"
            ) from error
        settings = client.Configuration()
        settings.retries = False  # ours are at the places where a repeated call is safe
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
                f"no cluster to deploy to: {error}; name a kubeconfig with --kubeconfig or KUBECONFIG"
            ) from error
        return cls(client.ApiClient(settings), namespace or own or "lidloop")

    def service(self, name: str) -> Object | None:
        """An InferenceService; None where there is none.

        Raises:
            DeployError: where the cluster has no KServe, or does not answer.
        """
        return self._get(SERVICES, name, "KServe")

    def runtime(self, name: str) -> Object | None:
        """A ServingRuntime; None where there is none."""
        return self._get(RUNTIMES, name, "KServe")

    def deployment(self, name: str) -> Object | None:
        """A Deployment; None where there is none."""
        return self._get(DEPLOYMENTS, name)

    def route(self, name: str) -> Object | None:
        """An HTTPRoute; None where there is none, or the cluster has no Gateway API."""
        return self._get(ROUTES, name)

    def create(self, item: dict[str, Any], *, dry_run: bool = False) -> Object:
        """Make an object that is not there.

        Raises:
            DeployError: where it is refused.
        """
        kind = SERVICES if item["kind"] == "InferenceService" else RUNTIMES
        return self._call("POST", kind, "", body=item, query=_options(CREATOR, dry_run))

    def apply(
        self, document: dict[str, Any], *, seen: Object, dry_run: bool = False, force: bool = False
    ) -> Object:
        """Apply our fields of an InferenceService; those that we had and that are not in it are removed.

        Args:
            document: the fields.
            seen: the object as it was read.
            dry_run: let the server work out and check the result, and keep nothing.
            force: take over fields that another manager owns.

        Raises:
            Changed: where it is not as it was read any more.
            Owned: where another manager owns a field that would change.
            DeployError: where it is refused.
        """
        metadata = dict(document["metadata"])
        if not dry_run:  # a status that changes meanwhile takes nothing from a preview
            metadata["resourceVersion"] = seen["metadata"]["resourceVersion"]
        query = [*_options(MANAGER, dry_run), ("force", "true" if force else "false")]
        body = {**document, "metadata": metadata}
        return self._call("PATCH", SERVICES, document["metadata"]["name"], body=body, query=query)

    def _get(self, kind: tuple[str, str], name: str, needed: str = "") -> Object | None:
        try:
            return self._call("GET", kind, name)
        except _NotFound as error:
            if needed and not error.named:
                raise DeployError(f"the cluster has no {kind[1]}: {needed} is not installed there") from error
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
        with _explained(f"{method} {kind[1]} {name}".strip(), self._client.configuration.host):
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
def _explained(doing: str, host: str) -> Iterator[None]:
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
    """What a refusal of the API server means, from its ``Status`` object."""
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
        return DeployError("the API server does not know who asks: the credentials are wrong or have expired")
    if status == 403:
        return DeployError(f"{message}; docs/DEPLOY.md has the Role that deploying needs")
    if status == 409 and owners:
        return Owned(
            f"{', '.join(sorted(owners))} set the model, too, and would set it back; have it leave the field "
            "alone, or take it over with --force",
            frozenset(owners),
        )
    if status == 409:
        return Changed(message)
    if status == 429 or status >= 502:
        return Unavailable(f"the API server is not able to answer now: {message}")
    if "canary" in message and "schema" in message:
        return DeployError(
            "KServe has a canary in Standard mode since 0.20; the one of this cluster is older"
        )
    return DeployError(f"the API server refused to {doing}: {message}")

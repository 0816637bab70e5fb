"""House rules for rendered objects: images that say what they are, limits, probes, no secret in clear."""

from __future__ import annotations

import json
import re
from typing import Final

from tests.manifests.pods import containers, pods
from tests.manifests.render import Object

MOVING: Final = {"", "latest", "main", "master", "edge", "stable"}
_IMAGE: Final = re.compile(
    r"(?:[a-z0-9][a-z0-9.-]*(?::\d+)?/)?[a-z0-9._/-]+?(?::(?P<tag>[\w.-]+))?(?:@sha256:(?P<digest>[0-9a-f]{64}))?"
)
_SECRETIVE: Final = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|DSN|BACKEND_STORE_URI|AUTH_DATABASE")
_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@")


def breaches(objects: list[Object]) -> list[str]:
    """Return the violations of the project's rules for manifests."""
    found = []
    for item in objects:
        where = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Secret":
            found.append(f"{where}: a Secret with its content")
        if _IN_URL.search(json.dumps(item)):
            found.append(f"{where}: a password in a URL")
    for where, pod in pods(objects).items():
        for container in containers(pod["spec"]):
            found += [f"{where}/{container['name']}: {what}" for what in _container(container)]
        for container in pod["spec"]["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe not in container:
                    found.append(f"{where}/{container['name']}: no {probe}")
        if pod["spec"].get("automountServiceAccountToken") is not False:
            found.append(f"{where}: a token of the Kubernetes API")
        if pod["spec"].get("enableServiceLinks") is not False:
            found.append(f"{where}: service links")
    return found


def _container(container: Object) -> list[str]:
    found = []
    image = _IMAGE.fullmatch(container["image"])
    if image is None or ((image["tag"] or "") in MOVING and not image["digest"]):
        found.append(f"image {container['image']}")
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory"):
            if what not in (resources.get(kind) or {}):
                found.append(f"no {kind} of {what}")
    if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
        found.append("a root file system that can be written to")
    for variable in container.get("env") or []:
        # A path is not a secret: LIDLOOP_KEYS names a file.
        if _SECRETIVE.search(variable["name"]) and not str(variable.get("value", "/")).startswith("/"):
            found.append(f"{variable['name']} in clear")
    return found

"""A mock of a Kubernetes API server, for the few calls that `lidloop deploy` makes. Not Kubernetes.

It keeps InferenceServices, ServingRuntimes, Deployments and HTTPRoutes, checks custom resources against their
CustomResourceDefinitions where LIDLOOP_CRDS names them, and knows server-side apply as far as: managers own
fields, another manager's field conflicts, what a manager leaves out is removed, a stale ``resourceVersion``
is refused, and a dry run keeps nothing. Tests that pass here are tests of our client, not of a cluster; the
same ones run on a live server where LIDLOOP_TEST_KUBECONFIG names one.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.manifests.schemas import custom

Object = dict[str, Any]
Place = tuple[str, ...]
TOKEN: Final = "not-a-secret-this-is-a-test"
KINDS: Final = {
    "inferenceservices": "serving.kserve.io/v1beta1",
    "servingruntimes": "serving.kserve.io/v1alpha1",
    "deployments": "apps/v1",
    "httproutes": "gateway.networking.k8s.io/v1",
}


class Refused(Exception):
    """An answer that is an error: status, reason and message."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.status = code, {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message, "details": details,
        }  # fmt: skip


@dataclass
class KubeApi:
    """The server's objects and its moods.

    Attributes:
        forbidden: pairs of verb and resource that are refused.
        absent: resources whose CustomResourceDefinition is not installed.
        broken: so many of the next answers are 503.
        touches: so many of the next patches find that the object has just changed.
        requests: what was asked, newest last: method, resource, query.
    """

    url: str = ""
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    broken: int = 0
    touches: int = 0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    owners: dict[tuple[str, str, str], dict[str, set[Place]]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    version: int = 100

    def kubeconfig(self, path: Path, *, token: str = TOKEN, namespace: str = "lidloop") -> Path:
        """Write a kubeconfig for it."""
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "mock",
            "clusters": [{"name": "mock", "cluster": {"server": self.url}}],
            "users": [{"name": "someone", "user": {"token": token}}],
            "contexts": [
                {"name": "mock", "context": {"cluster": "mock", "user": "someone", "namespace": namespace}}
            ],
        }  # fmt: skip
        path.write_text(yaml.safe_dump(content))
        return path

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Object | None, manager: str, applied: bool
    ) -> Object:
        """One call."""
        parts = path.strip("/").split("/")
        if len(parts) < 6 or parts[3] != "namespaces" or KINDS.get(parts[5]) != "/".join(parts[1:3]):
            raise Refused(404, "NotFound", "404 page not found")
        namespace, resource, name = parts[4], parts[5], parts[6] if len(parts) > 6 else ""
        part = parts[7] if len(parts) > 7 else ""
        with self.lock:
            self.requests.append((method, resource, query))
            if self.broken:
                self.broken -= 1
                raise Refused(
                    503, "ServiceUnavailable", "the server is currently unable to handle the request"
                )
            verb = {"GET": "get", "POST": "create", "PATCH": "patch"}[method]
            if (verb, resource) in self.forbidden:
                raise Refused(
                    403, "Forbidden", f'{resource} "{name}" is forbidden: User cannot {verb} it', name=name
                )
            if resource in self.absent:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            key = (namespace, resource, name)
            if method == "POST":
                assert body is not None
                return self.create(namespace, resource, body, query, manager)
            if key not in self.objects:
                raise Refused(404, "NotFound", f'{resource} "{name}" not found', name=name, kind=resource)
            if method == "GET":
                return self.objects[key]
            assert body is not None
            return self.apply(key, body, query, manager) if applied else self.merge(key, body, part)

    def create(
        self, namespace: str, resource: str, body: Object, query: dict[str, str], manager: str
    ) -> Object:
        key = (namespace, resource, body["metadata"]["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{resource} "{key[2]}" already exists', name=key[2])
        item = copy.deepcopy(body)
        item["metadata"] |= {"namespace": namespace, "generation": 1, "resourceVersion": self._next()}
        _check(item)
        if query.get("dryRun") != "All":
            self.objects[key] = item
            self.owners[key] = {manager: set(_leaves(body))}
        return item

    def apply(self, key: tuple[str, str, str], body: Object, query: dict[str, str], manager: str) -> Object:
        item = copy.deepcopy(self.objects[key])
        if self.touches:
            self.touches -= 1
            self.objects[key]["metadata"]["resourceVersion"] = self._next()
        if body["metadata"].pop("resourceVersion", None) not in (
            None,
            self.objects[key]["metadata"]["resourceVersion"],
        ):
            raise Refused(
                409, "Conflict", "the object has been modified; please apply your changes", name=key[2]
            )
        given, there, owners = _leaves(body), _leaves(item), copy.deepcopy(self.owners[key])
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{other}" using v1',
                "field": ".".join(path),
            }
            for other, owned in owners.items()
            for path in sorted(owned & set(given))
            if other != manager and there.get(path) != given[path]
        ]
        if causes and query.get("force") != "true":
            raise Refused(
                409, "Conflict", f"Apply failed with {len(causes)} conflicts", name=key[2], causes=causes
            )
        for other in set(owners) - {manager}:
            owners[other] -= {path for path in given if there.get(path) != given[path]}
        for path in owners.get(manager, set()) - set(given):
            if not any(path in owned for other, owned in owners.items() if other != manager):
                _remove(item, path)
        for path, value in given.items():
            _set(item, path, copy.deepcopy(value))
        owners[manager] = set(given)
        _check(item)
        if item != self.objects[key]:
            if item["spec"] != self.objects[key]["spec"]:
                item["metadata"]["generation"] += 1
            item["metadata"]["resourceVersion"] = self._next()
        if query.get("dryRun") != "All":
            self.objects[key], self.owners[key] = item, owners
        return item

    def merge(self, key: tuple[str, str, str], body: Object, part: str) -> Object:
        """A merge patch, of ``status`` or of all else; as of somebody who owns nothing."""
        item = copy.deepcopy(self.objects[key])
        _merge(item, {"status": body["status"]} if part == "status" else body)
        _check(item)
        if item != self.objects[key]:
            item["metadata"]["generation"] += part != "status"
            item["metadata"]["resourceVersion"] = self._next()
            self.objects[key] = item
        return item

    def _next(self) -> str:
        self.version += 1
        return str(self.version)


def _merge(item: Object, patch: Object) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(item.setdefault(key, {}), value)
        elif value is None:
            item.pop(key, None)
        else:
            item[key] = copy.deepcopy(value)


def _check(item: Object) -> None:
    validator = custom(item["apiVersion"], item["kind"])
    wrong = (
        [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(item)]
        if validator
        else []
    )
    if wrong:
        raise Refused(422, "Invalid", f"{item['kind']} is invalid: {'; '.join(wrong)}")


def _leaves(value: Any, path: Place = ()) -> dict[Place, Any]:
    """Fields by path. Lists are one field each, but for ``env``, whose entries have names."""
    if path in {("metadata", "name"), ("metadata", "namespace"), ("apiVersion",), ("kind",), ("status",)}:
        return {}
    if path and path[-1] == "env" and "canary" not in path:
        return {(*path, entry["name"]): entry for entry in value}
    if isinstance(value, dict) and value:
        return {leaf: v for key, part in value.items() for leaf, v in _leaves(part, (*path, key)).items()}
    return {path: value} if path else {}


def _set(item: Object, path: Place, value: Any) -> None:
    for key in path[:-1]:
        if key == "env":
            entries = item.setdefault("env", [])
            entries[:] = [entry for entry in entries if entry["name"] != path[-1]] + [value]
            return
        item = item.setdefault(key, {})
    item[path[-1]] = value


def _remove(item: Object, path: Place) -> None:
    for key in path[:-1]:
        if key == "env":
            item["env"] = [entry for entry in item["env"] if entry["name"] != path[-1]]
            if not item["env"]:
                del item["env"]
            return
        item = item[key]
    item.pop(path[-1], None)


@contextmanager
def running() -> Iterator[KubeApi]:
    """Start a mock on loopback, yield it, and stop it."""
    api = KubeApi()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            kind = self.headers.get("Content-Type", "")
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise Refused(401, "Unauthorized", "Unauthorized")
                code, answer = (
                    200,
                    api.answer(
                        self.command,
                        url.path,
                        query,
                        body,
                        query.get("fieldManager", "test"),
                        "apply" in kind,
                    ),
                )
            except Refused as refused:
                code, answer = refused.code, refused.status
            content = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = handle_any

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

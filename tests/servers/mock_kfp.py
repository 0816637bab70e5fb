"""A mock of the Kubeflow Pipelines API server: the part of its v2beta1 REST that lidloop uses.

The real one is written in Go and needs a cluster. The mock keeps everything in memory and runs nothing; a
test says how a run goes on. It holds what it is sent to KFP's own messages: as the real one does, it refuses
fields that the API does not have, and pipelines that are none.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import kfp_server_api as api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

BEGIN = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class MockKfp:
    """State and behaviour of the mock."""

    url: str = ""
    token: str = ""
    cookie: str = ""
    login_page: bool = False
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Argo's nodes by run and id."""
    failing: list[int] = field(default_factory=list)
    """Statuses that the next requests get; 200 lets one through."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    # What the test does.

    def go_on(self, run: str, state: str, *, error: str = "") -> None:
        """Bring a run into a state."""
        entry = self.runs[run]
        entry["state"] = state
        if state in ("SUCCEEDED", "FAILED", "CANCELED"):
            entry["finished_at"] = _time(BEGIN + timedelta(hours=2))
        if error:
            entry["error"] = {"code": 2, "message": error, "details": []}

    def add_step(self, run: str, name: str, *tries: str, log: str = "", error: str = "") -> str:
        """Give a run a step with the phases of its tries, as the nodes that Argo makes of KFP's templates.

        KFP's settings of Argo let it repeat every template, so that there is a node ``train`` around its
        attempts ``train(0)``. A node is ``loop-NUMBER``, its pod ``loop-TEMPLATE-NUMBER``. Returns the name
        of the last pod.
        """
        nodes = self.nodes.setdefault(run, {})
        first = len(nodes)

        def node(title: str, kind: str, phase: str, template: str, boundary: str = "") -> dict[str, Any]:
            number = len(nodes)
            begun = BEGIN + timedelta(minutes=number)
            made = {
                "id": f"loop-{number}", "name": f"loop.root(0).{title}", "displayName": title, "type": kind,
                "templateName": template, "phase": phase, "boundaryID": boundary,
                "startedAt": _time(begun), "finishedAt": _time(begun + timedelta(minutes=1)),
            }  # fmt: skip
            nodes[made["id"]] = made
            return made

        for suffix, kind in (("", "Retry"), ("(0)", "Pod")):
            node(f"{name}-driver{suffix}", kind, "Succeeded", "system-container-driver")
        for suffix, kind in (("", "Retry"), ("(0)", "DAG")):
            group = node(f"{name}{suffix}", kind, tries[-1], "system-container-executor")
        template = "retry-system-container-impl"
        node("executor", "Retry", tries[-1], template, group["id"])
        for k, phase in enumerate(tries):
            kind = "Skipped" if phase == "Skipped" else "Pod"
            last = node(f"executor({k})", kind, phase, template, group["id"])
            pod = f"loop-{template}-{first + 5 + k}"
            if log and phase not in ("Pending", "Skipped"):
                self.logs[pod] = log
        if error:
            last["message"] = error
        # The tasks of the API v2beta1: no pods, no errors.
        self.runs[run]["run_details"] = {
            "task_details": [
                {
                    "run_id": run, "task_id": str(uuid.uuid4()), "display_name": entry["displayName"],
                    "state": {"Error": "FAILED"}.get(entry["phase"], entry["phase"].upper()),
                    "create_time": entry["startedAt"], "start_time": entry["startedAt"],
                    "end_time": entry["finishedAt"],
                }
                for entry in nodes.values()
            ]
        }  # fmt: skip
        return pod

    def workflow(self, run: str) -> str:
        """Argo's workflow of a run as JSON."""
        return json.dumps({"metadata": {"name": "loop"}, "status": {"nodes": self.nodes.get(run, {})}})

    # What the server does.

    def create_experiment(self, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        _known(body, api.V2beta1Experiment)
        id = str(uuid.uuid4())
        self.experiments[id] = {**body, "experiment_id": id, "created_at": _time(BEGIN)}
        return self.experiments[id]

    def create_run(self, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        _known(body, api.V2beta1Run)
        if body.get("experiment_id") not in self.experiments:
            raise Refused(400, "the experiment does not exist")
        self._check_job(body)
        id = str(uuid.uuid4())
        created = BEGIN + timedelta(seconds=len(self.runs))
        self.runs[id] = {
            **body, "run_id": id, "state": "PENDING", "created_at": _time(created),
            "finished_at": "1970-01-01T00:00:00Z",
        }  # fmt: skip
        return self.runs[id]

    def create_recurring(self, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        _known(body, api.V2beta1RecurringRun)
        self._check_job(body)
        if len(body["trigger"]["cron_schedule"]["cron"].split()) != 6:
            raise Refused(400, "cron needs six fields")
        id = str(uuid.uuid4())
        self.recurring[id] = {**body, "recurring_run_id": id, "status": f"{body['mode']}D"}
        return self.recurring[id]

    def create_pipeline(self, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        _known(body, api.V2beta1Pipeline)
        id = str(uuid.uuid4())
        self.pipelines[id] = {**body, "pipeline_id": id}
        self.versions[id] = []
        return self.pipelines[id]

    def upload_version(self, content: bytes, query: dict[str, str]) -> dict[str, Any]:
        pipeline = query.get("pipelineid", "")
        if pipeline not in self.pipelines:
            raise Refused(404, "the pipeline does not exist")
        if any(version["display_name"] == query["name"] for version in self.versions[pipeline]):
            raise Refused(409, f"a version {query['name']} already exists")
        documents = list(yaml.load_all(content, yaml.CSafeLoader))
        given = documents[0] if len(documents) == 1 else dict(
            zip(("pipeline_spec", "platform_spec"), documents, strict=True)
        )  # fmt: skip
        _check_spec(given)
        version = {
            "pipeline_id": pipeline, "pipeline_version_id": str(uuid.uuid4()), "pipeline_spec": given,
            "display_name": query["name"], "name": query["name"],
        }  # fmt: skip
        self.versions[pipeline].insert(0, version)
        return version

    def _check_job(self, body: dict[str, Any]) -> None:
        given, reference = body.get("pipeline_spec"), body.get("pipeline_version_reference")
        if reference:
            found = [
                version["pipeline_spec"]
                for version in self.versions.get(reference["pipeline_id"], [])
                if version["pipeline_version_id"] == reference["pipeline_version_id"]
            ]
            if not found:
                raise Refused(404, "the pipeline version does not exist")
            given = found[0]
        if not given:
            raise Refused(400, "neither a pipeline nor a version is given")
        _check_spec(given)
        own = given.get("pipeline_spec", given)
        known = own["root"]["inputDefinitions"]["parameters"]
        parameters = body["runtime_config"]["parameters"]
        if set(parameters) - set(known):
            raise Refused(400, f"unknown parameters {sorted(set(parameters) - set(known))}")


def _known(body: dict[str, Any], kind: Any) -> None:
    strange = set(body) - set(kind.attribute_map.values())
    if strange:
        raise Refused(400, f"proto: unknown field {sorted(strange)[0]!r}")


def _check_spec(given: dict[str, Any]) -> None:
    try:
        json_format.ParseDict(given.get("pipeline_spec", given), spec.PipelineSpec())
        json_format.ParseDict(given.get("platform_spec", {}), spec.PlatformSpec())
    except json_format.ParseError as error:
        raise Refused(400, f"invalid pipeline spec: {error}") from error


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _answer(kfp: MockKfp, method: str, path: str, query: dict[str, str], content: Callable[[], Any]) -> Any:
    """The answer to one request: plain values, or text for a log."""

    def listed(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
        if "filter" in query:
            (predicate,) = json.loads(query["filter"])["predicates"]
            assert predicate["operation"] == "EQUALS"
            entries = [e for e in entries if e.get(predicate["key"]) == predicate["stringValue"]]
        if "experiment_id" in query:
            if "namespace" in query:
                raise Refused(400, "give an experiment or a namespace")
            entries = [e for e in entries if e["experiment_id"] == query["experiment_id"]]
        return {name: entries[: int(query["page_size"])]} if entries else {}

    creators = {
        "experiments": kfp.create_experiment, "runs": kfp.create_run, "recurringruns": kfp.create_recurring,
        "pipelines": kfp.create_pipeline, "pipelines/upload_version": kfp.upload_version,
    }  # fmt: skip
    newest = sorted(kfp.runs.values(), key=lambda run: run["created_at"], reverse=True)
    lists = {
        "experiments": (list(kfp.experiments.values()), "experiments"),
        "runs": ([{k: v for k, v in run.items() if k != "run_details"} for run in newest], "runs"),
        "recurringruns": (list(kfp.recurring.values()), "recurringRuns"),
        "pipelines": (list(kfp.pipelines.values()), "pipelines"),
    }
    if match := re.fullmatch(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", path):
        pod = match[2]
        if match[1] not in kfp.runs or pod not in kfp.logs:
            raise Refused(500, f"pods {pod!r} not found")
        return kfp.logs[pod]
    if (match := re.fullmatch(r"/apis/v1beta1/runs/([^/]+)", path)) and match[1] in kfp.runs:
        return {"run": {"id": match[1]}, "pipeline_runtime": {"workflow_manifest": kfp.workflow(match[1])}}
    what = path.removeprefix("/apis/v2beta1/")
    if method == "POST" and what in creators:
        return creators[what](content(), query)
    if method == "GET" and what in lists:
        return listed(*lists[what])
    if match := re.fullmatch(r"pipelines/([^/]+)/versions", what):
        return {"pipeline_versions": kfp.versions.get(match[1], [])[: int(query["page_size"])]}
    for name, entries in (("runs", kfp.runs), ("recurringruns", kfp.recurring)):
        if (match := re.fullmatch(f"{name}/([^/:]+)(:terminate)?", what)) and match[1] in entries:
            if match[2]:
                entries[match[1]]["state"] = "CANCELING"
                return {}
            return entries.pop(match[1]) and {} if method == "DELETE" else entries[match[1]]
    raise Refused(404, f"{path} not found")


@contextmanager
def running(*, tls: ssl.SSLContext | None = None) -> Iterator[MockKfp]:
    """Serve a new mock on loopback."""
    kfp = MockKfp()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            path = unquote(url.path)
            kfp.asked.append((self.command, path))
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                self._let_in()
                answer = _answer(kfp, self.command, path, query, lambda: self._content(body))
            except Refused as refusal:
                self._send(refusal.status, {"code": 2, "message": str(refusal), "details": []})
            else:
                self._send(200, answer)

        do_POST = do_DELETE = do_GET

        def _let_in(self) -> None:
            if kfp.failing and (status := kfp.failing.pop(0)) != 200:
                raise Refused(status, "out of order")
            if kfp.token and self.headers.get("Authorization") != f"Bearer {kfp.token}":
                raise Refused(401, "Request header error: there is no user identity header")
            if kfp.cookie and self.headers.get("Cookie") != kfp.cookie:
                raise Refused(302, "")

        def _content(self, body: bytes) -> Any:
            kind = self.headers["Content-Type"]
            if not kind.startswith("multipart/form-data"):
                return json.loads(body)
            parts = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
            (part,) = [p for p in parts.get_payload() if p.get_filename()]  # type: ignore[union-attr]
            return part.get_payload(decode=True)

        def _send(self, status: int, answer: Any) -> None:
            text = isinstance(answer, str)
            content = answer.encode() if text else json.dumps(answer).encode()
            if status == 302:
                content = b""
            if kfp.login_page:
                status, text, content = 200, True, b"<html>Log in</html>"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if text else "application/json")
            if status == 302:
                self.send_header("Location", "/dex/auth")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    kfp.url = f"{scheme}://127.0.0.1:{server.server_port}"
    try:
        yield kfp
    finally:
        server.shutdown()
        server.server_close()

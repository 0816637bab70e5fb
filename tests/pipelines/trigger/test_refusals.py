"""Requests that the trigger rejects, with a launcher that starts nothing."""

from __future__ import annotations

import base64
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from lidloop.web.api_keys import ALERTS, READ, START, add_key, revoke_key
from lidloop.web.peers import TrustedProxies
from pipelines.trigger.access import Access, Failures
from pipelines.trigger.app import MESSAGE_BYTES, REQUEST_BYTES, create_app
from pipelines.trigger.launchers import RunState
from pipelines.trigger.parameters import Rules
from pipelines.trigger.problems import PROBLEM_TYPES
from pipelines.trigger.store import Store
from tests.pipelines.trigger.conftest import alert, message

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have httpx2, which is httpx under another name
    from starlette.testclient import TestClient


class Nowhere:
    """A launcher whose runs last for ever and are nowhere."""

    def start(self, parameters: Mapping[str, Any], *, run: str) -> str:
        return run

    def state(self, id: str) -> RunState:
        return RunState("running")

    def link(self, id: str) -> str | None:
        return None


LONE_SURROGATE = json.dumps(message({**alert(), "labels": {"alertname": "\ud800"}})).encode()


class App:
    """The app of the service, with keys of each kind."""

    def __init__(
        self, place: Path, *, keyed: bool = True, proxies: str = "", peer: str = "testclient", **defaults: Any
    ) -> None:
        self.place = place
        (place / "faces").mkdir()
        self.file = place / "keys.json"
        self.keys = {
            scope: add_key(self.file, scope, scopes=(scope,)) for scope in (START, READ, ALERTS, "screen")
        }
        rules = Rules(defaults or {"sources": [f"yolo:{place / 'faces'}"]}, places=[str(place)])
        self.app = create_app(
            rules=rules,
            store=Store(place / "trigger.db", model="lidloop", cooldown=60),
            launcher=Nowhere(),
            access=Access(self.file if keyed else None),
            proxies=TrustedProxies.parse(proxies),
        )
        self.client = TestClient(self.app, base_url="http://localhost", client=(peer, 5))

    def ask(self, method: str, path: str, *, key: str | None = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.keys[key]}"} if key else {}
        return self.client.request(method, path, headers={**headers, **more.pop("headers", {})}, **more)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = App(tmp_path)
    with made.client:
        yield made


def refused(answer: Any, status: int, kind: str) -> Any:
    """Check that an answer is a problem document of this kind, and return it."""
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"/problems/{kind}"), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert PROBLEM_TYPES[kind].status == status
    return problem


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "key", "more", "status", "kind"),
    [
        ("GET", "/v1/runs", None, {}, 401, "credentials"),
        ("GET", "/v1/runs", ALERTS, {}, 403, "forbidden"),
        ("GET", "/v1/alerts", "screen", {}, 403, "forbidden"),
        ("POST", "/v1/runs", READ, {"json": {}}, 403, "forbidden"),
        ("POST", "/v1/runs", ALERTS, {"json": {}}, 403, "forbidden"),
        ("POST", "/v1/alerts", START, {"json": {}}, 403, "forbidden"),
        ("POST", "/v1/runs", START, {"json": {}, "headers": {"Sec-Fetch-Site": "cross-site"}}, 403,
         "forbidden"),
        ("GET", "/v1/nothing", READ, {}, 404, "not-found"),
        ("GET", "/v1/runs/..%2f..%2fetc", READ, {}, 404, "not-found"),
        ("GET", "/v1/runs/nothing", READ, {}, 404, "not-found"),
        ("GET", "/problems/nothing", None, {}, 404, "not-found"),
        ("DELETE", "/v1/runs", READ, {}, 405, "method"),
        ("GET", "/v1/runs?limit=0", READ, {}, 400, "query"),
        ("GET", "/v1/runs?limit=5&limit=5", READ, {}, 400, "query"),
        ("GET", "/v1/runs?before=x", READ, {}, 400, "query"),
        ("GET", "/v1/alerts?state=running", READ, {}, 400, "query"),
        ("POST", "/v1/runs", START, {"content": b"{}"}, 415, "media-type"),
        ("POST", "/v1/runs", START, {"data": {"epochs": "1"}}, 415, "media-type"),
        ("POST", "/v1/runs", START, {"content": b"{}", "headers": {**JSON, "Content-Encoding": "gzip"}}, 415,
         "media-type"),
        ("POST", "/v1/runs", START, {"content": b" " * (REQUEST_BYTES + 1), "headers": JSON}, 413,
         "too-large"),
        ("POST", "/v1/runs", START, {"content": (b" " * 9000 for _ in range(9)), "headers": JSON}, 413,
         "too-large"),
        ("POST", "/v1/alerts", ALERTS, {"content": b" " * (MESSAGE_BYTES + 1), "headers": JSON}, 413,
         "too-large"),
        ("POST", "/v1/runs", START, {"content": b"{", "headers": JSON}, 400, "body"),
        ("POST", "/v1/runs", START, {"content": b"\xff", "headers": JSON}, 400, "body"),
        ("POST", "/v1/runs", START, {"content": b"[]", "headers": JSON}, 400, "body"),
        ("POST", "/v1/runs", START, {"content": b'{"conf": NaN}', "headers": JSON}, 400, "body"),
        ("POST", "/v1/runs", START, {"content": b'{"seed":1,"seed":2}', "headers": JSON}, 400, "body"),
        ("POST", "/v1/runs", START, {"content": b"[" * 60_000, "headers": JSON}, 400, "body"),
        ("POST", "/v1/runs", START, {"content": b'{"seed":' + b"9" * 5000 + b"}", "headers": JSON}, 400,
         "body"),
        ("POST", "/v1/runs", START, {"json": {}, "headers": {"Idempotency-Key": "a b"}}, 400, "body"),
        ("POST", "/v1/alerts", ALERTS, {"json": []}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"json": {"version": "3", "alerts": []}}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"json": {"version": "4", "alerts": {}}}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"json": message({"status": "firing"})}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"json": message({**alert(), "status": "?"})}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"json": message({**alert(), "labels": {"a": 1}})}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"content": LONE_SURROGATE, "headers": JSON}, 400, "body"),
        ("POST", "/v1/alerts", ALERTS, {"json": message({**alert(), "fingerprint": None})}, 422, "alerts"),
        ("POST", "/v1/alerts", ALERTS, {"json": message({**alert(), "startsAt": 5})}, 422, "alerts"),
    ],
)  # fmt: skip
def test_wrong_requests_are_problems(
    app: App, method: str, path: str, key: str | None, more: dict[str, Any], status: int, kind: str
) -> None:
    refused(app.ask(method, path, key=key, **more), status, kind)
    assert app.ask("GET", "/v1/runs", key=READ).json()["runs"] == []


@pytest.mark.parametrize(
    ("given", "names", "why"),
    [
        ({"epoch": 3}, ["epoch"], "it is unknown"),
        ({"epochs": "3"}, ["epochs"], "a text is no number"),
        ({"epochs": True}, ["epochs"], "true is no number, whatever Python says"),
        ({"epochs": 0, "imgsz": 100}, ["epochs", "imgsz"], "out of the range of the pipeline's own settings"),
        ({"epochs": 10**9}, ["epochs"], "nobody trains so long"),
        ({"seed": -(10**4000)}, ["seed"], "no program takes that number"),
        ({"conf": 10**400}, ["conf"], "nor that one"),
        ({"paper_exact": 1}, ["paper_exact"], "a number is not true"),
        ({"retention": "all"}, ["retention"], "it is not one of its values"),
        ({"device": "cpu --fresh"}, ["device"], "no other option can be told by a value"),
        ({"registry": "/tmp/mine"}, ["registry"], "where models go is the operator's to say"),
        ({"truth": "/etc/passwd"}, ["truth"], "a file of the operator's"),
        ({"base_weights": "/data/evil.pt"}, ["base_weights"], "a pickle is a program"),
        ({"base_weights": "../evil.pt"}, ["base_weights"], "a path is a path"),
        ({"base_weights": "evil.pt"}, ["base_weights"], "no published name"),
        ({"sources": "yolo:/x"}, ["sources"], "a text is no list"),
        ({"sources": [1]}, ["sources"], "a number is no source"),
        ({"sources": []}, ["sources"], "nothing to train on"),
        ({"sources": ["yolo:/etc"]}, ["sources"], "another folder"),
        ({"sources": ["yolo:{place}/../x"]}, ["sources"], "out of the folder by dots"),
        ({"sources": ["yolo:{place}/link"]}, ["sources"], "out of the folder by a link"),
        ({"sources": ["yolo:faces"]}, ["sources"], "a relative path, from where?"),
        ({"sources": ["yolo:s3://other/x"]}, ["sources"], "a store that was not set aside"),
        ({"sources": ["yolo:{place}/none"]}, ["sources"], "inside, but not there"),
        ({"sources": ["yolo:{place}\x00"]}, ["sources"], "no path has a null byte"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(app: App, given: dict[str, Any], names: list[str], why: str) -> None:
    (app.place / "link").symlink_to("/etc")
    if isinstance(given.get("sources"), list):
        given = {"sources": [str(s).format(place=app.place) if s != 1 else s for s in given["sources"]]}
    problem = refused(app.ask("POST", "/v1/runs", key=START, json=given), 422, "parameters")
    assert [entry["parameter"] for entry in problem["errors"]] == names, why
    assert app.ask("GET", "/v1/runs", key=READ).json()["runs"] == []


def test_basic_and_bearer_are_accepted_and_revoked_keys_are_not(app: App) -> None:
    basic = base64.b64encode(f"anyone:{app.keys[READ]}".encode()).decode()
    assert app.ask("GET", "/v1/runs", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    for nonsense in ("Basic", "Basic ?", "Basic /w==", "Digest x", "Bearer "):
        refused(app.ask("GET", "/v1/runs", headers={"Authorization": nonsense}), 401, "credentials")
    revoke_key(app.file, app.keys[READ].split("_")[1])
    refused(app.ask("GET", "/v1/runs", key=READ), 401, "credentials")


def test_failed_attempts_are_limited_and_valid_keys_still_work(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    guess = {"Authorization": "Bearer " + app.keys[READ][:-1] + "~"}
    with caplog.at_level(logging.DEBUG):
        answers = [app.ask("GET", "/v1/runs", headers=guess) for _ in range(15)]
    assert [a.status_code for a in answers[:10]] == [401] * 10
    assert int(refused(answers[-1], 429, "too-many") and answers[-1].headers["Retry-After"]) >= 1
    assert len([r for r in caplog.records if "refused" in r.message]) == 10, "nor is the log filled"
    assert not any(key in caplog.text for key in (*app.keys.values(), guess["Authorization"][7:]))
    assert app.ask("GET", "/v1/runs", key=READ).status_code == 200


def test_the_limit_of_failed_attempts_recovers() -> None:
    now = [0.0]
    failures = Failures(most=2, seconds=60, clock=lambda: now[0])
    assert [failures.failed("a"), failures.failed("a")] == [0, 0]
    assert failures.failed("a") == pytest.approx(30)
    assert failures.failed("b") == 0
    now[0] = 30
    assert failures.failed("a") == 0
    assert failures.failed("a") > 0


def test_without_keys_only_local_requests_are_answered(tmp_path: Path) -> None:
    app = App(tmp_path, keyed=False)
    here = TestClient(app.app, base_url="http://localhost", client=("127.0.0.1", 5))
    with here:
        assert here.get("/v1/runs").status_code == 200
        refused(here.get("/v1/runs", headers={"Host": "evil.example"}), 403, "forbidden")
        there = TestClient(app.app, base_url="http://localhost", client=("10.0.0.1", 5))
        refused(there.get("/v1/runs"), 403, "forbidden")
        assert there.get("/livez").status_code == there.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.5"},
        {"X-Forwarded-For": "203.0.113.5", "Host": "trigger.example.org"},
        {"Forwarded": "for=203.0.113.5"},
        {"X-Real-IP": "203.0.113.5"},
    ],
)
def test_without_keys_forwarded_requests_are_rejected(tmp_path: Path, headers: dict[str, str]) -> None:
    app = App(tmp_path, keyed=False, peer="127.0.0.1")
    with app.client:
        assert app.ask("GET", "/v1/runs").status_code == 200
        refused(app.ask("GET", "/v1/runs", headers=headers), 403, "forbidden")
        refused(app.ask("POST", "/v1/runs", headers=headers, json={}), 403, "forbidden")
        assert app.ask("GET", "/livez", headers=headers).status_code == 200


@pytest.mark.parametrize(("proxies", "limited"), [("127.0.0.1", False), ("", True)])
def test_failed_attempts_count_for_the_caller_behind_a_trusted_proxy(
    tmp_path: Path, proxies: str, limited: bool
) -> None:
    app = App(tmp_path, proxies=proxies, peer="127.0.0.1")
    with app.client:
        for _ in range(11):
            one = app.ask("GET", "/v1/runs", headers={"X-Forwarded-For": "1.2.3.4, 203.0.113.5"})
        other = app.ask("GET", "/v1/runs", headers={"X-Forwarded-For": "203.0.113.5, 203.0.113.6"})
    assert one.status_code == 429
    assert (other.status_code == 429) is limited


def test_alerts_need_defaults_with_sources(tmp_path: Path) -> None:
    app = App(tmp_path, epochs=3)
    with app.client:
        refused(app.ask("POST", "/v1/alerts", key=ALERTS, json=message(alert())), 409, "no-defaults")


def test_an_internal_error_reveals_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(app.app.state.service.store, "runs", fail)
    answer = app.ask("GET", "/v1/runs", key=READ)
    refused(answer, 500, "internal")
    assert "secret" not in answer.text


def test_problem_types_and_routes_are_described(app: App) -> None:
    for kind, entry in PROBLEM_TYPES.items():
        assert app.ask("GET", f"/problems/{kind}").json()["meaning"] == entry.meaning
    document = app.ask("GET", "/openapi.json").json()
    served = [route for route in app.app.routes if route.path.startswith("/v1")]
    routes = {(route.path, method) for route in served for method in route.methods if method != "HEAD"}
    described = {(path, m.upper()) for path, item in document["paths"].items() for m in item}
    assert routes == described
    given = document["components"]["schemas"]["Given"]["properties"]
    assert given["epochs"]["description"].startswith("Passes over the training pictures")
    assert "registry" not in given


def test_answers_match_the_openapi_document(app: App) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = app.ask("GET", "/openapi.json").json()

    def check(answer: Any, name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.validate(answer.json(), schema)

    check(app.ask("POST", "/v1/alerts", key=ALERTS, json=message(alert())), "Heard")
    check(app.ask("POST", "/v1/runs", key=START, json={}), "Problem")
    runs = app.ask("GET", "/v1/runs", key=READ)
    check(runs, "Runs")
    check(app.ask("GET", f"/v1/runs/{runs.json()['runs'][0]['id']}", key=READ), "Run")
    check(app.ask("GET", "/v1/alerts", key=READ), "Alerts")

"""Security headers, request ids, origin checks and problem documents of every service."""

from __future__ import annotations

import logging

import pytest
from starlette.testclient import TestClient

from lidloop.exporter.problems import PROBLEM_TYPES as EXPORTER
from lidloop.web.middleware import HEADERS
from lidloop.web.peers import TrustedProxies
from tests.lidloop.web.conftest import TYPES, ClientFactory


@pytest.mark.parametrize("path", ["/state", "/nowhere", "/fails"])
def test_every_answer_has_security_headers_and_an_id_of_its_own(client: TestClient, path: str) -> None:
    answers = [client.get(path) for _ in range(2)]
    assert answers[0].headers["x-request-id"] != answers[1].headers["x-request-id"]
    for name, value in HEADERS.items():
        assert answers[0].headers[name] == value
    own = {"Content-Security-Policy": "default-src 'self'"}
    assert HEADERS["Content-Security-Policy"] != own["Content-Security-Policy"]


def test_a_service_may_set_its_own_headers(make_client: ClientFactory) -> None:
    client = make_client(headers={"Content-Security-Policy": "default-src 'self'"})
    assert client.get("/state").headers["content-security-policy"] == "default-src 'self'"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("DELETE", "/read", 405, "method"),
        ("GET", "/fails", 500, "internal"),
    ],
)
def test_errors_are_problem_documents(
    client: TestClient, method: str, path: str, status: int, kind: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document == {
        "type": f"/problems/{kind}",
        "title": TYPES[kind].title,
        "status": status,
        "detail": document["detail"],
        "instance": f"urn:uuid:{answer.headers['x-request-id']}",
    }
    assert client.get(document["type"]).json()["meaning"] == TYPES[kind].meaning
    if status == 405:
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("log_messages", [True, False])
def test_an_unforeseen_error_is_logged_and_its_message_only_where_it_may_be(
    make_client: ClientFactory, caplog: pytest.LogCaptureFixture, log_messages: bool
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = make_client(log_messages=log_messages).get("/fails")
    assert "SECRET" not in answer.text
    assert ("SECRET" in caplog.text) is log_messages
    assert "RuntimeError" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


LOCAL = {"local_only": "this machine only", "probes": frozenset({"/state"})}


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("10.0.0.1", {}, 403),
        ("127.0.0.1", {"Host": "ptosis.example.org"}, 403),
        ("127.0.0.1", {"Host": "ptosis.example.org", "X-Forwarded-For": "203.0.113.5"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.5"}, 403),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.5"}, 403),
        ("127.0.0.1", {"X-Real-IP": "203.0.113.5"}, 403),
    ],
)
def test_a_local_service_answers_this_machine_only(
    make_client: ClientFactory, peer: str, headers: dict[str, str], status: int
) -> None:
    client = make_client(peer, **LOCAL)
    answer = client.get("/problems/body", headers=headers)
    assert answer.status_code == status
    assert client.get("/state", headers=headers).status_code == 200, "a probe is answered to anybody"
    if status == 403:
        assert answer.json()["detail"] == "this machine only"


def test_a_trusted_proxy_gives_the_callers_address(make_client: ClientFactory) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.5"}
    assert make_client().get("/state", headers=forwarded).json() == {"address": "127.0.0.1"}
    trusting = make_client(proxies=TrustedProxies.parse("127.0.0.1"))
    assert trusting.get("/state", headers=forwarded).json() == {"address": "203.0.113.5"}
    still_local = make_client(proxies=TrustedProxies.parse("127.0.0.1"), local_only="this machine only")
    assert still_local.get("/state", headers=forwarded).status_code == 403


def test_other_web_sites_may_read_but_not_send(client: TestClient) -> None:
    elsewhere = {"Origin": "https://evil.example"}
    assert client.post("/read", content=b"x", headers=elsewhere).status_code == 403
    assert client.get("/state", headers=elsewhere).status_code == 200


def test_every_service_has_the_problem_types_that_the_foundation_raises() -> None:
    serving = pytest.importorskip("serving.problems").PROBLEM_TYPES
    trigger = pytest.importorskip("pipelines.trigger.problems").PROBLEM_TYPES
    always = {"forbidden", "not-found", "method", "internal", "body"}
    with_bodies = {"slow-body", "too-large", "media-type"}
    assert always <= set(EXPORTER)
    assert always | with_bodies <= set(serving) & set(trigger) & set(TYPES)
    for types in (serving, trigger, EXPORTER):
        assert list(types.values()) == sorted(types.values(), key=lambda t: t.status)
        for kind in always | with_bodies & set(types):
            assert types[kind].status == TYPES[kind].status

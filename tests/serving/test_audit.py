"""A line per request about a picture: an AuditEvent that says who, when, which model and how it ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from lidloop.keys import add_key, read_keys
from lidloop.screening import ModelInfo
from serving.access import LOCAL, Caller
from serving.audit import AuditError, AuditLog, event
from tests.serving.conftest import ClientFactory, Photo

MODEL = ModelInfo("lidloop", "7", 3, "a" * 64)


@pytest.mark.parametrize(
    "caller",
    [None, LOCAL, Caller("key", "a1", "", frozenset()), Caller("jwt", "dr", "https://i", frozenset())],
)
@pytest.mark.parametrize("model", [None, MODEL])
@pytest.mark.parametrize(("status", "outcome"), [(200, "0"), (415, "4"), (503, "8"), (499, "4")])
def test_an_event_is_valid_fhir(
    caller: Caller | None, model: ModelInfo | None, status: int, outcome: str
) -> None:
    document = event(
        request_id="7d3f6a1e-0000-4000-8000-000000000000",
        recorded=datetime(2026, 1, 2, tzinfo=UTC),
        operation="POST /v1/screen",
        status=status,
        outcome="ok",
        caller=caller,
        address="192.0.2.1",
        model=model,
    )
    parsed = AuditEvent.model_validate(document)
    assert parsed.outcome == outcome
    assert parsed.agent[0].network.address == "192.0.2.1"


def test_every_request_about_a_picture_leaves_a_line(
    make_client: ClientFactory, tmp_path: Path, photo: Photo
) -> None:
    target, keys = tmp_path / "audit.log", tmp_path / "keys.json"
    key = add_key(keys, "ward 3")
    client = make_client(audit=str(target), keys=str(keys))
    headers = {"Authorization": f"Bearer {key}"}
    files = {"image": ("Mustermann_Erika_1970.png", photo.png, "image/png")}
    client.post("/v1/screen?mirrored=false", files=files, headers=headers)
    client.post("/v1/screen", content=b"GIF89a", headers=headers | {"Content-Type": "image/png"})
    client.post("/v1/screen", files=files)
    client.post("/v2/models/lidloop/infer", json={}, headers=headers)
    client.get("/patient/Mustermann")
    for path in ("/livez", "/readyz", "/metrics", "/"):
        client.get(path)
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["outcomeDesc"] for line in lines] == [
        "200 ok",
        "415 media-type",
        "401 credentials",
        "400 body",
    ]
    for line in lines:
        AuditEvent.model_validate(line)
    identity = read_keys(keys)[0]["id"]
    assert [line["agent"][0]["who"] for line in lines] == [
        {"identifier": {"type": {"text": "API key"}, "value": identity}},
        {"identifier": {"type": {"text": "API key"}, "value": identity}},
        {"display": "not recognised"},
        {"identifier": {"type": {"text": "API key"}, "value": identity}},
    ]
    assert lines[0]["entity"][1]["detail"][1] == {"type": "iteration", "valueString": "2"}
    assert lines[3]["entity"][0]["name"] == "POST /v2/models/{name}/infer"
    text = target.read_text()
    for secret in ("Mustermann", key, "mirrored", "image/png"):
        assert secret not in text
    assert target.stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog(str(tmp_path / "none" / "audit.log"))


def test_a_lost_line_is_said(caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog("/dev/full")
    log.write({"a": 1})
    log.close()
    assert "an audit line was lost" in caplog.text

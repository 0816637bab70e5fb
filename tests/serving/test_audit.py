"""A line per request about a picture: an AuditEvent that says who, when, which model and how it ended."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from lidloop.screening.screen import ModelInfo
from lidloop.web.api_keys import add_key, read_keys
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


def test_every_request_with_a_picture_is_audited(
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
    for path in ("/livez", "/readyz", "/"):
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


def test_an_unwritable_audit_log_is_an_error_at_start_up(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog(str(tmp_path / "none" / "audit.log"))


def write(log: AuditLog, *entries: dict[str, Any]) -> list[bool]:
    async def all_of_them() -> list[bool]:
        return [await log.write(entry) for entry in entries]

    return asyncio.run(all_of_them())


def test_a_lost_line_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[None] = []
    log = AuditLog("/dev/full", on_failure=lambda: failures.append(None))
    assert write(log, {"a": 1}) == [False]
    log.close()
    assert "an audit line was lost" in caplog.text
    assert len(failures) == 1


def test_partial_writes_make_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr("serving.audit.os.write", lambda file, data: whole(file, bytes(data[:5])))
    log = AuditLog(str(tmp_path / "audit"))
    assert write(log, {"a": "x" * 40}, {"b": 2}) == [True, True]
    log.close()
    assert [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()] == [
        {"a": "x" * 40},
        {"b": 2},
    ]


def test_a_truncated_line_does_not_damage_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full for a while."""
    whole, calls = os.write, iter([5, 0])

    def full(file: int, data: memoryview) -> int:
        size = next(calls, None)
        if size == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(file, data[:size])

    monkeypatch.setattr("serving.audit.os.write", full)
    log = AuditLog(str(tmp_path / "audit"))
    assert write(log, {"lost": 1}, {"b": 2}, {"c": 3}) == [False, True, True]
    log.close()
    torn, *rest = (tmp_path / "audit").read_text().splitlines()
    assert torn == '{"los'
    assert [json.loads(line) for line in rest] == [{"b": 2}, {"c": 3}]


@pytest.mark.parametrize("how", ["moved", "removed", "cut off"])
def test_a_rotated_file_is_reopened(tmp_path: Path, how: str) -> None:
    target = tmp_path / "audit"
    log = AuditLog(str(target))
    write(log, {"a": 1})
    if how == "moved":
        target.rename(tmp_path / "audit.1")
    elif how == "removed":
        target.unlink()
    else:
        os.truncate(target, 0)
    assert write(log, {"b": 2}) == [True]
    log.close()
    assert target.read_text() == '{"b":2}\n'
    assert target.stat().st_mode & 0o077 == 0


def test_a_blocked_reader_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output may be a pipe that nobody empties."""
    monkeypatch.setattr("serving.audit.SECONDS", 0.2)
    reader, writer = os.pipe()
    monkeypatch.setattr("serving.audit._STDOUT", writer)
    log = AuditLog("-")
    assert write(log, {"a": "x" * 200_000}, {"b": 1}) == [False, False]
    threading.Thread(target=lambda: [os.read(reader, 65536) for _ in range(8)], daemon=True).start()
    log.close()
    os.close(writer)


@pytest.mark.parametrize(
    ("protected", "failure", "status"),
    [(True, "", 503), (True, "open", 200), (False, "", 200), (False, "closed", 503)],
    ids=["keys: closed", "keys, but open", "no keys: open", "no keys, but closed"],
)
def test_without_an_audit_line_there_is_no_answer(
    make_client: ClientFactory, tmp_path: Path, photo: Photo, protected: bool, failure: str, status: int
) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "ward 3")
    access = {"keys": str(keys)} if protected else {}
    client = make_client(audit="/dev/full", audit_failure=failure, **access)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "image/png"}
    response = client.post("/v1/screen", content=photo.png, headers=headers)
    assert response.status_code == status
    if status == 503:
        assert response.json()["type"] == "/problems/audit"
        assert "landmarks" not in response.text
    # A refusal gives nothing away and stays what it is.
    assert client.post("/v1/screen", content=b"GIF89a", headers=headers).status_code == 415
    metrics = client.app.state.runtime.metrics.exposition().decode()
    assert "lidloop_serving_audit_failures_total 2.0" in metrics
    assert f'outcome="{"audit" if status == 503 else "ok"}",route="/v1/screen"' in metrics

"""API keys: made, found, revoked; what the file holds and what it must not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.web.api_keys import METRICS, SCREEN, AccessError, KeyFile, add_key, read_keys, revoke_key


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_until_it_is_revoked(keys: Path) -> None:
    first = add_key(keys, "ward 3")
    file = KeyFile(keys)
    second = add_key(keys, "Prometheus", scopes=(METRICS,))
    found = [file.find(key) for key in (first, second)]
    assert [(key.name, set(key.scopes)) for key in found if key] == [
        ("ward 3", {SCREEN}),
        ("Prometheus", {METRICS}),
    ]
    revoke_key(keys, read_keys(keys)[0]["id"])
    assert file.find(first) is None
    assert file.find(second) is not None
    keys.unlink()
    with pytest.raises(AccessError, match=r"keys\.json"):
        file.find(second)


def test_the_file_holds_no_secret(keys: Path) -> None:
    key = add_key(keys, "ward 3", days=30)
    assert key.rpartition("_")[2] not in keys.read_text()
    (entry,) = read_keys(keys)
    assert entry["name"] == "ward 3"
    assert datetime.fromisoformat(entry["expires"]) > datetime.now(UTC) + timedelta(days=29)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda key: "", "empty"),
        (lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"), "another secret"),
        (lambda key: key.replace("_", "-"), "not in the form of a key"),
        (lambda key: "lidloop_" + "0" * 12 + "_" + "A" * 43, "an unknown id"),
        (lambda key: "x" * 100_000, "very long"),
    ],
)
def test_a_wrong_key_is_not_found(keys: Path, change: Any, reason: str) -> None:
    key = add_key(keys, "ward 3")
    assert KeyFile(keys).find(change(key)) is None, reason


def test_an_expired_key_is_not_found(keys: Path) -> None:
    key = add_key(keys, "late", days=1)
    entries = json.loads(keys.read_text())
    entries["keys"][0]["expires"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    keys.write_text(json.dumps(entries))
    assert KeyFile(keys).find(key) is None


@given(st.text(max_size=100))
def test_no_text_is_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    keys = tmp_path_factory.getbasetemp() / "text-keys.json"
    if not keys.exists():
        add_key(keys, "a")
    assert KeyFile(keys).find(text) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("[]", "a list"),
        ('{"keys": [{"id": "a"}]}', "incomplete"),
        ('{"keys": [{"id": "a", "name": "b", "sha256": "plain", "scopes": []}]}', "not a SHA-256"),
        ('{"keys": [{"id": "a", "name": "b", "sha256": "' + "0" * 64 + '", "scopes": "screen"}]}', "no list"),
    ],
)
def test_a_damaged_file_is_an_error(keys: Path, content: str, reason: str) -> None:
    keys.write_text(content)
    with pytest.raises(AccessError, match="not a key file"):
        KeyFile(keys)


def test_revoking_an_unknown_key_is_an_error(keys: Path) -> None:
    add_key(keys, "x")
    with pytest.raises(AccessError, match="nothing"):
        revoke_key(keys, "nothing")

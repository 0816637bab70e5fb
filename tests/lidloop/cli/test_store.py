"""``lidloop store``, through the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lidloop.cli.main import app
from lidloop.errors import StoreError
from lidloop.models.bundle import Bundle

pytest.importorskip("minio")
pytestmark = pytest.mark.usefixtures("without_s3_keys")

Make = Callable[..., Bundle]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["store", *arguments], env={"COLUMNS": "140"})


def said(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_datasets(bucket: Any, tmp_path: Path) -> None:
    bucket.put("raw/afw/1.jpg", b"\xff\xd8 a picture")
    bucket.put("raw/afw/1.pts", b"1 2")
    address, folder = bucket.address("raw"), str(tmp_path / "data")
    assert "2 files, 15 bytes: 2 downloaded (15 bytes), 0 unchanged" in said("pull", address, folder)
    assert (tmp_path / "data/afw/1.pts").read_bytes() == b"1 2"
    assert "0 downloaded (0 bytes), 2 unchanged" in said("pull", address, folder)
    bucket.client.remove_object(bucket.name, "raw/afw/1.pts")
    assert "(afw/1.pts …); --prune" in said("pull", address, folder)
    assert "were removed" in said("pull", address, folder, "--prune")
    answer = json.loads(said("pull", address, folder, "--json"))
    assert answer == {
        "address": f"s3://{bucket.name}/raw", "folder": folder, "files": 1, "bytes": 12, "downloaded": 0,
        "downloaded_bytes": 0, "unchanged": 1, "left_over": [], "removed": [],
    }  # fmt: skip
    (tmp_path / "data/afw/1.jpg").write_bytes(b"mine")
    result = call("pull", address, folder)
    assert isinstance(result.exception, StoreError)
    said("pull", address, folder, "--overwrite")
    assert (tmp_path / "data/afw/1.jpg").read_bytes() == b"\xff\xd8 a picture"


def test_bundles(bucket: Any, make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle()
    address = bucket.address("models/lidloop/7")
    assert re.search(r"7 files of [\d.]+ kB in all: s3://", said("push", str(bundle.root), address))
    assert "already complete" in said("push", str(bundle.root), address)
    answer = json.loads(said("push", str(bundle.root), address, "--json"))
    assert (answer["digest"], answer["uploaded"]) == (bundle.digest, [])
    bucket.put("models/lidloop/8/model.onnx", b"half")
    bucket.put("models/lidloop/[red]note", b"123")
    listed = said("list", bucket.address("models/lidloop"))
    assert re.search(r"7/ +│ +[\d.]+ kB │ bundle: run r, iteration 1 ", listed)
    assert re.search(r"8/ +│ +│ unfinished bundle ", listed)
    assert re.search(r"\[red\]note +│ +3 bytes │ ", listed)
    rows = json.loads(said("list", bucket.address("models/lidloop"), "--json"))["items"]
    assert [(row["key"], row["bytes"]) for row in rows] == [("7/", None), ("8/", None), ("[red]note", 3)]
    assert rows[0]["bundle"]["digest"] == bundle.digest
    assert rows[1]["bundle"] == "unfinished bundle"
    assert "bundle" not in rows[2]
    out = tmp_path / "out"
    assert "bundle of run r, iteration 1" in said("pull", address, str(out))
    assert Bundle.open(out).digest == bundle.digest
    assert json.loads(said("pull", address, str(out), "--json"))["digest"] == bundle.digest
    result = call("pull", bucket.address("models/lidloop/8"), str(tmp_path / "8"))
    assert isinstance(result.exception, StoreError)
    assert "whose upload is incomplete" in str(result.exception)
    assert not (tmp_path / "8").exists()


@pytest.mark.ceph
def test_a_list_shows_what_is_no_bundle(bucket: Any) -> None:
    bucket.put("bundle/bundle.json", b"{}")
    bucket.put("a//b", b"")
    rows = json.loads(said("list", bucket.address(), "--json"))["items"]
    assert [(row["key"], row.get("bundle")) for row in rows] == [
        ("a/", None),
        ("bundle/", "bundle.json of something else"),
    ]
    rows = json.loads(said("list", bucket.address("a"), "--json"))["items"]
    assert [(row["key"], row.get("bundle")) for row in rows] == [("/", "no folder can have this name")]


def test_long_lists(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number:02}").write_bytes(b"")
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        arguments = ("--limit", "10", "--start-after", after)
        answer = json.loads(said("list", str(tmp_path), "--json", *arguments))
        seen += [row["key"] for row in answer["items"]]
        after = answer["next"]
    assert seen == [f"{number:02}" for number in range(25)]
    assert "--start-after 09" in said("list", str(tmp_path), "--limit", "10")
    assert "nothing after that key" in said("list", str(tmp_path), "--start-after", "99")
    assert "nothing at" in said("list", str(tmp_path / "none"))


def test_levels(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"")
    assert [row["key"] for row in json.loads(said("list", str(tmp_path), "--json"))["items"]] == ["a/"]
    rows = json.loads(said("list", str(tmp_path), "--json", "--recursive"))["items"]
    assert [row["key"] for row in rows] == ["a/b"]


@pytest.mark.parametrize("command", ["pull", "push", "list"])
def test_help_teaches(command: str) -> None:
    text = said(command, "--help")
    assert f"Example: lidloop store {command}" in text


def test_help_says_where_keys_come_from() -> None:
    text = re.sub(r"\s+", " ", said("--help"))
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment" in text
    assert "docs/STORAGE.md" in text


def test_without_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "minio", None)
    monkeypatch.delitem(sys.modules, "lidloop.storage.s3", raising=False)
    result = call("list", "s3://bkt/a?anonymous=true")
    assert isinstance(result.exception, StoreError)
    assert "pip install 'lidloop[store]'" in str(result.exception)
    assert "nothing at" in said("list", str(tmp_path / "none")), "folders need no client"

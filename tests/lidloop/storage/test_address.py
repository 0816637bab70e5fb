"""Parsing of store addresses and object keys."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.errors import StoreError
from lidloop.storage.address import S3Address, key_parts, parse_address

HOST = {"AWS_ENDPOINT_URL_S3": "https://s3.hospital.example:9000"}


def parsed(address: str, env: dict[str, str] | None = None) -> S3Address:
    found = parse_address(address, env or {})
    assert isinstance(found, S3Address)
    return found


@pytest.mark.parametrize(
    ("address", "env", "expected"),
    [
        ("s3://bkt/a/b", {}, {"bucket": "bkt", "prefix": "a/b", "endpoint": "https://s3.amazonaws.com"}),
        ("s3://bkt", HOST, {"prefix": "", "endpoint": "https://s3.hospital.example:9000", "region": ""}),
        ("s3://bkt/", HOST, {"prefix": ""}),
        ("S3://bkt/a/", HOST, {"prefix": "a"}),
        ("s3://bkt/a b/ü%20", HOST, {"prefix": "a b/ü%20"}),
        ("s3://bkt/a?endpoint=http://127.0.0.1:9&region=eu-west-1", HOST,
         {"endpoint": "http://127.0.0.1:9", "region": "eu-west-1"}),
        ("s3://bkt/a", {"AWS_ENDPOINT_URL": "http://x:1", "AWS_DEFAULT_REGION": "r1"},
         {"endpoint": "http://x:1", "region": "r1"}),
        ("s3://bkt/a", {"AWS_ENDPOINT_URL": "http://x:1", "AWS_ENDPOINT_URL_S3": "http://y:2/"},
         {"endpoint": "http://y:2"}),
        ("s3://bkt/a?use_path_style=false", HOST, {"use_path_style": False}),
        ("s3://bkt/a", HOST | {"LIDLOOP_S3_USE_PATH_STYLE": "1"}, {"use_path_style": True}),
        ("s3://bkt/a", HOST, {"use_path_style": None, "anonymous": False, "profile": "", "ca_bundle": ""}),
        ("s3://bkt/a?anonymous=TRUE&profile=p&ca_bundle=/etc/ca.pem", HOST,
         {"anonymous": True, "profile": "p", "ca_bundle": "/etc/ca.pem"}),
        ("s3://bkt/a?role_arn=arn:aws:iam:::role/reader", HOST, {"role_arn": "arn:aws:iam:::role/reader"}),
        ("s3://bkt/a", {"SSL_CERT_FILE": "/a.pem", "AWS_CA_BUNDLE": "/b.pem"}, {"ca_bundle": "/b.pem"}),
    ],
)  # fmt: skip
def test_address_is_parsed(address: str, env: dict[str, str], expected: dict[str, object]) -> None:
    found = parsed(address, env)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("address", "env", "words"),
    [
        ("", {}, "empty"),
        ("gs://bkt/a", {}, "gs:// is not supported"),
        ("https://host/bkt", {}, "https:// is not supported"),
        ("s3://KEY:geheim@bkt/a", {}, "no keys"),
        ("s3://host:9000/bkt", {}, "no port"),
        ("s3:///a", {}, "not a valid bucket"),
        ("s3://Upper/a", {}, "not a valid bucket"),
        ("s3://a..b/a", {}, "not a valid bucket"),
        ("s3://bkt/a/../b", {}, "'..'"),
        ("s3://bkt/a//b", {}, "an empty name"),
        ("s3://bkt/a?secret_key=geheim", {}, "no secrets"),
        ("s3://bkt/a?AccessKeyId=geheim", {}, "no secrets"),
        ("s3://bkt/a?wrong=1", {}, "known: endpoint, region"),
        ("s3://bkt/a?endpoint=host:9000", {}, "https://HOST:PORT"),
        ("s3://bkt/a?endpoint=https://u:geheim@host", {}, "holds a user or password"),
        ("s3://bkt/a?endpoint=https://host:port", {}, "not a URL"),
        ("s3://bkt/a?endpoint=https://host/s3", {}, "more than a host"),
        ("s3://bkt/a?region=no spaces", {}, "not a valid region"),
        ("s3://bkt/a?use_path_style=yes", {}, "true or false"),
        ("s3://bkt/a", {"AWS_ENDPOINT_URL": "ftp://h"}, "https://HOST:PORT"),
    ],
)
def test_invalid_addresses_are_rejected_without_showing_secrets(
    address: str, env: dict[str, str], words: str
) -> None:
    with pytest.raises(StoreError) as error:
        parse_address(address, env)
    assert words in str(error.value)
    assert "geheim" not in str(error.value)


def test_local_address_becomes_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address("a/../b") == tmp_path / "b"
    assert parse_address(Path("s3:")) == tmp_path / "s3:"
    assert parse_address("~/x") == Path(os.environ["HOME"]) / "x"


def test_amazon_is_recognised_by_its_host() -> None:
    assert parsed("s3://bkt/a").is_amazon
    assert parsed("s3://bkt/a?endpoint=https://s3.cn-north-1.amazonaws.com.cn").is_amazon
    assert not parsed("s3://bkt/a?endpoint=https://amazonaws.com.evil.example").is_amazon


@pytest.mark.parametrize(
    "key",
    ["..", "a/../b", "../a", "/a", "a/", "a//b", ".", "a/./b", "", "a\\b", "a\x00b", "a\nb", "a\x85b",
     "a\ud800", "x" * 256, "ü" * 128],
)  # fmt: skip
def test_keys_that_are_no_valid_path_are_rejected(key: str) -> None:
    with pytest.raises(StoreError, match="not a valid file path"):
        key_parts(key)


@given(st.text(max_size=40) | st.text(alphabet="./\\ab", max_size=12))
def test_any_accepted_key_stays_below_its_folder(key: str) -> None:
    try:
        parts = key_parts(key)
    except StoreError:
        return
    root = Path("/data/set")
    path = root.joinpath(*parts)
    assert Path(os.path.normpath(path)) == path
    assert path.is_relative_to(root)
    assert path != root
    assert PurePosixPath(*parts).as_posix() == key

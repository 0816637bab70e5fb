"""Bodies and headers: limits of size and time, content encodings, strict JSON."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.testclient import TestClient

from lidloop.web.body import DEFLATE, GZIP, joined_header, parse_json, read_body, single_header
from lidloop.web.problems import Problem
from tests.lidloop.web.conftest import LIMIT

TEXT = b"an eyelid " * 1000


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


ENCODED = [
    ("gzip", gzip.compress(TEXT)),
    ("GZIP", gzip.compress(TEXT)),
    ("x-gzip", gzip.compress(TEXT)),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", zlib.compress(TEXT, 0)),
    ("deflate", raw_deflate(TEXT)),
    ("identity", TEXT),
    ("", TEXT),
]


@pytest.mark.parametrize(("coding", "body"), ENCODED, ids=range(len(ENCODED)))
def test_accepted_content_encodings_are_decoded(client: TestClient, coding: str, body: bytes) -> None:
    answer = client.post("/read", content=body, headers={"Content-Encoding": coding})
    assert answer.json() == {"bytes": len(TEXT)}, answer.text


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_encoded_body_may_come_in_chunks(client: TestClient, size: int) -> None:
    body = gzip.compress(TEXT)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    assert client.post("/read", content=chunks(), headers={"Content-Encoding": "gzip"}).json()[
        "bytes"
    ] == len(TEXT)


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "aes128gcm", "\xff", "x" * 5000]
)
def test_other_content_encodings_are_refused_by_name(client: TestClient, coding: str) -> None:
    answer = client.post("/read", content=b"x", headers={"Content-Encoding": coding.encode("latin-1")})
    assert answer.status_code == 415
    assert answer.json()["type"] == "/problems/media-type"
    assert "Content-Encoding" in answer.json()["detail"]
    assert answer.headers["accept-encoding"] == "gzip, deflate, identity"
    refused = client.post("/plain", content=gzip.compress(TEXT), headers={"Content-Encoding": "gzip"})
    assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "identity")
    assert "'gzip'" in refused.json()["detail"]


def test_two_lines_of_content_encoding_are_one_list(client: TestClient) -> None:
    pairs = [("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")]
    assert client.post("/read", content=gzip.compress(TEXT), headers=pairs).status_code == 415


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_expands_beyond_the_limit_is_refused(client: TestClient, coding: str) -> None:
    bomb = bytes(300 * LIMIT)
    body = gzip.compress(bomb) if coding == "gzip" else zlib.compress(bomb)
    assert len(body) < LIMIT
    answer = client.post("/read", content=body, headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["limit"]) == (413, LIMIT)
    exact = gzip.compress(bytes(LIMIT))
    assert client.post("/read", content=exact, headers={"Content-Encoding": "gzip"}).json()["bytes"] == LIMIT
    one_more = gzip.compress(bytes(LIMIT + 1))
    assert client.post("/read", content=one_more, headers={"Content-Encoding": "gzip"}).status_code == 413


@pytest.mark.parametrize(
    "body",
    [b"", TEXT, gzip.compress(TEXT)[:-1], gzip.compress(TEXT)[:20], gzip.compress(TEXT) + b"more",
     gzip.compress(TEXT) * 2, zlib.compress(TEXT)],
    ids=["empty", "not encoded", "cut short", "cut shorter", "bytes behind it", "two in one", "another one"],
)  # fmt: skip
def test_damaged_encodings_are_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/read", content=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/body")


@given(st.binary(max_size=200), st.sampled_from([GZIP, DEFLATE]))
def test_no_encoded_bytes_are_an_error_of_the_service(body: bytes, coding: str) -> None:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(messages)

    head = [(b"content-encoding", coding.encode())]
    request = Request({"type": "http", "headers": head, "method": "POST"}, receive)
    try:
        asyncio.run(read_body(request, 1000, 5, codings=(GZIP, DEFLATE)))
    except Problem as problem:
        assert problem.kind in ("body", "too-large")  # noqa: PT017


def test_a_body_of_unknown_length_ends_at_the_limit(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(10_000)

    answer = client.post("/read", content=chunks())
    assert (answer.status_code, answer.json()["unit"]) == (413, "bytes")
    assert answer.headers["connection"] == "close"


def test_a_header_that_may_stand_once_must_not_contradict_itself() -> None:
    def headers(*values: str) -> Headers:
        return Headers(raw=[(b"x-a", value.encode()) for value in values])

    assert single_header(headers(), "x-a") is None
    assert single_header(headers("1"), "x-a") == "1"
    assert single_header(headers("1", " 1"), "x-a") == "1"
    with pytest.raises(Problem, match="x-a"):
        single_header(headers("1", "2"), "x-a")
    assert joined_header(headers("a;q=0.1", "b"), "x-a") == "a;q=0.1, b"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b"\xff", "UTF-8"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"b": [{"a": 1, "a": 1}]}', "twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[" * 100_000, "nested"),
        (b"9" * 5000, "digits"),
        (b'"\\ud800', "JSON"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
    ],
    ids=range(11),
)
def test_json_is_strict(body: bytes, said: str) -> None:
    with pytest.raises(Problem, match=said) as caught:
        parse_json(body)
    assert caught.value.kind == "body"


def test_json_that_is_right_is_read(client: TestClient) -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 2.5, null, "\xc3\xa9"]}') == {"a": [1, 2.5, None, "é"]}
    assert parse_json(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]
    json = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post("/json", content=b'{"a": 1}', headers=json).json()["value"] == {"a": 1}
    assert client.post("/json").json()["value"] == {}
    assert client.post("/json", content=b"{}").status_code == 415
    assert client.post("/json", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    twice = [("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert client.post("/json", content=b"{}", headers=twice).status_code == 400

"""Retries and error messages, against a mock server with scripted answers."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lidloop.errors import StoreError
from lidloop.storage import open_store

pytest.importorskip("minio")

from lidloop.storage.transport import RetryingPool, RetryPolicy

QUICK = RetryPolicy(tries=3, first=0.01, longest=0.02)
XML = {"Content-Type": "application/xml"}
TEXT_XML = {"Content-Type": "text/xml; charset=utf-8"}
Answer = tuple[int, bytes, dict[str, str]]


class Server:
    """Mock server: gives its answers in order, and repeats the last one."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, b"", {})]
        self.asked = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                status, body, headers = server.answers[min(server.asked, len(server.answers) - 1)]
                server.asked += 1
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_GET

            def log_message(self, *_: Any) -> None: ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("preload", [True, False])
@pytest.mark.parametrize(
    ("first", "asked", "last"),
    [
        ((200, b"yes", {}), 1, 200),
        ((500, b"", {}), 2, 200),
        ((503, error("SlowDown"), {"Retry-After": "0"}), 2, 200),
        ((503, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), 2, 200),
        ((503, b"", {"Retry-After": "3600"}), 2, 200),  # capped at the longest wait
        ((429, b"", {}), 2, 200),
        ((504, b"<html>", {}), 2, 200),
        ((400, error("RequestTimeout"), {}), 2, 200),
        ((400, error("InvalidArgument"), {}), 1, 400),
        ((403, error("AccessDenied"), {}), 1, 403),
        ((404, error("NoSuchKey"), {}), 1, 404),
        ((409, error("OperationAborted"), {}), 1, 409),
        ((412, error("PreconditionFailed"), {}), 1, 412),
        ((501, error("NotImplemented"), {}), 1, 501),
    ],
)
def test_only_transient_answers_are_retried(
    server: Server, method: str, preload: bool, first: Answer, asked: int, last: int
) -> None:
    server.answers = [first, (200, b"yes", {})]
    pool = RetryingPool(retry_policy=QUICK)
    response = pool.urlopen(method, f"{server.url}/b/k", body=b"body", preload_content=preload)
    assert (server.asked, response.status) == (asked, last)
    assert response.data == (b"yes" if last == 200 else first[1]), "the body of an error can still be read"
    pool.clear()


def test_attempts_are_limited(server: Server) -> None:
    server.answers = [(503, b"", {})]
    assert RetryingPool(retry_policy=QUICK).urlopen("GET", server.url).status == 503
    assert server.asked == QUICK.tries


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, error("SlowDown"), XML), "fewer requests"),
        ((503, b"", {}), "does not answer as an S3 server|answers HTTP 503"),
        ((500, error("InternalError"), XML), r"InternalError \(HTTP 500\)"),
        ((403, error("ExpiredToken"), XML), "temporary keys have expired"),
        ((403, error("ExpiredToken"), TEXT_XML), "temporary keys have expired"),
        ((400, error("AuthorizationHeaderMalformed"), XML),
         "another region than .*; set AWS_REGION"),
        ((301, error("PermanentRedirect"), XML), "bkt is in another region"),
        ((403, error("QuotaExceeded"), XML), "quota of bucket bkt"),
        ((200, b"<html>log in</html>", {}), "does not answer as an S3 server"),
        ((200, b"log in", {}), "does not answer as an S3 server"),
    ],
)  # fmt: skip
def test_answers_become_messages_with_the_cause(server: Server, answer: Answer, words: str) -> None:
    server.answers = [answer]
    store = open_store(f"s3://bkt/p?anonymous=true&endpoint={server.url}", retry_policy=QUICK)
    with pytest.raises(StoreError, match=words):
        list(store.items())


def test_waits_double_with_jitter() -> None:
    retry_policy = RetryPolicy(tries=6, first=1.0, longest=10.0)
    waits = list(retry_policy.waits())
    assert len(waits) == 5
    for wait, longest in zip(waits, (1, 2, 4, 8, 10), strict=True):
        assert longest / 2 <= wait <= longest
    assert list(retry_policy.waits()) != waits

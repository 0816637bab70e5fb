"""A connection that says nothing is closed; one that asks, and asks again, is not."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lidloop.web.h11_limits import Connection
from tests.serving.conftest import Server, free_port, wait_ready

CODE = """
import sys
from lidloop.web import h11_limits
h11_limits.HEAD_SECONDS = 1.0
h11_limits.LINGER_SECONDS = 2.0
h11_limits.LINGER_BYTES = 2_000_000
h11_limits.Connection._left = 2_000_000
if __name__ == "__main__":  # workers import this file too
    from lidloop.cli.main import main
    sys.argv[0] = "lidloop"
    main()
"""
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def impatient(
    request: pytest.FixtureRequest, sealed_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that waits a second for a request's head, and two, or two megabytes, for the end of a body
    that nobody wants."""
    port, folder = free_port(), tmp_path_factory.mktemp("impatient")
    log, code = folder / "log", folder / "impatient.py"
    code.write_text(CODE)
    environment = {
        "LIDLOOP_MODEL": str(sealed_model), "LIDLOOP_PORT": str(port), "LIDLOOP_AUDIT": os.devnull,
        "LIDLOOP_WORKERS": str(request.param),
    }  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, code, "serve"], env=os.environ | environment, stdout=out,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", process, log)
    wait_ready(server)
    yield server
    assert server.stop() == 0
    assert "Traceback" not in log.read_text()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=20)


def ask(connection: socket.socket) -> None:
    connection.sendall(ASK)
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(4000)
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: local"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_is_given_up(impatient: Server, first: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(first)
        assert connection.recv(100) == b""  # closed by the server


def test_half_a_head_after_a_request_is_given_up_too(impatient: Server) -> None:
    with connect(impatient) as connection:
        ask(connection)
        connection.sendall(ASK[:20])
        assert connection.recv(100) == b""


def test_a_connection_that_asks_now_and_then_stays(impatient: Server) -> None:
    with connect(impatient) as connection:
        for _ in range(2):
            ask(connection)
            time.sleep(1.2)


def test_a_head_has_a_size(impatient: Server) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        sent = 0
        with pytest.raises(OSError, match=r"reset|pipe"):
            while sent < 20_000_000:
                connection.sendall(b"X-A: " + b"a" * 10_000 + b"\r\n")
                sent += 10_000
    assert sent < 20_000_000


POST = "POST /v1/screen{query} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{more}"
REFUSED = [
    ("a stranger's name", {"host": "evil.example"}, 403),
    ("another site", {"more": "Origin: https://evil.example\r\n"}, 403),
    ("not acceptable", {"more": "Accept: text/html\r\n"}, 406),
    ("a kind that is not taken", {"kind": "image/gif"}, 415),
    ("a wrong parameter", {"query": "?mirrored=perhaps"}, 400),
    ("too large", {}, 413),
]
OTHERS = [
    ("nothing there", "POST /nowhere", 404),
    ("not its method", "PUT /v1/screen", 405),
    ("a body that is no part of it", "GET /livez", 200),
    ("a model that is not there", "POST /v2/models/none/infer", 404),
]
PLAIN = {"query": "", "host": "localhost", "kind": "image/png", "more": ""}
HEADS = [
    *((why, POST.format(**PLAIN | change), status) for why, change, status in REFUSED),
    *((why, f"{line} HTTP/1.1\r\nHost: localhost\r\n", status) for why, line, status in OTHERS),
]


def flood(connection: socket.socket, limit: int) -> int:
    """Send chunks of a body until the other end has had enough; how many bytes it took."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < limit:
            connection.sendall(chunk)
            sent += len(chunk)
    return sent


@pytest.mark.parametrize(("why", "head", "status"), HEADS, ids=[head[0] for head in HEADS])
def test_a_body_without_end_is_not_swallowed(impatient: Server, why: str, head: str, status: int) -> None:
    with connect(impatient) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        if status == 413:
            flood(connection, 11_000_000)
        answer = b""
        while chunk := connection.recv(4000):  # to its end: nothing more will be said
            answer += chunk
        assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert flood(connection, 200_000_000) < 20_000_000


def test_a_body_that_trickles_does_not_hold_the_connection(impatient: Server) -> None:
    with connect(impatient) as connection:
        head = POST.format(query="", host="localhost", kind="image/gif", more="Content-Length: 1000000\r\n")
        connection.sendall(head.encode() + b"\r\n")
        while connection.recv(4000):
            pass
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - start < 15:
                connection.sendall(b"x")
                time.sleep(0.05)
    assert impatient.process.poll() is None


def test_bentoml_s_own_worker_has_the_same_limits() -> None:
    """``bentoml serve`` leaves the choice of the protocol to uvicorn."""
    import uvicorn

    from serving.service import app

    config = uvicorn.Config(app)
    config.load()
    assert config.http_protocol_class is Connection

"""Time and size limits of connections: idle and slow clients are cut off, and refusals can be read."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from lidloop.web import h11_limits
from tests.lidloop.web.conftest import LARGE, LIMIT, Running

GET = b"GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h11_limits, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(h11_limits, "WRITE_SECONDS", 1.0)
    monkeypatch.setattr(h11_limits, "LINGER_SECONDS", 2.0)
    monkeypatch.setattr(h11_limits.Connection, "_left", 2_000_000)


def connect(running: Running) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(20)
    connection.connect(("127.0.0.1", running.port))
    return connection


def get(connection: socket.socket) -> None:
    connection.sendall(GET)
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(4000)
    assert answer.startswith(b"HTTP/1.1 200")


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def known(running: Running, connection: socket.socket) -> bool:
    """Tell if the server holds this client's connection."""
    name = connection.getsockname()
    return any(one.client == name for one in list(running.server.server_state.connections))


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: local"], ids=["nothing", "half a head"])
def test_a_connection_without_complete_headers_is_closed(running: Running, first: bytes) -> None:
    with connect(running) as connection:
        connection.sendall(first)
        assert connection.recv(100) == b""


def test_incomplete_headers_after_a_request_close_the_connection(running: Running) -> None:
    with connect(running) as connection:
        get(connection)
        connection.sendall(GET[:20])
        assert connection.recv(100) == b""


def test_a_connection_with_requests_now_and_then_stays_open(running: Running) -> None:
    with connect(running) as connection:
        for _ in range(2):
            get(connection)
            time.sleep(1.2)


def test_the_size_of_headers_is_limited(running: Running) -> None:
    with connect(running) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        sent = 0
        with pytest.raises(OSError, match=r"reset|pipe"):
            while sent < 20_000_000:
                connection.sendall(b"X-A: " + b"a" * 10_000 + b"\r\n")
                sent += 10_000
    assert sent < 20_000_000


def test_a_client_that_does_not_read_its_answer_is_cut_off(running: Running) -> None:
    with connect(running) as connection:
        connection.sendall(GET.replace(b"/state", b"/large"))
        for wanted in (True, False):
            deadline = time.monotonic() + 20
            while known(running, connection) != wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            assert known(running, connection) == wanted
        with contextlib.suppress(ConnectionError):
            assert len(everything(connection)) < LARGE


def test_a_client_that_reads_slowly_gets_its_answer(running: Running) -> None:
    with connect(running) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = 0
        while received < 25_000_000:
            time.sleep(0.4)
            part = received + 8_000_000
            while received < part:
                received += len(connection.recv(1_000_000))
        assert received + len(everything(connection)) > LARGE


HEADS = [
    ("from another site", "POST /read", "Origin: https://evil.example\r\n", 403),
    ("of a media type that is not accepted", "POST /json", "Content-Type: image/gif\r\n", 415),
    ("with a content encoding that is not accepted", "POST /read", "Content-Encoding: br\r\n", 415),
    ("too large", "POST /read", "", 413),
    ("to an unknown address", "POST /nowhere", "", 404),
    ("with a method that is not allowed", "PUT /read", "", 405),
    ("to a resource that takes no body", "GET /state", "", 200),
]


def flood(connection: socket.socket, limit: int) -> int:
    """Send chunks of a body until the other end closes; return the number of bytes that it took."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < limit:
            connection.sendall(chunk)
            sent += len(chunk)
    return sent


@pytest.mark.parametrize(("why", "line", "more", "status"), HEADS, ids=[head[0] for head in HEADS])
def test_an_endless_body_is_cut_off_after_the_answer(
    running: Running, why: str, line: str, more: str, status: int
) -> None:
    with connect(running) as connection:
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\n{more}Transfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        if status == 413:
            flood(connection, 2 * LIMIT)
        answer = everything(connection)
        assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert flood(connection, 200_000_000) < 20_000_000


def test_a_trickling_body_does_not_hold_the_connection(running: Running) -> None:
    with connect(running) as connection:
        connection.sendall(
            b"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/gif\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        everything(connection)
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - start < 15:
                connection.sendall(b"x")
                time.sleep(0.05)


def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(running: Running) -> None:
    head = (
        b"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/gif\r\nConnection: close\r\n"
        b"Content-Length: 1500000\r\n\r\n"
    )
    for _ in range(20):
        with connect(running) as connection:
            connection.sendall(head + bytes(1_500_000))
            assert everything(connection).startswith(b"HTTP/1.1 415")


def test_an_oversized_body_is_refused_before_it_is_sent(running: Running) -> None:
    with connect(running) as connection:
        connection.sendall(
            b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert connection.recv(4000).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_given_up(running: Running) -> None:
    with connect(running) as connection:
        connection.sendall(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        assert everything(connection).startswith(b"HTTP/1.1 408")

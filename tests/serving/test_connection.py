"""A connection that says nothing is closed; one that asks, and asks again, is not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.conftest import Server, free_port, wait_ready

CODE = """
import sys
from serving import connection
connection.HEAD_SECONDS = 1.0
from lidloop.cli import main
sys.argv = ["lidloop", "serve"]
main()
"""
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(sealed_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits a second for a request's head."""
    port, log = free_port(), tmp_path_factory.mktemp("impatient") / "log"
    environment = {"LIDLOOP_MODEL": str(sealed_model), "LIDLOOP_PORT": str(port), "LIDLOOP_AUDIT": os.devnull}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", CODE], env=os.environ | environment, stdout=out, stderr=subprocess.STDOUT,
            text=True,
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
        for _ in range(3):
            ask(connection)
            time.sleep(1.5)

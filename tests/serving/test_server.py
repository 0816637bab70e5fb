"""``lidloop serve`` as a process: how it starts, stops, is overloaded, and what it leaves behind: nothing."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from lidloop.registry.registry import Registry
from lidloop.web.api_keys import add_key
from lidloop.web.h11_limits import Connection
from serving.settings import Settings
from tests.serving.conftest import Photo, Server, ServerFactory, free_port, wait_ready

PNG = {"Content-Type": "image/png"}
PROGRAM = Path(sys.executable).with_name("lidloop")


def test_a_stop_finishes_current_requests(start_server: ServerFactory, photo: Photo) -> None:
    server = start_server()
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/screen HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(photo.png)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + photo.png[:1000])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/livez")
        connection.sendall(photo.png[1000:])
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert server.process.wait(20) == 0
    assert "Traceback" not in server.log.read_text()


def test_overload_is_rejected_and_passes(start_server: ServerFactory, photo: Photo) -> None:
    server = start_server(LIDLOOP_CONCURRENCY="1", LIDLOOP_QUEUE="1")
    with httpx.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(24) as pool:

        def send(_: int) -> httpx.Response:
            return client.post("/v1/screen", content=photo.png, headers=PNG)

        answers = list(pool.map(send, range(72)))
        statuses = Counter(r.status_code for r in answers)
        assert set(statuses) == {200, 503}, statuses
        for response in answers:
            if response.status_code == 503:
                assert response.headers["retry-after"] == "1"
                assert response.json()["type"] == "/problems/busy"
        time.sleep(0.1)
        assert client.get("/readyz").status_code == 200
        assert send(0).status_code == 200
    assert server.stop() == 0


def test_no_file_is_written(
    sealed_model: Path, tmp_path: Path, photo: Photo, request: pytest.FixtureRequest
) -> None:
    """From its start on the process may not write a byte into any file, and what it could use stays empty."""
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    for folder in (temporary, home):
        folder.mkdir()
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary), "LIDLOOP_PORT": str(port),
        "LIDLOOP_MODEL": str(sealed_model), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [PROGRAM, "serve"], env=environment, cwd=temporary, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    output: dict[str, str] = {}

    def read() -> None:
        output["out"], output["err"] = process.communicate()

    reader = threading.Thread(target=read, daemon=True)  # a failure here must not keep pytest from its end
    reader.start()
    request.addfinalizer(process.kill)
    server = Server(f"http://127.0.0.1:{port}", process, tmp_path / "none")
    wait_ready(server)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    name = "Mustermann_Erika_1970-01-01.png"
    params = {"pupils": '{"OD": [231.25, 271.5]}', "mirrored": "false"}
    big = photo.png + bytes(4_000_000)  # a form of this size is put on the disk by Starlette's own parser
    for accept in ("application/json", "application/fhir+json", "application/dicom"):
        for data in (photo.png, big):
            files = {"image": (name, data, "image/png")}
            response = httpx.post(
                f"{server.url}/v1/screen", files=files, params=params, headers={"Accept": accept}, timeout=60
            )
            assert response.status_code == 200, response.text
    httpx.post(f"{server.url}/v1/screen", content=b"broken", params=params, headers=PNG)
    httpx.get(f"{server.url}/patients/Mustermann?id=Mustermann")
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a connection that closed between the list and the look
            assert "deleted" not in os.readlink(link)
    process.send_signal(signal.SIGTERM)
    reader.join(30)
    assert process.returncode == 0, output
    assert not [path for place in (temporary, home) for path in place.rglob("*") if path.is_file()]
    lines = [json.loads(line) for line in output["out"].splitlines()]
    assert [line["outcomeDesc"] for line in lines] == ["200 ok"] * 6 + ["415 media-type"]
    text = output["out"] + output["err"]
    for secret in ("Mustermann", "231.25", "pupils", "landmarks", "mirrored", "Traceback"):
        assert secret not in text, text


def test_a_new_champion_is_loaded_without_a_lost_request(
    start_server: ServerFactory, registry: Path, photo: Photo
) -> None:
    store = Registry(registry)
    store.promote("1", reason="first")
    server = start_server("--model=champion", "--registry", str(registry), LIDLOOP_WATCH="0.5")
    seen: list[str] = []
    with httpx.Client(base_url=server.url, timeout=60) as client:
        end = time.monotonic() + 60
        while time.monotonic() < end and seen[-3:] != ["2"] * 3:
            response = client.post("/v1/screen", content=photo.png, headers=PNG)
            assert response.status_code == 200, response.text
            seen.append(response.json()["model"]["version"])
            if len(seen) == 3:
                store.promote("2", reason="better")
    assert seen[0] == "1"
    assert seen == sorted(seen)
    assert seen[-1] == "2"
    assert "now serving lidloop version 2" in server.log.read_text()
    assert server.stop() == 0


def test_bentomls_routes_and_headers_are_hidden(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for path in (
            "/docs.json",
            "/healthz",
            "/schema.json",
            "/static_content/index.css",
            "/v1/screen/submit",
        ):
            response = client.get(path)
            assert response.status_code == 404, path
            assert response.headers["content-type"] == "application/problem+json"
        assert "bentoml" not in client.get("/metrics").text
        for response in (client.get("/"), client.post("/v1/screen", content=b"garbage", headers=PNG)):
            assert response.status_code in (200, 415)
            assert not any("bento" in f"{k}: {v}".lower() for k, v in response.headers.items())
        assert (
            client.post("/v1/screen", content=bytes(60_000_000), headers=PNG, timeout=30).status_code == 413
        )


def test_endless_headers_are_cut_off(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        sent = 0
        try:
            while sent < 5_000_000:
                connection.sendall(b"X-A: " + b"a" * 10_000 + b"\r\n")
                sent += 10_000
            answer = connection.recv(1000)
        except OSError:
            answer = b"HTTP/1.1 4"
        assert answer.startswith(b"HTTP/1.1 4")
    assert sent < 5_000_000 or answer


def test_a_body_that_does_not_arrive_times_out(start_server: ServerFactory) -> None:
    server = start_server(LIDLOOP_BODY_SECONDS="0.5")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/screen HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 100\r\n\r\nabc"
        )
        answer = b""
        while chunk := connection.recv(4000):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"/problems/slow-body" in answer
    assert server.stop() == 0


def test_a_client_that_sends_all_before_reading_gets_the_refusal(server: Server) -> None:
    """A refusal that does not wait for the body must not reset the connection under it."""
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        b"POST /v1/screen?mirrored=perhaps HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Connection: close\r\nContent-Length: 3000000\r\n\r\n"
    )
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head + bytes(3_000_000))
            answer = b""
            while chunk := connection.recv(4000):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"/problems/parameter" in answer


def test_an_oversized_body_is_refused_before_it_is_sent(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/screen HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 60000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = connection.recv(4000)
    assert answer.startswith(b"HTTP/1.1 413")


def test_several_workers_share_metrics_and_keys(
    start_server: ServerFactory, photo: Photo, tmp_path: Path
) -> None:
    keys, audit, port = tmp_path / "keys.json", tmp_path / "audit.log", free_port()
    key = add_key(keys, "test")
    server = start_server("--workers=2", f"--keys={keys}", f"--audit={audit}", f"--metrics-port={port}")
    headers = PNG | {"Authorization": f"Bearer {key}"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda _: httpx.post(
                    f"{server.url}/v1/screen", content=photo.png, headers=headers, timeout=60
                ),
                range(12),
            )
        )
    assert {response.status_code for response in answers} == {200}
    assert (
        'lidloop_serving_requests_total{outcome="ok",route="/v1/screen"} 12.0'
        in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    )
    assert httpx.post(f"{server.url}/v1/screen", content=photo.png, headers=PNG).status_code == 401
    assert httpx.get(f"{server.url}/healthz").status_code == 404
    assert httpx.get(f"{server.url}/metrics").status_code == 404
    assert len(audit.read_text().splitlines()) == 13
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--host", "0.0.0.0"], {}, "without API keys or JWTs"),
        (["--model", "/nowhere/at/all"], {}, "not a bundle"),
        (["--model", "champion", "--registry", "nowhere"], {}, "no registry"),
        (["--keys", "/nowhere/keys.json"], {}, "key file"),
        ([], {"LIDLOOP_PORT": "many"}, "LIDLOOP_PORT"),
        ([], {"LIDLOOP_JWT_ISSUER": "x"}, "jwt_audience"),
        (["--backend", "tea"], {}, "backend"),
        (["--audit", "/nowhere/audit.log"], {}, "audit lines"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_start_up_errors_are_one_line(
    sealed_model: Path, tmp_path: Path, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    model = [] if "--model" in arguments else ["--model", str(sealed_model)]
    done = subprocess.run(
        [PROGRAM, "serve", *model, *arguments], env=os.environ | environment, cwd=tmp_path,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_an_error(server: Server, sealed_model: Path) -> None:
    port = server.url.rpartition(":")[2]
    done = subprocess.run(
        [PROGRAM, "serve", "--model", str(sealed_model), "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "choose another --port" in done.stderr


def test_every_way_to_serve_has_the_limits_of_connections() -> None:
    import uvicorn

    from serving.server import _config
    from serving.service import app

    for config in (
        uvicorn.Config(app),
        _config(app, Settings()),
        _config("serving.server:worker", Settings()),
    ):
        config.load()  # the first is what `bentoml serve` makes
        assert config.http_protocol_class is Connection

"""Work in threads: late, cancelled, abandoned; what is counted and written down then."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from lidloop.screening.screen import Options
from serving.app import create_app
from serving.model import Served
from serving.settings import Settings
from tests.serving.conftest import Photo


class Slow:
    """Screening that ends when it is told to."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real = real
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, image: Any, detector: Any, info: Any, options: Options) -> Any:
        self.begun.set()
        assert self.go_on.wait(20)
        return self.real(image, detector, info, options)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    import serving.screen

    slow = Slow(serving.screen.screen)
    monkeypatch.setattr(serving.screen, "screen", slow)
    return slow


@pytest.fixture
def make_app(settings: Settings, served: Served, tmp_path: Path) -> Callable[..., Starlette]:
    def make(**changes: Any) -> Starlette:
        values = {name: getattr(settings, name) for name in settings.__slots__}
        return create_app(Settings(**values | {"audit": str(tmp_path / "audit")} | changes), served)

    return make


async def ask(app: Starlette, png: bytes, *, gone: asyncio.Event | None = None) -> list[dict[str, Any]]:
    """POST a picture; the messages of the answer. ``gone``: when set, the caller is away."""
    sent: list[dict[str, Any]] = []
    body = iter([{"type": "http.request", "body": png, "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in body:
            return message
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/screen", "root_path": "",
        "scheme": "http", "query_string": b"", "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8000),
        "headers": [
            (b"host", b"127.0.0.1"), (b"content-type", b"image/png"), (b"content-length", b"%d" % len(png)),
        ],
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


def outcomes(app: Starlette) -> dict[str, float]:
    text = app.state.runtime.metrics.exposition().decode()
    head = "lidloop_serving_requests_total{outcome="
    lines = [line.removeprefix(head) for line in text.splitlines() if line.startswith(head)]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def audited(app: Starlette, tmp_path: Path) -> list[str]:
    app.state.runtime.close()
    lines = (tmp_path / "audit").read_text().splitlines()
    return [json.loads(line)["outcomeDesc"] for line in lines]


async def begun(slow: Slow) -> None:
    assert await asyncio.to_thread(slow.begun.wait, 20)


async def until_empty(app: Starlette) -> None:
    async with asyncio.timeout(20):
        while app.state.runtime.admission.inside:
            await asyncio.sleep(0.01)


def test_a_late_answer_is_given_up_and_its_slot_stays_taken(
    make_app: Callable[..., Starlette], slow: Slow, photo: Photo, tmp_path: Path
) -> None:
    app = make_app(work_seconds=0.8, concurrency=1)

    async def test() -> None:
        start, body = await ask(app, photo.png)
        assert start["status"] == 503
        assert json.loads(body["body"])["type"] == "/problems/late"
        assert dict(start["headers"])[b"retry-after"] == b"1"
        assert app.state.runtime.admission.inside == 1  # the thread goes on
        (waiting, _) = await ask(app, photo.png)
        assert waiting["status"] == 503
        assert app.state.runtime.admission.inside == 1
        slow.go_on.set()
        await until_empty(app)
        assert (await ask(app, photo.png))[0]["status"] == 200

    asyncio.run(test())
    assert outcomes(app) == {"late": 2, "ok": 1}
    assert audited(app, tmp_path) == ["503 late", "503 late", "200 ok"]


def test_a_cancelled_request_is_recorded(
    make_app: Callable[..., Starlette], slow: Slow, photo: Photo, tmp_path: Path
) -> None:
    app = make_app()

    async def test() -> None:
        task = asyncio.create_task(ask(app, photo.png))
        await begun(slow)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert app.state.runtime.admission.inside == 1
        slow.go_on.set()
        await until_empty(app)

    asyncio.run(test())
    assert outcomes(app) == {"cancelled": 1}
    assert audited(app, tmp_path) == ["499 cancelled"]


def test_a_disconnected_caller_is_recorded(
    make_app: Callable[..., Starlette], slow: Slow, photo: Photo, tmp_path: Path
) -> None:
    app = make_app()

    async def test() -> None:
        gone = asyncio.Event()
        task = asyncio.create_task(ask(app, photo.png, gone=gone))
        await begun(slow)
        gone.set()
        slow.go_on.set()
        assert (await task)[0]["status"] == 499

    asyncio.run(test())
    assert outcomes(app) == {"disconnected": 1}
    assert audited(app, tmp_path) == ["499 disconnected"]

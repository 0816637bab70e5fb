"""Fixtures of a real Chromium with the real app.

After every test they check that no request went to another server, nothing was stored, and the console has
only the line of the browser about an error response.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from starlette.applications import Starlette

from benchmarks import chromium
from lidloop.screening.screen import ModelInfo
from lidloop.synthetic import Picture, draw_face
from serving.app import create_app
from serving.model import Served
from serving.settings import Settings
from tests.serving.conftest import Photo, encode, free_port
from tests.serving.page.drawn import DrawnDetector

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
)  # fmt: skip
REFUSED = "Failed to load resource"


class App(NamedTuple):
    """The app on a socket, in a thread of this process."""

    url: str
    starlette: Starlette
    stop: Callable[[], None]

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Screen a JPEG without the page."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{self.url}/v1/screen", content=body, headers={"Content-Type": "image/jpeg"} | names
        )


@contextmanager
def running(settings: Settings, served: Served) -> Iterator[App]:
    port = free_port()
    starlette = create_app(settings, served)
    server = uvicorn.Server(uvicorn.Config(starlette, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end, "the app does not start"
        time.sleep(0.01)

    def stop() -> None:
        server.should_exit = True
        thread.join(20)

    yield App(f"http://127.0.0.1:{port}", starlette, stop)
    stop()


@pytest.fixture(scope="session")
def two_pictures() -> list[Picture]:
    """Two people; OS of the second one has a low lid."""
    return [
        draw_face(seed=seed, size=(460, 480), canthal_px=170.0, ptosis=(0.0, ptosis))
        for seed, ptosis in ((3, 0.0), (9, 0.8))
    ]


@pytest.fixture(scope="session")
def two_faces(two_pictures: list[Picture]) -> bytes:
    """Both people side by side in one JPEG."""
    image = np.hstack([picture.image for picture in two_pictures])
    return encode(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)


@pytest.fixture(scope="session")
def dotted_picture() -> Picture:
    return draw_face(seed=3, size=(640, 560), canthal_px=220.0)


@pytest.fixture(scope="session")
def dotted(dotted_picture: Picture) -> tuple[bytes, dict[str, tuple[float, float]]]:
    """A drawn face with a magenta dot of five by five pixels on each pupil, and the dots' centres by side."""
    image = dotted_picture.image.copy()
    dots = {}
    for side, at in (("OD", "left"), ("OS", "right")):
        x, y = (round(v) for v in dotted_picture.faces[0].pupils[at])  # type: ignore[index]
        image[y - 2 : y + 3, x - 2 : x + 3] = (255, 0, 255)
        dots[side] = (float(x), float(y))
    return encode(image, ".png"), dots


@pytest.fixture(scope="session")
def drawn_model(photo: Photo, two_pictures: list[Picture], dotted_picture: Picture) -> Served:
    """Model that returns the true faces of these pictures, and none for others."""
    left, right = (picture.faces[0].points for picture in two_pictures)
    both = np.hstack([picture.image for picture in two_pictures])
    known = [
        (photo.image, [photo.truth.points]),
        (both, [left, right + np.array([two_pictures[0].image.shape[1], 0, 0])]),
        (dotted_picture.image, [dotted_picture.faces[0].points]),
    ]
    return Served(DrawnDetector(known), ModelInfo("drawn", "3", 2, "0" * 64), {}, "drawn")


@pytest.fixture(scope="module")
def app(drawn_model: Served) -> Iterator[App]:
    """The app with default settings."""
    with running(Settings(audit=os.devnull), drawn_model) as app:
        yield app


@pytest.fixture
def make_app(drawn_model: Served) -> Iterator[Callable[..., App]]:
    """Factory of an app with other settings: ``make_app(pixels=1000)``."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(
            running(Settings(**({"audit": os.devnull} | changes)), drawn_model)
        )


@pytest.fixture(scope="module")
def browser(photo: Photo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium whose camera shows ``photo``; module scope, because its event loop runs in this thread."""
    program = chromium.find()
    if program is None:
        pytest.skip(chromium.MISSING)
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    film.write_bytes(photo.jpeg)
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


class Visit(NamedTuple):
    """An open page and the requests that it sent."""

    page: Page
    app: App
    sent: list[Any]
    """Requests to ``/v1/screen``, in order."""

    def choose(self, file: bytes, name: str = "photo.jpg") -> None:
        """Choose a file and wait for the result or a message."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#choose")
        chooser.value.set_files({"name": name, "mimeType": "", "buffer": file})
        self.settled()

    def settled(self) -> None:
        """Wait until there is a result or a message and no pending request."""
        self.page.wait_for_function(
            "() => document.querySelector('#working').hidden && "
            "['result', 'message'].some((id) => !document.getElementById(id).hidden)"
        )

    def again(self, act: Callable[[], Any]) -> None:
        """Do an action that sends a request, and wait for the response."""
        with self.page.expect_response("**/v1/screen*"):
            act()
        self.settled()

    def rows(self) -> dict[str, list[str]]:
        """Cells of the table by row."""
        return {
            row.get_attribute("data-row") or "": [cell.inner_text() for cell in row.locator("td").all()]
            for row in self.page.locator("#answer tbody tr").all()
        }

    def text(self, selector: str) -> str:
        """Visible text of an element."""
        return self.page.locator(selector).inner_text()

    def pixels(self, selector: str) -> np.ndarray:
        """Pixels of a canvas, RGB."""
        url = self.page.eval_on_selector(selector, "(canvas) => canvas.toDataURL('image/png')")
        data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))


VisitFactory = Callable[..., Visit]

_STORED = """async () => ({
  local: localStorage.length, session: sessionStorage.length, cookies: document.cookie,
  databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length,
  workers: (await navigator.serviceWorker.getRegistrations()).length,
})"""
_NOTHING = {"local": 0, "session": 0, "cookies": "", "databases": 0, "caches": 0, "workers": 0}


@pytest.fixture
def visit(browser: Browser, app: App) -> Iterator[VisitFactory]:
    """Factory that opens the page: ``visit()``, ``visit(other_app, viewport=…, color_scheme="dark")``."""
    opened: list[tuple[BrowserContext, Page, App]] = []
    asked: list[str] = []
    said: list[str] = []

    def open_page(on: App = app, **options: Any) -> Visit:
        context = browser.new_context(**options)
        context.grant_permissions(["clipboard-read", "clipboard-write", "camera"], origin=on.url)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        sent: list[Any] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("request", lambda request: sent.append(request) if "/v1/screen" in request.url else None)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        # Chromium reports file choosers only if a listener was added before.
        page.on("filechooser", lambda _: None)
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.goto(on.url)
        opened.append((context, page, on))
        return Visit(page, on, sent)

    yield open_page
    for context, page, _ in opened:
        if page.is_closed():
            continue
        assert page.evaluate(_STORED) == _NOTHING
        assert context.cookies() == []
        context.close()
    origins = {on.url for _, _, on in opened}
    assert [url for url in asked if not url.startswith((*origins, "blob:", "data:"))] == []
    wrong = [line for line in said if line.startswith(("error", "warning")) and REFUSED not in line]
    assert wrong == []


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes], Path]:
    """Factory of files: writes bytes and returns the path."""

    def save(data: bytes, name: str = "photo.jpg") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save

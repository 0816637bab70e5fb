"""Screenshot of the screening page for the README: ``python -m benchmarks.page``.

A drawn face with mild ptosis of one eye is screened by the real service in Chromium. Without ``--model`` the
committed demo weights are exported and served.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import cv2
import typer
import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks import chromium
from benchmarks.common import DOCS, IMAGES
from lidloop.demo import demo_weights
from lidloop.detection.detector import load_detector
from lidloop.files import write_atomic
from lidloop.screening.screen import ModelInfo
from lidloop.synthetic import draw_face
from lidloop.training.export import export_onnx
from serving.app import create_app
from serving.model import Served
from serving.settings import Settings

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-color-profile=srgb")
DEMO_IMGSZ = 256
VIEW = (1280, 900)


def demo_model(folder: Path) -> Path:
    """Export the demo weights into a model folder, at the size of their training."""
    shutil.copyfile(demo_weights(), folder / "weights.pt")
    return export_onnx(folder, imgsz=DEMO_IMGSZ)


def served(model: Path) -> Served:
    """Load a model folder, a bundle or an ``.onnx`` file for the service."""
    detector = load_detector(model)
    return Served(detector, ModelInfo("lidloop", None, detector.iteration, detector.digest), {}, "picture")


@contextmanager
def service(model: Served) -> Iterator[str]:
    """Serve a model in a thread on a free port, and yield the address."""
    app = create_app(Settings(audit="/dev/null"), model)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the service did not start")
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def screenshot(address: str, jpeg: bytes) -> bytes:
    """Take a screenshot of the whole page with the screening of a picture, as a PNG.

    Raises:
        RuntimeError: if Chromium is missing, or the page shows an error.
    """
    program = chromium.required()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": VIEW[0], "height": VIEW[1]}, color_scheme="light")
        page.goto(address)
        page.set_input_files("#file", {"name": "face.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
        page.wait_for_selector("#result:not([hidden]), #message:not([hidden])")
        if page.is_hidden("#result"):
            raise RuntimeError(f"the page shows: {page.inner_text('#message')}")
        shot = page.screenshot(full_page=True, animations="disabled")
        browser.close()
    out = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").save(out, "PNG", optimize=True)
    return out.getvalue()


def main(
    model: Annotated[Path | None, typer.Option(help="Model to serve; default: the demo weights.")] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = DOCS / IMAGES / "page.png",
    seed: Annotated[int, typer.Option(help="Seed of the drawn person.")] = 5,
) -> None:
    """Write the screenshot of the README."""
    drawn = draw_face(seed=seed, size=(900, 1000), canthal_px=330, ptosis=(0.0, 0.35), blur=0.6)
    jpeg = cv2.imencode(".jpg", drawn.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    with (
        tempfile.TemporaryDirectory() as folder,
        service(served(model or demo_model(Path(folder)))) as address,
    ):
        write_atomic(out, screenshot(address, jpeg))
    typer.echo(out)


if __name__ == "__main__":
    typer.run(main)

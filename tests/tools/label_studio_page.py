"""The page of a Label Studio server in Chromium, for the tests and for the screenshot of docs/REVIEW.md.

``python -m tests.tools.label_studio_page`` exports a run on drawn faces, opens a task in a real server, and
writes the screenshot. Label Studio comes from ``make review-tools``.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import chromium
from benchmarks.common import DOCS, IMAGES
from benchmarks.page import FLAGS
from lidloop.files import write_atomic
from lidloop.labels import box_of
from lidloop.landmarks import NAMES
from lidloop.review.exchange import Manifest, SentPicture, read_manifest
from tests.servers.label_studio import PASSWORD, USER, LabelStudio, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

SUBMIT: Final = "button[aria-label='Submit current annotation']"
OUT: Final = DOCS / IMAGES / "label-studio.jpg"
LOCAL: Final = "/data/local-files/?d="
"""Where Label Studio serves files below its document root."""


def make_project(server: LabelStudio, out: Path) -> tuple[int, list[int]]:
    """Make a project of an export; return the numbers of the project and of its tasks."""
    made = server.api.post(
        "/api/projects/",
        json={"title": "faces", "label_config": (out / "labels.xml").read_text(), "model_version": "lidloop"},
    )
    assert made.status_code == 201, made.text
    project = made.json()["id"]
    tasks = json.loads((out / "tasks.json").read_text())
    sent = server.api.post(f"/api/projects/{project}/import", params={"return_task_ids": "true"}, json=tasks)
    assert sent.status_code == 201, sent.text
    shown = {"model_version": "lidloop", "show_collab_predictions": True}  # a task opens with the prediction
    assert server.api.patch(f"/api/projects/{project}/", json=shown).status_code == 200
    return project, sent.json()["task_ids"]


def allow_local_files(server: LabelStudio, project: int, folder: Path) -> None:
    """Let a project read the pictures of a folder below the document root."""
    made = server.api.post("/api/storages/localfiles", json={"project": project, "path": str(folder)})
    assert made.status_code == 201, made.text


@contextmanager
def signed_in(server: LabelStudio, *, size: tuple[int, int] = (1500, 1000)) -> Iterator[Page]:
    """A page of Chromium in which the server's user is signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.required(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(f"{server.url}/user/login/")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_load_state("networkidle")
        yield page
        browser.close()


def open_task(page: Page, server: LabelStudio, project: int, task: int, point: str = NAMES[0]) -> None:
    """Open a task and wait until its points, one of which has this name, are on the picture."""
    page.goto(f"{server.url}/projects/{project}/data?task={task}")
    page.wait_for_selector(SUBMIT)
    page.wait_for_load_state("networkidle")
    page.get_by_text(point, exact=True).nth(1).wait_for()


def clearest(manifest: Manifest) -> int:
    """Number of the picture with one face whose points are all visible, as large as possible."""

    def size(picture: SentPicture) -> float:
        if len(picture.faces) != 1 or not all(v for *_, v in picture.faces[0].points):
            return 0.0
        low, high = box_of(picture.faces[0].array()).reshape(2, 2)
        return float((high - low).prod()) / (picture.width * picture.height)

    return max(range(len(manifest.pictures)), key=lambda k: size(manifest.pictures[k]))


def main() -> None:
    """Write the screenshot."""
    from PIL import Image

    from benchmarks.review.pictures import VIEW, drawn_run
    from lidloop.data.dataset import Dataset
    from tests.command_line import lidloop

    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        run, place = Path(name) / "run", Path(name) / "server"
        run.mkdir()
        place.mkdir()
        drawn_run(run, pictures=24)
        images = Dataset.open(run / "dataset").root / "images"
        done = lidloop(
            "review", "export", run, "--to", "label-studio", "--out", run / "out", "--limit", "0", "--human",
            "--picture-prefix", f"{LOCAL}images/",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        local = {
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(images.parent),
        }
        with running(place, local) as server:
            project, tasks = make_project(server, run / "out")
            allow_local_files(server, project, images)
            with signed_in(server, size=VIEW) as page:
                page.set_default_timeout(120_000)
                open_task(page, server, project, tasks[clearest(read_manifest(run / "out"))])
                page.get_by_text("face", exact=True).nth(1).click()
                shot = page.screenshot(animations="disabled")
        out = io.BytesIO()
        Image.open(io.BytesIO(shot)).convert("RGB").save(out, "JPEG", quality=85, optimize=True)
        write_atomic(OUT, out.getvalue())
    print(OUT)


if __name__ == "__main__":
    main()

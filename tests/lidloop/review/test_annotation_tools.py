"""Exports and imports with the tools themselves: Label Studio's server and page, labelme, datumaro."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import chromium
from lidloop.landmarks import NAMES
from lidloop.review.exchange import Manifest, SentPicture
from lidloop.review.formats.tools import TOOLS
from tests.lidloop.review.conftest import Run, lidloop
from tests.servers.label_studio import LabelStudio, running
from tests.tools.label_studio_page import SUBMIT, make_project, open_task, signed_in
from tests.tools.review_tools import LABEL_STUDIO, MISSING, READERS

pytestmark = pytest.mark.slow
POINT = "left_eye_inner_canthus"
DELETE = "Backspace"

READ_LABELME = """
import json, sys
from labelme import LabelFile
shapes = LabelFile(sys.argv[1]).shapes
print(json.dumps([[s["label"], s["points"], s["group_id"]] for s in shapes if s["shape_type"] == "point"]))
"""
THROUGH_DATUMARO = """
import sys
import datumaro
data = datumaro.Dataset.import_from(sys.argv[1], "coco_person_keypoints")
data.export(sys.argv[2], "coco_person_keypoints", save_media=False)
"""


class Pictures(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, for the page of another server on this machine."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a folder's files."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pictures, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()


@pytest.mark.browser
@pytest.mark.timeout(900)
@pytest.mark.skipif(not LABEL_STUDIO.exists(), reason=f"no Label Studio: {MISSING}")
@pytest.mark.skipif(chromium.find() is None, reason=chromium.MISSING)
def test_a_face_is_corrected_and_another_declined_in_label_studio(
    folder: Path, run: Run, tmp_path: Path
) -> None:
    """One point is dragged in the page of the server, in another picture a face's rectangle is deleted."""
    out, place = tmp_path / "out", tmp_path / "server"
    place.mkdir()
    with served(run.dataset.root / "images") as address, running(place) as server:
        lidloop("review", "export", folder, "--to", "label-studio", "--out", out, "--picture-prefix", address)
        manifest = Manifest.model_validate_json((out / "manifest.json").read_text())
        project, tasks = make_project(server, out)
        moved = edit(server, project, tasks, manifest.pictures)
        export = server.api.get(f"/api/projects/{project}/export", params={"exportType": "JSON"})
    file = tmp_path / "export.json"
    file.write_bytes(export.content)
    first, second = manifest.pictures[:2]
    said = json.loads(lidloop("review", "import", folder, file, "--export", out, "--json"))
    kept = len(first.faces) + len(second.faces) - 2
    assert said["applied"] == {"corrected": 1, "declined": 1} | ({"confirmed": kept} if kept else {})
    back = TOOLS["label-studio"].read(file, manifest)
    (untouched,) = [face for face in back[second.id] if face.face == second.faces[1].id]
    assert (untouched.kind, untouched.origin) == (second.faces[1].kind, second.faces[1].origin)
    assert untouched.score == pytest.approx(second.faces[1].score)
    tasks_back = {task["data"]["picture"]: task for task in export.json()}
    results = tasks_back[first.file]["annotations"][0]["result"]
    (point,) = [r for r in results if r["id"] == f"{first.faces[0].id}/{POINT}"]
    before = np.array(first.faces[0].points[NAMES.index(POINT)][:2])
    now = np.array([point["value"]["x"] * first.width, point["value"]["y"] * first.height]) / 100
    assert now - before == pytest.approx(moved, abs=1.0)


def edit(
    server: LabelStudio, project: int, tasks: list[int], pictures: list[SentPicture]
) -> tuple[float, float]:
    """Drag a point of the first task's first face, delete the second's; return the way in picture pixels."""
    with signed_in(server) as page:

        def submit() -> None:
            with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST"):
                page.click(SUBMIT)

        open_task(page, server, project, tasks[0])
        picture, drag = pictures[0], (-20.0, -12.0)
        box = page.locator("canvas").first.bounding_box()
        assert box is not None
        gain = box["width"] / picture.width
        x, y, _ = picture.faces[0].points[NAMES.index(POINT)]
        at = (box["x"] + x * gain, box["y"] + y * gain)
        page.mouse.move(*at)
        page.mouse.down()
        for share in (0.25, 0.5, 1.0):
            page.mouse.move(at[0] + share * drag[0], at[1] + share * drag[1])
        page.mouse.up()
        submit()
        open_task(page, server, project, tasks[1])
        page.get_by_text("face", exact=True).nth(1).click()
        page.keyboard.press(DELETE)
        submit()
    return drag[0] / gain, drag[1] / gain


@pytest.mark.skipif(not READERS.exists(), reason=f"no labelme: {MISSING}")
def test_labelme_reads_every_point(folder: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "labelme"
    lidloop("review", "export", folder, "--to", "labelme", "--out", out, "--limit", 1)
    (picture,) = Manifest.model_validate_json((out / "manifest.json").read_text()).pictures
    (file,) = [path for path in out.glob("*.json") if path.name != "manifest.json"]
    shapes = json.loads(in_readers(READ_LABELME, file))
    sent = sorted(
        (name, x, y)
        for face in picture.faces
        for name, (x, y, v) in zip(NAMES, face.points, strict=True)
        if v
    )
    assert sorted((name, *points[0]) for name, points, _ in shapes) == sent
    assert len({group for *_, group in shapes}) == len(picture.faces)


@pytest.mark.skipif(not READERS.exists(), reason=f"no datumaro: {MISSING}")
def test_coco_comes_back_through_datumaro(folder: Path, run: Run, tmp_path: Path) -> None:
    out, back = tmp_path / "coco", tmp_path / "back"
    lidloop("review", "export", folder, "--to", "coco", "--out", out, "--limit", 2)
    given = tmp_path / "given" / "annotations" / "person_keypoints_default.json"  # the name that it looks for
    given.parent.mkdir(parents=True)
    (given.parents[1] / "images").mkdir()
    given.write_bytes((out / "annotations.json").read_bytes())
    in_readers(THROUGH_DATUMARO, given.parents[1], back)
    (file,) = back.rglob("*.json")
    said = json.loads(lidloop("review", "import", folder, file, "--export", out, "--json"))
    assert set(said["applied"]) == {"confirmed"}


def in_readers(program: str, *arguments: Path) -> str:
    """Run Python code in the environment of labelme and datumaro; return what it prints."""
    done = subprocess.run(
        [READERS / "bin" / "python", "-c", program, *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

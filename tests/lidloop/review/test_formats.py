"""Round trips through the formats of annotation tools, and hostile files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.review.formats import measure, round_trip
from lidloop.errors import DatasetError
from lidloop.landmarks import NAMES
from lidloop.review.exchange import (
    Manifest,
    Returned,
    SentFace,
    SentPicture,
    as_points,
    decisions_of,
    make_manifest,
)
from lidloop.review.formats import label_studio
from lidloop.review.formats.tools import TOOLS
from lidloop.review.queue import Evidence, make_queue
from tests.lidloop.review.conftest import Run

NOW = datetime(2026, 5, 1, tzinfo=UTC)
every_tool = pytest.mark.parametrize("tool", list(TOOLS))


def manifest_of(
    *faces: np.ndarray, tool: str = "coco", kind: str = "grown", score: float = 0.75, origin: int = 1
) -> Manifest:
    sent = [
        SentFace(id=f"p:{k:012x}", kind=kind, score=score, origin=origin, points=as_points(points))
        for k, points in enumerate(faces)
    ]
    picture = SentPicture(
        id="p", file="p.png", place="/data/p.png", width=3000, height=2000, sha256="0" * 64, faces=sent
    )
    return Manifest(to=tool, dataset="d", labels=3, pictures=[picture])


def face(seed: int = 0, at: tuple[float, float] = (100, 100)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(0, 200, (51, 2)) + at, np.full(51, 2.0)])
    points[3, 2] = 1
    points[7] = 0
    return points


def returned(tool: str, manifest: Manifest, folder: Path) -> dict[str, list[Returned]]:
    return round_trip(manifest.model_copy(update={"to": tool}), folder)


coordinate = st.floats(0, 2000, allow_nan=False)
points51 = arrays(np.float64, (51, 2), elements=coordinate)
visibility = arrays(np.int64, 51, elements=st.sampled_from([0, 1, 2]))


@every_tool
@settings(max_examples=15)
@given(
    xy=points51, v=visibility, kind=st.sampled_from(["human", "grown", "dropped"]), score=st.floats(0, 1),
    origin=st.integers(-1, 50),
)  # fmt: skip
def test_points_visibility_ids_and_what_was_known_come_back(
    tool: str, xy: np.ndarray, v: np.ndarray, kind: str, score: float, origin: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    v[0] = 2
    points = np.column_stack([xy, v])
    points[v == 0] = 0
    manifest = manifest_of(points, tool=tool, kind=kind, score=score, origin=origin)
    (back,) = returned(tool, manifest, tmp_path_factory.mktemp("trip"))["p"]
    assert back.face == manifest.pictures[0].faces[0].id
    assert (back.kind, back.origin) == (kind, origin)
    assert back.score == pytest.approx(score, abs=1e-6)
    assert np.array_equal(back.points[:, 2], points[:, 2])
    assert np.abs(back.points - points).max() <= 0.01


@every_tool
def test_an_export_that_nobody_changed_confirms_every_face(tool: str, run: Run, tmp_path: Path) -> None:
    evidence = Evidence({r.id: (r.width, r.height) for r in run.dataset.records})
    entries = make_queue(run.faces, evidence)
    manifest = make_manifest(run.dataset, 1, run.faces, entries, to=tool)
    found = decisions_of(manifest, returned(tool, manifest, tmp_path), tool=tool, at=NOW)
    sent = {face.id for picture in manifest.pictures for face in picture.faces}
    assert {d.face for d in found.decisions} == sent
    assert {d.verdict for d in found.decisions} == {"confirmed"}
    assert sent >= {entry.face for entry in entries if entry.kind == "grown"}


@every_tool
def test_moved_missing_and_new_faces_are_told_apart(tool: str, tmp_path: Path) -> None:
    manifest = manifest_of(face(0), face(1, (600, 600)), face(2, (1200, 600)), tool=tool)
    moved, *_ = (sent.array() for sent in manifest.pictures[0].faces)
    moved[5, 0] += 0.5
    picture = manifest.pictures[0]
    sent = [
        picture.faces[0].model_copy(update={"points": as_points(moved)}), picture.faces[1],
        SentFace(id="", kind="", score=1.0, origin=-1, points=as_points(face(4, (2000, 1200)))),
    ]  # fmt: skip
    edited = manifest.model_copy(update={"pictures": [picture.model_copy(update={"faces": sent})]})
    found = decisions_of(manifest, returned(tool, edited, tmp_path), tool=tool, at=NOW)
    assert [d.verdict for d in found.decisions] == ["corrected", "confirmed", "declined", "added"]
    assert np.abs(found.decisions[0].array() - moved).max() <= 0.01


def test_faces_whose_ids_a_tool_lost_are_found_by_their_place(tmp_path: Path) -> None:
    manifest = manifest_of(face(0), face(1, (600, 600)))
    back = returned("coco", manifest, tmp_path)["p"]
    lost = {"p": [type(one)("", one.points) for one in reversed(back)]}
    found = decisions_of(manifest, lost, tool="coco", at=NOW)
    assert [d.verdict for d in found.decisions] == ["confirmed", "confirmed"]


@every_tool
@pytest.mark.parametrize(("name", "value"), [("kind", "human"), ("score", 0.74), ("origin", 2)])
def test_a_file_of_another_export_is_told_by_what_it_says_of_a_face(
    tool: str, name: str, value: object, tmp_path: Path
) -> None:
    manifest = manifest_of(face(), tool=tool)
    other = manifest_of(face(), tool=tool, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="belongs to another export"):
        decisions_of(manifest, returned(tool, other, tmp_path), tool=tool, at=NOW)


@every_tool
def test_names_are_the_landmarks_and_sides_of_the_picture(tool: str, tmp_path: Path) -> None:
    whole = face()
    whole[:, 2] = 2
    TOOLS[tool].write(manifest_of(whole, tool=tool), tmp_path)
    text = "".join(file.read_text() for file in sorted(tmp_path.iterdir()))
    assert all(name in text for name in NAMES)


def test_tasks_that_nobody_finished_were_not_looked_at(tmp_path: Path) -> None:
    manifest = manifest_of(face(), tool="label-studio")
    file = label_studio.write(manifest, tmp_path)
    assert label_studio.read(file, manifest) == {}
    tasks = json.loads((tmp_path / label_studio.FILE).read_text())
    tasks[0]["annotations"] = [{"was_cancelled": True, "result": []}]
    (tmp_path / label_studio.FILE).write_text(json.dumps(tasks))
    assert label_studio.read(tmp_path / label_studio.FILE, manifest) == {}


def test_points_without_a_parent_belong_to_the_rectangle_around_them(tmp_path: Path) -> None:
    manifest = manifest_of(face(0), face(1, (600, 600)), tool="label-studio")
    file = label_studio.write(manifest, tmp_path)
    tasks = json.loads(file.read_text())
    result = tasks[0].pop("predictions")[0]["result"]
    for region in result:
        region.pop("parentID", None)
    tasks[0]["annotations"] = [{"result": result}]
    file.write_text(json.dumps(tasks))
    assert len(label_studio.read(file, manifest)["p"]) == 2
    result[-1]["value"]["width"] = result[-1]["value"]["height"] = 0
    file.write_text(json.dumps(tasks))
    with pytest.raises(DatasetError, match="belongs to 0 faces"):
        label_studio.read(file, manifest)


ENTITIES = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">
<!ENTITY f SYSTEM "file:///etc/passwd">]><annotations><image name="&f;&b;"/></annotations>"""
WRONG = {
    "cvat": [
        (ENTITIES, "declares a document type"), ("<annotations>", "is no XML"), ("<a/>", "its root is a"),
        ('<annotations><image name="../../etc/passwd"/></annotations>', "was not sent out"),
        ('<annotations><image name="p.png"/><image name="x/p.png"/></annotations>', "is there twice"),
        ('<annotations><image name="p.png"><skeleton><points label="nose_base_0" points="1;2"/></skeleton>'
         "</image></annotations>", "is no point"),
        ('<annotations><image name="p.png"><skeleton><points label="nose_base_0" points="1,inf"/></skeleton>'
         "</image></annotations>", "is not finite"),
        ('<annotations><image name="p.png"><skeleton><points label="nose_base_0" points="1,2e6"/></skeleton>'
         "</image></annotations>", "is larger than"),
        ('<annotations><image name="p.png"><skeleton><points label="ear" points="1,2"/></skeleton>'
         "</image></annotations>", "is no landmark"),
    ],
    "coco": [
        ("[]", "no object with images"), ("{", "not valid JSON"), ("[" * 100000, "no object"),
        ('{"images": {}}', "images is no list"), ('{"images": []}', "there is no annotations"),
        ('{"images": [' + "[" * 100, "nested more than 64 times"),
        ('{"images": [{"id": 1, "file_name": "p.png"}, {"id": 1, "file_name": "p.png"}]}', "is there twice"),
        ('{"images": [{"id": 1, "file_name": "../x.png"}], "annotations": []}', "was not sent out"),
        ('{"images": [{"id": true, "file_name": "p.png"}], "annotations": []}', "cannot be"),
        ('{"images": [], "annotations": [{"image_id": 4, "keypoints": []}]}', "image_id"),
        ('{"images": [{"id": 1, "file_name": "p.png"}], "annotations": [{"image_id": 1, "keypoints": [1]}]}',
         "length"),
    ],
    "labelme": [
        ('{"imagePath": "/etc/passwd", "shapes": []}', "was not sent out"),
        ('{"imagePath": 5, "shapes": []}', "imagePath"), ('{"imagePath": "p.png"}', "shapes"),
        ('{"imagePath": "p.png", "shapes": [{"label": "face", "group_id": null}]}', "group_id"),
        ('{"imagePath": "p.png", "shapes": [{"label": "x", "group_id": 1, "points": [[1, NaN]]}]}',
         "not finite"),
    ],
    "label-studio": [
        ("{}", "is no list"), ("[{]", "not valid JSON"), ("[5]", "task 0"),
        ('[{"data": {"picture": "../../p"}}]', "was not sent out"),
        ('[{"data": {"picture": "p.png"}, "annotations": [{"result": {}}]}]', "result"),
        ('[{"data": {"picture": "p.png"}, "annotations": [{"result": [{"type": "keypointlabels", "id": "a", '
         '"value": {"x": "1", "y": 2}}]}]}]', "x is"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "text", "said"), [(tool, text, said) for tool, cases in WRONG.items() for text, said in cases]
)
def test_hostile_files_are_refused_with_the_place(tool: str, text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / ("x.xml" if tool == "cvat" else "x.json")
    file.write_text(text)
    with pytest.raises(DatasetError, match=said):
        TOOLS[tool].read(file, manifest_of(face(), tool=tool))


def test_rectangles_of_label_studio_take_no_clicks_from_their_points(tmp_path: Path) -> None:
    file = label_studio.write(manifest_of(face(0), face(1, (600, 600)), tool="label-studio"), tmp_path)
    kinds = [r["type"] for r in json.loads(file.read_text())[0]["predictions"][0]["result"]]
    assert kinds[-2:] == ["rectanglelabels"] * 2
    assert "rectanglelabels" not in kinds[:-2]


def test_a_face_whose_rectangle_was_deleted_in_label_studio_is_declined(tmp_path: Path) -> None:
    manifest = manifest_of(face(0), face(1, (600, 600)), tool="label-studio")
    file = label_studio.write(manifest, tmp_path)
    (task,) = json.loads(file.read_text())
    result = task.pop("predictions")[0]["result"]
    task["annotations"] = [{"result": result[:-1]}]
    file.write_text(json.dumps([task]))
    found = decisions_of(manifest, label_studio.read(file, manifest), tool="label-studio", at=NOW)
    assert [d.verdict for d in found.decisions] == ["confirmed", "declined"]


def test_the_labelling_configuration_of_label_studio_names_every_landmark(tmp_path: Path) -> None:
    label_studio.write(manifest_of(face()), tmp_path)
    root = ElementTree.parse(tmp_path / label_studio.CONFIGURATION).getroot()
    labels = [node.get("value") for node in root.iter("Label")]
    assert labels == ["face", *NAMES]


@every_tool
def test_all_of_drawn_faces_comes_back(tool: str) -> None:
    found = measure(tool)
    assert found.pop("faces") > 20
    assert found.pop("error") < 0.01
    assert all(found.values()), found

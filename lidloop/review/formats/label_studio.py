"""Label Studio: a file of tasks with predictions, and its labelling configuration; its JSON export.

A face is a rectangle with the model's score, and its kind and iteration as ``meta``; its points name it as
their parent. A hidden point carries the choice ``hidden``.
Rectangles come behind all points: Label Studio gives a click to the region that comes first, and a rectangle
would take the clicks on its points. Its points stay when a rectangle is deleted, so a face is declined by
deleting its rectangle.
Coordinates are per cent of the picture. Source of the format:
https://labelstud.io/guide/predictions and https://labelstud.io/guide/export
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from lidloop.errors import DatasetError
from lidloop.files import write_atomic
from lidloop.labels import Floats, box_of
from lidloop.landmarks import NAMES
from lidloop.review.exchange import Manifest, Returned, SentPicture
from lidloop.review.formats.streams import items
from lidloop.review.formats.values import came_back, expect, no_points, number, picture_named, place

FILE: Final = "tasks.json"
CONFIGURATION: Final = "labels.xml"
MODEL: Final = "lidloop"
EDGE_PX: Final = 0.5
"""Pixels that a point may be outside its rectangle: the outermost points are on its edge."""


def write(manifest: Manifest, folder: Path) -> Path:
    """Write ``tasks.json`` to import, and ``labels.xml``, the labelling configuration of the project."""
    tasks = [_task(picture) for picture in manifest.pictures]
    write_atomic(folder / FILE, json.dumps(tasks) + "\n")
    labels = "\n".join(f'    <Label value="{name}"/>' for name in NAMES)
    write_atomic(
        folder / CONFIGURATION,
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        '  <RectangleLabels name="face" toName="image"><Label value="face"/></RectangleLabels>\n'
        f'  <KeyPointLabels name="point" toName="image" strokeWidth="2">\n{labels}\n  </KeyPointLabels>\n'
        '  <Choices name="visibility" toName="image" perRegion="true" whenTagName="point">\n'
        '    <Choice value="hidden"/>\n  </Choices>\n</View>\n',
    )
    return folder / FILE


def _task(picture: SentPicture) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    rectangles: list[dict[str, Any]] = []
    size = {"original_width": picture.width, "original_height": picture.height, "image_rotation": 0}
    gain = (100 / picture.width, 100 / picture.height)
    for face in picture.faces:
        x1, y1, x2, y2 = box_of(face.array()).tolist()
        value = {
            "x": x1 * gain[0], "y": y1 * gain[1], "width": (x2 - x1) * gain[0],
            "height": (y2 - y1) * gain[1], "rotation": 0, "rectanglelabels": ["face"],
        }  # fmt: skip
        rectangle = _region(face.id, "face", "rectanglelabels", value, size)
        known = {"kind": face.kind, "iteration": face.origin}
        rectangles.append({**rectangle, "score": face.score, "meta": known})
        for name, (x, y, v) in zip(NAMES, face.points, strict=True):
            if not v:
                continue
            at = {"x": x * gain[0], "y": y * gain[1], "width": 0.4}
            key = f"{face.id}/{name}"
            region = _region(key, "point", "keypointlabels", {**at, "keypointlabels": [name]}, size)
            results.append({**region, "parentID": face.id})
            if v == 1:
                results.append(_region(key, "visibility", "choices", {**at, "choices": ["hidden"]}, size))
    score = min((face.score for face in picture.faces), default=0.0)
    return {
        "data": {"image": picture.place, "picture": picture.file},
        "predictions": [{"model_version": MODEL, "score": score, "result": results + rectangles}],
    }


def _region(key: str, name: str, kind: str, value: dict[str, Any], size: dict[str, int]) -> dict[str, Any]:
    return {"id": key, "from_name": name, "to_name": "image", "type": kind, "value": value, **size}


def read(file: Path, manifest: Manifest) -> dict[str, list[Returned]]:
    """Read an export in the format JSON, task by task; a file may hold a million.

    Tasks without a finished annotation, and skipped ones, were not looked at. Of several annotations of a
    task the last one counts.

    Raises:
        DatasetError: for another content, and pictures that were not sent out.
        LidloopError: where ijson is not installed.
    """
    known = manifest.by_file()
    found: dict[str, list[Returned]] = {}
    for k, task in enumerate(items(file)):
        where = f"{file.name}: task {k}"
        data = expect(expect(task, dict, where).get("data"), dict, f"{where}.data")
        picture = picture_named(data.get("picture"), manifest, known, f"{where}.data.picture")
        given = expect(task.get("annotations") or [], list, f"{where}.annotations")
        done = [a for a in given if not expect(a, dict, f"{where}.annotations").get("was_cancelled")]
        if not done:
            continue
        if picture.id in found:
            raise DatasetError(f"{where}: picture {picture.file} is there twice")
        found[picture.id] = _faces(expect(done[-1].get("result"), list, f"{where}.result"), picture, where)
    return found


def _faces(results: list[Any], picture: SentPicture, where: str) -> list[Returned]:
    """Faces of one annotation: points by their parent, else by the rectangle around them.

    Points of a face that was sent out and whose rectangle was deleted are left out.
    """
    sides = {"x": picture.width, "y": picture.height}
    hidden: set[str] = set()
    points: list[tuple[str, str, Any, float, float]] = []
    boxes: dict[str, tuple[float, float, float, float]] = {}
    known: dict[str, dict[str, Any]] = {}
    for k, result in enumerate(results):
        here = f"{where}.result[{k}]"
        kind = expect(result, dict, here).get("type")
        if kind not in ("rectanglelabels", "keypointlabels", "choices"):
            continue
        key = str(expect(result.get("id"), str, f"{here}.id"))
        value = expect(result.get("value"), dict, f"{here}.value")
        if kind == "choices":
            if "hidden" in expect(value.get("choices"), list, f"{here}.choices"):
                hidden.add(key)
            continue
        x, y = (number(value.get(axis), f"{here}.{axis}") / 100 * side for axis, side in sides.items())
        if kind == "rectanglelabels":
            width, height = (number(value.get(n), f"{here}.{n}") / 100 for n in ("width", "height"))
            boxes[key] = (x, y, x + width * picture.width, y + height * picture.height)
            meta = result.get("meta")
            known[key] = {"score": result.get("score")}
            if isinstance(meta, dict):
                known[key] |= {name: meta.get(name) for name in ("kind", "iteration")}
            continue
        labels = expect(value.get("keypointlabels"), list, f"{here}.keypointlabels")
        parent = result.get("parentID")
        points.append((parent if isinstance(parent, str) else "", key, labels[0] if labels else None, x, y))
    faces: dict[str, Floats] = {}
    sent = {face.id for face in picture.faces}
    for parent, key, name, x, y in points:
        if parent in sent and parent not in boxes:
            continue
        owner = parent or _around(boxes, x, y, where)
        place(faces.setdefault(owner, no_points()), name, x, y, 1 if key in hidden else 2, where)
    return [came_back(owner, face, where, **known.get(owner, {})) for owner, face in faces.items()]


def _around(boxes: dict[str, tuple[float, float, float, float]], x: float, y: float, where: str) -> str:
    """The rectangle around a point without a parent.

    Raises:
        DatasetError: for a point in none, or in several.
    """
    inside = [
        key
        for key, (x1, y1, x2, y2) in boxes.items()
        if x1 - EDGE_PX <= x <= x2 + EDGE_PX and y1 - EDGE_PX <= y <= y2 + EDGE_PX
    ]
    if len(inside) != 1:
        raise DatasetError(
            f"{where}: a point at {x:.1f}, {y:.1f} belongs to {len(inside)} faces; drag it into one"
        )
    return inside[0]

"""labelme's JSON, one file a picture, as labelme 5 to 7 and X-AnyLabeling read and write it.

A face is a rectangle ``face`` and its points, which share a ``group_id``. The rectangle's description is the
face's id, its attributes are kind and iteration, its score is the model's. A point that is hidden has the
flag ``hidden``. Source of the format:
https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from lidloop.errors import DatasetError, doing
from lidloop.files import write_atomic
from lidloop.labels import Floats, box_of
from lidloop.landmarks import NAMES
from lidloop.review.exchange import MANIFEST, Manifest, Returned, SentPicture, read_limited
from lidloop.review.formats.values import (
    came_back,
    expect,
    no_points,
    number,
    parsed,
    picture_named,
    place,
)

FACE: Final = "face"
HIDDEN: Final = "hidden"
VERSION: Final = "5.5.0"


def write(manifest: Manifest, folder: Path) -> Path:
    """Write a JSON file for every picture; the tool finds the picture by the path in it."""
    for picture in manifest.pictures:
        content: dict[str, Any] = {
            "version": VERSION, "flags": {}, "shapes": _shapes(picture), "imagePath": picture.place,
            "imageData": None, "imageHeight": picture.height, "imageWidth": picture.width,
        }  # fmt: skip
        write_atomic(folder / f"{Path(picture.file).stem}.json", json.dumps(content, indent=1) + "\n")
    return folder


def _shapes(picture: SentPicture) -> list[dict[str, Any]]:
    shapes = []
    for group, face in enumerate(picture.faces, start=1):
        x1, y1, x2, y2 = box_of(face.array()).tolist()
        shapes.append(
            {
                "label": FACE, "points": [[x1, y1], [x2, y2]], "group_id": group, "description": face.id,
                "shape_type": "rectangle", "flags": {}, "score": face.score,
                "attributes": {"kind": face.kind, "iteration": str(face.origin)},
            }
        )  # fmt: skip
        for name, (x, y, v) in zip(NAMES, face.points, strict=True):
            if v:
                shapes.append(
                    {
                        "label": name, "points": [[x, y]], "group_id": group, "description": "",
                        "shape_type": "point", "flags": {HIDDEN: True} if v == 1 else {},
                    }
                )  # fmt: skip
    return shapes


def read(path: Path, manifest: Manifest) -> dict[str, list[Returned]]:
    """Read a file, or all JSON files of a folder but the manifest; every one counts as looked at.

    Raises:
        DatasetError: for another content, and pictures that were not sent out.
    """
    with doing(f"read {path}", DatasetError):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    known = manifest.by_file()
    found: dict[str, list[Returned]] = {}
    for file in files:
        if file.name == MANIFEST:
            continue
        content = expect(parsed(read_limited(file), str(file)), dict, str(file))
        picture = picture_named(content.get("imagePath"), manifest, known, f"{file.name}: imagePath")
        if picture.id in found:
            raise DatasetError(f"{file.name}: picture {picture.file} is there twice")
        found[picture.id] = _faces(content, file.name)
    return found


def _faces(content: dict[str, Any], name: str) -> list[Returned]:
    points: dict[int, Floats] = {}
    ids: dict[int, str] = {}
    known: dict[int, dict[str, Any]] = {}
    for k, shape in enumerate(expect(content.get("shapes"), list, f"{name}: shapes")):
        where = f"{name}: shapes[{k}]"
        group = expect(expect(shape, dict, where).get("group_id"), int, f"{where}.group_id")
        if shape.get("label") == FACE:
            ids[group] = str(expect(shape.get("description") or "", str, f"{where}.description"))
            attributes = shape.get("attributes")
            known[group] = {"score": shape.get("score")}
            if isinstance(attributes, dict):
                known[group] |= {key: attributes.get(key) for key in ("kind", "iteration")}
            continue
        flags = shape.get("flags") or {}
        hidden = bool(expect(flags, dict, f"{where}.flags").get(HIDDEN))
        face = points.setdefault(group, no_points())
        place(face, shape.get("label"), *_point(shape, where), 1 if hidden else 2, where)
    return [
        came_back(ids.get(group, ""), face, name, **known.get(group, {})) for group, face in points.items()
    ]


def _point(shape: dict[str, Any], where: str) -> tuple[float, float]:
    given = expect(shape.get("points"), list, f"{where}.points")
    if len(given) != 1 or not isinstance(given[0], list) or len(given[0]) != 2:
        raise DatasetError(f"{where}: a landmark has one point")
    return number(given[0][0], f"{where}.points"), number(given[0][1], f"{where}.points")

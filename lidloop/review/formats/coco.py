"""COCO keypoints: one file with all pictures. Source of the format: https://cocodataset.org/#format-data

``attributes`` of an annotation holds the face's id, kind and iteration, as CVAT and Datumaro write them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from lidloop.errors import DatasetError
from lidloop.files import write_atomic
from lidloop.labels import box_of
from lidloop.landmarks import N_POINTS, NAMES
from lidloop.review.exchange import Manifest, Returned
from lidloop.review.formats.streams import items
from lidloop.review.formats.values import came_back, expect, number, picture_named

FILE: Final = "annotations.json"


def write(manifest: Manifest, folder: Path) -> Path:
    """Write ``annotations.json``; keypoints are x, y in pixels from 0 and visibility 0, 1 or 2."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number_, picture in enumerate(manifest.pictures, start=1):
        images.append(
            {"id": number_, "file_name": picture.place, "width": picture.width, "height": picture.height}
        )
        for face in picture.faces:
            points = face.array()
            x1, y1, x2, y2 = box_of(points).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number_, "category_id": 1, "iscrowd": 0,
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                    "keypoints": [value for point in face.points for value in point],
                    "num_keypoints": int((points[:, 2] > 0).sum()), "score": face.score,
                    "attributes": {"face": face.id, "kind": face.kind, "iteration": face.origin},
                }
            )  # fmt: skip
    category = {"id": 1, "name": "face", "supercategory": "", "keypoints": list(NAMES), "skeleton": []}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    write_atomic(folder / FILE, json.dumps(content) + "\n")
    return folder / FILE


def read(file: Path, manifest: Manifest) -> dict[str, list[Returned]]:
    """Read a COCO file; every picture in it counts as looked at.

    Raises:
        DatasetError: for another content, and pictures that were not sent out.
        LidloopError: where ijson is not installed.
    """
    known = manifest.by_file()
    ids: dict[Any, str] = {}
    found: dict[str, list[Returned]] = {}
    for k, image in enumerate(items(file, "images")):
        where = f"{file.name}: images[{k}]"
        picture = picture_named(expect(image, dict, where).get("file_name"), manifest, known, where)
        key = expect(image.get("id"), (int, str), f"{where}.id")
        if key in ids or picture.id in found:
            raise DatasetError(f"{where}: this picture or its id is there twice")
        ids[key] = picture.id
        found[picture.id] = []
    for k, entry in enumerate(items(file, "annotations")):
        where = f"{file.name}: annotations[{k}]"
        key = expect(expect(entry, dict, where).get("image_id"), (int, str), f"{where}.image_id")
        image_id = expect(ids.get(key), str, f"{where}.image_id")
        flat = expect(entry.get("keypoints"), list, f"{where}.keypoints")
        if len(flat) != 3 * N_POINTS:
            raise DatasetError(f"the length of {where}.keypoints is {len(flat)}, not {3 * N_POINTS}")
        values = np.array([number(value, f"{where}.keypoints") for value in flat]).reshape(N_POINTS, 3)
        if not np.isin(values[:, 2], (0, 1, 2)).all():
            raise DatasetError(f"{where}.keypoints: a visibility is not 0, 1 or 2")
        values[values[:, 2] <= 0] = 0
        attributes = entry.get("attributes")
        given = attributes if isinstance(attributes, dict) else {}
        name = given.get("face")
        found[image_id].append(
            came_back(
                name if isinstance(name, str) else "", values, where, kind=given.get("kind"),
                score=entry.get("score"), iteration=given.get("iteration"),
            )
        )  # fmt: skip
    return found

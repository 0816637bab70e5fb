"""COCO keypoints JSON with 51 or 68 keypoints a face (x, y, visibility), counted from 0.

Source of the format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.records import (
    Picture,
    RawFace,
    Reading,
    Reject,
    Unusable,
    given_split,
    raw_points,
    source_name,
    split_of_file,
    split_of_folder,
)
from lidloop.errors import SourceError


def _places(file: Path) -> list[Path]:
    """Folders under which pictures may lie: beside the JSON, in ``images``, and the same one folder up."""
    here, above = file.parent, file.parent.parent
    stem_words = file.stem.replace("-", "_").split("_")
    splits = [word for word in stem_words if split_of_folder(word)]
    bases = [here, here / "images", above, above / "images"]
    return bases + [base / word for base in bases for word in splits]


def _points(annotation: dict[str, Any]) -> NDArray[np.float64]:
    flat = annotation.get("keypoints")
    if not isinstance(flat, list):
        raise Unusable("wrong-point-count", "no keypoints")
    if annotation.get("iscrowd"):
        raise Unusable("ignored", "iscrowd is set")
    if len(flat) % 3:
        raise Unusable("wrong-point-count", f"{len(flat)} values are no triples x, y, visibility")
    return raw_points(list(zip(flat[0::3], flat[1::3], strict=True)), flat[2::3])


def _dicts(content: dict[str, Any], key: str, file: Path) -> list[dict[str, Any]]:
    value = content.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise SourceError(f"coco:{file} is not a COCO file: it has no list of objects '{key}'")
    return value


def _find(name: str, places: Iterable[Path], fallback: Path) -> Path:
    return next((base / name for base in places if (base / name).is_file()), fallback / name)


def read(file: Path) -> Reading:
    """Read a COCO file. An image without annotations is a picture without faces.

    An image's split is its own ``split``, that of the file's name (``…_val2017.json``) or of its folder.

    Raises:
        SourceError: for a file that is not JSON of that kind.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"coco:{file} is not a JSON file that can be read: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"coco:{file} is not a COCO file: no object at its top")
    images = _dicts(content, "images", file)
    annotations = _dicts(content, "annotations", file)
    reading = Reading()
    places = _places(file)
    split = split_of_file(file.name)
    by_id: dict[object, Picture] = {}
    default = source_name("", file.parent)
    for number, image in enumerate(images):
        name = image.get("file_name")
        if not isinstance(name, str) or not name or not isinstance(image.get("id"), int | str):
            detail = "an image has no 'file_name' or no 'id'"
            reading.rejects.append(
                Reject(f"{file.name}#images[{number}]", "unparsable-file", detail, default)
            )
            continue
        own = split_of_folder(str(image.get("split", "")))
        source = source_name(name, file.parent)
        path = _find(name, places, file.parent)
        picture = Picture(path, name, source, own or split or given_split(name))
        by_id[image["id"]] = picture
        reading.pictures.append(picture)
    for number, annotation in enumerate(annotations):
        where = f"{file.name}#annotations[{number}]"
        key = annotation.get("image_id")
        found = by_id.get(key) if isinstance(key, int | str) else None
        if found is None:
            detail = f"no image has the id {key!r}"
            reading.rejects.append(Reject(where, "missing-image", detail, default))
            continue
        try:
            found.faces.append(RawFace(_points(annotation), where))
        except Unusable as error:
            reading.rejects.append(Reject(where, error.reason, error.detail, found.source))
            found.rejected += 1
    return reading

"""dlib's XML of its ``imglab`` tool: images with boxes, boxes with parts named 00…67; counted from 0.

Source of the format: http://dlib.net/ml.html (tools/imglab)
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

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
)
from lidloop.errors import SourceError


def _points(box: ET.Element) -> NDArray[np.float64]:
    if box.get("ignore") == "1":
        raise Unusable("ignored", "the box has ignore='1'")
    parts: dict[int, tuple[str, str]] = {}
    elements = box.findall("part")
    for part in elements:
        name = part.get("name", "")
        if not re.fullmatch(r"\d{1,3}", name):
            raise Unusable("wrong-point-count", f"a part is named {name[:20]!r} instead of 00, 01, …")
        parts[int(name)] = (part.get("x", ""), part.get("y", ""))
    if sorted(parts) != list(range(len(elements))):
        raise Unusable(
            "wrong-point-count", f"{len(elements)} parts whose names are not 00…{len(elements) - 1}"
        )
    return raw_points([parts[k] for k in range(len(parts))])


def read(file: Path) -> Reading:
    """Read a dlib XML file; pictures are found relative to it.

    Raises:
        SourceError: for a file that is not XML of that kind.
    """
    try:
        # expat limits the growth of entities since 2.4.1, which every supported Python brings.
        root = ET.parse(file).getroot()  # noqa: S314
    except (ET.ParseError, OSError, UnicodeError) as error:
        raise SourceError(f"dlib:{file} is not an XML file that can be read: {error}") from error
    if root.tag != "dataset":
        raise SourceError(f"dlib:{file} is not a dlib dataset: its root is <{root.tag}>, not <dataset>")
    reading = Reading()
    split = split_of_file(file.name)
    for number, image in enumerate(root.iterfind("images/image")):
        name = image.get("file", "").replace("\\", "/")
        if not name:
            detail = "an <image> has no attribute 'file'"
            source = source_name("", file.parent)
            reading.rejects.append(Reject(f"{file.name}#image{number}", "unparsable-file", detail, source))
            continue
        source = source_name(name, file.parent)
        picture = Picture(file.parent / name, name, source, split or given_split(name))
        for k, box in enumerate(image.findall("box")):
            where = f"{file.name}#{name}#box{k}"
            try:
                picture.faces.append(RawFace(_points(box), where))
            except Unusable as error:
                reading.rejects.append(Reject(where, error.reason, error.detail, source))
                picture.rejected += 1
        reading.pictures.append(picture)
    return reading

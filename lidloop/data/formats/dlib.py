"""dlib's XML of its ``imglab`` tool: images with boxes, boxes with parts named 00…67; counted from 0.

Source of the format: http://dlib.net/ml.html (tools/imglab)
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Hashable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats import classes, xml_text
from lidloop.data.formats.folders import Folders
from lidloop.data.formats.locate import PictureFinder, annotation_bases, named_picture
from lidloop.data.formats.naming import source_name, split_of_file
from lidloop.data.formats.points import length, raw_points, wrong_count
from lidloop.data.formats.records import RawFace, Reading, ReadOptions, Reject, Unusable
from lidloop.data.formats.text import shown, source_errors
from lidloop.errors import SourceError
from lidloop.landmarks import N_IBUG, N_JAW

_OTHER_ROOTS = {
    "annotations": "CVAT's XML; export it as COCO Keypoints",
    "annotation": "Pascal VOC, which has no points",
    "html": "a web page",
}


def _points(box: ET.Element) -> NDArray[np.float64]:
    if box.get("ignore") == "1":
        raise Unusable("ignored", "the box has ignore='1'")
    parts: dict[int, tuple[str, str]] = {}
    elements = box.findall("part")
    for part in elements:
        name = part.get("name", "")
        if not re.fullmatch(r"[0-9]{1,3}", name):
            raise Unusable("wrong-point-count", f"a part is named {shown(name, 20)!r} instead of 00, 01, …")
        parts[int(name)] = (part.get("x", ""), part.get("y", ""))
    n = len(elements)
    numbers = sorted(parts)
    if numbers not in (list(range(n)), list(range(N_JAW, N_IBUG))):
        if numbers and numbers[-1] < N_IBUG and len(numbers) == n:
            gaps = sorted(set(range(numbers[-1] + 1)) - set(numbers))
            raise Unusable(
                "wrong-point-count", f"{n} parts; part {gaps[0]:02d} and others up to 67 are missing"
            )
        raise Unusable("wrong-point-count", f"{n} parts whose names are not 00…{n - 1}")
    if not numbers:
        raise wrong_count(0)
    return raw_points([parts[k] for k in numbers])


def read(file: Path, options: ReadOptions | None = None) -> Reading:
    """Read a dlib XML file; pictures are found relative to it, or by the last part of their names near it.

    Raises:
        SourceError: for a file that is not XML of that kind.
    """
    options = options or ReadOptions()
    name = f"dlib:{shown(str(file))}"
    unreadable = f"{name} is not an XML file that can be read"
    try:
        with source_errors(unreadable):
            root = xml_text.parse(file)
    except ET.ParseError as error:
        raise SourceError(f"{unreadable}: {error}") from error
    if root.tag != "dataset":
        other = _OTHER_ROOTS.get(root.tag.lower())
        kind = f"it looks like {other}" if other else f"its root is <{shown(root.tag, 40)}>, not <dataset>"
        raise SourceError(f"{name} is not a dlib dataset: {kind}")
    images = root.findall("images/image")
    folders = Folders(options.inside)
    finder = PictureFinder(folders, annotation_bases(file), [file.parent])
    found = finder.find_all(image.get("file", "") for image in images if image.get("file"))
    faces = classes.choose(_labels(root), options.classes)
    reading = Reading()
    split = split_of_file(file.name)
    for number, image in enumerate(images):
        given = image.get("file", "")
        if not given:
            detail = "an <image> has no attribute 'file'"
            source = source_name("", file.parent)
            reading.rejects.append(Reject(f"{file.name}#image{number}", "unparsable-file", detail, source))
            continue
        picture = named_picture(given, found[given], file, split)
        picture.size = (length(image.get("width")), length(image.get("height")))
        for k, box in enumerate(image.findall("box")):
            where = f"{file.name}#{picture.file}#box{k}"
            try:
                points = _points(box)
                if (label := box.findtext("label")) is not None:
                    faces.check(label.strip())
                picture.faces.append(RawFace(points, where))
            except Unusable as error:
                reading.reject(picture, where, error)
        reading.pictures.append(picture)
    reading.rejects += folders.rejects(file.parent)
    return reading


def _labels(root: ET.Element) -> dict[Hashable, str]:
    """The labels that imglab gave to boxes with parts; they are names and keys at once."""
    named = (
        box.findtext("label") for box in root.iterfind("images/image/box") if box.find("part") is not None
    )
    return {label.strip(): label.strip() for label in named if label is not None}

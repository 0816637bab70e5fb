"""CVAT for images 1.1: one XML file with a skeleton for every face.

Source of the format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. CVAT writes coordinates with two
decimals, so points that nobody moved come back within 0.005 px. A point that is ``occluded`` is hidden, one
that is ``outside`` has no place.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from lidloop.errors import DatasetError, LidloopError, printable
from lidloop.files import write_atomic
from lidloop.landmarks import NAMES
from lidloop.review.exchange import Manifest, Returned, read_limited
from lidloop.review.formats.values import no_points, picture_named, place

FILE: Final = "annotations.xml"
LABELS: Final = "labels.json"
FACE: Final = "face"


def write(manifest: Manifest, folder: Path) -> Path:
    """Write ``annotations.xml``, and ``labels.json`` for the raw label editor of a new task."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    for number, picture in enumerate(manifest.pictures):
        image = SubElement(
            root, "image", id=str(number), name=picture.place, width=str(picture.width),
            height=str(picture.height),
        )  # fmt: skip
        for face in picture.faces:
            skeleton = SubElement(image, "skeleton", label=FACE, source="auto", z_order="0")
            for key, value in (("face", face.id), ("kind", face.kind), ("score", f"{face.score:.6f}")):
                SubElement(skeleton, "attribute", name=key).text = value
            for name, (x, y, v) in zip(NAMES, face.points, strict=True):
                SubElement(
                    skeleton, "points", label=name, source="auto", outside=str(int(v == 0)),
                    occluded=str(int(v == 1)), points=f"{x:.4f},{y:.4f}",
                )  # fmt: skip
    write_atomic(folder / FILE, tostring(root, encoding="utf-8", xml_declaration=True))
    attributes = [
        {"name": name, "input_type": "text", "mutable": False, "values": [""]}
        for name in ("face", "kind", "score")
    ]
    labels = [
        {
            "name": FACE, "type": "skeleton", "attributes": attributes,
            "sublabels": [{"name": name, "type": "points", "attributes": []} for name in NAMES],
            "svg": "".join(
                f'<circle r="0.6" cx="{5 + 10 * (k % 9)}" cy="{5 + 15 * (k // 9)}" data-type="element node" '
                f'data-element-id="{k + 1}" data-node-id="{k + 1}" data-label-name="{name}"></circle>'
                for k, name in enumerate(NAMES)
            ),
        }
    ]  # fmt: skip
    write_atomic(folder / LABELS, json.dumps(labels, indent=1) + "\n")
    return folder / FILE


def read(file: Path, manifest: Manifest) -> dict[str, list[Returned]]:
    """Read CVAT's XML; every picture in it counts as looked at.

    Raises:
        DatasetError: for what is no such XML, declares entities or a document type, or names pictures that
            were not sent out.
        LidloopError: where defusedxml is not installed.
    """
    try:
        from defusedxml import DefusedXmlException, ElementTree
    except ImportError as error:
        raise LidloopError(f"CVAT's XML needs defusedxml ({error}): pip install 'lidloop[review]'") from error
    try:
        root = ElementTree.fromstring(read_limited(file), forbid_dtd=True)
    except DefusedXmlException:
        raise DatasetError(f"{file} declares a document type or entities, which CVAT never does") from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise DatasetError(f"{file} is no XML: {printable(str(error))[:200]}") from None
    if root.tag != "annotations":
        raise DatasetError(f"{file} is not CVAT for images: its root is {printable(root.tag)[:60]}")
    known = manifest.by_file()
    found: dict[str, list[Returned]] = {}
    for k, image in enumerate(root.iter("image")):
        where = f"{file.name}: image {k}"
        picture = picture_named(image.get("name"), manifest, known, where)
        if picture.id in found:
            raise DatasetError(f"{where}: picture {picture.file} is there twice")
        found[picture.id] = [_face(node, where) for node in image.iter("skeleton")]
    return found


def _face(node: Element, where: str) -> Returned:
    points = no_points()
    for point in node.iter("points"):
        if point.get("outside") == "1":
            continue
        x, comma, y = (point.get("points") or "").partition(",")
        try:
            pair = (float(x), float(y))
        except ValueError:
            pair = (math.nan, math.nan)
        if not comma or not all(map(math.isfinite, pair)):
            raise DatasetError(f"{where}: {printable(str(point.get('points')))[:60]} is no point")
        place(points, point.get("label"), *pair, 1 if point.get("occluded") == "1" else 2, where)
    name = next((a.text or "" for a in node.iter("attribute") if a.get("name") == "face"), "")
    return Returned(name.strip(), points)

"""CVAT for images 1.1: one XML file with a skeleton for every face.

Source of the format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. CVAT writes coordinates with two
decimals, so points that nobody moved come back within 0.005 px. A point that is ``occluded`` is hidden, one
that is ``outside`` has no place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from lidloop.errors import DatasetError, LidloopError, doing, printable
from lidloop.files import write_atomic
from lidloop.landmarks import NAMES
from lidloop.review.exchange import Manifest, Returned, check_size
from lidloop.review.formats.streams import MAX_BYTES
from lidloop.review.formats.values import came_back, no_points, number_of_text, picture_named, place

FILE: Final = "annotations.xml"
LABELS: Final = "labels.json"
FACE: Final = "face"
ATTRIBUTES: Final = ("face", "kind", "score", "iteration")
"""Of a skeleton: the face's id, and what was known of it."""
MAX_NODES: Final = 500_000
"""Largest number of elements of one picture: about 9,000 faces."""


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
            values = (face.id, face.kind, f"{face.score:.6f}", str(face.origin))
            for key, value in zip(ATTRIBUTES, values, strict=True):
                SubElement(skeleton, "attribute", name=key).text = value
            for name, (x, y, v) in zip(NAMES, face.points, strict=True):
                SubElement(
                    skeleton, "points", label=name, source="auto", outside=str(int(v == 0)),
                    occluded=str(int(v == 1)), points=f"{x:.4f},{y:.4f}",
                )  # fmt: skip
    write_atomic(folder / FILE, tostring(root, encoding="utf-8", xml_declaration=True))
    attributes = [
        {"name": name, "input_type": "text", "mutable": False, "values": [""]} for name in ATTRIBUTES
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
    """Read CVAT's XML picture by picture; every picture in it counts as looked at.

    Raises:
        DatasetError: for what is no such XML, declares entities or a document type, or names pictures that
            were not sent out.
        LidloopError: where defusedxml is not installed.
    """
    known = manifest.by_file()
    found: dict[str, list[Returned]] = {}
    for k, image in enumerate(_images(file)):
        where = f"{file.name}: image {k}"
        picture = picture_named(image.get("name"), manifest, known, where)
        if picture.id in found:
            raise DatasetError(f"{where}: picture {picture.file} is there twice")
        found[picture.id] = [_face(node, where) for node in image.iter("skeleton")]
    return found


def _images(file: Path) -> Iterator[Element]:
    """Elements of pictures one by one; each is forgotten after its use."""
    try:
        from defusedxml import DefusedXmlException, ElementTree
    except ImportError as error:
        raise LidloopError(f"CVAT's XML needs defusedxml ({error}): pip install 'lidloop[review]'") from error
    root: Element | None = None
    count = 0
    with doing(f"read {file}", DatasetError):
        check_size(file, MAX_BYTES)
        with file.open("rb") as stream:
            try:
                for event, node in ElementTree.iterparse(stream, events=("start", "end"), forbid_dtd=True):
                    if root is None:
                        root = node
                        if root.tag != "annotations":
                            raise DatasetError(
                                f"{file} is not CVAT for images: its root is {printable(root.tag)[:60]}"
                            )
                    count += event == "start"
                    if count > MAX_NODES:
                        raise DatasetError(f"{file} has more than {MAX_NODES:,} elements in one place")
                    if event == "end" and node.tag == "image":
                        yield node
                        root.clear()
                        count = 0
            except DefusedXmlException:
                raise DatasetError(
                    f"{file} declares a document type or entities, which CVAT never does"
                ) from None
            except (ParseError, ValueError, LookupError, RecursionError) as error:
                raise DatasetError(f"{file} is no XML: {printable(str(error))[:200]}") from None


def _face(node: Element, where: str) -> Returned:
    points = no_points()
    for point in node.iter("points"):
        if point.get("outside") == "1":
            continue
        x, comma, y = (point.get("points") or "").partition(",")
        if not comma:
            raise DatasetError(f"{where}: {printable(str(point.get('points')))[:60]} is no point")
        pair = (number_of_text(x, f"{where}: x"), number_of_text(y, f"{where}: y"))
        place(points, point.get("label"), *pair, 1 if point.get("occluded") == "1" else 2, where)
    given = {entry.get("name"): (entry.text or "").strip() for entry in node.findall("attribute")}
    return came_back(
        given.get("face", ""), points, where, kind=given.get("kind"), score=given.get("score"),
        iteration=given.get("iteration"),
    )  # fmt: skip

"""COCO keypoints JSON with 51 or 68 keypoints a face (x, y, visibility), counted from 0.

Source of the format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from lidloop.data.formats import classes
from lidloop.data.formats.coco_values import canonical_id, face_points, has_points
from lidloop.data.formats.folders import Folders
from lidloop.data.formats.locate import PictureFinder, annotation_bases, named_picture
from lidloop.data.formats.naming import is_generic, source_name, split_of_file, split_of_folder
from lidloop.data.formats.points import length
from lidloop.data.formats.records import Picture, RawFace, Reading, ReadOptions, Reject, Unusable
from lidloop.data.formats.text import read_json, shown
from lidloop.errors import SourceError

_OTHER_FORMATS = {
    "shapes": "labelme's JSON of one picture",
    "_via_img_metadata": "a project of the VGG Image Annotator",
    "samples": "FiftyOne's own JSON",
    "licenses": "a COCO file without annotations",
}


def read(file: Path, options: ReadOptions | None = None) -> Reading:
    """Read a COCO file. An image without annotations is a picture without faces.

    An image's split is its own ``split``, that of the file's name (``…_val2017.json``) or of its folder.
    Annotations of an id that several images have are rejected, and so are those of a class that is no face.

    Raises:
        SourceError: for a file that is not JSON of that kind.
    """
    options = options or ReadOptions()
    content = read_json(file, "coco")
    images, annotations = _content(content, file)
    folders = Folders(options.inside)
    reading = Reading()
    default = source_name("", file.parent)
    pictures = _pictures(images, file, folders, reading)
    groups: dict[int | str, list[Picture]] = defaultdict(list)
    for image_id, picture in pictures:
        if not any(p.path == picture.path and p.file == picture.file for p in groups[image_id]):
            groups[image_id].append(picture)
            reading.pictures.append(picture)
    faces = _face_classes(content, annotations, options)
    for number, annotation in enumerate(annotations):
        where = f"{file.name}#annotations[{number}]"
        key = canonical_id(annotation.get("image_id"))
        owners = groups.get(key, []) if key is not None else []
        if not owners:
            reading.rejects.append(Reject(where, "missing-image", _unknown(annotation), default))
            continue
        try:
            if len(owners) > 1:
                names = ", ".join(shown(picture.file, 60) for picture in owners[:3])
                raise Unusable(
                    "ambiguous-image", f"{len(owners)} images have the id {shown(key, 60)}: {names}"
                )
            if has_points(annotation) and annotation.get("category_id") is not None:
                category = canonical_id(annotation["category_id"])
                if category is None:
                    raise Unusable("other-class", f"category_id is {shown(annotation['category_id'], 60)}")
                faces.check(category)
            owners[0].faces.append(RawFace(face_points(annotation), where))
        except Unusable as error:
            for picture in owners:
                picture.rejected += 1
            reading.rejects.append(Reject(where, error.reason, error.detail, owners[0].source))
    reading.rejects += folders.rejects(file.parent)
    return reading


def _content(content: Any, file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    name = f"coco:{shown(str(file))}"
    if not isinstance(content, dict):
        kind = (
            "a list, as Label Studio or detection results have it"
            if isinstance(content, list)
            else "no object"
        )
        raise SourceError(
            f"{name} is not a COCO file: no object at its top but {kind}; export it as COCO keypoints"
        )
    lists = []
    for key in ("images", "annotations"):
        value = content.get(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            other = next(
                (f" (it looks like {what})" for k, what in _OTHER_FORMATS.items() if k in content), ""
            )
            raise SourceError(f"{name} is not a COCO file: it has no list of objects '{key}'{other}")
        lists.append(value)
    return lists[0], lists[1]


def _pictures(
    images: list[dict[str, Any]], file: Path, folders: Folders, reading: Reading
) -> list[tuple[int | str, Picture]]:
    """The file's images with their ids, each with its path on disk."""
    default = source_name("", file.parent)
    named: list[tuple[int | str, str, dict[str, Any]]] = []
    for number, image in enumerate(images):
        name, key = image.get("file_name"), canonical_id(image.get("id"))
        if isinstance(name, str) and name and key is not None:
            named.append((key, name, image))
            continue
        detail = "an image has no 'file_name' or no 'id'"
        reading.rejects.append(Reject(f"{file.name}#images[{number}]", "unparsable-file", detail, default))
    found = _finder(file, folders).find_all(name for _, name, _ in named)
    split = split_of_file(file.name)
    pictures = []
    for key, name, image in named:
        given = split_of_folder(str(image.get("split", ""))) or split
        picture = named_picture(name, found[name], file, given)
        picture.size = (length(image.get("width")), length(image.get("height")))
        pictures.append((key, picture))
    return pictures


def _finder(file: Path, folders: Folders) -> PictureFinder:
    here, above = file.parent, file.parent.parent
    bases = annotation_bases(file)
    roots = [above] if is_generic(here.name) else [here, *(base for base in bases if base != above)]
    return PictureFinder(folders, bases, roots)


def _unknown(annotation: dict[str, Any]) -> str:
    if "image_id" not in annotation:
        return "the annotation has no image_id"
    return f"no image has the id {shown(annotation['image_id'], 60)}"


def _face_classes(
    content: dict[str, Any], annotations: list[dict[str, Any]], options: ReadOptions
) -> classes.Classes:
    """Classes of the file that annotations with keypoints use, and which of them are faces.

    Categories that no such annotation uses do not count: Roboflow writes one for the project itself.
    """
    categories = content.get("categories")
    if not isinstance(categories, list):
        categories = []
    names: dict[Hashable, str] = {}
    for category in categories:
        key = canonical_id(category.get("id")) if isinstance(category, dict) else None
        if key is not None:
            names[key] = str(category.get("name", key))
    used = {canonical_id(a.get("category_id")) for a in annotations if has_points(a)}
    chosen = classes.choose(
        names if options.classes else {key: name for key, name in names.items() if key in used},
        options.classes,
    )
    return classes.Classes(names, chosen.faces, chosen.unclear)

"""The description of a YOLO data set: which folders or lists hold its pictures, and the layout of its labels.

Source of the format: https://docs.ultralytics.com/datasets/pose/
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lidloop.data.formats.folders import Folders, relative
from lidloop.data.formats.locate import PictureFinder
from lidloop.data.formats.naming import source_name, split_of_folder
from lidloop.data.formats.points import wrong_count
from lidloop.data.formats.records import Reading, Reject, Unusable
from lidloop.data.formats.spellings import forms, parts_of
from lidloop.data.formats.text import read_text, shown, source_errors
from lidloop.errors import SourceError
from lidloop.landmarks import N_IBUG, N_POINTS

logger = logging.getLogger("lidloop")

_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")
_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Description:
    """Content of a ``data.yaml``.

    Attributes:
        file: the YAML file; None where there is none.
        entries: (key, folder or list), such as ``("val", "../valid/images")``.
        path: folder that entries are relative to, as the file gives it.
        names: class name by number; empty where no file names them.
        kpt_shape: points of a face, and values of a point (2 or 3); None where the file does not say.
    """

    file: Path | None = None
    entries: tuple[tuple[str, str], ...] = ()
    path: str = ""
    names: Mapping[Hashable, str] = field(default_factory=dict)
    kpt_shape: tuple[int, int] | None = None


def describe(root: Path, folders: Folders) -> Description:
    """Read the description in a folder: ``data.yaml``, ``dataset.yaml``, or the only YAML that names splits.

    Raises:
        SourceError: for a file that is not YAML with keys, or a ``kpt_shape`` of other than 51 or 68 points.
    """
    found = _find(root, folders)
    if found is None:
        return Description(names=_class_list(root, folders))
    file, content = found
    entries = [
        (str(key), str(entry))
        for key, value in content.items()
        if split_of_folder(str(key)) is not None
        for entry in (value if isinstance(value, list) else [value])
        if isinstance(entry, str) and entry
    ]
    return Description(
        file, tuple(entries), str(content.get("path") or ""),
        _class_names(content) or _class_list(root, folders), _kpt_shape(content, root, file),
    )  # fmt: skip


def _find(root: Path, folders: Folders) -> tuple[Path, dict[str, Any]] | None:
    for name in _NAMES:
        if (file := folders.file(root / name)) is not None:
            return file, _load(root, file)
    others = [root / n for n in folders.listing(root) if Path(n).suffix.lower() in (".yaml", ".yml")]
    described = []
    for file in others:
        try:
            content = _load(root, file)
        except SourceError:  # some other YAML
            continue
        if any(split_of_folder(str(key)) for key in content):
            described.append((file, content))
    return described[0] if len(described) == 1 else None


def _load(root: Path, file: Path) -> dict[str, Any]:
    action = f"yolo:{shown(str(root))}: cannot read {file.name}"
    try:
        with source_errors(action):
            content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise SourceError(f"{action}: {shown(' '.join(str(error).split()))}") from error
    if not isinstance(content, dict):
        raise SourceError(f"yolo:{shown(str(root))}: {file.name} holds no keys such as 'train' and 'val'")
    return content


def _class_names(content: Mapping[str, Any]) -> dict[Hashable, str]:
    names, count = content.get("names"), content.get("nc")
    if isinstance(names, str):
        return {0: names}
    if isinstance(names, list):
        return dict(enumerate(map(str, names)))
    if isinstance(names, dict):
        return {int(key) if str(key).isdecimal() else key: str(name) for key, name in names.items()}
    if isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _MOST_CLASSES:
        return {k: f"class_{k}" for k in range(count)}
    return {}


def _class_list(root: Path, folders: Folders) -> dict[Hashable, str]:
    """Class names of a text file with one a line, as Label Studio and CVAT write them."""
    for name in _CLASS_LISTS:
        if (file := folders.file(root / name)) is not None:
            with source_errors(f"yolo:{shown(str(root))}: cannot read {name}"):
                lines = [line.strip() for line in read_text(file).splitlines()]
            return dict(enumerate(line for line in lines if line))
    return {}


def _kpt_shape(content: Mapping[str, Any], root: Path, file: Path) -> tuple[int, int] | None:
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    where = f"yolo:{shown(str(root))}: {file.name} has kpt_shape {shown(shape, 60)}"
    match shape:
        case [int(n), int(d)] if n in (N_POINTS, N_IBUG) and d in (2, 3):
            return n, d
        case [int(n), 2 | 3]:
            raise SourceError(
                f"{where}: {wrong_count(n).detail}" if n < 10_000 else f"{where}: too many points"
            )
    raise SourceError(f"{where}; it must be [51, 3], [51, 2], [68, 3] or [68, 2]")


def listed_pictures(
    description: Description, root: Path, folders: Folders, reading: Reading
) -> Iterator[tuple[str, Path | Unusable, str]]:
    """Yield the pictures that a description names: name, path (or why it has none) and key of the split.

    A path that is not there is looked for beside the YAML file, by its last parts too. A missing ``val`` or
    ``test`` is listed as a reject.

    Raises:
        SourceError: where ``train`` is not there, or no entry is, or two of them could be the same folder.
    """
    file = description.file
    assert file is not None
    bases = [file.parent / form for form in forms(description.path)] + [file.parent]
    placed = {entry: _place(entry, bases, folders) for _, entry in description.entries}
    exact = {place for place, whole in placed.values() if whole}
    guessed: dict[Path, str] = {}
    missing: list[tuple[str, str]] = []
    found: list[tuple[str, Path]] = []
    for key, entry in description.entries:
        place, whole = placed[entry]
        if place is None or (not whole and place in exact):
            missing.append((key, entry))
            continue
        if not whole and guessed.setdefault(place, entry) != entry:
            raise SourceError(
                f"yolo:{shown(str(root))}: {file.name} names {shown(entry, 80)} and "
                f"{shown(guessed[place], 80)}; both could be {relative(place, root)}: correct the paths"
            )
        found.append((key, place))
    for key, entry in missing:
        detail = f"{file.name} names {key}: {shown(entry, 120)}, which is not there"
        if not found or split_of_folder(key) == "train":
            raise SourceError(f"yolo:{shown(str(root))}: {detail}")
        logger.warning("yolo:%s: %s; the other pictures are read", shown(str(root)), detail)
        reading.rejects.append(Reject(file.name, "missing-image", detail, source_name("", root)))
    for key, place in found:
        if not place.is_file():
            yield from ((relative(path, root), path, key) for path in folders.pictures(place))
            continue
        with source_errors(f"yolo:{shown(str(root))}: cannot read the list {place.name}"):
            lines = [line.strip().strip("\"'") for line in read_text(place).splitlines()]
        finder = PictureFinder(folders, [place.parent, *bases, root], [root])
        yield from ((name, path, key) for name, path in finder.find_all(filter(None, lines)).items())


def _place(entry: str, bases: list[Path], folders: Folders) -> tuple[Path | None, bool]:
    """The folder or list that an entry names, and whether its whole path led there."""
    spelled = list(forms(entry))
    for form in spelled:
        for base in bases:
            if (path := folders.find(base / form)) is not None:
                return path, True
    for form in spelled:
        parts = parts_of(form)
        for k in range(len(parts)):
            for base in bases:
                if (path := folders.find(base.joinpath(*parts[k:]))) is not None:
                    return path, k == 0
    return None, False

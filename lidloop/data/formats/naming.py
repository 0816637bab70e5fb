"""Names of sources and splits, taken from the names of folders and files. Pure."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

_SPLIT_FOLDER: Final = re.compile(r"(train|val|valid|test|dev)(ing|idation|set|ation)?[-_ ]?(set)?[-_ ]?\d*")
_GENERIC: Final = {
    "images", "image", "imgs", "img", "pictures", "picture", "pics", "photos", "photo", "frames", "frame",
    "labels", "label", "annotations", "annotation", "annots", "annot", "landmarks", "points", "pts",
    "data", "dataset", "datasets", "default", "jpegimages", "obj_train_data", "jpg", "jpeg", "png",
    "files", "media", "upload", "uploads", "export", "raw", "all",
}  # fmt: skip


def is_generic(folder: str) -> bool:
    """True if a folder is named after what it holds (``images``, ``default``) or after a split."""
    return folder.lower() in _GENERIC or split_of_folder(folder) is not None


def split_of_folder(name: str) -> str | None:
    """The split that a folder's name gives: ``trainset`` is ``train``; ``val``, ``testset`` are ``val``."""
    match = _SPLIT_FOLDER.fullmatch(name.lower())
    if match is None:
        return None
    return "train" if match[1] == "train" else "val"


def split_of_file(name: str) -> str | None:
    """The split that a word of a file's name gives: ``labels_train.xml``, ``keypoints_val2017.json``."""
    words = [split_of_folder(word) for word in re.split(r"[^a-z0-9]+", Path(name).stem.lower())]
    found = {word for word in words if word is not None}
    return found.pop() if len(found) == 1 else None


def given_split(file: str, root: Path | None = None) -> str | None:
    """The split that the folders of ``file`` (relative; the innermost decides) or ``root``'s name give."""
    names = [*([root.name] if root else []), *PurePosixPath(file).parts[:-1]]
    return next((s for s in map(split_of_folder, reversed(names)) if s is not None), None)


def slug(text: str) -> str:
    """Letters, digits, dot, dash and underscore only, safe in file names everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")


def source_name(file: str, root: Path) -> str:
    """Name the source of a file: its first folder under ``root`` with a name of its own, else ``root``'s.

    Folders named after a split or what they hold (``trainset``, ``images``) take their parent's name.
    """
    own = [p for p in PurePosixPath(file).parts[:-1] if p not in ("..", ".", "/")]
    above = [*reversed(root.resolve().parts[1:])]
    for name in [*own, *above]:
        if not is_generic(name) and slug(name):
            return slug(name.lower())[:60]
    return "source"

"""Sources of annotations: what a name such as ``ibug:DIR`` or ``ibug:s3://BUCKET/PREFIX`` stands for.

A source in an object store is downloaded to a folder that goes when its pictures have been read.
``lidloop.storage.credentials`` says where its keys come from.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lidloop.data.formats import coco, dlib, ibug, yolo
from lidloop.data.formats.records import Reading
from lidloop.errors import SourceError
from lidloop.storage import open_store, pull
from lidloop.storage.files import is_stored, split_name

logger = logging.getLogger("lidloop")

_READERS: Final[dict[str, tuple[str, Callable[[Path], Reading]]]] = {
    "ibug": ("DIR", ibug.read),
    "dlib": ("FILE.xml", dlib.read),
    "coco": ("FILE.json", coco.read),
    "yolo": ("DIR", yolo.read),
}
KINDS: Final = {kind: what for kind, (what, _) in _READERS.items()}
"""Kinds of sources, and what their place is."""


def accepted() -> str:
    """The forms that a source may have, in words."""
    forms = ", ".join(f"{kind}:{what}" for kind, what in KINDS.items())
    return f"{forms}; each may lie in an object store, as in ibug:s3://BUCKET/PREFIX"


def parse_source(source: str) -> tuple[str, str]:
    """Split ``kind:place``.

    Raises:
        SourceError: for another form or an unknown kind.
    """
    kind, colon, place = source.partition(":")
    if not colon or not place or kind not in KINDS:
        raise SourceError(f"{source!r} is not a source; it must be one of {accepted()}")
    return kind, place


def check_source(source: str) -> None:
    """Look whether a source can be there; a store is not asked.

    Raises:
        SourceError: for an unknown kind, a path that does not exist, a file for a folder or the other way.
    """
    kind, place = parse_source(source)
    if not is_stored(place):
        _check_place(source, kind, Path(place).expanduser())


def read_source(source: str, path: Path) -> Reading:
    """Read the annotations of a source that lies at ``path``.

    Raises:
        SourceError: where it is not there, or cannot be read as what it is said to be.
    """
    kind, _ = parse_source(source)
    _check_place(source, kind, path)
    return _READERS[kind][1](path)


@contextmanager
def fetched(sources: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Where each source lies on this disk; those in a store are downloaded, and removed again at the end.

    Of a source that is one file, the folder it lies in is downloaded: its pictures are there.

    Raises:
        SourceError: for another form of source.
        StoreError: for a store that is out of reach, closed or empty, or a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-sources-") as scratch:
        places = {}
        for number, source in enumerate(sources):
            kind, place = parse_source(source)
            if not is_stored(place):
                places[source] = Path(place).expanduser()
                continue
            above, name = split_name(place)
            logger.info("fetching %s", place)
            folder = Path(scratch, str(number))
            if KINDS[kind] == "DIR":
                pull(open_store(place), folder / name)
            else:
                pull(open_store(above), folder)
            places[source] = folder / name
        yield places


def fingerprint(sources: Sequence[str]) -> str:
    """A digest that changes when a file of the sources does: names, sizes, and times or tags, not contents.

    Raises:
        SourceError: for another form of source.
        StoreError: for a store that cannot be listed.
    """
    digest = hashlib.sha256()
    for source in sources:
        kind, place = parse_source(source)
        if is_stored(place):
            above = place if KINDS[kind] == "DIR" else split_name(place)[0]
            digest.update(f"{source}\n".encode())
            for item in open_store(above).items():
                digest.update(f"{item.key} {item.size} {item.tag}\n".encode())
            continue
        root = Path(place).expanduser()
        digest.update(f"{kind}:{root.resolve()}\n".encode())
        for path in sorted(_files(root)):
            stat = path.stat()
            digest.update(f"{path} {stat.st_size} bytes of {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _check_place(source: str, kind: str, path: Path) -> None:
    what = KINDS[kind]
    if not path.exists():
        raise SourceError(f"{source}: {path} does not exist; {kind}:{what} is expected")
    if path.is_dir() != (what == "DIR"):
        raise SourceError(
            f"{source}: {path} is a {'folder' if path.is_dir() else 'file'}; give {kind}:{what}"
        )


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            yield Path(folder) / name

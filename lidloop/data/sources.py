"""Sources of annotations and pictures: names such as ``ibug:DIR`` or ``coco:s3://BUCKET/faces.json?fit=scale``.

A source in an object store is downloaded to a temporary folder.
``lidloop.storage.credentials`` says where its keys come from.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote

from lidloop.data.fit import FITS, Fit
from lidloop.data.formats import coco, dlib, ibug, unlabelled, yolo
from lidloop.data.formats.naming import is_generic
from lidloop.data.formats.records import Reading, ReadOptions
from lidloop.data.formats.text import shown, source_errors
from lidloop.errors import SourceError
from lidloop.storage import open_store, pull
from lidloop.storage.files import is_stored, split_name

logger = logging.getLogger("lidloop")

_READERS: Final[dict[str, tuple[str, Callable[[Path, ReadOptions], Reading]]]] = {
    "ibug": ("DIR", ibug.read),
    "dlib": ("FILE.xml", dlib.read),
    "coco": ("FILE.json", coco.read),
    "yolo": ("DIR", yolo.read),
    "images": ("DIR", unlabelled.read),
}
KINDS: Final = {kind: what for kind, (what, _) in _READERS.items()}
"""Kinds of sources, with the form of their place."""

_OPTIONS: Final = ("fit", "class")


@dataclass(frozen=True, slots=True)
class Source:
    """A source: ``KIND:PLACE`` with options, as in ``coco:faces.json?fit=scale&class=face``.

    Attributes:
        kind: a key of ``KINDS``.
        place: a path, or an ``s3://`` address with its own parameters.
        fit: what to do where annotations are for another size than the picture's (``lidloop.data.fit.FITS``).
        classes: names of the classes that are faces; empty to go by the names themselves.
    """

    kind: str
    place: str
    fit: Fit = ""
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        options = {"fit": self.fit, "class": ",".join(self.classes)}
        query = "&".join(f"{key}={quote(value, safe=',')}" for key, value in options.items() if value)
        mark = "&" if is_stored(self.place) and "?" in self.place else "?"
        return f"{self.kind}:{self.place}{mark if query else ''}{query}"

    @property
    def path(self) -> Path:
        """Path of a source on this machine; a leading ``~`` is the user's home folder.

        Raises:
            SourceError: for the home folder of a user that does not exist.
        """
        try:
            return Path(self.place).expanduser()
        except RuntimeError as error:
            raise SourceError(
                f"{shown(str(self))}: no home folder is known for {self.place[:40]!r}"
            ) from error

    @property
    def labelled(self) -> bool:
        """False for a source of pictures without labels."""
        return self.kind != "images"


def accepted() -> str:
    """The forms that a source may have, in words."""
    forms = ", ".join(f"{kind}:{what}" for kind, what in KINDS.items())
    return f"{forms}; each may lie in an object store, as in ibug:s3://BUCKET/PREFIX"


def parse_source(source: str) -> Source:
    """Parse ``kind:place`` with or without options.

    Example:
        >>> parse_source("coco:faces.json?fit=scale").fit
        'scale'

    Raises:
        SourceError: for another form, an unknown kind or an option of another value than it takes.
    """
    kind, colon, rest = source.partition(":")
    if not colon or not rest or kind not in KINDS:
        raise SourceError(f"{shown(source)!r} is not a source; it must be one of {accepted()}")
    place, options = _split_options(rest)
    if not place:
        raise SourceError(f"{shown(source)!r} names no place; it must be one of {accepted()}")
    fit = next((fit for fit in FITS if fit == options.get("fit", "")), None)
    if fit is None:
        wanted = ", ".join(fit for fit in FITS if fit)
        raise SourceError(f"{shown(source)}: fit must be one of {wanted}, not {shown(options['fit'], 40)!r}")
    classes = tuple(name.strip() for name in options.get("class", "").split(",") if name.strip())
    return Source(kind, place, fit, classes)


def _split_options(rest: str) -> tuple[str, dict[str, str]]:
    """Split the options of a source from its place. Other parameters stay: a store has its own."""
    place, mark, query = rest.rpartition("?")
    if not mark:
        return rest, {}
    given = [part.partition("=") for part in query.split("&")]
    options = {key: unquote(value) for key, _, value in given if key in _OPTIONS}
    others = "&".join(f"{key}{equals}{value}" for key, equals, value in given if key not in _OPTIONS)
    if not options or (others and not is_stored(rest)):
        return rest, {}
    return f"{place}?{others}" if others else place, options


def check_source(source: str) -> None:
    """Check that a source on this machine is there; an object store is not asked.

    Raises:
        SourceError: for an unknown kind, a path that does not exist, a file for a folder or the other way.
    """
    parsed = parse_source(source)
    if not is_stored(parsed.place):
        _check_place(source, parsed.kind, parsed.path)


def require_labels(sources: Sequence[str]) -> None:
    """Check that all sources have labels, for what compares a model with them.

    Raises:
        SourceError: for a source of pictures without labels, or another form of source.
    """
    for source in sources:
        if not parse_source(source).labelled:
            raise SourceError(f"{shown(source)} has no labels to compare with; give annotated sources only")


def read_source(source: str, path: Path) -> Reading:
    """Read the annotations of a source that lies at ``path``.

    Raises:
        SourceError: where it is not there, or cannot be read as what it is said to be.
    """
    parsed = parse_source(source)
    _check_place(source, parsed.kind, path)
    path = path.absolute()
    inside = None
    if is_stored(parsed.place):  # what ``fetched`` downloaded
        inside = path
        if KINDS[parsed.kind] != "DIR":
            inside = path.parents[len(PurePosixPath(_folder_of_file(parsed.place)[1]).parts) - 1]
    options = ReadOptions(parsed.classes, inside)
    with source_errors(f"{shown(source)} cannot be read"):
        return _READERS[parsed.kind][1](path, options)


@contextmanager
def fetched(sources: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Yield the place of each source on this disk; sources in a store are downloaded, and removed at the end.

    Of a source that is one file, the folder it lies in is downloaded, or the one above if that is named after
    what it holds (``annotations``): its pictures are there.

    Raises:
        SourceError: for another form of source.
        StoreError: for a store that is out of reach, closed or empty, or a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-sources-") as scratch:
        places = {}
        for number, source in enumerate(sources):
            parsed = parse_source(source)
            kind, place = parsed.kind, parsed.place
            if not is_stored(place):
                places[source] = parsed.path
                continue
            logger.info("fetching %s", place)
            folder = Path(scratch, str(number))
            if KINDS[kind] == "DIR":
                name = split_name(place)[1]
                pull(open_store(place), folder / name)
            else:
                above, name = _folder_of_file(place)
                pull(open_store(above), folder)
            places[source] = folder / name
        yield places


def _folder_of_file(place: str) -> tuple[str, str]:
    """Address of the folder that holds a stored file and its pictures, and the file's path in it.

    For a file in a folder named after what it holds (``annotations/x.json``) it is the folder above.
    """
    above, name = split_name(place)
    bucket_and_key = above.partition("?")[0].rstrip("/").split("/")[2:]
    if len(bucket_and_key) > 1 and is_generic(bucket_and_key[-1]):
        above, folder = split_name(above)
        name = f"{folder}/{name}"
    return above, name


def fingerprint(sources: Sequence[str]) -> str:
    """Return a digest of names, sizes, and times or tags of all files of the sources, not of their contents.

    Raises:
        SourceError: for another form of source.
        StoreError: for a store that cannot be listed.
    """
    digest = hashlib.sha256()
    for source in sources:
        parsed = parse_source(source)
        kind, place = parsed.kind, parsed.place
        if is_stored(place):
            above = place if KINDS[kind] == "DIR" else _folder_of_file(place)[0]
            digest.update(f"{source}\n".encode())
            for item in open_store(above).items():
                digest.update(f"{item.key} {item.size} {item.tag}\n".encode())
            continue
        root = parsed.path
        digest.update(f"{kind}:{root.resolve()}\n".encode())
        for path in sorted(_files(root)):
            digest.update(f"{path} {_state(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _state(path: Path) -> str:
    """Size and time of a file; a link that leads nowhere has neither."""
    try:
        stat = path.stat()
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return f"{stat.st_size} bytes of {stat.st_mtime_ns}"


def _check_place(source: str, kind: str, path: Path) -> None:
    what = KINDS[kind]
    with source_errors(f"{shown(source)} cannot be read"):
        there, is_dir = path.exists(), path.is_dir()
    if not there:
        raise SourceError(f"{shown(source)}: {shown(str(path))} does not exist; {kind}:{what} is expected")
    if is_dir != (what == "DIR"):
        raise SourceError(
            f"{shown(source)}: {shown(str(path))} is a {'folder' if is_dir else 'file'}; give {kind}:{what}"
        )


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            yield Path(folder) / name

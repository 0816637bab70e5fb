"""Spellings of a picture's path in different tools: backslashes, URLs, percent-encoding. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from lidloop.data.formats.folders import same_name

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE: Final = re.compile(r"^[A-Za-z]:(?=/)")
_UPLOAD_PREFIX: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?-(?=.)")
_NOT_IN_UPLOADS: Final = re.compile(r"[^-\w.]")


def forms(name: str) -> Iterator[str]:
    """Yield the spellings that a picture's path in an annotation file may stand for, the literal one first.

    Handled are backslashes, URLs (``https://…?signature``, ``s3://…``, ``file:///…``), the local files of
    Label Studio (``/data/local-files/?d=PATH``), percent-encoding (once or twice), ``+`` for a space, and
    UTF-8 that was read as Latin-1 or Windows-1252, as in files whose header declares another encoding.

    Example:
        >>> list(forms("images%5Ca.jpg"))
        ['images%5Ca.jpg', 'images\\\\a.jpg', 'images/a.jpg']
    """
    seen: dict[str, None] = {}
    pending = [name]
    while pending:
        form = pending.pop(0)
        if not form or form in seen:
            continue
        seen[form] = None
        yield form
        pending += _respelled(form)


def _respelled(form: str) -> Iterator[str]:
    if "\\" in form:
        yield form.replace("\\", "/")
    if _URL.match(form) or "/?d=" in form:
        try:
            parts = urlsplit(form)
            yield from parse_qs(parts.query).get("d", [])
        except ValueError:  # an invalid IPv6 address or port
            return
        host = parts.netloc if parts.scheme not in ("http", "https", "file") else ""
        yield f"{host}{parts.path}"
    elif "?" in form:
        yield form.partition("?")[0]
    if "%" in form:
        yield unquote(form)
    elif "+" in form:
        yield form.replace("+", " ")
    for encoding in ("latin-1", "cp1252"):
        try:
            yield form.encode(encoding).decode()
        except UnicodeError:
            continue


def is_absolute(name: str) -> bool:
    """True for a URL and for an absolute path of this or another system."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or _URL.match(plain) is not None or _DRIVE.match(plain) is not None


def parts_of(form: str) -> tuple[str, ...]:
    """Folders and name of a path, without a drive, a leading slash, ``.`` and ``..``."""
    return tuple(p for p in PurePosixPath(_DRIVE.sub("", form)).parts if p not in ("/", "//", ".", ".."))


def without_upload_prefix(name: str) -> str:
    """A name without the random prefix of an upload to Label Studio: ``3f9a2b1c-a.jpg`` is ``a.jpg``."""
    return same_name(_UPLOAD_PREFIX.sub("", name))


def as_uploaded(name: str) -> set[str]:
    """The names, without prefix, under which Label Studio may know a file: ``my photo (1).jpg`` is
    ``my_photo_1.jpg`` there."""
    return {without_upload_prefix(name), same_name(_NOT_IN_UPLOADS.sub("", name.strip().replace(" ", "_")))}

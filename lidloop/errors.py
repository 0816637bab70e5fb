"""Errors that a user or a calling program reads, and the translation of system errors into them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class LidloopError(Exception):
    """Base of the errors that the caller can correct. The message names the fault and what to do."""


class SourceError(LidloopError):
    """A source of annotations that cannot be used."""


class DatasetError(LidloopError):
    """A dataset or label version on disk that is missing, incomplete or inconsistent."""


class ModelError(LidloopError):
    """Weights or a bundle that is missing, damaged or not of the expected kind."""


class RegistryError(LidloopError):
    """A registry that cannot be reached, or a version that it does not hold."""


class TrainingError(LidloopError):
    """A fine-tune that cannot start, or whose result failed its checks."""


class ImageError(LidloopError):
    """An image that is missing, damaged, of an unknown format or too large."""


class ImageSizeError(ImageError):
    """An image with more pixels than the limit."""


class StoreError(LidloopError):
    """An object store or address that cannot be used, or an object that is missing, damaged or in the way."""


class OccupiedError(LidloopError):
    """An output path at which something stands that lidloop must not replace."""


SYSTEM_ERRORS: Final = (OSError, UnicodeError, OverflowError, RecursionError, MemoryError)
"""Errors of the operating system and of Python's limits that depend on the input, not on the code."""

_OF_PATHLIB: Final = ("Symlink loop from ", "Could not determine home directory")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_ADVICE: Final = {
    errno.EROFS: "{path} is on a read-only file system; give another place",
    errno.EACCES: "{path} may not be read or written (permission denied); change its permissions or give "
    "another place",
    errno.EPERM: "{path} may not be read or written (not permitted); change its permissions or give another "
    "place",
    errno.ENOENT: "{path} does not exist",
    errno.ENOTDIR: "{path} is a file, or lies below one, where a folder is needed; give another place",
    errno.EEXIST: "{path} is there already, perhaps a file or a broken link where a folder is needed; "
    "give another place or move it away",
    errno.EISDIR: "{path} is a folder where a file is needed; give another place",
    errno.ENOTEMPTY: "{path} is a folder that is not empty; give another place or move it away",
    errno.ENAMETOOLONG: "{path} has a name that is longer than the file system allows; give a shorter one",
    errno.ELOOP: "{path} is a symbolic link that leads back to itself; remove the link",
    errno.EBUSY: "{path} is in use (a mount point?); give another place",
    errno.EXDEV: "{path} is on another file system; give a place on the same one",
    errno.EIO: "the disk reported an input/output error at {path}; check the disk",
    errno.ETXTBSY: "{path} is a program that is running; give another place",
    errno.EFBIG: "{path} would be larger than the file system allows",
    errno.EMFILE: "this process has too many files open; raise the limit with `ulimit -n`",
    errno.ENFILE: "the machine has too many files open; try again later",
    errno.ENOMEM: "there is not enough memory; work on less at a time",
}
_LONGEST_WORD: Final = 300
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@contextmanager
def doing(what: str, error: type[LidloopError] = LidloopError) -> Iterator[None]:
    """Turn system errors in the block into one ``LidloopError``: "cannot WHAT: cause and advice".

    Blocks may be nested; the innermost one gives the message.

    Args:
        what: what the block does, in words that follow "cannot": ``write the drawing out/a.png``.
        error: class to raise.

    Example:
        >>> with doing("read faces.json", SourceError):
        ...     open("/nonexistent/faces.json")
        Traceback (most recent call last):
        ...
        lidloop.errors.SourceError: cannot read faces.json: /nonexistent/faces.json does not exist
    """
    try:
        yield
    except (*SYSTEM_ERRORS, RuntimeError) as caught:
        if not is_system_error(caught):
            raise
        raise error(f"cannot {what}: {cause(caught)}") from caught


def is_system_error(error: BaseException) -> bool:
    """True for ``SYSTEM_ERRORS``, and for what pathlib raises in their place for links and home folders."""
    return isinstance(error, SYSTEM_ERRORS) or (
        isinstance(error, RuntimeError) and str(error).startswith(_OF_PATHLIB)
    )


def cause(error: BaseException) -> str:
    """Cause of a system error and what to do about it, in one line.

    Args:
        error: one that ``is_system_error``; the text of any other error is repeated.
    """
    if isinstance(error, UnicodeDecodeError):
        return (
            f"byte {error.start} is not {error.encoding.upper()}; save the text as {error.encoding.upper()}"
        )
    if isinstance(error, UnicodeEncodeError):
        return (
            f"the character {error.object[error.start]!a} cannot be written as {error.encoding.upper()}; "
            "rename what it stands in"
        )
    if isinstance(error, OverflowError):
        return f"a number in the input is too large ({error})"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply"
    if isinstance(error, MemoryError):
        return "there is not enough memory; work on less at a time"
    if isinstance(error, OSError):
        return _cause_of_os_error(error)
    return one_line(str(error) or type(error).__name__)


def _cause_of_os_error(error: OSError) -> str:
    name = error.filename2 if error.filename2 is not None else error.filename
    path = (
        "the path" if name is None else one_line(os.fsdecode(name) if isinstance(name, bytes) else str(name))
    )
    if error.errno in _FULL:
        disk = "the disk" if name is None else f"the disk that holds {path}"
        return f"{disk} is full; make room and try again"
    advice = _ADVICE.get(error.errno or 0)
    if advice is not None and (name is not None or "{path}" not in advice):
        return advice.format(path=path)
    text = one_line(error.strerror or str(error) or type(error).__name__)
    return text if name is None else f"{path}: {text}"


def printable(text: str) -> str:
    """Text with the characters escaped that could not be printed in a line or would change what is around.

    These are control characters (line breaks and terminal escapes among them), characters that change the
    direction of writing, and bytes of a file name that are no text.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def one_line(text: str) -> str:
    """``printable`` text in which a word of more than 300 characters keeps only its beginning and end."""
    text = printable(text)
    return " ".join(_shortened(word) for word in text.split(" ")) if len(text) > _LONGEST_WORD else text


def _shortened(word: str) -> str:
    if len(word) <= _LONGEST_WORD:
        return word
    return f"{word[:120]}…[{len(word)} characters]…{word[-60:]}"

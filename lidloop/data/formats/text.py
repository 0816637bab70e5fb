"""Text of annotation files: decoding, JSON, one line per failure, and names short enough to print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lidloop.errors import SourceError, printable

_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DATA_URI: Final = re.compile(r"data:[\w/+.-]*[;,]", re.IGNORECASE)


def shown(text: object, limit: int = 200) -> str:
    """Shorten a value from a file so that it can be printed: one line, no control characters.

    A data URI is cut to its type; other text longer than ``limit`` characters keeps its beginning and end.

    Example:
        >>> shown("a\\nb")
        'a\\\\nb'
    """
    whole = text if isinstance(text, str) else _safe_repr(text)
    if len(whole) > 100 and _DATA_URI.match(whole):
        return f"{whole[: whole.find(',') + 1 or 30][:60]}… ({len(whole)} characters)"
    if len(whole) > limit:
        half = max((limit - 1) // 2, 1)
        whole = f"{whole[:half]}…{whole[-half:]}"
    return printable(whole)


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits, or deep nesting
        return f"a value of type {type(value).__name__} that is too large to print"


def is_data_uri(text: str) -> bool:
    """True if a file name is in fact an embedded picture, such as ``data:image/png;base64,…``."""
    return _DATA_URI.match(text) is not None


@contextmanager
def source_errors(action: str) -> Iterator[None]:
    """Turn errors of the operating system, of decoding and of numbers into one ``SourceError``.

    Args:
        action: the file and what was not possible, such as ``coco:x.json cannot be read``.

    Raises:
        SourceError: ``action`` and the cause, in one line.
    """
    try:
        yield
    except OSError as error:
        raise SourceError(f"{action}: {error.strerror or shown(error)}") from error
    except RecursionError as error:
        raise SourceError(f"{action}: it is nested too deeply") from error
    except OverflowError as error:
        raise SourceError(f"{action}: a number is too large ({shown(str(error))})") from error
    except MemoryError as error:
        raise SourceError(f"{action}: there is not enough memory") from error
    except UnicodeError as error:
        raise SourceError(f"{action}: its text cannot be decoded ({shown(str(error))})") from error
    except (ValueError, LookupError) as error:
        raise SourceError(f"{action}: {shown(str(error))}") from error


def decode(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises:
        UnicodeDecodeError: for other encodings and for binary files.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding)


def read_text(path: Path) -> str:
    """Read a text file (see ``decode``).

    Raises:
        OSError, UnicodeDecodeError: for a file that cannot be read or is no text.
    """
    return decode(path.read_bytes())


def read_json(path: Path, source: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        source: the kind of source, for messages.

    Raises:
        SourceError: for a file that cannot be read, is not JSON, is nested too deeply, or holds an integer of
            more than 4300 digits.
    """
    with source_errors(f"{source}:{shown(str(path))} is not a JSON file that can be read"):
        return json.loads(read_text(path))

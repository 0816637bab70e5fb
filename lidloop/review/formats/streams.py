"""Foreign JSON read item by item: memory is bounded by the largest item, whatever the size of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from lidloop.data.formats.text import shown
from lidloop.errors import DatasetError, LidloopError, doing
from lidloop.review.exchange import check_size

MAX_BYTES: Final = 1 << 32
"""Largest file: 4 GB."""
MAX_VALUES: Final = 2_000_000
"""Largest number of names, values and brackets in one item: the task of a picture with about 1,300 faces."""
MAX_DEPTH: Final = 64


def items(file: Path, name: str = "") -> Iterator[Any]:
    """Yield the items of a list: of the whole document, or of what stands there under a name.

    Args:
        file: of JSON.
        name: of the list in an object; empty for a document that is a list.

    Raises:
        DatasetError: for what is no JSON, no such list, larger than 4 GB, nested more than 64 times, or has
            an item of more than two million values.
        LidloopError: where ijson is not installed.
    """
    try:
        import ijson
        from ijson.common import ObjectBuilder
    except ImportError as error:
        raise LidloopError(f"this JSON needs ijson ({error}): pip install 'lidloop[review]'") from error
    with doing(f"read {file}", DatasetError):
        check_size(file, MAX_BYTES)
        with file.open("rb") as stream:
            try:
                yield from _items(ijson.basic_parse(stream, use_float=True), ObjectBuilder, file, name)
            except (ijson.JSONError, ValueError) as error:
                raise DatasetError(f"{file} is not valid JSON: {shown(_text(error))}") from None


def _items(events: Iterable[tuple[str, Any]], builder: Any, file: Path, name: str) -> Iterator[Any]:
    level = 2 if name else 1
    depth = count = 0
    is_wanted = is_found = not name
    item = builder()
    for event, value in events:
        if event.startswith("end"):
            depth -= 1
        elif not depth and event != ("start_map" if name else "start_array"):
            raise DatasetError(f"{file} is no {f'object with {name}' if name else 'list'}")
        if depth >= level and is_wanted:
            item.event(event, value)
            count += 1
            if count > MAX_VALUES:
                raise DatasetError(f"{file} has an item of more than {MAX_VALUES:,} values")
            if depth == level and not event.startswith("start"):
                yield item.value
                item, count = builder(), 0
        elif name and depth == 1:
            if event == "map_key":
                is_wanted = value == name
                is_found |= is_wanted
            elif is_wanted and event not in ("start_array", "end_array"):
                raise DatasetError(f"{file.name}: {name} is no list")
        if event.startswith("start"):
            depth += 1
            if depth > MAX_DEPTH:
                raise DatasetError(f"{file} is nested more than {MAX_DEPTH} times")
    if not is_found:
        raise DatasetError(f"{file.name}: there is no {name}")


def _text(error: Exception) -> str:
    """Message of an error; that of the parser may be bytes."""
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(error)

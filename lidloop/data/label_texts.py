"""Label lines of a version's pictures: packed in one table, or as text files in versions of earlier releases.

Both keep the bytes of human labels as they were. A packed version has one row for each picture with a label,
``text.parquet``: its id and the bytes of its YOLO pose lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from lidloop.data.sorted_table import IMAGE, SortedTable

TEXT_FILE: Final = "text.parquet"
TEXT_FOLDER: Final = "text"
TEXT_SCHEMA: Final = pa.schema([(IMAGE, pa.string()), ("text", pa.binary())])


class Texts(Protocol):
    """Label lines by picture."""

    def of(self, image: str) -> bytes:
        """Lines of one picture; empty without a label."""

    def many(self, images: Sequence[str]) -> list[bytes]:
        """Lines of pictures, sorted by id."""

    def names(self) -> set[str]:
        """Ids of all pictures that have an entry."""


class TextFolder:
    """One text file for each picture."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, image: str) -> bytes:
        """Lines of one picture; empty without a file."""
        path = self._folder / f"{image}.txt"
        return path.read_bytes() if path.exists() else b""

    def many(self, images: Sequence[str]) -> list[bytes]:
        """Lines of pictures."""
        return [self.of(image) for image in images]

    def names(self) -> set[str]:
        """Ids of all pictures that have a file."""
        return {path.stem for path in self._folder.glob("*.txt")}


class PackedTexts:
    """Rows of a table, of which one row group at a time is in memory."""

    def __init__(self, path: Path) -> None:
        """Open a table.

        Raises:
            DatasetError: for a missing or damaged file.
        """
        self._table = SortedTable(path)
        self._group: tuple[int, dict[str, bytes]] = (-1, {})

    def of(self, image: str) -> bytes:
        """Lines of one picture; quick if pictures are asked for in their order."""
        number = self._table.group_of(image)
        if number is None:
            return self.many([image])[0]
        if self._group[0] != number:
            self._group = number, _by_image(self._table.group(number))
        return self._group[1].get(image, b"")

    def many(self, images: Sequence[str]) -> list[bytes]:
        """Lines of pictures, sorted by id."""
        if not images:
            return []
        found = _by_image(self._table.between(min(images), max(images)))
        return [found.get(image, b"") for image in images]

    def names(self) -> set[str]:
        """Ids of all pictures that have a row."""
        return {name for part in self._table.parts() for name in part[IMAGE].to_pylist()}


def open_texts(root: Path) -> Texts:
    """Open the label lines of a version's folder."""
    packed = root / TEXT_FILE
    return PackedTexts(packed) if packed.exists() else TextFolder(root / TEXT_FOLDER)


def _by_image(table: pa.Table) -> dict[str, bytes]:
    return dict(zip(table[IMAGE].to_pylist(), table["text"].to_pylist(), strict=True))

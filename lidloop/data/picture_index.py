"""Index of a dataset's pictures as columns: a sequence of records that are made when they are asked for.

A million records as Python objects take most of a gigabyte, as columns a tenth of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_BATCH: Final = 4096
_REPEATED: Final = ("split", "source")
"""Columns of few different values, which are kept as numbers into them."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture: its size in pixels after EXIF orientation, its split, the source it came from, and
    the group (a picture and its copies) that never falls into two splits. ``file`` is under ``images/``."""

    id: str
    file: str
    width: int
    height: int
    split: str
    source: str
    group: str
    sha256: str


class Records(Sequence[ImageRecord]):
    """Records of pictures, sorted by id, kept as the columns of a table."""

    def __init__(self, table: pa.Table) -> None:
        """Take over a table with the columns of ``ImageRecord``.

        Raises:
            TypeError: for other columns.
        """
        if sorted(table.column_names) != sorted(ImageRecord.__slots__):
            raise TypeError(f"columns {', '.join(table.column_names)}")
        for name in _REPEATED:
            if not pa.types.is_dictionary(table.schema.field(name).type):
                column = table[name].cast(pa.string()).dictionary_encode()
                table = table.set_column(table.column_names.index(name), name, column)
        self.table = table.select(list(ImageRecord.__slots__)).combine_chunks()

    @classmethod
    def of(cls, records: Iterable[ImageRecord]) -> Records:
        """Make the columns of records, in their order."""
        given = list(records)
        columns = {name: [getattr(r, name) for r in given] for name in ImageRecord.__slots__}
        types = {name: pa.int64() if name in ("width", "height") else pa.string() for name in columns}
        return cls(pa.table({name: pa.array(values, types[name]) for name, values in columns.items()}))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: int | slice) -> ImageRecord | Records:
        if isinstance(index, slice):
            low, high, step = index.indices(len(self))
            if step == 1:
                return Records(self.table.slice(low, max(0, high - low)))
            return Records(self.table.take(pa.array(np.arange(low, high, step), pa.int64())))
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return ImageRecord(**{name: self.table[name][row].as_py() for name in ImageRecord.__slots__})

    def __iter__(self) -> Iterator[ImageRecord]:
        for row in self._rows():
            yield ImageRecord(**row)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Records):
            return self.digest() == other.digest()
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # a sequence that may be compared with a list

    def _rows(self) -> Iterator[dict[str, Any]]:
        for low in range(0, len(self), _BATCH):
            yield from self.table.slice(low, _BATCH).to_pylist()

    @property
    def ids(self) -> pa.StringArray:
        """(n,) ids of the pictures."""
        return _whole(self.table["id"])

    def column(self, name: str) -> pa.Array:
        """(n,) one field of all records; split and source as numbers into their values."""
        return _whole(self.table[name])

    def of_split(self, name: str) -> Records:
        """Records of one split."""
        return Records(self.table.filter(pc.equal(self.table["split"].cast(pa.string()), name)))

    def digest(self) -> str:
        """SHA-256 over all fields."""
        sha = hashlib.sha256()
        for row in self._rows():
            sha.update(json.dumps(row, sort_keys=True).encode())
        return sha.hexdigest()


class ById(Mapping[str, ImageRecord]):
    """Records by id, found by halving the sorted records."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ids = records.ids

    def __getitem__(self, name: str) -> ImageRecord:
        low, high = 0, len(self._ids)
        while low < high:
            middle = (low + high) // 2
            if self._ids[middle].as_py() < name:
                low = middle + 1
            else:
                high = middle
        if low == len(self._ids) or self._ids[low].as_py() != name:
            raise KeyError(name)
        return self._records[low]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids.to_pylist())

    def __len__(self) -> int:
        return len(self._records)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

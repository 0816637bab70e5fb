"""Tables whose rows are sorted by picture, read and written a few thousand pictures at a time.

A file is Parquet with one row group for each block of pictures. The first and last picture of a row group
are in the file's statistics, so that the rows of a range of pictures are found without reading the others.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lidloop.errors import DatasetError

BLOCK: Final = 1024
"""Pictures that are worked on at once, and of a row group: with 3 faces each, their points take 4 MB."""
IMAGE: Final = "image"
COMPRESSION: Final = "zstd"


class SortedTable:
    """A Parquet file with a column ``image``, read by ranges of pictures.

    Files whose row groups overlap are read correctly too, only slower: rows are chosen by their picture.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None = None) -> None:
        """Open a file.

        Raises:
            DatasetError: for a missing or damaged file.
        """
        self._path, self._columns = path, None if columns is None else list(columns)
        self._cached: tuple[int, pa.Table] | None = None
        try:
            self._file = pq.ParquetFile(path)
            self._bounds = [self._bound(k) for k in range(self._file.num_row_groups)]
        except (OSError, pa.ArrowException, KeyError) as error:
            raise DatasetError(f"cannot read the table {path}: {error}") from error

    def _bound(self, group: int) -> tuple[str, str] | None:
        about = self._file.metadata.row_group(group)
        for k in range(about.num_columns):
            column = about.column(k)
            if column.path_in_schema == IMAGE:
                known = column.statistics
                if known is not None and known.has_min_max and isinstance(known.min, str):
                    return known.min, known.max
                return None
        raise KeyError(f"no column {IMAGE}")

    @cached_property
    def starts(self) -> list[str]:
        """First picture of every row group; empty unless row groups follow each other in order."""
        pairs = [bound for bound in self._bounds if bound is not None]
        ordered = all(a[1] < b[0] for a, b in pairwise(pairs))
        return [bound[0] for bound in pairs] if ordered and len(pairs) == len(self._bounds) else []

    def between(self, first: str, last: str) -> pa.Table:
        """Rows of the pictures from ``first`` to ``last``, both included, in the order of the file."""
        groups = range(len(self._bounds))
        if self.starts:
            groups = range(
                max(0, bisect.bisect_right(self.starts, first) - 1), bisect.bisect_right(self.starts, last)
            )
        parts = []
        for k in groups:
            bound = self._bounds[k]
            if bound is not None and (bound[1] < first or bound[0] > last):
                continue
            table = self.group(k)
            if bound is None or bound[0] < first or bound[1] > last:
                image = table[IMAGE].cast(pa.string())
                table = table.filter(pc.and_(pc.greater_equal(image, first), pc.less_equal(image, last)))
            parts.append(table)
        return pa.concat_tables(parts).unify_dictionaries() if parts else self.schema.empty_table()

    def group(self, number: int) -> pa.Table:
        """Rows of a row group; the last one that was read is kept."""
        if self._cached is None or self._cached[0] != number:
            self._cached = None
            try:
                self._cached = number, self._file.read_row_group(number, self._columns)
            except (OSError, pa.ArrowException) as error:
                raise DatasetError(f"cannot read the table {self._path}: {error}") from error
        return self._cached[1]

    def group_of(self, image: str) -> int | None:
        """Number of the row group in which a picture would be; None if it is in none of them."""
        if not self.starts:
            return None
        k = bisect.bisect_right(self.starts, image) - 1
        return k if k >= 0 else None

    def parts(self) -> Iterator[pa.Table]:
        """Row groups, in order."""
        for k in range(len(self._bounds)):
            yield self.group(k)

    @property
    def schema(self) -> pa.Schema:
        """Columns that are read."""
        schema = self._file.schema_arrow
        if self._columns is None:
            return schema
        return pa.schema([schema.field(name) for name in self._columns])


class TableWriter:
    """Writes a table row group by row group. The file must not exist yet: it may be another version's too.

    A half-written file is not renamed: it is in a folder that does not count as written yet.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("xb")
        self._writer = pq.ParquetWriter(self._file, schema, compression=COMPRESSION)
        self._schema = schema

    def add(self, table: pa.Table) -> None:
        """Write rows as one row group; none is written for a table without rows."""
        if table.num_rows:
            table = table.cast(self._schema).combine_chunks()
            self._writer.write_table(table, row_group_size=table.num_rows)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        finally:
            self._file.close()

"""Predictions of shards, read for a range of pictures at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lidloop.data.tables import about_faces, faces_of
from lidloop.errors import DatasetError
from lidloop.labels import LabelSet, concat

FACES_FILE: Final = "faces.parquet"


class FaceTable:
    """One ``faces.parquet`` (``tables.write_faces``), of which one row group is in memory.

    Attributes:
        metadata: as given to ``write_faces``.
        place: (images,) index of each of its pictures among the pictures it is opened for; -1 for others.
    """

    def __init__(self, path: Path, ids: pa.Array) -> None:
        """Open a table for pictures.

        Raises:
            DatasetError: for a missing or damaged file.
        """
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
            images, self.metadata = about_faces(path, self._file.schema_arrow)
            row = self._file.read(columns=["image"])["image"].to_numpy()
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"cannot read the table {path}: {error}") from error
        self.images = pa.array(images, pa.string())
        self.place: NDArray[np.int32] = (
            pc.index_in(self.images, value_set=ids).fill_null(-1).to_numpy().astype(np.int32)
        )
        self._of_row = self.place[row] if len(row) else np.zeros(0, np.int32)
        rows = [self._file.metadata.row_group(k).num_rows for k in range(self._file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
        self._group: tuple[int, pa.Table] | None = None
        self._reached = np.maximum.accumulate(self._of_row) if len(row) else self._of_row
        known = self._of_row >= 0
        if (self._reached[known] != self._of_row[known]).any():
            self._sort()

    @property
    def with_faces(self) -> NDArray[np.int32]:
        """Indices of the pictures that have a face, rising."""
        return np.unique(self._of_row[self._of_row >= 0])

    def _sort(self) -> None:
        """Sort the rows by picture, all in memory: for files whose rows are in another order."""
        order = np.argsort(self._of_row, kind="stable")
        self._of_row = self._reached = self._of_row[order]
        self._group = 0, self._file.read().take(pa.array(order))
        self._starts = np.array([0, len(order)])

    def between(self, first: int, stop: int) -> LabelSet:
        """Faces of the pictures from number ``first`` on, before ``stop``; ``image`` counts from ``first``.

        ``images`` of the result holds the pictures' numbers in place of their ids.
        """
        low, high = np.searchsorted(self._reached, [first, stop], side="left").tolist()
        parts = []
        for k in range(len(self._starts) - 1):
            begin, end = int(self._starts[k]), int(self._starts[k + 1])
            if begin < high and low < end:
                parts.append(self._read(k).slice(max(low - begin, 0), min(high, end) - max(low, begin)))
        names = tuple(map(str, range(first, stop)))
        table = pa.concat_tables(parts) if parts else self._file.schema_arrow.empty_table()
        of_row = self._of_row[low:high]
        mine = (of_row >= first) & (of_row < stop)
        table = table.filter(pa.array(mine)) if not mine.all() else table
        place = pa.array(of_row[mine] - np.int32(first), pa.int32())
        return faces_of(table.set_column(table.column_names.index("image"), "image", place), names)

    def _read(self, number: int) -> pa.Table:
        if self._group is None or self._group[0] != number:
            self._group = None
            try:
                self._group = number, self._file.read_row_group(number)
            except (OSError, pa.ArrowException) as error:
                raise DatasetError(f"cannot read the table {self.path}: {error}") from error
        return self._group[1]


class FaceTables:
    """Tables of all shards, opened for the same pictures."""

    def __init__(self, folders: Sequence[Path], ids: pa.Array) -> None:
        """Open the tables of shard folders.

        Args:
            folders: shard folders, at least one.
            ids: (n,) ids of the pictures that are read; faces of others are left out.
        """
        self.folders, self.ids = list(folders), ids
        self.tables = [FaceTable(folder / FACES_FILE, ids) for folder in folders]

    @property
    def times(self) -> NDArray[np.int64]:
        """(n,) number of tables that name each picture."""
        known = [table.place[table.place >= 0] for table in self.tables]
        return np.bincount(np.concatenate(known), minlength=len(self.ids))

    def between(self, first: int, stop: int) -> LabelSet:
        """Faces of the pictures from number ``first`` on and before ``stop``, in the order of the tables."""
        names = tuple(self.ids.slice(first, stop - first).to_pylist())
        found = concat([table.between(first, stop) for table in self.tables])
        return LabelSet(names, found.image, found.boxes, found.points, found.origin, found.score)

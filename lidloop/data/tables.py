"""Face tables and ledgers as Parquet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lidloop.errors import DatasetError
from lidloop.files import write_atomic
from lidloop.labels import LabelSet
from lidloop.landmarks import N_POINTS

BOX: Final = ("x1", "y1", "x2", "y2")
"""Columns of a box."""
FACES_PER_GROUP: Final = 4096
"""Faces of a row group in a table of faces: their points take 2.5 MB as 32-bit floats."""


def write_table(
    path: Path, table: pa.Table, *, rows: int | None = None, repeated: list[str] | None = None
) -> None:
    """Write a table atomically, compressed.

    Args:
        path: the file. table: its content.
        rows: rows of a row group; by default Parquet's million.
        repeated: columns whose values repeat, which a dictionary makes smaller; others become larger by it.
            By default all.
    """
    buffer = io.BytesIO()
    dictionary = True if repeated is None else repeated
    pq.write_table(table, buffer, compression="zstd", row_group_size=rows, use_dictionary=dictionary)
    write_atomic(path, buffer.getvalue())


def read_table(path: Path) -> pa.Table:
    """Read a table.

    Raises:
        DatasetError: for a missing or damaged file.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"cannot read the table {path}: {error}") from error


def write_faces(path: Path, faces: LabelSet, **metadata: str) -> None:
    """Write a set of faces; points as 32-bit floats, everything in pixels of the upright picture."""
    points = faces.points.astype(np.float32)
    columns: dict[str, Any] = {"image": pa.array(faces.image, pa.int32())}
    columns |= {name: pa.array(faces.boxes[:, k].astype(np.float32)) for k, name in enumerate(BOX)}
    columns["origin"] = pa.array(faces.origin, pa.int32())
    columns["score"] = pa.array(faces.score.astype(np.float32))
    columns["points"] = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), N_POINTS * 3)
    images = "\n".join(faces.images)
    table = pa.table(columns).replace_schema_metadata({"images": images, **metadata})
    write_table(path, table, rows=FACES_PER_GROUP, repeated=["image", "origin"])


def read_faces(path: Path) -> tuple[LabelSet, dict[str, str]]:
    """Read what ``write_faces`` wrote: the faces, and the metadata given then."""
    table = read_table(path)
    images, metadata = about_faces(path, table.schema)
    return faces_of(table, images), metadata


def about_faces(path: Path, schema: pa.Schema) -> tuple[tuple[str, ...], dict[str, str]]:
    """Read the pictures of a table of faces from its schema, and the metadata given to ``write_faces``.

    Raises:
        DatasetError: for another table.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if "images" not in metadata or "points" not in schema.names:
        raise DatasetError(f"{path} is not a table of faces")
    images = metadata.pop("images")
    return tuple(images.split("\n")) if images else (), metadata


def faces_of(table: pa.Table, images: tuple[str, ...]) -> LabelSet:
    """Convert rows of a table of faces, whose pictures are ``images``."""
    n = table.num_rows
    points = table["points"].combine_chunks()
    flat = np.asarray(points.flatten(), dtype=np.float64) if n else np.zeros(0)
    return LabelSet(
        images=images,
        image=np.asarray(table["image"], dtype=np.int64),
        boxes=np.stack([np.asarray(table[name], dtype=np.float64) for name in BOX], axis=-1).reshape(-1, 4),
        points=flat.reshape(n, N_POINTS, 3),
        origin=np.asarray(table["origin"], dtype=np.int64),
        score=np.asarray(table["score"], dtype=np.float64),
    )

"""Files of a new label version, written block of pictures by block of pictures in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lidloop.data.label_texts import TEXT_FILE, TEXT_SCHEMA
from lidloop.data.sorted_table import TableWriter
from lidloop.labels import HUMAN

SPLITS: Final = ("train", "val")
LEDGER_SCHEMA: Final = pa.schema(
    [
        ("image", pa.dictionary(pa.int32(), pa.string())),
        ("split", pa.dictionary(pa.int32(), pa.string())),
        ("line", pa.int32()),  # line among the picture's labels, from 0; -1 for a face that was dropped
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        (
            "origin",
            pa.int32(),
        ),  # -1 human, else the label version that the model which predicted it was trained on
        (
            "model",
            pa.dictionary(pa.int32(), pa.string()),
        ),  # digest of the model that did; "" for human labels
        ("confidence", pa.float32()),
        (
            "iou",
            pa.float32(),
        ),  # largest IoU with a label that was there before; 0 for those labels themselves
        ("decision", pa.dictionary(pa.int32(), pa.string())),  # kept | dropped
        ("reason", pa.dictionary(pa.int32(), pa.string())),  # human, grown, existing, overlaps-…, …
    ]
)

Counts = dict[str, dict[str, int]]


def ledger_file(root: Path, version: int) -> Path:
    """File of a version's ledger in the folder of that version or a later one."""
    return root / "ledger" / f"v{version}.parquet"


def ledger_counts(ledger: pa.Table) -> Counts:
    """Count the kept rows of a ledger: ``{"train": {"human": n, "grown": n}, "val": …}``."""
    kept = pc.greater_equal(ledger["line"], 0)
    human = pc.equal(ledger["origin"], HUMAN)
    counts = {}
    for name in SPLITS:
        here = pc.and_(kept, pc.equal(ledger["split"].cast(pa.string()), name))
        total = pc.sum(here).as_py() or 0
        given = pc.sum(pc.and_(here, human)).as_py() or 0
        counts[name] = {"human": given, "grown": total - given}
    return counts


class VersionWriter:
    """Writes label lines and ledger of a version; a context manager.

    The order of pictures must be that of the dataset. Equal calls of ``add`` give equal files.

    Attributes:
        lines: number of label lines written so far.
        kept: number of labels in the ledger so far.
        counts: labels in the ledger so far, as of ``ledger_counts``.
    """

    def __init__(self, root: Path, version: int) -> None:
        """Begin a version in a folder that holds none.

        Raises:
            FileExistsError: where one of its files is there.
        """
        root.mkdir(parents=True, exist_ok=True)
        self.lines = self.kept = 0
        self.counts: Counts = {name: {"human": 0, "grown": 0} for name in SPLITS}
        with ExitStack() as stack:
            self._texts = stack.enter_context(TableWriter(root / TEXT_FILE, TEXT_SCHEMA))
            self._ledger = stack.enter_context(TableWriter(ledger_file(root, version), LEDGER_SCHEMA))
            self._open = stack.pop_all()

    def add(self, images: Sequence[str], texts: Sequence[bytes], ledger: pa.Table) -> None:
        """Write a block of pictures.

        Args:
            images: ids of the block's pictures.
            texts: their label lines, each ended by a newline; empty for a picture without a label.
            ledger: rows of their faces (``LEDGER_SCHEMA``), by picture.
        """
        labelled = [k for k, text in enumerate(texts) if text]
        names = pa.array([images[k] for k in labelled], pa.string())
        lines = pa.array([texts[k] for k in labelled], pa.binary())
        self._texts.add(pa.Table.from_arrays([names, lines], schema=TEXT_SCHEMA))
        self._ledger.add(_canonical(ledger))
        self.lines += sum(text.count(b"\n") for text in texts)
        self.kept += pc.sum(pc.greater_equal(ledger["line"], 0)).as_py() or 0
        for split, found in ledger_counts(ledger).items():
            for origin, n in found.items():
                self.counts[split][origin] += n

    def __enter__(self) -> VersionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def _canonical(ledger: pa.Table) -> pa.Table:
    """Rows of a ledger whose dictionaries hold just the values of these rows: equal rows give equal files."""
    columns = []
    for field in LEDGER_SCHEMA:
        column = ledger[field.name]
        if pa.types.is_dictionary(field.type):
            column = column.cast(pa.string()).combine_chunks().dictionary_encode()
        columns.append(column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=LEDGER_SCHEMA)

"""Label versions as earlier releases wrote them, and edits of label lines."""

from __future__ import annotations

import json
from pathlib import Path

from lidloop.data.label_texts import TEXT_FILE, PackedTexts
from lidloop.data.sorted_table import SortedTable


def as_text_files(root: Path) -> Path:
    """Turn a packed label version into one of format 1; return its folder of text files."""
    texts, folder = PackedTexts(root / TEXT_FILE), root / "text"
    folder.mkdir()
    for name in texts.names():
        (folder / f"{name}.txt").write_bytes(texts.of(name))
    (root / TEXT_FILE).unlink()
    info = json.loads((root / "version.json").read_text())
    (root / "version.json").write_text(json.dumps({**info, "format": 1}))
    return folder


def row_groups(path: Path) -> int:
    """Number of row groups of a table."""
    return len(list(SortedTable(path).parts()))

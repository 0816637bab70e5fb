"""Drawn pictures of a dataset, matched with what their drawing knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lidloop.data.dataset import Dataset
from lidloop.files import sha256
from lidloop.synthetic.write import TruthImage, read_truth


def drawn_pictures(folder: Path, dataset: Dataset) -> Iterator[tuple[TruthImage, str | None]]:
    """Truth of each drawn picture, and its id in a dataset; None for a picture that is not in it.

    Args:
        folder: written by ``write_faces_folder``. Its pictures are matched by their SHA-256.
        dataset: converted from that folder.

    Raises:
        SourceError: for a ``truth.json`` that is not valid.
    """
    known = {record.sha256: record.id for record in dataset.records}
    for picture in read_truth(folder).images:
        files = sorted((folder / "images" / picture.split).glob(f"{picture.name}.*"))
        yield picture, known.get(sha256(files[0])) if files else None

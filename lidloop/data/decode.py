"""Decode the pictures of a conversion once: size, orientation, and hashes that tell copies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.folders import is_file
from lidloop.data.formats.locate import unread, unread_format
from lidloop.data.formats.records import Unusable
from lidloop.data.formats.text import shown
from lidloop.errors import ImageError
from lidloop.images import decode_header, decode_rgb, read_bytes

_THUMBNAIL: Final = 16  # pixels on each side
_ALIKE: Final = 8.0  # grey levels; JPEG at quality 50 changes a thumbnail by less than 2
_BRANDS: Final = {
    b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"heim": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC",
    b"avif": "AVIF", b"avis": "AVIF",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Properties of a decoded picture.

    Attributes:
        hash: of its upright pixels.
        width, height: in pixels, upright.
        orientation: EXIF orientation, 1…8.
        format: a key of ``lidloop.images.FORMATS``.
        thumbnail: (16, 16) grey levels, to compare two files of the same name.
    """

    hash: str
    width: int
    height: int
    orientation: int
    format: str
    thumbnail: NDArray[np.float32] = field(default_factory=lambda: np.zeros((16, 16), dtype=np.float32))

    def looks_like(self, other: Pixels) -> bool:
        """True if two pictures show the same, up to compression and size."""
        return float(np.abs(self.thumbnail - other.thumbnail).mean()) <= _ALIKE


def decode(path: Path, max_pixels: int) -> Pixels | Unusable:
    """Decode a picture, or say why it cannot be used."""
    if unread_format(path.name):
        return unread(path.name)
    if not is_file(path):
        return Unusable("missing-image", f"{shown(path.name, 120)} is not there")
    try:
        data = read_bytes(path)
    except ImageError as error:
        return Unusable("unreadable-image", str(error))
    try:
        header = decode_header(data, where=path.name)
        pixels = decode_rgb(data, where=path.name, max_pixels=max_pixels)
    except ImageError as error:
        kind = _content(data[:64])
        return Unusable("unreadable-image", f"{path.name} is {kind}" if kind else str(error))
    height, width = pixels.shape[:2]
    sha = hashlib.sha256(f"{width}x{height}:".encode())
    sha.update(np.ascontiguousarray(pixels).data)
    small = cv2.resize(pixels, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    grey = small.mean(axis=2, dtype=np.float32)
    return Pixels(sha.hexdigest(), width, height, header.orientation, header.format, grey)


def _content(head: bytes) -> str:
    """The kind of a file that is not the picture its name promises, with what to do; empty if unknown."""
    if head[4:8] == b"ftyp" and (kind := _BRANDS.get(head[8:12])):
        return f"a {kind} file, which is not read; convert it to JPEG or PNG"
    if head[:4] == b"GIF8":
        return "a GIF file, which is not read; convert it to JPEG or PNG"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the picture; run git lfs pull"
    if head.lstrip()[:5].lower() in (b"<html", b"<!doc"):
        return "a web page, not a picture; download it again"
    return "" if head else "an empty file"

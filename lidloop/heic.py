"""HEIC photographs, which phones write. Needs pillow-heif: ``pip install 'lidloop[heic]'``.

The container says how the picture is turned, and libheif applies it; the EXIF orientation, which many phones
write as well, does not count (ISO/IEC 23008-12). libheif holds the decoded picture to the size in the header,
so that no file expands beyond what was checked. HEVC has no checksums: unlike in a JPEG, damage that leaves
the file decodable is not noticed.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import ImageError

if TYPE_CHECKING:
    from pillow_heif import HeifFile

SUFFIXES: Final = (".heic", ".heif")
_BRANDS: Final = frozenset((b"heic", b"heix", b"heim", b"heis"))
_GENERIC: Final = frozenset((b"mif1", b"msf1"))
"""Brands of any HEIF file; the compatible brands say what is inside."""
_LONGEST_BRANDS: Final = 256


def is_heic(data: bytes) -> bool:
    """True for a HEIF file of HEVC pictures, by its file type box."""
    if data[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(data[:4], "big"), _LONGEST_BRANDS)
    brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
    return data[8:12] in _BRANDS or (data[8:12] in _GENERIC and bool(brands & _BRANDS))


def size(data: bytes, *, where: str) -> tuple[int, int]:
    """Width and height of the upright picture, in pixels, without decoding it.

    Raises:
        ImageError: for a file that cannot be read, or without pillow-heif.
    """
    width, height = _open(data, where).size
    return int(width), int(height)


def decode(data: bytes, *, where: str) -> NDArray[np.uint8]:
    """Decode the main picture: upright (h, w, 3) RGB of 8 bits; alpha is dropped, HDR is reduced to 8 bits.

    The caller checks ``size`` before.

    Raises:
        ImageError: for a file that is damaged, or without pillow-heif.
    """
    file = _open(data, where)
    try:
        pixels: NDArray[Any] = np.asarray(file)
    except (ValueError, RuntimeError, EOFError, SyntaxError, OSError, MemoryError) as error:
        raise ImageError(f"{where} is damaged or cut short: {_message(error)}") from None
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ImageError(f"{where} is a kind of HEIC that is not read: {file.mode}")
    return np.ascontiguousarray(pixels[..., :3])


def _open(data: bytes, where: str) -> HeifFile:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(f"{where} is a HEIC file, which needs: pip install 'lidloop[heic]'") from None
    options = pillow_heif.options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    try:
        file = pillow_heif.open_heif(io.BytesIO(data))
        if len(file) == 0:
            raise ValueError("it holds no picture")
    except (ValueError, RuntimeError, EOFError, SyntaxError, OSError, MemoryError) as error:
        raise ImageError(f"{where} is damaged or cut short: {_message(error)}") from None
    return file


def _message(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""Pictures from disk or memory as upright RGB arrays, refused before they can do harm.

The EXIF orientation is applied, so a pixel of the array is a pixel as a person sees it. OpenCV decodes;
Pillow reads the header, so that size and format are known before a pixel is decoded.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lidloop.errors import ImageError, ImageSizeError

MAX_PIXELS: Final = 80_000_000
"""Largest picture read by default, in pixels: 240 MB decoded."""

FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
"""Picture formats that are read, by content, and the endings under which folders are searched for them."""

SUFFIXES: Final[frozenset[str]] = frozenset(s for group in FORMATS.values() for s in group)

MAX_SCANS: Final = 100
"""Most scans of a JPEG; encoders write about ten."""

_ORIENTATION: Final = 0x0112


class Header(NamedTuple):
    """What a picture's header says: format (a key of ``FORMATS``), size in pixels after orientation, the
    EXIF orientation 1…8 (1: upright as stored), and whether a PNG is animated."""

    format: str
    width: int
    height: int
    orientation: int
    animated: bool = False


def _header(image: Image.Image) -> Header:
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # A damaged EXIF block is no reason to lose the picture; Pillow raises many kinds here.
        orientation = 1
    if not 1 <= orientation <= 8:
        orientation = 1
    width, height = image.size
    if orientation >= 5 and image.format != "TIFF":  # Pillow turns a TIFF's size by itself
        width, height = height, width
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    animated = kind == "PNG" and bool(getattr(image, "is_animated", False))
    return Header(kind, width, height, orientation, animated)


def _open(file: Path | io.BytesIO, where: str) -> Image.Image:
    try:
        return Image.open(file, formats=tuple(FORMATS))
    except FileNotFoundError:
        raise ImageError(f"{where}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{where} is a folder, not a picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageSizeError(f"{where} is too large: {error}") from None
    # Ultralytics, where it is loaded, makes Pillow import a HEIC plug-in for what it cannot identify.
    except (UnidentifiedImageError, ImportError):
        raise ImageError(f"{where} is not a picture that can be read ({', '.join(FORMATS)})") from None
    except (OSError, ValueError, SyntaxError, TypeError, EOFError) as error:
        raise ImageError(f"{where} cannot be read: {error}") from error


def _check_size(header: Header, where: str, max_pixels: int) -> None:
    if header.width * header.height > max_pixels:
        raise ImageSizeError(
            f"{where} is too large: {header.width} x {header.height} pixels, the limit is {max_pixels}"
        )


def read_header(path: Path) -> Header:
    """Read format, upright size and orientation of a picture without decoding it.

    Raises:
        ImageError: for a file that is missing or not a picture.
    """
    with _open(path, str(path)) as image:
        return _header(image)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture, in pixels, from its header.

    Raises:
        ImageError: for a file that is missing or not a picture.
    """
    header = read_header(path)
    return header.width, header.height


def _check_scans(data: bytes, kind: str, where: str) -> None:
    """A progressive JPEG may hold its picture in any number of scans, and each costs a pass over all pixels:
    ten megabytes of tiny ones would keep a decoder busy for hours."""
    if kind == "JPEG" and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise ImageError(
            f"{where} has {scans} scans, the limit is {MAX_SCANS}: it would take too long to decode"
        )


def _seems_complete(data: bytes, kind: str) -> bool:
    """Whether the end of the file is there, as far as its bytes tell; False where they do not."""
    if kind == "JPEG":
        # Behind a start of scan FF D9 can only be the end: coded data has 00 or a restart behind FF.
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if kind == "PNG":
        return b"IEND" in data[-64:]
    return False


def decode_header(data: bytes, *, where: str) -> Header:
    """``read_header`` of a picture in memory; ``where`` names it in errors."""
    with _open(io.BytesIO(data), where) as image:
        return _header(image)


def decode_rgb(data: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a picture in memory; ``where`` names it in errors. Otherwise as ``read_rgb``."""
    with _open(io.BytesIO(data), where) as image:
        header = _header(image)
        _check_size(header, where, max_pixels)
        _check_scans(data, header.format, where)
        if not _seems_complete(data, header.format):
            # OpenCV fills what is missing with grey and says nothing; Pillow refuses.
            try:
                image.load()
            except Exception as error:
                raise ImageError(f"{where} is damaged or cut short: {error}") from error
        if header.format == "TIFF" and header.orientation >= 5:
            # OpenCV 5.0 refuses a TIFF that lies on its side.
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageError(f"{where} cannot be decoded: {error}") from error
    if pixels is None:
        raise ImageError(f"{where} is damaged: OpenCV cannot decode it")
    rgb: NDArray[np.uint8] = pixels
    return rgb


def read_rgb(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture: 8 bits, RGB, EXIF orientation applied; alpha is dropped, grey becomes RGB.

    Args:
        path: a JPEG, PNG, BMP, WebP or TIFF file.
        max_pixels: refuse larger pictures; checked before decoding.

    Returns:
        (height, width, 3) pixels, those of ``cv2.imread`` with the channels in RGB order.

    Raises:
        ImageSizeError: for more pixels than ``max_pixels``.
        ImageError: for a file that is missing, unreadable or cut short.
    """
    return decode_rgb(read_bytes(path), where=str(path), max_pixels=max_pixels)


def read_bytes(path: Path) -> bytes:
    """Read a picture's file as it is.

    Raises:
        ImageError: for a file that is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not a picture") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error

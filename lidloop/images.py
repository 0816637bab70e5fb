"""Read image files as upright RGB arrays; size and format are checked before a pixel is decoded.

Formats are told by content. The EXIF orientation is applied, so a pixel of the array is a pixel as a person
sees it. Pillow reads headers, libjpeg-turbo decodes JPEG (``lidloop.jpeg``), libheif HEIC (``lidloop.heic``)
and OpenCV the rest.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lidloop import heic, jpeg
from lidloop.errors import ImageError, ImageSizeError
from lidloop.jpeg import Damage

MAX_PIXELS: Final = 80_000_000
"""Default limit of an image's size in pixels: 240 MB decoded."""

FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
"""Formats of data sets, and the endings under which folders are searched for them. ``decode`` also reads
HEIC, which is not one of them, because Ultralytics cannot train on it."""

SUFFIXES: Final[frozenset[str]] = frozenset(s for group in FORMATS.values() for s in group)

_ORIENTATION: Final = 0x0112
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


class Header(NamedTuple):
    """Header of an image file.

    Attributes:
        format: a key of ``FORMATS``.
        width, height: in pixels, after orientation.
        orientation: EXIF orientation 1…8 that has to be applied (1: upright as stored).
        animated: True for a PNG or WebP of several frames.
    """

    format: str
    width: int
    height: int
    orientation: int
    animated: bool = False


class Decoded(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, upright.
        width, height: of the upright image in the file, in pixels. Larger than ``pixels`` where these were
            decoded at a reduced scale.
        factor: pixels of the file per pixel of ``pixels``, 1 or more.
        offset: (x, y) in pixels of the file that is added when coordinates are converted; see ``to_file``.
        animated: True if the file holds several frames, of which this is the first.
        damage: None if no sign of damage was found, for which JPEG only is searched.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    factor: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    animated: bool = False
    damage: Damage | None = None

    def turned(self, *, swapped: bool, flip_x: bool, flip_y: bool) -> Decoded:
        """The same image with rows and columns swapped, then mirrored along x and along y."""
        pixels = self.pixels.swapaxes(0, 1) if swapped else self.pixels
        width, height = (self.height, self.width) if swapped else (self.width, self.height)
        left, top = self.offset[::-1] if swapped else self.offset
        # A reduced size is rounded up at the end of rows and columns; mirroring moves that to the front.
        if flip_x:
            left = width - pixels.shape[1] * self.factor - left
        if flip_y:
            top = height - pixels.shape[0] * self.factor - top
        pixels = np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
        return self._replace(pixels=pixels, width=width, height=height, offset=(left, top))

    def to_file(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert (..., 2) coordinates of ``pixels`` to pixels of the file, pixel centres being whole."""
        converted: NDArray[np.float64] = (xy + 0.5) * self.factor - 0.5 + np.array(self.offset)
        return converted

    def from_file(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse of ``to_file``."""
        converted: NDArray[np.float64] = (xy + 0.5 - np.array(self.offset)) / self.factor - 0.5
        return converted


def read_header(path: Path) -> Header:
    """Read format, upright size and orientation of an image without decoding it.

    Raises:
        ImageError: for a file that is missing or not an image.
    """
    with _open(path, str(path)) as image:
        return _header(image)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, in pixels, from its header.

    Raises:
        ImageError: for a file that is missing or not an image.
    """
    header = read_header(path)
    return header.width, header.height


def decode_header(data: bytes, *, where: str) -> Header:
    """``read_header`` of an image in memory; ``where`` names it in errors."""
    with _open(io.BytesIO(data), where) as image:
        return _header(image)


def read_rgb(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read an image: 8 bits, RGB, EXIF orientation applied; alpha is dropped, grey becomes RGB.

    Args:
        path: a JPEG, PNG, BMP, WebP or TIFF file.
        max_pixels: limit of its size; checked before decoding.

    Returns:
        (height, width, 3) pixels, those of ``cv2.imread`` with the channels in RGB order.

    Raises:
        ImageSizeError: for more pixels than ``max_pixels``.
        ImageError: for a file that is missing, unreadable or cut short.
    """
    return decode_rgb(read_bytes(path), where=str(path), max_pixels=max_pixels)


def read_bytes(path: Path) -> bytes:
    """Read an image file as it is.

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


def decode_rgb(data: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """``read_rgb`` of an image in memory; ``where`` names it in errors."""
    if heic.is_heic(data):
        raise ImageError(f"{where} is a HEIC file; save it as JPEG or PNG")
    return decode(data, where=where, max_pixels=max_pixels).pixels


def decode(data: bytes, *, where: str, max_pixels: int = MAX_PIXELS, max_reduced_pixels: int = 0) -> Decoded:
    """Decode an image in memory, with what a caller has to know about its file.

    Args:
        data: a file of a format in ``FORMATS``, or HEIC.
        where: its name in errors.
        max_pixels: limit of the decoded size, in pixels.
        max_reduced_pixels: a JPEG above ``max_pixels`` and up to this is decoded at the largest number of
            eighths of its size that is within ``max_pixels``.

    Raises:
        ImageSizeError: for more pixels than are allowed; checked before decoding.
        ImageError: for a file that is unreadable or cut short.
    """
    if heic.is_heic(data):
        _check_size(heic.size(data, where=where), where, max_pixels)
        pixels = heic.decode(data, where=where)
        return Decoded(pixels, pixels.shape[1], pixels.shape[0])
    header = decode_header(data, where=where)
    if header.format == "JPEG" and max_pixels < header.width * header.height <= max_reduced_pixels:
        eighths = _eighths(header, max_pixels)
    else:
        eighths = jpeg.FULL_SCALE
        _check_size((header.width, header.height), where, max_pixels)
    if header.format == "JPEG":
        return _decode_jpeg(data, header, where, eighths)
    return _decode_other(data, header, where)


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


def _header(image: Image.Image) -> Header:
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # A damaged EXIF block is no reason to lose the image; Pillow raises many kinds here.
        orientation = 1
    if not 1 <= orientation <= 8:
        orientation = 1
    width, height = image.size
    if orientation >= 5 and image.format != "TIFF":  # Pillow turns a TIFF's size by itself
        width, height = height, width
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    animated = kind in ("PNG", "WEBP") and bool(getattr(image, "is_animated", False))
    return Header(kind, width, height, orientation, animated)


def _check_size(size: tuple[int, int], where: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageSizeError(f"{where} is too large: {width} x {height} pixels, the limit is {max_pixels}")


def _eighths(header: Header, max_pixels: int) -> int:
    """Largest scale in eighths at which an image is within ``max_pixels``; 1 where none is."""
    for eighths in range(jpeg.FULL_SCALE - 1, 1, -1):
        width, height = (-(-side * eighths // jpeg.FULL_SCALE) for side in (header.width, header.height))
        if width * height <= max_pixels:
            return eighths
    return 1


def _decode_jpeg(data: bytes, header: Header, where: str, eighths: int) -> Decoded:
    stored, damage = jpeg.decode(data, where=where, eighths=eighths)
    factor = jpeg.FULL_SCALE / eighths
    size = (header.width, header.height)
    width, height = size[::-1] if header.orientation >= 5 else size
    return _upright(Decoded(stored, width, height, factor, damage=damage), header.orientation)


def _upright(stored: Decoded, orientation: int) -> Decoded:
    """Apply an EXIF orientation (EXIF 2.32, tag 274)."""
    return stored.turned(
        swapped=orientation >= 5, flip_x=orientation in (2, 3, 6, 7), flip_y=orientation in (3, 4, 7, 8)
    )


def _decode_other(data: bytes, header: Header, where: str) -> Decoded:
    """Decode PNG, BMP, WebP or TIFF, upright."""
    if header.format == "PNG":
        _check_png(data, where)
    else:
        # OpenCV fills missing rows with grey without an error; Pillow raises one.
        with _open(io.BytesIO(data), where) as image:
            try:
                image.load()
            except Exception as error:
                raise ImageError(f"{where} is damaged or cut short: {error}") from error
            if header.format == "TIFF" and header.orientation >= 5:
                # OpenCV 5.0 refuses a TIFF that lies on its side.
                return _whole(np.array(ImageOps.exif_transpose(image).convert("RGB")), header)
    flags = cv2.IMREAD_COLOR_RGB
    if header.format != "TIFF":  # else Pillow and OpenCV may disagree about a damaged EXIF block
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{where} cannot be decoded: {error}") from error
    if pixels is None:
        raise ImageError(f"{where} is damaged: OpenCV cannot decode it")
    decoded = _whole(pixels, header)
    return decoded if header.format == "TIFF" else _upright(decoded, header.orientation)


def _whole(pixels: NDArray[np.uint8], header: Header) -> Decoded:
    return Decoded(pixels, pixels.shape[1], pixels.shape[0], animated=header.animated)


def _check_png(data: bytes, where: str) -> None:
    """Check the chunks of a PNG up to IEND: OpenCV does not compare all checksums.

    Raises:
        ImageError: for a chunk that is cut short or does not match its checksum.
    """
    at = len(_PNG_SIGNATURE)
    view = memoryview(data)
    while True:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if len(kind) < 4 or end > len(data):
            raise ImageError(f"{where} is damaged or cut short: the PNG ends within a chunk")
        # An upper-case first letter: decoding needs the chunk. Others are metadata.
        if kind[:1].isupper() and zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(
            data[end - 4 : end], "big"
        ):
            raise ImageError(f"{where} is damaged: the checksum of the PNG's chunk {_name(kind)} is wrong")
        if kind == b"IEND":
            return
        at = end


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")

"""Decode the pixels of a DICOM photograph, after all checks that are possible before decoding.

A compressed frame has a size of its own. If it differs from the DICOM header, the frame is rejected before it
is decoded: otherwise it could expand beyond the limit that the header passed. JPEG is decoded
by ``lidloop.images``, the rest by pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidloop import images
from lidloop.images import Decoded, decode_header
from serving.protocols.dicom.scan import DicomDamageError, DicomKindError

if TYPE_CHECKING:
    from pydicom.uid import UID

_FRAME: Final = "the picture in the DICOM file"
_SOI: Final = b"\xff\xd8"
_ADOBE_RGB: Final = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
_J2K_START: Final = b"\xff\x4f\xff\x51"
_MAX_TILES: Final = 1024
_RLE_PADDING: Final = 128
"""Bytes by which an RLE segment may be longer than its plane; standard padding is one byte."""


class Pixels(NamedTuple):
    """Checked attributes of a header that describe the pixels."""

    rows: int
    columns: int
    photometric: str
    planar: int

    @property
    def samples(self) -> int:
        """Samples per pixel."""
        return 1 if self.photometric == "MONOCHROME2" else 3


def decode(data: bytes, syntax: str, coding: str, pixels: Pixels, *, max_pixels: int) -> Decoded:
    """Decode the single frame of a file, in the orientation in which it is stored.

    Args:
        data: the frame as stored.
        syntax: UID of the transfer syntax.
        coding: ``serving.protocols.dicom.header.Syntax.coding``.
        pixels: checked attributes of the header.
        max_pixels: limit of the decoded size; a larger JPEG is decoded at a reduced scale.

    Raises:
        ImageError: the pixels are damaged or contradict the header.
        Exception: any other type that pydicom or a decoder raises for damaged pixels.
    """
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    if coding == "native":
        return _as_rgb(data, UID(syntax), pixels)
    if coding in ("jpeg", "jpeg-lossless"):
        return _jpeg(data, pixels, max_pixels)
    if coding == "jpeg-2000":
        _check_jpeg_2000(data, pixels)
    elif coding == "jpeg-ls":
        _same_size(_size_of_jpeg_ls(data), pixels)
    else:
        _check_rle(data, pixels)
    return _as_rgb(encapsulate([data]), UID(syntax), pixels)


def _as_rgb(data: bytes, syntax: UID, pixels: Pixels) -> Decoded:
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(syntax)
    if not decoder.is_available:
        raise DicomKindError(f"no decoder for {syntax.name} is installed")
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples,
        "photometric_interpretation": pixels.photometric,
        "planar_configuration": pixels.planar,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    array: NDArray[np.uint8] = decoder.as_array(data, index=0, **options)[0]
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.shape != (pixels.rows, pixels.columns, 3):
        raise DicomDamageError(f"{_FRAME} does not have the size that its header says")
    return Decoded(array, pixels.columns, pixels.rows)


def _jpeg(frame: bytes, pixels: Pixels, max_pixels: int) -> Decoded:
    plain = _without_metadata(frame, rgb=pixels.photometric == "RGB")
    header = decode_header(plain, where=_FRAME)
    if header.format != "JPEG":
        raise DicomDamageError(f"{_FRAME} is not a JPEG, as its transfer syntax says it is")
    _same_size((header.width, header.height), pixels)
    size = pixels.rows * pixels.columns
    return images.decode(plain, where=_FRAME, max_pixels=max_pixels, max_reduced_pixels=size)


def _same_size(size: tuple[int, int], pixels: Pixels) -> None:
    if size != (pixels.columns, pixels.rows):
        raise DicomDamageError(
            f"{_FRAME} is {size[0]} x {size[1]} pixels, its header says {pixels.columns} x {pixels.rows}"
        )


def _segments(frame: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the segments of a JPEG or JPEG-LS, up to and including its first scan."""
    if frame[:2] != _SOI:
        raise DicomDamageError(f"{_FRAME} does not begin as a JPEG")
    at = 2
    while True:
        start = at
        while frame[at + 1] == 0xFF:  # fill bytes
            at += 1
        if frame[at] != 0xFF:
            raise DicomDamageError(f"{_FRAME} has broken segments")
        marker = frame[at + 1]
        (length,) = struct.unpack_from(">H", frame, at + 2)
        at += 2 + max(2, length)
        yield marker, start, at
        if marker == 0xDA:
            return


def _without_metadata(frame: bytes, *, rgb: bool) -> bytes:
    """Remove EXIF and other metadata from a JPEG.

    Segments that define its colour space (JFIF, Adobe) are kept. Without them, ``rgb``, which comes from the
    DICOM header, tells if the samples are RGB.
    """
    kept: list[bytes] = []
    colours = False
    end = 2
    for marker, start, end in _segments(frame):
        body = frame[start:end]
        if marker in (0xE0, 0xEE):
            colours |= b"JFIF\0" in body[:12] or b"Adobe" in body[:12]
        elif 0xE1 <= marker <= 0xEF or marker == 0xFE:
            continue
        kept.append(body)
    hint = _ADOBE_RGB if rgb and not colours else b""
    return b"".join([_SOI, hint, *kept, frame[end:]])


def _check_jpeg_2000(frame: bytes, pixels: Pixels) -> None:
    """Compare the SIZ marker (ISO/IEC 15444-1, A.5.1) with the header, and limit the number of tiles.

    A decoder allocates memory for every declared tile, and a few hundred bytes can declare a million. A frame
    is a bare codestream (PS3.5, A.4.4), so the marker is at its beginning.
    """
    if not frame.startswith(_J2K_START):
        raise DicomDamageError(f"{_FRAME} does not begin as a JPEG 2000 codestream")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = struct.unpack_from(
        ">8LH", frame, len(_J2K_START) + 4
    )
    _same_size((right - left, bottom - top), pixels)
    depths = {depth & 0x7F for depth in frame[len(_J2K_START) + 38 :][: 3 * components : 3]}
    if components != pixels.samples or depths != {7}:
        raise DicomDamageError(f"{_FRAME} does not have the {pixels.samples} samples of 8 bits of its header")
    tiles = -(-(right - tile_left) // max(1, tile_width)) * -(-(bottom - tile_top) // max(1, tile_height))
    if tiles > _MAX_TILES:
        raise DicomDamageError(f"{_FRAME} has {tiles} tiles, the limit is {_MAX_TILES}")


def _size_of_jpeg_ls(frame: bytes) -> tuple[int, int]:
    for marker, start, end in _segments(frame):
        if marker == 0xF7:
            height, width = struct.unpack_from(">HH", frame[start:end].lstrip(b"\xff"), 4)
            return width, height
    raise DicomDamageError(f"{_FRAME} has no frame header")


def _check_rle(frame: bytes, pixels: Pixels) -> None:
    """Reject segments (PS3.5, annex G) that expand beyond a plane: 2 bytes can expand to 128."""
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != pixels.samples:
        raise DicomDamageError(f"{_FRAME} has {count} segments, not {pixels.samples}")
    bounds = [*offsets[:count], len(frame)]
    for at, end in pairwise(bounds):
        left = pixels.rows * pixels.columns + _RLE_PADDING
        while at < end:
            head = frame[at]
            if head > 128:  # a run of equal bytes; 128 is a no-op
                at += 2
                left -= 257 - head
            else:
                at += 1 + (head + 1) % 129
                left -= (head + 1) % 129
            if left < 0:
                raise DicomDamageError(f"{_FRAME} expands beyond its header's size")

"""Scan the element structure of a DICOM file (PS3.5, chapter 7; PS3.10) without parsing values.

A general parser converts all values, also nested sequences and character sets with a million names; an upload
of a few megabytes can then take minutes. This scanner does a limited number of steps without recursion. It
returns only the requested elements, each of at most 1,024 bytes, for a general parser.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from lidloop.errors import ImageError

IMPLICIT: Final = "1.2.840.10008.1.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
UID: Final = re.compile(r"(?=.{1,64}$)(0|[1-9]\d*)(\.(0|[1-9]\d*))+")

_TRANSFER_SYNTAX: Final = 0x00020010
_PIXEL_DATA: Final = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations whose length has four bytes (PS3.5, 7.1.2)."""
_STEPS: Final = 200_000
"""Largest number of elements and items in a file; real files have a few thousand at most."""
_LONGEST: Final = 1024
"""Largest size of a requested element, in bytes."""


class DicomKindError(ImageError):
    """The kind of the DICOM file is not accepted: SOP class, transfer syntax or pixel format."""


class DicomSizeError(ImageError):
    """The DICOM file has more bytes or pixels than are accepted."""


class DicomDamageError(ImageError):
    """The file is damaged or not a DICOM file."""


class DicomFile(NamedTuple):
    """Requested elements and pixels of a file.

    Attributes:
        dataset: the requested elements only, as encoded in the file.
        pixels: value of Pixel Data; if it is encapsulated, its joined fragments. Empty if it is missing.
    """

    dataset: bytes
    pixels: bytes


class _Head(NamedTuple):
    """Header of an element.

    Attributes:
        tag: group and element number.
        vr: value representation; None with implicit VR.
        start: offset of the element in the data.
        value: offset of its value.
        length: length of its value in bytes, or ``_UNDEFINED``.
    """

    tag: int
    vr: bytes | None
    start: int
    value: int
    length: int


class _StepLimit:
    """Counter of elements and items that raises ``DicomDamageError`` above ``_STEPS``."""

    def __init__(self) -> None:
        self.left = _STEPS

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise DicomDamageError("the DICOM file has far more elements than a photograph")


def transfer_syntax(data: bytes) -> tuple[str, int]:
    """UID of the transfer syntax, and offset of the data set.

    The UID is empty if the file meta information has none.

    Raises:
        DicomDamageError: the data are not a DICOM file.
    """
    if data[128:132] != b"DICM":
        raise DicomDamageError("not a DICOM file: bytes 128 to 131 are not DICM (PS3.10)")
    at, uid, steps = 132, "", _StepLimit()
    while data[at : at + 2] == b"\x02\x00":
        head = _head(data, at, implicit=False)
        at = _end(data, head, implicit=False, steps=steps)
        if head.tag == _TRANSFER_SYNTAX:
            uid = data[head.value : at][:64].decode("latin-1").rstrip("\0 ")
    return uid, at


def scan(data: bytes, at: int, syntax: str, *, wanted: Collection[int], max_inflated: int) -> DicomFile:
    """Find the requested elements of a file's data set, and its pixels.

    Args:
        data: content of the file.
        at: offset of its data set.
        syntax: UID of its transfer syntax.
        wanted: tags of the requested elements.
        max_inflated: largest data set of a deflated file, in bytes.

    Raises:
        DicomDamageError: the structure is broken, has too many elements, or a requested element occurs twice
            or has more than 1,024 bytes.
        DicomSizeError: the data set of a deflated file is too large.
    """
    if syntax == DEFLATED:
        data, at = _inflate(data[at:], max_inflated), 0
    implicit = syntax == IMPLICIT
    found: dict[int, bytes] = {}
    steps = _StepLimit()
    while at < len(data):
        head = _head(data, at, implicit=implicit)
        if head.tag == _PIXEL_DATA:
            return DicomFile(b"".join(found.values()), _pixels(data, head, steps))
        at = _end(data, head, implicit=implicit, steps=steps)
        if head.tag in wanted:
            if head.tag in found or at - head.start > _LONGEST:
                raise DicomDamageError(
                    f"({head.tag >> 16:04X},{head.tag & 0xFFFF:04X}) occurs twice or is too long"
                )
            found[head.tag] = data[head.start : at]
    return DicomFile(b"".join(found.values()), b"")


def _inflate(data: bytes, limit: int) -> bytes:
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit + 1)
    if len(inflated) > limit:
        raise DicomSizeError(f"the deflated DICOM file has more than {limit} bytes after inflating")
    return inflated


def _head(data: bytes, at: int, *, implicit: bool) -> _Head:
    try:
        group, number, length = struct.unpack_from("<HHL", data, at)
        vr = None if implicit else data[at + 4 : at + 6]
        value = at + 8
        if vr is not None and vr.isalpha() and vr.isupper():  # some writers change to implicit VR
            if vr in _LONG:
                (length,) = struct.unpack_from("<L", data, value)
                value += 4
            else:
                length >>= 16
        return _Head(group << 16 | number, vr, at, value, length)
    except struct.error:
        raise DicomDamageError("the DICOM file is cut short") from None


def _end(data: bytes, head: _Head, *, implicit: bool, steps: _StepLimit) -> int:
    """Offset at which an element ends."""
    steps.take()
    if head.length == _UNDEFINED:
        return _end_of_undefined(data, head, implicit=implicit, steps=steps)
    return _inside(data, head.value + head.length)


def _end_of_undefined(data: bytes, head: _Head, *, implicit: bool, steps: _StepLimit) -> int:
    """Offset at which a sequence or fragmented value of undefined length ends, nested elements included."""
    at = head.value
    implicit = implicit or head.vr == b"UN"  # PS3.5, 6.2.2
    open_: list[tuple[bool, bool]] = [(True, implicit)]
    """Stack of open sequences (True) and items (False), each with True if its content has implicit VR."""
    while open_:
        steps.take()
        sequence, implicit = open_[-1]
        inner = _head(data, at, implicit=implicit or sequence)
        at = inner.value
        if inner.tag == (_SEQUENCE_END if sequence else _ITEM_END):
            open_.pop()
            at = inner.start + 8
        elif sequence and inner.tag != _ITEM:
            raise DicomDamageError("a sequence of the DICOM file contains something other than items")
        elif inner.length == _UNDEFINED:
            open_.append((not sequence, implicit or inner.vr == b"UN"))
        else:
            at = _inside(data, at + inner.length)
    return at


def _pixels(data: bytes, head: _Head, steps: _StepLimit) -> bytes:
    if head.length != _UNDEFINED:
        return data[head.value : _inside(data, head.value + head.length)]
    fragments = [data[item.value : item.value + item.length] for item in _items(data, head.value, steps)]
    return b"".join(fragments[1:])  # the first item is the offset table


def _items(data: bytes, at: int, steps: _StepLimit) -> Iterator[_Head]:
    while True:
        steps.take()
        item = _head(data, at, implicit=True)
        if item.tag == _SEQUENCE_END:
            return
        if item.tag != _ITEM:
            raise DicomDamageError("Pixel Data of the DICOM file contains something other than fragments")
        at = _inside(data, item.value + item.length)
        yield item


def _inside(data: bytes, at: int) -> int:
    if at > len(data):
        raise DicomDamageError("the DICOM file is cut short")
    return at

"""The outer structure of a DICOM file (PS3.5, chapter 7; PS3.10): elements are found and stepped over; values
are not looked at.

A general parser converts what it passes, be it sequences in sequences or a character set with a million
names, and some megabytes of an upload then cost minutes. Here a file is walked in a limited number of steps
and without recursion, and only the elements that were asked for are handed on, none of them long.
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
"""Elements and items after which a file counts as an attack; a real one has a few thousand at most."""
_LONGEST: Final = 1024
"""Bytes of an element that is handed on."""


class DicomKindError(ImageError):
    """A DICOM file of a kind that is not taken."""


class DicomSizeError(ImageError):
    """A DICOM file with more bytes or pixels than are taken."""


class DicomDamageError(ImageError):
    """A file that is no DICOM file, or a damaged one."""


class DicomFile(NamedTuple):
    """What was found in a file.

    Attributes:
        dataset: the elements that were asked for, as they are encoded, and nothing else.
        pixels: value of Pixel Data; of an encapsulated one its fragments, joined. Empty where it is missing.
    """

    dataset: bytes
    pixels: bytes


class _Head(NamedTuple):
    """An element: tag, value representation (None in implicit ones), where it and its value begin, length."""

    tag: int
    vr: bytes | None
    start: int
    value: int
    length: int


class _Steps:
    """Counts down; raises where a file is longer than it may be."""

    def __init__(self) -> None:
        self.left = _STEPS

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise DicomDamageError("the DICOM file has far more elements than a photograph")


def transfer_syntax(data: bytes) -> tuple[str, int]:
    """UID of the transfer syntax (empty where the file meta information has none), and where the data begin.

    Raises:
        DicomDamageError: for what is no DICOM file.
    """
    if data[128:132] != b"DICM":
        raise DicomDamageError("not a DICOM file: DICM is not where it should be (PS3.10)")
    at, uid, steps = 132, "", _Steps()
    while data[at : at + 2] == b"\x02\x00":
        head = _head(data, at, implicit=False)
        at = _end(data, head, implicit=False, steps=steps)
        if head.tag == _TRANSFER_SYNTAX:
            uid = data[head.value : at][:64].decode("latin-1").rstrip("\0 ")
    return uid, at


def scan(data: bytes, at: int, syntax: str, *, wanted: Collection[int], max_inflated: int) -> DicomFile:
    """Find the elements of a file's data set that are wanted, and its pixels.

    Args:
        data: the file. at: where its data set begins. syntax: UID of its transfer syntax.
        wanted: tags.
        max_inflated: largest data set of a deflated file, in bytes.

    Raises:
        DicomDamageError: for a structure that is broken or endless, or a wanted element that is there twice
            or has more than 1,024 bytes.
        DicomSizeError: for a deflated file that holds too much.
    """
    if syntax == DEFLATED:
        data, at = _inflate(data[at:], max_inflated), 0
    implicit = syntax == IMPLICIT
    found: dict[int, bytes] = {}
    steps = _Steps()
    while at < len(data):
        head = _head(data, at, implicit=implicit)
        if head.tag == _PIXEL_DATA:
            return DicomFile(b"".join(found.values()), _pixels(data, head, steps))
        at = _end(data, head, implicit=implicit, steps=steps)
        if head.tag in wanted:
            if head.tag in found or at - head.start > _LONGEST:
                raise DicomDamageError(
                    f"({head.tag >> 16:04X},{head.tag & 0xFFFF:04X}) is there twice or too long"
                )
            found[head.tag] = data[head.start : at]
    return DicomFile(b"".join(found.values()), b"")


def _inflate(data: bytes, limit: int) -> bytes:
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit + 1)
    if len(inflated) > limit:
        raise DicomSizeError(f"the deflated DICOM file holds more than {limit} bytes")
    return inflated


def _head(data: bytes, at: int, *, implicit: bool) -> _Head:
    try:
        group, number, length = struct.unpack_from("<HHL", data, at)
        vr = None if implicit else data[at + 4 : at + 6]
        value = at + 8
        if vr is not None and vr.isalpha() and vr.isupper():  # else some writers went over to implicit
            if vr in _LONG:
                (length,) = struct.unpack_from("<L", data, value)
                value += 4
            else:
                length >>= 16
        return _Head(group << 16 | number, vr, at, value, length)
    except struct.error:
        raise DicomDamageError("the DICOM file is cut short") from None


def _end(data: bytes, head: _Head, *, implicit: bool, steps: _Steps) -> int:
    """Where an element ends."""
    steps.take()
    if head.length == _UNDEFINED:
        return _end_of_undefined(data, head, implicit=implicit, steps=steps)
    return _inside(data, head.value + head.length)


def _end_of_undefined(data: bytes, head: _Head, *, implicit: bool, steps: _Steps) -> int:
    """End of a sequence or a fragmented value of undefined length, whatever is nested in it."""
    at = head.value
    implicit = implicit or head.vr == b"UN"  # PS3.5, 6.2.2
    open_: list[tuple[bool, bool]] = [(True, implicit)]
    """Sequences (True) and items (False) that have not ended, and whether what is in them is implicit."""
    while open_:
        steps.take()
        sequence, implicit = open_[-1]
        inner = _head(data, at, implicit=implicit or sequence)
        at = inner.value
        if inner.tag == (_SEQUENCE_END if sequence else _ITEM_END):
            open_.pop()
            at = inner.start + 8
        elif sequence and inner.tag != _ITEM:
            raise DicomDamageError("a sequence of the DICOM file holds something else than items")
        elif inner.length == _UNDEFINED:
            open_.append((not sequence, implicit or inner.vr == b"UN"))
        else:
            at = _inside(data, at + inner.length)
    return at


def _pixels(data: bytes, head: _Head, steps: _Steps) -> bytes:
    if head.length != _UNDEFINED:
        return data[head.value : _inside(data, head.value + head.length)]
    fragments = [data[item.value : item.value + item.length] for item in _items(data, head.value, steps)]
    return b"".join(fragments[1:])  # the first one is a table of offsets


def _items(data: bytes, at: int, steps: _Steps) -> Iterator[_Head]:
    while True:
        steps.take()
        item = _head(data, at, implicit=True)
        if item.tag == _SEQUENCE_END:
            return
        if item.tag != _ITEM:
            raise DicomDamageError("Pixel Data of the DICOM file holds something else than fragments")
        at = _inside(data, item.value + item.length)
        yield item


def _inside(data: bytes, at: int) -> int:
    if at > len(data):
        raise DicomDamageError("the DICOM file is cut short")
    return at

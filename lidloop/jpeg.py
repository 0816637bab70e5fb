"""JPEG files: their markers, decoding at full or reduced scale, and signs of damage.

libjpeg-turbo decodes (through simplejpeg, whose pixels equal those of OpenCV and Pillow). It conceals damaged
data and only warns; the warnings are kept here, because lengths measured in a damaged picture are wrong
without looking wrong.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from lidloop.errors import ImageError, ImageSizeError

MAX_SCANS: Final = 100
"""Largest number of scans of a JPEG; encoders write about ten."""
FULL_SCALE: Final = 8
"""Scale of a picture at its own size; libjpeg decodes at any number of eighths of it."""

_SOI, _EOI, _SOS, _DQT = 0xD8, 0xD9, 0xDA, 0xDB
_SEQUENTIAL: Final = (0xC0, 0xC1)
_LOSSLESS: Final = (0xC3, 0xCB)
_FRAMES: Final = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
"""Markers without a length: TEM and the restarts."""
_IN_SCAN: Final = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
"""End of entropy-coded data: any marker but a stuffed zero or a restart."""
_KEPT_BEFORE_SCANS: Final = frozenset((0xE0, 0xEE, *range(0xC0, 0xD0), _DQT, 0xDD))
"""Segments that decoding needs: JFIF, Adobe, frame, Huffman tables, quantisation tables, restart interval."""
_MCU: Final = {"420": (16, 16), "422": (8, 16), "440": (16, 8), "411": (8, 32), "444": (8, 8), "Gray": (8, 8)}
"""Height and width in pixels of the unit (MCU) in which a JPEG stores its blocks, by chroma subsampling."""
_EXTRANEOUS: Final = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")


class Damage(NamedTuple):
    """Damage of a file.

    Attributes:
        certain: True if pixels are missing or wrong; False if they may be.
        text: what was found, for people.
    """

    certain: bool
    text: str


class Structure(NamedTuple):
    """Layout of a JPEG.

    Attributes:
        frame: marker of its frame header, which tells the coding process; 0 if there is none.
        scans: number of its scans.
        end: offset just after its End Of Image marker; None if that is missing. What follows (the video of a
            motion photo, further pictures of a multi-picture file) does not belong to it.
    """

    frame: int
    scans: int
    end: int | None


def structure(data: bytes) -> Structure:
    """Follow the markers of a JPEG from its start to its end.

    Stops after ``MAX_SCANS + 1`` scans.
    """
    frame, scans, at = 0, 0, 2
    while at + 1 < len(data) and scans <= MAX_SCANS:
        if data[at] != 0xFF:  # libjpeg skips such bytes, too
            at = data.find(b"\xff", at)
            if at < 0:
                break
        marker = data[at + 1]
        if marker == _EOI:
            return Structure(frame, scans, at + 2)
        if marker in (0x00, 0xFF, _SOI) or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if marker in _FRAMES:
            frame = marker
        elif marker == _SOS:
            scans += 1
            found = _IN_SCAN.search(data, at)
            if found is None:
                break
            at = found.end() - 2
    return Structure(frame, scans, None)


class Decoded(NamedTuple):
    """Pixels of a JPEG as stored, (h, w, 3) RGB, without its orientation; and what is wrong with the file."""

    pixels: NDArray[np.uint8]
    damage: Damage | None


def decode(data: bytes, *, where: str, eighths: int = FULL_SCALE) -> Decoded:
    """Decode a JPEG whose size was checked before.

    Args:
        data: the file.
        where: its name in errors.
        eighths: scale of the result in eighths of the picture's size, 1 to 8. Below 8 the inverse DCT is
            computed at that scale, so that the full picture never exists in memory.

    Raises:
        ImageSizeError: for a lossless JPEG, if ``eighths`` is below 8.
        ImageError: for a file that is cut short or cannot be decoded.
    """
    layout = structure(data)
    if layout.scans > MAX_SCANS:
        raise ImageError(
            f"{where} has too many scans, the limit is {MAX_SCANS}: it would take too long to decode"
        )
    if layout.end is None:
        raise ImageError(f"{where} is damaged or cut short: the end of the JPEG is missing")
    if eighths != FULL_SCALE and layout.frame in _LOSSLESS:
        raise ImageSizeError(f"{where} is too large for a lossless JPEG, which has no reduced scale")
    file = data[: layout.end]
    if _subsampling(file) is None:
        if eighths != FULL_SCALE:
            raise ImageSizeError(f"{where} is too large for a JPEG of this rare chroma subsampling")
        return _decode_unchecked(file, where=where)
    try:
        return _with_doubts(_pixels(file, eighths, strict=True), file, eighths)
    except ValueError as error:
        message = str(error)
    plain = _without_oddities(file)
    try:
        return _with_doubts(_pixels(plain, eighths, strict=True), plain, eighths)
    except ValueError as error:
        message = str(error)
    try:
        pixels = _pixels(plain, eighths, strict=False)
    except ValueError:
        raise ImageError(f"{where} is damaged: {message}") from None
    extraneous = _EXTRANEOUS.fullmatch(message)
    if extraneous is None:
        return Decoded(pixels, Damage(True, f"the JPEG is damaged ({message})"))
    # All blocks are there. Some cameras pad the data of a picture with zeros; other bytes are doubtful.
    if not plain[-2 - int(extraneous[1]) : -2].strip(b"\x00\xff"):
        return _with_doubts(pixels, plain, eighths)
    return Decoded(pixels, Damage(False, f"the JPEG may be damaged ({message})"))


def _pixels(file: bytes, eighths: int, *, strict: bool) -> NDArray[np.uint8]:
    """(h, w, 3) RGB.

    Raises:
        ValueError: libjpeg's message for what it cannot decode; if ``strict``, also for what it warns of.
    """
    scaled = {}
    if eighths != FULL_SCALE:
        height, width, _, _ = simplejpeg.decode_jpeg_header(file, strict=False)
        scaled = {
            "min_height": -(-height * eighths // FULL_SCALE),
            "min_width": -(-width * eighths // FULL_SCALE),
        }
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(file, "RGB", strict=strict, **scaled)
    return pixels


def _subsampling(file: bytes) -> str | None:
    """Chroma subsampling; None for one that simplejpeg does not know or a header that cannot be read."""
    try:
        return str(simplejpeg.decode_jpeg_header(file, strict=False)[3])
    except (ValueError, KeyError):
        return None


def _decode_unchecked(file: bytes, *, where: str) -> Decoded:
    """Decode with OpenCV at full scale; libjpeg's warnings are not to be had from it.

    Raises:
        ImageError: for a file that cannot be decoded.
    """
    pixels = cv2.imdecode(
        np.frombuffer(file, dtype=np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if pixels is None:
        raise ImageError(f"{where} is damaged: the JPEG cannot be decoded")
    text = "its chroma subsampling is so rare that the JPEG cannot be checked for damage"
    return Decoded(pixels, Damage(False, text))


def _without_oddities(file: bytes) -> bytes:
    """A JPEG without what libjpeg warns of although it changes no pixel: metadata, bytes between segments,
    an unknown JFIF revision, and spectral selection in scans of a sequential picture, which have none.

    The file as it is where its markers cannot be followed.
    """
    kept, at, sequential = [file[:2]], 2, False
    while True:
        at = file.find(b"\xff", at)
        while at >= 0 and file[at + 1 : at + 2] == b"\xff":
            at += 1
        if at < 0 or at + 4 > len(file):
            return file
        marker = file[at + 1]
        if marker in (0x00, _SOI) or marker in _ALONE:
            at += 2
            continue
        length = int.from_bytes(file[at + 2 : at + 4], "big")
        segment = file[at : at + 2 + max(2, length)]
        at += len(segment)
        sequential |= marker in _SEQUENTIAL
        if marker == _SOS:
            if sequential and len(segment) > 7:
                segment = segment[:-3] + b"\x00\x3f\x00"
            return b"".join([*kept, segment, file[at:]])
        if marker == 0xE0 and segment[4:9] == b"JFIF\0":
            segment = segment[:9] + b"\x01\x01" + segment[11:]
        elif marker == 0xE0:
            continue
        if marker in _KEPT_BEFORE_SCANS:
            kept.append(segment)


def _with_doubts(pixels: NDArray[np.uint8], file: bytes, eighths: int) -> Decoded:
    """Pixels that libjpeg decoded without a warning, searched for a seam."""
    height, width = (side * eighths // FULL_SCALE for side in _MCU.get(_subsampling(file) or "", (8, 8)))
    if has_seam(pixels, height, width):
        text = "brightness or colour changes along a block row of the JPEG, as damaged data causes"
        return Decoded(pixels, Damage(False, f"the JPEG may be damaged ({text})"))
    return Decoded(pixels, None)


_YCRCB: Final = np.array(
    [[0.299, 0.587, 0.114], [0.5, -0.4187, -0.0813], [-0.1687, -0.3313, 0.5]], dtype=np.float32
)
"""Differences in RGB to differences in Y, Cr and Cb (JFIF 1.02)."""
_MIN_STEP: Final = (3.0, 2.0, 2.0)
"""Smallest step of Y, Cr and Cb that counts, in grey levels; noisy pictures ask for more."""
_MIN_SHARE: Final = 0.7
"""Share of a row's blocks that must step in the same direction."""
_MAX_SPREAD: Final = 0.8
"""Largest interquartile range of the steps over their median: damage shifts all blocks by the same amount."""
_ALIGNED: Final = 0.06
"""Seams that begin within this share of a row from its end are not told from edges of frames and captions."""
_MIN_BLOCKS: Final = 8


def has_seam(pixels: NDArray[np.uint8], height: int, width: int) -> bool:
    """True if the brightness or colour of a JPEG is shifted from some block on.

    A JPEG stores the mean of a block as the difference to the block before. One wrong difference, or data
    that were misread for a while, shift all that follows in reading order, and no decoder can notice. The
    picture then steps by the same amount along the top of exactly one row's number of consecutive blocks:
    from the first wrong one to the end of its row, and on in the next row up to the column where it began.

    Args:
        pixels: (h, w, 3) RGB as stored.
        height: of a unit of blocks (MCU) in ``pixels``.
        width: of a unit of blocks (MCU) in ``pixels``.
    """
    columns = pixels.shape[1] // width if width else 0
    tops = np.arange(height, pixels.shape[0] - 4, height) if height >= 8 else np.arange(0)
    if columns < _MIN_BLOCKS or len(tops) < 2:
        return False
    # Rows at some distance from the boundary, for chroma is smoothed across it; averaged by block.
    before_2, before, after, after_2 = (
        cv2.resize(
            np.ascontiguousarray(pixels[tops + k, : columns * width]),
            (columns, len(tops)),
            interpolation=cv2.INTER_AREA,
        ).astype(np.float32)
        for k in (-5, -2, 1, 4)
    )
    rgb = after - before - ((before - before_2) + (after_2 - after)) / 2
    steps = rgb.reshape(-1, 3) @ _YCRCB.T
    return any(_steps_for_a_row(steps[:, k], columns, _MIN_STEP[k]) for k in range(3))


def _steps_for_a_row(steps: NDArray[np.float32], columns: int, smallest: float) -> bool:
    """True if a row's number of consecutive blocks steps alike, beginning away from the start of a row.

    Args:
        steps: (n,) at the top of blocks in reading order.
        columns: blocks in a row.
        smallest: smallest step that counts.
    """
    noise = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
    limit = max(smallest, noise)
    signs = (steps > limit).astype(np.int32) - (steps < -limit)
    sums = np.concatenate([[0], np.cumsum(signs)])
    share = np.abs(sums[columns:] - sums[:-columns]) / columns
    best = float(share.max())
    if best < _MIN_SHARE:
        return False
    first = int(share.argmax())
    plateau = np.flatnonzero(share[first : first + columns] >= best - 1e-9)
    start = first + int(plateau[len(plateau) // 2])
    at = start % columns / columns
    if min(at, 1 - at) <= _ALIGNED:
        return False
    low, middle, high = np.percentile(steps[start : start + columns], (25, 50, 75))
    return bool(high - low < _MAX_SPREAD * abs(middle))

"""IoU of all pairs of boxes that share a picture, for a whole dataset at once. Pure NumPy.

Memory bandwidth is the limit, not arithmetic, so pairs are made in parts that fit the processor's cache. Most
pairs of boxes in a picture do not intersect; one 64-bit subtraction finds these (``_starts``), and
the IoU is computed for the others only. Threads do not help: each operation is too short to release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Floats

Ints = NDArray[np.int64]
Cells = NDArray[np.uint64]
Runs = Callable[[slice], tuple[Ints, Ints]]

_WORK: Final = 1 << 16  # rows and pairs worked on at a time
_NUMBERS: Final = np.arange(_WORK)
_LARGEST_CELL: Final = (1 << 14) - 1
_TINY: Final = float(np.finfo(np.float64).smallest_subnormal)


def _lanes(*values: int) -> np.uint64:
    """Four 16-bit numbers as one of 64 bits, laid out as the coordinates of a box are in memory."""
    return np.uint64(np.array(values, dtype=np.uint16).view(np.uint64)[0])


_GUARD: Final = _lanes(0x8000, 0x8000, 0x8000, 0x8000)
_MIRROR: Final = _lanes(0, 0, 0x7FFF, 0x7FFF)
_HALF: Final = np.uint64(32)


def compare(a: Floats, b: Floats, runs: Runs) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Compare each box of ``a`` with a run of boxes of ``b``.

    Args:
        a: (n, 4) boxes x1, y1, x2, y2, finite. b: (m, 4).
        runs: for a slice of the rows of ``a``, the row of ``b`` where the run of each begins, and its length.
            Neither begins nor ends ever fall, as where both are sorted by picture.

    Yields:
        Rows of ``a`` (p,), rows of ``b`` (p,) and their IoU (p,), which is that of ``labels.box_iou``, bit
        for bit; part by part, in the order of the rows. All pairs that share area are among them, others may
        be, with an IoU of 0.
    """
    if not len(a) or not len(b):
        return
    a, b = np.ascontiguousarray(a, np.float64), np.ascontiguousarray(b, np.float64)
    step = max(_WORK // 4, 1)
    for low in range(0, len(a), step):
        for begin, first, count in _small(low, *runs(slice(low, min(low + step, len(a))))):
            rows, others = _touching(a, b, begin, first, count)
            yield rows, others, _iou(a.take(rows, axis=0), b.take(others, axis=0))


def _small(begin: int, first: Ints, count: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Rows from ``begin`` on in parts of at most ``_WORK`` pairs, and boxes from the begin of the first run
    to the end of the last one; a row that has more by itself is a part of its own."""
    if len(first) > 1 and max(first[-1] + count[-1] - first[0], count.sum()) > _WORK:
        middle = len(first) // 2
        yield from _small(begin, first[:middle], count[:middle])
        yield from _small(begin + middle, first[middle:], count[middle:])
    else:
        yield begin, first, count


def _touching(a: Floats, b: Floats, row: int, first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Rows of ``a`` from ``row`` on and rows of ``b`` in their runs: all pairs that share area, few more."""
    begin, end = int(first[0]), int(first[-1] + count[-1])
    if begin == end:
        return count[:0], count[:0]
    mine = a[row : row + len(first)].astype(np.float32)
    theirs = b[begin:end].astype(np.float32)
    largest = max(mine.max(), -mine.min(), theirs.max(), -theirs.min())
    scale = _LARGEST_CELL / largest if 1e-30 < largest < 1e30 else np.float32(0)
    start = _starts(mine, scale)
    reach = start >> _HALF
    start <<= _HALF
    reach |= start
    np.invert(reach, out=reach)  # x2, y2, -x1, -y1, with the guard bits set

    # What is to be added to a pair's number to get its box in ``theirs``, and the row, in one number.
    key = first - np.cumsum(count)
    key += count
    key -= begin
    key <<= 32
    key |= _numbers(len(key))
    pair = key.repeat(count)
    other = pair >> 32
    other += _numbers(len(other))
    gap = reach.repeat(count)
    gap -= _starts(theirs, scale).take(other)
    gap &= _GUARD
    near = np.flatnonzero(gap == _GUARD)
    rows, others = pair.take(near), other.take(near)
    rows &= 0xFFFFFFFF
    rows += row
    others += begin
    return rows, others


def _numbers(n: int) -> Ints:
    """0, 1, 2, … n - 1, not to be written to: those that a part needs are made once."""
    return _NUMBERS[:n] if n <= len(_NUMBERS) else np.arange(n)


def _starts(boxes: NDArray[np.float32], scale: np.float32) -> Cells:
    """Boxes as four 15-bit numbers in one of 64 bits: x1, y1, -x2, -y2, rounded to ``scale`` cells a pixel;
    all of them in one cell where ``scale`` is 0.

    Box A can share area with box B only if A's x2 is above B's x1, A's -x1 above B's -x2, and the same for
    y; rounding leaves "at least". With a guard bit set above each of A's four numbers, one subtraction of B's
    tells: the guard bits are left where nothing had to be borrowed.
    """
    cells = (boxes * scale).astype(np.int16) if scale else np.zeros(boxes.shape, np.int16)
    cells += _LARGEST_CELL + 1
    lanes = cells.view(np.uint64)[:, 0]
    lanes ^= _MIRROR
    return lanes


def _iou(a: Floats, b: Floats) -> Floats:
    """IoU of pairs of boxes (p, 4), whose arrays are used up: (p,)."""
    one, other = _corners(a), _corners(b)
    side = one[:, 1] - one[:, 0]
    union: Floats = side.real * side.imag
    np.subtract(other[:, 1], other[:, 0], out=side)
    iou: Floats = side.real * side.imag
    union += iou
    low = np.maximum(a, b)
    np.minimum(a, b, out=a)
    np.subtract(one[:, 1], _corners(low)[:, 0], out=side)
    plain = side.view(np.float64)
    np.maximum(plain, np.zeros(len(plain)), out=plain)  # three times as fast as with the number 0
    np.multiply(side.real, side.imag, out=iou)
    union -= iou
    np.maximum(union, _TINY, out=union)  # so that nothing is divided by 0
    iou /= union
    return iou


def _corners(boxes: Floats) -> NDArray[np.complex128]:
    """The same memory as complex numbers (n, 2): x1 + y1·i and x2 + y2·i."""
    return boxes.view(np.complex128)

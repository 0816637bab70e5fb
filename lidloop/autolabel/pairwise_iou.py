"""IoU of all pairs of boxes in the same picture, for a whole dataset at once. Pure NumPy.

The bottleneck is memory bandwidth, so pairs are processed in chunks that fit the CPU cache. Most pairs of
boxes in a picture do not intersect; one 64-bit subtraction detects them (``_packed_starts``), and the IoU is
computed only for the others. Threads do not help: each operation is too short to release the GIL.
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

_WORK: Final = 1 << 16  # rows and pairs per chunk
_NUMBERS: Final = np.arange(_WORK)
_LARGEST_CELL: Final = (1 << 14) - 1
_TINY: Final = float(np.finfo(np.float64).smallest_subnormal)


def _lanes(*values: int) -> np.uint64:
    """Pack four 16-bit numbers into one of 64 bits, in the memory layout of a box's coordinates."""
    return np.uint64(np.array(values, dtype=np.uint16).view(np.uint64)[0])


_GUARD: Final = _lanes(0x8000, 0x8000, 0x8000, 0x8000)
_MIRROR: Final = _lanes(0, 0, 0x7FFF, 0x7FFF)
_HALF: Final = np.uint64(32)


def compare(a: Floats, b: Floats, runs: Runs) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Compare each box of ``a`` with a run of boxes of ``b``.

    Args:
        a: (n, 4) boxes x1, y1, x2, y2, finite.
        b: (m, 4) boxes likewise.
        runs: function of a slice of the rows of ``a``: first row of ``b`` of each run, and its length. Starts
            and ends of runs must not decrease, as if both are sorted by picture.

    Yields:
        Rows of ``a`` (p,), rows of ``b`` (p,) and their IoU (p,), bit-identical to ``labels.box_iou``; in
        chunks, in the order of the rows. All pairs that intersect are included; other pairs may be, with an
        IoU of 0.
    """
    if not len(a) or not len(b):
        return
    a, b = np.ascontiguousarray(a, np.float64), np.ascontiguousarray(b, np.float64)
    step = max(_WORK // 4, 1)
    for low in range(0, len(a), step):
        for begin, first, count in _chunks(low, *runs(slice(low, min(low + step, len(a))))):
            rows, others = _candidate_pairs(a, b, begin, first, count)
            yield rows, others, _iou(a.take(rows, axis=0), b.take(others, axis=0))


def _chunks(begin: int, first: Ints, count: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Split rows from ``begin`` on into chunks of at most ``_WORK`` pairs and ``_WORK`` boxes of their runs.

    A single row with more pairs is a chunk of its own.
    """
    if len(first) > 1 and max(first[-1] + count[-1] - first[0], count.sum()) > _WORK:
        middle = len(first) // 2
        yield from _chunks(begin, first[:middle], count[:middle])
        yield from _chunks(begin + middle, first[middle:], count[middle:])
    else:
        yield begin, first, count


def _candidate_pairs(a: Floats, b: Floats, row: int, first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Return candidate pairs of rows of ``a`` from ``row`` on with rows of ``b`` in their runs.

    All pairs that intersect are included, and few others.
    """
    begin, end = int(first[0]), int(first[-1] + count[-1])
    if begin == end:
        return count[:0], count[:0]
    mine = a[row : row + len(first)].astype(np.float32)
    theirs = b[begin:end].astype(np.float32)
    largest = max(mine.max(), -mine.min(), theirs.max(), -theirs.min())
    scale = _LARGEST_CELL / largest if 1e-30 < largest < 1e30 else np.float32(0)
    start = _packed_starts(mine, scale)
    reach = start >> _HALF
    start <<= _HALF
    reach |= start
    np.invert(reach, out=reach)  # x2, y2, -x1, -y1, with the guard bits set

    # Packed into one number: the offset from a pair's index to its box in ``theirs``, and the row.
    key = first - np.cumsum(count)
    key += count
    key -= begin
    key <<= 32
    key |= _numbers(len(key))
    pair = key.repeat(count)
    other = pair >> 32
    other += _numbers(len(other))
    gap = reach.repeat(count)
    gap -= _packed_starts(theirs, scale).take(other)
    gap &= _GUARD
    near = np.flatnonzero(gap == _GUARD)
    rows, others = pair.take(near), other.take(near)
    rows &= 0xFFFFFFFF
    rows += row
    others += begin
    return rows, others


def _numbers(n: int) -> Ints:
    """Return 0, 1, 2, … n - 1, from a shared read-only array if it is long enough."""
    return _NUMBERS[:n] if n <= len(_NUMBERS) else np.arange(n)


def _packed_starts(boxes: NDArray[np.float32], scale: np.float32) -> Cells:
    """Pack boxes as four 15-bit numbers x1, y1, -x2, -y2 into one of 64 bits, at ``scale`` cells per pixel.

    With ``scale`` 0 all boxes are in one cell.

    Box A can intersect box B only if A's x2 is above B's x1, A's -x1 above B's -x2, and the same for y; after
    rounding: at least. With a guard bit set above each of A's four numbers, one subtraction of B's numbers
    tests all four: a guard bit is cleared by a borrow, i.e. if A's number is smaller.
    """
    cells = (boxes * scale).astype(np.int16) if scale else np.zeros(boxes.shape, np.int16)
    cells += _LARGEST_CELL + 1
    lanes = cells.view(np.uint64)[:, 0]
    lanes ^= _MIRROR
    return lanes


def _iou(a: Floats, b: Floats) -> Floats:
    """IoU of pairs of boxes: (p, 4), (p, 4) to (p,). Overwrites its arguments."""
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
    np.maximum(plain, np.zeros(len(plain)), out=plain)  # three times as fast as with a scalar 0
    np.multiply(side.real, side.imag, out=iou)
    union -= iou
    np.maximum(union, _TINY, out=union)  # avoids division by 0
    iou /= union
    return iou


def _corners(boxes: Floats) -> NDArray[np.complex128]:
    """View boxes as complex numbers without a copy: (n, 2), x1 + y1·i and x2 + y2·i."""
    return boxes.view(np.complex128)

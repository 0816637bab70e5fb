"""IoU of very many boxes, each with a few others: all pairs of a dataset at once. Pure NumPy.

What costs is not the arithmetic but moving numbers through memory. So pairs are made in parts that fit the
processor's cache, in arrays that are used again; and most pairs of boxes in a picture share nothing, which
one subtraction of 64-bit integers tells (``_starts``). Only the others are fetched and computed in full.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Floats
from lidloop.machine import cpus

T = TypeVar("T")
Ints = NDArray[np.int64]
Cells = NDArray[np.uint64]

_WORK: Final = 1 << 15  # rows and pairs worked on at a time
_LARGEST_CELL: Final = (1 << 14) - 1


def _lanes(*values: int) -> np.uint64:
    """Four 16-bit numbers as one of 64 bits, laid out as the coordinates of a box are in memory."""
    return np.uint64(np.array(values, dtype=np.uint16).view(np.uint64)[0])


_GUARD: Final = _lanes(0x8000, 0x8000, 0x8000, 0x8000)
_MIRROR: Final = _lanes(0, 0, 0x7FFF, 0x7FFF)
_HALF: Final = np.uint64(32)


def compare(
    a: Floats, b: Floats, first: Ints, count: Ints, use: Callable[[Ints, Ints, Floats], T]
) -> list[T]:
    """Compare each box of ``a`` with a run of boxes of ``b``.

    Args:
        a: (n, 4) boxes x1, y1, x2, y2, finite. b: (m, 4).
        first: (n,) row of ``b`` where the run of each box of ``a`` begins. count: (n,) its length.
            Neither ``first`` nor ``first + count`` ever falls, as where both are sorted by picture.
        use: is given rows of ``a`` (p,), rows of ``b`` (p,) and their IoU (p,), which is that of
            ``labels.box_iou``, bit for bit. All pairs that share area are among them, others may be, with
            an IoU of 0. It is called for one part of the rows after the other, side by side on the cores
            there are (NumPy lets go of the interpreter). The last array is used again for the next part.

    Returns:
        What ``use`` returned, in the order of the rows; so the outcome does not depend on the cores.
    """
    a, b = np.ascontiguousarray(a, np.float64), np.ascontiguousarray(b, np.float64)
    if not len(a) or not len(b):
        return []
    cuts, size = _cut(first, count)
    parts = [slice(*ends) for ends in pairwise(cuts)]
    threads = min(len(parts), cpus())
    rooms = [_Room(size) for _ in range(threads)]

    def one(part: slice) -> T:
        room = rooms.pop()
        try:
            rows, others = _touching(a, b, part, first[part], count[part], room)
            return use(rows, others, _iou(a, b, rows, others, room))
        finally:
            rooms.append(room)

    if threads == 1:
        return [one(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, parts))


def _cut(first: Ints, count: Ints) -> tuple[list[int], int]:
    """Where to cut the rows into parts, both ends included; and the most that a part has of rows and pairs
    together, or of boxes from the begin of its first run to the end of its last one."""
    work = np.cumsum(count + 1)
    total = work + first
    cuts = np.searchsorted(total, np.arange(total[0] + _WORK, total[-1], _WORK))
    cuts = np.unique(np.concatenate([[0], cuts, [len(count)]]))
    begin, last = cuts[:-1], cuts[1:] - 1
    span = first[last] + count[last] - first[begin]
    return cuts.tolist(), int(max(np.diff(work[last], prepend=0).max(), span.max()))


class _Room:
    """Arrays that one part after the other is worked on in. To get fresh ones of this size from the system
    costs more than the arithmetic in them. The constants are arrays too: NumPy's ``maximum`` takes three
    times as long with a number."""

    def __init__(self, size: int) -> None:
        self.row, self.other = np.empty((2, size), np.int64)
        self.number = np.arange(size)
        self.reach, self.start = np.empty((2, size), np.uint64)
        self.box, self.other_box, self.low = np.empty((3, size, 4))
        self.side = np.empty(size, np.complex128)
        self.iou, self.union = np.empty((2, size))
        self.zero = np.zeros(2 * size)
        self.tiny = np.full(size, np.finfo(np.float64).smallest_subnormal)


def _touching(a: Floats, b: Floats, part: slice, first: Ints, count: Ints, room: _Room) -> tuple[Ints, Ints]:
    """Rows of ``a`` in ``part`` and rows of ``b`` in their runs: all pairs that share area, and few more."""
    begin, end = int(first[0]), int(first[-1] + count[-1])
    row, other = _pairs(first - begin, count, room)
    if not len(row):
        return row, other
    mine, theirs = a[part], b[begin:end]
    largest = max(mine.max(), -mine.min(), theirs.max(), -theirs.min())
    scale = _LARGEST_CELL / largest if largest > 1e-300 else 0.0
    start = _starts(mine, scale, room)
    reach = ~(start << _HALF | start >> _HALF)  # x2, y2, -x1, -y1, with the guard bits set
    # mode="clip", though nothing is out of range: else NumPy fills ``out`` by way of a copy.
    gap = reach.take(row, out=room.reach[: len(row)], mode="clip")
    gap -= _starts(theirs, scale, room).take(other, out=room.start[: len(row)], mode="clip")
    gap &= _GUARD
    near = np.flatnonzero(gap == _GUARD)
    return row.take(near) + part.start, other.take(near) + begin


def _pairs(first: Ints, count: Ints, room: _Room) -> tuple[Ints, Ints]:
    """Every row ``count`` times, and beside it ``first``, ``first + 1``, …: two arrays of ``count.sum()``."""
    ends = np.cumsum(count)
    row = room.row[: int(ends[-1])]
    row[:] = 0
    turns = ends[: np.searchsorted(ends, len(row))]  # where the next row begins
    np.add.at(row, turns, 1)
    np.cumsum(row, out=row)
    other = (first - ends + count).take(row, out=room.other[: len(row)], mode="clip")
    other += room.number[: len(row)]
    return row, other


def _starts(boxes: Floats, scale: float, room: _Room) -> Cells:
    """Boxes as four 15-bit numbers in one of 64 bits: x1, y1, -x2, -y2, rounded to ``scale`` cells a pixel.

    Box A can share area with box B only if A's x2 is above B's x1, A's -x1 above B's -x2, and the same for
    y; rounding leaves "at least". With a guard bit set above each of A's four numbers, one subtraction of B's
    tells: the guard bits are left where nothing had to be borrowed.
    """
    cells = np.multiply(boxes, scale, out=room.box[: len(boxes)]).astype(np.int16)
    cells += _LARGEST_CELL + 1
    return cells.view(np.uint64)[:, 0] ^ _MIRROR


def _iou(a: Floats, b: Floats, rows: Ints, others: Ints, room: _Room) -> Floats:
    """IoU of boxes ``rows`` of ``a`` and ``others`` of ``b``: (p,)."""
    n = len(rows)
    box = a.take(rows, axis=0, out=room.box[:n], mode="clip")
    other = b.take(others, axis=0, out=room.other_box[:n], mode="clip")
    union = _area(box, room, room.union[:n])
    union += _area(other, room, room.iou[:n])
    low = np.maximum(box, other, out=room.low[:n])
    high = np.minimum(box, other, out=box)
    side = np.subtract(_corners(high)[:, 1], _corners(low)[:, 0], out=room.side[:n])
    np.maximum(side.view(np.float64), room.zero[: 2 * n], out=side.view(np.float64))
    iou: Floats = np.multiply(side.real, side.imag, out=room.iou[:n])
    union -= iou
    iou /= union
    return iou


def _area(boxes: Floats, room: _Room, out: Floats) -> Floats:
    """Area of boxes (n, 4), in ``out``; never 0, so that nothing is divided by 0 later."""
    corners = _corners(boxes)
    side = np.subtract(corners[:, 1], corners[:, 0], out=room.side[: len(boxes)])
    np.multiply(side.real, side.imag, out=out)
    area: Floats = np.maximum(out, room.tiny[: len(boxes)], out=out)
    return area


def _corners(boxes: Floats) -> NDArray[np.complex128]:
    """The same memory as complex numbers (n, 2): x1 + y1·i and x2 + y2·i."""
    return boxes.view(np.complex128)

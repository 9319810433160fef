"""Cycles of the data mover: how long so many bytes take, by their direction and the runs in which they lie.

The estimates are those that the vendor's code generator keeps beside each command; the tests replay its
answers. A run is the bytes that lie together on the side where fewer do; a run shorter than what the mover
takes at a time wastes the rest. From or to DDR (load, store, system):

    (start + bytes / (2 * min(run, 29.565)) + 53 * page_breaks) * 1.108

where `start` is 124, of stores 41. If elements do not follow one another (a stride over w other than 1, a
transposition, an accumulation), the 2 is 1, and loads pay for each border of 4 KiB that they cross.
Within local memory: 3 + bytes / min(run, 32).
"""

from __future__ import annotations

from graphflow.runtime.bm1684.isa import Direction, Shape

GDMA_HERTZ = 575_000_000
"""Clock of the data mover."""

_DDR_TAKES = 29.565
_LOCAL_TAKES = 32
_SLOWER = 1.1079546
_PAGE_BITS = 12
_PAGE_BREAK = 53
_START = {Direction.LOAD: 124, Direction.STORE: 41, Direction.SYSTEM: 124, Direction.LOCAL: 3}
_FILL_START = 7

DDR_BYTES_PER_CYCLE = 2 * _DDR_TAKES / _SLOWER
"""What a long transfer from or to DDR comes to: 53.4 bytes a cycle, 30.7 GB/s."""


def transfer_cycles(
    bytes: int, run_bytes: int, direction: Direction, *, scattered: bool = False, page_breaks: int = 0
) -> int:
    """Cycles of a transfer.

    Arguments:
        bytes: how much is moved.
        run_bytes: how much of it lies together, on the side where it is less.
        direction: between which memories.
        scattered: whether the elements of a run do not follow one another (a stride over w other than 1), or
            the transfer transposes or accumulates.
        page_breaks: borders of 4 KiB of DDR that a scattered load crosses.

    >>> transfer_cycles(1 << 20, 3136 * 4, Direction.LOAD), transfer_cycles(1 << 20, 4, Direction.LOAD)
    (19785, 145359)
    >>> transfer_cycles(65536, 1024, Direction.LOCAL)
    2051
    """
    start, run_bytes = _START[direction], max(run_bytes, 1)
    if direction is Direction.LOCAL:
        return int(start + bytes / min(run_bytes, _LOCAL_TAKES))
    took = bytes / (min(run_bytes, _DDR_TAKES) * (1 if scattered else 2))
    return int((start + took + _PAGE_BREAK * page_breaks) * _SLOWER)


def fill_cycles(bytes: int, run_bytes: int, direction: Direction, *, scattered: bool = False) -> int:
    """Cycles of a Fill: 7 + bytes / (2 * min(run, 32)); of DDR as of a transfer that starts after 7.

    Arguments:
        bytes, run_bytes, scattered: as of `transfer_cycles`.
        direction: LOCAL or SYSTEM, for where the value goes.

    >>> fill_cycles(65536, 1024, Direction.LOCAL)
    1031
    """
    system = direction is Direction.SYSTEM
    rate = min(max(run_bytes, 1), _DDR_TAKES if system else _LOCAL_TAKES) * (1 if scattered else 2)
    return int((_FILL_START + bytes / rate) * (_SLOWER if system else 1))


def dense(shape: Shape) -> Shape:
    """The strides, in elements, of a tensor without gaps.

    >>> tuple(dense(Shape(2, 3, 4, 5)))
    (60, 20, 5, 1)
    """
    return Shape(shape.c * shape.h * shape.w, shape.h * shape.w, shape.w, 1)


def settled(shape: Shape, strides: Shape) -> Shape:
    """Strides in which those of axes of size 1, which have no effect, are as without gaps."""
    w = strides.w if shape.w > 1 else 1
    h = strides.h if shape.h > 1 else shape.w * w
    c = strides.c if shape.c > 1 else shape.h * h
    return Shape(strides.n if shape.n > 1 else shape.c * c, c, h, w)


def width(shape: Shape, strides: Shape) -> int:
    """Elements from the first to the last of a row, those left out between them included."""
    return (shape.w - 1) * strides.w + 1


def run_length(shape: Shape, strides: Shape, local: bool) -> int:
    """Elements that lie together; local memory counts within a channel only.

    >>> run_length(Shape(1, 64, 8, 8), Shape(4096, 64, 8, 1), False)
    4096
    >>> run_length(Shape(1, 64, 8, 8), Shape(64, 64, 8, 1), True)
    64
    """
    if strides.h != shape.w:
        return shape.w
    if local or strides.c != shape.h * shape.w:
        return shape.h * shape.w
    return shape.c * shape.h * shape.w


def page_breaks(address: int, shape: Shape, strides: Shape, element: int) -> int:
    """Borders of 4 KiB of DDR that a scattered load crosses, as the vendor's estimate counts them.

    Those within gaps between rows, channels or items are left out if the gap is an odd number of pages.

    Arguments:
        address: of the first element.
        shape, strides: of the source; see `settled`.
        element: bytes of an element.
    """
    n, c, h, w = shape
    crossed = (address + strides.n * n * element >> _PAGE_BITS) - (address >> _PAGE_BITS)
    if strides.w == 1:
        return crossed
    gaps = (
        (strides.h - w * strides.w, (h - 1) * c * n),
        (strides.c - h * strides.h, (c - 1) * h),
        (strides.n - c * strides.c, n - 1),
    )
    for gap, count in gaps:
        if int(gap * element / (1 << _PAGE_BITS)) % 2:
            crossed -= count
    return crossed

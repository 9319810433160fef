"""The chip's memories: every access is checked for range and for unwritten bytes, and is noted.

An access is a block of elements with a stride for each axis. Local memory is one array in which the lanes
follow one another, so that the lane is just another axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.runtime.bm1684.chip import (
    DDR_BASE,
    L2_BASE,
    L2_BYTES,
    L2_TABLES,
    LANE_BYTES,
    LANES,
    LOCAL_BASE,
    LOCAL_END,
    place,
)
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.tables import TABLES

_MOST_DDR = 16 << 30
"""Bytes of DDR at most on the boards that exist."""


def _too_much(size: int) -> ChipFault:
    return ChipFault("range", f"{size} bytes of DDR", hint="no board, or not this machine, has as much")


class Access(NamedTuple):
    """Elements that a command read or wrote: where they begin, their sizes and strides in bytes."""

    space: str
    write: bool
    start: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    width: int

    @property
    def end(self) -> int:
        """The first byte behind the last."""
        reach = sum((size - 1) * stride for size, stride in zip(self.sizes, self.strides))
        return self.start + reach + self.width

    def cells(self) -> np.ndarray:
        """The offsets of all bytes, in any order."""
        at = np.arange(self.start, self.start + self.width)
        for size, stride in zip(self.sizes, self.strides):
            if stride and size > 1:
                at = (at[:, None] + np.arange(size) * stride).reshape(-1)
        return at


class Space:
    """One memory: its bytes, which of them were ever written, and its address."""

    def __init__(self, name: str, base: int, size: int) -> None:
        self.name, self.base, self.size = name, base, size
        self.data = np.zeros(size, np.uint8)
        self.written = np.zeros(size, np.uint8)


class Memory:
    """Local memory, L2 with its constant tables, and DDR.

    Arguments:
        ddr_bytes: the size of DDR.

    Raises:
        ChipFault: if that is more than a board has, or than this machine can hold.
    """

    def __init__(self, ddr_bytes: int = 1 << 24) -> None:
        if ddr_bytes > _MOST_DDR:
            raise _too_much(ddr_bytes)
        self.local = Space("local", LOCAL_BASE, LANES * LANE_BYTES)
        self.l2 = Space("l2", L2_BASE, L2_BYTES)
        try:
            self.ddr = Space("ddr", DDR_BASE, ddr_bytes)
        except MemoryError:
            raise _too_much(ddr_bytes) from None
        self.accesses: list[Access] = []
        for offset, table in TABLES.items():
            self.set(L2_BASE + L2_TABLES + offset, table)

    def space(self, address: int) -> Space:
        """The memory in which an address lies.

        Raises:
            ChipFault: if it lies in none.
        """
        if LOCAL_BASE <= address < LOCAL_END:
            return self.local
        for space in (self.l2, self.ddr):
            if space.base <= address < space.base + space.size:
                return space
        raise ChipFault(
            "range",
            f"{address:#x} is in no memory",
            hint="give an address of local memory, of L2, or of DDR within its size",
        )

    def set(self, address: int, values: Any) -> None:
        """Write from outside: bytes that lie together."""
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        space, start = self._run(address, len(data))
        space.data[start : start + len(data)] = data
        space.written[start : start + len(data)] = 1

    def get(self, address: int, count: int) -> np.ndarray:
        """Read from outside: bytes that lie together."""
        space, start = self._run(address, count)
        return space.data[start : start + count].copy()

    def _run(self, address: int, count: int) -> tuple[Space, int]:
        space = self.space(address)
        start = address - space.base
        if start + count > space.size:
            raise ChipFault(
                "range",
                f"{count} bytes at {place(address)} reach beyond the end of {space.name}",
                hint="give the simulator more DDR, or move what lies there",
            )
        return space, start

    def read(self, address: int, sizes: Sequence[int], strides: Sequence[int], dtype: Any) -> np.ndarray:
        """The elements at an address, with strides in bytes; not to be changed.

        Raises:
            ChipFault: if they reach beyond the memory, or were never written.
        """
        space, access = self._noted(address, sizes, strides, np.dtype(dtype), False)
        shape, steps = access.sizes, access.strides
        mark = np.ndarray(shape, f"u{access.width}", space.written.data, access.start, steps)
        if mark.size and int(mark.min()) != int.from_bytes(b"\1" * access.width, "little"):
            where = np.argwhere(mark != int.from_bytes(b"\1" * access.width, "little"))[0]
            at = address + int(np.dot(where, steps))
            raise ChipFault(
                "unwritten",
                f"it reads {place(at)}, which nothing has written",
                hint="load it first; check the address, the strides and the start lane",
            )
        return np.ndarray(shape, dtype, space.data.data, access.start, steps)

    def write(self, address: int, strides: Sequence[int], values: np.ndarray) -> None:
        """Put elements at an address, with strides in bytes.

        Raises:
            ChipFault: if they reach beyond the memory.
        """
        space, access = self._noted(address, values.shape, strides, values.dtype, True)
        shape, steps = access.sizes, access.strides
        np.ndarray(shape, values.dtype, space.data.data, access.start, steps)[...] = values
        mark = np.ndarray(shape, f"u{access.width}", space.written.data, access.start, steps)
        mark[...] = int.from_bytes(b"\1" * access.width, "little")

    def _noted(
        self, address: int, sizes: Sequence[int], strides: Sequence[int], dtype: np.dtype, write: bool
    ) -> tuple[Space, Access]:
        space = self.space(address)
        width = dtype.itemsize
        made = Access(space.name, write, address - space.base, tuple(sizes), tuple(strides), width)
        if made.end > space.size:
            raise ChipFault(
                "range",
                f"a tensor at {place(address)} of {tuple(sizes)} reaches beyond the end of {space.name}",
                hint="make the tensor smaller, or move it",
            )
        self.accesses.append(made)
        return space, made

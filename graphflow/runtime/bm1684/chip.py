"""The chip's constants: lanes, memories, where they lie in the address space, and how to say an address."""

from __future__ import annotations

LANES = 64
"""Lanes ("NPUs"), each with its own part of local memory."""

LANE_BYTES = 512 * 1024
BANKS = 8
BANK_BYTES = LANE_BYTES // BANKS

ALIGNMENT = 128
"""An aligned tensor starts each channel at a multiple of so many bytes."""

LOCAL_BASE = 0x0800_0000
LOCAL_END = LOCAL_BASE + LANES * LANE_BYTES
L2_BASE = 0x1000_0000
L2_BYTES = 4 << 20
L2_TABLES = 0x30_0000
"""Where in L2 the constant tables begin that the chip's firmware loads."""

DDR_BASE = 0x1_0000_0000
DDR_END = 1 << 40
COEFFICIENT_BASE = 0x1_0510_0000
"""Where the coefficients of a .bmodel begin; its context follows."""

WORDS = 32
"""32-bit words of one command, on both engines."""

COMMAND_BYTES = 4 * WORDS

LAST_ID = 65_535
"""The largest command id: a group of commands ends before it."""


def place(address: int) -> str:
    """An address as people say it: lane and offset, or memory and offset.

    >>> place(0x0818_0080)
    'lane3+0x80'
    >>> place(0x1_0000_0010)
    'ddr+0x10'
    """
    if LOCAL_BASE <= address < LOCAL_END:
        lane, offset = divmod(address - LOCAL_BASE, LANE_BYTES)
        return f"lane{lane}+{offset:#x}"
    if L2_BASE <= address < L2_BASE + L2_BYTES:
        return f"l2+{address - L2_BASE:#x}"
    if DDR_BASE <= address < DDR_END:
        return f"ddr+{address - DDR_BASE:#x}"
    return f"{address:#x}"


def local(lane: int, offset: int) -> int:
    """The address of a byte of a lane's memory.

    >>> hex(local(3, 128))
    '0x8180080'
    """
    return LOCAL_BASE + lane * LANE_BYTES + offset

"""A scene: what lies in a small part of each memory, commands, and what they change there.

Scenes are played by the vendor's simulator, which writes down what changed, and by ours, which must change
the same. The layout code here is written apart from that of the package, element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphflow.runtime.bm1684 import isa

LANES, LANE_WINDOW, LANE = 64, 32 * 1024, 512 * 1024
L2_START, L2_WINDOW = 0x10_0000, 32 * 1024
DDR_WINDOW = 512 * 1024
LOCAL_ADDRESS, L2_ADDRESS, DDR_ADDRESS = 0x0800_0000, 0x1000_0000 + L2_START, 0x1_0000_0000
WINDOW = LANES * LANE_WINDOW + L2_WINDOW + DDR_WINDOW


def flat(address: int) -> int:
    """Where an address lies in the window: the parts of all memories that scenes use, one after the other."""
    if address >= DDR_ADDRESS:
        return LANES * LANE_WINDOW + L2_WINDOW + address - DDR_ADDRESS
    if address >= L2_ADDRESS:
        return LANES * LANE_WINDOW + address - L2_ADDRESS
    lane, offset = divmod(address - LOCAL_ADDRESS, LANE)
    assert offset < LANE_WINDOW, hex(address)
    return lane * LANE_WINDOW + offset


def gather(local: np.ndarray, l2: np.ndarray, ddr: np.ndarray) -> np.ndarray:
    """The window's bytes."""
    lanes = local.reshape(LANES, LANE)[:, :LANE_WINDOW].reshape(-1)
    return np.concatenate([lanes, l2[L2_START : L2_START + L2_WINDOW], ddr[:DDR_WINDOW]])


def scatter(window: np.ndarray, local: np.ndarray, l2: np.ndarray, ddr: np.ndarray) -> None:
    """Set the window's bytes."""
    lanes = LANES * LANE_WINDOW
    local.reshape(LANES, LANE)[:, :LANE_WINDOW] = window[:lanes].reshape(LANES, LANE_WINDOW)
    l2[L2_START : L2_START + L2_WINDOW] = window[lanes : lanes + L2_WINDOW]
    ddr[:DDR_WINDOW] = window[lanes + L2_WINDOW :]


@dataclass
class Scene:
    """What lies in memory, and the commands that run on it.

    Arguments:
        name: which mode of a command it shows.
        tolerance: how far fp32 results may be off, relative to the largest; 0 where every bit must agree.
    """

    name: str
    tolerance: float = 0.0
    commands: list[isa.Command] = field(default_factory=list)
    window: np.ndarray = field(default_factory=lambda: np.zeros(WINDOW, np.uint8))
    written: np.ndarray = field(default_factory=lambda: np.zeros(WINDOW, bool))

    def run(self, *commands: isa.Command) -> Scene:
        self.commands += commands
        return self

    def put(self, address: int, values: Any) -> int:
        """Bytes that lie together; the address."""
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        at = flat(address)
        self.window[at : at + len(data)] = data
        self.written[at : at + len(data)] = True
        return address

    def tensor(
        self, lane: int, offset: int, values: np.ndarray, strides: Sequence[int] | None = None, pack: int = 1
    ) -> int:
        """A tensor in local memory; strides in elements, or in words that hold `pack` items of the batch."""
        n, c, h, w = values.shape
        unit = values.itemsize * pack
        if strides is None:
            groups = -(-(lane + c) // LANES)
            channel = -(-h * w * unit // 128) * 128 // unit
            strides = (groups * channel, channel, w, 1)
        for i, j, k, m in np.ndindex(n, c, h, w):
            slot, at = divmod(lane + j, LANES)
            place = strides[1] * slot + strides[0] * (i // pack) + strides[2] * k + strides[3] * m
            address = LOCAL_ADDRESS + at * LANE + offset + place * unit + (i % pack) * values.itemsize
            self.put(address, values[i, j, k, m])
        return LOCAL_ADDRESS + lane * LANE + offset


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The starts and lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2].astype(np.int32), (edges[1::2] - edges[::2]).astype(np.int32)


def spread(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The indices of all elements of runs."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(int(lengths.sum()))


def pack(scene: Scene, after: np.ndarray) -> dict[str, np.ndarray]:
    """A scene and what it changed, as arrays for a file."""
    starts, lengths = runs(scene.written)
    changed = runs(after != scene.window)
    return {
        "engines": np.array([command.ENGINE == "gdma" for command in scene.commands], np.uint8),
        "words": np.frombuffer(isa.encode_stream(scene.commands), np.uint32),
        "tolerance": np.array(scene.tolerance),
        "starts": starts,
        "lengths": lengths,
        "data": scene.window[spread(starts, lengths)],
        "changed_starts": changed[0],
        "changed_lengths": changed[1],
        "changed": after[spread(*changed)],
    }


@dataclass
class Recorded:
    """A scene as it was recorded, with the window after it."""

    commands: list[isa.Command]
    tolerance: float
    before: np.ndarray
    written: np.ndarray
    after: np.ndarray


def unpack(arrays: dict[str, np.ndarray]) -> Recorded:
    """The scene in the arrays of a file."""
    words = arrays["words"].tobytes()
    commands = [
        isa.decode("gdma" if engine else "tiu", words[128 * index : 128 * index + 128])
        for index, engine in enumerate(arrays["engines"])
    ]
    before, written = np.zeros(WINDOW, np.uint8), np.zeros(WINDOW, bool)
    at = spread(arrays["starts"], arrays["lengths"])
    before[at], written[at] = arrays["data"], True
    after = before.copy()
    after[spread(arrays["changed_starts"], arrays["changed_lengths"])] = arrays["changed"]
    return Recorded(commands, float(arrays["tolerance"]), before, written, after)


def difference(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str:
    """What differs between two windows, or an empty text."""
    if not tolerance:
        wrong = np.flatnonzero(ours != theirs)
        first = f", first at {wrong[0]:#x}: {ours[wrong[0]]} not {theirs[wrong[0]]}" if len(wrong) else ""
        return f"{len(wrong)} bytes differ{first}" if len(wrong) else ""
    changed = np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32))
    left, right = ours.view(np.float32)[changed], theirs.view(np.float32)[changed]
    with np.errstate(all="ignore"):
        scale = np.max(np.abs(right), initial=0, where=np.isfinite(right))
        good = (np.abs(left - right) <= tolerance * scale) | (left == right)
        good |= np.isnan(left) & np.isnan(right)
    wrong = np.flatnonzero(~good)
    if not len(wrong):
        return ""
    worst = wrong[0]
    return f"{len(wrong)} words differ, first at {4 * changed[worst]:#x}: {left[worst]} not {right[worst]}"

"""Banks: what lies in one, what lies apart, and requests that contradict one another."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import Banks, Buffer, allocate, certify

KIB = 1024


def test_buffers_do_not_cross_a_border() -> None:
    buffers = [Buffer(k, 0, 2, 40 * KIB) for k in range(4)]
    banks = Banks(64 * KIB)
    allocation = allocate(buffers, capacity=512 * KIB, banks=banks)
    certify(buffers, allocation, banks=banks)
    assert sorted(allocation.offsets.values()) == [0, 64 * KIB, 128 * KIB, 192 * KIB]
    loose = allocate(buffers, banks=Banks(64 * KIB, within=False))
    assert loose.arena_bytes == 160 * KIB


def test_a_larger_buffer_begins_at_a_bank() -> None:
    buffers = [Buffer("small", 0, 2, 10), Buffer("large", 0, 2, 150)]
    allocation = allocate(buffers, banks=Banks(100))
    assert allocation.offsets["large"] % 100 == 0
    assert allocation.arena_bytes == 160  # the small one lies behind the large one, in its second bank


def test_pairs_share_no_bank_while_both_live() -> None:
    buffers = [Buffer("in", 0, 2, 30), Buffer("out", 1, 3, 30), Buffer("later", 2, 4, 30)]
    pairs = [("in", "out"), ("in", "later")]
    offsets = allocate(buffers, banks=Banks(64, apart=pairs)).offsets
    assert offsets["in"] // 64 != offsets["out"] // 64
    assert offsets["in"] == 0 and offsets["later"] < 64  # in is gone when later begins


def test_only_the_named_space_has_banks() -> None:
    buffers = [Buffer(k, 0, 2, 40, space=space) for k, space in enumerate(["local", "main"] * 2)]
    allocation = allocate(buffers, banks={"local": Banks(64)})
    assert (allocation.arenas["local"].arena_bytes, allocation.arenas["main"].arena_bytes) == (104, 80)


def test_a_double_buffered_pipeline_keeps_units_apart(rng: np.random.Generator) -> None:
    """Each tile is read by one unit while the next is written by another: neighbours lie in other banks."""
    sizes = rng.integers(1, 64, 40) * KIB
    tiles = [Buffer(k, k, k + 2, int(size), alignment=64) for k, size in enumerate(sizes)]
    banks = Banks(64 * KIB, apart=[(k, k + 1) for k in range(39)])
    allocation = allocate(tiles, capacity=512 * KIB, banks=banks)
    certify(tiles, allocation, capacity=512 * KIB, banks=banks)
    assert allocation.arena_bytes <= 128 * KIB


@pytest.mark.parametrize(
    ("buffers", "banks", "message"),
    [
        ([Buffer("a", 0, 1, 4)], Banks(0), "a bank of 0 bytes"),
        ([Buffer("a", 0, 1, 4)], Banks(2.5), "a bank of 2.5 bytes"),
        ([Buffer("a", 0, 1, 4, 3)], Banks(64), "alignment 3 .* do not divide one another"),
        ([Buffer("a", 0, 1, 4)], Banks(64, apart=[("a", "b")]), "'a' and 'b' are to lie apart"),
        ([Buffer("a", 0, 1, 4)], Banks(64, apart=[("a", "a")]), "'a' and 'a' are to lie apart"),
        ([Buffer("a", 0, 1, 10, address=60)], Banks(64), r"'a' at \[60, 70\) crosses a border"),
        (
            [Buffer("a", 0, 1, 4, address=0), Buffer("b", 0, 1, 4, address=8)],
            Banks(64, apart=[("a", "b")]),
            "are to lie apart, but have a bank in common",
        ),
    ],
)
def test_contradictions_are_refused(buffers: list[Buffer], banks: Banks, message: str) -> None:
    with pytest.raises(MemoryPlanError, match=message):
        allocate(buffers, banks=banks)

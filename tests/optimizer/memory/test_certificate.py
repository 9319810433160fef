"""`certify` accepts what `allocate` makes and refuses every way in which an allocation can be wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import Allocation, Arena, Banks, Buffer, allocate, certify

BUFFERS = [
    Buffer("a", 0, 2, 10, 2),
    Buffer("b", 1, 3, 6, 2),
    Buffer("c", 2, 4, 10, 2, address=16),
    Buffer("gone", 3, 3, 99),
    Buffer("other", 0, 9, 5, space="local"),
]
RIGHT = Allocation(
    {"a": 0, "b": 10, "c": 16, "gone": 0, "other": 0},
    31,
    31,
    {"main": Arena(26, 26, 2, 26), "local": Arena(5, 5, 0, 5)},
)


def wrong(**offsets: int) -> Allocation:
    return replace(RIGHT, offsets={**RIGHT.offsets, **offsets})


def test_a_right_one_is_accepted() -> None:
    certificate = certify(BUFFERS, RIGHT, {"main": 26, "local": 5})
    assert certificate.witnesses == {"main": ("b", "c"), "local": ("other",)}
    assert "5 buffers lie where they may" in str(certificate)
    assert certify(BUFFERS, allocate(BUFFERS)).buffers == 5
    assert certify([], allocate([])).buffers == 0


@pytest.mark.parametrize(
    ("allocation", "message"),
    [
        (wrong(b=8), r"'a' at \[0, 10\) and 'b' at \[8, 14\) overlap"),
        (wrong(b=11), "'b' at 11 is not aligned to 2"),
        (wrong(b=-2), "'b' at -2 is not aligned"),
        (wrong(c=18), "'c' at 18 was fixed at 16"),
        (wrong(more=0), "6 offsets for 5 buffers"),
        (wrong(other=1), "space 'local' ends at 6, not at 5"),
        (replace(RIGHT, arenas={**RIGHT.arenas, "local": Arena(5, 6, 0, 6)}), "only 5 bytes are needed"),
        (replace(RIGHT, arenas={**RIGHT.arenas, "main": Arena(26, 26, 0, 26)}), "only 10 bytes .* instant 0"),
    ],
)
def test_wrong_ones_are_refused(allocation: Allocation, message: str) -> None:
    with pytest.raises(MemoryPlanError, match=message):
        certify(BUFFERS, allocation)


def test_a_missing_offset_is_refused() -> None:
    offsets = {("z" if name == "b" else name): at for name, at in RIGHT.offsets.items()}
    with pytest.raises(MemoryPlanError, match="'b' has no offset"):
        certify(BUFFERS, replace(RIGHT, offsets=offsets))


def test_capacities_are_checked() -> None:
    with pytest.raises(MemoryPlanError, match="ends at 26, above its capacity 25"):
        certify(BUFFERS, RIGHT, {"main": 25})


def test_banks_are_checked() -> None:
    pair = [Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 10)]
    together = allocate(pair)
    with pytest.raises(MemoryPlanError, match="'b' at 10 crosses a border between banks of 16"):
        certify(pair, together, banks=Banks(16))
    with pytest.raises(MemoryPlanError, match="'a' and 'b' share bank 0"):
        certify(pair, together, banks={"main": Banks(16, within=False, apart=[("a", "b")])})
    certify(pair, together, banks=Banks(10, apart=[("a", "b")]))


def test_tall_buffers_over_small_banks_take_no_time() -> None:
    pair = [Buffer("a", 0, 2, 2**50), Buffer("b", 1, 3, 2**50)]
    banks = Banks(2, apart=[("a", "b")])
    certify(pair, allocate(pair, banks=banks), banks=banks)

"""Windows along one axis: how many there are, with the floor and the ceiling, and what they reach."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from graphflow.ops.axis_windows import Pass, parts, passes, spread


@st.composite
def _passes(draw: Any) -> tuple[Pass, int]:
    places, gap, stride = (draw(st.integers(1, 4)) for _ in range(3))
    extent = (places - 1) * gap + 1
    pair = tuple(draw(st.integers(0, min(extent - 1, 3))) for _ in range(2))
    one = Pass(2, places, stride, pair, gap, draw(st.booleans()))
    size = draw(st.integers(1, 12))
    assume(size + sum(pair) >= extent)
    return one, size


def _starts(one: Pass, size: int) -> list[int]:
    """Where windows start: as long as they fit, and with the ceiling once more if not in the padding."""
    before, after = one.pair
    starts = [start for start in range(-before, size + after, one.stride) if start + one.reach < size + after]
    following = starts[-1] + one.stride
    missing = following + one.reach - (size + after - 1)
    if one.ceil and 0 < missing < one.stride and following < size:
        starts.append(following)
    return starts


@given(_passes())
def test_positions_and_padding(case: Any) -> None:
    one, size = case
    starts = _starts(one, size)
    assert one.positions(size) == len(starts)
    before, after = one.pads(size)
    assert before == one.pair[0] and after == max(one.pair[1], starts[-1] + one.reach + 1 - size)
    for padded in (False, True):
        low, high = (-one.pair[0], size + one.pair[1]) if padded else (0, size)
        expected = [[low <= start + k * one.gap < high for start in starts] for k in range(one.places)]
        np.testing.assert_array_equal(one.inside(size, padded), expected)


@given(_passes())
def test_parts_are_what_windows_hold_and_spread_is_the_transpose(case: Any) -> None:
    one, size = case
    x = np.arange(1.0, size + 1).reshape(1, 1, size)
    held = np.stack(list(parts(x, one, -1.0)))
    for k in range(one.places):
        at = [start + k * one.gap for start in _starts(one, size)]
        assert held[k, 0, 0].tolist() == [i + 1 if 0 <= i < size else -1 for i in at]
    shares = np.random.default_rng(size).standard_normal(held.shape)
    back = spread(shares, one, x.shape, np.float64)
    inside = np.stack(list(parts(x, one, 0.0)))
    np.testing.assert_allclose(np.vdot(back, x), np.vdot(shares, inside), rtol=1e-9, atol=1e-9)


def test_the_last_axis_comes_first() -> None:
    made = passes((2, 3), (1, 2), ((0, 0), (1, 1)), (1, 1), True)
    assert [one.axis for one in made] == [3, 2] and made[0] == Pass(3, 3, 2, (1, 1), 1, True)


def test_windows_without_a_position_hold_nothing() -> None:
    x = np.arange(3.0).reshape(1, 1, 3)
    one = Pass(2, 4, 2, (0, 0), 1, False)
    assert one.positions(3) == 0
    assert [part.shape for part in parts(x, one, 0)] == [(1, 1, 0)]
    assert spread(parts(x, one, 0), one, x.shape, x.dtype).tolist() == [[[0, 0, 0]]]

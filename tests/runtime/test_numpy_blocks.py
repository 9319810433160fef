"""The geometry of blocks: they cover a loop once, in order, and no operand is read elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.numpy.blocks import cut


@settings(max_examples=80)
@given(st.data())
def test_blocks_read_what_broadcasting_would(data: st.DataObject) -> None:
    domain = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    arrays = []
    for number in range(data.draw(st.integers(1, 3))):
        shape = tuple(size if data.draw(st.booleans()) else 1 for size in domain)
        shape = shape[data.draw(st.integers(0, len(shape))) :]
        arrays.append(np.arange(np.prod(shape), dtype=np.int64).reshape(shape) + 1000 * number)
    whole = data.draw(st.integers(0, len(domain) - 1))
    blocks = cut(
        domain, [(array.shape, array.strides) for array in arrays], data.draw(st.integers(1, 40)), whole
    )
    if blocks is None:
        return
    views, result = blocks.views(arrays), np.empty((len(arrays), *blocks.sizes), np.int64)
    written, places = np.zeros(blocks.sizes, np.int64), []
    for outer, start, stop in blocks:
        chosen = blocks.selectors(arrays, outer, slice(start, stop))
        for number, (view, index) in enumerate(zip(views, chosen)):
            result[(number, *outer, slice(start, stop))] = view[index]
        written[(*outer, slice(start, stop))] += 1
        places.append((*outer, start))
    assert (written == 1).all() and places == sorted(places)
    rows = int(np.prod(domain[len(domain) - whole :]))
    assert int(np.prod(blocks.inner)) % rows == 0
    for own, array in zip(result, arrays):
        np.testing.assert_array_equal(own.reshape(domain), np.broadcast_to(array, domain))


def test_a_small_loop_is_not_cut() -> None:
    assert cut((4, 4), [((4, 4), (32, 8))], 16) is None
    assert cut((), [((), ())], 16) is None
    assert cut((0, 9), [((0, 9), (72, 8))], 0) is None


def test_a_loop_whose_rows_are_everything_is_not_cut() -> None:
    assert cut((4, 40), [((4, 40), (320, 8))], 16, whole=2) is None


@pytest.mark.parametrize("strides", [(8, 32), (-320, 8), (320, -8)])
def test_operands_in_another_order_are_refused(strides: tuple[int, int]) -> None:
    assert cut((4, 40), [((4, 40), strides)], 16) is None


def test_blocks_are_whole_registers_where_they_can_be() -> None:
    blocks = cut((1000,), [((1000,), (4,))], 200)
    assert blocks is not None and blocks.step == 192
    blocks = cut((100, 3), [((100, 3), (12, 4)), ((3,), (4,))], 200)
    assert blocks is not None and blocks.step == 64 and blocks.inner == (3,)

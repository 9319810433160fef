"""Products of two activations, head by head, against products in doubles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphflow.runtime.bm1684.compiler.layers.attention import BatchedProduct
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Shape
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.test_convolution import floats

Made = tuple[BatchedProduct, tuple[np.ndarray, np.ndarray], np.ndarray]


def scores(batch: int, heads: int, queries: int, keys: int, size: int, repeat: int = 1) -> Made:
    q, k = floats(1, batch, queries, 1, heads * size), floats(2, batch, heads // repeat * size, 1, keys)
    layer = BatchedProduct(
        output=value("s", batch * heads, queries, 1, keys),
        inputs=(value("q", *q.shape), value("k", *k.shape)),
        left_parts=heads,
        right_parts=heads // repeat,
        right_axis="c",
        repeat=repeat,
    )
    left = q.reshape(batch, queries, heads, size).transpose(0, 2, 1, 3).astype(np.float64)
    right = np.repeat(k.reshape(batch, heads // repeat, size, keys), repeat, axis=1)
    return layer, (q, k), (left @ right).reshape(layer.output.shape)


def sums(batch: int, heads: int, queries: int, keys: int, size: int, repeat: int = 1) -> Made:
    s, v = floats(1, batch * heads, queries, 1, keys), floats(2, batch, keys, 1, heads // repeat * size)
    layer = BatchedProduct(
        output=value("o", batch * heads, queries, 1, size),
        inputs=(value("s", *s.shape), value("v", *v.shape)),
        right_parts=heads // repeat,
        repeat=repeat,
    )
    values = v.reshape(batch, keys, heads // repeat, size).transpose(0, 2, 1, 3).astype(np.float64)
    right = np.repeat(values, repeat, axis=1).reshape(batch * heads, keys, size)
    return layer, (s, v), (s[:, :, 0] @ right)[:, :, None]


@pytest.mark.parametrize("make", [scores, sums])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1, 2), (1, 4, 65, 197, 64), (2, 3, 63, 33, 10), (1, 4, 5, 130, 6, 2), (2, 1, 5, 7, 3)]
)
def test_heads(make: type[BatchedProduct], sizes: tuple[int, ...]) -> None:
    layer, inputs, wanted = make(*sizes)
    assert layer.refusal() is None
    bench = Bench(layer)
    assert_close(bench.run(*inputs), wanted)
    assert len(bench.commands) == layer.output.shape.n


@pytest.mark.parametrize("make", [scores, sums])
def test_some_items(make: type[BatchedProduct]) -> None:
    layer, inputs, wanted = make(2, 3, 5, 7, 4)
    for first, last in ((0, 1), (1, 3), (2, 4), (5, 6)):
        box = Box.whole(layer.output.shape).over("n", first, last)
        assert_close(Bench(layer, box).run(*inputs), part(wanted, box))
        assert_close(Bench(layer, box, margin=Shape(1, 0, 0, 4)).run(*inputs), part(wanted, box))


def test_a_vit_block_s_scores_and_sums_take_what_was_promised() -> None:
    took = Bench(scores(1, 1, 197, 197, 64)[0]).cycles + Bench(sums(1, 1, 197, 197, 64)[0]).cycles
    assert took == 3452


def test_many_columns_and_long_sums() -> None:
    layer, inputs, wanted = scores(1, 2, 3, 2050, 4)
    assert_close(Bench(layer).run(*inputs), wanted)
    layer, inputs, wanted = sums(1, 1, 3, 4030, 5)
    assert_close(Bench(layer).run(*inputs), wanted, 1e-5)


def test_what_the_chip_cannot_do_is_said() -> None:
    layer = scores(1, 2, 3, 4, 2)[0]
    assert "number of items" in str(replace(layer, left_parts=1).refusal())
    assert "odd size" in str(scores(1, 2, 3, 4, 3)[0].refusal())
    assert "2053 columns" in str(scores(1, 1, 3, 2053, 2)[0].refusal())
    assert "rows" in str(scores(1, 1, 4033, 2, 2)[0].refusal())

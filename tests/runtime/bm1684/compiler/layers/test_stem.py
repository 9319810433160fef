"""Convolutions of images whose rows become channels while they are loaded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.stem import StemConvolution, suits_stem
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Pads, Shape, Window
from tests.runtime.bm1684.compiler.harness import Bench
from tests.runtime.bm1684.compiler.layers.test_convolution import check, made


@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pads"),
    [
        ((20, 22), (7, 7), (2, 2), (3, 3, 3, 3)),
        ((9, 8), (3, 3), (1, 1), (1, 1, 0, 2)),
        ((3, 4), (7, 7), (2, 2), (3, 3, 3, 3)),
        ((1, 1), (3, 3), (1, 1), (1, 1, 1, 1)),
        ((32, 48), (16, 16), (16, 16), (0, 0, 0, 0)),
        ((12, 12), (6, 6), (2, 2), (2, 2, 2, 2)),
    ],
)
def test_stems(
    size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int, int, int]
) -> None:
    plain, x, wanted = made(Shape(2, 3, *size), 70, kernel, strides=Window(*strides), pads=Pads(*pads))
    assert suits_stem(plain)
    layer = StemConvolution.of(plain)
    check(Bench(layer), x, wanted)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_any_rows_of_a_stem(data: st.DataObject) -> None:
    draw = data.draw
    kernel = draw(st.integers(2, 7))
    pads = [draw(st.integers(0, kernel - 1)) for _ in range(2)]
    height = max(1, kernel - sum(pads)) + draw(st.integers(0, 8))
    step, spread = draw(st.integers(1, 4)), 1
    plain, x, wanted = made(
        Shape(draw(st.integers(1, 2)), draw(st.integers(1, 4)), height, 9),
        5,
        (kernel, 3),
        strides=Window(step, 2),
        pads=Pads(*pads, 1, 1),
        dilation=Window(spread, 1),
    )
    layer = StemConvolution.of(plain)
    first = draw(st.integers(0, layer.output.shape.h - 1))
    rows = first, draw(st.integers(first + 1, layer.output.shape.h))
    check(Bench(layer, Box.whole(layer.output.shape).rows(*rows)), x, wanted)


def test_a_dilated_stem() -> None:
    plain, x, wanted = made(Shape(1, 3, 12, 9), 5, (3, 3), dilation=Window(2, 2), pads=Pads(2, 2, 2, 2))
    check(Bench(StemConvolution.of(plain)), x, wanted)


def test_a_stem_is_three_times_as_fast_and_loads_few_times() -> None:
    plain, x, wanted = made(
        Shape(1, 3, 64, 64), 64, (7, 7), strides=Window(2, 2), pads=Pads(3, 3, 3, 3), relu=True
    )
    layer = StemConvolution.of(plain)
    bench = check(Bench(layer), x, np.maximum(wanted, 0))
    assert 3 * bench.cycles <= Bench(plain).cycles
    inner = Box.whole(layer.output.shape).rows(8, 16)
    own = layer.own_tile(0, layer.needed(0, inner)).load(1 << 32, 0)
    assert [type(command) for command in own] == [isa.TensorTransfer]
    assert layer.inputs[0].root is plain.inputs[0]


def test_what_is_no_stem() -> None:
    wide, _, _ = made(Shape(1, 32, 8, 8), 4, (3, 3))
    grouped, _, _ = made(Shape(1, 4, 8, 8), 4, (3, 3), groups=2)
    row, _, _ = made(Shape(1, 3, 8, 8), 4, (1, 3))
    assert not any(suits_stem(layer) for layer in (wide, grouped, row))

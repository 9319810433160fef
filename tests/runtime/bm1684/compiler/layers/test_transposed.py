"""Transposed convolutions against every input element's kernel, added up."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.runtime.bm1684.compiler.layers.transposed import TransposedConvolution
from graphflow.runtime.bm1684.compiler.layers.window import NO_ZEROS, ONE
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Pads, Window
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.reference import transposed
from tests.runtime.bm1684.compiler.layers.test_convolution import floats

NONE, TWO, AROUND = Pads(), Window(2, 2), Pads(1, 1, 1, 1)


def made(
    size: tuple[int, ...], outputs: int, kernel: tuple[int, int], strides: Window, pads: Pads = NONE,
    dilation: Window = ONE, groups: int = 1, more: Window = NO_ZEROS,
) -> tuple[TransposedConvolution, np.ndarray, np.ndarray]:  # fmt: skip
    x, weights = floats(1, *size), floats(2, size[1], outputs // groups, *kernel)
    bias = floats(3, outputs)
    wanted = transposed(x, weights, bias, strides, pads, dilation, groups, more)
    layer = TransposedConvolution.of(
        value("y", *wanted.shape), value("x", *size), weights, bias,
        strides=strides, pads=pads, dilation=dilation, groups=groups, more=more,
    )  # fmt: skip
    return layer, x, wanted


@pytest.mark.parametrize(
    "case",
    [
        ((1, 70, 5, 6), 66, (2, 2), TWO),
        ((3, 5, 1, 1), 4, (4, 4), TWO, AROUND),
        ((1, 8, 5, 6), 6, (4, 3), Window(2, 3), Pads(1, 1, 0, 1), Window(), 2),
        ((1, 8, 5, 6), 6, (3, 3), TWO, NONE, Window(2, 1), 1, Window(1, 1)),
        ((1, 8, 5, 6), 6, (1, 1), TWO, NONE, Window(), 1, Window(1, 1)),
        ((1, 4, 3, 3), 4, (17, 16), Window(16, 16), Pads(1, 1, 0, 0)),
    ],
)
def test_transposed_convolutions(case: tuple) -> None:
    layer, x, wanted = made(*case)
    assert layer.refusal() is None
    assert_close(Bench(layer).run(x), wanted)


@pytest.mark.parametrize("rows", [1, 3])
def test_every_slice(rows: int) -> None:
    layer, x, wanted = made((2, 6, 4, 5), 5, (3, 3), TWO, AROUND, more=Window(1, 1))
    assert "h" in layer.cuts() and "w" in layer.cuts()
    for first in range(layer.output.shape.h - rows + 1):
        box = Box.whole(layer.output.shape).rows(first, first + rows)
        assert_close(Bench(layer, box).run(x), part(wanted, box))


def test_slices_that_see_nothing_are_not_cut() -> None:
    assert made((1, 2, 3, 3), 2, (1, 3), TWO)[0].cuts() == "ncw"
    assert made((1, 2, 3, 3), 2, (3, 3), TWO, more=Window(0, 1))[0].cuts() == "nch"


def test_what_the_chip_cannot_do_is_said() -> None:
    assert "steps up to 16" in str(made((1, 1, 2, 2), 1, (17, 1), Window(17, 1))[0].refusal())
    assert "crop" in str(made((1, 1, 5, 5), 1, (2, 2), Window(), Pads(2, 2, 2, 2))[0].refusal())

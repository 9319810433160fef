"""Which convolutions are computed by Winograd's way: those where the tensor unit is the slower engine."""

from __future__ import annotations

import dataclasses

import numpy as np

from graphflow.runtime.bm1684.compiler.algorithms import chosen, seconds
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.tensors import Box, Value
from graphflow.runtime.bm1684.cycles import GDMA_HERTZ, TIU_HERTZ
from graphflow.runtime.bm1684.cycles.transfers import DDR_BYTES_PER_CYCLE
from graphflow.runtime.bm1684.isa import Pads, Shape


def convolutions(*sizes: tuple[int, int, int]) -> tuple[Value, list[Convolution]]:
    """A chain of layers of (channels, side of the image, kernel)."""
    given = first = Value("x", Shape(1, sizes[0][0], sizes[0][1], sizes[0][1]))
    made = []
    for index, (channels, side, kernel) in enumerate(sizes):
        weights = np.broadcast_to(np.float32(1), (channels, given.shape.c, kernel, kernel))
        output = Value(f"y{index}", Shape(1, channels, side, side))
        pads = Pads(*[kernel // 2] * 4)
        made.append(Convolution(output=output, inputs=(given,), weights=weights, pads=pads))
        given = output
    return first, made


def algorithms(*sizes: tuple[int, int, int]) -> list[str]:
    first, layers = convolutions(*sizes)
    return [layer.algorithm for layer in chosen(layers, [first]) if isinstance(layer, Convolution)]


def test_large_images_gain_and_large_weights_do_not() -> None:
    assert algorithms(*[(64, 112, 3)] * 4) == ["winograd"] * 4
    assert algorithms(*[(1024, 4, 3)] * 4) == ["direct"] * 4


def test_weights_that_are_loaded_much_later_change_nothing() -> None:
    images, dense = [(64, 160, 3)] * 6, [(4096, 1, 1)] * 4
    _, layers = convolutions(*images, *dense)
    computing = sum([seconds(layer) for layer in layers])
    moving = sum([layer.weights.nbytes for layer in layers]) / (DDR_BYTES_PER_CYCLE * GDMA_HERTZ)
    assert computing < moving  # taken together, weights alone would decide
    assert algorithms(*images, *dense).count("winograd") >= 5


def test_the_time_of_a_convolution_is_that_of_its_commands() -> None:
    for relu in (False, True):
        _, (layer,) = convolutions((96, 20, 3))
        layer = dataclasses.replace(layer, relu=relu, bias=np.zeros(96, np.float32))
        for algorithm in ("direct", "winograd"):
            one = dataclasses.replace(layer, algorithm=algorithm)
            works = one.works(Box.whole(one.output.shape), 1 << 17)
            assert seconds(one) == sum([work.cycles for work in works]) / TIU_HERTZ


def test_what_cannot_be_computed_so_is_not() -> None:
    assert algorithms((64, 56, 1), (64, 56, 5)) == ["direct", "direct"]

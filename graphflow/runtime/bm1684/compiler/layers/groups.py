"""How many groups of a convolution one command takes: several at a time as one of zeros between them.

A command for each group leaves lanes idle where a group has few channels. Groups taken together multiply by
zeros, which cost nothing while lanes are idle, but must be loaded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.packing import UNIT
from graphflow.runtime.bm1684.compiler.layers.window import MOST_CHANNELS
from graphflow.runtime.bm1684.compiler.tensors import WORD, round_up
from graphflow.runtime.bm1684.cycles import GDMA_HERTZ, TIU_HERTZ, conv_cycles
from graphflow.runtime.bm1684.cycles.transfers import DDR_BYTES_PER_CYCLE


def merged(layer: Convolution) -> Convolution:
    """The same convolution with as many groups in each command as takes least time.

    Where the input is infinite, a zero weight makes NaN of it: only groups apart keep that to themselves.
    """
    if layer.groups == 1:
        return layer
    made, taken = len(layer.weights) // layer.groups, layer.weights.shape[1]
    counts = [
        count
        for count in range(1, layer.groups + 1)
        if layer.groups % count == 0 and (count == 1 or count * max(made, taken) <= MOST_CHANNELS)
    ]
    count = min(counts, key=lambda count: _seconds(layer, count))
    if count == 1:
        return layer
    outputs, inputs, height, width = layer.weights.shape
    blocks = np.zeros((outputs, count, inputs, height, width), np.float32)
    channels = np.arange(outputs)
    blocks[channels, channels // made % count] = layer.weights
    weights = blocks.reshape(outputs, count * inputs, height, width)
    return replace(layer, weights=weights, groups=layer.groups // count)


def _seconds(layer: Convolution, count: int) -> tuple[float, float]:
    """What the busier engine takes with so many groups at a time, and both together."""
    outputs, taken, height, width = layer.weights.shape
    size, shape = outputs // layer.groups * count, layer.output.shape
    cycles = sum(
        [
            conv_cycles(
                shape.n, size, shape.h, shape.w, taken * count, height, width,
                layer.bias is not None, step=layer.strides, lane=first % LANES,
            )
            for first in range(0, outputs, size)
        ]
    )  # fmt: skip
    data = outputs * height * width * round_up(taken * count, UNIT) * WORD
    computing, moving = cycles / TIU_HERTZ, data / DDR_BYTES_PER_CYCLE / GDMA_HERTZ
    return max(computing, moving), computing + moving

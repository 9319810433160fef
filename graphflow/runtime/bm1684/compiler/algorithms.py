"""Which way each convolution is computed: the rows of an image as channels, Winograd's way, or directly.

Winograd's weights take 16/9 of the memory, so that what the tensor unit gains the data mover may lose. The
convolutions that gain most for each byte are changed, until the whole network would wait for its weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.groups import merged
from graphflow.runtime.bm1684.compiler.layers.layer import Layer, LocalLayer, TransferLayer
from graphflow.runtime.bm1684.compiler.layers.stem import StemConvolution, suits_stem
from graphflow.runtime.bm1684.compiler.layers.window import LONGEST
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Value, elements
from graphflow.runtime.bm1684.cycles import GDMA_HERTZ, TIU_HERTZ
from graphflow.runtime.bm1684.cycles.transfers import DDR_BYTES_PER_CYCLE
from graphflow.runtime.bm1684.isa import Window

_BANDWIDTH = DDR_BYTES_PER_CYCLE * GDMA_HERTZ
_ROOM = 64 << 10


def chosen(layers: Sequence[Layer], inputs: Iterable[Value]) -> list[Layer]:
    """The layers with the algorithms that let the whole take least time.

    Arguments:
        inputs: the values that lie in DDR from the start.
    """
    images = set(inputs)
    made = [_direct(layer, images) for layer in layers]
    computing = [seconds(layer) for layer in made]
    moving = sum([_coefficient_bytes(layer) for layer in made]) / _BANDWIDTH
    moving += sum([value.bytes for value in images]) / _BANDWIDTH
    total = sum(computing)
    offers = []
    for index, layer in enumerate(made):
        if type(layer) is Convolution and suits_winograd(layer):
            other = dataclasses.replace(layer, algorithm="winograd")
            gain = computing[index] - seconds(other)
            more = (_coefficient_bytes(other) - _coefficient_bytes(layer)) / _BANDWIDTH
            if gain > 0:
                offers.append((gain / max(more, 1e-12), index, other, gain, more))
    for _, index, other, gain, more in sorted(offers, key=lambda offer: -offer[0]):
        if max(total - gain, moving + more) < max(total, moving):
            made[index], total, moving = other, total - gain, moving + more
    return made


def _direct(layer: Layer, images: set[Value]) -> Layer:
    """The layer, or the same with rows as channels, or with groups taken together, where that is faster."""
    if isinstance(layer, Convolution) and layer.groups > 1:
        return merged(layer)
    if type(layer) is not Convolution or layer.inputs[0].root not in images or not suits_stem(layer):
        return layer
    other = StemConvolution.of(layer)
    return other if seconds(other) < seconds(layer) else layer


def suits_winograd(layer: Convolution) -> bool:
    """Whether Winograd's way computes the same: 3 x 3 by steps of 1, no groups, no gaps."""
    shape, pads = layer.inputs[0].shape, layer.pads
    plain = layer.strides == layer.dilation == Window() and layer.insert == Window(0, 0)
    small = max(shape.h + pads.top + pads.bottom, shape.w + pads.left + pads.right) <= LONGEST
    return layer.weights.shape[2:] == (3, 3) and layer.groups == 1 and plain and small and max(pads) <= 2


def seconds(layer: Layer) -> float:
    """What the tensor unit takes for a layer."""
    if not isinstance(layer, LocalLayer):
        assert isinstance(layer, TransferLayer)
        return 0.0
    works = layer.works(Box.whole(layer.output.shape), _ROOM)
    return sum([work.cycles for work in works]) / TIU_HERTZ


def _coefficient_bytes(layer: Layer) -> int:
    if isinstance(layer, Convolution):
        size = layer.weights.size * WORD
        return size * 16 // 9 if layer.algorithm == "winograd" else size
    return sum([elements(value.shape) * WORD for value in layer.inputs if value.data is not None])

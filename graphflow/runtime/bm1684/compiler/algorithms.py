"""Which way each convolution is computed: the rows of an image as channels, Winograd's way, or directly.

Winograd's weights take 16/9 of the memory, so that what the tensor unit gains the data mover may lose. The
convolutions that gain most for each byte are tried first, and changed where that makes a simple run of both
engines shorter: weights are loaded in the order of the layers, as far ahead as local memory has room.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Sequence

from graphflow.runtime.bm1684.chip import LANE_BYTES, LANES
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.groups import merged
from graphflow.runtime.bm1684.compiler.layers.layer import Layer, LocalLayer, TransferLayer
from graphflow.runtime.bm1684.compiler.layers.stem import StemConvolution, suits_stem
from graphflow.runtime.bm1684.compiler.layers.window import LONGEST
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Value, elements
from graphflow.runtime.bm1684.cycles import (
    GDMA_HERTZ,
    TIU_HERTZ,
    arithmetic_cycles,
    conv_cycles,
    winograd_cycles,
)
from graphflow.runtime.bm1684.cycles.transfers import DDR_BYTES_PER_CYCLE
from graphflow.runtime.bm1684.isa import Operation, Window

_BANDWIDTH = DDR_BYTES_PER_CYCLE * GDMA_HERTZ
_ROOM = 64 << 10
_CHUNK = 1 << 20
"""Bytes of weights that are loaded, computed with and given up at a time."""

_LEAST = 4 << 20
"""Bytes that are loaded ahead even where activations fill local memory, as they can be cut in slices."""

_TOGETHER = 256
"""Layers for which algorithms are chosen together."""


@dataclasses.dataclass(slots=True)
class _Load:
    """A layer as the simple run sees it.

    Attributes:
        computing: seconds of the tensor unit.
        bytes: of what is loaded for it.
        room: bytes that may be loaded ahead while it is computed.
    """

    computing: float
    bytes: int
    room: int


def chosen(layers: Sequence[Layer], inputs: Iterable[Value]) -> list[Layer]:
    """The layers with the algorithms that let the whole take least time.

    Arguments:
        inputs: the values that lie in DDR from the start.
    """
    images = set(inputs)
    made = [_direct(layer, images) for layer in layers]
    for first in range(0, len(made), _TOGETHER):
        made[first : first + _TOGETHER] = _with_winograd(made[first : first + _TOGETHER], images)
    return made


def _with_winograd(layers: Sequence[Layer], images: set[Value]) -> list[Layer]:
    """The layers, some convolutions by Winograd's way."""
    made, loads = list(layers), [_load(layer, images) for layer in layers]
    offers = []
    for index, layer in enumerate(made):
        if type(layer) is Convolution and suits_winograd(layer):
            other = dataclasses.replace(layer, algorithm="winograd")
            changed = _load(other, images)
            gain, more = loads[index].computing - changed.computing, changed.bytes - loads[index].bytes
            if gain > 0:
                offers.append((gain / max(more, 1), index, other, changed))
    total = _run(loads)
    for _, index, other, changed in sorted(offers, key=lambda offer: -offer[0]):
        before, loads[index] = loads[index], changed
        took = _run(loads)
        if took < total:
            made[index], total = other, took
        else:
            loads[index] = before
    return made


def _load(layer: Layer, images: set[Value]) -> _Load:
    values = dict.fromkeys([*layer.inputs, layer.output])
    held = sum([value.bytes for value in values if value.data is None])
    moved = _coefficient_bytes(layer) + sum([value.bytes for value in layer.inputs if value.root in images])
    return _Load(seconds(layer), moved, max(_LEAST, LANES * LANE_BYTES * 15 // 16 - held))


def _run(loads: Sequence[_Load]) -> float:
    """How long layers take, whose loads run ahead of what computes with them as far as there is room."""
    loaded = computed = 0.0
    ahead: deque[tuple[float, int]] = deque()
    taken = 0
    for load in loads:
        parts = -(-load.bytes // _CHUNK) or 1
        size = load.bytes // parts
        for _ in range(parts):
            while ahead and taken + size > load.room:
                free, given = ahead.popleft()
                loaded, taken = max(loaded, free), taken - given
            loaded += size / _BANDWIDTH
            computed = max(computed, loaded) + load.computing / parts
            ahead.append((computed, size))
            taken += size
    return max(loaded, computed)


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
    if type(layer) is Convolution and layer.groups == 1 and not layer.tapped:
        return _formula(layer) / TIU_HERTZ
    works = layer.works(Box.whole(layer.output.shape), _ROOM)
    return sum([work.cycles for work in works]) / TIU_HERTZ


def _formula(layer: Convolution) -> int:
    """The cycles of a convolution, for which its weights need not be brought into their order."""
    n, c, h, w = layer.output.shape
    inputs, kernel, biased = layer.weights.shape[1], layer.extent(), layer.bias is not None
    bounds = layer.relu + (layer.ceiling is not None)
    bounding = bounds * arithmetic_cycles(Operation.MAXIMUM, n, c, h, w)
    if layer.algorithm == "winograd":
        return bounding + winograd_cycles(n, c, h, w, inputs, biased)
    return bounding + conv_cycles(n, c, h, w, inputs, *kernel, biased)


def _coefficient_bytes(layer: Layer) -> int:
    if isinstance(layer, Convolution):
        size = layer.weights.size * WORD
        return size * 16 // 9 if layer.algorithm == "winograd" else size
    return sum([elements(value.shape) * WORD for value in layer.inputs if value.data is not None])

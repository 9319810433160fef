"""Coefficients as they lie in DDR, and the commands that bring each into the lanes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import ALIGNMENT, LANES, local
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient
from graphflow.runtime.bm1684.compiler.tensors import WORD, round_up, tile_bytes
from graphflow.runtime.bm1684.isa import Direction, Shape

UNIT = 2
"""Input channels that lie side by side in the weights of a convolution."""

_TRANSFORM = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G of F(2, 3): the weights are transformed as G w transpose(G)."""

MOST_RUN = 65_535
"""The largest size in a command of the data mover."""


def pack_direct(weights: np.ndarray) -> np.ndarray:
    """Weights (o, i, h, w) as (o, h, w, i), the input channels innermost and filled up to pairs."""
    pairs = np.pad(weights, ((0, 0), (0, -weights.shape[1] % UNIT), (0, 0), (0, 0)))
    return np.ascontiguousarray(pairs.transpose(0, 2, 3, 1), np.float32)


def pack_winograd(weights: np.ndarray) -> np.ndarray:
    """Weights (o, i, 3, 3) as (o, i, 16): G w transpose(G), computed in doubles.

    >>> pack_winograd(np.ones((1, 1, 3, 3)))[0, 0].reshape(4, 4)[1].tolist()
    [1.5, 2.25, 0.75, 1.5]
    """
    made = _TRANSFORM @ weights.astype(np.float64) @ _TRANSFORM.T
    return made.reshape(*weights.shape[:2], 16).astype(np.float32)


def lane_major(rows: np.ndarray) -> np.ndarray:
    """Rows by channel as rows by lane, each with what its channels 64 apart have, one after the other.

    Longer runs move faster, and a vector by channel has runs of one element.
    """
    channels, count = rows.shape
    if channels <= LANES:
        return rows
    slots = -(-channels // LANES)
    full = np.zeros((slots * LANES, count), np.float32)
    full[:channels] = rows
    return full.reshape(slots, LANES, count).transpose(1, 0, 2).reshape(LANES, -1)


def channel_rows(name: str, data: np.ndarray) -> Coefficient:
    """Data (channels, ...): each channel's elements together in its lane, without gaps between the slots."""
    rows = data.reshape(len(data), -1)
    channels, count = rows.shape
    height = len(data[0]) if count > MOST_RUN else 1
    width = count // height
    return _coefficient(
        name,
        data,
        -(-channels // LANES) * count * WORD,
        Shape(1, channels, height, width),
        (Shape(channels * count, count, width, 1), Shape(0, count, width, 1)),
    )


def channel_vector(name: str, values: np.ndarray) -> Coefficient:
    """One element a channel, as biases and scales are read."""
    return channel_rows(name, lane_major(values.reshape(-1, 1)))


def winograd_rows(name: str, data: np.ndarray) -> Coefficient:
    """Data (channels, inputs, 16): for each input, the 16 of each of the channels in a lane."""
    channels, inputs, size = data.shape
    slots = -(-channels // LANES)
    return _coefficient(
        name,
        data,
        slots * inputs * size * WORD,
        Shape(1, channels, inputs, size),
        (Shape(data.size, inputs * size, size, 1), Shape(0, size, slots * size, 1)),
    )


def tile(name: str, data: np.ndarray) -> Coefficient:
    """Data (n, c, h, w) as an aligned tile."""
    shape = Shape(*data.shape)
    return _coefficient(name, data, tile_bytes(shape), shape, None)


def all_lanes(name: str, data: np.ndarray) -> Coefficient:
    """Data (h, w) in every lane."""
    height, width = data.shape
    shape = Shape(1, LANES, height, width)
    strides = Shape(0, 0, width, 1), Shape(0, 0, width, 1)
    return _coefficient(name, data, height * width * WORD, shape, strides)


def _coefficient(
    name: str, data: np.ndarray, count: int, shape: Shape, strides: tuple[Shape, Shape] | None
) -> Coefficient:
    """A coefficient that one transfer loads, with the strides of both sides or into an aligned tile."""

    def load(source: int, offset: int) -> Sequence[isa.GdmaCommand]:
        none = Shape(0, 0, 0, 0)
        sides = (none, none) if strides is None else strides
        return [
            isa.TensorTransfer(
                direction=Direction.LOAD,
                source=source,
                destination=local(0, offset),
                source_shape=shape,
                destination_shape=shape,
                explicit_strides=strides is not None,
                source_strides=sides[0],
                destination_strides=sides[1],
            )
        ]

    return Coefficient(name=name, data=data, bytes=round_up(count, ALIGNMENT), load=load)

"""Places exchanged for channels: blocks of an image become channels, and channels become blocks."""

from __future__ import annotations

from math import prod
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.attrs import freeze
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import require
from graphflow.ops.windows import per_axis, spatial_rank

MODES = ("DCR", "CRD")


@composite
def depth_to_space(x: Any, block: Any, mode: str = "DCR") -> Tensor:
    """Channels as blocks of places: [n, c, h, w] becomes [n, c / block^2, h * block, w * block].

    In mode "DCR" the channel of the place (i, j) of a block is (i * block + j) * (c / block^2) + d,
    in mode "CRD" d * block^2 + i * block + j, where d is the channel of the result. With one or
    three spatial axes, blocks have as many.

    Arguments:
        x: a tensor of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        block: the size of the blocks; an int, or one per spatial axis.
        mode: "DCR" or "CRD".

    Returns:
        [batch, channels / size of a block, *larger].

    Raises:
        ShapeError: if the channels do not divide into blocks.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network" (2016), which is mode "CRD"; ONNX DepthToSpace-28.

    >>> import graphflow as gf
    >>> gf.nn.depth_to_space(gf.placeholder("x", ("batch", 16, 8, 8)), 2).type
    float32[batch, 4, 16, 16]
    """
    b, x = with_tensor(x)
    block = _checked(x, block, mode, "depth_to_space")
    count, places = len(block), prod(block)
    batch, channels, *sizes = x.shape
    kept = _divided(channels, places, f"depth_to_space: {channels} channels", f"blocks of {places} places")
    split = (*block, kept) if mode == "DCR" else (kept, *block)
    blocks, depth = (1, 1 + count) if mode == "DCR" else (2, 1)
    order = [0, depth]
    for axis in range(count):
        order += [2 + count + axis, blocks + axis]
    apart = b.permute_dims(b.reshape(x, shape=(batch, *split, *sizes)), axes=tuple(order))
    return b.reshape(apart, shape=(batch, kept, *[size * step for size, step in zip(sizes, block)]))


@composite
def space_to_depth(x: Any, block: Any, mode: str = "DCR") -> Tensor:
    """Blocks of places as channels: [n, c, h, w] becomes [n, c * block^2, h / block, w / block].

    It is the inverse of `gf.nn.depth_to_space` of the same mode, which tells the order of the channels.

    Arguments:
        x: a tensor of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        block: the size of the blocks; an int, or one per spatial axis.
        mode: "DCR" or "CRD".

    Returns:
        [batch, channels * size of a block, *smaller].

    Raises:
        ShapeError: if the spatial axes do not divide into blocks.

    Source: ONNX SpaceToDepth-28.

    >>> import graphflow as gf
    >>> gf.nn.space_to_depth(gf.placeholder("x", ("batch", 4, 16, 16)), 2).type
    float32[batch, 16, 8, 8]
    """
    b, x = with_tensor(x)
    block = _checked(x, block, mode, "space_to_depth")
    count = len(block)
    batch, channels, *sizes = x.shape
    smaller = [
        _divided(size, step, f"space_to_depth: the spatial axis {axis} of size {size}", f"blocks of {step}")
        for axis, (size, step) in enumerate(zip(sizes, block))
    ]
    pairs = [size for pair in zip(smaller, block) for size in pair]
    outer, inner = range(2, 2 + 2 * count, 2), range(3, 2 + 2 * count, 2)
    order = (0, *inner, 1, *outer) if mode == "DCR" else (0, 1, *inner, *outer)
    apart = b.permute_dims(b.reshape(x, shape=(batch, channels, *pairs)), axes=order)
    return b.reshape(apart, shape=(batch, channels * prod(block), *smaller))


def _checked(x: Tensor, block: Any, mode: str, operation: str) -> tuple[int, ...]:
    """The block as an int per spatial axis."""
    if not isinstance(mode, str) or mode not in MODES:
        raise AttributeValueError(f"{operation} has no mode {mode!r:.80}", hint="use 'DCR' or 'CRD'")
    return per_axis(freeze(block), spatial_rank(x.ndim, operation), "block", operation)


def _divided(size: Size, step: int, what: str, into: str) -> Size:
    rest = size % step
    require(rest == 0 or not isinstance(rest, int), f"{what} do not divide into {into}")
    return dims.floor_divide(size, step)

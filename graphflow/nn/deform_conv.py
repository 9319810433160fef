"""The deformable convolution: a convolution whose windows take their elements from where a tensor says.

It is a composition: a gather of the corners around each place, their weighted sum, and a product of
matrices; so derivatives of any order come from these.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.attrs import freeze
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.nn.precision import back, floating, wide
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require
from graphflow.ops.windows import (
    Pads,
    canonical_padding,
    output_sizes,
    per_axis,
    spatial_rank,
    unify_shapes,
)


class _Windows(NamedTuple):
    """How the windows lie, before they are deformed."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pads
    dilation: tuple[int, ...]
    positions: Shape

    @property
    def places(self) -> int:
        """The number of places in a window."""
        return prod(self.kernel)


@composite
def deform_conv(
    x: Any,
    w: Any,
    offset: Any,
    mask: Any = None,
    strides: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> Tensor:
    """The convolution of x, taken at displaced places, with the kernels w.

    y[n, o, p] = sum_(c,k) w[o, c, k] mask[n, k, p] x(n, c, at[n, k, p]), where

        at[n, k, p] = p * strides + k * dilation - before + offset[n, k, p]

    and x(...) between places is interpolated linearly along each axis, and zero outside.

    Arguments:
        x: floats of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        w: kernels of shape [out channels, channels / groups, *kernel], of fixed sizes.
        offset: [batch, offset groups * size of the kernel * spatial axes, *positions]: for each place of
            the kernel, in row-major order, by how much it is displaced along each axis.
        mask: factors of shape [batch, offset groups * size of the kernel, *positions]; ones by default.
        strides, padding, dilation, groups: see `gf.nn.conv`.
        offset_groups: the channels are cut into that many groups with offsets and masks of their own.

    Returns:
        [batch, out channels, *positions].

    Raises:
        ShapeError: if channels or sizes do not fit.

    Source: Dai et al., "Deformable convolutional networks" (2017), and Zhu et al., "Deformable ConvNets
    v2" (2019) for the mask; ONNX DeformConv-22.

    >>> import graphflow as gf
    >>> x, w = gf.placeholder("x", ("batch", 3, 8, 8)), gf.variable("w", (16, 3, 3, 3))
    >>> offset = gf.layers.conv(x, 18, 3)
    >>> gf.nn.deform_conv(x, w, offset, padding=1).type
    float32[batch, 16, 8, 8]
    """
    b, (x, w, offset) = with_tensors(x, w, offset)
    dtype = floating(b, x).dtype
    count = spatial_rank(x.ndim, "deform_conv")
    require(w.ndim == x.ndim, f"deform_conv needs a kernel of {x.ndim} axes, not of rank {w.ndim}")
    windows = _windows(x, w, strides, padding, dilation)
    groups = per_axis(freeze(groups), 1, "groups", "deform_conv")[0]
    shares = per_axis(freeze(offset_groups), 1, "offset_groups", "deform_conv")[0]
    _check_channels(x.shape[1], w, groups, shares)
    batch, positions, total = x.shape[0], windows.positions, dims.product(windows.positions)
    each = shares * windows.places
    unify_shapes(offset.shape, (batch, each * count, *positions), "deform_conv: the offset has a wrong shape")
    offsets = b.reshape(wide(b, offset), shape=(batch, shares, windows.places, count, total))
    held = _sampled(b, wide(b, x), _coordinates(b, offsets, windows), shares)
    if mask is not None:
        mask = b.tensor(mask)
        unify_shapes(mask.shape, (batch, each, *positions), "deform_conv: the mask has a wrong shape")
        factors = b.reshape(wide(b, mask), shape=(batch, shares, windows.places, total, 1))
        held = b.multiply(held, factors)
    y = _multiplied(b, held, wide(b, w), groups)
    return back(b, b.reshape(y, shape=(batch, w.shape[0], *positions)), dtype)


def _windows(x: Tensor, w: Tensor, strides: Any, padding: Any, dilation: Any) -> _Windows:
    count = x.ndim - 2
    kernel = tuple([size for size in w.shape[2:] if isinstance(size, int) and size > 0])
    if len(kernel) < count:
        raise ShapeError(
            f"deform_conv needs kernels of fixed sizes, not {list(w.shape[2:])}",
            hint="the offsets are numbered by them",
        )
    strides = per_axis(freeze(strides), count, "strides", "deform_conv")
    dilation = per_axis(freeze(dilation), count, "dilation", "deform_conv")
    pairs = canonical_padding(freeze(padding), x.shape[2:], kernel, strides, dilation, "deform_conv")
    positions = output_sizes(x.shape[2:], kernel, strides, pairs, dilation, "deform_conv")
    return _Windows(kernel, strides, pairs, dilation, positions)


def _check_channels(channels: Size, w: Tensor, groups: int, shares: int) -> None:
    outputs, inner = w.shape[:2]
    require(
        dims.unify(inner * groups, channels) is not None,
        f"deform_conv: the input has {channels} channels, but the kernel takes {inner} x {groups} groups",
    )
    for size, parts, what in ((outputs, groups, "out channels"), (channels, shares, "channels")):
        rest = size % parts
        divides = rest == 0 or not isinstance(rest, int)
        require(divides, f"deform_conv: {size} {what} do not divide into {parts} groups")


def _coordinates(b: Builder, offsets: Tensor, windows: _Windows) -> list[Tensor]:
    """For each spatial axis where all places lie: [batch, offset groups, places, positions]."""
    made = []
    count, total = len(windows.kernel), offsets.shape[4]
    inside = np.indices(windows.kernel).reshape(count, -1)
    for axis in range(count):
        stride, before = windows.strides[axis], windows.padding[axis][0]
        shape: list[Size] = [1] * count
        shape[axis] = windows.positions[axis]
        starts = b.subtract(b.multiply(b.iota(size=windows.positions[axis], dtype=int64), stride), before)
        grid = b.broadcast_to(b.reshape(starts, shape=tuple(shape)), shape=windows.positions)
        steps = (inside[axis] * windows.dilation[axis]).astype(np.int64).reshape(-1, 1)
        fixed = b.add(b.reshape(grid, shape=(1, total)), b.constant(value=steps))
        moved = b.squeeze(b.slice(offsets, starts=(axis,), stops=(axis + 1,), axes=(3,)), axis=3)
        made.append(b.add(moved, b.astype(fixed, dtype=offsets.dtype)))
    return made


def _sampled(b: Builder, x: Tensor, coordinates: list[Tensor], shares: int) -> Tensor:
    """x interpolated at the coordinates, [batch, offset groups, places, positions, channels of a group]."""
    batch, channels, *sizes = x.shape
    each, area = dims.floor_divide(channels, shares), dims.product(sizes)
    grouped = b.reshape(x, shape=(batch, shares, each, area))
    rows = b.reshape(b.permute_dims(grouped, axes=(0, 1, 3, 2)), shape=(batch * shares * area, each))
    images = b.reshape(b.iota(size=batch * shares, dtype=int64), shape=(batch, shares, 1, 1))
    first = b.multiply(images, area)
    result = None
    for place, weight, inside in _corners(b, coordinates, sizes):
        held = b.take(rows, b.add(first, place), axis=0)
        part = b.multiply(held, b.expand_dims(weight, axis=4))
        part = b.where(b.expand_dims(inside, axis=4), part, b.like(0.0, part))
        result = part if result is None else b.add(result, part)
    assert result is not None
    return result


def _corners(
    b: Builder, coordinates: list[Tensor], sizes: list[Size]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of each corner around the coordinates: the place in a flat image, its weight, whether it is inside."""
    lows, fractions = [], []
    for at, size in zip(coordinates, sizes):
        near = b.minimum(b.maximum(at, b.like(-1.0, at)), b.astype(b.tensor(size), dtype=at.dtype))
        low = b.floor(near)
        lows.append(b.astype(low, dtype=int64))
        fractions.append(b.subtract(near, b.stop_gradient(low)))
    for upper in product((0, 1), repeat=len(sizes)):
        place: Any = None
        weight: Any = None
        inside: Any = None
        for low, fraction, size, up in zip(lows, fractions, sizes, upper):
            at = b.add(low, up)
            share = fraction if up else b.subtract(b.like(1.0, fraction), fraction)
            fits = b.logical_and(b.greater_equal(at, 0), b.less(at, size))
            last = b.maximum(b.subtract(b.tensor(size, dtype=int64), 1), 0)
            near = b.minimum(b.maximum(at, 0), last)
            place = near if place is None else b.add(b.multiply(place, size), near)
            weight = share if weight is None else b.multiply(weight, share)
            inside = fits if inside is None else b.logical_and(inside, fits)
        yield place, weight, inside


def _multiplied(b: Builder, held: Tensor, w: Tensor, groups: int) -> Tensor:
    """The kernels times what the windows hold: [batch, groups, out channels / groups, positions]."""
    batch, _, places, total, _ = held.shape
    inner = w.shape[1] * places
    columns = b.permute_dims(held, axes=(0, 1, 4, 2, 3))
    columns = b.reshape(columns, shape=(batch, groups, inner, total))
    kernels = b.reshape(w, shape=(groups, dims.floor_divide(w.shape[0], groups), inner))
    return b.matmul(kernels, columns)

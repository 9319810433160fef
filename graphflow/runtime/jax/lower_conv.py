"""JAX lowerings of convolution: the gradients are the transposes that JAX itself derives.

So a training step compiles to the same XLA program as one written in JAX by hand, but for groups. Patches
are slices: measured on two cores, 3x3 windows of [16, 32, 32, 32], they are made 13 times as fast as by
the convolution with ones and zeros that JAX offers, and added up 300 times as fast.

XLA:CPU runs convolutions in groups as scalar loops. There, those with kernels of one element are products of
matrices, one a group, and those of single channels are sums of shifted images: ShuffleNet as it is takes a
third of the time so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from graphflow.ops.windows import output_sizes, window_slices
from graphflow.runtime.jax.lowering import lowering

_LAYOUTS = {
    1: ("NCH", "OIH", "NCH"),
    2: ("NCHW", "OIHW", "NCHW"),
    3: ("NCDHW", "OIDHW", "NCDHW"),
}

_MOST_SHIFTS = 32
"""Places of kernels that are summed one by one: with more, XLA takes long to compile the sum."""


def xla_conv(x: Any, w: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """XLA's own convolution with channels first, as JAX users write it."""
    if any([isinstance(size, int) and not size for size in w.shape[2:]]):
        # XLA takes no kernel without elements, of which all sums are 0.
        places = output_sizes(x.shape[2:], w.shape[2:], strides, padding, dilation, "conv")
        return jnp.zeros((x.shape[0], w.shape[0], *places), x.dtype)
    return lax.conv_general_dilated(
        x,
        w,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=_LAYOUTS[len(strides)],
        feature_group_count=groups,
    )


@lowering("conv")
def _conv(x: Any, w: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    if groups > 1 and _has_slow_groups(x, w):
        if groups == x.shape[1] == w.shape[0] and prod(w.shape[2:]) <= _MOST_SHIFTS:
            return _shifted(x, w[:, 0], strides, padding, dilation)
        if set(w.shape[2:]) == {1} and not any(map(any, padding)):
            return _grouped_product(x, w.reshape(w.shape[:2]), strides, groups)
    return xla_conv(x, w, strides, padding, dilation, groups)


def _has_slow_groups(x: Any, w: Any) -> bool:
    """Whether XLA loops over groups here, and sums in the dtype are as good as its own."""
    known = all([isinstance(size, int) and size for size in (*x.shape, *w.shape)])
    wide = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize >= 4
    return bool(known and wide and jax.default_backend() == "cpu")


def _grouped_product(x: Any, matrices: Any, strides: Any, groups: int) -> Any:
    """Kernels of one element: [out / groups, in / groups] @ [in / groups, places] for each group."""
    held = x[(slice(None), slice(None), *[slice(None, None, stride) for stride in strides])]
    batch, (outputs, inner) = x.shape[0], matrices.shape
    columns = held.reshape(batch * groups, inner, prod(held.shape[2:]))
    rows = matrices.reshape(1, groups, outputs // groups, inner)
    rows = jnp.broadcast_to(rows, (batch, *rows.shape[1:])).reshape(batch * groups, -1, inner)
    return (rows @ columns).reshape(batch, outputs, *held.shape[2:])


def _shifted(x: Any, kernels: Any, strides: Any, padding: Any, dilation: Any) -> Any:
    """Each channel by itself: a sum of shifted images times numbers."""
    kernel, sizes = kernels.shape[1:], x.shape[2:]
    positions: Any = output_sizes(sizes, kernel, strides, padding, dilation, "conv")
    ones = (1,) * len(sizes)
    if len(sizes) == 2 and tuple(positions) == sizes and (*strides, *dilation) == ones * 2:
        return _shifted_rows(x, kernels, padding)
    padded = jnp.pad(x, ((0, 0), (0, 0), *padding)) if any(map(any, padding)) else x
    slices = window_slices(positions, kernel, strides, dilation)
    return _total((padded[where], kernels[:, *place], ones) for place, where in slices)


def _shifted_rows(x: Any, kernels: Any, padding: Any) -> Any:
    """An image as one line of all its rows, which is longer than one row, so that vectors are filled.

    A step along a row is a step along the line, whose ends belong to the row before and the next one: what
    comes from there is taken for padding.
    """
    batch, channels, height, width = x.shape
    (above, below), (left, right) = padding
    line = x.reshape(batch, channels, height * width)
    line = jnp.pad(line, ((0, 0), (0, 0), (above * width + left, below * width + right)))
    column = np.arange(height * width) % width

    def parts() -> Iterator[tuple[Any, Any, tuple[int, ...]]]:
        for down, across in np.ndindex(kernels.shape[1:]):
            start = down * width + across
            part = lax.slice_in_dim(line, start, start + height * width, axis=2)
            inside = (column + across >= left) & (column + across < left + width)
            if not inside.all():
                part = jnp.where(inside, part, jnp.zeros((), x.dtype))
            yield part, kernels[:, down, across], (1,)

    return _total(parts()).reshape(x.shape)


def _total(parts: Iterable[tuple[Any, Any, tuple[int, ...]]]) -> Any:
    """The sum of images, each times a number for every channel."""
    return reduce(jnp.add, [part * factor.reshape(-1, *ones) for part, factor, ones in parts])


@lowering("conv_input_gradient")
def _input_gradient(g: Any, w: Any, input_shape: Any, padding: Any, **geometry: Any) -> Any:
    cuts = misread_axes(g.shape[2:], w.shape[2:], padding, geometry["strides"])
    if cuts:
        input_shape = [size + (axis - 2 in cuts) for axis, size in enumerate(input_shape)]
        padding = [(0, pair[1]) if axis in cuts else pair for axis, pair in enumerate(padding)]
    x = jax.ShapeDtypeStruct(tuple(input_shape), g.dtype)
    dx = jax.linear_transpose(lambda x: _conv(x, w, padding=padding, **geometry), x)(g)[0]
    for axis in cuts:
        dx = lax.slice_in_dim(dx, 1, None, axis=axis + 2)
    return dx


def misread_axes(positions: Any, kernel: Any, padding: Any, strides: Any) -> list[int]:
    """Axes whose padding at the beginning has to become part of the image, lest XLA aborts the process.

    XLA takes kernel 2 and dilation 2 without padding, which is what stride 2 after one place of padding
    transposes to, for an axis of groups; and it fails where it then exchanges image and kernel, as it
    does where the kernel is the larger one along another axis (algebraic_simplifier.cc, SwapConvOperands).
    """
    rows = list(zip(positions, kernel, padding, strides))
    if not any(places > size for size, places, _, _ in rows):
        return []
    return [axis for axis, row in enumerate(rows) if row[1] == row[3] == 2 and row[2][0] == 1]


@lowering("conv_weight_gradient")
def _weight_gradient(x: Any, g: Any, kernel_shape: Any, **geometry: Any) -> Any:
    w = jax.ShapeDtypeStruct(kernel_shape, g.dtype)
    return jax.linear_transpose(lambda w: _conv(x, w, **geometry), w)(g)[0]


@lowering("im2col")
def _im2col(x: Any, window: Any, strides: Any, padding: Any, dilation: Any) -> Any:
    positions: Any = output_sizes(x.shape[2:], window, strides, padding, dilation, "im2col")
    padded = jnp.pad(x, ((0, 0), (0, 0), *padding)) if any(map(any, padding)) else x
    slices = window_slices(positions, window, strides, dilation)
    columns = jnp.stack([padded[where] for _, where in slices], axis=2)
    return columns.reshape(x.shape[0], x.shape[1] * prod(window), prod(positions))


@lowering("col2im")
def _col2im(columns: Any, image_shape: Any, window: Any, **geometry: Any) -> Any:
    dtype = columns.dtype
    half = dtype.itemsize == 2 and jnp.issubdtype(dtype, jnp.floating)
    working = jnp.dtype(jnp.float32) if half else dtype
    shape = (columns.shape[0], columns.shape[1] // prod(window), *image_shape)
    image = jax.ShapeDtypeStruct(shape, working)
    transposed = jax.linear_transpose(lambda x: _im2col(x, window, **geometry), image)
    return transposed(columns.astype(working))[0].astype(dtype)

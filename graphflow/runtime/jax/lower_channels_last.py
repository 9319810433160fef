"""JAX lowerings of convolution with channels last, by the algorithm that the optimizer chose.

The gradients are the transposes that JAX derives from the same algorithm. Measured on two cores, batch 1:
XLA:CPU computes depthwise 3x3 convolutions in a scalar loop, 13 to 30 times slower than the sum of shifted
images; a 1x1 convolution is 1.2 to 1.7 times faster as a product of matrices than as a convolution of the
same layout, a 3x3 one of 512 channels on 7x7 places 1.7 times as a product with what windows hold, and one of
three channels 1.2 to 4 times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from graphflow.ops.windows import output_sizes, window_slices
from graphflow.ops.winograd import INPUT, OUTPUT, tiling
from graphflow.runtime.jax.lower_conv import misread_axes
from graphflow.runtime.jax.lowering import lowering

_LAYOUTS = {
    1: ("NHC", "HIO", "NHC"),
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NDHWC", "DHWIO", "NDHWC"),
}

_FEW_CHANNELS = 8


def direct(x: Any, w: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """XLA's own convolution with channels last."""
    return lax.conv_general_dilated(
        x,
        w,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=_LAYOUTS[len(strides)],
        feature_group_count=groups,
    )


def _dot(x: Any, w: Any, strides: Any, groups: int = 1, **rest: Any) -> Any:
    held = x[(slice(None), *[slice(None, None, stride) for stride in strides])]
    rows, matrix = held.reshape(prod(held.shape[:-1]), x.shape[-1]), w.reshape(w.shape[-2:])
    # One product a group: XLA takes twice as long for a product with a batch axis in the middle.
    given = zip(jnp.split(rows, groups, axis=1), jnp.split(matrix, groups, axis=1))
    made = [part @ one for part, one in given]
    joined = made[0] if groups == 1 else jnp.concatenate(made, axis=1)
    return joined.reshape(*held.shape[:-1], w.shape[-1])


def _windows(
    x: Any, kernel: Any, strides: Any, padding: Any, dilation: Any
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """What the windows hold at each of their places: (place, [batch, *positions, channels])."""
    positions: Any = output_sizes(x.shape[1:-1], kernel, strides, padding, dilation, "conv")
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0))) if any(map(any, padding)) else x
    for place, where in window_slices(positions, kernel, strides, dilation):
        yield place, padded[(slice(None), *where[2:])]


def _patches(x: Any, kernel: Any, strides: Any, padding: Any, dilation: Any) -> Any:
    """What windows hold, taken together along one axis after the other, so that longer pieces are copied."""
    for axis in reversed(range(len(kernel))):
        alone = [
            [given[one] if one == axis else rest for one in range(len(kernel))]
            for given, rest in ((kernel, 1), (strides, 1), (padding, (0, 0)), (dilation, 1))
        ]
        x = jnp.concatenate([part for _, part in _windows(x, *alone)], axis=-1)
    return x


def _im2col(x: Any, w: Any, groups: int, **geometry: Any) -> Any:
    kernel, (inner, outputs) = w.shape[:-2], w.shape[-2:]
    if groups == 1 and inner < _FEW_CHANNELS:
        columns = _patches(x, kernel, **geometry)
        return _dot(columns, w.reshape(-1, outputs), [1] * len(kernel))
    parts = [part for _, part in _windows(x, kernel, **geometry)]
    places = parts[0].shape[:-1]
    rows, held = prod(places), len(parts) * inner
    if groups == 1:
        columns = jnp.concatenate(parts, axis=-1).reshape(rows, held)
        return (columns @ w.reshape(held, outputs)).reshape(*places, outputs)
    columns = jnp.stack([part.reshape(rows, groups, inner) for part in parts], axis=2)
    columns = columns.reshape(rows, groups, held)
    filters = w.reshape(held, groups, outputs // groups)
    made = lax.dot_general(columns, filters, (((2,), (0,)), ((1,), (1,))))
    return made.transpose(1, 0, 2).reshape(*places, outputs)


def _shifts(x: Any, w: Any, groups: int, **geometry: Any) -> Any:
    multiple = w.shape[-1] // groups
    x = jnp.repeat(x, multiple, axis=-1) if multiple > 1 else x
    products = (part * w[place][0] for place, part in _windows(x, w.shape[:-2], **geometry))
    return reduce(jnp.add, products)


_ALGORITHMS: dict[str, Callable[..., Any]] = {
    "direct": direct,
    "dot": _dot,
    "im2col": _im2col,
    "shifts": _shifts,
}


def _wide(x: Any) -> Any:
    """16-bit floats as float32, in which sums of products have to be added up."""
    return x.astype(jnp.float32) if _is_half(x.dtype) else x


def _is_half(dtype: Any) -> bool:
    return bool(dtype.itemsize == 2 and jnp.issubdtype(dtype, jnp.floating))


@lowering("channels_last_conv")
def _conv(x: Any, w: Any, algorithm: str, **geometry: Any) -> Any:
    if algorithm == "shifts":
        return _shifts(_wide(x), _wide(w), **geometry).astype(x.dtype)
    return _ALGORITHMS[algorithm](x, w, **geometry)


@lowering("channels_last_conv_input_gradient")
def _input_gradient(g: Any, w: Any, input_shape: Any, padding: Any, **rest: Any) -> Any:
    dtype, shape = g.dtype, list(input_shape)
    cuts = misread_axes(g.shape[1:-1], w.shape[:-2], padding, rest["strides"])
    for axis in cuts:
        shape[1 + axis] += 1
    padding = [(0, pair[1]) if axis in cuts else pair for axis, pair in enumerate(padding)]
    if rest["algorithm"] != "direct":
        g, w = _wide(g), _wide(w)
    x = jax.ShapeDtypeStruct(tuple(shape), g.dtype)
    dx = jax.linear_transpose(lambda x: _conv(x, w, padding=padding, **rest), x)(g)[0].astype(dtype)
    for axis in cuts:
        dx = lax.slice_in_dim(dx, 1, None, axis=axis + 1)
    return dx


@lowering("channels_last_conv_weight_gradient")
def _weight_gradient(x: Any, g: Any, kernel_shape: Any, algorithm: str, **rest: Any) -> Any:
    dtype = g.dtype
    if algorithm != "direct":
        x, g = _wide(x), _wide(g)
    w = jax.ShapeDtypeStruct(kernel_shape, g.dtype)
    made = jax.linear_transpose(lambda w: _conv(x, w, algorithm=algorithm, **rest), w)(g)[0]
    return made.astype(dtype)


# Winograd


def _combined(matrix: Any, parts: Any) -> Any:
    """matrix @ parts, with the zeros left out, stacked."""
    return jnp.stack([reduce(jnp.add, _terms(row, parts)) for row in matrix])


def _terms(row: Sequence[float], parts: Any) -> list[Any]:
    return [part if factor == 1 else part * factor for factor, part in zip(row, parts) if factor]


def _along(x: Any, axis: int, tile: int, count: int) -> list[Any]:
    """What the tiles along an axis hold at each of their places."""
    reach = (count - 1) * tile + 1
    return [lax.slice_in_dim(x, place, place + reach, tile, axis) for place in range(tile + 2)]


@lowering("winograd_conv")
def _winograd(x: Any, u: Any, tile: int, padding: Any) -> Any:
    dtype, outputs = x.dtype, u.shape[2]
    x, u = _wide(x), _wide(u)
    sizes, counts, pads = tiling(x.shape, tile, padding)
    if 0 in (x.shape[0], *sizes, *u.shape):
        return jnp.zeros((x.shape[0], *sizes, outputs), dtype)
    side = tile + 2
    columns = _combined(INPUT[tile], _along(jnp.pad(x, pads), 2, tile, counts[1]))
    planes = _combined(INPUT[tile], _along(columns, 2, tile, counts[0]))  # place by row, place by column, ...
    rows = planes.reshape(side * side, -1, x.shape[3])
    products = lax.dot_general(rows, u, (((2,), (1,)), ((0,), (0,))))
    products = products.reshape(side, side, x.shape[0], *counts, outputs)
    made = _combined(OUTPUT[tile], jnp.moveaxis(_combined(OUTPUT[tile], products), 1, 0))  # column, row, ...
    whole = made.transpose(2, 3, 1, 4, 0, 5).reshape(x.shape[0], counts[0] * tile, counts[1] * tile, outputs)
    return whole[:, : sizes[0], : sizes[1]].astype(dtype)

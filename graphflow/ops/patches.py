"""Patches: what the windows of an image hold, as columns, and columns added up to an image.

`im2col` is linear and `col2im` its transpose, so they are each other's derivatives.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops.inference import only, require
from graphflow.ops.precision import wide
from graphflow.ops.windows import (
    canonical_padding,
    crop_spatial,
    output_sizes,
    pad_spatial,
    padded_shape,
    per_axis,
    spatial_rank,
    unify_shapes,
    window_slices,
    window_view,
)

_NUMBERS = "int uint float complex"


def _canonical(attrs, sizes, operation):
    count = len(sizes)
    window = per_axis(attrs["window"], count, "window", operation)
    strides = per_axis(attrs["strides"], count, "strides", operation)
    dilation = per_axis(attrs["dilation"], count, "dilation", operation)
    padding = canonical_padding(attrs["padding"], sizes, window, strides, dilation, operation)
    return {**attrs, "window": window, "strides": strides, "padding": padding, "dilation": dilation}


def _positions(sizes, attrs, operation):
    geometry = (attrs["window"], attrs["strides"], attrs["padding"], attrs["dilation"])
    return output_sizes(sizes, *geometry, operation)


def _im2col_attrs(types, attrs):
    spatial_rank(types[0].rank, "im2col")
    return _canonical(attrs, types[0].shape[2:], "im2col")


def _im2col_type(types, attrs):
    batch, channels, *sizes = types[0].shape
    blocks = dims.product(_positions(sizes, attrs, "im2col"))
    return (TensorType(types[0].dtype, (batch, channels * prod(attrs["window"]), blocks)),)


@op("conv", infer=only(_NUMBERS, _im2col_type, "im2col"), normalize=_im2col_attrs)
def im2col(x, /, window, strides=1, padding=0, dilation=1):
    """What each window of an image holds, as a column.

    y[n, (c, k), p] = x[n, c, p * strides + k * dilation - before], where x is zero outside.

    Arguments:
        x: numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        window: the size of the windows; an int, or one per spatial axis.
        strides: by how much windows move.
        padding: zeros around x: an int, ints or (before, after) pairs per spatial axis, "valid", "same"
            (the odd zero at the end) or "same_lower" (at the beginning).
        dilation: the distance between the elements of a window.

    Returns:
        [batch, channels * size of the window, positions], positions and places in row-major order.

    Raises:
        ShapeError: if a window does not fit.

    Source: Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
    processing" (2006); `unfold` of PyTorch.

    >>> import graphflow as gf
    >>> gf.nn.im2col(gf.placeholder("x", ("batch", 3, 8, 8)), 3).type
    float32[batch, 27, 36]
    """
    count = len(window)
    windows = window_view(pad_spatial(x, padding), window, strides, dilation)
    columns = np.moveaxis(windows, range(2, 2 + count), range(-count, 0))
    rows, blocks = x.shape[1] * prod(window), prod(windows.shape[2 : 2 + count])
    return np.ascontiguousarray(columns.reshape(x.shape[0], rows, blocks))


@im2col.gradient
def _(b, node, g):
    return [b.col2im(g, image_shape=node.inputs[0].shape[2:], **node.attrs)]


def _col2im_attrs(types, attrs):
    sizes = as_shape(attrs["image_shape"])
    if not 1 <= len(sizes) <= 3:
        raise AttributeValueError(
            f"col2im got image_shape={attrs['image_shape']!r}", hint="pass the sizes of 1 to 3 spatial axes"
        )
    return _canonical({**attrs, "image_shape": sizes}, sizes, "col2im")


def _col2im_type(types, attrs):
    require(
        types[0].rank == 3,
        f"col2im needs columns of batch, channels * size of the window, and positions, not of rank "
        f"{types[0].rank}",
    )
    batch, rows, blocks = types[0].shape
    places = prod(attrs["window"])
    rest = rows % places
    divides = rest == 0 or not isinstance(rest, int)
    require(divides, f"col2im: {rows} rows do not divide into channels of {places} places")
    made = dims.product(_positions(attrs["image_shape"], attrs, "col2im"))
    unify_shapes((blocks,), (made,), "col2im has not a column for each window")
    return (TensorType(types[0].dtype, (batch, rows // places, *attrs["image_shape"])),)


@op("conv", infer=only(_NUMBERS, _col2im_type, "col2im"), normalize=_col2im_attrs)
@wide
def col2im(columns, /, image_shape, window, strides=1, padding=0, dilation=1):
    """Columns added up to an image, each value where `im2col` takes it from.

    y[n, c, i] = sum of columns[n, (c, k), p] over all k, p with p * strides + k * dilation - before = i;
    what falls into the padding is dropped. It is the transpose of `im2col`.

    Arguments:
        columns: numbers of shape [batch, channels * size of the window, positions].
        image_shape: the sizes of the 1 to 3 spatial axes of the result.
        window, strides, padding, dilation: see `im2col`.

    Returns:
        [batch, channels, *image_shape].

    Raises:
        ShapeError: if there is not a column for each window, or rows do not divide into channels.

    Source: ONNX Col2Im-18; `fold` of PyTorch.

    >>> import graphflow as gf
    >>> gf.nn.col2im(gf.placeholder("x", ("batch", 27, 36)), (8, 8), 3).type
    float32[batch, 3, 8, 8]
    """
    batch, channels = columns.shape[0], columns.shape[1] // prod(window)
    image = np.zeros(padded_shape((batch, channels, *image_shape), padding), columns.dtype)
    geometry = (window, strides, padding, dilation)
    positions: Any = output_sizes(image_shape, *geometry, "col2im")
    parts = columns.reshape(batch, channels, *window, *positions)
    for place, where in window_slices(positions, window, strides, dilation):
        image[where] += parts[(slice(None), slice(None), *place)]
    return np.ascontiguousarray(crop_spatial(image, padding))


@col2im.gradient
def _(b, node, g):
    geometry = {name: value for name, value in node.attrs.items() if name != "image_shape"}
    return [b.im2col(g, **geometry)]

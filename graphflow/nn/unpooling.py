"""Max pooling that tells where its maxima lie, and unpooling, which puts values back there."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.attrs import freeze
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape, as_shape
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import require
from graphflow.ops.windows import canonical_padding, per_axis, spatial_rank


@composite
def max_pool_with_indices(
    x: Any,
    window: Any,
    strides: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    column_major: bool = False,
) -> tuple[Tensor, Tensor]:
    """Max pooling, and the position of each maximum in the flattened x.

    indices[n, c, i] = (n * channels + c) * size of a channel + the place of the maximum in its channel.

    Arguments:
        x: real numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        window, strides, padding, dilation, ceil_mode: see `gf.nn.max_pool`.
        column_major: count the places of a channel with the first spatial axis as the fastest (ONNX
            storage_order 1), not the last.

    Returns:
        the pair (maxima, indices): [batch, channels, *positions] of the dtype of x, and int64 of the
        same shape. Of equal maxima the first counts. PyTorch's indices are those modulo the size of
        a channel.

    Raises:
        ShapeError, AttributeValueError: if windows do not fit, or could lie in the padding alone.

    Source: ONNX MaxPool-22.

    >>> import graphflow as gf
    >>> y, indices = gf.nn.max_pool_with_indices(gf.placeholder("x", ("batch", 16, 8, 8)), 2)
    >>> y.type, indices.type
    (float32[batch, 16, 4, 4], int64[batch, 16, 4, 4])
    """
    b, x = with_tensor(x)
    if not isinstance(column_major, bool):
        raise AttributeValueError(f"max_pool_with_indices got column_major={column_major!r}")
    geometry = {
        "window": window,
        "strides": strides,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }
    y = b.max_pool(x, **geometry)
    sizes = x.shape[2:]
    places = b.broadcast_to(_numbered(b, sizes, column_major), shape=x.shape)
    inside = b.max_pool_select(x, places, **geometry)
    channels = _numbered(b, (*x.shape[:2], *[1] * len(sizes)), False)
    return y, b.add(b.multiply(channels, dims.product(sizes)), inside)


def _numbered(b: Builder, shape: Shape, column_major: bool) -> Tensor:
    """0, 1, 2 ... as a tensor of that shape."""
    flat = b.iota(size=dims.product(shape), dtype=int64)
    if not column_major:
        return b.reshape(flat, shape=shape)
    return b.permute_dims(b.reshape(flat, shape=shape[::-1]), axes=tuple(range(len(shape)))[::-1])


@composite
def max_unpool(
    x: Any, indices: Any, window: Any = None, strides: Any = None, padding: Any = 0, output_shape: Any = None
) -> Tensor:
    """The partial inverse of max pooling: values at the places of the maxima, zeros elsewhere.

    y.flat[indices[i]] = x[i]; of equal indices the last counts, and those outside of y are ignored.

    Arguments:
        x: a tensor of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        indices: integers of the shape of x: positions in the flattened result, as
            `gf.nn.max_pool_with_indices` gives them.
        window, strides, padding: those of the pooling; the result has the spatial sizes
            (size - 1) * strides + window - before - after. Strides are `window` by default.
        output_shape: the spatial sizes of the result in place of those. (The third input of ONNX
            MaxUnpool does not say what the indices mean; it adds zeros at the ends, as `gf.pad` does.)

    Returns:
        [batch, channels, *spatial], larger than x.

    Raises:
        ShapeError, AttributeValueError: if shapes or options do not fit.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014);
    ONNX MaxUnpool-22.

    >>> import graphflow as gf
    >>> y, indices = gf.nn.max_pool_with_indices(gf.placeholder("x", ("batch", 16, 8, 8)), 2)
    >>> gf.nn.max_unpool(y, indices, 2).type
    float32[batch, 16, 8, 8]
    """
    b, (x, indices) = with_tensors(x, indices)
    count = spatial_rank(x.ndim, "max_unpool")
    if output_shape is not None:
        sizes = as_shape(output_shape)
        require(len(sizes) == count, f"max_unpool got {len(sizes)} sizes for {count} spatial axes")
    else:
        sizes = _unpooled_sizes(x, count, window, strides, padding)
    return b.max_unpool(x, indices, output_shape=(*x.shape[:2], *sizes))


def _unpooled_sizes(x: Tensor, count: int, window: Any, strides: Any, padding: Any) -> Shape:
    if window is None or (isinstance(padding, str) and padding.lower() != "valid"):
        raise AttributeValueError(
            f"max_unpool cannot tell its size from window={window!r} and padding={padding!r}",
            hint="pass the window and the pairs of padding of the pooling, or output_shape",
        )
    window = per_axis(freeze(window), count, "window", "max_unpool")
    strides = window if strides is None else per_axis(freeze(strides), count, "strides", "max_unpool")
    pairs = canonical_padding(freeze(padding), x.shape[2:], window, strides, (1,) * count, "max_unpool")
    sizes = [
        (size - 1) * stride + places - before - after
        for size, stride, places, (before, after) in zip(x.shape[2:], strides, window, pairs)
    ]
    require(
        not any(isinstance(size, int) and size < 0 for size in sizes),
        f"max_unpool of spatial sizes {list(x.shape[2:])} has nothing left after the padding {pairs}",
    )
    return tuple(sizes)

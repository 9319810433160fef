"""Adaptive pooling: as many windows as the result shall have places, as even as they can be.

Of n windows over an axis of size s, window i reaches from floor(i s / n) to ceil((i + 1) s / n). Where
n divides s that is a pooling by windows of s / n; elsewhere windows overlap, and differ by one place.
"""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.attrs import freeze
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.nn.precision import back, floating, wide
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import require, whole_number
from graphflow.ops.windows import spatial_rank


@composite
def adaptive_avg_pool(x: Any, output_size: Any) -> Tensor:
    """The means of as many windows as the result shall have places: y[n, c, i] = the mean of window i.

    Window i reaches from floor(i * size / places) to, not including, ceil((i + 1) * size / places).

    Arguments:
        x: numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes, whose sizes may be symbolic.
        output_size: the places of each spatial axis of the result: an int, or one per axis; None keeps one.

    Returns:
        [batch, channels, *output_size].

    Raises:
        ShapeError, AttributeValueError: for an empty axis, or a result without places.

    Source: He et al., "Spatial pyramid pooling in deep convolutional networks" (2014);
    AdaptiveAvgPool of PyTorch.

    >>> import graphflow as gf
    >>> gf.nn.adaptive_avg_pool(gf.placeholder("x", ("batch", 16, "height", "width")), (7, 5)).type
    float32[batch, 16, 7, 5]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    counts = _counts(x, output_size, "adaptive_avg_pool")
    window = _even(x.shape[2:], counts)
    if window:
        return b.avg_pool(x, window=window)
    y = wide(b, x)
    for axis, count in reversed(list(enumerate(counts, 2))):
        if count == 1:
            y = b.mean(y, axis=axis, keepdims=True)
        elif count != y.shape[axis]:
            y = _means(b, y, axis, count)
    return back(b, y, x.dtype)


@composite
def adaptive_max_pool(x: Any, output_size: Any) -> Tensor:
    """The maxima of as many windows as the result shall have places: y[n, c, i] = the maximum of window i.

    Window i reaches from floor(i * size / places) to, not including, ceil((i + 1) * size / places).

    Arguments:
        x: real numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes, of sizes that may be
            symbolic.
        output_size: the places of each spatial axis of the result: an int, or one per axis; None keeps one.

    Returns:
        [batch, channels, *output_size].

    Raises:
        ShapeError, AttributeValueError: for an empty axis, or a result without places.

    Source: He et al., "Spatial pyramid pooling in deep convolutional networks" (2014);
    AdaptiveMaxPool of PyTorch.

    >>> import graphflow as gf
    >>> gf.nn.adaptive_max_pool(gf.placeholder("x", ("batch", 16, "height", "width")), 7).type
    float32[batch, 16, 7, 7]
    """
    b, x = with_tensor(x)
    counts = _counts(x, output_size, "adaptive_max_pool")
    window = _even(x.shape[2:], counts)
    if window:
        return b.max_pool(x, window=window)
    for axis, count in reversed(list(enumerate(counts, 2))):
        if count == 1:
            x = b.max(x, axis=axis, keepdims=True)
        elif count != x.shape[axis]:
            held, _ = _windows(b, x, axis, count)
            x = b.max(held, axis=axis + 1)
    return x


def _counts(x: Tensor, output_size: Any, operation: str) -> tuple[Size, ...]:
    """The places of each spatial axis of the result."""
    rank = spatial_rank(x.ndim, operation)
    given = freeze(output_size)
    values = given if isinstance(given, tuple) else (given,) * rank
    if len(values) != rank:
        raise AttributeValueError(
            f"{operation} got output_size={output_size!r} for {rank} spatial axes",
            hint="pass an int, or an int or None for each",
        )
    require(0 not in x.shape[2:], f"{operation} has nothing to pool in an input of shape {list(x.shape)}")
    return tuple(
        size if value is None else whole_number(value, f"output_size of {operation}", low=1)
        for value, size in zip(values, x.shape[2:])
    )


def _even(sizes: Any, counts: Any) -> tuple[int, ...] | None:
    """The window of a pooling that does the same, if there is one."""
    fixed = all(isinstance(size, int) and isinstance(count, int) for size, count in zip(sizes, counts))
    if not fixed or any(size % count for size, count in zip(sizes, counts)):
        return None
    return tuple(size // count for size, count in zip(sizes, counts))


def _bounds(b: Builder, size: Size, count: Size) -> tuple[Tensor, Tensor]:
    """The first place of each window, and the place behind its last."""
    order = b.iota(size=count, dtype=int64)
    starts = b.floor_divide(b.multiply(order, size), count)
    ends = b.floor_divide(b.add(b.multiply(b.add(order, 1), size), count - 1), count)
    return starts, ends


def _longest(size: Size, count: Size) -> Size:
    """No window has more places."""
    if isinstance(size, int) and isinstance(count, int):
        return max(-(-(i + 1) * size // count) - i * size // count for i in range(count))
    return (size + count - 1) // count + 1


def _windows(b: Builder, x: Tensor, axis: int, count: Size) -> tuple[Tensor, Tensor]:
    """What the windows along an axis hold, in a new axis behind it, and how many places each has.

    A window that is shorter than others repeats its last place.
    """
    size = x.shape[axis]
    starts, ends = _bounds(b, size, count)
    steps = b.iota(size=_longest(size, count), dtype=int64)
    places = b.add(b.expand_dims(starts, axis=1), b.expand_dims(steps, axis=0))
    last = b.expand_dims(b.subtract(ends, 1), axis=1)
    return b.take(x, b.minimum(places, last), axis=axis), b.subtract(ends, starts)


def _means(b: Builder, x: Tensor, axis: int, count: Size) -> Tensor:
    held, lengths = _windows(b, x, axis, count)
    trailing = tuple(range(1, x.ndim - axis))
    lengths = b.expand_dims(lengths, axis=trailing) if trailing else lengths
    steps = b.iota(size=held.shape[axis + 1], dtype=int64)
    steps = b.expand_dims(steps, axis=trailing) if trailing else steps
    own = b.less(steps, b.expand_dims(lengths, axis=1))
    total = b.sum(b.where(own, held, b.like(0.0, held)), axis=axis + 1)
    return b.divide(total, b.astype(lengths, dtype=x.dtype))

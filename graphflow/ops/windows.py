"""Windows that slide over the spatial axes: the geometry that convolution and pooling share.

A window of `kernel` elements that are `dilation` apart covers `(kernel - 1) * dilation + 1` places,
its extent. Over an axis of `size` with `before` and `after` places of padding, moving by `stride`,

    positions = floor((size + before + after - extent) / stride) + 1

or, with the ceiling in place of the floor, one more where places are left over, provided that its
window still starts before the padding at the end.

Strides and dilations are kept as tuples, padding as a tuple of (before, after) pairs, one per
spatial axis; axes 0 and 1 are batch and channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size
from graphflow.ops.inference import require, show

Pads: TypeAlias = tuple[tuple[Size, Size], ...]

MOST_PLACES = (1 << 31) - 1
"""The most elements that a window has along an axis: each is a step of what computes it."""

FARTHEST = (1 << 63) - 1
"""The largest stride and dilation: those that targets count with 64 bits."""

SAME = ("same", "same_upper", "same_lower")
"""Names of paddings that leave ceil(size / stride) positions."""


def spatial_rank(rank: int, operation: str) -> int:
    """How many spatial axes an operand of that rank has; 1 to 3 are supported."""
    require(
        3 <= rank <= 5,
        f"{operation} needs an input of batch, channels and 1 to 3 spatial axes, not of rank {rank}",
        "add missing axes with gf.expand_dims, or merge axes with gf.reshape",
    )
    return rank - 2


def per_axis(value: Any, count: int, what: str, operation: str) -> tuple[int, ...]:
    """A positive int per spatial axis from one int for all, or a sequence of them.

    >>> per_axis(2, 3, "strides", "conv"), per_axis((1, 2), 2, "strides", "conv")
    ((2, 2, 2), (1, 2))
    """
    values = (value,) * count if not isinstance(value, tuple) else value
    if len(values) != count or any(not _is_int(one) or one < 1 for one in values):
        raise AttributeValueError(
            f"{operation} got {what}={value!r} for {count} spatial axes",
            hint=f"pass a positive int, or {count} of them",
        )
    most = FARTHEST if what in ("strides", "dilation") else MOST_PLACES
    if max(values) > most:
        raise AttributeValueError(
            f"{operation} got {what}={value!r}, which is more than can be computed",
            hint=f"pass at most {most}",
        )
    return values


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def extent(kernel: Size, dilation: int) -> Size:
    """The places that a window covers, the gaps of its dilation included; none for a window of none."""
    return 0 if kernel == 0 else (kernel - 1) * dilation + 1


def canonical_padding(
    padding: Any,
    sizes: Sequence[Size],
    kernel: Sequence[Size],
    strides: Sequence[int],
    dilation: Sequence[int],
    operation: str,
) -> Pads:
    """(before, after) pairs from an int, ints or pairs by axis, "valid", "same" or "same_lower".

    "same" gives ceil(size / stride) positions and puts an odd place of padding at the end (ONNX
    auto_pad SAME_UPPER), "same_lower" at the beginning; they are symbolic where a size is and the
    stride is not 1.

    >>> canonical_padding("same", (5, 6), (3, 2), (2, 1), (1, 1), "conv")
    ((1, 1), (0, 1))
    """
    count = len(sizes)
    if isinstance(padding, str):
        if padding.lower() == "valid":
            return ((0, 0),) * count
        axes = zip(sizes, map(extent, kernel, dilation), strides)
        if padding.lower() in SAME:
            return tuple(same_padding(*axis, lower=padding.lower() == "same_lower") for axis in axes)
    else:
        pairs = (padding,) * count if not isinstance(padding, tuple) else padding
        pairs = tuple(pair if isinstance(pair, tuple) else (pair, pair) for pair in pairs)
        if len(pairs) == count and all(len(pair) == 2 and all(map(_is_places, pair)) for pair in pairs):
            return pairs
    raise AttributeValueError(
        f"{operation} got padding={padding!r} for {count} spatial axes",
        hint=f"pass an int, {count} (before, after) pairs of ints from 0 up, 'same', 'same_lower' or 'valid'",
    )


def _is_places(value: Any) -> bool:
    return isinstance(value, Dim) or (_is_int(value) and value >= 0)


def same_padding(size: Size, covered: Size, stride: int, lower: bool = False) -> tuple[Size, Size]:
    """The padding of one axis that leaves ceil(size / stride) positions."""
    if stride == 1:
        total = covered - 1 if isinstance(covered, Dim) else max(covered - 1, 0)  # no kernel covers less
    else:
        positions = (size + stride - 1) // stride
        total = dims.maximum((positions - 1) * stride + covered - size, 0)
    return halves(total, lower)


def halves(total: Size, lower: bool) -> tuple[Size, Size]:
    """A number of places cut in two, the larger part at the end or, if `lower`, at the beginning.

    >>> halves(3, lower=False), halves(3, lower=True)
    ((1, 2), (2, 1))
    """
    less, more = total // 2, total - total // 2
    return (more, less) if lower else (less, more)


def leeway(size: Size, covered: Size, stride: int, pair: tuple[Size, Size], ceil: bool = False) -> Size:
    """By how much windows can move; there are `leeway // stride + 1` positions.

    >>> [leeway(7, 2, 2, (0, 0), ceil) // 2 + 1 for ceil in (False, True)]
    [3, 4]
    """
    before, after = pair
    if ceil:
        return size + before - 1 - dims.maximum(covered - after - stride, 0)
    return size + before + after - covered


def output_sizes(
    sizes: Sequence[Size],
    kernel: Sequence[Size],
    strides: Sequence[int],
    padding: Pads,
    dilation: Sequence[int],
    operation: str,
    ceil: bool = False,
) -> tuple[Size, ...]:
    """The number of window positions along each spatial axis.

    Raises:
        ShapeError: if a window does not fit into its padded axis.
    """
    result: list[Size] = []
    for axis, (size, places, stride, pair, gap) in enumerate(zip(sizes, kernel, strides, padding, dilation)):
        covered = extent(places, gap)
        if isinstance(size, Dim) and stride > 1 and _is_same(pair, size, covered, stride):
            result.append((size + stride - 1) // stride)
            continue
        room = leeway(size, covered, stride, pair, ceil)
        highest = dims.bounds(room)[1]
        if highest is not None and highest < 0:
            raise ShapeError(
                f"{operation}: a window of {covered} places does not fit into spatial axis {axis}, which has "
                f"{size} and the padding {pair}",
                hint="use a smaller window or dilation, or more padding ('same' keeps the size)",
            )
        result.append(room // stride + 1)
    return tuple(result)


def _is_same(pair: tuple[Size, Size], size: Size, covered: Size, stride: int) -> bool:
    return any(pair == same_padding(size, covered, stride, lower) for lower in (False, True))


def unify_shapes(left: Sequence[Size], right: Sequence[Size], message: str, hint: str | None = None) -> None:
    """Raise a ShapeError with the message unless the two shapes are, or are assumed, equal."""
    same = len(left) == len(right) and all(dims.unify(*pair) is not None for pair in zip(left, right))
    require(same, f"{message}: {show(left)} != {show(right)}", hint)


# In NumPy


def pad_spatial(x: np.ndarray, padding: Any, value: Any = 0) -> np.ndarray:
    """x with its spatial axes padded by `value`; x itself where there is nothing to pad."""
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def window_view(
    x: np.ndarray, kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> np.ndarray:
    """A view of padded x with the axes N, C, positions..., kernel....

    Raises:
        ShapeError: if a window does not fit, as may be where sizes were not known before.

    >>> window_view(np.arange(5.0).reshape(1, 1, 5), (2,), (2,), (1,))[0, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    spatial = tuple(range(2, x.ndim))
    covered: Any = tuple(map(extent, kernel, dilation))
    for axis, (places, size) in enumerate(zip(covered, x.shape[2:])):
        require(
            places <= size,
            f"a window of {places} places does not fit into spatial axis {axis}, padded to {size}",
        )
    windows = np.lib.stride_tricks.sliding_window_view(x, covered, axis=spatial)
    steps = tuple(slice(None, None, step) for step in (*strides, *dilation))
    return windows[(slice(None), slice(None), *steps)]


def window_slices(
    positions: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """For each place of the kernel, in row-major order: its index, and the slices of a padded
    array that hold what the windows have at that place."""
    for place in product(*map(range, kernel)):
        yield (
            place,
            (slice(None), slice(None))
            + tuple(
                slice(at * gap, at * gap + max((count - 1) * step + 1, 0), step)
                for at, gap, count, step in zip(place, dilation, positions, strides)
            ),
        )


def crop_spatial(x: np.ndarray, padding: Any) -> np.ndarray:
    """The inverse of `pad_spatial`."""
    inner = tuple(slice(before, size - after) for (before, after), size in zip(padding, x.shape[2:]))
    return x[(slice(None), slice(None), *inner)]


def padded_shape(shape: Sequence[int], padding: Any) -> tuple[int, ...]:
    """The shape of `pad_spatial` of an array of that shape."""
    return (*shape[:2], *(size + sum(pair) for size, pair in zip(shape[2:], padding)))


def lowest(dtype: np.dtype) -> Any:
    """The value below all others of a real dtype: the start of a running maximum."""
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf

"""The transposed convolution, which enlarges images by the transpose of what `conv` computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.attrs import freeze
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require
from graphflow.ops.windows import Pads, canonical_padding, extent, per_axis, spatial_rank


@composite
def conv_transpose(
    x: Any,
    w: Any,
    strides: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The transposed convolution: the linear map that is the gradient of `conv` with respect to its input.

    y[n, c, i] = sum of x[n, o, p] w[o, c, k] over all o, p, k with p * strides + k * dilation - before = i,
    and each spatial axis gets the size (size - 1) * strides + extent - before - after + output_padding,
    where extent = (kernel - 1) * dilation + 1.

    Arguments:
        x: floats of shape [batch, channels, *spatial].
        w: kernels of shape [channels, out channels / groups, *kernel].
        strides: by how much the result is larger; an int, or one per spatial axis.
        padding: what is cut off: an int, ints or (before, after) pairs per spatial axis, "valid" for
            nothing, or "same" for a result of size * strides.
        output_padding: places added at the end of each spatial axis, fewer than the stride; those
            whose number a convolution with strides loses.
        dilation: the distance between the elements of a kernel.
        groups: channels are cut into that many groups that do not mix.

    Returns:
        [batch, out channels, *spatial].

    Raises:
        ShapeError, AttributeValueError: if channels, sizes or paddings do not fit.

    Source: ONNX ConvTranspose-22; Dumoulin and Visin, "A guide to convolution arithmetic" (2016).

    >>> import graphflow as gf
    >>> x, w = gf.placeholder("x", ("batch", 16, 4, 4)), gf.variable("w", (16, 8, 2, 2))
    >>> gf.nn.conv_transpose(x, w, strides=2).type
    float32[batch, 8, 8, 8]
    """
    b, (x, w) = with_tensors(x, w)
    count = spatial_rank(x.ndim, "conv_transpose")
    require(
        w.ndim == x.ndim,
        f"conv_transpose needs a kernel of {x.ndim} axes (channels, out channels / groups, and one per "
        f"spatial axis), not of rank {w.ndim}",
    )
    strides = per_axis(freeze(strides), count, "strides", "conv_transpose")
    dilation = per_axis(freeze(dilation), count, "dilation", "conv_transpose")
    extra = _output_padding(freeze(output_padding), count, strides)
    covered = [extent(*pair) for pair in zip(w.shape[2:], dilation)]
    padding, extra = _cuts(freeze(padding), x.shape[2:], covered, strides, extra)
    sizes = [
        (size - 1) * stride + places - sum(pair) + more
        for size, stride, places, pair, more in zip(x.shape[2:], strides, covered, padding, extra)
    ]
    return b.conv_input_gradient(
        x,
        w,
        input_shape=(x.shape[0], w.shape[1] * groups, *sizes),
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _output_padding(value: Any, count: int, strides: Sequence[int]) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,) * count
    fits = len(values) == count and all(
        isinstance(one, int) and not isinstance(one, bool) and 0 <= one < stride
        for one, stride in zip(values, strides)
    )
    if not fits:
        raise AttributeValueError(
            f"conv_transpose got output_padding={value!r} with the strides {strides}",
            hint="pass an int from 0 up to, not including, the stride, or one per spatial axis",
        )
    return values


def _cuts(
    padding: Any,
    sizes: Sequence[Size],
    covered: Sequence[Size],
    strides: Sequence[int],
    extra: tuple[int, ...],
) -> tuple[Pads, tuple[Any, ...]]:
    """The padding to cut off, and the places to add; "same" decides both."""
    ones = (1,) * len(strides)
    if isinstance(padding, str) and padding.lower() == "same":
        totals: list[Any] = [places - stride for places, stride in zip(covered, strides)]
        pairs = tuple((max(total, 0) // 2, max(total, 0) - max(total, 0) // 2) for total in totals)
        return pairs, tuple(max(-total, 0) for total in totals)
    return canonical_padding(padding, sizes, covered, ones, ones, "conv_transpose"), extra

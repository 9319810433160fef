"""The transposed convolution, which enlarges images by the transpose of what `conv` computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.attrs import freeze
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape, as_shape
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require
from graphflow.ops.windows import SAME, Pads, canonical_padding, extent, halves, per_axis, spatial_rank


@composite
def conv_transpose(
    x: Any,
    w: Any,
    strides: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    output_shape: Any = None,
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
            nothing, or "same" (the odd place is cut off at the end) or "same_lower" (at the beginning)
            for a result of size * strides.
        output_padding: places added at the end of each spatial axis, fewer than the stride; those
            whose number a convolution with strides loses.
        dilation: the distance between the elements of a kernel.
        groups: channels are cut into that many groups that do not mix.
        output_shape: the spatial sizes of the result, which decide what is cut off: halves of what is too
            much, the odd place at the beginning unless padding is "same"; what lacks is added at the end,
            fewer places than the stride.

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
    covered = [extent(*pair) for pair in zip(w.shape[2:], dilation)]
    added = _output_padding(freeze(output_padding), count, strides)
    sizes, padding = _placed(x.shape[2:], covered, strides, added, freeze(padding), output_shape)
    return b.conv_input_gradient(
        x,
        w,
        input_shape=(x.shape[0], w.shape[1] * groups, *sizes),
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _placed(
    sizes: Sequence[Size],
    covered: Sequence[Size],
    strides: Sequence[int],
    added: Sequence[int],
    padding: Any,
    output_shape: Any,
) -> tuple[Sequence[Size], Pads]:
    """The spatial sizes of the result, and what is cut off to get them."""
    full = [
        (size - 1) * stride + places + more
        for size, stride, places, more in zip(sizes, strides, covered, added)
    ]
    wanted = _wanted(sizes, strides, padding, output_shape)
    if wanted is not None:
        return wanted, _cuts(full, wanted, strides, added, padding)
    ones = (1,) * len(sizes)
    pads = canonical_padding(padding, sizes, covered, ones, ones, "conv_transpose")
    return tuple(size - before - after for size, (before, after) in zip(full, pads)), pads


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


def _wanted(sizes: Sequence[Size], strides: Sequence[int], padding: Any, output_shape: Any) -> Shape | None:
    """The spatial sizes of the result, if they are given or padding is "same"."""
    named = isinstance(padding, str) and padding.lower() in SAME
    if output_shape is None:
        return tuple(size * stride for size, stride in zip(sizes, strides)) if named else None
    if not named and padding not in (0, "valid"):
        raise AttributeValueError(
            f"conv_transpose got both padding={padding!r} and output_shape={output_shape!r:.80}",
            hint="output_shape decides the padding: leave it out, or pass 'same' or 'same_lower'",
        )
    wanted = as_shape(output_shape)
    require(
        len(wanted) == len(sizes),
        f"conv_transpose got {len(wanted)} sizes of output_shape for {len(sizes)} spatial axes",
    )
    return wanted


def _cuts(
    full: Sequence[Size], wanted: Shape, strides: Sequence[int], added: Sequence[int], padding: Any
) -> Pads:
    """The padding that leaves the wanted sizes; where they are larger there is none."""
    for axis, (size, want, stride, more) in enumerate(zip(full, wanted, strides, added)):
        lacks = want - size
        require(
            not isinstance(lacks, int) or lacks + more < stride,
            f"conv_transpose cannot make {want} places of spatial axis {axis}: it gets {size}",
            f"ask for at most {size + stride - 1 - more}, and pad the result with gf.pad",
        )
    lower = not (isinstance(padding, str) and padding.lower() in ("same", "same_upper"))
    return tuple(halves(dims.maximum(size - want, 0), lower) for size, want in zip(full, wanted))

"""Convolutions and products with weights cut into panels, and what follows them in the same pass.

A kernel of machine code multiplies one element of an image by a whole vector of weights: by those of
`lanes` outputs that lie side by side. So weights [*kernel, channels / groups, outputs] that do not change
are cut once into panels [groups, panels, prod(kernel) * channels / groups, lanes], of which each is read
from its beginning to its end; the last one of a group is filled up with zeros. Where each output has a
channel of its own, panels are of one group, [1, panels, prod(kernel), lanes]. A bias, another tensor that
is added, and bounds cost nothing more where they are applied before a result is written.

Users write `conv` and `matmul`; the pass `pack-weights` puts this in their place where the target has such
a kernel.
"""

from __future__ import annotations

from math import inf, prod

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.aligned import aligned_copy
from graphflow.ir.dtypes import float32
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.channels_last import channels_last_conv, image_first, image_last, kernel_first
from graphflow.ops.inference import real_number, require, whole_number
from graphflow.ops.windows import canonical_padding, output_sizes, per_axis, unify_shapes

_NAME = "packed_conv"
MOST_AXES = 2
"""Spatial axes that an image may have."""


def is_depthwise(groups, channels, outputs):
    """Whether each output is made of one channel, its own."""
    return groups == channels == outputs


def packed(weights, groups, lanes):
    """Weights [*kernel, channels / groups, outputs] in panels of so many outputs of one group.

    They are the same memory where a group's outputs are one whole panel.

    >>> packed(np.ones((3, 3, 4, 10), np.float32), 2, 4).shape
    (2, 2, 36, 4)
    >>> packed(np.ones((3, 3, 1, 10), np.float32), 10, 4).shape
    (1, 3, 9, 4)
    """
    if is_depthwise(groups, weights.shape[-2] * groups, weights.shape[-1]):
        groups = 1
    outputs = weights.shape[-1] // groups
    count = -(-outputs // lanes)
    parts = weights.reshape(prod(weights.shape[:-1]), groups, outputs)
    if count * lanes != outputs:
        filled = np.zeros((len(parts), groups, count * lanes), weights.dtype)
        filled[:, :, :outputs] = parts
        parts = filled
    panels = parts.reshape(len(parts), groups, count, lanes).transpose(1, 2, 0, 3)
    return panels if panels.flags.c_contiguous else aligned_copy(panels)


def panels_of(b, weights, groups, lanes):
    """`packed` as nodes, for weights of known sizes that are no constant."""
    if is_depthwise(groups, weights.shape[-2] * groups, weights.shape[-1]):
        groups = 1
    rows, outputs = prod(weights.shape[:-1]), weights.shape[-1] // groups
    count = -(-outputs // lanes)
    parts = b.reshape(weights, shape=(rows, groups, outputs))
    if count * lanes != outputs:
        parts = b.pad(parts, pads=((0, 0), (0, 0), (0, count * lanes - outputs)))
    return b.permute_dims(b.reshape(parts, shape=(rows, groups, count, lanes)), axes=(1, 2, 0, 3))


def unpacked(panels, kernel, outputs):
    """The weights [*kernel, channels / groups, outputs] of panels.

    >>> weights = np.arange(30.0).reshape(3, 10)
    >>> np.array_equal(unpacked(packed(weights, 1, 4), (), 10), weights)
    True
    """
    groups, count, rows, lanes = panels.shape
    parts = panels.transpose(2, 0, 1, 3).reshape(rows, groups, count * lanes)[:, :, : outputs // groups]
    return parts.reshape(*kernel, rows // prod(kernel), outputs)


def _normalize(types, attrs):
    require(len(types) >= 2, f"{_NAME} needs an image and panels")
    x = types[0]
    require(2 <= x.rank <= 2 + MOST_AXES, f"{_NAME} needs an image of rank 2 to 4, not {x.rank}")
    count = x.rank - 2
    outputs = whole_number(attrs["outputs"], f"outputs of {_NAME}", 0)
    groups = per_axis(attrs["groups"], 1, "groups", _NAME)[0]
    require(outputs % groups == 0, f"{_NAME}: {outputs} outputs do not divide into {groups} groups")
    require(count > 0 or groups == 1, f"{_NAME} has groups for images alone, not for rows")
    kernel, strides, dilation = [
        _per_axis(attrs[name], count, name) for name in ("kernel", "strides", "dilation")
    ]
    padding = canonical_padding(attrs["padding"], x.shape[1:-1], kernel, strides, dilation, _NAME)
    lower, upper = [_bound(attrs[name], f"{name} of {_NAME}") for name in ("lower", "upper")]
    return {
        **attrs, "kernel": kernel, "outputs": outputs, "strides": strides, "padding": padding,
        "dilation": dilation, "groups": groups, "lower": lower, "upper": upper,
    }  # fmt: skip


def _per_axis(value, count, what):
    """A positive int per spatial axis; rows have none."""
    if count:
        return per_axis(value, count, what, _NAME)
    if value not in ((), 1):
        raise AttributeValueError(f"{_NAME} got {what}={value!r:.80} for rows", hint="pass () for rows")
    return ()


def _bound(value, what):
    """A bound as the float32 that it is compared as."""
    number = real_number(value, what)
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def _type(types, attrs):
    for type in types:
        if type.dtype is not float32:
            raise DTypeError(f"{_NAME} does not take {type.dtype}", hint="it takes float32 alone; use conv")
    (x, panels), rest = types[:2], types[2:]
    groups, kernel, outputs = attrs["groups"], attrs["kernel"], attrs["outputs"]
    require(panels.rank == 4, f"{_NAME} needs panels of rank 4, not {panels.rank}; `packed` makes them")
    lanes = panels.shape[3]
    sides = 1 if is_depthwise(groups, x.shape[-1], outputs) else groups
    inner = x.shape[-1] // groups
    wanted = (sides, (outputs // sides + lanes - 1) // lanes, prod(kernel) * inner, lanes)
    unify_shapes(panels.shape, wanted, f"{_NAME}: the panels do not fit the channels, outputs and groups")
    geometry = (kernel, attrs["strides"], attrs["padding"], attrs["dilation"], _NAME)
    sizes = output_sizes(x.shape[1:-1], *geometry) if kernel else ()
    made = TensorType(float32, (x.shape[0], *sizes, outputs))
    shapes = [(outputs,)] * attrs["bias"] + [made.shape] * attrs["addend"]
    if len(rest) != len(shapes):
        raise ShapeError(
            f"{_NAME} got {len(rest)} tensors after the panels, where bias={attrs['bias']} and "
            f"addend={attrs['addend']} need {len(shapes)}",
            hint="pass the bias first, then what is added",
        )
    for kind, shape in zip(rest, shapes):
        unify_shapes(kind.shape, shape, f"{_NAME}: what is added does not have the shape of the result")
    return (made,)


@op("conv", infer=_type, normalize=_normalize, traits="contraction")
def packed_conv(
    x, panels, /, *rest, kernel, outputs, strides=1, padding=0, dilation=1, groups=1,
    bias=False, addend=False, lower=-inf, upper=inf,
):  # fmt: skip
    """A convolution or product with panels of weights: y = clip(conv(x, w) + bias + addend, lower, upper).

    It is `channels_last_conv` up to rounding; without spatial axes, the product of the rows of x with w.

    Arguments:
        x: float32 [batch, *spatial, channels], of 0 to 2 spatial axes.
        panels: float32 [groups, panels, prod(kernel) * channels / groups, lanes], of `packed`; of one group
            where each output has a channel of its own.
        rest: a bias [outputs] if `bias`, then what is added, of the result's shape, if `addend`.
        kernel: the sizes of the kernel, one per spatial axis.
        outputs: how many channels the result has.
        strides, padding, dilation, groups: see `conv`; rows have no groups.
        bias, addend: which tensors follow.
        lower, upper: bounds, -inf and inf for none. NaN stays NaN; of two zeros of different sign either
            may come out.

    Returns:
        float32 [batch, *positions, outputs].

    Raises:
        ShapeError: if sizes do not fit, or `rest` is not what `bias` and `addend` say.
        DTypeError: for anything but float32.
        AttributeValueError: for attributes that there are not, and bounds that are NaN.

    Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).

    >>> import graphflow as gf
    >>> x, panels = gf.placeholder("x", ("batch", 8, 8, 3)), gf.placeholder("panels", (1, 2, 27, 16))
    >>> conv = gf.ops.packed_conv.packed_conv
    >>> conv(x, panels, kernel=(3, 3), outputs=20, padding="same", lower=0.0).type
    float32[batch, 8, 8, 20]
    """
    w = unpacked(panels, kernel, outputs)
    with np.errstate(invalid="ignore", over="ignore"):
        if kernel:
            geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
            made = channels_last_conv.reference(x, np.ascontiguousarray(w), **geometry)
        else:
            made = np.matmul(x, w)
        for one in rest:
            made = made + one
    return np.minimum(np.maximum(made, np.float32(lower)), np.float32(upper))


packed_conv.not_differentiable(
    "the optimizer makes it when gradients have been taken; differentiate conv or matmul instead"
)


@packed_conv.decomposition
def _(b, node):
    """The same by permutations, conv or matmul, sums and bounds."""
    (x, panels, *rest), attrs = node.inputs, node.attrs
    w = _unpacked_in_graph(b, panels, attrs)
    if attrs.kernel:
        geometry = {name: attrs[name] for name in ("strides", "padding", "dilation", "groups")}
        image = b.permute_dims(x, axes=image_first(x.ndim))
        kernels = b.permute_dims(w, axes=kernel_first(w.ndim))
        made = b.permute_dims(b.conv(image, kernels, **geometry), axes=image_last(x.ndim))
    else:
        made = b.matmul(x, w)
    for one in rest:
        made = b.add(made, one)
    if attrs.lower != -inf:
        made = b.relu(made) if attrs.lower == 0 else b.maximum(made, attrs.lower)
    return [made if attrs.upper == inf else b.minimum(made, attrs.upper)]


def _unpacked_in_graph(b, panels, attrs):
    """`unpacked` as nodes."""
    groups, count, rows, lanes = panels.shape
    parts = b.reshape(b.permute_dims(panels, axes=(2, 0, 1, 3)), shape=(rows, groups, count * lanes))
    parts = b.slice(parts, starts=(0,), stops=(attrs.outputs // groups,), axes=(2,))
    return b.reshape(parts, shape=(*attrs.kernel, rows // prod(attrs.kernel), attrs.outputs))

"""Convolution and its two gradients: three operators, each the derivative of the others.

With x, w and y = conv(x, w) joined by the trilinear form

    T(x, w, g) = sum_(n,o,p,c,k) g[n, o, p] x[n, c, p * stride + k * dilation - before] w[o, c, k]

`conv` is dT/dg, `conv_input_gradient` is dT/dx and `conv_weight_gradient` is dT/dw, so the three
are closed under differentiation. Layouts are N C spatial for x, O C/groups kernel for w.
"""

from __future__ import annotations

from math import prod

import numpy as np

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


def _canonical(attrs, x_shape, w_shape, operation):
    """The attributes that all three share, in canonical form."""
    count = spatial_rank(len(x_shape), operation)
    require(
        len(w_shape) == len(x_shape),
        f"{operation} needs a kernel of {count + 2} axes (out channels, in channels / groups, and one per "
        f"spatial axis), not of rank {len(w_shape)}",
    )
    strides = per_axis(attrs["strides"], count, "strides", operation)
    dilation = per_axis(attrs["dilation"], count, "dilation", operation)
    padding = canonical_padding(attrs["padding"], x_shape[2:], w_shape[2:], strides, dilation, operation)
    groups = per_axis(attrs["groups"], 1, "groups", operation)[0]
    return {**attrs, "strides": strides, "dilation": dilation, "padding": padding, "groups": groups}


def _output_shape(x_shape, w_shape, attrs, operation):
    """The shape of conv(x, w), once the channels are found to fit."""
    groups = attrs["groups"]
    outputs, inner, channels = w_shape[0], w_shape[1], x_shape[1]
    require(
        dims.unify(inner * groups, channels) is not None,
        f"{operation}: the input has {channels} channels, but the kernel takes {inner} x {groups} groups",
        "a kernel's axes are out channels, in channels / groups, and one per spatial axis",
    )
    divides = dims.unify(outputs % groups, 0) is not None
    require(divides, f"{operation}: {outputs} out channels do not divide into {groups} groups")
    geometry = (attrs["strides"], attrs["padding"], attrs["dilation"])
    return (x_shape[0], outputs, *output_sizes(x_shape[2:], w_shape[2:], *geometry, operation))


def _normalize_conv(types, attrs):
    return _canonical(attrs, types[0].shape, types[1].shape, "conv")


def _conv_type(types, attrs):
    shape = _output_shape(types[0].shape, types[1].shape, attrs, "conv")
    return (TensorType(types[0].dtype, shape),)


@op(
    "conv",
    infer=only("int uint float", _conv_type, "conv"),
    normalize=_normalize_conv,
    promotion="same",
    traits="contraction",
)
@wide
def conv(x, w, /, strides=1, padding=0, dilation=1, groups=1):
    """The convolution (cross-correlation) of x with the kernels w over 1 to 3 spatial axes.

    y[n, o, p] = sum_(c,k) x[n, c, p * strides + k * dilation - before] w[o, c, k], where x is zero
    outside, and c runs over the channels of the group that o belongs to.

    Arguments:
        x: numbers of shape [batch, channels, *spatial].
        w: kernels of shape [out channels, channels / groups, *kernel].
        strides: by how much windows move; an int, or one per spatial axis.
        padding: zeros around x: an int, ints or (before, after) pairs per spatial axis, "valid" for
            none, or "same" for ceil(size / stride) positions (the odd zero goes to the end; with
            "same_lower" to the beginning).
        dilation: the distance between the elements of a window.
        groups: channels are cut into that many groups that do not mix.

    Returns:
        [batch, out channels, *positions] of the promoted dtype.

    Raises:
        ShapeError: if channels or sizes do not fit.

    Source: ONNX Conv-22; XLA ConvGeneralDilated.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 3, 8, 8))
    >>> gf.nn.conv(x, gf.variable("w", (16, 3, 3, 3)), padding="same").type
    float32[batch, 16, 8, 8]
    """
    kernel = w.shape[2:]
    windows = window_view(pad_spatial(x, padding), kernel, strides, dilation)
    filters = np.ascontiguousarray(w).reshape(groups, w.shape[0] // groups, prod(w.shape[1:]))
    made = [columns @ one.T for columns, one in zip(_columns(windows, groups, len(kernel)), filters)]
    rows = np.concatenate(made, axis=1) if groups > 1 else made[0]
    result = rows.reshape(x.shape[0], *windows.shape[2 : 2 + len(kernel)], w.shape[0])
    return np.ascontiguousarray(np.moveaxis(result, -1, 1))


@conv.gradient
def _(b, node, g):
    x, w = node.inputs
    return [
        lambda: b.conv_input_gradient(g, w, input_shape=x.shape, **node.attrs),
        lambda: b.conv_weight_gradient(x, g, kernel_shape=w.shape, **node.attrs),
    ]


def _rows(g):
    """g as the matrix [batch * positions, out channels].

    Of an array in the order of its axes, as kernels are too: products of others round differently.
    """
    g = np.ascontiguousarray(g)
    return np.moveaxis(g, 1, -1).reshape(g.shape[0] * prod(g.shape[2:]), g.shape[1])


def _columns(windows, groups, count):
    """For each group the matrix [batch * positions, channels * kernel] of what its windows hold."""
    inner = windows.shape[1] // groups
    for group in range(groups):
        part = windows[:, group * inner : (group + 1) * inner]
        part = np.moveaxis(part, 1, 1 + count)
        rows = prod(part.shape[: 1 + count])
        yield part.reshape(rows, prod(part.shape[1 + count :]))


def _normalize_input_gradient(types, attrs):
    attrs = {**attrs, "input_shape": as_shape(attrs["input_shape"])}
    return _canonical(attrs, attrs["input_shape"], types[1].shape, "conv_input_gradient")


def _input_gradient_type(types, attrs):
    shape = attrs["input_shape"]
    made = _output_shape(shape, types[1].shape, attrs, "conv_input_gradient")
    unify_shapes(types[0].shape, made, "conv_input_gradient: g does not have the shape of the convolved x")
    return (TensorType(types[0].dtype, shape),)


@op(
    "conv",
    infer=only("float", _input_gradient_type, "conv_input_gradient"),
    normalize=_normalize_input_gradient,
    promotion="same",
    traits="contraction",
)
@wide
def conv_input_gradient(g, w, /, input_shape, strides=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv` with respect to its input; also the transposed convolution.

    dx[n, c, i] = sum of g[n, o, p] w[o, c, k] over all o, p, k with p * strides + k * dilation - before = i.

    Arguments:
        g: the cotangent of the convolution's result, [batch, out channels, *positions].
        w: the kernels, [out channels, channels / groups, *kernel].
        input_shape: the shape of the convolution's input, [batch, channels, *spatial].
        strides, padding, dilation, groups: those of the convolution.

    Returns:
        a tensor of shape `input_shape`.

    Source: ONNX ConvTranspose-22; Dumoulin and Visin, "A guide to convolution arithmetic" (2016).

    >>> import graphflow as gf
    >>> g, w = gf.placeholder("g", (1, 8, 4, 4)), gf.placeholder("w", (8, 3, 3, 3))
    >>> gf.ops.conv.conv_input_gradient(g, w, input_shape=(1, 3, 6, 6)).type
    float32[1, 3, 6, 6]
    """
    kernel, positions, rows, w = w.shape[2:], g.shape[2:], _rows(g), np.ascontiguousarray(w)
    inner, outer = w.shape[1], w.shape[0] // groups
    dx = np.zeros(padded_shape(input_shape, padding), g.dtype)
    for group in range(groups):
        mine = slice(group * outer, (group + 1) * outer)
        columns = rows[:, mine] @ w[mine].reshape(outer, prod(w.shape[1:]))
        columns = np.moveaxis(columns.reshape(g.shape[0], *positions, inner, *kernel), 1 + len(positions), 1)
        target = dx[:, group * inner : (group + 1) * inner]
        for place, where in window_slices(positions, kernel, strides, dilation):
            target[where] += columns[(..., *place)]
    return np.ascontiguousarray(crop_spatial(dx, padding))


@conv_input_gradient.gradient
def _(b, node, u):
    g, w = node.inputs
    geometry = {name: value for name, value in node.attrs.items() if name != "input_shape"}
    return [
        b.conv(u, w, **geometry),
        b.conv_weight_gradient(u, g, kernel_shape=w.shape, **geometry),
    ]


def _normalize_weight_gradient(types, attrs):
    attrs = {**attrs, "kernel_shape": as_shape(attrs["kernel_shape"])}
    return _canonical(attrs, types[0].shape, attrs["kernel_shape"], "conv_weight_gradient")


def _weight_gradient_type(types, attrs):
    shape = attrs["kernel_shape"]
    made = _output_shape(types[0].shape, shape, attrs, "conv_weight_gradient")
    unify_shapes(types[1].shape, made, "conv_weight_gradient: g does not have the shape of the convolved x")
    return (TensorType(types[0].dtype, shape),)


@op(
    "conv",
    infer=only("float", _weight_gradient_type, "conv_weight_gradient"),
    normalize=_normalize_weight_gradient,
    promotion="same",
    traits="contraction",
)
@wide
def conv_weight_gradient(x, g, /, kernel_shape, strides=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv` with respect to its kernels.

    dw[o, c, k] = sum_(n,p) g[n, o, p] x[n, c, p * strides + k * dilation - before].

    Arguments:
        x: the input of the convolution, [batch, channels, *spatial].
        g: the cotangent of its result, [batch, out channels, *positions].
        kernel_shape: the shape of the kernels, [out channels, channels / groups, *kernel].
        strides, padding, dilation, groups: those of the convolution.

    Returns:
        a tensor of shape `kernel_shape`.

    Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), section 9.5.

    >>> import graphflow as gf
    >>> x, g = gf.placeholder("x", (1, 3, 6, 6)), gf.placeholder("g", (1, 8, 4, 4))
    >>> gf.ops.conv.conv_weight_gradient(x, g, kernel_shape=(8, 3, 3, 3)).type
    float32[8, 3, 3, 3]
    """
    kernel, outer, rows = kernel_shape[2:], kernel_shape[0] // groups, _rows(g)
    windows = window_view(pad_spatial(x, padding), kernel, strides, dilation)
    made = [
        rows[:, group * outer : (group + 1) * outer].T @ columns
        for group, columns in enumerate(_columns(windows, groups, len(kernel)))
    ]
    return np.concatenate(made, axis=0).reshape(kernel_shape)


@conv_weight_gradient.gradient
def _(b, node, v):
    x, g = node.inputs
    geometry = {name: value for name, value in node.attrs.items() if name != "kernel_shape"}
    return [
        b.conv_input_gradient(g, v, input_shape=x.shape, **geometry),
        b.conv(x, v, **geometry),
    ]

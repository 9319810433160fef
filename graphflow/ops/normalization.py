"""Normalization: subtract a mean, divide by a standard deviation, then scale and shift.

Batch normalization takes its statistics as inputs, so that one operator serves training (the
statistics of the batch) and inference (moving averages, which later fold into a convolution).
Layer normalization computes them itself, the variance in a second pass over x - mean: the mean
of x^2 less the square of the mean would lose all digits where the mean is large.
"""

from __future__ import annotations

from math import prod

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.dtypes import float32
from graphflow.ir.opdef import op
from graphflow.ops.inference import normalize_axis, only, require, show
from graphflow.ops.precision import wide
from graphflow.ops.windows import unify_shapes


def _epsilon(attrs, operation):
    """The attribute epsilon as a float; it must not be negative, nor NaN."""
    value = attrs["epsilon"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise AttributeValueError(f"{operation} got epsilon={value!r}", hint="use a small number, like 1e-5")
    return float(value)


def _batch_attrs(types, attrs):
    axis = normalize_axis(attrs["axis"], types[0].rank, "batch_normalization")
    return {"epsilon": _epsilon(attrs, "batch_normalization"), "axis": axis}


def _batch_type(types, attrs):
    x, channels = types[0], types[0].shape[attrs["axis"]]
    for name, type in zip(("mean", "variance", "scale", "offset"), types[1:]):
        unify_shapes(
            type.shape, (channels,), f"batch_normalization needs one {name} for each of the channels of {x}"
        )
    return (x,)


@op(
    "normalization",
    infer=only("float", _batch_type, "batch_normalization"),
    promotion="float",
    normalize=_batch_attrs,
)
@wide
def batch_normalization(x, mean, variance, scale, offset, /, epsilon=1e-5, axis=1):
    """Normalize channels with given statistics: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    Arguments:
        x: floats; its axis `axis` holds the channels.
        mean, variance, scale, offset: one number for each channel.
        epsilon: what keeps the root away from zero.
        axis: the axis of the channels.

    Returns:
        a tensor of the type of x.

    Source: Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1; ONNX BatchNormalization-15.

    >>> import graphflow as gf
    >>> x, c = gf.placeholder("x", ("batch", 16, 8, 8)), gf.constant([1.0] * 16)
    >>> gf.ops.normalization.batch_normalization(x, c, c, c, c).type
    float32[batch, 16, 8, 8]
    """
    shape = [-1 if position == axis else 1 for position in range(x.ndim)]
    factor = scale / np.sqrt(variance + x.dtype.type(epsilon))
    return (x - mean.reshape(shape)) * factor.reshape(shape) + offset.reshape(shape)


def _channels(tensor, axis):
    """The shape that makes a vector broadcast along the axis of a tensor."""
    return tuple(size if position == axis else 1 for position, size in enumerate(tensor.shape))


def _wide(b, *tensors):
    """The tensors, in float32 where they are 16-bit floats."""
    return [b.astype(one, dtype=float32) if one.dtype.itemsize == 2 else one for one in tensors]


def _narrow(b, node, cotangents):
    """The cotangents in the dtype of the node's inputs."""
    dtype = node.inputs[0].dtype
    return [one if one.dtype is dtype else b.astype(one, dtype=dtype) for one in cotangents]


def _inverse_deviation(b, variance, epsilon):
    return b.rsqrt(b.add(variance, b.like(epsilon, variance)))


@batch_normalization.gradient
def _(b, node, g):
    x, mean, variance, scale, _, g = _wide(b, *node.inputs, g)
    axis, shape = node.attrs["axis"], _channels(x, node.attrs["axis"])
    others = tuple(position for position in range(x.ndim) if position != axis)
    inverse = _inverse_deviation(b, variance, node.attrs["epsilon"])
    factor = b.multiply(scale, inverse)
    centered = b.subtract(x, b.reshape(mean, shape=shape))
    total = b.sum(g, axis=others)
    d_scale = b.multiply(b.sum(b.multiply(g, centered), axis=others), inverse)
    d_variance = b.multiply(b.multiply(d_scale, b.multiply(factor, inverse)), b.like(-0.5, scale))
    d_mean = b.negative(b.multiply(total, factor))
    d_x = b.multiply(g, b.reshape(factor, shape=shape))
    return _narrow(b, node, [d_x, d_mean, d_variance, d_scale, total])


@batch_normalization.decomposition
def _(b, node):
    x, mean, variance, scale, offset = _wide(b, *node.inputs)
    shape = _channels(x, node.attrs["axis"])
    factor = b.multiply(scale, _inverse_deviation(b, variance, node.attrs["epsilon"]))
    centered = b.subtract(x, b.reshape(mean, shape=shape))
    y = b.add(b.multiply(centered, b.reshape(factor, shape=shape)), b.reshape(offset, shape=shape))
    return _narrow(b, node, [y])


def _layer_attrs(types, attrs):
    axis = normalize_axis(attrs["axis"], types[0].rank, "layer_normalization")
    return {"axis": axis, "epsilon": _epsilon(attrs, "layer_normalization")}


def _layer_type(types, attrs):
    x, inner = types[0], types[0].shape[attrs["axis"] :]
    require(0 not in inner, f"layer_normalization has nothing to normalize in the axes {show(inner)} of {x}")
    for name, type in zip(("scale", "offset"), types[1:]):
        unify_shapes(
            type.shape, inner, f"layer_normalization: {name} does not have the shape of the normalized axes"
        )
    return (x,)


@op(
    "normalization",
    infer=only("float", _layer_type, "layer_normalization"),
    promotion="float",
    normalize=_layer_attrs,
)
@wide
def layer_normalization(x, scale, offset, /, axis=-1, epsilon=1e-5):
    """Normalize over the axes from `axis` on: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    mean and variance (the mean of (x - mean)^2) are those of each slice along these axes.

    Arguments:
        x: floats.
        scale, offset: of the shape of the normalized axes, x.shape[axis:].
        axis: the first axis to normalize over.
        epsilon: what keeps the root away from zero.

    Returns:
        a tensor of the type of x.

    Source: Ba, Kiros and Hinton, "Layer normalization" (2016); ONNX LayerNormalization-17.

    >>> import graphflow as gf
    >>> x, c = gf.placeholder("x", ("batch", 16)), gf.constant([1.0] * 16)
    >>> gf.ops.normalization.layer_normalization(x, c, c).type
    float32[batch, 16]
    """
    rows = x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))
    centered = rows - np.mean(rows, axis=1, keepdims=True)
    variance = np.mean(np.square(centered), axis=1, keepdims=True)
    normal = centered / np.sqrt(variance + x.dtype.type(epsilon))
    return normal.reshape(x.shape) * scale + offset


def _normalized(b, x, axis, epsilon):
    """(x - mean) / deviation over the axes from `axis` on, and 1 / deviation."""
    axes = tuple(range(axis, x.ndim))
    centered = b.subtract(x, b.mean(x, axis=axes, keepdims=True))
    variance = b.mean(b.square(centered), axis=axes, keepdims=True)
    inverse = _inverse_deviation(b, variance, epsilon)
    return b.multiply(centered, inverse), inverse


@layer_normalization.gradient
def _(b, node, g):
    x, scale, _, g = _wide(b, *node.inputs, g)
    axis = node.attrs["axis"]
    outer, inner = tuple(range(axis)), tuple(range(axis, x.ndim))
    normal, inverse = _normalized(b, x, axis, node.attrs["epsilon"])
    d_normal = b.multiply(g, scale)
    along = b.mean(b.multiply(d_normal, normal), axis=inner, keepdims=True)
    rest = b.subtract(d_normal, b.mean(d_normal, axis=inner, keepdims=True))
    d_x = b.multiply(inverse, b.subtract(rest, b.multiply(normal, along)))
    d_scale = b.sum(b.multiply(g, normal), axis=outer) if outer else b.multiply(g, normal)
    d_offset = b.sum(g, axis=outer) if outer else g
    return _narrow(b, node, [d_x, d_scale, d_offset])


@layer_normalization.decomposition
def _(b, node):
    x, scale, offset = _wide(b, *node.inputs)
    normal, _ = _normalized(b, x, node.attrs["axis"], node.attrs["epsilon"])
    return _narrow(b, node, [b.add(b.multiply(normal, scale), offset)])

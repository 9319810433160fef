"""Softmax and its logarithm: exponentials along an axis that add up to one (family activation)."""

from __future__ import annotations

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ops.inference import normalize_axis, only, same_type
from graphflow.ops.precision import wide


def _along_axis(operation):
    def normalize(types, attrs):
        return {"axis": normalize_axis(attrs["axis"], types[0].rank, operation)}

    return normalize


def _shifted(x, axis):
    return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)


@op(
    "activation",
    infer=only("float", same_type, "softmax"),
    promotion="float",
    normalize=_along_axis("softmax"),
)
@wide
def softmax(x, /, axis=-1):
    """Exponentials that add up to one: y_i = e^(x_i) / sum_j e^(x_j), computed without overflow.

    Arguments:
        x: floats.
        axis: along which the sum goes.

    A slice that holds NaN, inf, or nothing but -inf, gives NaN.
    ONNX Softmax-13.

    >>> import graphflow as gf
    >>> gf.nn.softmax(gf.constant([[1.0, 2.0]]), axis=-1).type
    float32[1, 2]
    """
    powers = np.exp(_shifted(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def _shift(b, x, axis):
    """`_shifted` as nodes; what is empty has no maximum, and needs none."""
    return x if x.shape[axis] == 0 else b.subtract(x, b.max(x, axis=axis, keepdims=True))


@softmax.gradient
def _(b, node, g):
    y, axis = node.output, node.attrs["axis"]
    mean = b.sum(b.multiply(g, y), axis=axis, keepdims=True)
    return [b.multiply(y, b.subtract(g, mean))]


@softmax.decomposition
def _(b, node):
    (x,), axis = node.inputs, node.attrs["axis"]
    powers = b.exp(_shift(b, x, axis))
    return [b.divide(powers, b.sum(powers, axis=axis, keepdims=True))]


@op(
    "activation",
    infer=only("float", same_type, "log_softmax"),
    promotion="float",
    normalize=_along_axis("log_softmax"),
)
@wide
def log_softmax(x, /, axis=-1):
    """The logarithm of softmax, finite where softmax is 0: y_i = x_i - ln(sum_j e^(x_j)).

    Arguments:
        x: floats.
        axis: along which the sum goes.

    ONNX LogSoftmax-13.

    >>> import graphflow as gf
    >>> gf.nn.log_softmax(gf.constant([[1.0, 2.0]]), axis=-1).type
    float32[1, 2]
    """
    shifted = _shifted(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@log_softmax.gradient
def _(b, node, g):
    total = b.sum(g, axis=node.attrs["axis"], keepdims=True)
    return [b.subtract(g, b.multiply(b.exp(node.output), total))]


@log_softmax.decomposition
def _(b, node):
    (x,), axis = node.inputs, node.attrs["axis"]
    shifted = _shift(b, x, axis)
    return [b.subtract(shifted, b.log(b.sum(b.exp(shifted), axis=axis, keepdims=True)))]

"""Activation functions: real functions of one tensor, of its type, and softmax along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ops import special
from graphflow.ops.inference import only, real_number, same_type
from graphflow.ops.precision import wide

_SMOOTH: dict[str, Any] = {
    "infer": only("float", same_type, "an activation"),
    "promotion": "float",
    "traits": "elementwise in_place",
}
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_GELU_CUBIC, _GELU_SCALE = 0.044715, math.sqrt(2 / math.pi)


def _as_floats(types, attrs):
    return {name: real_number(value, f"{name} of an activation") for name, value in attrs.items()}


@op(
    "activation",
    infer=only("int uint float", same_type, "relu"),
    traits="elementwise in_place idempotent",
)
def relu(x, /):
    """The positive part: y = max(x, 0); its derivative at 0 is taken to be 0.

    ONNX Relu-14.

    >>> import graphflow as gf
    >>> gf.nn.relu(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return np.maximum(x, x.dtype.type(0))


@relu.gradient
def _(b, node, g):
    return [b.where(b.greater(node.inputs[0], 0), g, 0)]


@relu.decomposition
def _(b, node):
    return [b.maximum(node.inputs[0], 0)]


@op("activation", **_SMOOTH)
@wide
def sigmoid(x, /):
    """The logistic function, without overflow: y = 1 / (1 + e^(-x)).

    ONNX Sigmoid-13.

    >>> import graphflow as gf
    >>> gf.nn.sigmoid(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return _sigmoid(x)


def _sigmoid(x):
    shrunk = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, shrunk) / (1 + shrunk)


@sigmoid.gradient
def _(b, node, g):
    y = node.output
    return [b.multiply(g, b.multiply(y, b.subtract(1, y)))]


@sigmoid.decomposition
def _(b, node):
    return [b.reciprocal(b.add(b.exp(b.negative(node.inputs[0])), 1))]


@op("activation", **_SMOOTH)
@wide
def softplus(x, /):
    """A smooth relu, without overflow: y = ln(1 + e^x).

    ONNX Softplus-22.

    >>> import graphflow as gf
    >>> gf.nn.softplus(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return np.logaddexp(x, x.dtype.type(0))


@softplus.gradient
def _(b, node, g):
    return [b.multiply(g, b.sigmoid(node.inputs[0]))]


@softplus.decomposition
def _(b, node):
    return [b.logaddexp(node.inputs[0], 0)]


@op("activation", **_SMOOTH)
@wide
def gelu(x, /, approximate=False):
    """x times the normal distribution function: y = x (1 + erf(x / sqrt 2)) / 2.

    Arguments:
        approximate: compute x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 instead.

    ONNX Gelu-20; D. Hendrycks and K. Gimpel, arXiv 1606.08415.

    >>> import graphflow as gf
    >>> gf.nn.gelu(gf.constant([-1.0, 2.0]), approximate=True).type
    float32[2]
    """
    if approximate:
        return x * _sigmoid(2 * _GELU_SCALE * (x + _GELU_CUBIC * x * x * x))
    return 0.5 * x * special.erfc(-x / math.sqrt(2))


def _gelu_tanh(b, x):
    cubic = b.multiply(b.square(x), b.multiply(x, _GELU_CUBIC))
    return b.tanh(b.multiply(b.add(x, cubic), _GELU_SCALE))


@gelu.gradient
def _(b, node, g):
    x = node.inputs[0]
    if node.attrs["approximate"]:
        bend = _gelu_tanh(b, x)
        inner = b.multiply(b.add(b.multiply(b.square(x), 3 * _GELU_CUBIC), 1), _GELU_SCALE)
        slope = b.multiply(b.multiply(x, b.subtract(1, b.square(bend))), inner)
        return [b.multiply(g, b.multiply(b.add(b.add(bend, slope), 1), 0.5))]
    share = b.multiply(b.add(b.erf(b.multiply(x, math.sqrt(0.5))), 1), 0.5)
    bell = b.multiply(b.exp(b.multiply(b.square(x), -0.5)), 1 / math.sqrt(2 * math.pi))
    return [b.multiply(g, b.add(share, b.multiply(x, bell)))]


@gelu.decomposition
def _(b, node):
    x = node.inputs[0]
    bend = _gelu_tanh(b, x) if node.attrs["approximate"] else b.erf(b.multiply(x, math.sqrt(0.5)))
    return [b.multiply(b.multiply(x, 0.5), b.add(bend, 1))]


@op("activation", **_SMOOTH)
@wide
def silu(x, /):
    """x times its logistic function, also called swish: y = x / (1 + e^(-x)).

    ONNX Swish-24; P. Ramachandran et al., arXiv 1710.05941.

    >>> import graphflow as gf
    >>> gf.nn.silu(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return x * _sigmoid(x)


@silu.gradient
def _(b, node, g):
    share = b.sigmoid(node.inputs[0])
    slope = b.add(share, b.multiply(node.output, b.subtract(1, share)))
    return [b.multiply(g, slope)]


@silu.decomposition
def _(b, node):
    return [b.multiply(node.inputs[0], b.sigmoid(node.inputs[0]))]


def _elu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _elu_slope(b, x, alpha):
    return b.where(b.greater(x, 0), 1, b.multiply(b.exp(b.minimum(x, 0)), alpha))


def _elu_parts(b, x, alpha):
    return b.where(b.greater(x, 0), x, b.multiply(b.expm1(b.minimum(x, 0)), alpha))


@op("activation", normalize=_as_floats, **_SMOOTH)
@wide
def elu(x, /, alpha=1.0):
    """The exponential linear unit: y = x if x > 0 else alpha (e^x - 1).

    ONNX Elu-22; D.-A. Clevert et al., arXiv 1511.07289.

    >>> import graphflow as gf
    >>> gf.nn.elu(gf.constant([-1.0, 2.0]), alpha=0.5).type
    float32[2]
    """
    return _elu(x, alpha)


@elu.gradient
def _(b, node, g):
    return [b.multiply(g, _elu_slope(b, node.inputs[0], node.attrs["alpha"]))]


@elu.decomposition
def _(b, node):
    return [_elu_parts(b, node.inputs[0], node.attrs["alpha"])]


@op("activation", normalize=_as_floats, **_SMOOTH)
@wide
def leaky_relu(x, /, alpha=0.01):
    """A relu with a slope below 0: y = x if x >= 0 else alpha x; its derivative at 0 is taken to be 1.

    ONNX LeakyRelu-16.

    >>> import graphflow as gf
    >>> gf.nn.leaky_relu(gf.constant([-1.0, 2.0]), alpha=0.2).type
    float32[2]
    """
    return np.where(x >= 0, x, alpha * x)


@leaky_relu.gradient
def _(b, node, g):
    return [b.where(b.greater_equal(node.inputs[0], 0), g, b.multiply(g, node.attrs["alpha"]))]


@leaky_relu.decomposition
def _(b, node):
    x = node.inputs[0]
    return [b.where(b.greater_equal(x, 0), x, b.multiply(x, node.attrs["alpha"]))]


@op("activation", **_SMOOTH)
@wide
def selu(x, /):
    """The scaled exponential linear unit: y = 1.0507 (x if x > 0 else 1.6733 (e^x - 1)).

    ONNX Selu-22; G. Klambauer et al., arXiv 1706.02515, whose constants it uses in full.

    >>> import graphflow as gf
    >>> gf.nn.selu(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return _SELU_SCALE * _elu(x, _SELU_ALPHA)


@selu.gradient
def _(b, node, g):
    return [b.multiply(g, b.multiply(_elu_slope(b, node.inputs[0], _SELU_ALPHA), _SELU_SCALE))]


@selu.decomposition
def _(b, node):
    return [b.multiply(_elu_parts(b, node.inputs[0], _SELU_ALPHA), _SELU_SCALE)]


def _hard_sigmoid(b, x, alpha, beta):
    return b.minimum(b.maximum(b.add(b.multiply(x, alpha), beta), 0), 1)


@op("activation", normalize=_as_floats, **_SMOOTH)
@wide
def hard_sigmoid(x, /, alpha=1 / 6, beta=0.5):
    """A logistic function of three straight lines: y = min(max(alpha x + beta, 0), 1).

    ONNX HardSigmoid-22, whose alpha is 0.2 by default.

    >>> import graphflow as gf
    >>> gf.nn.hard_sigmoid(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return np.clip(alpha * x + beta, 0, 1)


def _where_sloped(b, share, slope):
    inside = b.logical_and(b.greater(share, 0), b.less(share, 1))
    return b.where(inside, slope, 0)


@hard_sigmoid.gradient
def _(b, node, g):
    return [_where_sloped(b, node.output, b.multiply(g, node.attrs["alpha"]))]


@hard_sigmoid.decomposition
def _(b, node):
    return [_hard_sigmoid(b, node.inputs[0], node.attrs["alpha"], node.attrs["beta"])]


@op("activation", **_SMOOTH)
@wide
def hard_swish(x, /):
    """x times its hard sigmoid: y = x min(max(x / 6 + 1 / 2, 0), 1).

    ONNX HardSwish-22; A. Howard et al., arXiv 1905.02244.

    >>> import graphflow as gf
    >>> gf.nn.hard_swish(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return x * np.clip(x / 6 + 0.5, 0, 1)


@hard_swish.gradient
def _(b, node, g):
    x = node.inputs[0]
    share = b.hard_sigmoid(x)
    return [b.multiply(g, b.add(share, _where_sloped(b, share, b.multiply(x, 1 / 6))))]


@hard_swish.decomposition
def _(b, node):
    x = node.inputs[0]
    return [b.multiply(x, b.hard_sigmoid(x))]


@op("activation", **_SMOOTH)
@wide
def mish(x, /):
    """x times tanh of its softplus: y = x tanh(ln(1 + e^x)).

    ONNX Mish-22; D. Misra, arXiv 1908.08681.

    >>> import graphflow as gf
    >>> gf.nn.mish(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return x * np.tanh(np.logaddexp(x, x.dtype.type(0)))


@mish.gradient
def _(b, node, g):
    x = node.inputs[0]
    bend = b.tanh(b.softplus(x))
    slope = b.multiply(b.multiply(x, b.sigmoid(x)), b.subtract(1, b.square(bend)))
    return [b.multiply(g, b.add(bend, slope))]


@mish.decomposition
def _(b, node):
    return [b.multiply(node.inputs[0], b.tanh(b.softplus(node.inputs[0])))]


@op("activation", **_SMOOTH)
@wide
def softsign(x, /):
    """A sigmoid with slow tails: y = x / (1 + |x|).

    ONNX Softsign-22.

    >>> import graphflow as gf
    >>> gf.nn.softsign(gf.constant([-1.0, 2.0])).type
    float32[2]
    """
    return x / (1 + np.abs(x))


@softsign.gradient
def _(b, node, g):
    return [b.divide(g, b.square(b.add(b.abs(node.inputs[0]), 1)))]


@softsign.decomposition
def _(b, node):
    return [b.divide(node.inputs[0], b.add(b.abs(node.inputs[0]), 1))]

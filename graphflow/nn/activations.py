"""Activations that are made of a few operators: gates, thresholds, and shapes with learnt slopes."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import normalize_axis, real_number, require, show


def _floats(b: Builder, x: Tensor, operation: str) -> Tensor:
    if x.dtype.kind == "complex":
        raise DTypeError(f"{operation} does not take {x.dtype}", hint="it takes real numbers")
    return x if x.dtype.is_floating else b.astype(x, dtype=float)


@composite
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """The continuously differentiable exponential unit: y = x if x > 0 else alpha (e^(x / alpha) - 1).

    Arguments:
        x: floats of any shape.
        alpha: minus the value it tends to far below 0; not 0.

    Raises:
        AttributeValueError: if alpha is 0 or no number.

    ONNX Celu-28; J. T. Barron, arXiv 1704.07483.

    >>> import graphflow as gf
    >>> gf.nn.celu(gf.placeholder("x", ("batch", 8)), alpha=2.0).type
    float32[batch, 8]
    """
    scale = real_number(alpha, "alpha of celu")
    if scale == 0:
        raise AttributeValueError("celu cannot have an alpha of 0", hint="gf.nn.relu is the limit")
    b, x = with_tensor(x)
    x = _floats(b, x, "celu")
    # On the side above 0 the exponential is that of 0, so that its slope stays finite there.
    curve = b.multiply(b.expm1(b.multiply(b.minimum(x, 0), 1 / scale)), scale)
    return b.where(b.greater(x, 0), x, curve)


@composite
def prelu(x: Any, slope: Any) -> Tensor:
    """A relu with slopes below 0 that are tensors, to be learnt: y = x if x >= 0 else slope x.

    Arguments:
        x: real numbers of any shape.
        slope: numbers that broadcast to the shape of x, such as [channels, 1, 1] for images.

    Raises:
        ShapeError: if the slopes do not broadcast to the shape of x.

    ONNX PRelu-16; K. He et al., arXiv 1502.01852.

    >>> import graphflow as gf
    >>> gf.nn.prelu(gf.placeholder("x", ("batch", 3, 8, 8)), gf.ones((3, 1, 1))).type
    float32[batch, 3, 8, 8]
    """
    b, (x, slope) = with_tensors(x, slope)
    if x.dtype.kind in ("complex", "bool"):
        raise DTypeError(f"prelu does not take {x.dtype}", hint="it takes real numbers")
    below = b.multiply(x, b.broadcast_to(slope, shape=x.shape) if slope.ndim else slope)
    return b.where(b.greater_equal(x, 0), x, below)


@composite
def thresholded_relu(x: Any, alpha: float = 1.0) -> Tensor:
    """What lies above a threshold: y = x if x > alpha else 0.

    Arguments:
        x: real numbers of any shape.
        alpha: the threshold.

    ONNX ThresholdedRelu-22; K. Konda et al., arXiv 1402.3337.

    >>> import graphflow as gf
    >>> gf.nn.thresholded_relu(gf.constant([0.5, 2.0])).type
    float32[2]
    """
    b, x = with_tensor(x)
    return b.where(b.greater(x, real_number(alpha, "alpha of thresholded_relu")), x, b.like(0, x))


@composite
def shrink(x: Any, threshold: float = 0.5, bias: float = 0.0) -> Tensor:
    """What is far from 0, moved towards it: y = x + bias if x < -t, x - bias if x > t, else 0.

    With a bias of 0 it is hard shrinkage, with one equal to the threshold soft shrinkage.

    Arguments:
        x: real numbers of any shape.
        threshold: t, how far is far.
        bias: how much is taken off.

    ONNX Shrink-9, whose `lambd` is the threshold.

    >>> import graphflow as gf
    >>> gf.nn.shrink(gf.constant([-2.0, 0.1, 2.0]), 1.0, bias=1.0).type
    float32[3]
    """
    limit, moved = real_number(threshold, "threshold of shrink"), real_number(bias, "bias of shrink")
    b, x = with_tensor(x)
    whole = x.dtype.is_integer and moved.is_integer()
    step = b.like(int(moved), x) if whole else moved
    zero = b.like(0, x)
    low = b.where(b.less(x, -limit), b.add(x, step), zero)
    return b.where(b.greater(x, limit), b.subtract(x, step), low)


@composite
def hardmax(x: Any, axis: int = -1) -> Tensor:
    """1 at the first largest element along an axis and 0 elsewhere; its derivative is taken to be 0.

    Arguments:
        x: real numbers; NaN counts as the largest.
        axis: along which to look.

    ONNX Hardmax-13.

    >>> import graphflow as gf
    >>> gf.nn.hardmax(gf.placeholder("x", ("batch", 10))).type
    float32[batch, 10]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "hardmax")
    return b.one_hot(b.argmax(x, axis=place), depth=x.shape[place], axis=place, dtype=x.dtype)


@composite
def swish(x: Any, alpha: float = 1.0) -> Tensor:
    """x times its logistic function, of any steepness: y = x / (1 + e^(-alpha x)).

    Arguments:
        x: floats of any shape.
        alpha: the steepness; 1 gives gf.nn.silu, 1.702 comes near gf.nn.gelu.

    ONNX Swish-24; P. Ramachandran et al., arXiv 1710.05941.

    >>> import graphflow as gf
    >>> gf.nn.swish(gf.constant([-1.0, 2.0]), alpha=1.702).type
    float32[2]
    """
    steepness = real_number(alpha, "alpha of swish")
    b, x = with_tensor(x)
    x = _floats(b, x, "swish")
    return b.silu(x) if steepness == 1 else b.multiply(x, b.sigmoid(b.multiply(x, steepness)))


@composite
def swiglu(gate: Any, x: Any, alpha: float = 1.0) -> Tensor:
    """A tensor weighted by the swish of another: y = swish(gate, alpha) x.

    Arguments:
        gate: floats of any shape.
        x: floats of the same shape.
        alpha: the steepness; see `gf.nn.swish`.

    Raises:
        ShapeError: if the shapes differ.

    ONNX SwiGLU-28; N. Shazeer, arXiv 2002.05202.

    >>> import graphflow as gf
    >>> gate, x = gf.split(gf.placeholder("x", ("batch", 16)), 2, axis=1)
    >>> gf.nn.swiglu(gate, x).type
    float32[batch, 8]
    """
    b, (gate, x) = with_tensors(gate, x)
    fits = gate.ndim == x.ndim and all(dims.unify(*pair) is not None for pair in zip(gate.shape, x.shape))
    require(
        fits,
        f"swiglu needs a gate of the shape of x, but {show(gate.shape)} is not {show(x.shape)}",
        "gf.split(y, 2, axis=-1) cuts a tensor into both",
    )
    return b.multiply(swish(gate, alpha), x)

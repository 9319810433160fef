"""Pieces of random graphs that single calls seldom make, as their operands have to fit each other.

Indices lie inside of what they index, matrices that are inverted are well-conditioned, normalizations have
scales of the right size, random numbers have a key. Each piece takes a tensor of the graph, so that what
it makes is joined with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.autodiff.function import function, recompute
from graphflow.errors import GraphError
from graphflow.ir.node import Tensor
from graphflow.nn.attention import attention
from graphflow.nn.losses import binary_cross_entropy_with_logits, cross_entropy
from graphflow.nn.normalization import layer_norm, rms_norm
from graphflow.ops import sampling
from graphflow.ops.casting import astype
from graphflow.ops.declare import constant
from graphflow.ops.einsum import einsum
from graphflow.ops.quantization import dequantize_linear, quantize_linear
from graphflow.ops.quantized_products import matmul_integer
from graphflow.ops.scattering import scatter_nd
from graphflow.ops.statistics import clip, var
from graphflow.prove.fuzz.draw import Draw, call


def piece(draw: Draw, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The results of one piece.

    Arguments:
        tensors: all there are.

    Raises:
        GraphFlowError: where nothing fits.
    """
    floats = [one for one in tensors if one.dtype.name in ("float32", "float64") and one.ndim]
    if not floats:
        raise GraphError("there is no float with an axis")
    made = draw.one(_KINDS)(draw, draw.one(floats[-8:]))
    return [made] if isinstance(made, Tensor) else list(made)


def _axis(draw: Draw, x: Tensor) -> int:
    return draw.number(-x.ndim, x.ndim - 1)


def _size(x: Tensor, axis: int) -> int:
    """A size that is known."""
    size = x.shape[axis]
    if not isinstance(size, int) or size == 0:
        raise GraphError(f"axis {axis} has no known size")
    return size


def _vector(draw: Draw, x: Tensor, size: int) -> Tensor:
    return constant(draw.array(x.dtype.name, (size,)))


def _indices(draw: Draw, x: Tensor, size: int, shape: Sequence[int] | None = None) -> Tensor:
    """Whole numbers below a size: a constant, or made of a tensor."""
    dtype = draw.one(("int32", "int64"))
    if shape is not None or draw.chance(0.5):
        shape = [draw.number(1, 3) for _ in range(draw.number(0, 2))] if shape is None else shape
        return constant(draw.rng.integers(0, size, tuple(shape)).astype(dtype))
    return astype(call("floor", call("abs", call("sin", x)) * (0.999 * size)), dtype)


# Along axes


def _running(draw: Draw, x: Tensor) -> Any:
    name = draw.one(("cumulative_sum", "cumulative_sum", "cumulative_prod"))
    return call(name, x, axis=_axis(draw, x), exclusive=draw.chance(0.5), reverse=draw.chance(0.5))


def _normalized(draw: Draw, x: Tensor) -> Any:
    axis = draw.number(-x.ndim, -1)
    if draw.chance(0.3):
        mean = call("mean", x, axis=axis, keepdims=True)
        return (x - mean) / call("sqrt", var(x, axis=axis, keepdims=True) + 0.1)
    sizes = tuple([_size(x, each) for each in range(axis, 0)])
    scale = constant(draw.array(x.dtype.name, sizes)) if draw.chance(0.8) else None
    if draw.chance(0.5):
        return rms_norm(x, scale, axis=axis, epsilon=0.1)
    offset = constant(draw.array(x.dtype.name, sizes)) if draw.chance(0.7) else None
    return layer_norm(x, scale, offset, axis=axis, epsilon=0.1)


def _ranked(draw: Draw, x: Tensor) -> Any:
    axis = _axis(draw, x)
    order = call("argsort", x, axis=axis, descending=draw.chance(0.5))
    return call("take_along_axis", x, order, axis=axis)


def _losses(draw: Draw, x: Tensor) -> Any:
    if draw.chance(0.4):
        return binary_cross_entropy_with_logits(x, call("sigmoid", call("cos", x)))
    labels = call("argmax", call("cos", x), axis=-1)
    return cross_entropy(
        x, labels, reduction=draw.one(("mean", "sum", "none")), label_smoothing=draw.one((0.0, 0.1))
    )


# Indices


def _counted(draw: Draw, x: Tensor) -> Any:
    """One-hot vectors, and products and sums of them."""
    depth = draw.number(1, 6)
    hot = call(
        "one_hot", _indices(draw, x, depth), depth=depth, axis=draw.one((-1, -1, 0)), dtype=x.dtype.name
    )
    kind = draw.number(0, 2)
    if kind == 0:
        return call("matmul", hot, constant(draw.array(x.dtype.name, (depth, draw.number(1, 4)))))
    if kind == 1:
        return call("sum", hot, axis=draw.number(0, hot.ndim - 1))
    return hot


def _taken(draw: Draw, x: Tensor) -> Any:
    axis = _axis(draw, x)
    size = _size(x, axis)
    taken = call("take", x, _indices(draw, x, size), axis=axis)
    return call("take", taken, _indices(draw, x, 1, ()), axis=0) if draw.chance(0.2) else taken


def _added_at(draw: Draw, x: Tensor) -> Any:
    axis = _axis(draw, x) % x.ndim
    count = draw.number(1, 3)
    shape = [count if each == axis else _size(x, each) for each in range(x.ndim)]
    places = _indices(draw, x, _size(x, axis), (count,))
    updates = constant(draw.array(x.dtype.name, shape))
    if draw.chance(0.5):
        return call("index_add", x, places, updates, axis=axis)
    along = _indices(draw, x, _size(x, axis), shape)
    return call("add_along_axis", x, along, updates, axis=axis)


def _scattered(draw: Draw, x: Tensor) -> Any:
    size, count = _size(x, 0), draw.number(1, 3)
    places = constant(draw.rng.permutation(size)[:count].reshape(-1, 1).astype(np.int64))
    if draw.chance(0.3):
        return call("gather_nd", x, places)
    updates = call("sin", call("gather_nd", x, places))
    return scatter_nd(x, places, updates, reduction=draw.one(("none", "add", "mul", "max", "min")))


def _reversed(draw: Draw, x: Tensor) -> Any:
    if x.ndim < 2:
        return call("repeat", x, repeats=draw.number(0, 3), axis=draw.one((None, 0)))
    time, batch = draw.one(((0, 1), (1, 0)))
    lengths = draw.rng.integers(0, _size(x, time) + 1, _size(x, batch))
    return call("reverse_sequence", x, constant(lengths.astype(np.int64)), time_axis=time, batch_axis=batch)


# Numbers


def _quantized(draw: Draw, x: Tensor) -> Any:
    dtype = draw.one(("int8", "uint8"))
    zero = constant(np.asarray(draw.number(0, 20), dtype))
    scale = constant(np.asarray(draw.one((0.0137, 0.1, 0.37)), x.dtype.numpy))
    whole = quantize_linear(x, scale, zero)
    if draw.chance(0.5) or x.ndim < 2:
        return dequantize_linear(whole, scale, zero)
    weights = constant(draw.rng.integers(-9, 9, (_size(x, -1), draw.number(1, 4))).astype(np.int8))
    return matmul_integer(whole, weights, zero)


def _narrowed(draw: Draw, x: Tensor) -> Any:
    inner = astype(x, draw.one(("bfloat16", "float16")))
    for _ in range(draw.number(1, 3)):
        inner = call(draw.one(("tanh", "sin", "relu", "negative", "square")), inner)
    return astype(call("sum", inner, axis=_axis(draw, inner)), x.dtype)


def _at_random(draw: Draw, x: Tensor) -> Any:
    kind = draw.number(0, 4)
    if kind == 0:
        return sampling.normal(x.shape, dtype=x.dtype) * 0.1 + x
    if kind == 1:
        return sampling.uniform(x.shape, -1.0, 1.0, dtype=x.dtype)
    if kind == 2:
        return sampling.bernoulli(call("sigmoid", x))
    if kind == 3:
        return sampling.shuffle(x, axis=_axis(draw, x))
    return sampling.integers(0, 10, x.shape)


def _solved(draw: Draw, x: Tensor) -> Any:
    """Of x x^T + 3, whose condition is good."""
    x = call("tanh", x if x.ndim > 1 else call("expand_dims", x, axis=0))
    size = _size(x, -2)
    square = call("matmul", x, call("permute_dims", x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)))
    square = square + constant(3.0 * np.eye(size).astype(x.dtype.numpy))
    if draw.chance(0.4):
        return call("cholesky", square, upper=draw.chance(0.5))
    return call("solve", square, x) if draw.chance(0.6) else call("inv", square)


# Composites


def _attended(draw: Draw, x: Tensor) -> Any:
    size, dtype = _size(x, -1), x.dtype.name
    rows, heads = draw.number(1, 5), draw.number(1, 3)
    q, k, v = [constant(draw.array(dtype, (1, heads, rows, size))) for _ in range(3)]
    mask = constant(draw.array(dtype, (rows, rows))) if draw.chance(0.4) else None
    q = q * call("mean", x, axis=tuple(range(x.ndim - 1))) if draw.chance(0.5) else q + call("mean", x)
    return attention(q, k, v, mask=mask, causal=draw.chance(0.4))


def _summed(draw: Draw, x: Tensor) -> Any:
    """Einstein sums of a tensor with constants."""
    letters = "abcdefghijklmnopqrstuvwxy"[: x.ndim]
    kept = "".join([letter for letter in letters if draw.chance(0.6)])
    last = letters[draw.number(0, x.ndim - 1)]
    other = constant(draw.array(x.dtype.name, (_size(x, letters.index(last)), draw.number(1, 3))))
    if draw.chance(0.3):
        return einsum(f"{letters}->{''.join(map(str, draw.rng.permutation(list(kept))))}", x)
    return einsum(f"{letters},{last}z->{kept}z", x, other)


def _by_sizes(draw: Draw, x: Tensor) -> Any:
    """Sizes as numbers, symbolic ones too."""
    sizes = call("shape_of", x)
    count = call("prod", sizes)
    mean = call("divide", call("sum", x), astype(count, x.dtype))
    places = call("iota", size=x.shape[0], dtype=draw.one(("int32", "int64")))
    shape = (x.shape[0], *[1] * (x.ndim - 1))
    return [mean, call("add", x, astype(call("reshape", places, shape=shape), x.dtype))]


def _wrapped(draw: Draw, x: Tensor) -> Any:
    """A call of a function, which is taken in or computed again."""
    names = [draw.one(("sin", "tanh", "square", "abs", "negative")) for _ in range(draw.number(1, 4))]

    def body(value: Tensor) -> Tensor:
        for name in names:
            value = call(name, value)
        return value

    return draw.one((function, recompute))(body)(clip(x, -3.0, 3.0))


_KINDS: tuple[Callable[[Draw, Tensor], Any], ...] = (
    _running,
    _normalized,
    _normalized,
    _ranked,
    _losses,
    _counted,
    _counted,
    _taken,
    _added_at,
    _scattered,
    _reversed,
    _quantized,
    _narrowed,
    _at_random,
    _solved,
    _attended,
    _summed,
    _by_sizes,
    _wrapped,
)

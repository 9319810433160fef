"""Public functions made of several operators: spread, counts, and keeping values within bounds."""

from __future__ import annotations

from typing import Any

from graphflow.errors import DTypeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import bool_
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite
from graphflow.ops.inference import normalize_axes, real_number


@composite
def var(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """The variance along `axis`: y = sum_i (x_i - mean(x))^2 / max(n - correction, 0).

    Arguments:
        x: real numbers; integers are taken as float64.
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.
        correction: 0 for the variance of the elements themselves, 1 for an unbiased estimate of that
            of the population they are drawn from.

    Raises:
        DTypeError: for complex numbers.

    Array API `var`.

    >>> import graphflow as gf
    >>> gf.var(gf.placeholder("x", ("batch", 10)), axis=0).type
    float32[10]
    """
    b = builder_for([x])
    x = _real(b.tensor(x), "var")
    correction = real_number(correction, "the correction of var")
    axes = normalize_axes(axis, x.ndim, "var")
    centred = b.subtract(x, b.mean(x, axis=axes, keepdims=True))
    total = b.sum(b.square(centred), axis=axes, keepdims=keepdims)
    return b.divide(total, _freedom(b, x, axes, correction, total))


def _freedom(b: Builder, x: Tensor, axes: tuple[int, ...], correction: float, total: Tensor) -> Tensor:
    size = dims.product(x.shape[axis] for axis in axes)
    if isinstance(size, int):
        return b.like(max(size - correction, 0), total)
    return b.maximum(b.subtract(b.dimension(size=size, dtype=total.dtype), correction), 0)


@composite
def std(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """The standard deviation along `axis`: y = var(x)^(1/2); its derivative where y = 0 is taken to be 0.

    Arguments:
        x: real numbers; integers are taken as float64.
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.
        correction: see `gf.var`.

    Raises:
        DTypeError: for complex numbers.

    Array API `std`.

    >>> import graphflow as gf
    >>> gf.std(gf.placeholder("x", ("batch", 10)), axis=0, correction=1).type
    float32[10]
    """
    square = var(x, axis, keepdims, correction)
    b = builder_for([square])
    none = b.equal(square, 0)
    return b.where(none, 0, b.sqrt(b.where(none, 1, square)))


def _real(x: Tensor, operation: str) -> Tensor:
    if x.dtype.kind == "complex":
        raise DTypeError(f"{operation} does not take {x.dtype}", hint="take it of the parts, or of gf.abs(x)")
    return x


@composite
def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The number of elements along `axis` that are not 0 (NaN counts): y = sum_i (x_i != 0), as int64.

    Arguments:
        x: a tensor of any dtype.
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Array API `count_nonzero`.

    >>> import graphflow as gf
    >>> gf.count_nonzero(gf.placeholder("x", ("batch", 10)), axis=1).type
    int64[batch]
    """
    b = builder_for([x])
    return b.sum(b.astype(b.tensor(x), dtype=bool_), axis=axis, keepdims=keepdims)


@composite
def clip(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """The nearest value between two bounds, element by element: y = minimum(maximum(x, min), max).

    Where min > max the result is max; NaN stays NaN. At a bound the derivative is 1/2.

    Arguments:
        x: real numbers.
        min, max: tensors or numbers; they broadcast, and None is no bound.

    Array API `clip`; ONNX Clip-13.

    >>> import graphflow as gf
    >>> gf.clip(gf.constant([-1.0, 2.0]), 0, 1).type
    float32[2]
    """
    b = builder_for([x, min, max])
    result = b.tensor(x)
    if min is not None:
        result = b.maximum(result, min)
    return result if max is None else b.minimum(result, max)

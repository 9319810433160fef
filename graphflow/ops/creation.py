"""Tensors made from nothing but data, numbers and sizes: fills, ranges, the identity, triangles.

Where all sizes are known and few, they are constants; otherwise they are computed, so that sizes may
be symbolic and large masks take no memory in a saved graph.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import as_dtype, bool_, float32, int32, int64, scalar_dtype
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape, as_shape
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import known, require, whole_number

SMALL = 1024
"""The most elements that are stored as a constant instead of being computed."""


def _filled(b: Builder, scalar: Tensor, shape: Shape, name: str | None) -> Tensor:
    return b.broadcast_to(scalar, shape=shape, name=name) if shape else scalar


@composite
def full(shape: Any, fill_value: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor with all elements equal to one number, or to a scalar tensor. Array API `full`.

    Arguments:
        shape: sizes, which may be symbolic.
        fill_value: a number or a scalar tensor.
        dtype: the element type; that of the value by default.

    >>> import graphflow as gf
    >>> gf.full(("batch", 3), 7).type
    int32[batch, 3]
    """
    b = builder_for([fill_value])
    scalar = b.tensor(fill_value, dtype)
    if scalar.ndim:
        raise ShapeError(
            f"full needs a scalar, not a value of shape {list(scalar.shape)}", hint="gf.broadcast_to"
        )
    return _filled(b, scalar, as_shape(shape), name)


@composite
def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor of zeros, float32 by default. Array API `zeros`.

    >>> import graphflow as gf
    >>> gf.zeros((2, 3)).type
    float32[2, 3]
    """
    return full(shape, 0, float32 if dtype is None else dtype, name)


@composite
def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor of ones, float32 by default. Array API `ones`.

    >>> import graphflow as gf
    >>> gf.ones((2, 3), dtype=gf.int32).type
    int32[2, 3]
    """
    return full(shape, 1, float32 if dtype is None else dtype, name)


@composite
def empty(shape: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor of zeros: what the standard leaves open is fixed here, so that runs repeat. Array API `empty`.

    >>> import graphflow as gf
    >>> gf.empty((2, 3)).type
    float32[2, 3]
    """
    return full(shape, 0, float32 if dtype is None else dtype, name)


@composite
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A tensor of the shape of x, and of its dtype unless another is given, filled with a number.

    Array API `full_like`.

    >>> import graphflow as gf
    >>> gf.full_like(gf.placeholder("x", ("batch", 3)), 2.5).type
    float32[batch, 3]
    """
    b, x = with_tensor(x)
    return _filled(b, b.tensor(fill_value, x.dtype if dtype is None else dtype), x.shape, None)


@composite
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of zeros of the shape, and by default the dtype, of x. Array API `zeros_like`.

    >>> import graphflow as gf
    >>> gf.zeros_like(gf.placeholder("x", ("n", 3))).type
    float32[n, 3]
    """
    return full_like(x, 0, dtype)


@composite
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of ones of the shape, and by default the dtype, of x. Array API `ones_like`.

    >>> import graphflow as gf
    >>> gf.ones_like(gf.placeholder("x", ("n", 3))).type
    float32[n, 3]
    """
    return full_like(x, 1, dtype)


@composite
def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of zeros of the shape, and by default the dtype, of x. Array API `empty_like`.

    >>> import graphflow as gf
    >>> gf.empty_like(gf.placeholder("x", ("n", 3))).type
    float32[n, 3]
    """
    return full_like(x, 0, dtype)


# Data


@composite
def asarray(obj: Any, dtype: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor for a tensor, a number, nested lists of numbers, or an array. Array API `asarray`.

    Arguments:
        obj: a tensor, which is returned as it is, or data, which is copied into a constant. NaN is
            welcome, other than in `gf.constant`.
        dtype: the element type; that of the data by default.
        copy: False refuses data, which cannot become a tensor without being copied.

    >>> import graphflow as gf
    >>> gf.asarray([1, 2, 3]).type
    int32[3]
    """
    if copy is not None and not isinstance(copy, (bool, np.bool_)):
        raise AttributeValueError(f"asarray needs True, False or None as copy, not {copy!r:.80}")
    if copy is not None and not copy and not isinstance(obj, Tensor):
        raise AttributeValueError(
            "asarray cannot make a tensor of data without copying it", hint="leave out copy=False"
        )
    b = builder_for([obj])
    return b.tensor(obj, dtype)


@composite
def from_dlpack(x: Any, copy: bool | None = None) -> Tensor:
    """A constant with the data of an array of another library, which is copied. Array API `from_dlpack`.

    Arguments:
        x: an array in the memory of this machine, of NumPy, JAX, PyTorch ...
        copy: False is refused, see `asarray`.

    >>> import graphflow as gf, numpy as np
    >>> gf.from_dlpack(np.zeros((2, 3))).type
    float64[2, 3]
    """
    if isinstance(x, Tensor) or not hasattr(x, "__dlpack__"):
        raise DTypeError(
            f"{type(x).__name__} offers no data through DLPack", hint="gf.asarray takes lists and tensors"
        )
    try:
        data = np.from_dlpack(x)
    except (BufferError, TypeError, RuntimeError, ValueError) as error:
        raise DTypeError(
            f"the data of {type(x).__name__} cannot be had: {error}", hint="copy it to a NumPy array first"
        ) from error
    return asarray(data, copy=copy)


# Ranges


def _step_count(start: Any, stop: Any, step: Any) -> Any:
    """How many numbers a range holds, as NumPy counts them; symbolic if a bound is."""
    if not any(isinstance(value, Dim) for value in (start, stop, step)):
        return max(0, math.ceil((stop - start) / step))
    if not isinstance(step, int) or not all(isinstance(value, (int, Dim)) for value in (start, stop)):
        raise AttributeValueError(
            f"arange from {start} to {stop} by {step} mixes sizes with fractions, or steps by a size",
            hint="use whole numbers and a fixed step; multiply gf.arange(n) by what remains",
        )
    span = stop - start if step > 0 else start - stop
    return dims.floor_divide(dims.maximum(span, 0) + (abs(step) - 1), abs(step))


@composite
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, name: str | None = None) -> Tensor:
    """The numbers start, start + step, ... before stop. Array API `arange`; ONNX Range-11.

    Arguments:
        start, stop, step: numbers, symbolic sizes, or tensors of such values; arange(n) counts from 0.
        dtype: the element type; int32 for integers (int64 if they do not fit), float32 for floats.

    >>> import graphflow as gf
    >>> gf.arange(3, 9, 2).type, gf.arange(gf.Dim("n")).type
    (int32[3], int32[n])
    """
    start, stop = (0, start) if stop is None else (start, stop)
    given = [known(value) for value in (start, stop, step)]
    plain = [value.item() if isinstance(value, np.generic) else value for value in given]
    if not all(map(_is_bound, plain)) or plain[2] == 0:
        raise AttributeValueError(
            f"arange needs finite numbers or sizes, and a step other than 0, not {plain}",
            hint="for other computed bounds, shift and scale gf.arange(n)",
        )
    start, stop, step = plain
    count = _step_count(start, stop, step)
    floats = any(isinstance(value, float) for value in plain)
    kind = as_dtype(dtype) if dtype is not None else float32 if floats else _index_dtype(start, count, step)
    b = Builder(default_graph())
    if isinstance(count, int) and (count <= SMALL or floats) and not isinstance(start, Dim):
        return b.constant(
            value=np.arange(start, stop, step)[:count].astype(kind.numpy), name=name or "arange"
        )
    counted = b.iota(size=count, dtype=kind, name=name or "arange")
    if step != 1:
        counted = b.multiply(counted, step)
    return counted if start == 0 and isinstance(start, int) else b.add(counted, start)


def _is_bound(value: Any) -> bool:
    return isinstance(value, (int, Dim)) or (isinstance(value, float) and math.isfinite(value))


def _index_dtype(start: Any, count: Any, step: Any) -> Any:
    """int32 where all numbers of the range fit it."""
    if isinstance(start, Dim) or not isinstance(count, int):
        return int32
    ends = (start, start + step * max(count - 1, 0))
    return int32 if all(-(2**31) <= end < 2**31 for end in ends) else int64


@composite
def linspace(start: Any, stop: Any, num: int, dtype: Any = None, endpoint: bool = True) -> Tensor:
    """`num` numbers at equal distances from start to stop. Array API `linspace`.

    Arguments:
        start, stop: numbers.
        num: how many.
        dtype: float32 by default.
        endpoint: whether stop is the last of them.

    >>> import graphflow as gf
    >>> gf.linspace(0, 1, 5).type
    float32[5]
    """
    count = whole_number(num, "the number of points of linspace", 0)
    if not all(isinstance(bound, (int, float, complex, np.number)) for bound in (start, stop)):
        raise DTypeError(
            f"linspace needs numbers as bounds, not {start!r:.40} and {stop!r:.40}",
            hint="start + (stop - start) * gf.linspace(0, 1, num) takes tensors",
        )
    made = np.linspace(start, stop, count, endpoint=bool(endpoint))
    kind = as_dtype(scalar_dtype(1j if np.iscomplexobj(made) else 1.0, None) if dtype is None else dtype)
    return Builder(default_graph()).constant(value=made.astype(kind.numpy), name="linspace")


# Matrices


def _compare_grid(b: Builder, operation: str, rows: Any, columns: Any, offset: int) -> Tensor:
    """The boolean matrix of `operation`(i + offset, j)."""
    if isinstance(rows, int) and isinstance(columns, int) and rows * columns <= SMALL:
        compare = {"equal": np.equal, "greater_equal": np.greater_equal, "less_equal": np.less_equal}[
            operation
        ]
        grid = compare(np.arange(rows)[:, None] + offset, np.arange(columns)[None, :])
        return b.constant(value=grid)
    down = b.expand_dims(b.iota(size=rows, dtype=int32), axis=1)
    across = b.expand_dims(b.iota(size=columns, dtype=int32), axis=0)
    return getattr(b, operation)(b.add(down, offset) if offset else down, across)


@composite
def eye(rows: Any, columns: Any = None, k: int = 0, dtype: Any = None) -> Tensor:
    """A matrix with ones on a diagonal and zeros elsewhere. Array API `eye`; ONNX EyeLike-22.

    Arguments:
        rows, columns: sizes, which may be symbolic; a square by default.
        k: which diagonal: k > 0 lies above the main one.
        dtype: float32 by default.

    >>> import graphflow as gf
    >>> gf.eye(3).type
    float32[3, 3]
    """
    down, across = as_shape((rows, rows if columns is None else columns))
    b = Builder(default_graph())
    grid = _compare_grid(b, "equal", down, across, whole_number(k, "the diagonal k of eye"))
    kind = float32 if dtype is None else as_dtype(dtype)
    return grid if kind is bool_ else b.astype(grid, dtype=kind)


def _triangle(x: Any, k: int, operation: str, name: str) -> Tensor:
    b, x = with_tensor(x)
    require(
        x.ndim >= 2, f"{name} needs matrices, but got shape {list(x.shape)}", "add axes with gf.expand_dims"
    )
    offset = whole_number(k, f"the diagonal k of {name}")
    mask = _compare_grid(b, operation, x.shape[-2], x.shape[-1], offset)
    return b.where(mask, x, b.like(0, x))


@composite
def tril(x: Any, k: int = 0) -> Tensor:
    """The lower triangles: elements (i, j) with j <= i + k, zeros elsewhere. Array API `tril`; ONNX Trilu-14.

    >>> import graphflow as gf
    >>> gf.tril(gf.ones((3, 3))).type
    float32[3, 3]
    """
    return _triangle(x, k, "greater_equal", "tril")


@composite
def triu(x: Any, k: int = 0) -> Tensor:
    """The upper triangles: elements (i, j) with j >= i + k, zeros elsewhere. Array API `triu`; ONNX Trilu-14.

    >>> import graphflow as gf
    >>> gf.triu(gf.ones((3, 3))).type
    float32[3, 3]
    """
    return _triangle(x, k, "less_equal", "triu")

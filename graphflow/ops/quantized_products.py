"""Matrix products and convolutions of 8-bit integers, exact in int32 (family quantization)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import float32, float64, int32
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import broadcast_shapes, show

BYTES = ("int8", "uint8")


def _require_bytes(dtype, what):
    if dtype.name not in BYTES:
        raise DTypeError(
            f"{what} has dtype {dtype}", hint="it must be int8 or uint8; gf.quantize_linear makes it"
        )


# Zero points


def _fits(zero_point, size, place):
    """Whether a zero point is one number, or one for each row (place -2) or column (place -1)."""
    shape = zero_point.shape
    if not shape or shape == (1,):
        return True
    if len(shape) == 1:
        return dims.unify(shape[0], size) is not None
    other = shape[-3 - place]  # the other one of the last two axes
    return other == 1 and dims.unify(shape[place], size) is not None


def _require_zero_points(types):
    a, b, a_zero, b_zero = types
    for x, zero, place, name in ((a, a_zero, -2, "rows"), (b, b_zero, -1, "columns")):
        if zero.dtype is not x.dtype:
            raise DTypeError(f"the zero point of {x.dtype} is {zero.dtype}", hint="give both the same dtype")
        size = x.shape[place] if x.rank > 1 else 1
        if not _fits(zero, size, place) or zero.rank > max(x.rank, 1):
            raise ShapeError(
                f"a zero point of shape {show(zero.shape)} is none for the {name} of {show(x.shape)}",
                hint=f"give one number, or one for each of the {size} {name}",
            )


def per_row(values: Any) -> Any:
    """Values for each row of a matrix as a column, so that they broadcast against it."""
    return values[:, None] if values.ndim == 1 and values.shape != (1,) else values


# matmul_integer


def _matmul_integer_type(types, attrs):
    for type, what in zip(types, ("a", "b")):
        _require_bytes(type.dtype, f"the operand {what} of matmul_integer")
    left, right = types[0].shape, types[1].shape
    if not left or not right:
        raise ShapeError(
            f"matmul_integer cannot multiply shapes {show(left)} and {show(right)}", hint="give matrices"
        )
    inner = right[-2] if len(right) > 1 else right[0]
    if dims.unify(left[-1], inner) is None:
        raise ShapeError(
            f"matmul_integer needs inner axes of equal size, but {left[-1]} != {inner}",
            hint="gf.matrix_transpose turns a matrix that is stored the other way round",
        )
    _require_zero_points(types)
    batch = broadcast_shapes(left[:-2], right[:-2])
    return (TensorType(int32, (*batch, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))),)


@op("quantization", infer=_matmul_integer_type, name="matmul_integer", traits="contraction")
def matmul_integer_op(a, b, a_zero_point, b_zero_point, /):
    """The product of matrices of bytes, in int32: y = (a - a_zero_point) @ (b - b_zero_point).

    Sums beyond int32 wrap. ONNX MatMulInteger-10.

    Arguments:
        a, b, a_zero_point, b_zero_point: see `gf.matmul_integer`.

    >>> import graphflow as gf
    >>> gf.matmul_integer(gf.ones((2, 3), gf.int8), gf.ones((3, 4), gf.uint8)).type
    int32[2, 4]
    """
    # float64 holds the sums exactly, and is multiplied several times faster than integers are
    left = a.astype(np.float64) - per_row(a_zero_point)
    return np.matmul(left, b.astype(np.float64) - b_zero_point).astype(np.int64).astype(np.int32)


matmul_integer_op.not_differentiable("its operands are integers", zero=True)


@matmul_integer_op.decomposition
def _(b, node):
    left, right, left_zero, right_zero = (b.astype(one, dtype=int32) for one in node.inputs)
    return [b.matmul(b.subtract(left, _column(b, left_zero)), b.subtract(right, right_zero))]


def _column(b: Builder, values: Tensor) -> Tensor:
    is_vector = values.ndim == 1 and values.shape != (1,)
    return b.expand_dims(values, axis=1) if is_vector else values


def _or_zero(b: Builder, value: Any, beside: Tensor) -> Tensor:
    return b.like(0, beside) if value is None else b.tensor(value)


@composite
def matmul_integer(a: Any, b: Any, a_zero_point: Any = None, b_zero_point: Any = None) -> Tensor:
    """The product of matrices of bytes, in int32: y = (a - a_zero_point) @ (b - b_zero_point).

    Arguments:
        a: int8 or uint8 of shape [..., rows, k].
        b: int8 or uint8 of shape [..., k, columns].
        a_zero_point: a number, a vector with one for each row, or a tensor [..., rows, 1]; None for 0.
        b_zero_point: a number, a vector with one for each column, or a tensor [..., 1, columns].

    Returns:
        int32 of shape [..., rows, columns]; sums beyond int32 wrap.

    Raises:
        DTypeError: for other dtypes; ShapeError: if the sizes do not fit.

    ONNX MatMulInteger-10.

    >>> import graphflow as gf
    >>> a = gf.placeholder("a", ("batch", 8), gf.uint8)
    >>> gf.matmul_integer(a, gf.zeros((8, 3), gf.int8), gf.constant(128, gf.uint8)).type
    int32[batch, 3]
    """
    make, left = with_tensor(a)
    right = make.tensor(b)
    zeros = _or_zero(make, a_zero_point, left), _or_zero(make, b_zero_point, right)
    made: Tensor = make.matmul_integer(left, right, *zeros)
    return made


@composite
def conv_integer(
    x: Any,
    w: Any,
    x_zero_point: Any = None,
    w_zero_point: Any = None,
    strides: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of bytes, in int32: y = conv(x - x_zero_point, w - w_zero_point).

    It is computed in float64, which holds the sums exactly and is several times faster than integers are.

    Arguments:
        x: int8 or uint8 of shape [batch, channels, *spatial].
        w: int8 or uint8 of shape [out channels, channels / groups, *kernel].
        x_zero_point: a number of the dtype of x, which also is what the padding stands for; None for 0.
        w_zero_point: a number of the dtype of w, or a vector with one for each out channel.
        strides, padding, dilation, groups: as in `gf.nn.conv`.

    Returns:
        int32 of shape [batch, out channels, *positions].

    Raises:
        DTypeError: for other dtypes; ShapeError: if the sizes do not fit.

    ONNX ConvInteger-10.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 3, 8, 8), gf.uint8)
    >>> gf.conv_integer(x, gf.zeros((4, 3, 3, 3), gf.int8), padding="same").type
    int32[batch, 4, 8, 8]
    """
    b, x = with_tensor(x)
    w = b.tensor(w)
    zeros = [_or_zero(b, x_zero_point, x), _or_zero(b, w_zero_point, w)]
    for one, zero, what in zip((x, w), zeros, ("x", "w")):
        _require_bytes(one.dtype, f"the operand {what} of conv_integer")
        size = w.shape[0] if what == "w" and w.ndim else 1
        if zero.dtype is not one.dtype or zero.ndim > 1 or not _fits(zero.type, size, -1):
            raise ShapeError(
                f"{zero.type} is no zero point for the {one.type} of conv_integer",
                hint="give a number of the same dtype, or for w one for each out channel",
            )
    exact = [b.astype(one, dtype=float64) for one in (x, w, *zeros)]
    shifted = [b.subtract(exact[0], _flat(b, exact[2])), b.subtract(exact[1], _channels(b, exact[3], w.ndim))]
    sums = b.conv(*shifted, strides=strides, padding=padding, dilation=dilation, groups=groups)
    made: Tensor = b.astype(sums, dtype=int32)
    return made


def _flat(b: Builder, value: Tensor) -> Tensor:
    return b.reshape(value, shape=()) if value.shape == (1,) else value


def _channels(b: Builder, values: Tensor, rank: int, axis: int = 0) -> Tensor:
    """Values for each index of an axis, so that they broadcast against a tensor of that rank."""
    if values.ndim == 0 or values.shape == (1,):
        return _flat(b, values)
    return b.reshape(values, shape=[values.shape[0] if place == axis else 1 for place in range(rank)])


# Quantized from end to end


def _factor(b: Builder, left: Tensor, right: Tensor, result: Tensor) -> Tensor:
    """What a sum of products is worth in steps of the result, in float64, where the product is exact."""
    left, right, result = (b.astype(one, dtype=float64) for one in (left, right, result))
    made: Tensor = b.divide(b.multiply(left, right), _flat(b, result))
    return made


def _requantized(b: Builder, sums: Tensor, factor: Tensor, zero_point: Tensor) -> Tensor:
    """sums * factor, rounded and cut to the dtype of the zero point."""
    exact = b.multiply(b.astype(sums, dtype=float64), factor)
    made: Tensor = b.quantize_linear(exact, b.tensor(np.float64(1)), _flat(b, zero_point))
    return made


@composite
def qlinear_matmul(
    a: Any,
    a_scale: Any,
    a_zero_point: Any,
    b: Any,
    b_scale: Any,
    b_zero_point: Any,
    y_scale: Any,
    y_zero_point: Any,
) -> Tensor:
    """The product of quantized matrices, quantized: y stands for what a stands for times what b stands for.

    y = saturate(round((a - a_zero_point) @ (b - b_zero_point) * (a_scale b_scale / y_scale)) + y_zero_point).

    Arguments:
        a, b: int8, uint8 or float8 of shapes [..., rows, k] and [..., k, columns].
        a_scale, a_zero_point: numbers, vectors with one for each row, or tensors [..., rows, 1].
        b_scale, b_zero_point: numbers, vectors with one for each column, or tensors [..., 1, columns].
        y_scale, y_zero_point: numbers; the dtype of the zero point is that of the result.

    Raises:
        DTypeError: for other dtypes; ShapeError: if the sizes do not fit.

    ONNX QLinearMatMul-21.

    >>> import graphflow as gf
    >>> a, zero = gf.placeholder("a", ("batch", 8), gf.uint8), gf.constant(128, gf.uint8)
    >>> gf.qlinear_matmul(a, 0.1, zero, gf.zeros((8, 3), gf.uint8), 0.2, zero, 0.5, zero).type
    uint8[batch, 3]
    """
    make, left = with_tensor(a)
    right, a_scale, b_scale, y_scale, a_zero, b_zero, y_zero = map(
        make.tensor, (b, a_scale, b_scale, y_scale, a_zero_point, b_zero_point, y_zero_point)
    )
    rows = _column(make, a_scale)
    if left.dtype.name in BYTES:
        factor = _factor(make, rows, b_scale, y_scale)
        return _requantized(make, make.matmul_integer(left, right, a_zero, b_zero), factor, y_zero)
    left, right, a_zero, b_zero = (make.astype(one, dtype=float32) for one in (left, right, a_zero, b_zero))
    products = make.matmul(
        make.multiply(make.subtract(left, _column(make, a_zero)), rows),
        make.multiply(make.subtract(right, b_zero), b_scale),
    )
    made: Tensor = make.quantize_linear(products, y_scale, y_zero)
    return made


@composite
def qlinear_conv(
    x: Any,
    x_scale: Any,
    x_zero_point: Any,
    w: Any,
    w_scale: Any,
    w_zero_point: Any,
    y_scale: Any,
    y_zero_point: Any,
    bias: Any = None,
    strides: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of quantized tensors, quantized: y stands for what x and w stand for, convolved.

    y = saturate(round((conv(x - x_zero_point, w - w_zero_point) + bias) (x_scale w_scale / y_scale))
    + y_zero_point).

    Arguments:
        x, w: int8 or uint8, as in `gf.conv_integer`.
        x_scale, x_zero_point, y_scale, y_zero_point: numbers; the dtype of y_zero_point is the result's.
        w_scale, w_zero_point: numbers, or vectors with one for each out channel.
        bias: int32 of shape [out channels], quantized with the scale x_scale * w_scale; None for none.
        strides, padding, dilation, groups: as in `gf.nn.conv`.

    Raises:
        DTypeError: for other dtypes; ShapeError: if the sizes do not fit.

    ONNX QLinearConv-10.

    >>> import graphflow as gf
    >>> x, zero = gf.placeholder("x", ("batch", 1, 8, 8), gf.uint8), gf.constant(128, gf.uint8)
    >>> w = gf.zeros((4, 1, 3, 3), gf.uint8)
    >>> gf.qlinear_conv(x, 0.1, zero, w, 0.2, zero, 0.5, zero).type
    uint8[batch, 4, 6, 6]
    """
    b, x = with_tensor(x)
    w, x_scale, w_scale, y_scale, y_zero = map(b.tensor, (w, x_scale, w_scale, y_scale, y_zero_point))
    sums = conv_integer(x, w, x_zero_point, w_zero_point, strides, padding, dilation, groups)
    if bias is not None:
        sums = b.add(sums, _channels(b, b.tensor(bias), x.ndim, axis=1))
    factor = _factor(b, _flat(b, x_scale), _channels(b, w_scale, x.ndim, axis=1), y_scale)
    return _requantized(b, sums, factor, y_zero)


@composite
def dynamic_quantize_linear(x: Any) -> tuple[Tensor, Tensor, Tensor]:
    """A tensor as uint8, with the scale and zero point that its own range asks for.

    scale = (max(0, max x) - min(0, min x)) / 255, zero_point = round(-min(0, min x) / scale), and
    y = saturate(round(x / scale) + zero_point). The scale of zeros is 1 / 255.

    Arguments:
        x: float32 of any shape, with at least one element.

    Returns:
        y (uint8, of the shape of x), scale (float32) and zero_point (uint8), both of shape [].

    Raises:
        DTypeError: for other dtypes.

    ONNX DynamicQuantizeLinear-11.

    >>> import graphflow as gf
    >>> [y.type for y in gf.dynamic_quantize_linear(gf.placeholder("x", ("batch", 8)))]
    [uint8[batch, 8], float32[], uint8[]]
    """
    b, x = with_tensor(x)
    if x.dtype is not float32:
        raise DTypeError(f"dynamic_quantize_linear does not take {x.dtype}", hint="convert with gf.astype")
    low, high = b.minimum(b.min(x), 0.0), b.maximum(b.max(x), 0.0)
    span = b.where(b.equal(high, low), 1.0, b.subtract(high, low))
    scale = b.divide(span, 255.0)
    zero = b.quantize_linear(b.negative(low), scale, b.constant(value=np.zeros((), np.uint8)))
    return b.quantize_linear(x, scale, zero), scale, zero

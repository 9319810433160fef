"""Linear quantization: numbers as small integers (or narrow floats) times a scale, and back.

A scale, and the zero point that goes with it, belongs to a whole tensor, to each index along an axis, or
to each block of `block_size` elements along an axis; their shape tells which. The rounding is written
once, for NumPy and for libraries like it; divisions, which compilers like to change, are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import builder_for
from graphflow.ir.dtypes import DType, as_dtype, float32, float64, int64, uint8
from graphflow.ir.narrow import integer_range, narrowed, widened
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.inference import normalize_axis, show, whole_number
from graphflow.ops.precision import is_half

Divide = Callable[[Any, Any, np.dtype], Any]

QUANTIZED = (
    "int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn",
)  # fmt: skip


# Shapes and attributes


def _placed(types, attrs, operation):
    """The axis and block size in canonical form; both are 0 where the scale is one number."""
    x, scale = types[0].shape, types[1].shape
    block = whole_number(attrs["block_size"], f"the block_size of {operation}", 0)
    if not block and (not scale or scale == (1,)):
        return {"axis": 0, "block_size": 0}
    axis = normalize_axis(attrs["axis"], len(x), operation)
    if block:
        blocks = dims.floor_divide(x[axis] + block - 1, block)
        wanted = (*x[:axis], blocks, *x[axis + 1 :])
    else:
        wanted = (x[axis],)
    if len(scale) != len(wanted) or any(dims.unify(*pair) is None for pair in zip(scale, wanted)):
        each = f"blocks of {block}" if block else "each index"
        raise ShapeError(
            f"{operation} needs a scale of shape {show(wanted)} for {each} along axis {axis} of "
            f"{show(x)}, not {show(scale)}",
            hint="a scalar scale serves all elements; axis= and block_size= say what others serve",
        )
    return {"axis": axis, "block_size": block}


def _require_zero_point(scale, zero_point, operation):
    if len(zero_point.shape) != len(scale.shape) or any(
        dims.unify(*pair) is None for pair in zip(zero_point.shape, scale.shape)
    ):
        raise ShapeError(
            f"{operation} has a scale of shape {show(scale.shape)} but a zero point of shape "
            f"{show(zero_point.shape)}",
            hint="give both the same shape, or leave the zero point out",
        )


def _require(dtype, fits, what, needed):
    if not fits:
        raise DTypeError(f"{what} cannot be {dtype}", hint=f"use {needed}")


def _is_scale(dtype):
    return dtype.kind == "float" or dtype.name in ("int32", "float8_e8m0fnu")


def _as_precision(value, operation):
    """The dtype of a computation, if one was given."""
    if value is None:
        return None
    dtype = as_dtype(value)
    _require(dtype, dtype.kind == "float", f"the precision of {operation}", "gf.float32 or another float")
    return dtype


def spread(value: Any, shape: tuple[int, ...], axis: int, block_size: int, xp: ModuleType) -> Any:
    """Scales or zero points in a shape that broadcasts against the tensor they belong to."""
    if block_size:
        wide = xp.repeat(value, block_size, axis=axis)
        return wide[(slice(None),) * axis + (slice(shape[axis]),)]
    if value.size == 1:
        return value.reshape(())
    return value.reshape([-1 if place == axis else 1 for place in range(len(shape))])


# quantize_linear


def _quantize_attrs(types, attrs):
    placed = _placed(types, attrs, "quantize_linear")
    target = types[2].dtype
    eight = target.kind == "narrow_float" and target.bits == 8
    return {
        **placed,
        "saturate": attrs["saturate"] or not eight,
        "precision": _as_precision(attrs["precision"], "quantize_linear"),
    }


def _quantize_type(types, attrs):
    x, scale, zero_point = types
    _require(x.dtype, x.dtype.kind in ("float", "int", "uint"), "what quantize_linear takes", "floats")
    _require(scale.dtype, _is_scale(scale.dtype), "the scale of quantize_linear", "gf.float32")
    known = zero_point.dtype.name in QUANTIZED
    _require(zero_point.dtype, known, "the result of quantize_linear", ", ".join(QUANTIZED))
    _require_zero_point(scale, zero_point, "quantize_linear")
    return (TensorType(zero_point.dtype, x.shape),)


def divided(x: np.ndarray, scale: np.ndarray, precision: np.dtype) -> np.ndarray:
    """x / scale rounded to the precision, as float32 or float64."""
    quotient = x.astype(precision) / scale.astype(precision)
    return quotient.astype(np.float32) if is_half(precision) else quotient


def quantized(
    x: Any, scale: Any, zero_point: Any, attrs: dict[str, Any], divide: Divide, xp: ModuleType
) -> Any:
    """The computation of `quantize_linear` in NumPy or a library like it."""
    target, kind = as_dtype(zero_point.dtype), as_dtype(scale.dtype)
    places = (x.shape, attrs["axis"], attrs["block_size"], xp)
    default = {"float": kind, "narrow_float": float32}.get(kind.kind, float64)
    precision: DType = attrs["precision"] or default
    steps = divide(x, spread(widened(scale, kind), *places), precision.numpy)
    zero = spread(widened(zero_point, target).astype(steps.dtype), *places)
    if target.kind == "narrow_float":
        return narrowed(xp.where(zero == 0, steps, steps + zero), target, attrs["saturate"], xp=xp)
    steps = xp.where(xp.isnan(steps), steps.dtype.type(0), xp.rint(steps)) + zero
    low, high = integer_range(target)
    return xp.clip(steps, low, high).astype(np.int32).astype(target.numpy)


@op(
    "quantization",
    infer=_quantize_type,
    normalize=_quantize_attrs,
    traits="any_dtype",
    name="quantize_linear",
)
def quantize_linear_op(x, scale, zero_point, /, axis=1, block_size=0, saturate=True, precision=None):
    """Numbers as small integers or narrow floats: y = saturate(round(x / scale) + zero_point).

    The result has the dtype of the zero point. ONNX QuantizeLinear-25.

    Arguments:
        x, scale, zero_point, axis, block_size, saturate, precision: see `gf.quantize_linear`.

    >>> import graphflow as gf
    >>> gf.quantize_linear(gf.constant([1.0, -0.2]), 0.1, dtype=gf.int4).type
    int4[2]
    """
    attrs = {"axis": axis, "block_size": block_size, "saturate": saturate, "precision": precision}
    return quantized(x, scale, zero_point, attrs, divided, np)


quantize_linear_op.not_differentiable(
    "it is constant between its jumps; gf.straight_through lets gradients pass", zero=True
)


def _with_scale(x, scale):
    """A builder, and both as tensors: a Python number as a scale is a float32, whatever x is."""
    b = builder_for([x, scale])
    return b, (b.tensor(x), b.tensor(scale))


def _zero_point(b, scale, dtype, value):
    """The zero point that was given, or 0; one number is repeated to the shape of the scale."""
    zero = b.constant(value=np.zeros((), dtype.numpy)) if value is None else b.tensor(value)
    if zero.shape == scale.shape or zero.shape not in ((), (1,)):
        return zero
    zero = b.reshape(zero, shape=()) if zero.shape else zero
    return b.broadcast_to(zero, shape=scale.shape) if scale.shape else zero


@composite
def quantize_linear(
    x: Any,
    scale: Any,
    zero_point: Any = None,
    axis: int = 1,
    block_size: int = 0,
    dtype: Any = None,
    saturate: bool = True,
    precision: Any = None,
) -> Tensor:
    """Numbers as small integers or narrow floats: y = saturate(round(x / scale) + zero_point).

    Quotients are rounded to the nearest integer, of two equally near ones to the even, and then cut to
    the range of the dtype; NaN becomes the zero point. Narrow floats round the quotient as `gf.astype`.

    Arguments:
        x: floats, or integers, of any shape.
        scale: positive numbers: one; a vector, one for each index along `axis`; or with a `block_size`
            a tensor of the shape of x but for `axis`, one for each block.
        zero_point: of the shape of the scale, or one number, of the dtype of the result; None for 0.
        axis: the axis that scales belong to.
        block_size: how many neighbours along `axis` share a scale; the last block may be shorter.
        dtype: int8, uint8, int16, uint16, int4, uint4, int2, uint2, float8, float6 or float4; that of
            the zero point, or uint8, by default.
        saturate: for 8-bit floats, as in `gf.astype`.
        precision: the float in which to divide; that of the scale by default.

    Raises:
        ShapeError: if scale and zero point do not fit x; DTypeError: for other dtypes.

    ONNX QuantizeLinear-25.

    >>> import graphflow as gf
    >>> gf.quantize_linear(gf.placeholder("x", ("batch", 8)), 0.1, dtype=gf.int8).type
    int8[batch, 8]
    """
    b, (x, scale) = _with_scale(x, scale)
    target = None if dtype is None else as_dtype(dtype)
    zero = _zero_point(b, scale, target or uint8, zero_point)
    if target is not None and zero.dtype is not target:
        raise DTypeError(
            f"the zero point has dtype {zero.dtype}, but dtype={target} is asked for",
            hint="leave dtype out, or give the zero point that dtype",
        )
    made: Tensor = b.quantize_linear(
        x, scale, zero, axis=axis, block_size=block_size, saturate=saturate, precision=precision
    )
    return made


# dequantize_linear


def _dequantize_attrs(types, attrs):
    kind = types[1].dtype
    chosen = _as_precision(attrs["dtype"], "dequantize_linear")
    return {
        **_placed(types, attrs, "dequantize_linear"),
        "dtype": chosen or (kind if kind.kind == "float" else float32),
    }


def _dequantize_type(types, attrs):
    x, scale, zero_point = types
    known = x.dtype.name in (*QUANTIZED, "int32")
    _require(x.dtype, known, "what dequantize_linear takes", ", ".join((*QUANTIZED, "int32")))
    _require(scale.dtype, _is_scale(scale.dtype), "the scale of dequantize_linear", "gf.float32")
    _require(zero_point.dtype, zero_point.dtype is x.dtype, "the zero point", f"that of x, {x.dtype}")
    _require_zero_point(scale, zero_point, "dequantize_linear")
    return (TensorType(attrs["dtype"], x.shape),)


def dequantized(x: Any, scale: Any, zero_point: Any, attrs: dict[str, Any], xp: ModuleType) -> Any:
    """The computation of `dequantize_linear` in NumPy or a library like it."""
    wide = np.float64 if attrs["dtype"] is float64 else np.float32
    places = (x.shape, attrs["axis"], attrs["block_size"], xp)
    zero = spread(widened(zero_point, as_dtype(zero_point.dtype)).astype(wide), *places)
    factor = spread(widened(scale, as_dtype(scale.dtype)).astype(wide), *places)
    return ((widened(x, as_dtype(x.dtype)).astype(wide) - zero) * factor).astype(attrs["dtype"].numpy)


@op(
    "quantization",
    infer=_dequantize_type,
    normalize=_dequantize_attrs,
    traits="any_dtype",
    name="dequantize_linear",
)
def dequantize_linear_op(x, scale, zero_point, /, axis=1, block_size=0, dtype=None):
    """The numbers that quantized ones stand for: y = (x - zero_point) * scale. ONNX DequantizeLinear-25.

    Arguments:
        x, scale, zero_point, axis, block_size, dtype: see `gf.dequantize_linear`.

    >>> import graphflow as gf
    >>> gf.dequantize_linear(gf.constant([1, -7], gf.int4), 0.1).type
    float32[2]
    """
    attrs = {"axis": axis, "block_size": block_size, "dtype": dtype}
    return dequantized(x, scale, zero_point, attrs, np)


@dequantize_linear_op.gradient
def _(b, node, g):
    x, scale, zero_point = node.inputs
    if scale.dtype.kind != "float":
        return [None, None, None]
    attrs = node.attrs

    def of_scale():
        steps = b.dequantize_linear(x, b.full_like(1, scale), zero_point, **attrs)
        shares = b.astype(b.multiply(g, steps), dtype=scale.dtype)
        if attrs["block_size"]:
            axis = attrs["axis"]
            blocks = b.floor_divide(b.iota(size=x.shape[axis], dtype=int64), attrs["block_size"])
            return b.index_add(b.full_like(0, scale), blocks, shares, axis=axis)
        kept = (attrs["axis"],) if scale.ndim and scale.shape != (1,) else ()
        over = tuple(axis for axis in range(x.ndim) if axis not in kept)
        return b.reshape(b.sum(shares, axis=over), shape=scale.shape)

    return [None, of_scale, None]


@composite
def dequantize_linear(
    x: Any, scale: Any, zero_point: Any = None, axis: int = 1, block_size: int = 0, dtype: Any = None
) -> Tensor:
    """The numbers that quantized ones stand for: y = (x - zero_point) * scale.

    Arguments:
        x: int32, or what `gf.quantize_linear` gives.
        scale, axis, block_size: as in `gf.quantize_linear`.
        zero_point: of the shape of the scale, or one number, of the dtype of x; None for 0.
        dtype: the float to compute; that of the scale by default, float32 if it has none.

    Raises:
        ShapeError: if scale and zero point do not fit x; DTypeError: for other dtypes.

    ONNX DequantizeLinear-25.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 8), gf.uint8)
    >>> gf.dequantize_linear(x, 0.1, gf.constant(128, gf.uint8)).type
    float32[batch, 8]
    """
    b, (x, scale) = _with_scale(x, scale)
    zero = _zero_point(b, scale, x.dtype, zero_point)
    made: Tensor = b.dequantize_linear(x, scale, zero, axis=axis, block_size=block_size, dtype=dtype)
    return made

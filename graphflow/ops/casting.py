"""Conversion between dtypes, those that are only stored and text included (family elementwise)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.attrs import freeze
from graphflow.ir.builder import builder_for
from graphflow.ir.dtypes import DType, as_dtype, float8_e8m0fnu, string
from graphflow.ir.narrow import ROUND_MODES, integer_range, narrowed, widened
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.precision import is_half


def _astype_attrs(types, attrs):
    return {"dtype": as_dtype(attrs["dtype"])}


def _astype_type(types, attrs):
    kinds = (types[0].dtype.kind, attrs["dtype"].kind)
    if "string" in kinds and "complex" in kinds:
        raise DTypeError(
            f"{types[0].dtype} is not converted to {attrs['dtype']}", hint="convert real and imaginary parts"
        )
    return (TensorType(attrs["dtype"], types[0].shape),)


@op(
    "elementwise",
    infer=_astype_type,
    normalize=_astype_attrs,
    traits="elementwise any_dtype",
    name="astype",
)
def astype_op(x, /, dtype):
    """The elements converted to another dtype: y = x, rounded to what `dtype` holds.

    Narrow floats saturate, and powers of two are rounded up. ONNX Cast-25.

    Arguments:
        dtype: a GraphFlow dtype, its name, a NumPy dtype, or float, int, bool or str.

    >>> import graphflow as gf
    >>> gf.astype(gf.constant([1, 2]), "float16").type
    float16[2]
    """
    return converted(x, as_dtype(dtype))


@astype_op.gradient
def _(b, node, g):
    source = node.inputs[0].dtype
    if not (source.is_differentiable and node.output.dtype.is_differentiable):
        return [None]
    return [b.astype(g, dtype=source)]


def _astype_float8_attrs(types, attrs):
    target, mode = as_dtype(attrs["dtype"]), attrs["round_mode"]
    if not _is_float8(target):
        raise DTypeError(f"astype_float8 does not give {target}", hint="use gf.astype")
    _require_mode(mode)
    return {**attrs, "dtype": target, "round_mode": mode if target is float8_e8m0fnu else "nearest"}


def _is_float8(dtype):
    return dtype.kind == "narrow_float" and dtype.bits == 8


def _require_mode(mode):
    if not isinstance(mode, str) or mode not in ROUND_MODES:
        raise AttributeValueError(
            f"astype has no round_mode {mode!r:.80}", hint="use " + ", ".join(map(repr, ROUND_MODES))
        )


@op("elementwise", infer=_astype_type, normalize=_astype_float8_attrs, traits="elementwise any_dtype")
def astype_float8(x, /, dtype, saturate=True, round_mode="up"):
    """The elements converted to an 8-bit float under rules to choose: y = x, rounded to what `dtype` holds.

    ONNX Cast-25.

    Arguments:
        dtype, saturate, round_mode: see `gf.astype`.

    >>> import graphflow as gf
    >>> gf.astype(gf.constant([1.0, 1e9]), gf.float8_e5m2, saturate=False).type
    float8_e5m2[2]
    """
    return converted(x, as_dtype(dtype), saturate, round_mode)


astype_float8.not_differentiable("8-bit floats have no derivatives", zero=True)


@composite
def astype(
    x: Any,
    dtype: Any,
    saturate: bool = True,
    round_mode: str = "up",
    copy: bool = True,
    name: str | None = None,
) -> Tensor:
    """The elements converted to another dtype: y = x, rounded to what `dtype` holds.

    Floats become integers by dropping the fraction; those out of range become the nearest integer
    there is, and NaN becomes 0. Integers wrap. To bool, all but 0 is true. A complex number that becomes
    real loses its imaginary part. Integers of 4 and 2 bits keep the lowest bits of what int32 would hold.
    Text is read as a decimal number ("1e-5", "INF", "NaN"), and numbers are printed without exponent.

    Arguments:
        x: a tensor of any dtype.
        dtype: a GraphFlow dtype, its name, a NumPy dtype, or float, int, bool or str.
        saturate: for 8-bit floats, whether what is out of range, infinities too, becomes the largest
            number; otherwise it becomes infinite where the dtype has infinities, or NaN. Smaller floats
            have neither: they always saturate, and NaN becomes 0.
        round_mode: for float8_e8m0fnu, how to round to a power of two: "up", "down" or "nearest".
        copy: makes no difference, since tensors never change.

    Raises:
        DTypeError: between text and complex numbers; when it runs, for text that is no number.

    Array API `astype`; ONNX Cast-25.

    >>> import graphflow as gf
    >>> gf.astype(gf.constant([1, 2]), "float16").type
    float16[2]
    """
    b = builder_for([x])
    target, how = as_dtype(dtype), freeze(saturate)
    if how not in (True, False):
        raise AttributeValueError(f"astype needs True or False as saturate, not {saturate!r:.80}")
    _require_mode(round_mode)
    usual = how and (target is not float8_e8m0fnu or round_mode == "up")
    if usual or not _is_float8(target):
        return b.apply(astype_op, [x], {"dtype": target}, name)
    given = {"dtype": target, "saturate": bool(how), "round_mode": round_mode}
    return b.apply(astype_float8, [x], given, name)


def converted(x: np.ndarray, target: DType, saturate: bool = True, round_mode: str = "up") -> np.ndarray:
    """The elements as another dtype, in NumPy."""
    source = as_dtype(x.dtype)
    if source is target:
        return x
    if source is string:
        return _parsed(x, target, saturate, round_mode)
    x = widened(x, source)
    if target is string:
        return _printed(x)
    if x.dtype.kind == "c" and target.kind not in ("complex", "bool"):
        x = x.real
    if target.is_narrow:
        return narrowed(x, target, saturate, round_mode)
    if not target.is_integer or (x.dtype.kind != "f" and not is_half(x.dtype)):
        return x.astype(target.numpy)
    return _saturated(x.astype(np.float32) if is_half(x.dtype) else x, target.numpy)


def _saturated(x, dtype):
    limits = np.iinfo(dtype)
    low, above = x.dtype.type(limits.min), x.dtype.type(2.0 ** (limits.bits - (limits.min < 0)))
    inside = (x > low) & (x < above)
    whole = np.where(inside, x, 0).astype(dtype)
    whole = np.where(x <= low, dtype.type(limits.min), whole)
    return np.where(x >= above, dtype.type(limits.max), whole)


# Text


def _printed(x: np.ndarray) -> np.ndarray:
    """Each number in decimal, with as few digits as tell it from its neighbours."""
    shown = [_text(value) for value in np.asarray(x).reshape(-1)]
    return np.array(shown, string.numpy).reshape(np.shape(x))


def _text(value: Any) -> str:
    if value.dtype.kind not in "fV":
        return str(value)
    if value != value or abs(value) == np.inf:
        return "NaN" if value != value else "INF" if value > 0 else "-INF"
    return np.format_float_positional(np.float32(value) if value.dtype.kind == "V" else value, trim="0")


def _parsed(x: np.ndarray, target: DType, saturate: bool, round_mode: str) -> np.ndarray:
    numbers = [_number(text, target) for text in np.asarray(x).reshape(-1).tolist()]
    if target.is_integer:
        return np.array([_whole(value, target) for value in numbers], target.numpy).reshape(np.shape(x))
    made = np.array(numbers, np.float64).reshape(np.shape(x))
    return converted(made, target, saturate, round_mode)


def _number(text: str, target: DType) -> Any:
    """The number that a text says: an int where the target is one and the text has no fraction."""
    plain = text.strip().lower()
    if target.kind == "bool" and plain in ("true", "false"):
        return plain == "true"
    try:
        if "_" in plain:
            raise ValueError
        return int(plain) if target.is_integer and plain.lstrip("+-").isdigit() else float(plain)
    except ValueError:
        raise DTypeError(
            f"the text {text!r:.80} is no number", hint="clean the text before it is fed"
        ) from None


def _whole(value: float, target: DType) -> int:
    """An integer of the target: ints wrap, floats lose their fraction and saturate, and NaN is 0."""
    low, high = integer_range(target)
    if isinstance(value, int):
        return (value - low) % (high - low + 1) + low
    return int(min(max(value, low), high)) if value == value else 0

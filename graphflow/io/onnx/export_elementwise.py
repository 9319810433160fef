"""Export of arithmetic, real functions, comparison, logic, conversion and activation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphflow.io.onnx.export_writer import NoForm, Writer, number_or_none
from graphflow.ir import dtypes
from graphflow.ir.node import Node

Say = Callable[..., Any]


def said(op_type: str, *names: str, **fixed: Any) -> Say:
    """The operator of ONNX with our attributes of these names."""
    return lambda w, node, *inputs: w.emit(
        op_type, *inputs, **fixed, **{name: node.attrs[name] for name in names}
    )


def _is_float(w: Writer, x: str) -> bool:
    return w.dtype(x).kind == "float"


def _negated(w: Writer, x: str) -> str:
    return str(w.emit("Not", x))


def is_negative(w: Writer, x: str) -> str:
    """Whether the sign is minus, that of a zero too; that of NaN is not seen."""
    zero = w.like(0, x)
    of_zero = w.emit("Less", w.emit("Reciprocal", x), zero)
    return str(w.emit("Or", w.emit("Less", x, zero), w.emit("And", w.emit("Equal", x, zero), of_zero)))


def copysign(w: Writer, x: str, y: str) -> str:
    """The absolute value of x with the sign of y."""
    size = w.emit("Abs", x)
    return str(w.emit("Where", is_negative(w, y), w.emit("Neg", size), size))


# Division


def _guarded(w: Writer, y: str) -> tuple[str, str]:
    """Where an integer divisor is zero, and the divisor with ones there."""
    is_zero = w.emit("Equal", y, w.like(0, y))
    return is_zero, w.emit("Where", is_zero, w.like(1, y), y)


def _other_signs(w: Writer, rest: str, y: str) -> str:
    """Where a remainder is not zero and has not the sign of the divisor."""
    zero = w.like(0, y)
    apart = w.emit("Xor", w.emit("Less", rest, zero), w.emit("Less", y, zero))
    return str(w.emit("And", apart, _negated(w, w.emit("Equal", rest, zero))))


def _floor_divide(w: Writer, node: Node, x: str, y: str) -> str:
    if not _is_float(w, x):
        is_zero, safe = _guarded(w, y)
        rest = w.emit("Mod", x, safe, fmod=1)
        made = w.emit("Div", w.emit("Sub", x, rest), safe)
        made = w.emit("Sub", made, w.cast(_other_signs(w, rest, safe), w.dtype(x)))
        return str(w.emit("Where", is_zero, w.like(0, x), made))
    rest = w.emit("Mod", x, y, fmod=1)
    made = w.emit("Div", w.emit("Sub", x, rest), y)
    made = w.emit("Where", _other_signs(w, rest, y), w.emit("Sub", made, w.like(1, x)), made)
    by_zero = w.emit("Equal", y, w.like(0, y))
    return str(w.emit("Where", by_zero, w.emit("Div", x, y), w.emit("Round", made)))


def _remainder(w: Writer, node: Node, x: str, y: str) -> str:
    if not _is_float(w, x):
        is_zero, safe = _guarded(w, y)
        return str(w.emit("Where", is_zero, w.like(0, x), w.emit("Mod", x, safe)))
    rest = w.emit("Mod", x, y, fmod=1)
    return str(w.emit("Where", _other_signs(w, rest, y), w.emit("Add", rest, y), rest))


def _fmod(w: Writer, node: Node, x: str, y: str) -> str:
    if _is_float(w, x):
        return str(w.emit("Mod", x, y, fmod=1))
    is_zero, safe = _guarded(w, y)
    return str(w.emit("Where", is_zero, w.like(0, x), w.emit("Mod", x, safe, fmod=1)))


# Functions that ONNX does not have


def _small(w: Writer, x: str, limit: float) -> str:
    return str(w.emit("Less", w.emit("Abs", x), w.like(limit, x)))


def _expm1(w: Writer, node: Node, x: str) -> str:
    """2 t / (1 - t) with t = tanh(x / 2) near zero, where exp(x) - 1 would lose digits."""
    one = w.like(1, x)
    t = w.emit("Tanh", w.emit("Mul", x, w.like(0.5, x)))
    near = w.emit("Div", w.emit("Add", t, t), w.emit("Sub", one, t))
    return str(w.emit("Where", _small(w, x, 1.0), near, w.emit("Sub", w.emit("Exp", x), one)))


def log1p(w: Writer, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x near zero, which makes up for the rounding of u."""
    one = w.like(1, x)
    u = w.emit("Add", x, one)
    log, change = w.emit("Log", u), w.emit("Sub", u, one)
    near = w.emit(
        "Where", w.emit("Equal", change, w.like(0, x)), x, w.emit("Div", w.emit("Mul", log, x), change)
    )
    return str(w.emit("Where", _small(w, x, 0.75), near, log))


def _logaddexp(w: Writer, node: Node, x: str, y: str) -> str:
    apart = w.emit("Neg", w.emit("Abs", w.emit("Sub", x, y)))
    made = w.emit("Add", w.emit("Max", x, y), log1p(w, w.emit("Exp", apart)))
    twice = w.emit("Add", x, w.like(math.log(2), x))
    return str(w.emit("Where", w.emit("Equal", x, y), twice, made))


def _hypot(w: Writer, node: Node, x: str, y: str) -> str:
    x, y = w.emit("Abs", x), w.emit("Abs", y)
    large, zero, infinite = w.emit("Max", x, y), w.like(0, x), w.like(math.inf, x)
    ratio = w.emit("Div", w.emit("Min", x, y), large)
    made = w.emit("Mul", large, w.emit("Sqrt", w.emit("Add", w.emit("Mul", ratio, ratio), w.like(1, x))))
    made = w.emit("Where", w.emit("Equal", large, zero), zero, made)
    endless = w.emit("Or", w.emit("Equal", x, infinite), w.emit("Equal", y, infinite))
    return str(w.emit("Where", endless, infinite, made))


def _atan2(w: Writer, node: Node, y: str, x: str) -> str:
    high, wide, one, zero = w.emit("Abs", y), w.emit("Abs", x), w.like(1, x), w.like(0, x)
    ratio = w.emit("Div", high, wide)
    same = w.emit("Equal", high, wide)
    nothing = w.emit("And", same, w.emit("Equal", high, zero))
    ratio = w.emit("Where", nothing, zero, w.emit("Where", same, one, ratio))
    angle = w.emit("Atan", ratio)
    angle = w.emit("Where", is_negative(w, x), w.emit("Sub", w.like(math.pi, x), angle), angle)
    return copysign(w, angle, y)


def _logarithm(base: float) -> Say:
    return lambda w, node, x: w.emit("Mul", w.emit("Log", x), w.like(1 / math.log(base), x))


def _negative(w: Writer, node: Node, x: str) -> Any:
    return w.emit("Sub", w.like(0, x), x) if w.dtype(x).name.startswith("uint") else w.emit("Neg", x)


# Rounding and classes of numbers


def _rounded(op_type: str) -> Say:
    return lambda w, node, x: w.emit(op_type if _is_float(w, x) else "Identity", x)


def _trunc(w: Writer, node: Node, x: str) -> Any:
    if not _is_float(w, x):
        return w.emit("Identity", x)
    return w.emit("Where", w.emit("Less", x, w.like(0, x)), w.emit("Ceil", x), w.emit("Floor", x))


def _kind_of_number(which: str) -> Say:
    def say(w: Writer, node: Node, x: str) -> str:
        if not _is_float(w, x):
            same = w.emit("Equal", x, x)
            return same if which == "finite" else _negated(w, same)
        if which == "finite":
            return _negated(w, w.emit("Or", w.emit("IsNaN", x), w.emit("IsInf", x)))
        return str(w.emit(which, x))

    return say


# Conversion


def _astype(w: Writer, node: Node, x: str) -> str:
    """ONNX leaves open what becomes of floats that an integer type does not hold; here they are cut to it."""
    target = node.output.dtype
    if target.kind == "complex" or w.dtype(x).kind == "complex":
        raise NoForm("ONNX does not compute with complex numbers")
    if _is_float(w, x) and target.is_integer and target.numpy.itemsize <= 8:
        x = _in_range(w, x, target)
    return w.cast(x, target)


def _in_range(w: Writer, x: str, target: Any) -> str:
    """Floats cut to the largest range that both types hold, with NaN as 0."""
    import ml_dtypes
    import numpy as np

    info = ml_dtypes.iinfo(target.numpy)
    wide = x if w.dtype(x) is dtypes.float64 else w.cast(x, dtypes.float64)
    low, high = float(info.min), float(info.max)
    if high > info.max:
        high = float(np.nextafter(high, 0))
    above = w.emit("Less", w.like(high, wide), wide)
    cut = w.emit("Max", w.emit("Min", wide, w.like(high, wide)), w.like(low, wide))
    made = w.cast(w.emit("Where", w.emit("IsNaN", wide), w.like(0.0, wide), cut), target)
    if high == info.max:
        return made
    return str(w.emit("Where", above, w.constant(info.max, target), made))


def _astype_float8(w: Writer, node: Node, x: str) -> str:
    mode = node.attrs["round_mode"]
    options: dict[str, Any] = {"saturate": int(node.attrs["saturate"])}
    if node.output.dtype.name == "float8_e8m0fnu":
        if w.opset < 24:
            raise NoForm(f"Cast of opset {w.opset} has no round_mode")
        options["round_mode"] = mode
    return w.cast(x, node.output.dtype, **options)


def _bitcast(w: Writer, node: Node, x: str) -> Any:
    number = number_or_none(node.output.dtype)
    return w.emit("Identity", x) if w.kind(x) == number else w.emit("BitCast", x, kinds=[number], to=number)


# Bits


def _bitwise(on_bits: str, on_truths: str) -> Say:
    return lambda w, node, *inputs: w.emit(
        on_truths if w.dtype(inputs[0]).kind == "bool" else on_bits, *inputs
    )


_UNSIGNED = {1: dtypes.uint8, 2: dtypes.uint16, 4: dtypes.uint32, 8: dtypes.uint64}


def _shifted(w: Writer, x: str, by: str, direction: str) -> str:
    """A shift of the bits; as many as there are, or more, leave zeros."""
    own = w.dtype(x)
    bits, by = w.cast(x, _UNSIGNED[own.itemsize]), w.cast(by, _UNSIGNED[own.itemsize])
    width = w.like(8 * own.itemsize - 1, by)
    made = w.emit("BitShift", bits, w.emit("Min", by, width), direction=direction)
    made = w.emit("Where", w.emit("Less", width, by), w.like(0, made), made)
    return w.cast(made, own)


def _left_shift(w: Writer, node: Node, x: str, by: str) -> str:
    return _shifted(w, x, by, "LEFT")


def _right_shift(w: Writer, node: Node, x: str, by: str) -> str:
    """Of negative numbers the complement is shifted, so that ones come in."""
    if w.dtype(x).name.startswith("uint"):
        return _shifted(w, x, by, "RIGHT")
    ones, negative = w.like(-1, x), w.emit("Less", x, w.like(0, x))
    made = _shifted(w, w.emit("Where", negative, w.emit("Sub", ones, x), x), by, "RIGHT")
    return str(w.emit("Where", negative, w.emit("Sub", ones, made), made))


def _gelu(w: Writer, node: Node, x: str) -> Any:
    return w.emit("Gelu", x, approximate="tanh" if node.attrs["approximate"] else "none")


_SAME = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "abs": "Abs", "reciprocal": "Reciprocal", "sign": "Sign", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos",
    "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "asinh": "Asinh", "acosh": "Acosh",
    "atanh": "Atanh", "identity": "Identity", "stop_gradient": "Identity", "equal": "Equal", "less": "Less",
    "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not", "where": "Where",
    "relu": "Relu", "sigmoid": "Sigmoid", "softplus": "Softplus", "silu": "Swish", "selu": "Selu",
    "hard_swish": "HardSwish", "mish": "Mish", "softsign": "Softsign", "string_concat": "StringConcat",
}  # fmt: skip

TABLE: dict[str, Say] = {
    **{ours: said(theirs) for ours, theirs in _SAME.items()},
    "after": lambda w, node, x, *others: w.emit("Identity", x),
    "astype": _astype,
    "astype_float8": _astype_float8,
    "atan2": _atan2,
    "bitcast": _bitcast,
    "bitwise_and": _bitwise("BitwiseAnd", "And"),
    "bitwise_invert": _bitwise("BitwiseNot", "Not"),
    "bitwise_left_shift": _left_shift,
    "bitwise_or": _bitwise("BitwiseOr", "Or"),
    "bitwise_right_shift": _right_shift,
    "bitwise_xor": _bitwise("BitwiseXor", "Xor"),
    "ceil": _rounded("Ceil"),
    "copysign": lambda w, node, x, y: copysign(w, x, y),
    "elu": said("Elu", "alpha"),
    "expm1": _expm1,
    "floor": _rounded("Floor"),
    "floor_divide": _floor_divide,
    "fmod": _fmod,
    "gelu": _gelu,
    "hard_sigmoid": said("HardSigmoid", "alpha", "beta"),
    "hypot": _hypot,
    "is_finite": _kind_of_number("finite"),
    "is_inf": _kind_of_number("IsInf"),
    "is_nan": _kind_of_number("IsNaN"),
    "leaky_relu": said("LeakyRelu", "alpha"),
    "log10": _logarithm(10),
    "log1p": lambda w, node, x: log1p(w, x),
    "log2": _logarithm(2),
    "log_softmax": said("LogSoftmax", "axis"),
    "logaddexp": _logaddexp,
    "negative": _negative,
    "not_equal": lambda w, node, x, y: _negated(w, w.emit("Equal", x, y)),
    "remainder": _remainder,
    "round": _rounded("Round"),
    "rsqrt": lambda w, node, x: w.emit("Reciprocal", w.emit("Sqrt", x)),
    "softmax": said("Softmax", "axis"),
    "square": lambda w, node, x: w.emit("Mul", x, x),
    "trunc": _trunc,
}

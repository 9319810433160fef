"""Elementwise primitives of JAX as operators: arithmetic, comparisons, bits, and conversions."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.dtypes import DType, as_dtype, bfloat16
from graphflow.ir.node import Tensor
from graphflow.runtime.jax.from_jax_shape import converted
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped

_SAME = {
    "abs": "abs", "acos": "acos", "acosh": "acosh", "add": "add", "add_any": "add", "asin": "asin",
    "asinh": "asinh", "atan": "atan", "atan2": "atan2", "atanh": "atanh", "ceil": "ceil",
    "complex": "complex", "conj": "conj", "copy": "identity", "copy_p": "identity", "cos": "cos",
    "cosh": "cosh", "eq": "equal", "erf": "erf", "exp": "exp", "expm1": "expm1", "floor": "floor",
    "ge": "greater_equal", "gt": "greater", "imag": "imag", "is_finite": "is_finite", "le": "less_equal",
    "log": "log", "log1p": "log1p", "logistic": "sigmoid", "lt": "less", "max": "maximum", "min": "minimum",
    "mul": "multiply", "ne": "not_equal", "neg": "negative", "nextafter": "nextafter", "real": "real",
    "rem": "fmod", "rsqrt": "rsqrt", "shift_left": "bitwise_left_shift", "sign": "sign", "sin": "sin",
    "sinh": "sinh", "sqrt": "sqrt", "square": "square", "stop_gradient": "stop_gradient", "sub": "subtract",
    "tan": "tan", "tanh": "tanh",
}  # fmt: skip
_LOGICAL = {"and": ("logical_and", "bitwise_and"), "or": ("logical_or", "bitwise_or")}
_LOGICAL |= {"xor": ("logical_xor", "bitwise_xor"), "not": ("logical_not", "bitwise_invert")}
_TOTAL = {"eq_to": "equal", "le_to": "less_equal", "lt_to": "less"}


def _same(name: str) -> Any:
    def rule(step: Step, *operands: Value) -> Tensor:
        return getattr(step.b, name)(*operands)

    return rule


for _primitive, _operator in _SAME.items():
    mapped(_primitive)(_same(_operator))


def _logical(names: tuple[str, str]) -> Any:
    def rule(step: Step, *operands: Value) -> Tensor:
        return getattr(step.b, names[step.types[0].dtype.kind != "bool"])(*operands)

    return rule


for _primitive, _operators in _LOGICAL.items():
    mapped(_primitive)(_logical(_operators))


@mapped(
    "optimization_barrier", "name", "device_put", "sharding_constraint", "layout_constraint", "copy_to_host"
)
def _(step: Step, *operands: Value) -> list[Value]:
    return list(operands)


@mapped("div")
def _(step: Step, x: Value, y: Value) -> Tensor:
    kind, b = step.out.dtype.kind, step.b
    if kind == "uint":
        return b.floor_divide(x, y)
    if kind == "int":  # rounded towards 0, where floor_divide rounds down
        return b.floor_divide(b.subtract(x, b.fmod(x, y)), y)
    return b.divide(x, y)


@mapped("mulhi")
def _(step: Step, x: Value, y: Value) -> Tensor:
    dtype = step.out.dtype
    if dtype.bits > 32:
        raise step.refuse(f"takes {dtype}", "multiply numbers of at most 32 bits")
    b, wide = step.b, as_dtype("int64" if dtype.kind == "int" else "uint64")
    product = b.multiply(b.astype(x, dtype=wide), b.astype(y, dtype=wide))
    return b.bitwise_right_shift(product, b.like(dtype.bits, product))


@mapped("integer_pow")
def _(step: Step, x: Value) -> Tensor:
    power, b = step.params["y"], step.b
    if power == 2:
        return b.square(x)
    if power in (0, 1, -1):
        x = step.tensor(x)
        return b.full_like(1, x) if power == 0 else x if power == 1 else b.reciprocal(x)
    if step.out.dtype.kind in ("int", "uint", "complex") or power == 3:
        return _by_squaring(step, x, power)
    return b.pow(x, b.like(power, step.tensor(x)))


def _by_squaring(step: Step, x: Value, power: int) -> Tensor:
    """x^power by products, as floating-point powers would lose digits of integers."""
    b, factor, rest = step.b, step.tensor(x), abs(power)
    made: Tensor | None = None
    while rest:
        if rest & 1:
            made = factor if made is None else b.multiply(made, factor)
        rest >>= 1
        factor = b.square(factor) if rest else factor
    assert made is not None
    return b.reciprocal(made) if power < 0 else made


@mapped("pow")
def _(step: Step, x: Value, y: Value) -> Tensor:
    return step.b.pow(x, converted(step, y, step.out.dtype))


@mapped("exp2")
def _(step: Step, x: Value) -> Tensor:
    x = step.tensor(x)
    return step.b.pow(step.b.like(2.0, x), x)


@mapped("cbrt")
def _(step: Step, x: Value) -> Tensor:
    b, x = step.b, step.tensor(x)
    return b.copysign(b.pow(b.abs(x), b.like(1 / 3, x)), x)


@mapped("round")
def _(step: Step, x: Value) -> Tensor:
    b = step.b
    if int(step.params["rounding_method"]) == 1:
        return b.round(x)
    x = step.tensor(x)
    below = float(np.nextafter(x.dtype.numpy.type(0.5), x.dtype.numpy.type(0)))
    return b.trunc(b.add(x, b.copysign(b.like(below, x), x)))  # a half, less the last bit, reaches 1 for 0.5


@mapped("clamp")
def _(step: Step, low: Value, x: Value, high: Value) -> Tensor:
    return step.b.minimum(step.b.maximum(x, low), high)


@mapped("select_n")
def _(step: Step, which: Value, *cases: Value) -> Value:
    b = step.b
    if step.types[0].dtype.kind == "bool":
        return b.where(which, cases[-1], cases[0])
    made = cases[0]
    for number, case in enumerate(cases[1:], 1):
        made = b.where(b.greater_equal(which, b.like(number, step.tensor(which))), case, made)
    return made


@mapped("convert_element_type")
def _(step: Step, x: Value) -> Tensor:
    source, target = step.types[0].dtype, step.out.dtype
    if source.kind == "complex" and target.kind not in ("complex", "bool"):
        x = step.b.real(x)
    return step.b.astype(x, dtype=target)


@mapped("bitcast_convert_type")
def _(step: Step, x: Value) -> Tensor:
    source, target, b = step.types[0].dtype, step.out.dtype, step.b
    if source.bits == target.bits:
        return b.bitcast(x, dtype=target)
    whole, part = max(source.bits, target.bits), min(source.bits, target.bits)
    if whole % part or part < 8:
        raise step.refuse(f"reads {source} as {target}", "use dtypes of whole bytes")
    wide, narrow = as_dtype(f"uint{whole}"), as_dtype(f"uint{part}")
    shifts = np.arange(0, whole, part).astype(wide.numpy)
    if source.bits == whole:
        bits = b.expand_dims(b.bitcast(x, dtype=wide), axis=-1)
        low = b.bitwise_and(b.bitwise_right_shift(bits, shifts), np.array(2**part - 1, wide.numpy))
        return b.bitcast(b.astype(low, dtype=narrow), dtype=target)
    bits = b.astype(b.bitcast(x, dtype=narrow), dtype=wide)
    joined = b.astype(b.sum(b.bitwise_left_shift(bits, shifts), axis=-1), dtype=wide)
    return b.bitcast(joined, dtype=target)


@mapped("reduce_precision")
def _(step: Step, x: Value) -> Value:
    exponent, mantissa, dtype = step.params["exponent_bits"], step.params["mantissa_bits"], step.out.dtype
    if exponent >= 8 and mantissa >= 23 and (dtype.bits <= 32 or (exponent >= 11 and mantissa >= 52)):
        return x
    if (exponent, mantissa) == (8, 7) and dtype.bits <= 32:
        return step.b.astype(step.b.astype(x, dtype=bfloat16), dtype=dtype)
    raise step.refuse(
        f"rounds to {exponent} bits of exponent and {mantissa} of mantissa", "round with gf.astype instead"
    )


def _unsigned(dtype: DType) -> DType:
    return as_dtype(f"uint{dtype.bits}")


@mapped("shift_right_logical")
def _(step: Step, x: Value, y: Value) -> Tensor:
    dtype, b = step.out.dtype, step.b
    if dtype.kind == "uint":
        return b.bitwise_right_shift(x, y)
    bits = [b.bitcast(value, dtype=_unsigned(dtype)) for value in (x, y)]
    return b.bitcast(b.bitwise_right_shift(*bits), dtype=dtype)


@mapped("shift_right_arithmetic")
def _(step: Step, x: Value, y: Value) -> Tensor:
    dtype, b = step.out.dtype, step.b
    if dtype.kind == "int":
        return b.bitwise_right_shift(x, y)
    signed = as_dtype(f"int{dtype.bits}")
    bits = [b.bitcast(value, dtype=signed) for value in (x, y)]
    return b.bitcast(b.bitwise_right_shift(*bits), dtype=dtype)


def _shifted(step: Step, x: Tensor, places: int) -> Tensor:
    return step.b.bitwise_right_shift(x, step.b.like(places, x))


def _count(step: Step, x: Tensor) -> Tensor:
    """The number of ones among the bits, by sums of halves."""
    b, bits = step.b, x.dtype.bits
    places = 1
    while places < bits:
        mask = sum(((1 << places) - 1) << start for start in range(0, bits, 2 * places))
        low = b.like(mask, x)
        x = b.add(b.bitwise_and(x, low), b.bitwise_and(_shifted(step, x, places), low))
        places *= 2
    return x


@mapped("population_count")
def _(step: Step, x: Value) -> Tensor:
    return step.b.bitcast(
        _count(step, step.b.bitcast(x, dtype=_unsigned(step.out.dtype))), dtype=step.out.dtype
    )


@mapped("clz")
def _(step: Step, x: Value) -> Tensor:
    b, dtype = step.b, step.out.dtype
    bits = b.bitcast(x, dtype=_unsigned(dtype))
    places = 1
    while places < dtype.bits:  # all places below the first one become ones
        bits = b.bitwise_or(bits, _shifted(step, bits, places))
        places *= 2
    return b.bitcast(_count(step, b.bitwise_invert(bits)), dtype=dtype)


def _ordered(step: Step, x: Value) -> Tensor:
    """Integers in the total order of floats, -NaN < -inf < .. < -0 < 0 < .. < NaN."""
    b, dtype = step.b, step.types[0].dtype
    bits = b.bitcast(x, dtype=as_dtype(f"int{dtype.bits}"))
    largest = b.like(2 ** (dtype.bits - 1) - 1, bits)
    return b.where(b.less(bits, b.like(0, bits)), b.bitwise_xor(bits, largest), bits)


def _in_total_order(name: str) -> Any:
    def rule(step: Step, x: Value, y: Value) -> Tensor:
        if step.types[0].dtype.is_floating:
            x, y = _ordered(step, x), _ordered(step, y)
        return getattr(step.b, name)(x, y)

    return rule


for _primitive, _operator in _TOTAL.items():
    mapped(_primitive)(_in_total_order(_operator))

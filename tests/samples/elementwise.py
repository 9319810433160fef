"""Samples of arithmetic, real functions, rounding and conversion."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.samples import sample

F32, F64, F16, BF16 = np.float32, np.float64, np.float16, ml_dtypes.bfloat16
AWKWARD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -3e38, 1.0, -1.0], F32)
PAIRS = np.stack([axis.ravel() for axis in np.meshgrid(AWKWARD, AWKWARD)])


def _values(shape, low, high, seed=0, dtype=F32):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def _unary(name, low=-2.0, high=2.0, rtol=2e-6, awkward=True, **attrs):
    sample(name, _values((2, 3), low, high, 1), rtol=rtol, **attrs)
    sample(name, _values((4,), low, high, 2, F64), rtol=1e-13, atol=1e-15, **attrs)
    sample(name, _values((1,), low, high, 3), rtol=rtol, **attrs)
    sample(name, _values((2, 0), low, high, 4), **attrs)
    sample(name, _values((), low, high, 5), rtol=rtol, **attrs)
    sample(name, _values((5,), low, high, 6, F16), rtol=2e-3, atol=2e-3, gradient=False, **attrs)
    sample(name, _values((5,), low, high, 7, BF16), rtol=1.6e-2, atol=1e-2, gradient=False, **attrs)
    if awkward:
        sample(name, AWKWARD, rtol=rtol, gradient=False, **attrs)


def _binary(name, low=-2.0, high=2.0, awkward=True, rtol=2e-6):
    sample(name, _values((2, 3), low, high, 1), _values((2, 3), low, high, 2), rtol=rtol)
    sample(name, _values((2, 3, 4), low, high, 3), _values((3, 1), low, high, 4), rtol=rtol)
    sample(name, _values((), low, high, 5), _values((1, 2), low, high, 6, F64), rtol=1e-6)
    sample(name, _values((1,), low, high, 7), _values((0, 3), low, high, 8))
    for dtype, tolerance in ((F16, 2e-3), (BF16, 1.6e-2)):
        left, right = _values((4,), low, high, 9, dtype), _values((4,), low, high, 10, dtype)
        sample(name, left, right, rtol=tolerance, atol=tolerance, gradient=False)
    if awkward:
        sample(name, *PAIRS, rtol=rtol, gradient=False)


for _name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "copysign"):
    _binary(_name)
for _name in ("floor_divide", "remainder", "fmod"):
    _binary(_name, 0.6, 0.9, awkward=False)
_binary("pow", 0.5, 2.0)
_binary("atan2", rtol=3e-6)
_binary("logaddexp")
_binary("hypot")

INTS = np.array([7, -7, 0, 1, -(2**31), 2**31 - 1], np.int32)
DIVISORS = np.array([2, 2, 3, -1, 3, 0], np.int32)
for _name in (
    "add",
    "subtract",
    "multiply",
    "floor_divide",
    "remainder",
    "fmod",
    "maximum",
    "minimum",
    "divide",
):
    sample(_name, INTS, DIVISORS, gradient=False)
    sample(_name, np.array([250, 3], np.uint8), np.array([[7], [0]], np.uint8), gradient=False)
sample("floor_divide", np.array([-8, 8, -8, 8], F64), np.array([3, -3, np.inf, 0], F64), gradient=False)
sample("remainder", np.array([-8, 8, -8.5, 8, 0], F64), np.array([3, -3, 2, np.nan, -2], F64), gradient=False)
sample("add", np.array([True, True, False]), np.array([True, False, False]))
sample("maximum", np.array([True, True, False]), np.array([True, False, False]))
sample("multiply", np.array([1 + 2j, -1j], np.complex64), np.array([2 - 1j], np.complex64), gradient=False)
sample("divide", np.array([1 + 2j, -1j], np.complex128), np.array([2.0, 4.0]), gradient=False)
sample("pow", np.array([2, -2, 3, 0, -1, 1, 7, -1, 0]), np.array([10, 63, 64, 0, -3, -5, -1, 65, -2]))
sample("pow", np.array([2, 3], np.uint8), np.array([7, 9], np.uint8))
sample("pow", np.array([-8.0, 2.0, -2.0, -2.0]), np.array([1 / 3, -1.0, 3.0, -3.0]), gradient=False)

for _name in ("negative", "square", "sign", "exp", "expm1", "sin", "cos", "atan", "tanh", "erf"):
    _unary(_name)
_unary("abs")
for _name in ("sinh", "cosh", "asinh"):
    _unary(_name, rtol=4e-6)
for _name in ("tan", "asin", "acos", "atanh"):
    _unary(_name, -0.9, 0.9, rtol=4e-6)
for _name in ("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal"):
    _unary(_name, 0.3, 3.0)
_unary("log1p", -0.7, 3.0)
_unary("acosh", 1.2, 4.0, rtol=4e-6)

for _name in ("negative", "abs", "square", "sign", "ceil", "floor", "round", "trunc", "identity"):
    sample(_name, INTS)
sample("negative", np.array([0, 1, 255], np.uint8))
for _name in ("exp", "sqrt", "reciprocal", "tanh"):
    sample(_name, np.array([[1, 2], [3, 4]], np.int32))
    sample(_name, np.array([1, 2], np.int8), rtol=1e-3, atol=1e-3)
    sample(_name, np.array([1 + 1j, -2j], np.complex128), rtol=1e-12, gradient=False)
sample("erf", np.array([-7.0, -4.0, -1.1, 1e-20, 0.85, 1.3, 2.9, 5.9]), rtol=1e-14)

HALVES = np.array([-2.5, -1.5, -0.5, 0.4, 0.5, 1.5, 2.5, 1e20])
for _name in ("ceil", "floor", "round", "trunc"):
    _unary(_name)
    sample(_name, HALVES)
for _name in ("is_nan", "is_inf", "is_finite"):
    _unary(_name)
    sample(_name, INTS)
for _name in ("identity", "stop_gradient"):
    _unary(_name)
    sample(_name, np.array([True, False]))

sample("astype", _values((2, 3), -2, 2), dtype="float64")
sample("astype", _values((2, 3), -2, 2, dtype=F64), dtype="float32", gradient=False)
sample("astype", AWKWARD, dtype="float16", gradient=False)
sample("astype", AWKWARD, dtype="bfloat16", gradient=False)
sample("astype", _values((4,), -9, 9, dtype=BF16), dtype="float32", gradient=False)
for _dtype in ("bool", "int8", "uint8", "int32", "uint32", "int64", "uint64"):
    sample("astype", np.array([*AWKWARD, 2.9, -2.9, 3e9, -3e9, 255.5, 300.0]), dtype=_dtype, gradient=False)
    sample(
        "astype", np.array([np.nan, np.inf, -np.inf, -0.0, 2.9, -2.9, 6e4], F16), dtype=_dtype, gradient=False
    )
    sample("astype", INTS, dtype=_dtype)
sample("astype", np.array([True, False]), dtype="float32")
sample("astype", np.zeros((0, 2), np.int32), dtype="float32")
sample("astype", np.array([1 + 2j, 3.0]), dtype="float32", gradient=False)
sample("astype", np.array([1.5, -2.0]), dtype="complex64", gradient=False)

sample("fmod", np.array([-8, 8, -8.5, 8, 0, -0.0, np.inf, 5, -5, 5], F64),
       np.array([3, -3, 2, np.nan, -2, 3, 2, np.inf, np.inf, 0], F64), gradient=False)  # fmt: skip
sample("fmod", np.array([-7.5, 7.5, 6.25]), np.array([[2.0], [-3.5]]))
sample("bitcast", np.array([1.0, -0.0, np.nan, np.inf], np.float32), dtype="int32", gradient=False)
sample("bitcast", np.array([[-1, 127]], np.int8), dtype="uint8")
sample("bitcast", np.array(2**62, np.uint64), dtype="float64")
sample("bitcast", np.zeros((0, 2), np.float16), dtype="bfloat16", gradient=False)
sample("bitcast", np.array([15360], np.uint16), dtype="float16")

# nextafter: in each dtype's own steps
for _kind in (F16, BF16, F32, F64):
    _from = np.array([1.0, -1.0, 0.0, -0.0, 2.0, 65504.0, np.inf, np.nan, 3.0]).astype(_kind)
    _to = np.array([2.0, 0.0, 1.0, -1.0, 2.0, np.inf, 0.0, 1.0, np.nan]).astype(_kind)
    _known = slice(7 if _kind is BF16 else 9)  # NumPy does not know NaN of bfloat16
    sample("nextafter", _from[_known], _to[_known], rtol=0, atol=0, gradient=False)
sample("nextafter", np.zeros((0, 3), np.float32), np.float32(1))
sample("nextafter", np.array([3, 250], np.uint8), np.array([[0], [255]], np.uint8), gradient=False)

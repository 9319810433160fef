"""Kernels that write into memory they are given: elementwise operators as NumPy functions with `out`.

A kernel gives the bits of its operator's reference, and `out` may be one of its inputs. Operators and
dtypes that have none (16-bit floats are computed in float32 by the references) run by their references.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.ir.node import Node

Kernel = Callable[..., Any]
"""(*inputs, out) -> anything; `out` has the broadcast shape of the inputs."""

_UFUNCS: dict[str, np.ufunc] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod, "pow": np.power,
    "negative": np.negative, "abs": np.abs, "sign": np.sign,
    "copysign": np.copysign, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "log2": np.log2, "log10": np.log10, "sqrt": np.sqrt, "logaddexp": np.logaddexp, "hypot": np.hypot,
    "ceil": np.ceil, "floor": np.floor, "round": np.rint, "trunc": np.trunc, "is_nan": np.isnan,
    "is_inf": np.isinf, "is_finite": np.isfinite, "nextafter": np.nextafter, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor, "logical_not": np.logical_not,
    "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
    "bitwise_invert": np.invert, "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
}  # fmt: skip


def _relu(x: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, x.dtype.type(0), out=out)


def _maximum(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, y, out=out)


def _minimum(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    np.minimum(x, y, out=out)


def _square(x: np.ndarray, out: np.ndarray) -> None:
    np.multiply(x, x, out)


def _reciprocal(x: np.ndarray, out: np.ndarray) -> None:
    np.divide(x.dtype.type(1), x, out)


def _rsqrt(x: np.ndarray, out: np.ndarray) -> None:
    np.sqrt(x, out)
    np.divide(1, out, out)


def _complex_multiply(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    # Over one of its operands NumPy multiplies complex numbers in another way, which rounds differently.
    np.copyto(out, np.multiply(x, y))


def _complex_square(x: np.ndarray, out: np.ndarray) -> None:
    np.copyto(out, np.square(x))


_OF_COMPLEX: dict[str, Kernel] = {"multiply": _complex_multiply, "square": _complex_square}

_OF_ITS_TYPE: dict[str, Kernel] = {
    "relu": _relu, "maximum": _maximum, "minimum": _minimum, "square": _square, "reciprocal": _reciprocal,
    "rsqrt": _rsqrt,
}  # fmt: skip


def kernel_of(node: Node) -> Kernel | None:
    """The kernel of a node, or None if it has to run by its reference.

    >>> import graphflow as gf
    >>> kernel_of(gf.exp(gf.constant([1.0])).node), kernel_of(gf.erf(gf.constant([1.0])).node)
    (<ufunc 'exp'>, None)
    """
    types = [tensor.dtype.numpy for tensor in (*node.inputs, *node.outputs)]
    if any(kind.kind not in "biufc" or (kind.kind == "f" and kind.itemsize == 2) for kind in types):
        return None
    name = node.op.name
    if node.op.family not in ("elementwise", "comparison", "activation"):
        return None
    if name in _OF_COMPLEX and types[-1].kind == "c":
        return _OF_COMPLEX[name] if len(set(types)) == 1 else None
    if name in _OF_ITS_TYPE:
        return _OF_ITS_TYPE[name] if types[0] == types[-1] else None
    ufunc = _UFUNCS.get(name)
    if ufunc is None or (name == "pow" and types[0].kind == "i"):
        return None
    try:
        resolved = ufunc.resolve_dtypes((*types[:-1], None))
    except TypeError:
        return None
    return ufunc if list(resolved) == types else None

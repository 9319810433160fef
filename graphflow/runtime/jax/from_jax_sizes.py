"""Sizes between GraphFlow and JAX: both print symbolic ones as arithmetic, which the other can evaluate."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import export

from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, exponent: functools.reduce(operator.mul, [base] * exponent, 1),
}
_OURS: dict[str, Callable[..., Any]] = {
    "floordiv": dims.floor_divide,
    "mod": dims.remainder,
    "max": dims.maximum,
    "min": dims.minimum,
}
_THEIRS: dict[str, Callable[..., Any]] = {"max": jax.core.max_dim, "min": jax.core.min_dim}

_SCOPE = export.SymbolicScope()
"""All symbols are of one scope, so that functions traced at different times can be put together."""


def to_jax(size: Size) -> Any:
    """The size as JAX counts: an int, or an expression of symbols of the same names."""
    if not isinstance(size, Dim):
        return size
    names = {name: symbol(name) for name in dims.symbols(size)}
    return _evaluate(str(size), names, _THEIRS)


@functools.lru_cache(maxsize=1000)
def symbol(name: str) -> Any:
    """The symbolic size of that name in JAX."""
    return export.symbolic_shape(name, scope=_SCOPE)[0]


def from_jax(size: Any, known: Mapping[str, Size]) -> Size:
    """A size of a jaxpr as GraphFlow counts; its symbols have the values `known`, or stay what they are."""
    if isinstance(size, (int, np.integer)):
        return int(size)
    return _evaluate(str(size), known, _OURS)


def _evaluate(text: str, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    return _value(ast.parse(text, mode="eval").body, text, names, functions)


def _value(
    tree: ast.expr, text: str, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
) -> Any:
    match tree:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name):
            return names[name] if name in names else Dim(name)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -1 * _value(inner, text, names, functions)
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
            return _OPERATORS[type(kind)](
                _value(left, text, names, functions), _value(right, text, names, functions)
            )
        case ast.Call(func=ast.Name(id=name), args=parts) if name in functions:
            return functions[name](*[_value(part, text, names, functions) for part in parts])
    raise ShapeError(
        f"the size {text:.80} has no counterpart on the other side",
        hint="give sizes that are numbers, or sums and products of names",
    )

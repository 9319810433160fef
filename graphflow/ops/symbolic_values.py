"""Operators on symbolic sizes: what arithmetic, comparisons and conversions give where a size is unknown.

Sizes are ints and Dims. A floating tensor, as exporters make them on the way (`floor(shape * 0.5)`),
may also hold halves, quarters and so on of a size, as a `Fraction`. A rule answers or raises
`Undecided`; it never guesses. Floats are exact here, as they are at run time for sizes below 2**24.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphflow.ir import dims
from graphflow.ir.atoms import bounds
from graphflow.ir.dims import Dim, Size
from graphflow.ir.node import Node

HIGHEST_POWER = 4

MOVING = {"concat": False, "pad": True, "identity": True}
"""Operators whose reference moves sizes about like numbers: does the first input alone hold them?

Those with the trait "injective" do so too, from their first input."""


class Undecided(Exception):
    """A value that is not known while building."""


@dataclass(frozen=True, slots=True)
class Fraction:
    """A size divided by a power of two."""

    top: Size
    bottom: int


Number: TypeAlias = "int | Dim | Fraction"


def _parts(value: Any) -> tuple[Size, int]:
    """Numerator and denominator."""
    if isinstance(value, Fraction):
        return value.top, value.bottom
    if isinstance(value, (float, np.floating)):
        if not np.isfinite(value):
            raise Undecided
        return float(value).as_integer_ratio()
    if isinstance(value, (int, Dim)):
        return int(value) if isinstance(value, int) else value, 1
    raise Undecided


def _fraction(top: Size, bottom: int) -> Any:
    """top / bottom in lowest terms."""
    if bottom < 0:
        top, bottom = -top, -bottom
    while bottom > 1 and bottom % 2 == 0 and dims.remainder(top, 2) == 0:
        top, bottom = dims.floor_divide(top, 2), bottom // 2
    if bottom & (bottom - 1) or bottom > 1 << 20:
        raise Undecided  # thirds of a size are rounded at run time
    return top if bottom == 1 else Fraction(top, bottom)


def _size(value: Any) -> Size:
    top, bottom = _parts(value)
    if bottom != 1:
        raise Undecided
    return top


# Arithmetic of two numbers


def _add(left: Any, right: Any) -> Any:
    (a, b), (c, d) = _parts(left), _parts(right)
    return _fraction(a * d + c * b, b * d)


def _negative(value: Any) -> Any:
    top, bottom = _parts(value)
    return _fraction(-top, bottom)


def _subtract(left: Any, right: Any) -> Any:
    return _add(left, _negative(right))


def _multiply(left: Any, right: Any) -> Any:
    (a, b), (c, d) = _parts(left), _parts(right)
    return _fraction(a * c, b * d)


def _divide(left: Any, right: Any) -> Any:
    (a, b), (c, d) = _parts(left), _parts(right)
    if not isinstance(c, int) or c == 0:
        raise Undecided
    return _fraction(a * d, b * c)


def _floor_divide(left: Any, right: Any) -> Any:
    return dims.floor_divide(_size(left), _size(right))


def _remainder(left: Any, right: Any) -> Any:
    return dims.remainder(_size(left), _size(right))


def _maximum(left: Any, right: Any) -> Any:
    return dims.maximum(_size(left), _size(right))


def _minimum(left: Any, right: Any) -> Any:
    return dims.minimum(_size(left), _size(right))


def _power(left: Any, right: Any) -> Any:
    exponent = _size(right)
    if not isinstance(exponent, int) or not 0 <= exponent <= HIGHEST_POWER:
        raise Undecided
    result: Any = 1
    for _ in range(exponent):
        result = _multiply(result, left)
    return result


# Of one number


def _abs(value: Any) -> Any:
    if _less(value, 0):
        return _negative(value)
    return value


def _sign(value: Any) -> Any:
    return 0 if _equal(value, 0) else -1 if _less(value, 0) else 1


def _floor(value: Any) -> Any:
    return dims.floor_divide(*_parts(value))


def _ceil(value: Any) -> Any:
    top, bottom = _parts(value)
    return dims.floor_divide(top + (bottom - 1), bottom)


def _truncate(value: Any) -> Any:
    if _parts(value)[1] == 1:
        return value
    return _ceil(value) if _less(value, 0) else _floor(value)


# Comparisons, where the bounds of the sizes decide


def _difference(left: Any, right: Any) -> tuple[int | None, int | None]:
    (a, b), (c, d) = _parts(left), _parts(right)
    return bounds(a * d - c * b)


def _decided(holds: bool, fails: bool) -> bool:
    if not holds and not fails:
        raise Undecided
    return holds


def _less(left: Any, right: Any) -> bool:
    low, high = _difference(left, right)
    return _decided(high is not None and high < 0, low is not None and low >= 0)


def _equal(left: Any, right: Any) -> bool:
    low, high = _difference(left, right)
    apart = (low is not None and low > 0) or (high is not None and high < 0)
    return _decided(low == high == 0, apart)


# Rules: (node, *arrays, some of them of objects) -> array


Rule: TypeAlias = Callable[..., Any]


def _by_element(function: Callable[..., Any], arity: int) -> Rule:
    compute = np.frompyfunc(function, arity, 1)

    def rule(node: Node, *arrays: np.ndarray) -> Any:
        return compute(*[array.astype(object) for array in arrays])

    return rule


def _reducing(function: Callable[..., Any], start: int | None) -> Rule:
    def rule(node: Node, x: np.ndarray) -> np.ndarray:
        axes, keepdims = node.attrs["axis"], node.attrs["keepdims"]
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        rows = x.astype(object).transpose(*kept, *axes).reshape(*[x.shape[axis] for axis in kept], -1)
        made = np.empty(rows.shape[:-1], dtype=object)
        for index in np.ndindex(made.shape):
            entries = list(rows[index])
            total = entries.pop(0) if start is None else start
            for entry in entries:
                total = function(total, entry)
            made[index] = total
        return np.expand_dims(made, axes) if keepdims else made

    return rule


def _running(function: Callable[..., Any]) -> Rule:
    def rule(node: Node, x: np.ndarray) -> Any:
        axis = node.attrs["axis"]
        if any(value is True for value in node.attrs.values()):
            raise Undecided
        return np.frompyfunc(function, 2, 1).accumulate(x, axis=axis, dtype=object)

    return rule


def _where(node: Node, condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> Any:
    if condition.dtype == object:
        condition = np.frompyfunc(lambda value: not _equal(value, 0), 1, 1)(condition)
    return np.where(condition.astype(bool), x.astype(object), y.astype(object))


def _astype(node: Node, x: np.ndarray) -> Any:
    source, target = node.inputs[0].dtype, node.attrs["dtype"]
    if target.kind == "bool":
        return np.frompyfunc(lambda value: not _equal(value, 0), 1, 1)(x)
    if target.is_integer and not source.is_integer:
        return np.frompyfunc(_truncate, 1, 1)(x)
    return x


RULES: dict[str, Rule] = {
    "astype": _astype,
    "where": _where,
    "sum": _reducing(_add, 0),
    "prod": _reducing(_multiply, 1),
    "max": _reducing(_maximum, None),
    "min": _reducing(_minimum, None),
    "cumulative_sum": _running(_add),
    "cumulative_prod": _running(_multiply),
    **{
        name: _by_element(function, 2)
        for name, function in {
            "add": _add, "subtract": _subtract, "multiply": _multiply, "divide": _divide,
            "floor_divide": _floor_divide, "remainder": _remainder, "pow": _power,
            "maximum": _maximum, "minimum": _minimum,
            "equal": _equal, "not_equal": lambda x, y: not _equal(x, y),
            "less": _less, "greater_equal": lambda x, y: not _less(x, y),
            "greater": lambda x, y: _less(y, x), "less_equal": lambda x, y: not _less(y, x),
        }.items()
    },
    **{
        name: _by_element(function, 1)
        for name, function in {
            "negative": _negative, "abs": _abs, "sign": _sign, "square": lambda x: _multiply(x, x),
            "floor": _floor, "ceil": _ceil, "trunc": _truncate,
        }.items()
    },
}  # fmt: skip
"""The operators that compute with symbolic sizes, by name."""

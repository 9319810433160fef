"""Checks of the numbers that training methods and schedules are set up with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import provenance
from graphflow.ir.graph import describe
from graphflow.ir.node import Tensor


def number(
    what: str, value: Any, low: float = -math.inf, high: float = math.inf, open_ends: str = ""
) -> float:
    """The value as a float, if it is a finite real number from `low` to `high`.

    Arguments:
        open_ends: "low", "high" or "low high": the ends that are not themselves allowed.

    >>> number("beta1", 0.9, 0, 1, open_ends="high")
    0.9
    """
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    inside = good and math.isfinite(value) and low <= value <= high
    if not inside or (value == low and "low" in open_ends) or (value == high and "high" in open_ends):
        left = "(" if "low" in open_ends or low == -math.inf else "["
        right = ")" if "high" in open_ends or high == math.inf else "]"
        raise AttributeValueError(
            f"{what} is {value!r}, but it has to be a finite number",
            hint=f"choose one in {left}{low:g}, {high:g}{right}",
            origin=provenance.capture(),
        )
    return float(value)


def whole(what: str, value: Any, low: int = 1) -> int:
    """The value as an int, if it is a whole number of at least `low`.

    >>> whole("steps", 4)
    4
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        raise AttributeValueError(
            f"{what} is {value!r}, but it has to be a whole number",
            hint=f"choose {low} or more",
            origin=provenance.capture(),
        )
    return int(value)


def rising(what: str, values: Sequence[Any]) -> list[int]:
    """The values as a list of whole numbers, if none is smaller than the one before."""
    if not isinstance(values, (list, tuple)):
        raise AttributeValueError(f"{what} are {values!r:.80}", hint="pass a list of whole numbers")
    listed = [whole(what, value, 0) for value in values]
    if listed != sorted(listed):
        raise AttributeValueError(
            f"{what} are {listed}, which do not ascend", hint="sort them", origin=provenance.capture()
        )
    return listed


def learning_rate(value: Any) -> float | Tensor | Callable[[Tensor], Tensor]:
    """What a user gave as learning rate, if it is a number, a scalar tensor or a schedule."""
    if isinstance(value, Tensor):
        if value.ndim or not value.dtype.is_floating:
            raise ShapeError(
                f"the learning rate {value.name} is {value.type}, but it has to be a floating-point scalar",
                hint="reduce it to a scalar, or convert it with gf.astype",
                operands=describe([value]),
                origin=provenance.capture(),
            )
        return value
    if callable(value):
        return value
    return number("the learning rate", value, 0)

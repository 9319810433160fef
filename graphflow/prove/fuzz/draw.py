"""Random choices of one seed: types of inputs, values of constants, and attributes of operators by name.

Attributes are drawn by what their names mean throughout the vocabulary (an axis, a permutation, a shape
with as many elements), so that most calls are well-typed; what is not is refused by the operator itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import REQUIRED, OpDef, registry

One = TypeVar("One")

DTYPES = (
    "float32",
    "float32",
    "float32",
    "float64",
    "float64",
    "int32",
    "int64",
    "bool",
    "uint8",
    "float16",
    "complex64",
)
TARGETS = ("float32", "float64", "int32", "bool", "float16", "int64")
SIZES = (2, 3, 4, 2, 3, 1, 1, 0)
SPLATS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 10.0)


class Draw:
    """Random choices, all of them made by one seed."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, values: Sequence[One]) -> One:
        """One of several values."""
        return values[int(self.rng.integers(len(values)))]

    def number(self, least: int, most: int) -> int:
        """A whole number between two, which count."""
        return int(self.rng.integers(least, most, endpoint=True))

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return bool(self.rng.random() < probability)

    def some(self, values: Sequence[One]) -> list[One]:
        """About half of the values, in their order."""
        return [value for value in values if self.chance(0.5)]

    def shape(self, symbol: Dim | None) -> tuple[Any, ...]:
        """The shape of an input, its first axis symbolic if there is a symbol."""
        sizes = tuple([self.one(SIZES) for _ in range(self.number(0, 3))])
        return (symbol, *sizes[:2]) if symbol is not None and self.chance(0.7) else sizes

    def array(self, dtype: str, shape: Sequence[int]) -> np.ndarray:
        """Values of moderate size."""
        kind = as_dtype(dtype).kind
        if kind == "bool":
            return self.rng.integers(0, 2, shape).astype(bool)
        if kind in ("int", "uint"):
            return self.rng.integers(0 if kind == "uint" else -5, 6, shape).astype(dtype)
        made = self.rng.normal(size=shape)
        if kind == "complex":
            made = made + 1j * self.rng.normal(size=shape)
        return np.asarray(made).astype(as_dtype(dtype).numpy)

    def constant(self, dtype: str, shape: Sequence[int]) -> np.ndarray:
        """Random values, or one that rules look for, throughout."""
        if self.chance(0.4):
            return self.array(dtype, shape)
        value = self.one(SPLATS)
        if as_dtype(dtype).kind not in ("float", "complex"):
            value = abs(int(value))
        return np.full(shape, value).astype(as_dtype(dtype).numpy)

    def attributes(self, op: OpDef, inputs: Sequence[Tensor]) -> dict[str, Any]:
        """Attributes for a call; those that have a default keep it half of the time."""
        made: dict[str, Any] = {}
        for name, default in op.attributes.items():
            if default is REQUIRED or self.chance(0.5):
                value = self.attribute(name, default, inputs)
                if value is not REQUIRED:
                    made[name] = value
        return made

    def attribute(self, name: str, default: Any, inputs: Sequence[Tensor]) -> Any:
        """A value for an attribute; REQUIRED where there is no idea."""
        drawn = _BY_NAME.get(name)
        if drawn is not None and inputs:
            return drawn(self, inputs[0])
        if isinstance(default, bool):
            return self.chance(0.5)
        if isinstance(default, float):
            return float(self.one((0.1, 0.5, 1.0, 2.0, 0.3)))
        if isinstance(default, int):
            return self.number(1, 3)
        return default


def _rank(tensor: Tensor) -> int:
    return len(tensor.shape)


def _axis(draw: Draw, tensor: Tensor) -> int:
    return draw.number(-_rank(tensor), max(_rank(tensor) - 1, 0))


def _axis_or_axes(draw: Draw, tensor: Tensor) -> Any:
    """An axis, several, or all."""
    chance = draw.rng.random()
    if chance < 0.5:
        return _axis(draw, tensor)
    return None if chance < 0.7 else tuple(draw.some(range(_rank(tensor))))


def _permutation(draw: Draw, tensor: Tensor) -> tuple[int, ...]:
    return tuple(map(int, draw.rng.permutation(_rank(tensor))))


def _same_elements(draw: Draw, tensor: Tensor) -> tuple[Any, ...]:
    """A shape with as many elements, or one to broadcast to."""
    sizes = tensor.shape
    if not all(isinstance(size, int) for size in sizes):
        return draw.one([sizes, (*sizes[:1], -1), (-1,), (1, *sizes), (*sizes, 1), (2, *sizes)])
    count = math.prod([int(size) for size in sizes])
    factors = [size for size in range(1, count + 1) if count % size == 0] or [1]
    first = draw.one(factors)
    return draw.one([(first, count // first), (-1,), (count,), (1, *sizes), (*sizes, 1), (2, *sizes)])


def _starts(draw: Draw, tensor: Tensor) -> tuple[int, ...]:
    return tuple([draw.number(0, 1) for _ in tensor.shape])


def _stops(draw: Draw, tensor: Tensor) -> tuple[Any, ...]:
    return tuple(
        [size if not isinstance(size, int) or draw.chance(0.5) else max(size - 1, 0) for size in tensor.shape]
    )


def _pads(draw: Draw, tensor: Tensor) -> tuple[tuple[int, int], ...]:
    return tuple([(draw.number(0, 2), draw.number(0, 2)) for _ in tensor.shape])


_BY_NAME: dict[str, Callable[[Draw, Tensor], Any]] = {
    "axis": _axis_or_axes,
    "axes": _permutation,
    "time_axis": _axis,
    "batch_axis": _axis,
    "dtype": lambda draw, tensor: draw.one(TARGETS),
    "shape": _same_elements,
    "starts": _starts,
    "stops": _stops,
    "steps": lambda draw, tensor: tuple([draw.one((1, 1, 2)) for _ in tensor.shape]),
    "pads": _pads,
    "shift": lambda draw, tensor: draw.number(-2, 2),
    "offset": lambda draw, tensor: draw.number(-1, 1),
    "repetitions": lambda draw, tensor: tuple([draw.number(1, 2) for _ in tensor.shape]),
    "sections": lambda draw, tensor: draw.number(1, 3),
    "depth": lambda draw, tensor: draw.number(2, 5),
    "k": lambda draw, tensor: draw.number(1, 2),
    "window": lambda draw, tensor: tuple([draw.number(1, 2) for _ in tensor.shape[2:]]),
    "strides": lambda draw, tensor: draw.number(1, 2),
    "padding": lambda draw, tensor: draw.one((0, 1, "same", "valid")),
    "dilation": lambda draw, tensor: draw.one((1, 1, 2)),
}


def call(name: str, *inputs: Any, **attrs: Any) -> Any:
    """The results of an operator of the registry."""
    return registry[name](*inputs, **attrs)

"""Type inference shared by the operator families: broadcasting, axes, and what may be asked of a dtype.

A symbolic size never stands for a broadcast 1: where a symbol meets another size, the two are taken
to be equal, and the session checks it. So it is always known while building which axes broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, AxisNotKnown, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import DType, bool_
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import Infer, Types
from graphflow.ir.types import Shape, TensorType


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The common shape of operands under NumPy's broadcasting.

    Raises:
        ShapeError: naming the axis and the two sizes that do not fit.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    result = shapes[0]
    for shape in shapes[1:]:
        if shape != result:
            result = _broadcast_pair(result, shape)
    return result


def _broadcast_pair(left: Shape, right: Shape) -> Shape:
    rank = max(len(left), len(right))
    padded_left = (1,) * (rank - len(left)) + left
    padded_right = (1,) * (rank - len(right)) + right
    sizes: list[Size] = []
    for axis, (first, second) in enumerate(zip(padded_left, padded_right)):
        if first == 1 or second == 1:
            sizes.append(second if first == 1 else first)
            continue
        if first != second and (_may_be_one(first) or _may_be_one(second)):
            raise ShapeError(
                f"whether shapes {show(left)} and {show(right)} broadcast on axis {axis - rank} depends on "
                "an axis that is fed",
                hint="compute all of it for each axis: gf.for_axis(function, x, axis=axis)",
            )
        common = dims.unify(first, second)
        if common is None:
            raise ShapeError(
                f"shapes {show(left)} and {show(right)} do not broadcast: "
                f"{first} != {second} on axis {axis - rank}",
                hint="make the sizes equal, or one of them 1 (gf.expand_dims, gf.reshape)",
            )
        sizes.append(common)
    return tuple(sizes)


def _may_be_one(size: Size) -> bool:
    """Whether a size is 1 for some axis that may be fed; see `static_case`."""
    return isinstance(size, Dim) and any(
        factor == 1 and monomial and all(atom.key[0] == "equal" for atom in monomial)
        for monomial, factor in size.terms
    )


def show(shape: Sequence[Size]) -> str:
    """A shape as error messages print it."""
    return f"[{', '.join(map(str, shape))}]"


def same_type(types: Types, attrs: Any) -> tuple[TensorType, ...]:
    """The result has the type of the first input."""
    return (types[0],)


def broadcast_type(types: Types, attrs: Any) -> tuple[TensorType, ...]:
    """The result has the inputs' dtype and their broadcast shape."""
    first = types[0]
    if all(other is first for other in types):
        return (first,)
    return (TensorType(first.dtype, broadcast_shapes(*[type.shape for type in types])),)


def broadcast_bool(types: Types, attrs: Any) -> tuple[TensorType, ...]:
    """The result is boolean and has the inputs' broadcast shape."""
    return (TensorType(bool_, broadcast_shapes(*[type.shape for type in types])),)


def only(kinds: str, infer: Infer, operation: str) -> Infer:
    """`infer`, refusing dtypes whose kind is not among `kinds` ("bool int uint float complex")."""
    allowed = frozenset(kinds.split())

    def checked(types: Types, attrs: Any) -> Sequence[TensorType]:
        for type in types:
            if type.dtype.kind not in allowed:
                way = "gf.real, gf.imag or gf.abs" if type.dtype.kind == "complex" else "gf.astype"
                raise DTypeError(
                    f"{operation} does not take {type.dtype}",
                    hint=f"it takes {', '.join(sorted(allowed))}; convert with {way}",
                )
        return infer(types, attrs)

    return checked


def normalize_axis(axis: Any, rank: int, operation: str) -> int:
    """A non-negative axis from one that may count from the end.

    >>> normalize_axis(-1, 3, "softmax")
    2
    """
    way_out = f"use an axis from {-rank} to {rank - 1}" if rank else "a scalar has no axes"
    axis = known(axis)
    if isinstance(axis, Dim):
        raise AxisNotKnown(
            f"{operation} needs to know its axis while building, but {axis} is known when the graph runs",
            hint="build a graph for each axis, or let gf.switch_case choose among the results for all axes",
        )
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise AttributeValueError(f"{operation} needs an integer axis, not {axis!r:.80}", hint=way_out)
    if not -rank <= axis < rank:
        raise AttributeValueError(
            f"{operation} got axis {axis}, but its operand has rank {rank}", hint=way_out
        )
    return int(axis) % rank


def normalize_axes(axes: Any, rank: int, operation: str) -> tuple[int, ...]:
    """Sorted non-negative axes from None (all), an int or a sequence; repeating one is an error.

    >>> normalize_axes((-1, 0), 3, "sum"), normalize_axes(None, 2, "sum")
    ((0, 2), (0, 1))
    """
    if axes is None:
        return tuple(range(rank))
    listed = entries(axes)
    normal = sorted(normalize_axis(axis, rank, operation) for axis in listed)
    if len(set(normal)) != len(normal):
        raise AttributeValueError(f"{operation} got an axis twice in {listed}", hint="name each axis once")
    return tuple(normal)


def known(value: Any) -> Any:
    """The value of a tensor of sizes, as far as it is known while building; anything else as it is.

    Raises:
        ShapeError: if the tensor's value is known only when the graph runs.
    """
    return value.known_value() if isinstance(value, Tensor) else value


def entries(value: Any) -> tuple[Any, ...]:
    """The entries of a sequence; anything else is one entry.

    >>> entries([1, 2]), entries(np.array([1, 2])), entries(3)
    ((1, 2), (1, 2), (3,))
    """
    value = known(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if isinstance(value, (tuple, list, range)) else (value,)


def real_number(value: Any, what: str, low: float = -math.inf) -> float:
    """The value as a float, if it is a real number of at least `low`; NaN is none.

    >>> real_number(2, "alpha of elu")
    2.0
    """
    value = known(value)
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, (int, float)) or isinstance(plain, bool) or not plain >= low:
        needed = "a number" if low == -math.inf else f"a number of at least {low:g}"
        raise AttributeValueError(
            f"{what} has to be {needed}, not {value!r:.80}", hint="pass a Python number"
        )
    return float(plain)


def whole_number(value: Any, what: str, low: int | None = None) -> int:
    """The value as an int, if it is a whole number of at least `low`.

    >>> whole_number(np.int64(2), "the offset of eye")
    2
    """
    value = known(value)
    good = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not good or (low is not None and value < low):
        needed = "a whole number" if low is None else f"a whole number of at least {low}"
        raise AttributeValueError(f"{what} has to be {needed}, not {value!r:.80}", hint="pass a Python int")
    return int(value)


def require(condition: bool, message: str, hint: str | None = None) -> None:
    """Raise a ShapeError with the message unless the condition holds."""
    if not condition:
        raise ShapeError(message, hint=hint)


def require_dtype(type: TensorType, dtypes: Sequence[DType] | str, what: str) -> None:
    """Raise a DTypeError unless `type` has one of the dtypes, or of the kinds in a string."""
    if isinstance(dtypes, str):
        fits, shown = type.dtype.kind in dtypes.split(), dtypes
    else:
        fits, shown = type.dtype in dtypes, ", ".join(map(str, dtypes))
    if not fits:
        raise DTypeError(f"{what} has dtype {type.dtype}", hint=f"it must be {shown}; convert with gf.astype")

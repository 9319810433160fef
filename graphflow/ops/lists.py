"""Sequences and optional values while a graph is built: Python lists of tensors, and None (`gf.sequence`).

A sequence is structure of the program, not a value that flows through it: how long it is, is known. So a
list of tensors made in any way is one, and these functions make new lists out of it, with ONNX's rules for
positions. An optional value is a tensor, a list of tensors, or None.

A position that is known only when the graph runs is taken to the nearest in range; it needs elements of
one type, which are stacked to choose among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for, several
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import as_dtype, int64, uint64
from graphflow.ir.node import Tensor
from graphflow.ops.arrange import MOST_PIECES
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import known, normalize_axis, whole_number
from graphflow.ops.rearrange import stack, unstack
from graphflow.ops.shape_values import shape_value

__all__ = [
    "at", "construct", "empty", "erase", "get_element", "has_element", "insert", "length", "map", "optional",
    "split",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)


# What is given


def _elements(xs: Any, operation: str) -> list[Tensor]:
    """The tensors of a sequence, of one dtype."""
    if not isinstance(xs, (list, tuple)):
        raise AttributeValueError(
            f"{operation} needs a list of tensors, not {xs!r:.80}",
            hint="gf.unstack and gf.sequence.split make a list of one tensor",
        )
    tensors = with_tensors(*xs)[1] if xs else []
    for number, tensor in enumerate(tensors[1:], 1):
        if tensor.dtype is not tensors[0].dtype:
            raise DTypeError(
                f"{operation}: element {number} is {tensor.type}, but element 0 {tensors[0].type}",
                hint="the elements of a sequence have one dtype; convert with gf.astype",
            )
    return tensors


def _position(position: Any, low: int, high: int, operation: str) -> int | Tensor:
    """A position as an int from low to high, or as a tensor where only a run knows it."""
    value = shape_value(position) if isinstance(position, Tensor) else position
    if isinstance(position, Tensor) and (value is None or value.dtype == object):
        if not position.dtype.is_integer or dims.product(position.shape) != 1:
            raise DTypeError(
                f"the position of {operation} is {position.type}, but has to be one integer",
                hint="pass an int or an integer scalar",
            )
        return position
    if isinstance(value, Dim):
        return builder_for([]).tensor(value, int64)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    place = whole_number(value, f"the position of {operation}")
    if not low <= place <= high:
        told = f"from {low} to {high}" if low <= high else "as the sequence is empty there is none"
        raise AttributeValueError(
            f"{operation} got the position {place}, which is out of range", hint=f"use one {told}"
        )
    return place


def _require_one_type(tensors: Sequence[Tensor], operation: str) -> None:
    """Raise unless all have one type, as a position that only a run knows needs it."""
    first = tensors[0].type
    for number, tensor in enumerate(tensors[1:], 1):
        pairs = zip(tensor.shape, first.shape)
        if tensor.ndim != len(first.shape) or any(dims.unify(left, right) is None for left, right in pairs):
            raise ShapeError(
                f"the position of {operation} is known only when the graph runs, but element 0 is {first} "
                f"and element {number} {tensor.type}",
                hint="pad them to one shape, or use a position that is known while building",
            )


def _reached(b: Builder, position: Tensor, count: int, last: int) -> Tensor:
    """The position among `count` elements, counted from the start and no further than `last`."""
    index = b.reshape(position, shape=())
    if index.dtype is uint64:
        index = b.minimum(index, b.like(count, index))
    index = b.astype(index, dtype=int64)
    index = b.where(b.less(index, 0), b.add(index, count), index)
    return b.maximum(b.minimum(index, last), 0)


# Sequences


@composite
def construct(*xs: Any) -> list[Tensor]:
    """A list of the tensors. ONNX SequenceConstruct-11.

    Raises:
        DTypeError: if they are of several dtypes; their shapes may differ.

    >>> import graphflow as gf
    >>> [x.type for x in gf.sequence.construct(gf.placeholder("x", (2, 3)), [1.0, 2.0])]
    [float32[2, 3], float32[2]]
    """
    return _elements(list(xs), "construct")


@composite
def empty(dtype: Any = "float32") -> list[Tensor]:
    """A list without elements. ONNX SequenceEmpty-11.

    Arguments:
        dtype: of the elements to come, as ONNX has it; the list itself takes the first that is inserted.

    >>> import graphflow as gf
    >>> gf.sequence.insert(gf.sequence.empty(), gf.zeros((2, 3)))[0].type
    float32[2, 3]
    """
    as_dtype(dtype)
    return []


@composite
def length(xs: Sequence[Any]) -> Tensor:
    """The number of elements, an int64 scalar that is known while building; `len(xs)` is the int itself.

    ONNX SequenceLength-11.

    >>> import graphflow as gf
    >>> gf.zeros(gf.sequence.length([gf.constant(1.0), gf.constant(2.0)])).shape
    (2,)
    """
    tensors = _elements(xs, "length")
    return builder_for(tensors).constant(value=np.array(len(tensors), np.int64))


@composite
def at(xs: Sequence[Any], position: Any) -> Tensor:
    """The element at a position. ONNX SequenceAt-11.

    Arguments:
        xs: a list of tensors.
        position: an int, or a tensor of one integer; negative ones count from the end. One that is known
            only when the graph runs needs elements of one type, and counts as the nearest if out of range.

    Raises:
        AttributeValueError: if a position that is known is out of range.
        ShapeError: if it is not known, and the elements are of several shapes.

    >>> import graphflow as gf
    >>> xs, i = [gf.constant([1.0, 2.0]), gf.constant([3.0, 4.0])], gf.placeholder("i", (), gf.int64)
    >>> gf.Session(backend="numpy").run([gf.sequence.at(xs, -2), gf.sequence.at(xs, i)], {i: 1})
    [array([1., 2.], dtype=float32), array([3., 4.], dtype=float32)]
    """
    tensors = _elements(xs, "at")
    count = len(tensors)
    if not count:
        raise AttributeValueError("at got a sequence without elements", hint="insert one first")
    place = _position(position, -count, count - 1, "at")
    if isinstance(place, int):
        return tensors[place]
    _require_one_type(tensors, "at")
    b = builder_for([*tensors, place])
    return b.take(stack(tensors), _reached(b, place, count, count - 1), axis=0)


@composite
def insert(xs: Sequence[Any], x: Any, position: Any = None) -> list[Tensor]:
    """A new list with a tensor before the element at a position. ONNX SequenceInsert-11.

    Arguments:
        xs: a list of tensors.
        x: a tensor of their dtype.
        position: as in `gf.sequence.at`, and also the length, which appends; None appends.

    Raises:
        AttributeValueError, ShapeError: as `gf.sequence.at`.
        DTypeError: for a tensor of another dtype.

    >>> import graphflow as gf
    >>> [x.shape for x in gf.sequence.insert([gf.zeros(1), gf.zeros(2)], gf.zeros(7), -1)]
    [(1,), (7,), (2,)]
    """
    tensors = _elements([*xs, x] if isinstance(xs, (list, tuple)) else xs, "insert")
    before, count = tensors[:-1], len(tensors) - 1
    place = count if position is None else _position(position, -count, count, "insert")
    if isinstance(place, int):
        before.insert(place, tensors[-1])
        return before
    _require_one_type(tensors, "insert")
    b = builder_for([*tensors, place])
    chosen, order = _reached(b, place, count, count), b.iota(size=count + 1, dtype=int64)
    later = b.where(b.equal(order, chosen), count, b.subtract(order, 1))
    return unstack(b.take(stack(tensors), b.where(b.less(order, chosen), order, later), axis=0))


@composite
def erase(xs: Sequence[Any], position: Any = None) -> list[Tensor]:
    """A new list without the element at a position. ONNX SequenceErase-11.

    Arguments:
        xs: a list of tensors.
        position: as in `gf.sequence.at`; None for the last.

    Raises:
        AttributeValueError, ShapeError: as `gf.sequence.at`.

    >>> import graphflow as gf
    >>> [x.shape for x in gf.sequence.erase([gf.zeros(1), gf.zeros(2), gf.zeros(3)], 1)]
    [(1,), (3,)]
    """
    tensors = _elements(xs, "erase")
    count = len(tensors)
    if not count:
        raise AttributeValueError("erase got a sequence without elements", hint="insert one first")
    place = -1 if position is None else _position(position, -count, count - 1, "erase")
    if isinstance(place, int):
        del tensors[place]
        return tensors
    _require_one_type(tensors, "erase")
    if count == 1:
        return []
    b = builder_for([*tensors, place])
    chosen, order = _reached(b, place, count, count - 1), b.iota(size=count - 1, dtype=int64)
    skipped = b.astype(b.greater_equal(order, chosen), dtype=int64)
    return unstack(b.take(stack(tensors), b.add(order, skipped), axis=0))


@composite
def split(x: Any, sizes: Any = None, axis: int = 0, keepdims: bool = True) -> list[Tensor]:
    """The pieces of a tensor along an axis. ONNX SplitToSequence-24; `gf.concat` puts them together.

    Arguments:
        x: a tensor of any dtype.
        sizes: of the pieces; one number if all are to be of this size, but for the last, which takes what
            is left; None for 1.
        axis: where to cut.
        keepdims: where `sizes` is None, whether pieces keep the axis, with size 1.

    Raises:
        ShapeError: if the sizes do not add up, or the number of pieces is not known while building.

    >>> import graphflow as gf
    >>> [piece.shape for piece in gf.sequence.split(gf.zeros((2, 5)), 2, axis=1)]
    [(2, 2), (2, 2), (2, 1)]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "split")
    given = 1 if sizes is None else known(sizes)
    given = given.tolist() if isinstance(given, np.ndarray) else given
    sections = given if isinstance(given, (list, tuple, range)) else _equal_pieces(x.shape[place], given)
    pieces = several(b.split(x, sections=tuple(sections), axis=place)) if sections else ()
    if sizes is None and not keepdims:
        return [b.squeeze(piece, axis=place) for piece in pieces]
    return list(pieces)


def _equal_pieces(size: Size, piece: Any) -> list[int]:
    """The sizes of the pieces of an axis, all but the last of one size."""
    wanted = whole_number(piece, "the size of the pieces of split", 1)
    if not isinstance(size, int):
        raise ShapeError(
            f"split cannot tell how many pieces of size {wanted} an axis of the symbolic size {size} has",
            hint="give the sizes of the pieces, or the axis a fixed size",
        )
    count = -(-size // wanted)
    if count > MOST_PIECES:
        raise AttributeValueError(
            f"split would make {count} pieces",
            hint=f"ask for at most {MOST_PIECES}, each a tensor of its own",
        )
    return [min(wanted, size - wanted * number) for number in range(count)]


@composite
def map(fn: Callable[..., Any], xs: Sequence[Any], *more: Any) -> Any:
    """The list of what a function makes of each element: [fn(x, ...) for x in xs]. ONNX SequenceMap-17.

    The function is called for each element while the graph is built, so elements may differ in shape; for
    many of one shape, `gf.map` over their stack has one body.

    Arguments:
        fn: from an element, and one of each of `more`, to a tensor or a tuple of tensors.
        xs: a list of tensors.
        more: further lists of the same length, of which a call gets the element at the same position, or
            tensors, which each call gets whole.

    Returns:
        a list; for a function that gives a tuple, a tuple of lists. For no elements, an empty list.

    Raises:
        AttributeValueError: for lists of several lengths, or results that differ in number.

    >>> import graphflow as gf
    >>> xs = [gf.zeros((2, 3)), gf.zeros((5, 3))]
    >>> [y.shape for y in gf.sequence.map(lambda x, w: x @ w, xs, gf.zeros((3, 4)))]
    [(2, 4), (5, 4)]
    """
    if not callable(fn):
        raise AttributeValueError(f"map needs a function, not {fn!r:.80}", hint="pass a Python function")
    first = _elements(xs, "map")
    columns: list[Sequence[Tensor]] = [first]
    for number, other in enumerate(more, 1):
        is_list = isinstance(other, (list, tuple))
        column = _elements(other, "map") if is_list else [builder_for([other]).tensor(other)] * len(first)
        if len(column) != len(first):
            raise AttributeValueError(
                f"map got {len(first)} elements, but {len(column)} in list {number} after them",
                hint="pass lists of one length, or a tensor for all",
            )
        columns.append(column)
    rows = [fn(*row) for row in zip(*columns)]
    several_each = [isinstance(row, (tuple, list)) for row in rows]
    made = [list(row) if many else [row] for row, many in zip(rows, several_each)]
    counts = sorted({len(row) for row in made})
    if len(counts) > 1 or any(one is None for row in made for one in row):
        raise AttributeValueError(
            f"the function of map gives {' or '.join(str(count) for count in counts)} results, or None",
            hint="return a tensor, or a tuple of as many tensors each time",
        )
    lists = [_elements(column, "the result of map") for column in zip(*made)]
    if not rows:
        return []
    return tuple(lists) if any(several_each) else lists[0]


# Optional values


@composite
def optional(x: Any = None) -> Any:
    """A value that may be absent: the tensor or list of tensors that is given, or None. ONNX Optional-15.

    >>> import graphflow as gf
    >>> gf.sequence.optional(gf.zeros(3)).type, gf.sequence.optional()
    (float32[3], None)
    """
    if x is None:
        return None
    return _elements(x, "optional") if isinstance(x, (list, tuple)) else with_tensor(x)[1]


@composite
def has_element(x: Any = None) -> Tensor:
    """Whether an optional value is there: a boolean scalar that is known while building.

    ONNX OptionalHasElement-18. `x is not None` says it to Python.

    >>> import graphflow as gf
    >>> found = [gf.sequence.has_element(gf.zeros(3)), gf.sequence.has_element()]
    >>> gf.Session(backend="numpy").run(found)
    [array(True), array(False)]
    """
    found = optional(x)
    read = found if isinstance(found, list) else [] if found is None else [found]
    return builder_for(read).constant(value=np.array(x is not None))


@composite
def get_element(x: Any) -> Any:
    """The tensor or list of tensors that an optional value is. ONNX OptionalGetElement-18.

    Raises:
        AttributeValueError: if it is absent.

    >>> import graphflow as gf
    >>> gf.sequence.get_element(gf.sequence.optional(gf.zeros(3))).type
    float32[3]
    """
    if x is None:
        raise AttributeValueError(
            "get_element got an optional value that is absent",
            hint="ask `x is not None` first: both branches of gf.cond are built, whichever runs",
        )
    return optional(x)

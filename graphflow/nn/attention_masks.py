"""Which keys a query may attend to: causal order, a window around the query, and the lengths of the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ir.types import as_shape
from graphflow.ops.composite import composite
from graphflow.ops.inference import require, whole_number

Window = tuple[int | None, int | None]


@composite
def attention_mask(
    queries: Any,
    keys: Any,
    causal: bool = False,
    window: Any = None,
    offset: Any = 0,
    lengths: Any = None,
) -> Tensor:
    """Booleans for `attention`, true where query i, which stands at position p = i + offset, sees key j.

    causal asks for j <= p, a window (left, right) for p - left <= j <= p + right, lengths for j < length.

    Arguments:
        queries, keys: how many there are: ints or Dims.
        causal: let no query see what comes after it.
        window: (left, right), where None leaves a side open; an int is taken for both.
        offset: the position of the first query: an int, a Dim, or integers of shape [] or [batch].
        lengths: how many of the keys there really are: integers of shape [] or [batch].

    Returns:
        bool[queries, keys], or bool[batch, 1, queries, keys] if offset or lengths are given by batch.

    Raises:
        AttributeValueError, DTypeError, ShapeError: for a window, offset or length that is none.

    Source: Beltagy et al., "Longformer" (2020), section 3.1; ONNX Attention-25.

    >>> import graphflow as gf
    >>> gf.nn.attention_mask(4, 6, causal=True, window=(2, 0), offset=2).type
    bool[4, 6]
    """
    b = builder_for([offset, lengths])
    offset = b.tensor(offset)
    lengths = None if lengths is None else b.tensor(lengths)
    sizes = as_shape((queries, keys))
    batched = bool(offset.ndim or (lengths is not None and lengths.ndim))
    terms = conditions(b, sizes, 4 if batched else 2, causal, window_pair(window), offset, lengths)
    made = all_of(b, terms)
    if made is None:
        return b.broadcast_to(b.tensor(True), shape=sizes)
    wanted = (made.shape[0], 1, *sizes) if batched else sizes
    return made if made.shape == wanted else b.broadcast_to(made, shape=wanted)


def window_pair(window: Any) -> Window:
    """(left, right), each at least 0 or None, from what a user passes."""
    if window is None:
        return None, None
    sides = tuple(window) if isinstance(window, (tuple, list)) else (window, window)
    if len(sides) != 2:
        raise AttributeValueError(
            f"the window {window!r:.80} is no pair", hint="pass (left, right), or an int for both"
        )
    left, right = (None if side is None else whole_number(side, "a side of the window", 0) for side in sides)
    return left, right


def conditions(
    b: Builder,
    sizes: Sequence[Size],
    rank: int,
    causal: bool,
    window: Window,
    offset: Tensor | None,
    lengths: Tensor | None,
) -> list[Tensor]:
    """Booleans that broadcast to [..., queries, keys], a tensor of that rank; a key must meet all of them."""
    found: list[Tensor] = []
    left, right = window
    if not causal and window == (None, None) and lengths is None:
        return found
    columns = b.iota(size=sizes[1], dtype="int32")
    if causal or left is not None or right is not None:
        rows = b.expand_dims(b.iota(size=sizes[0], dtype="int32"), axis=1)
        rows = rows if offset is None else b.add(rows, by_batch(b, offset, rank, "offset"))
    if causal:
        found.append(b.greater_equal(rows, columns))
    if left is not None:
        found.append(b.greater_equal(columns, b.subtract(rows, left)))
    if right is not None and not causal:
        found.append(b.less_equal(columns, b.add(rows, right)))
    if lengths is not None:
        found.append(b.less(columns, by_batch(b, lengths, rank, "lengths")))
    return found


def all_of(b: Builder, terms: Sequence[Tensor]) -> Tensor | None:
    """The conjunction of the terms, None if there are none."""
    made = terms[0] if terms else None
    for term in terms[1:]:
        made = b.logical_and(made, term)
    return made


def by_batch(b: Builder, value: Tensor, rank: int, what: str) -> Tensor:
    """int32 of shape [], or of shape [batch, 1, ..., 1] and the given rank."""
    if not value.dtype.is_integer:
        raise DTypeError(f"{what} must be integers, not {value.dtype}", hint="convert with gf.astype")
    require(
        value.ndim == 0 or (value.ndim == 1 and rank > 2),
        f"{what} must have the shape [], or [batch] where there is a batch, not rank {value.ndim}",
    )
    narrow = value if value.dtype.name == "int32" else b.astype(value, dtype="int32")
    return b.reshape(narrow, shape=(value.shape[0], *[1] * (rank - 1))) if value.ndim else narrow

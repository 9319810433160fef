"""Rules of shapes: the same elements under another shape, order of axes, dtype, or repeated.

All of them move or repeat elements and compute nothing, so they hold to the bit. `reshape` is the
canonical form of everything that only renames axes, so chains of such steps collapse into one.
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.types import Shape
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.rule import Answer, Rule, rule
from graphflow.optimizer.rules.common import X, Y, passes_through

# Steps that change nothing


@rule(
    [
        P.reshape(X),
        P.broadcast_to(X),
        P.expand_dims(X),
        P.squeeze(X),
        P.astype(X),
        P.tile(X),
        P.repeat(X),
        P.pad(X),
    ],
    safety="exact",
)
def same_type(m: Match, b: Builder) -> Answer:
    """Reshaping, broadcasting, repeating, padding or converting to the type it has leaves x as it is."""
    return m.X if m.X.type is m.output.type else None


@rule(P.permute_dims(X), safety="exact")
def same_order(m: Match, b: Builder) -> Answer:
    """Permuting the axes into the order they have leaves x as it is."""
    axes = m.root.attrs["axes"]
    return m.X if axes == tuple(range(len(axes))) else None


# One form for all renamings of axes


@rule([P.expand_dims(X), P.squeeze(X)], safety="exact")
def rename_axes(m: Match, b: Builder) -> Answer:
    """Adding or dropping axes of size 1 is a reshape."""
    return b.reshape(m.X, shape=m.output.shape)


@rule(P.reshape(P.reshape(X)), safety="exact")
def reshape_of_reshape(m: Match, b: Builder) -> Answer:
    """reshape(reshape(x, s), t) = reshape(x, t)."""
    return b.reshape(m.X, shape=m.output.shape)


@rule(P.permute_dims(P.permute_dims(X)), safety="exact")
def permute_of_permute(m: Match, b: Builder) -> Answer:
    """permute(permute(x, p), q) = permute(x, p[q])."""
    inner = m.inner.attrs["axes"]
    return b.permute_dims(m.X, axes=tuple([inner[axis] for axis in m.root.attrs["axes"]]))


@rule(P.permute_dims(X), safety="exact")
def permute_axes_of_size_one(m: Match, b: Builder) -> Answer:
    """Moving only axes of size 1 is a reshape: the elements stay in their order."""
    axes, shape = m.root.attrs["axes"], m.X.shape
    moving = [axis for axis in axes if shape[axis] != 1]
    return b.reshape(m.X, shape=m.output.shape) if moving == sorted(moving) else None


# Broadcasting


@rule(P.broadcast_to(P.broadcast_to(X)), safety="exact")
def broadcast_of_broadcast(m: Match, b: Builder) -> Answer:
    """broadcast(broadcast(x, s), t) = broadcast(x, t)."""
    return b.broadcast_to(m.X, shape=m.output.shape)


@rule(P.broadcast_to(X), safety="exact")
def broadcast_adds_axes(m: Match, b: Builder) -> Answer:
    """Broadcasting that only adds leading axes of size 1 is a reshape."""
    added = m.output.ndim - m.X.ndim
    only_ones = added > 0 and m.output.shape == (1,) * added + m.X.shape
    return b.reshape(m.X, shape=m.output.shape) if only_ones else None


@rule(P.broadcast_to(P.reshape(X)), safety="exact")
def broadcast_of_leading_axes(m: Match, b: Builder) -> Answer:
    """Leading axes of size 1 need not be added before broadcasting, which adds them itself."""
    shape = m.inner.tensor.shape
    added = len(shape) - m.X.ndim
    if added <= 0 or shape != (1,) * added + m.X.shape:
        return None
    return b.broadcast_to(m.X, shape=m.output.shape)


_MOVES = ("reshape", "permute_dims", "expand_dims", "squeeze", "slice", "tile", "repeat", "roll", "astype")


@rule([getattr(P, name)(P.broadcast_to(X)) for name in _MOVES], safety="exact")
def move_copies(m: Match, b: Builder) -> Answer:
    """Copies of one element, moved about, are copies of that element under another shape."""
    if m.X.size != 1:
        return None
    scalar = b.reshape(m.X, shape=())
    if m.root.op.name == "astype":
        scalar = b.astype(scalar, **m.root.attrs)
    return b.broadcast_to(scalar, shape=m.output.shape)


_BROADCASTING = (
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "pow", "maximum", "minimum",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "logical_and", "logical_or", "logical_xor",
)  # fmt: skip


@rule(
    [getattr(P, name)(X, P.broadcast_to(Y)) for name in _BROADCASTING]
    + [getattr(P, name)(P.broadcast_to(Y), X) for name in _BROADCASTING]
    + [P.where(...)],
    safety="exact",
)
def implicit_broadcast(m: Match, b: Builder) -> Answer:
    """f(x, broadcast(y)) = f(x, y) where f broadcasts y to the same shape itself."""
    inputs, shape = list(m.root.inputs), m.output.shape
    changed = False
    for place, tensor in enumerate(inputs):
        if tensor.node.op.name != "broadcast_to":
            continue
        if any([other.shape == shape for position, other in enumerate(inputs) if position != place]):
            inputs[place], changed = tensor.node.inputs[0], True
    if not changed:
        return None
    result = getattr(b, m.root.op.name)(*inputs)
    # Of two symbols that are taken to be equal, another one may have given its name to the size.
    return result if result.type is m.output.type else None


# Conversions


@rule(P.astype(P.astype(X)), safety="exact")
def astype_of_astype(m: Match, b: Builder) -> Answer:
    """astype(astype(x, s), t) = astype(x, t) where every value of x's dtype has an equal one in s."""
    if not passes_through(m.X.dtype, m.inner.tensor.dtype, m.output.dtype):
        return None
    return b.astype(m.X, **m.root.attrs)


@rule(P.shape_of(X), safety="exact")
def known_shape(m: Match, b: Builder) -> Answer:
    """The shape of a tensor with static sizes is a constant."""
    if not m.X.type.is_static:
        return None
    return b.constant(value=np.array(_sizes(m.X.shape), dtype=m.output.dtype.numpy))


def _sizes(shape: Shape) -> list[int]:
    return [int(size) for size in shape]


RULES: tuple[Rule, ...] = (
    same_type,
    same_order,
    rename_axes,
    reshape_of_reshape,
    permute_of_permute,
    permute_axes_of_size_one,
    broadcast_of_broadcast,
    broadcast_adds_axes,
    broadcast_of_leading_axes,
    move_copies,
    implicit_broadcast,
    astype_of_astype,
    known_shape,
)

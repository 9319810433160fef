"""Rules that bring moves of elements together, so that they cancel or are done on fewer elements.

A move (permute_dims, reshape, broadcast_to) commutes with whatever works element by element. It is
taken through such operators only where another move waits on the far side, where two moves become one,
or where it leaves fewer elements to compute; so these rules come to an end. What a vectorised function
gives for an element may depend on its place in the last bit: taking a broadcast through a
transcendental function is therefore of the class "rounding".
"""

from __future__ import annotations

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import (
    KEEPING,
    X,
    Y,
    in_place_of,
    is_constant,
    is_line,
    passes_through,
    reduced_as,
)

MOST_STEPS = 8
"""How many elementwise operators a move is taken past in one firing."""

_ROUNDED_BY_IEEE = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "abs", "square", "sqrt", "astype", "maximum",
    "minimum", "sign", "floor", "ceil", "round", "trunc", "equal", "not_equal", "less", "less_equal",
    "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "logical_xor", "relu",
    "reciprocal", "is_nan", "is_inf", "is_finite", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_invert", "copysign", "identity",
))  # fmt: skip

_ELEMENTWISE = [op for op in registry if "elementwise" in op.traits]
_UNARY = [op.name for op in _ELEMENTWISE if op.arity == 1]
BINARY = [op.name for op in _ELEMENTWISE if op.arity == 2 and "broadcasting" in op.traits]
"""The names of the operators on single elements of two tensors."""

# Past a chain of elementwise operators


@rule([P.permute_dims(X), P.reshape(X)], safety="exact")
def move_past_elementwise(m: Match, b: Builder) -> Answer:
    """q(f(p(x))) = f(q(p(x))) for moves p and q of one kind, and f a chain of elementwise operators.

    A reduction, whose result may have its axes or not, counts as a reshape. Permutations are taken past a
    scale or a bias for each channel, too.
    """
    chain: list[tuple[Node, int]] = []
    tensor, kind = m.X, m.root.op
    while tensor.node.op is not kind and not _is_reduced(tensor.node, m):
        place = _only_operand(tensor, kind.name)
        if place is None or len(chain) == MOST_STEPS or m.rewriter.use_count(tensor) != 1:
            return None
        chain.append((tensor.node, place))
        tensor = tensor.node.inputs[place]
    if not chain or m.rewriter.use_count(tensor) != 1:
        return None
    m.nodes.extend([node for node, _ in chain])
    made = _joined(m, tensor.node, b)
    for node, place in reversed(chain):
        operands = [made if i == place else _turned(one, m, b) for i, one in enumerate(node.inputs)]
        made = getattr(b, node.op.name)(*operands, **node.attrs)
    return in_place_of(m, made)


def _is_reduced(node: Node, m: Match) -> bool:
    """Whether a reduction can give its result under the shape that the root gives to it."""
    return m.root.op.name == "reshape" and reduced_as(node, m.output.shape)


def _only_operand(tensor: Tensor, kind: str) -> int | None:
    """Which operand of an elementwise operator has its shape, if the others are easily moved with it."""
    node = tensor.node
    if "elementwise" not in node.op.traits or len(node.outputs) != 1:
        return None
    whole = [place for place, one in enumerate(node.inputs) if one.shape and one.shape == tensor.shape]
    easy = [not one.shape or (kind == "permute_dims" and is_line(one)) for one in node.inputs]
    return whole[0] if len(whole) == 1 and all(easy[: whole[0]] + easy[whole[0] + 1 :]) else None


def _turned(operand: Tensor, m: Match, b: Builder) -> Tensor:
    """A scalar, or an operand with one axis of more than one element, permuted as the root does it."""
    if not operand.shape:
        return operand
    sizes = (1,) * (m.output.ndim - operand.ndim) + operand.shape
    made: Tensor = b.reshape(operand, shape=tuple([sizes[axis] for axis in m.root.attrs["axes"]]))
    return made


def _joined(m: Match, inner: Node, b: Builder) -> Tensor:
    """The inner move and then the root's, as one."""
    x = inner.inputs[0]
    made: Tensor
    if inner.op.name in KEEPING:
        made = b.apply(inner.op, [x], {**inner.attrs, "keepdims": not inner.attrs["keepdims"]})
    elif inner.op.name == "reshape":
        made = b.reshape(x, shape=m.output.shape)
    else:
        before = inner.attrs["axes"]
        made = b.permute_dims(x, axes=tuple([before[axis] for axis in m.root.attrs["axes"]]))
    return made


# Two moves into one


@rule([getattr(P, f)(P.permute_dims(X), P.permute_dims(Y)) for f in BINARY], safety="exact")
def elementwise_of_permuted(m: Match, b: Builder) -> Answer:
    """f(p(x), p(y)) = p(f(x, y)) for one permutation p of axes."""
    first, second = m.root.inputs
    axes = first.node.attrs["axes"]
    if axes != second.node.attrs["axes"]:
        return None
    if first is not second and not _all_unshared(m):
        return decline("one of the permuted tensors has other users")
    return in_place_of(m, b.permute_dims(getattr(b, m.root.op.name)(m.X, m.Y, **m.root.attrs), axes=axes))


@rule([getattr(P, f)(P.reshape(X), P.reshape(Y)) for f in BINARY], safety="exact")
def elementwise_of_reshaped(m: Match, b: Builder) -> Answer:
    """f(reshape(x), reshape(y)) = reshape(f(x, y)) for x and y of one shape."""
    first, second = m.root.inputs
    if m.X.shape != m.Y.shape or first.shape != second.shape or first is second:
        return None
    if not _all_unshared(m):
        return decline("one of the reshaped tensors has other users")
    made = getattr(b, m.root.op.name)(m.X, m.Y, **m.root.attrs)
    return in_place_of(m, b.reshape(made, shape=m.output.shape))


def _all_unshared(m: Match) -> bool:
    return all([m.rewriter.use_count(tensor) == 1 for tensor in m.root.inputs])


@rule(P.concat(...), safety="exact")
def concat_of_permuted(m: Match, b: Builder) -> Answer:
    """concat(p(x), p(y)) = p(concat(x, y)) for one permutation p of axes."""
    moves = [tensor.node for tensor in m.root.inputs]
    if any([move.op.name != "permute_dims" for move in moves]):
        return None
    axes = moves[0].attrs["axes"]
    if any([move.attrs["axes"] != axes for move in moves]):
        return None
    if not _all_unshared(m):
        return decline("one of the permuted tensors has other users")
    m.nodes.extend(moves)
    made = b.concat(*[move.inputs[0] for move in moves], axis=axes[m.root.attrs["axis"]])
    return in_place_of(m, b.permute_dims(made, axes=axes))


@rule(P.permute_dims(P.pad(P.permute_dims(X))), safety="exact")
def pad_between_permutations(m: Match, b: Builder) -> Answer:
    """q(pad(p(x))) = q(p(pad'(x))), where two permutations become one, or none."""
    pad, inner = m.nodes[1], m.nodes[2]
    used = next((node for node in (pad, inner) if m.rewriter.use_count(node.output) != 1), None)
    if used is not None:
        return decline(f"{used.name} has other users")
    axes = inner.attrs["axes"]
    pads = tuple([pad.attrs["pads"][axes.index(axis)] for axis in range(len(axes))])
    made = b.pad(m.X, **{**pad.attrs, "pads": pads})
    return in_place_of(m, b.permute_dims(made, axes=tuple([axes[axis] for axis in m.root.attrs["axes"]])))


# Broadcasting after computing


def _broadcast_last(m: Match, b: Builder) -> Answer:
    operands = [tensor.node.inputs[0] for tensor in m.root.inputs]
    shapes = {tensor.shape for tensor in m.root.inputs}
    if len(shapes) > 1 or all(map(is_constant, operands)):
        return None
    made = getattr(b, m.root.op.name)(*operands, **m.root.attrs)
    if made.shape == m.output.shape:
        return None
    return in_place_of(m, b.broadcast_to(made, shape=m.output.shape))


def _broadcasts(names: list[str]) -> list:
    unary = [getattr(P, name)(P.broadcast_to(X)) for name in names if name in _UNARY]
    return unary + [getattr(P, f)(P.broadcast_to(X), P.broadcast_to(Y)) for f in names if f in BINARY]


_EXACT = [op.name for op in _ELEMENTWISE if op.name in _ROUNDED_BY_IEEE]
_OTHER = [
    op.name for op in _ELEMENTWISE if op.name not in _ROUNDED_BY_IEEE and not op.name.startswith("string")
]


@rule(_broadcasts(_EXACT), safety="exact")
def elementwise_of_broadcast(m: Match, b: Builder) -> Answer:
    """f(broadcast(x), broadcast(y)) = broadcast(f(x, y)) for arithmetic, which IEEE 754 rounds."""
    return _broadcast_last(m, b)


@rule(_broadcasts(_OTHER), safety="rounding", evidence="sampled")
def function_of_broadcast(m: Match, b: Builder) -> Answer:
    """f(broadcast(x)) = broadcast(f(x)) for transcendental functions, computed once for each element of x."""
    return _broadcast_last(m, b)


# Conversions

_STEPS = ("reshape", "permute_dims", "broadcast_to", "slice", "tile", "repeat", "roll")


@rule([P.astype(getattr(P, step)(P.astype(X))) for step in _STEPS], safety="exact")
def convert_around_move(m: Match, b: Builder) -> Answer:
    """astype(move(astype(x))) = move(astype(x)) where the first conversion loses nothing."""
    move = m.root.inputs[0].node
    if not passes_through(m.X.dtype, m.root.inputs[0].dtype, m.output.dtype):
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    converted = b.astype(m.X, **m.root.attrs)
    return in_place_of(m, getattr(b, move.op.name)(converted, **move.attrs))


# Cutting before moving


@rule(P.slice(P.permute_dims(X)), safety="exact")
def slice_of_permuted(m: Match, b: Builder) -> Answer:
    """A slice of a permuted tensor is a permutation of a slice, which moves fewer elements."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    axes, attrs = m.inner.attrs["axes"], m.root.attrs
    bounds = {what: [attrs[what][axes.index(axis)] for axis in range(len(axes))] for what in _BOUNDS}
    part = b.slice(m.X, **{what: tuple(entries) for what, entries in bounds.items()})
    return in_place_of(m, b.permute_dims(part, axes=axes))


_BOUNDS = ("starts", "stops", "steps")


@rule(P.slice(P.broadcast_to(X)), safety="exact")
def slice_of_broadcast(m: Match, b: Builder) -> Answer:
    """A slice of copies is fewer copies, where the tensor that is copied stays whole."""
    attrs, whole = m.root.attrs, m.inner.tensor.shape
    added = len(whole) - m.X.ndim
    for axis, size in enumerate(m.X.shape):
        place = axis + added
        if size == 1:
            continue
        if attrs["starts"][place] != 0 or attrs["steps"][place] != 1 or m.output.shape[place] != size:
            return None
    return in_place_of(m, b.broadcast_to(m.X, shape=m.output.shape))


RULES: tuple[Rule, ...] = (
    move_past_elementwise,
    elementwise_of_permuted,
    elementwise_of_reshaped,
    concat_of_permuted,
    pad_between_permutations,
    elementwise_of_broadcast,
    function_of_broadcast,
    convert_around_move,
    slice_of_permuted,
    slice_of_broadcast,
)

"""What a program makes of its weights alone, cut out of it, so that a target computes it once for many runs.

Variables that a program reads and does not update are *steady*: from run to run their values are the same
arrays until somebody sets them. What products read that is made of steady variables and constants alone is
*prepared*: weights in panels, with the factors of a batch norm in them, in another order, transformed or
narrowed. `prepare` parts a program in two,

    preparation:  steady variables           -> prepared tensors
    rest:         variables, feeds, prepared -> results

of which the first has to run again only where one of its variables has another value.

Rules ask `is_steady` before they spend work on weights that is worth it only if it is done once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from graphflow.ir.body import has_bodies
from graphflow.ir.copying import copy_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order
from graphflow.optimizer.analysis.regions import Region
from graphflow.optimizer.program import Program, placeholder_for

_PRODUCTS = frozenset(
    (
        "matmul",
        "matmul_transposed",
        "conv",
        "conv_input_gradient",
        "channels_last_conv",
        "channels_last_conv_input_gradient",
        "packed_conv",
        "winograd_conv",
    )
)
_MOST_GROWTH = 16
"""Times the bytes of the weights that what is made of them may have: a panel of 16 outputs for one."""

_LEAST_BYTES = 4096
"""What is smaller in all is made again in less time than it takes to see whether it still holds."""

_MOST_BYTES = 1 << 62
_DEEPEST = 48  # nodes that a rule looks at


class Preparation(NamedTuple):
    """A program in two parts.

    Attributes:
        first: reads variables alone, and returns what is prepared.
        rest: the program, with what is prepared as further feeds behind its own.
        bytes: of what is prepared.
    """

    first: Program
    rest: Program
    bytes: int


class _Made(NamedTuple):
    """What a tensor is made of: the bytes of its variables and constants, and whether there is a variable."""

    bytes: int
    varies: bool


def is_steady(tensor: Tensor) -> bool:
    """Whether a tensor is a constant, or made of steady variables and constants by a few nodes."""
    if tensor.node.op.name == "constant":
        return True
    steady: frozenset[str] = getattr(tensor.graph, "steady", frozenset())
    if not steady:
        return False
    pending, seen = [tensor.node], {tensor.node}
    while pending:
        node = pending.pop()
        if not _is_known(node, steady):
            if not node.inputs or not _is_pure(node) or len(seen) > _DEEPEST:
                return False
            further = [one.node for one in node.inputs if one.node not in seen]
            seen.update(further)
            pending += further
    return any([node.op.name == "variable" for node in seen])


def prepare(program: Program) -> Preparation | None:
    """The two parts of a program, or None if nothing is worth preparing."""
    if not program.steady:
        return None
    order = program.order()
    kept = _worthwhile(order, _made_of_weights(order, program.steady))
    size = sum([int(tensor.type.nbytes) for tensor in kept])
    if size < _LEAST_BYTES:
        return None
    first = Program(f"{program.name} (weights)")
    copies: dict[Tensor, Tensor] = {}
    copy_nodes(first, topological_order(kept), copies)
    first.outputs = [copies[tensor] for tensor in kept]
    first.fetch_count = len(kept)
    return Preparation(first, _rest(program, order, kept), size)


def _is_known(node: Node, steady: Iterable[str]) -> bool:
    return node.op.name == "constant" or (node.op.name == "variable" and node.name in steady)


def _is_pure(node: Node) -> bool:
    """Whether a node gives the same for the same operands, whenever it runs, and is no loop."""
    outside = node.op.callback or not node.op.traits.isdisjoint(("nullary_input", "effect"))
    return not outside and not has_bodies(node)


def _made_of_weights(order: Iterable[Node], steady: Iterable[str]) -> dict[Node, _Made]:
    """Of each node that reads steady variables and constants alone, what it is made of."""
    made: dict[Node, _Made] = {}
    for node in order:
        if _is_known(node, steady):
            made[node] = _Made(int(node.output.type.nbytes), node.op.name == "variable")
        elif all([one.node in made for one in node.inputs]) and _is_pure(node):
            parts = [made[one.node] for one in node.inputs]
            size = min(sum([part.bytes for part in parts]), _MOST_BYTES)
            made[node] = _Made(size, any([part.varies for part in parts]))
    return made


def _worthwhile(order: Iterable[Node], made: Mapping[Node, _Made]) -> list[Tensor]:
    """What products read that is made of variables, other than they are, and not much larger."""
    read = [
        tensor
        for node in order
        if node.op.name in _PRODUCTS and node not in made
        for tensor in node.inputs
        if tensor.node in made and not _is_free(tensor)
    ]
    return [tensor for tensor in dict.fromkeys(read) if _is_moderate(tensor, made[tensor.node])]


def _is_moderate(tensor: Tensor, made: _Made) -> bool:
    size = tensor.type.nbytes
    return made.varies and isinstance(size, int) and size <= _MOST_GROWTH * made.bytes


def _is_free(tensor: Tensor) -> bool:
    """Whether a tensor is a variable or a constant under some shape."""
    node = tensor.node
    while node.op.name == "reshape":
        node = node.inputs[0].node
    return node.op.name in ("variable", "constant")


def _rest(program: Program, order: Iterable[Node], kept: Iterable[Tensor]) -> Program:
    """The program with placeholders in the place of what is prepared."""
    rest = Program(program.name)
    copies: dict[Tensor, Tensor] = {}
    variables = [node for node in order if node.op.name == "variable"]
    needed = set(topological_order(program.outputs, stop=set(kept).__contains__))
    # First of all: a session finds variables by name, so no placeholder may take it.
    copy_nodes(rest, [node for node in variables if node in needed], copies)
    for tensor in (*program.feeds, *kept):
        copies[tensor] = placeholder_for(rest, tensor)
        rest.feeds.append(copies[tensor])
    copy_nodes(rest, topological_order(program.outputs, stop=copies.__contains__), copies)
    rest.outputs = [copies[tensor] for tensor in program.outputs]
    rest.fetch_count, rest.updated = program.fetch_count, list(program.updated)
    rest.in_arena = program.in_arena
    rest.regions = tuple([one.copied(copies) for one in program.regions if _is_inside(one, copies)])
    if program.schedule:
        there = set(topological_order(rest.outputs))
        nodes = [copies[node.outputs[0]].node for node in program.schedule if node.outputs[0] in copies]
        rest.schedule = [node for node in nodes if node in there]
    return rest


def _is_inside(region: Region, copies: Mapping[Tensor, Tensor]) -> bool:
    """Whether all of a region has been copied, rather than prepared."""
    copied = all([one in copies for one in (*region.inputs, *[node.output for node in region.nodes])])
    return copied and all([copies[node.output].node.op is node.op for node in region.nodes])

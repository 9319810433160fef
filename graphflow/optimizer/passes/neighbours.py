"""Scans side by side, or one after the other, merged into one: both bodies run in the same step.

    scan f over x, scan g over x              = scan (f, g) over x       where neither needs the other
    y = scan f over x, scan g over y          = scan (f, then g) over x  where g sees of f the rows alone

Loops of one length and direction are merged. Each step computes what both steps did, so the values are
the same; a target runs one loop instead of two, and rows that only the second one reads are never kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphflow.ir.body import Body
from graphflow.ir.builder import several
from graphflow.ir.copying import copy_node
from graphflow.ir.node import Node, Tensor
from graphflow.ops.control import scan
from graphflow.optimizer.pass_manager import PassContext
from graphflow.optimizer.passes.edits import is_excluded, replaced
from graphflow.optimizer.rules.whole_forms import MERGE_NEIGHBOURS

Levels = Mapping[Node, int]
"""How many scans there are on the longest way to a node, itself among them."""


def merge_neighbours(context: PassContext, beside: bool = True) -> int:
    """Merge scans in pairs, each with one other at most; how many pairs there were.

    Arguments:
        beside: whether those that do not need one another are merged too.
    """
    rewriter = context.rewriter
    if is_excluded(context, MERGE_NEIGHBOURS) or context.journal.is_full:
        return 0
    order = rewriter.order()
    scans = [node for node in order if node.op is scan]
    if len(scans) < 2:
        return 0
    levels: dict[Node, int] = {}
    for node in order:
        above = max([levels[tensor.node] for tensor in node.inputs], default=0)
        levels[node] = above + (node.op is scan)
    taken: set[Node] = set()
    merged = 0
    for node in scans:
        other = None if node in taken else _neighbour(node, levels, taken, context, beside)
        if other is not None and not context.journal.is_full:
            taken |= {node, other}
            merged += _merge(other, node, context)
    return merged


def _neighbour(
    node: Node, levels: Levels, taken: set[Node], context: PassContext, beside: bool
) -> Node | None:
    """An earlier scan that a scan can be merged with."""
    for tensor in _sequences(node):
        maker = tensor.node
        if maker.op is scan and maker in levels and maker not in taken and _follows(node, maker, levels):
            return maker
    for tensor in _sequences(node) if beside else ():
        for other in context.rewriter.users[tensor]:
            if other is node:
                break  # those behind it find it
            shares = other.op is scan and other not in taken and tensor in _sequences(other)
            # What is on one level cannot need the other, which would be one level higher.
            if shares and levels.get(other) == levels[node] and _alike(node, other):
                return other
    return None


def _sequences(node: Node) -> Sequence[Tensor]:
    return node.inputs[node.attrs.carries : node.attrs.carries + node.attrs.sequences]


def _alike(node: Node, other: Node) -> bool:
    return (node.attrs.length, node.attrs.reverse) == (other.attrs.length, other.attrs.reverse)


def _follows(node: Node, maker: Node, levels: Levels) -> bool:
    """Whether a scan needs of another one nothing but its rows, step by step."""
    if not _alike(node, maker):
        return False
    first, last = node.attrs.carries, node.attrs.carries + node.attrs.sequences
    for place, tensor in enumerate(node.inputs):
        rows = tensor.node is maker and tensor.index >= maker.attrs.carries and first <= place < last
        if not rows and levels.get(tensor.node, levels[maker]) >= levels[maker]:
            return False
    return True


def _merge(first: Node, second: Node, context: PassContext) -> bool:
    """Put one scan in the place of two, of which the first is done first in each step."""
    joined = _Joined(first, second)
    builder = context.rewriter.builder.standing_for([second, first], MERGE_NEIGHBOURS.name)
    attrs = {
        "body": joined.body, "carries": first.attrs.carries + second.attrs.carries,
        "sequences": joined.sequences, "length": first.attrs.length, "reverse": first.attrs.reverse,
    }  # fmt: skip
    made = several(builder.apply(scan, joined.inputs, attrs, second.name))
    carries, rows = first.attrs.carries, len(first.outputs) - first.attrs.carries
    middle = carries + second.attrs.carries
    own = [*made[:carries], *made[middle : middle + rows]]
    others = [*made[carries:middle], *made[middle + rows :]]
    reason = f"{first.name} and {second.name} take the same steps"
    changed = replaced(context, first, own, MERGE_NEIGHBOURS, reason)
    return replaced(context, second, others, MERGE_NEIGHBOURS, reason) or changed


class _Joined:
    """The body of two scans, with its operands in order.

    Attributes:
        body, inputs: these.
        sequences: how many of the operands are.
    """

    def __init__(self, first: Node, second: Node) -> None:
        self.body = Body(second.attrs.body.name, repeats=True)
        self.inputs: list[Tensor] = []
        self._known: dict[tuple[int, Tensor], Tensor] = {}
        self._rows: dict[Tensor, Tensor] = {}  # what a row of the first scan is in its body
        # Of each scan its own, as two scans can have one body.
        copies: list[dict[Tensor, Tensor]] = [{}, {}]
        nodes = first, second
        for part in range(3):
            if part == 2:
                self.sequences = len(self.inputs) - first.attrs.carries - second.attrs.carries
            for node, own in zip(nodes, copies):
                self._operands(node, _parts(node)[part], part, first, own)
        ends: list[list[Tensor]] = []
        for node, own in zip(nodes, copies):
            body = node.attrs.body
            if node is second:
                own.update([(parameter, copies[0][made]) for parameter, made in self._rows.items()])
            for one in body.order()[len(body.placeholders) :]:
                own.update(zip(one.outputs, copy_node(self.body, one, own).outputs))
            ends.append([own[tensor] for tensor in body.outputs])
        carried = [end[: node.attrs.carries] for node, end in zip(nodes, ends)]
        rows = [end[node.attrs.carries :] for node, end in zip(nodes, ends)]
        self.body.outputs = [tensor for end in carried + rows for tensor in end]
        self.body.seal()

    def _operands(
        self, node: Node, places: range, part: int, first: Node, copies: dict[Tensor, Tensor]
    ) -> None:
        """Parameters for some operands; those that are no carries serve both scans."""
        parameters = node.attrs.body.parameters
        for place in places:
            tensor, parameter = node.inputs[place], parameters[place]
            if part == 1 and node is not first and tensor.node is first:
                self._rows[parameter] = first.attrs.body.outputs[tensor.index]
                continue
            found = self._known.get((part, tensor)) if part else None
            if found is None:
                found = self.body.parameter(parameter.type, parameter.node.name, parameter.node.origin)
                self._known[part, tensor] = found
                self.inputs.append(tensor)
            copies[parameter] = found


def _parts(node: Node) -> tuple[range, range, range]:
    """Where the carries, the sequences and the captured values of a scan are among its operands."""
    first, last = node.attrs.carries, node.attrs.carries + node.attrs.sequences
    return range(first), range(first, last), range(last, len(node.inputs))

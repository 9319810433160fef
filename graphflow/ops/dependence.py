"""Which operands of a node an output really depends on: all of them, but for control flow.

The last carry of a scan depends on another carry's start only if the body lets it, in one step or over
several; so the answer needs a look into bodies.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from graphflow.ir.body import Body
from graphflow.ir.node import Node, Tensor
from graphflow.ops.control import call, scan, switch_case, while_loop


def needed_operands(node: Node, outputs: Iterable[int]) -> set[int]:
    """The numbers of the inputs on which the outputs of these numbers depend.

    >>> import graphflow as gf
    >>> x, y = gf.placeholder("x", ()), gf.placeholder("y", ())
    >>> first, second = gf.cond(x > 0.0, lambda: (x, y), lambda: (x + 1.0, y))
    >>> sorted(needed_operands(second.node, [1])), len(second.node.inputs)
    ([0, 2], 3)
    """
    if node.op is switch_case:
        found = set().union(*[_reads(branch, outputs) for branch in node.attrs.branches])
        return {0, *[number + 1 for number in found]}
    if node.op is call:
        return _reads(node.attrs.body, outputs)
    if node.op is scan or node.op is while_loop:
        return (
            _reads(node.attrs.body, needed_results(node, outputs))
            | _condition_reads(node)
            | {number for number in needed_results(node, outputs) if number < node.attrs.carries}
        )
    return set(range(len(node.inputs)))


def needed_results(node: Node, outputs: Iterable[int]) -> set[int]:
    """The results of a loop's body on which its outputs of these numbers depend, through all steps."""
    body, carries = node.attrs.body, node.attrs.carries
    numbers = {tensor: number for number, tensor in enumerate(body.parameters[:carries])}
    needed = set(outputs) | {number for number in _condition_reads(node) if number < carries}
    above: set[Tensor] = set()
    fresh = needed
    while fresh:
        found = needed_tensors([body.outputs[number] for number in fresh], above)
        above |= found
        fresh = {numbers[tensor] for tensor in found if tensor in numbers} - needed
        needed |= fresh
    return needed


def _condition_reads(node: Node) -> set[int]:
    return _reads(node.attrs.condition, [0]) if node.op is while_loop else set()


def _reads(body: Body, outputs: Iterable[int]) -> set[int]:
    """The numbers of the parameters that outputs of a body depend on."""
    above = needed_tensors([body.outputs[number] for number in outputs])
    return {number for number, tensor in enumerate(body.parameters) if tensor in above}


def needed_tensors(tensors: Iterable[Tensor], known: Set[Tensor] = frozenset()) -> set[Tensor]:
    """All tensors on which the given ones depend, themselves included, but for those known and above."""
    found: set[Tensor] = set()
    pending = list(tensors)
    while pending:
        tensor = pending.pop()
        if tensor in found or tensor in known:
            continue
        found.add(tensor)
        node = tensor.node
        for number in (
            needed_operands(node, [tensor.index]) if node.op.family == "control" else range(len(node.inputs))
        ):
            pending.append(node.inputs[number])
    return found

"""A rule for scans: what is added to all rows of a sequence alike is added to each of them in its step.

    scan(f, xs + k)  =  scan(f', xs)   with   f'(state, x, ...) = f(state, x + k, ...)

Rows take the same additions, so the bits are the same. In front of the loop the addition goes through all of
the sequence, twice its bytes; in the step it joins the loops that read the row. The gates of an LSTM,
x_t W + b + h R, are made that way: XLA cannot join the addition with the product x W of all steps.
"""

from __future__ import annotations

from typing import Any

from graphflow.ir.body import Body
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.copying import copy_node
from graphflow.ir.node import Node, Tensor
from graphflow.ops.control import scan
from graphflow.optimizer.driver import EveryNode
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.rule import Answer, Rule, decline

_PRODUCTS = frozenset(("matmul", "reshape"))
"""What makes the sequence: another operator would join the addition where it is."""


def _sum_in_step(match: Match, b: Builder) -> Answer:
    """scan(f, xs + k) = scan(f', xs) with f'(state, x, ...) = f(state, x + k, ...)."""
    node = match.root
    attrs = node.attrs
    for number in range(attrs.carries, attrs.carries + attrs.sequences):
        total = node.inputs[number].node
        if total.op.name != "add" or attrs.length in (0, 1):
            continue
        for place, rows in enumerate(total.inputs):
            term = total.inputs[1 - place]
            if rows.node.op.name not in _PRODUCTS or rows.type is not total.output.type:
                continue
            if term.ndim == rows.ndim and term.shape[0] != 1:
                continue
            if match.rewriter.use_count(total.output) > 1:
                return decline(f"{total.name} is read outside of the scan, too")
            return _moved(b, node, number, place)
    return None


def _moved(b: Builder, node: Node, number: int, place: int) -> Any:
    """The scan of the rows alone, to each of which its step adds the other operand."""
    rows, term = (node.inputs[number].node.inputs[index] for index in (place, 1 - place))
    if term.ndim == rows.ndim:
        term = b.squeeze(term, axis=(0,))
    body, made = node.attrs.body, Body(node.attrs.body.name, repeats=node.attrs.body.repeats)
    copies: dict[Tensor, Tensor] = {}
    for tensor in body.parameters:
        copies[tensor] = copy_node(made, tensor.node, copies).outputs[0]
    row = body.parameters[number]
    further = made.parameter(term.type, term.node.name, term.node.origin)
    inner = builder_for([further])
    copies[row] = inner.add(*((further, copies[row]) if place else (copies[row], further)))
    for one in body.order()[len(body.placeholders) :]:
        copies.update(zip(one.outputs, copy_node(made, one, copies).outputs))
    made.outputs = [copies[tensor] for tensor in body.outputs]
    inputs = [*node.inputs[:number], rows, *node.inputs[number + 1 :], term]
    result = b.apply(scan, inputs, {**node.attrs, "body": made.seal()}, node.name)
    return list(result) if isinstance(result, (tuple, list)) else [result]


SUM_IN_STEP = Rule(
    "sum_in_step", (), _sum_in_step, "exact", "proved", frozenset({"loops"}), _sum_in_step.__doc__ or ""
)

RULES: tuple[Rule, ...] = (SUM_IN_STEP,)

INDEXED = [(SUM_IN_STEP, EveryNode(lambda op, child_ops: op is scan and "add" in child_ops))]
"""The rule with the nodes that it is tried at."""

"""Export of branches and loops, as If, Scan and Loop; what their bodies read around them is read by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from graphflow.io.onnx.export_shape import sliced
from graphflow.io.onnx.export_writer import Writer, number_or_none
from graphflow.ir.body import Body
from graphflow.ir.node import Node
from graphflow.ir.types import TensorType

Inline = Callable[[Writer, Body, Sequence[str]], list[str]]
"""Writes the nodes of a body for given values of its parameters; the values of its results."""


def value_info(name: str, kind: TensorType) -> onnx.ValueInfoProto:
    """The type of a value; sizes with symbols are said by their text."""
    sizes = [size if isinstance(size, int) else str(size) for size in kind.shape]
    return helper.make_tensor_value_info(name, number_or_none(kind.dtype), sizes)


def _inside(w: Writer) -> Writer:
    made = Writer(w.shared, w.root)
    made.label = w.label
    return made


def _graph(
    inner: Writer,
    name: str,
    inputs: Sequence[tuple[str, TensorType]],
    results: Sequence[tuple[str, TensorType]],
) -> onnx.GraphProto:
    """A graph inside a node; each result gets a name that nothing else has."""
    outputs = []
    for value, kind in results:
        made = inner.emit("Identity", value)
        outputs.append(value_info(made, kind))
    return helper.make_graph(inner.nodes, name, [value_info(*one) for one in inputs], outputs)


def _outputs(w: Writer, node: Node) -> list[str]:
    return [w.fresh("result", number_or_none(tensor.dtype)) for tensor in node.outputs]


def switch_case(w: Writer, node: Node, inline: Inline, index: str, *operands: str) -> list[str]:
    """If for each branch but the last: an index out of range means the nearest one."""
    branches = node.attrs.branches
    if len(branches) == 1:
        return inline(w, branches[0], operands)
    if node.inputs[0].dtype.kind == "bool":
        return _if(w, node, inline, index, operands, branches[1], [branches[0]], 0)
    is_first = w.emit("LessOrEqual", index, w.like(0, index))
    return _if(w, node, inline, is_first, operands, branches[0], list(branches[1:]), 1, index)


def _if(
    w: Writer, node: Node, inline: Inline, condition: str, operands: Sequence[str], then: Body,
    others: list[Body], number: int, index: str = "",
) -> list[str]:  # fmt: skip
    kinds = [tensor.type for tensor in node.outputs]
    yes, no = _inside(w), _inside(w)
    made = inline(yes, then, operands)
    if len(others) == 1:
        rest = inline(no, others[0], operands)
    else:
        below = no.emit("LessOrEqual", index, no.like(number, index))
        rest = _if(no, node, inline, below, operands, others[0], others[1:], number + 1, index)
    outputs = _outputs(w, node)
    w.add(
        helper.make_node(
            "If", [condition], outputs,
            then_branch=_graph(yes, "then", [], list(zip(made, kinds))),
            else_branch=_graph(no, "else", [], list(zip(rest, kinds))),
        )
    )  # fmt: skip
    return outputs


def scan(w: Writer, node: Node, inline: Inline, *operands: str) -> list[str]:
    """Scan, whose sequences are turned round before and after where it runs backwards."""
    attrs = node.attrs
    if not attrs.sequences:
        return _counted(w, node, inline, operands)
    carries, body = attrs.carries, attrs.body
    last = carries + attrs.sequences
    rows = [_turned(w, one, attrs.reverse) for one in operands[carries:last]]
    inner = _inside(w)
    parameters = [
        (inner.fresh("step", number_or_none(kind.dtype)), kind) for kind in body.parameter_types[:last]
    ]
    made = inline(inner, body, [*(name for name, _ in parameters), *operands[last:]])
    graph = _graph(inner, "step", parameters, list(zip(made, body.output_types)))
    outputs = _outputs(w, node)
    w.add(
        helper.make_node(
            "Scan", [*operands[:carries], *rows], outputs, body=graph, num_scan_inputs=attrs.sequences
        )
    )
    return [*outputs[:carries], *(_turned(w, one, attrs.reverse) for one in outputs[carries:])]


def _turned(w: Writer, value: str, reverse: bool) -> str:
    return sliced(w, value, [None], [None], [-1], [0]) if reverse else value


_FLAG, _NUMBER = TensorProto.BOOL, TensorProto.INT64


def _loop(
    w: Writer, node: Node, count: str, going: str, carries: int, operands: Sequence[str],
    step: Callable[[Writer, list[str]], tuple[str, list[str]]], results: Sequence[TensorType],
) -> list[str]:  # fmt: skip
    """A Loop; `step` gives the condition and the results for the carries."""
    inner = _inside(w)
    number, flag = inner.fresh("number", _NUMBER), inner.fresh("going", _FLAG)
    kinds = [tensor.type for tensor in node.inputs[:carries]]
    parameters = [(inner.fresh("step", number_or_none(kind.dtype)), kind) for kind in kinds]
    after, made = step(inner, [name for name, _ in parameters])
    named = [inner.emit("Identity", value) for value in (after or flag, *made)]
    graph = helper.make_graph(
        inner.nodes,
        "step",
        [
            helper.make_tensor_value_info(number, _NUMBER, []),
            helper.make_tensor_value_info(flag, _FLAG, []),
            *(value_info(*one) for one in parameters),
        ],
        [helper.make_tensor_value_info(named[0], _FLAG, []), *map(value_info, named[1:], results)],
    )
    outputs = _outputs(w, node)
    w.add(helper.make_node("Loop", [count, going, *operands[:carries]], outputs, body=graph))
    return outputs


def _counted(w: Writer, node: Node, inline: Inline, operands: Sequence[str]) -> list[str]:
    """A scan over nothing, as a Loop of so many steps."""
    attrs = node.attrs
    given = list(operands[attrs.carries :])

    def step(inner: Writer, state: list[str]) -> tuple[str, list[str]]:
        return "", inline(inner, attrs.body, [*state, *given])

    kinds = attrs.body.output_types
    count, going = w.scalar(attrs.length), w.constant(True)
    made = _loop(w, node, count, going, attrs.carries, operands, step, kinds)
    return [*made[: attrs.carries], *(_turned(w, one, attrs.reverse) for one in made[attrs.carries :])]


def while_loop(w: Writer, node: Node, inline: Inline, *operands: str) -> list[str]:
    """Loop, with the condition computed before the first step and at the end of each."""
    attrs = node.attrs
    carries, given = attrs.carries, list(operands[attrs.carries :])

    def step(inner: Writer, state: list[str]) -> tuple[str, list[str]]:
        made = inline(inner, attrs.body, [*state, *given])[:carries]
        (going,) = inline(inner, attrs.condition, [*made, *given])[:1]
        return going, made

    (start,) = inline(w, attrs.condition, operands)[:1]
    count = "" if attrs.max_steps is None else w.constant(np.array(attrs.max_steps, np.int64))
    return _loop(w, node, count, start, carries, operands, step, attrs.body.output_types[:carries])


def call(w: Writer, node: Node, inline: Inline, *operands: str) -> list[str]:
    """The nodes of the body in the place of the call."""
    return inline(w, node.attrs.body, operands)


TABLE: dict[str, Any] = {"call": call, "scan": scan, "switch_case": switch_case, "while_loop": while_loop}

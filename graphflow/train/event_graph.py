"""A graph as TensorBoard draws it: a serialised GraphDef with names, inputs and output shapes.

TensorBoard makes its boxes from the `/` in names, and labels edges with `_output_shapes`; attributes
of operators become strings, and each node says which line of the user's program made it. The nodes of a
body lie in a scope below the node that has it, and its parameters read that node's operands.

Source: graph.proto, node_def.proto and attr_value.proto of tensorboard/compat/proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.ir.body import Body, bodies_of
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import Shape
from graphflow.optimizer.passes.bodies import body_place
from graphflow.train.event_encoding import bytes_field, integer_field

PRODUCER = 27
LONGEST_ATTRIBUTE = 200

TYPE_NUMBERS = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8, "int64": 9,
    "bool": 10, "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23,
    "string": 7, "float8_e5m2": 24, "float8_e4m3fn": 25, "float8_e4m3fnuz": 26, "float8_e5m2fnuz": 28,
    "int4": 29, "uint4": 30, "int2": 31, "uint2": 32, "float4_e2m1fn": 33,
}  # fmt: skip
"""Types that TensorFlow lacks have the number 0, of no type."""


def graph_def(graph: Graph) -> bytes:
    """The GraphDef of all nodes of a graph and of the bodies in it; its size is linear in theirs."""
    parts = [bytes_field(1, _node_def(one)) for one in placed_nodes(graph.nodes)]
    parts.append(bytes_field(4, integer_field(1, PRODUCER)))
    return b"".join(parts)


class Placed(NamedTuple):
    """A node and where it is shown.

    Attributes:
        node: of the graph, or of a body at any depth.
        name: unique among all of them.
        reads: what it reads, as `name` or, for a further output, `name:index`.
        key: its name in the optimizer's journal.
    """

    node: Node
    name: str
    reads: Sequence[str]
    key: str


def placed_nodes(nodes: Sequence[Node]) -> Iterator[Placed]:
    """All nodes and those of the bodies in them, level by level."""
    taken = {node.name for node in nodes}
    pending = [_Level(nodes, {node: node.name for node in nodes}, {}, "")]
    while pending:
        inside, names, operands, path = pending.pop()
        for node in inside:
            given = [_input_name(tensor, names) for tensor in node.inputs]
            reads = [operands[tensor] for tensor in node.outputs if tensor in operands]
            yield Placed(node, names[node], reads or given, path + node.name)
            for number, body in enumerate(bodies_of(node)):
                inner = body.order()
                place = body_place(node, number)
                below = _names_below(inner, node.name, f"{names[node]}/{place}/", taken)
                last = dict(zip(body.parameters, given[len(given) - len(body.parameters) :]))
                pending.append(_Level(inner, below, last, f"{path}{node.name}:{place}/"))


class _Level(NamedTuple):
    """Nodes of one body, or of the graph: their names, what parameters read, and the journal's path."""

    nodes: Sequence[Node]
    names: dict[Node, str]
    operands: dict[Tensor, str]
    path: str


def _names_below(inner: Sequence[Node], owner: str, prefix: str, taken: set[str]) -> dict[Node, str]:
    """Names for the nodes of a body, in a scope of their own below the node that has it."""
    names = {}
    for node in inner:
        name = prefix + node.name.removeprefix(f"{owner}/")
        while name in taken:
            name += "_"
        taken.add(name)
        names[node] = name
    return names


def _node_def(placed: Placed) -> bytes:
    node = placed.node
    parts = [bytes_field(1, placed.name), bytes_field(2, node.op.name)]
    parts += [bytes_field(3, source) for source in placed.reads]
    shapes = b"".join(bytes_field(7, _shape(tensor.shape)) for tensor in node.outputs)
    parts.append(_attribute("_output_shapes", bytes_field(1, shapes)))
    if node.outputs:
        parts.append(_attribute("dtype", integer_field(6, TYPE_NUMBERS.get(node.outputs[0].dtype.name, 0))))
    for name, value in node.attrs.items():
        if name != "dtype":
            parts.append(_attribute(name, bytes_field(2, shown(value))))
    if node.origin is not None:
        parts.append(_attribute("origin", bytes_field(2, str(node.origin))))
    return b"".join(parts)


def _input_name(tensor: Tensor, names: dict[Node, str]) -> str:
    name = names[tensor.node]
    return f"{name}:{tensor.index}" if tensor.index else name


def _attribute(name: str, value: bytes) -> bytes:
    return bytes_field(5, bytes_field(1, name) + bytes_field(2, value))


def _shape(shape: Shape) -> bytes:
    return b"".join(bytes_field(2, integer_field(1, size if isinstance(size, int) else -1)) for size in shape)


def shown(value: Any) -> str:
    """An attribute as text; large arrays as their type, bodies by name, long texts cut."""
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Body):
        return f"<{value.name}, {len(value.nodes)} nodes>"
    if isinstance(value, tuple) and any(isinstance(item, Body) for item in value):
        return f"({', '.join(map(shown, value))})"
    text = str(value)
    return text if len(text) <= LONGEST_ATTRIBUTE else text[: LONGEST_ATTRIBUTE - 3] + "..."

"""A graph as TensorBoard draws it: a serialised GraphDef with names, inputs and output shapes.

TensorBoard makes its boxes from the `/` in names, and labels edges with `_output_shapes`; attributes
of operators become strings, and each node says which line of the user's program made it.

Source: graph.proto, node_def.proto and attr_value.proto of tensorboard/compat/proto.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import Shape
from graphflow.train.event_encoding import bytes_field, integer_field

PRODUCER = 27
LONGEST_ATTRIBUTE = 200

TYPE_NUMBERS = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8, "int64": 9,
    "bool": 10, "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip


def graph_def(graph: Graph) -> bytes:
    """The GraphDef of all nodes of a graph; its size is linear in theirs."""
    parts = [bytes_field(1, _node_def(node)) for node in graph.nodes]
    parts.append(bytes_field(4, integer_field(1, PRODUCER)))
    return b"".join(parts)


def _node_def(node: Node) -> bytes:
    parts = [bytes_field(1, node.name), bytes_field(2, node.op.name)]
    parts += [bytes_field(3, _input_name(tensor)) for tensor in node.inputs]
    shapes = b"".join(bytes_field(7, _shape(tensor.shape)) for tensor in node.outputs)
    parts.append(_attribute("_output_shapes", bytes_field(1, shapes)))
    if node.outputs:
        parts.append(_attribute("dtype", integer_field(6, TYPE_NUMBERS[node.outputs[0].dtype.name])))
    for name, value in node.attrs.items():
        if name != "dtype":
            parts.append(_attribute(name, bytes_field(2, _shown(value))))
    if node.origin is not None:
        parts.append(_attribute("origin", bytes_field(2, str(node.origin))))
    return b"".join(parts)


def _input_name(tensor: Tensor) -> str:
    return tensor.name if tensor.index else tensor.node.name


def _attribute(name: str, value: bytes) -> bytes:
    return bytes_field(5, bytes_field(1, name) + bytes_field(2, value))


def _shape(shape: Shape) -> bytes:
    return b"".join(bytes_field(2, integer_field(1, size if isinstance(size, int) else -1)) for size in shape)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype}{list(value.shape)}"
    text = str(value)
    return text if len(text) <= LONGEST_ATTRIBUTE else text[: LONGEST_ATTRIBUTE - 3] + "..."

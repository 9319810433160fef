"""Cutting what some outputs need out of a graph: a copy with the weights as initial values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from graphflow.errors import GraphError
from graphflow.ir.attrs import Attrs
from graphflow.ir.graph import Graph, describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.ir.text import printed_nodes
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.ir.verify import verify
from graphflow.ops import initializers
from graphflow.session.value_feeds import deciding_placeholders


def prune(
    graph: Graph, inputs: Sequence[Tensor], outputs: Sequence[Tensor], weights: Mapping[str, np.ndarray]
) -> tuple[Graph, dict[Tensor, Tensor]]:
    """A copy of what the outputs need, and the copy of each tensor.

    Names, origins and the order of the nodes are kept. A variable starts from its weight. An input
    that is no placeholder becomes one of its name, and what lies above it is left out. Assignments
    are left out.

    Arguments:
        weights: at least those of the variables that the outputs need.

    Raises:
        GraphError: if the outputs need a placeholder that is not among the inputs.
    """
    given = dict.fromkeys(inputs)
    refuse_missing_inputs(given, outputs)
    needed = ancestors(outputs, stop=given.__contains__)
    kept = needed | {tensor.node for tensor in given}
    copy = Graph(graph.name)
    copy.bounded = dict(graph.bounded)
    copy._names = dict.fromkeys([node.name for node in needed], 0)
    copies: dict[Tensor, Tensor] = {}
    nodes: dict[Node, Node] = {}
    for node in [node for node in printed_nodes(graph) if node in kept]:
        for tensor in node.outputs:
            if tensor in given:
                copies[tensor] = _placeholder(copy, tensor)
                nodes.setdefault(node, copies[tensor].node)
        if node in needed:
            nodes[node] = _copy(copy, node, copies, weights)
            for old, new in zip(node.outputs, nodes[node].outputs):
                copies.setdefault(old, new)
    copy.constraints = [
        (left, right, nodes[node]) for left, right, node in graph.constraints if node in nodes
    ]
    copy.outputs = list(dict.fromkeys([copies[tensor] for tensor in outputs]))
    return copy, copies


def refuse_missing_inputs(inputs: Collection[Tensor], outputs: Sequence[Tensor]) -> None:
    """Raise unless the outputs need no placeholders but the inputs."""
    needed = ancestors(outputs, stop=inputs.__contains__)
    unfed = {node for node in needed if node.op.name == "placeholder"}
    for tensor in outputs[:1]:
        decisive = deciding_placeholders(tensor.graph, needed)
        unfed.update([placeholder.node for placeholder in decisive if placeholder not in inputs])
    missing = creation_order(unfed)
    if missing:
        names = ", ".join([repr(node.name) for node in missing])
        raise GraphError(
            f"the outputs {', '.join([repr(tensor.name) for tensor in outputs])} need {names}, which "
            f"{'is' if len(missing) == 1 else 'are'} not among the inputs",
            hint="add it to inputs, or choose outputs that do not need it: probabilities rather than a loss",
            operands=describe([node.outputs[0] for node in missing[:4]]),
        )


def _placeholder(copy: Graph, tensor: Tensor) -> Tensor:
    node = tensor.node
    attrs = Attrs(dtype=tensor.dtype, shape=tensor.shape)
    made = copy.add(
        registry["placeholder"],
        (),
        attrs,
        (tensor.type,),
        copy.unique_name(node.name),
        node.origin,
        node.lineage,
    )
    copy.placeholders[made.name] = made.outputs[0]
    return made.outputs[0]


def _copy(
    copy: Graph, node: Node, copies: Mapping[Tensor, Tensor], weights: Mapping[str, np.ndarray]
) -> Node:
    attrs = node.attrs
    if node.op.name == "variable":
        start = initializers.value(np.asarray(weights[node.name], attrs["dtype"].numpy))
        start.check(attrs["shape"], attrs["dtype"])
        attrs = Attrs({**attrs, "initializer": start})
    types = [tensor.type for tensor in node.outputs]
    if not all([tensor in copies for tensor in node.inputs]):
        verify(node.graph)  # names the circle: everything above a node was copied before it
    inputs = tuple([copies[tensor] for tensor in node.inputs])
    made = copy.add(node.op, inputs, attrs, types, node.name, node.origin, node.lineage)
    if node.op.name == "variable":
        copy.variables[node.name] = made.outputs[0]
    elif "nullary_input" in node.op.traits:
        copy.builtins[node.op.name] = made.outputs[0]
    return made

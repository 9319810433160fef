"""What to draw: the nodes behind a graph, a program, a model, or a nest of fetches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from graphflow.errors import AttributeValueError, GraphError
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order
from graphflow.ops.declare import Update
from graphflow.optimizer.program import Program
from graphflow.viz.bodies import Part


@dataclass(slots=True)
class Selection:
    """Nodes in an order in which they can run, and what becomes of some of their tensors.

    Attributes:
        name: of the graph.
        nodes: each after everything it reads.
        badges: for tensors that are returned, in what role.
        roles: what parameters of a body are.
        scope: with which the names begin that are shown without it.
        regions: for the nodes of a program that run as one loop with others, the name of that region.
    """

    name: str
    nodes: list[Node]
    badges: dict[Tensor, list[str]] = field(default_factory=dict)
    roles: dict[Node, str] = field(default_factory=dict)
    scope: str = ""
    regions: dict[Node, str] = field(default_factory=dict)


def select(source: Any) -> Selection:
    """The nodes of a Graph, Program or Model, or all that a nest of tensors and Updates needs.

    Raises:
        AttributeValueError: if the source is none of these.
        GraphError: if it mixes graphs.
    """
    if isinstance(source, Program):
        return _of_program(source)
    if isinstance(source, Graph):
        return _of_graph(source)
    fetches = list(_flat(source))
    if not fetches:
        graph = getattr(source, "graph", None)
        if isinstance(graph, Graph):
            return _of_graph(graph)
    return _of_fetches(fetches)


def _of_program(program: Program) -> Selection:
    selection = Selection(program.name, program.order())
    for index, tensor in enumerate(program.fetches):
        selection.badges.setdefault(tensor, []).append(f"output {index}")
    for name, tensor in zip(program.updated, program.updates):
        selection.badges.setdefault(tensor, []).append(f"new {name}")
    selection.regions = {node: region.title for region in program.regions for node in region.nodes}
    return selection


def _of_graph(graph: Graph) -> Selection:
    if not graph.outputs:
        return Selection(graph.name, list(graph.nodes))
    selection = Selection(graph.name, topological_order(graph.outputs))
    for index, tensor in enumerate(graph.outputs):
        selection.badges.setdefault(tensor, []).append(f"output {index}")
    return selection


def of_part(part: Part) -> Selection:
    """The nodes of a node's body, with what its parameters and results are."""
    body = part.body
    selection = Selection(body.name, topological_order(body.outputs))
    scopes = [node.scope for node in selection.nodes if node.op.name not in ("placeholder", "constant")]
    selection.scope = _common_scope(scopes)
    selection.roles = {
        tensor.node: role
        for tensor, role in zip(body.parameters, part.parameters)
        if role and tensor.node.name.replace("_", " ") not in (role, role.rpartition(" ")[0])
    }
    for tensor, role in zip(body.outputs, part.results):
        selection.badges.setdefault(tensor, []).append(role)
    return selection


def _common_scope(scopes: Iterable[str]) -> str:
    """The outer scopes that all of some scopes have, with a slash at the end; "" if there are none."""
    common: list[str] | None = None
    for scope in scopes:
        parts = scope.split("/") if scope else []
        pairs = zip(parts if common is None else common, parts)
        common = [left for left, right in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return "".join(f"{part}/" for part in common or ())


def _of_fetches(fetches: list[Tensor | Update]) -> Selection:
    tensors = [one for one in fetches if isinstance(one, Tensor)]
    assigns = [node for one in fetches if isinstance(one, Update) for node in one.assigns]
    graphs = {id(one.graph): one.graph for one in tensors} | {id(node.graph): node.graph for node in assigns}
    if len(graphs) != 1:
        names = ", ".join(repr(graph.name) for graph in graphs.values()) or "none"
        raise GraphError(
            f"a picture shows one graph, but the fetches are of {names}", hint="draw each by itself"
        )
    (graph,) = graphs.values()
    order = topological_order([*tensors, *(node.inputs[1] for node in assigns)])
    selection = Selection(graph.name, [*order, *dict.fromkeys(assigns)])
    for tensor in dict.fromkeys(tensors):
        selection.badges[tensor] = ["fetched"]
    return selection


def _flat(source: Any) -> Iterable[Tensor | Update]:
    """The tensors and Updates in a nest; those that a model returns, for a model."""
    stack = [source]
    while stack:
        one = stack.pop()
        if isinstance(one, (Tensor, Update)):
            yield one
        elif isinstance(one, Mapping):
            stack.extend(reversed(list(one.values())))
        elif isinstance(one, (list, tuple)):
            stack.extend(reversed(one))
        elif isinstance(getattr(one, "graph", None), Graph):
            outputs = getattr(one, "outputs", None)
            stack.extend(tensor for tensor in _values(outputs) if isinstance(tensor, Tensor))
        else:
            raise AttributeValueError(
                f"{one!r} cannot be drawn",
                hint="pass a Graph, a Program, a Model, or tensors and Updates in lists, tuples and dicts",
            )


def _values(outputs: Any) -> list[Any]:
    if isinstance(outputs, Mapping):
        outputs = outputs.values()
    return list(reversed(list(outputs))) if isinstance(outputs, Iterable) else []

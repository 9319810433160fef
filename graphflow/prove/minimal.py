"""The smallest graph that shows what an edit does: the nodes its rule met, fed with the values they had.

The cut begins at the matched nodes alone and goes further up, to twice the depth each time, until the
optimizer makes the same mistake in what is left; a rule may look beyond its pattern. An edit inside of a
body is cut out of that body, with the values of the step at which the answers part most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphflow.errors import GraphFlowError
from graphflow.ir.attrs import Attrs
from graphflow.ir.body import bodies_of
from graphflow.ir.copying import copy_node
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate, run_body
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.ir.traversal import topological_order
from graphflow.ops.body_calls import body_calls, following
from graphflow.optimizer.closeness import distance
from graphflow.optimizer.journal import Entry, Journal
from graphflow.optimizer.passes.bodies import body_place
from graphflow.optimizer.program import Program, program_of
from graphflow.prove.check import check
from graphflow.prove.counterparts import last_place
from graphflow.prove.reproduction import Settings
from graphflow.prove.subject import Case, Subject

_MOST_CALLS = 1000


@dataclass(frozen=True)
class Minimal:
    """A graph in text form, the arrays it refers to, its inputs, and how many nodes it has."""

    text: str
    arrays: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    nodes: int
    whole: bool

    def __str__(self) -> str:
        if self.whole:
            return f"the whole graph of {self.nodes} nodes; nothing smaller does"
        return f"a graph of {self.nodes} nodes, with the values they had"


@dataclass(frozen=True)
class Place:
    """Where an edit was made: the program, or a body as one, before and after it.

    Attributes:
        good, bad: without and with the edit.
        values: what comes from outside of `good`.
        names: of the nodes the edit removed, as they are called here.
        added: of those it made.
    """

    good: Program
    bad: Program
    values: Mapping[Tensor, Any]
    names: tuple[str, ...]
    added: tuple[str, ...]


def locate(
    subject: Subject, case: Case, good: tuple[Program, Journal], bad: tuple[Program, Journal], entry: Entry
) -> Place:
    """Where an edit was made; the node with the body, if no call of the body shows a difference."""
    place = Place(good[0], bad[0], subject.outside(good[0], case), entry.removed, entry.added)
    path = ""
    while any(":" in name for name in place.names[:1]):
        holder, _, rest = place.names[0].partition(":")
        where = rest.partition("/")[0]
        found = [
            last_place(journal, {node.name: node for node in program.order()}, holder, 0, path)[0]
            for program, journal in ((place.good, good[1]), (place.bad, bad[1]))
        ]
        inner = _inside(place, found[0], found[1], where)
        if inner is None:
            return replace(place, names=(found[0],), added=())
        prefix = f"{holder}:{where}/"
        names, added = (
            tuple([name.removeprefix(prefix) for name in listed]) for listed in (place.names, place.added)
        )
        place, path = replace(inner, names=names, added=added), path + prefix
    return place


def _inside(place: Place, first: str, second: str, where: str) -> Place | None:
    """The body of a node as programs, with the arguments of the call whose results differ most."""
    node, other = (
        next((one for one in program.order() if one.name == name), None)
        for program, name in ((place.good, first), (place.bad, second))
    )
    if node is None or other is None:
        return None
    number = next((n for n in range(len(list(bodies_of(node)))) if body_place(node, n) == where), None)
    if number is None or node.op is not other.op:
        return None
    body, changed = (list(bodies_of(one))[number] for one in (node, other))
    best: tuple[float, list[Any]] | None = None
    calls = body_calls(node, evaluate(node.inputs, place.values))
    made = next(calls, None)
    for _ in range(_MOST_CALLS):
        if made is None:
            break
        results = run_body(made.body, made.arguments)
        if made.number == number:
            apart = _apart(results, run_body(changed, made.arguments))
            if apart > 0 and (best is None or apart > best[0]):
                best = apart, made.arguments
        made = following(calls, results)
    if best is None:
        return None
    program = program_of(body)
    return Place(program, program_of(changed), dict(zip(program.feeds, best[1])), (), ())


def _apart(results: Sequence[Any], changed: Sequence[Any]) -> float:
    found = [distance(left, right) for left, right in zip(results, changed)]
    return max([one.relative if np.isfinite(one.ulps) else np.inf for one in found], default=0.0)


def cut_down(subject: Subject, case: Case, place: Place, settings: Settings) -> Minimal | None:
    """The smallest graph found in which the optimizer changes the answer; None if there is none."""
    here = {node.name: node for node in place.good.order()}
    made = {node.name: node for node in place.bad.order()}
    matched = [here[name] for name in place.names if name in here]
    for name in place.added:
        lineage = made[name].lineage if name in made else None
        matched += [here[each] for each in (lineage[1] if lineage else ()) if each in here]
    seen = 0
    depth = 0
    while matched:
        inner = _grown(matched, depth)
        if len(inner) == seen:
            break
        seen = len(inner)
        found = cut(matched[0].outputs, inner, _evaluator(place.values))
        if _shows(found, settings):
            return found
        depth = 2 * depth or 1
    for tensors, values in (
        (place.good.outputs, place.values),
        ((original := subject.static(case)).outputs, subject.outside(original, case)),
    ):
        found = cut(tensors, None, _evaluator(values))
        if _shows(found, settings):
            return replace(found, whole=True)
    return None


def _grown(matched: Iterable[Node], depth: int) -> set[Node]:
    """The matched nodes, and what is up to so many steps above them."""
    inner = set(matched)
    edge = list(inner)
    for _ in range(depth):
        edge = [tensor.node for node in edge for tensor in node.inputs if tensor.node not in inner]
        if not edge:
            break
        inner.update(edge)
    return inner


Values = Callable[[Sequence[Tensor]], Sequence[np.ndarray]]
"""What gives the values of tensors."""


def _evaluator(values: Mapping[Tensor, Any]) -> Values:
    return lambda tensors: evaluate(tensors, values)


def cut(outputs: Sequence[Tensor], inner: set[Node] | None, values: Values) -> Minimal:
    """The outputs as a graph of the inner nodes; what else these read becomes an input with its value."""
    graph = Graph("minimal")
    copies: dict[Tensor, Tensor] = {}
    fed: list[Tensor] = []
    for node in _needed(outputs, inner):
        outside = "nullary_input" in node.op.traits or (inner is not None and node not in inner)
        if outside and not _is_constant(node):
            for tensor in node.outputs:
                copies[tensor] = _placeholder(graph, tensor)
                fed.append(tensor)
        else:
            copies.update(zip(node.outputs, copy_node(graph, node, copies).outputs))
    graph.outputs = list(dict.fromkeys(copies[tensor] for tensor in outputs))
    read = {tensor for node in graph.nodes for tensor in node.inputs} | set(graph.outputs)
    used = [tensor for tensor in fed if copies[tensor] in read]
    inputs = {copies[tensor].node.name: array for tensor, array in zip(used, values(used))}
    arrays: dict[str, np.ndarray] = {}
    text = print_graph(graph, arrays, folders=False)
    return Minimal(text, arrays, inputs, len(graph.nodes), inner is None)


def _needed(outputs: Sequence[Tensor], inner: set[Node] | None) -> list[Node]:
    """The nodes of the cut in order: the inner ones, and those they read."""
    if inner is None:
        return topological_order(outputs)

    def stops(tensor: Tensor) -> bool:
        return tensor.node not in inner and not _is_constant(tensor.node)

    found = topological_order(outputs, stop=stops)
    listed = set(found)
    reads = [tensor.node for node in found for tensor in node.inputs if tensor.node not in listed]
    return [*dict.fromkeys(reads), *found]


def _is_constant(node: Node) -> bool:
    """Whether it is a constant, or one that is broadcast."""
    if node.op.name == "broadcast_to":
        node = node.inputs[0].node
    return node.op.name == "constant"


def _placeholder(graph: Graph, tensor: Tensor) -> Tensor:
    node = tensor.node
    name = node.name if len(node.outputs) == 1 else f"{node.name}.{tensor.index}"
    attrs = Attrs(dtype=tensor.dtype, shape=tensor.shape)
    made = graph.add(registry["placeholder"], (), attrs, (tensor.type,), graph.unique_name(name), node.origin)
    graph.placeholders[made.name] = made.outputs[0]
    return made.outputs[0]


def _shows(minimal: Minimal, settings: Settings) -> bool:
    """Whether the optimizer changes what the graph computes, asked as the written test asks it."""
    try:
        found = check(
            parse_graph(minimal.text, minimal.arrays),
            minimal.inputs,
            [settings.level],
            [settings.backend],
            rules=settings.rules,
            exact=settings.exact,
        )
    except GraphFlowError:
        return False
    return any(row.parting is not None for row in found.rows if row.level == settings.level)

"""A Program: the private copy of what a run needs, in a form that backends compile.

`extract` cuts the cone of the fetches and updates out of the user's graph. What is fed becomes a
placeholder there, the training flag a constant, and an update the new value of a variable, so that
a program is a pure function

    (variables, feeds) -> (fetches, new values of the updated variables)

and everything that edits it needs to know its outputs only. `specialize` replaces symbolic sizes
once the feeds tell them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphflow.ir.attrs import Attrs, read_only
from graphflow.ir.body import Body
from graphflow.ir.collector import paused_collector
from graphflow.ir.copying import copy_constraints, copy_node, copy_nodes
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.ir.traversal import topological_order
from graphflow.optimizer.analysis.regions import Region


class Program(Graph):
    """A graph with ordered inputs and outputs.

    Attributes:
        feeds: the placeholders, in the order in which values are passed.
        fetch_count: how many of `outputs` are fetches; the rest are new values of variables.
        updated: names of the variables that `outputs[fetch_count:]` update, in order.
        steady: names of variables it does not update, of which the target computes what is made of
            them alone once for many runs; see `graphflow.optimizer.preparation`.
        regions: the groups of nodes that run as one loop, as the pass `fuse` finds them; an edit by a
            later pass empties it.
        schedule: the order of running that the pass `schedule` chose, () if none did; edits and other
            outputs empty it.
    """

    def __init__(self, name: str = "program") -> None:
        super().__init__(name)
        self.feeds: list[Tensor] = []
        self.fetch_count = 0
        self.updated: list[str] = []
        self.steady: frozenset[str] = frozenset()
        self.regions: tuple[Region, ...] = ()
        self.in_arena = False
        self._schedule: tuple[Node, ...] = ()
        self._scheduled: list[Tensor] = []

    @property
    def schedule(self) -> tuple[Node, ...]:
        """The order that was chosen for the outputs as they are, or ()."""
        return self._schedule if self._scheduled == self.outputs else ()

    @schedule.setter
    def schedule(self, nodes: Sequence[Node]) -> None:
        self._schedule, self._scheduled = tuple(nodes), list(self.outputs)

    @property
    def fetches(self) -> list[Tensor]:
        """The fetched tensors."""
        return self.outputs[: self.fetch_count]

    @property
    def updates(self) -> list[Tensor]:
        """The new values of the variables named in `updated`."""
        return self.outputs[self.fetch_count :]

    def order(self) -> list[Node]:
        """The nodes that the outputs need, in the order that was chosen, or one in which they can run."""
        return list(self.schedule) or topological_order(self.outputs)


@paused_collector()
def extract(
    fetches: Sequence[Tensor],
    updates: Sequence[Node] = (),
    feeds: Sequence[Tensor] = (),
    training: bool | None = None,
    name: str | None = None,
) -> Program:
    """Copy what the fetches and updates need into a Program.

    Arguments:
        fetches: tensors to return.
        updates: `assign` nodes to apply.
        feeds: tensors whose values are passed in; what lies above them is left out.
        training: the value of the training flag; None leaves the flag an input.
        name: of the program; that of the graph by default.
    """
    values = [node.inputs[1] for node in updates]
    fed = set(feeds)
    source = next((tensor.graph for tensor in (*fetches, *values)), None)
    program = Program(name or (source.name if source else "empty"))
    copies: dict[Tensor, Tensor] = {}
    needed = topological_order([*fetches, *values], stop=fed.__contains__)
    for node in needed:
        # First of all: a session finds variables by name, so no other copy may take it.
        if node.op.name == "variable":
            copies.update(zip(node.outputs, copy_node(program, node, copies).outputs))
    for tensor in feeds:
        copies[tensor] = placeholder_for(program, tensor)
        program.feeds.append(copies[tensor])
    for node in needed:
        if node.op.name == "variable":
            continue
        if training is not None and node.op.name == "training_flag":
            copy = _constant(program, node, np.asarray(training))
        else:
            copy = copy_node(program, node, copies)
        for old, new in zip(node.outputs, copy.outputs):
            copies.setdefault(old, new)
    program.outputs = [copies[tensor] for tensor in [*fetches, *values]]
    program.fetch_count = len(fetches)
    program.updated = [node.inputs[0].node.name for node in updates]
    if source is not None:
        program.constraints = list(source.constraints)
    return program


@paused_collector()
def specialize(
    program: Program, sizes: Mapping[str, int], values: Mapping[str, np.ndarray] | None = None
) -> Program:
    """A copy of the program with symbolic sizes replaced by their values.

    Arguments:
        values: arrays for variables by name, which become constants.
    """
    result = Program(program.name)
    copies: dict[Tensor, Tensor] = {}
    for node in program.nodes if values else ():
        if node.op.name == "variable" and values is not None and node.name in values:
            copies[node.output] = _constant(result, node, np.asarray(values[node.name])).output
    for tensor in program.feeds:
        node = copy_node(result, tensor.node, copies, sizes)
        copies[tensor] = node.outputs[0]
        result.feeds.append(node.outputs[0])
    copy_nodes(result, topological_order(program.outputs, stop=copies.__contains__), copies, sizes)
    result.outputs = [copies[tensor] for tensor in program.outputs]
    result.fetch_count = program.fetch_count
    result.updated = list(program.updated)
    result.regions = tuple([region.copied(copies) for region in program.regions])
    result.in_arena = program.in_arena
    result.steady = program.steady - set(values or ())
    if program.schedule:
        # A node may have become several, which then run right before the first that reads them.
        ends = [copies[node.outputs[0]] for node in program.schedule]
        needed = set(topological_order(result.outputs))
        result.schedule = [node for node in topological_order(ends) if node in needed]
    return result


@paused_collector()
def program_of(body: Body, constants: Mapping[int, Node] | None = None) -> Program:
    """A body as a program of its own: its parameters are the feeds.

    Arguments:
        constants: by the numbers of parameters, constants that are read in their place.
    """
    program = Program(body.name)
    copies: dict[Tensor, Tensor] = {}
    order, count = body.order(), len(body.placeholders)
    copy_nodes(program, order[:count], copies)
    program.feeds = [copies[tensor] for tensor in body.parameters]
    for number, maker in (constants or {}).items():
        copies[body.parameters[number]] = copy_node(program, maker, {}).outputs[0]
    copy_nodes(program, order[count:], copies)
    program.outputs = [copies[tensor] for tensor in body.outputs]
    program.fetch_count = len(program.outputs)
    program.constraints = copy_constraints(body.constraints, copies)
    return program


@paused_collector()
def body_of(program: Program) -> Body:
    """The body that a program made by `program_of` has become."""
    body = Body(program.name)
    copies: dict[Tensor, Tensor] = {}
    copy_nodes(body, [tensor.node for tensor in program.feeds], copies)
    copy_nodes(body, topological_order(program.outputs, stop=copies.__contains__), copies)
    body.outputs = [copies[tensor] for tensor in program.outputs]
    body.constraints = copy_constraints(program.constraints, copies)
    return body.seal()


def placeholder_for(program: Program, tensor: Tensor) -> Tensor:
    """A placeholder in a program for what a tensor of another graph is."""
    node = tensor.node
    attrs = Attrs(dtype=tensor.dtype, shape=tensor.shape)
    copy = program.add(
        registry["placeholder"],
        (),
        attrs,
        (tensor.type,),
        program.unique_name(node.name),
        node.origin,
        node.lineage,
    )
    program.placeholders[copy.name] = copy.outputs[0]
    return copy.outputs[0]


def _constant(program: Program, node: Node, value: np.ndarray) -> Node:
    attrs = Attrs(value=read_only(value))
    return program.add(
        registry["constant"], (), attrs, [node.outputs[0].type], program.unique_name(node.name), node.origin
    )

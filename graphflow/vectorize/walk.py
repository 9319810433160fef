"""The walk: the batched counterpart of a graph, node by node, from what is known of its inputs.

A node that reads nothing batched is copied as it is; the others are handed to their operator's rule. What
has no rule is expanded into simpler operators where that is possible, else it becomes a loop. Functions
with a gradient of their own keep it: the gradient of the batched computation is the batched gradient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.errors import GraphFlowError
from graphflow.ir.body import Body
from graphflow.ir.builder import Builder
from graphflow.ir.collector import paused_collector
from graphflow.ir.copying import copy_node
from graphflow.ir.dims import Size
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.vectorize.fallback import loop
from graphflow.vectorize.rule import Batch, Operand, rule_of


class Walk:
    """One graph becoming batched.

    Arguments:
        batch: where the batched computation goes.
        graph: the graph of one example: an open or closed body, or the very graph that is built in.
        known: what stands for tensors of it, its parameters at least.
    """

    def __init__(self, batch: Batch, graph: Graph, known: Mapping[Tensor, Operand]) -> None:
        self.batch = batch
        self.graph = graph
        self.known = dict(known)
        self.assumed: dict[Node, list[tuple[Size, Size]]] = {}
        for left, right, node in graph.constraints if graph is not batch.builder.graph else ():
            self.assumed.setdefault(node, []).append((left, right))

    def run(self, outputs: Sequence[Tensor]) -> list[Operand]:
        """What stands for these tensors; built where it is not known yet."""
        with building(self.batch.builder), paused_collector():
            for node in self._order(outputs):
                self._step(node)
        return [self.known[tensor] for tensor in outputs]

    def _order(self, outputs: Sequence[Tensor]) -> list[Node]:
        """The nodes above the outputs of which nothing is known; also what custom gradients lead to."""
        customs, known = self.graph.custom_gradients, self.known
        found = fresh = ancestors(outputs, stop=known.__contains__)
        while customs and fresh:
            reads = [tensor for node in fresh if node in customs for tensor in customs[node].reads]
            fresh = ancestors(reads, stop=known.__contains__) - found
            found = found | fresh
        return creation_order(found)

    def _step(self, node: Node) -> None:
        if all(tensor in self.known for tensor in node.outputs) and node.outputs:
            return
        builder, custom = self.batch.builder, self.graph.custom_gradients.get(node)
        here = builder.graph is self.graph
        if node.op.name == "placeholder" and not here:
            self.known[node.outputs[0]] = self._captured(node.outputs[0])
            return
        operands = [self.known[tensor] for tensor in node.inputs]
        reads = [] if custom is None else [self.known[tensor] for tensor in custom.reads]
        shared = not any([operand.batched for operand in (*operands, *reads)])
        if shared and (custom is None or here):
            self.known.update(zip(node.outputs, self._copied(node), strict=True))
            return
        scope, slash, _ = node.name.rpartition("/")
        builder.origin, builder.graph.scope = node.origin, scope + slash
        if custom is not None:
            self.known.update(zip(custom.outputs, self._custom(custom), strict=True))
        else:
            self.known.update(zip(node.outputs, batched(self.batch, node, operands), strict=True))

    def _captured(self, parameter: Tensor) -> Operand:
        """What an open body took from around it since the walk began."""
        assert isinstance(self.graph, Body)
        return Operand(self.batch.builder.graph.bring(self.graph.outside[parameter]), False)

    def _copied(self, node: Node) -> list[Operand]:
        """The outputs of a node that is the same for all examples."""
        target = self.batch.builder.graph
        if target is self.graph:
            return [Operand(tensor, False) for tensor in node.outputs]
        target.scope = ""
        copy = copy_node(target, node, {tensor: self.known[tensor].tensor for tensor in node.inputs})
        target.constraints += [(left, right, copy) for left, right in self.assumed.get(node, ())]
        return [Operand(tensor, False) for tensor in copy.outputs]

    # Functions with a gradient of their own

    def _custom(self, custom: Any) -> list[Operand]:
        """The outputs of such a function, which ends in a new one in the batched computation."""
        builder = self.batch.builder
        ends = [self.known[tensor.node.inputs[0]] for tensor in custom.outputs]
        made = [
            Operand(builder.identity(end.tensor, name=tensor.node.name.rpartition("/")[2]), end.batched)
            for tensor, end in zip(custom.outputs, ends)
        ]

        def function(*cotangents: Tensor | None) -> Sequence[Any]:
            return self._pulled(custom, made, cotangents)

        new = dataclasses.replace(
            custom,
            function=function,
            inputs=tuple([self.known[tensor].tensor for tensor in custom.inputs]),
            outputs=tuple([operand.tensor for operand in made]),
            captured=tuple([self.known[tensor].tensor for tensor in custom.captured]),
        )
        builder.graph.custom_gradients.update((operand.tensor.node, new) for operand in made)
        return made

    def _pulled(
        self, custom: Any, outputs: Sequence[Operand], cotangents: Sequence[Tensor | None]
    ) -> Sequence[Any]:
        """The cotangents of the inputs, made by the function of one example and then batched."""
        graph, known = self.graph, dict(self.known)
        if isinstance(graph, Body):
            graph.shut = False
        inner = Builder(graph, self.batch.builder.origin)
        given: list[Tensor | None] = []
        for tensor, output, cotangent in zip(custom.outputs, outputs, cotangents):
            if cotangent is not None:
                stand_in = inner.identity(inner.full_like(0, tensor))
                known[stand_in] = Operand(cotangent, output.batched)
                cotangent = stand_in
            given.append(cotangent)
        with graph:
            made = custom.function(*given)
        parts = list(made) if isinstance(made, (list, tuple)) else [made]
        if made is None or len(parts) != len(custom.inputs):
            return parts if made is not None else ()
        tensors = [None if part is None else inner.tensor(part) for part in parts]
        batch = Batch(Builder(self.batch.builder.graph, inner.origin), self.batch.size, {})
        walk = Walk(batch, graph, known)
        walk.run([tensor for tensor in tensors if tensor is not None])
        return [
            None if tensor is None else _as_cotangent(batch, walk.known[tensor], self.known[source].batched)
            for tensor, source in zip(tensors, custom.inputs)
        ]


def _as_cotangent(batch: Batch, found: Operand, batched: bool) -> Tensor:
    """A cotangent of an input: for one that all examples share, the sum of theirs."""
    if batched:
        return batch.front(found)
    return batch.builder.sum(found.tensor, axis=0) if found.batched else found.tensor


@contextmanager
def building(builder: Builder) -> Iterator[None]:
    """Let the graph of the builder be the current one, and leave its scope and the line as they are."""
    graph, origin, scope = builder.graph, builder.origin, builder.graph.scope
    try:
        with graph:
            yield
    finally:
        builder.origin, graph.scope = origin, scope


def batched(batch: Batch, node: Node, operands: Sequence[Operand]) -> list[Operand]:
    """The outputs of a node of which an operand is batched."""
    rule = rule_of(node.op)
    try:
        if rule is None and node.op.decompose is not None:
            return expanded(batch, node, *operands)
        made = (rule or loop)(batch, node, *operands)
    except GraphFlowError as error:
        raise error.located(origin=node.origin) from None
    several = made if isinstance(made, (tuple, list)) else () if made is None else (made,)
    return [one if isinstance(one, Operand) else Operand(one, True) for one in several]


def expanded(batch: Batch, node: Node, *operands: Operand) -> list[Operand]:
    """The outputs of a node by way of its decomposition."""
    simpler = Body(node.op.name)
    parameters = [simpler.parameter(tensor.type, "x") for tensor in node.inputs]
    kinds = [tensor.type for tensor in node.outputs]
    whole = simpler.add(node.op, tuple(parameters), node.attrs, kinds, node.name, node.origin)
    assert node.op.decompose is not None
    outputs = node.op.decompose(Builder(simpler, node.origin), whole)
    found = Walk(batch, simpler, dict(zip(parameters, operands))).run(outputs)
    return [Operand(batch.front(one), True) for one in found]


# Bodies


def inlined(batch: Batch, body: Body, operands: Sequence[Operand]) -> list[Operand]:
    """What a body makes of these operands, built in the place of the node that has it."""
    graph, parameters, outputs = source_of(body)
    return Walk(batch, graph, dict(zip(parameters, operands, strict=True))).run(outputs)


def opened(batch: Batch, body: Body, flags: Sequence[bool]) -> Batched:
    """The body of a loop or branch with some of its parameters batched, still open."""
    graph, parameters, outputs = source_of(body)
    wide = Body(body.name, outer=batch.builder.graph, repeats=body.repeats)
    wide.scope = ""
    inner = [
        wide.parameter(batch.type_of(tensor.type, flag), tensor.node.name, tensor.node.origin)
        for tensor, flag in zip(parameters, flags, strict=True)
    ]
    known = {tensor: Operand(new, flag) for tensor, new, flag in zip(parameters, inner, flags)}
    within = Batch(Builder(wide), batch.size, batch.looped)
    return Batched(within, wide, inner, Walk(within, graph, known).run(outputs))


@dataclasses.dataclass(frozen=True, slots=True)
class Batched:
    """An open body of the batched computation.

    batch: to build in it; body: it; parameters: those that stand for the parameters of the body it is
    made of; results: what stands for its outputs.
    """

    batch: Batch
    body: Body
    parameters: list[Tensor]
    results: list[Operand]

    def fronted(self, flags: Sequence[bool]) -> list[Tensor]:
        """The results, with a batch axis where the flag says so."""
        with building(self.batch.builder):
            return [
                self.batch.front(result) if flag else result.tensor
                for result, flag in zip(self.results, flags, strict=True)
            ]


def source_of(body: Body) -> tuple[Graph, Sequence[Tensor], Sequence[Tensor]]:
    """The graph of a body with the custom gradients in it, its parameters and its outputs."""
    if body.source is not None:
        return body.source.body, body.source.parameters, body.source.outputs
    return body, body.parameters, body.outputs


def along(
    builder: Builder, outputs: Sequence[Tensor], given: Mapping[Tensor, Tensor], size: Size
) -> list[Tensor]:
    """Tensors of the graph under construction for many values of some tensor above them.

    Arguments:
        outputs: tensors of the builder's graph.
        given: for tensors that they depend on, `size` values along a new first axis.

    Returns:
        the outputs for all of these values, along a new first axis.
    """
    batch = Batch(builder, size, {})
    known = {tensor: Operand(values, True) for tensor, values in given.items()}
    found = Walk(batch, builder.graph, known).run(outputs)
    return [batch.front(one) for one in found]

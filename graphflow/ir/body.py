"""Bodies: graphs that are attributes of nodes, as the branches of a choice or the step of a loop.

A body is a pure function: its placeholders, in order, are the parameters, and its outputs the results.
While the user's function runs it is *open*: it knows the graph around it, and a tensor from there that
the function reads is *captured*, that is, becomes a further parameter. `close` gives the frozen,
self-contained form that a node carries; two such with the same structure are equal as attributes,
whatever the names in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import GraphError
from graphflow.ir import provenance
from graphflow.ir.attrs import Attrs
from graphflow.ir.copying import copy_constraints, copy_node, copy_nodes
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int32
from graphflow.ir.graph import Graph, describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ir.provenance import Origin
from graphflow.ir.traversal import topological_order
from graphflow.ir.types import TensorType

COPIED_BYTES = 4096
"""A captured constant up to this size is copied into the body, where it can be folded."""


@dataclass(frozen=True, slots=True)
class Source:
    """The open body that a closed one was made from, and which of its tensors were chosen.

    Functions with a gradient of their own hold tensors of the open body, so it is the one to differentiate.
    """

    body: Body
    parameters: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Body(Graph):
    """A graph with parameters and outputs, used as an attribute.

    Attributes:
        outer: the graph around it while it is open, else None.
        captures: what stands in it for each outer tensor that was captured, in order; empty once closed.
        outside: the other way round.
        repeats: whether it is run many times by one node, as the body of a loop.
        iteration: the parameter that counts those runs, if something in it asked for one.
        shut: whether the function that built it has ended, so that nothing may be added.
        source: of a closed body, the open one with the custom gradients in it, if there are any.
    """

    def __init__(self, name: str = "body", outer: Graph | None = None, repeats: bool = False) -> None:
        super().__init__(name)
        self.outer = outer
        self.captures: dict[Tensor, Tensor] = {}
        self.outside: dict[Tensor, Tensor] = {}
        self.repeats = repeats
        self.iteration: Tensor | None = None
        self.source: Source | None = None
        self.shut = False
        self._key: tuple | None = None
        self.plan: Any = None  # how the interpreter runs it, made on first use
        if outer is not None:
            self.bounded = outer.bounded
            self.scope = outer.scope

    # Building

    def parameter(self, kind: TensorType, name: str, origin: Origin | None = None) -> Tensor:
        """A further parameter."""
        scope, self.scope = self.scope, ""
        attrs = Attrs(dtype=kind.dtype, shape=kind.shape)
        unique = self.unique_name(name.replace("/", "."))
        node = super().add(
            registry["placeholder"], (), attrs, (kind,), unique, origin or provenance.capture()
        )
        self.scope = scope
        self.placeholders[node.name] = node.outputs[0]
        return node.outputs[0]

    def add(
        self,
        op: OpDef,
        inputs: tuple[Tensor, ...],
        attrs: Attrs,
        types: Sequence[TensorType],
        name: str,
        origin: Origin | None,
        lineage: tuple[str, tuple[str, ...]] | None = None,
    ) -> Node:
        """Append a node; updates are refused, as a body is a pure function."""
        if self.shut and not self.frozen:
            raise GraphError(
                f"{op.name} is applied outside of {self.name!r} to what was made inside of it",
                hint="return it from the function, and use what the loop or branch gives",
                operands=describe(inputs),
            ).located(origin=origin)
        if "effect" in op.traits:
            raise GraphError(
                f"{op.name} inside {self.name!r} would change a variable, but a body is a pure function",
                hint="return the new value from the body, and use gf.assign on what the loop or branch gives",
                operands=describe(inputs),
            ).located(origin=origin)
        return super().add(op, inputs, attrs, types, name, origin, lineage)

    def bring(self, tensor: Tensor) -> Tensor:
        """The tensor of this body that stands for one of this body, or of a graph around it.

        Raises:
            GraphError: if the tensor belongs to another graph.
        """
        owner = tensor.node.graph
        if owner is self:
            return tensor
        path: list[Body] = []
        around: Graph | None = self
        while isinstance(around, Body) and around is not owner:
            path.append(around)
            around = around.outer
        if around is not owner:
            return super().bring(tensor)
        for body in reversed(path):
            tensor = body._capture(tensor)
        return tensor

    def _capture(self, tensor: Tensor) -> Tensor:
        found = self.captures.get(tensor)
        if found is None:
            node = tensor.node
            if node.op.name == "constant" and node.attrs["value"].nbytes <= COPIED_BYTES:
                found = copy_node(self, node, {}).outputs[0]
            else:
                found = self.parameter(tensor.type, node.name.rpartition("/")[2], node.origin)
            self.captures[tensor] = found
            self.outside[found] = tensor
        return found

    def count(self) -> Tensor:
        """The number of the step, an int32 scalar parameter that the loop is going to supply."""
        if self.iteration is None:
            self.iteration = self.parameter(TensorType(int32, ()), "step")
        return self.iteration

    def captured(self) -> tuple[list[Tensor], list[Tensor]]:
        """The captured outer tensors that became parameters, and those parameters."""
        pairs = [(old, new) for old, new in self.captures.items() if new.node.op.name == "placeholder"]
        return [old for old, _ in pairs], [new for _, new in pairs]

    def close(self, outputs: Sequence[Tensor], parameters: Sequence[Tensor] | None = None) -> Body:
        """The frozen form, with what the outputs need.

        Arguments:
            outputs: the results, tensors of this body.
            parameters: the parameters, in the order they are to have; those there are, by default.
        """
        closed = Body(self.name, repeats=self.repeats)
        copies: dict[Tensor, Tensor] = {}
        listed = self.parameters if parameters is None else parameters
        copy_nodes(closed, [tensor.node for tensor in listed], copies)
        copy_nodes(closed, topological_order(outputs, stop=copies.__contains__), copies)
        closed.outputs = [copies[tensor] for tensor in outputs]
        closed.constraints = copy_constraints(self.constraints, copies)
        if self.custom_gradients or any(inner.source for node in closed.nodes for inner in bodies_of(node)):
            closed.source = Source(self, tuple(listed), tuple(outputs))
        self.shut = self.outer is not None
        return closed.seal()

    def seal(self) -> Body:
        """Freeze this body, which has all it needs."""
        self._frozen_at = self._frozen_at or provenance.capture()
        return self

    # Reading

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters, in order."""
        return list(self.placeholders.values())

    @property
    def parameter_types(self) -> list[TensorType]:
        """The types of the parameters."""
        return [tensor.type for tensor in self.placeholders.values()]

    @property
    def output_types(self) -> list[TensorType]:
        """The types of the results."""
        return [tensor.type for tensor in self.outputs]

    def order(self) -> list[Node]:
        """The parameters, then what the outputs need, in an order in which it can run."""
        parameters = [tensor.node for tensor in self.parameters]
        known = set(self.parameters)
        return parameters + topological_order(self.outputs, stop=known.__contains__)

    def attribute_key(self) -> tuple:
        """What tells closed bodies apart: their structure, not their names."""
        if self._key is None:
            number: dict[Tensor, int] = {}
            rows: list[tuple] = []
            for node in self.order():
                reads = tuple([number[tensor] for tensor in node.inputs])
                rows.append((node.op, reads, node.attrs.key))
                for tensor in node.outputs:
                    number[tensor] = len(number)
            key = ("body", tuple(rows), tuple([number[tensor] for tensor in self.outputs]))
            if not self.frozen:
                return key
            self._key = key
        return self._key

    def substitute(self, sizes: Mapping[str, Size]) -> Body:
        """This body with symbolic sizes replaced by their values."""
        made = Body(self.name, repeats=self.repeats)
        copies: dict[Tensor, Tensor] = {}
        copy_nodes(made, self.order(), copies, sizes)
        made.outputs = [copies[tensor] for tensor in self.outputs]
        return made.seal()

    def inline(self, target: Graph, operands: Sequence[Tensor]) -> list[Tensor]:
        """Copy what this body computes into `target`, from `operands` there; the outputs' copies."""
        copies = dict(zip(self.parameters, operands, strict=True))
        copy_nodes(target, topological_order(self.outputs, stop=copies.__contains__), copies)
        target.constraints += copy_constraints(self.constraints, copies)
        return [copies[tensor] for tensor in self.outputs]

    def replay(self, b: Any, operands: Sequence[Tensor]) -> list[Tensor]:
        """Build what this body computes from operands by a Builder, as the optimizer has to; the results.

        Unlike `inline` it leaves the constraints of the body to the node that had it.
        """
        copies = dict(zip(self.parameters, operands, strict=True))
        for node in self.order()[len(copies) :]:
            inputs = tuple([copies[tensor] for tensor in node.inputs])
            made = b.make(node.op, inputs, node.attrs, [tensor.type for tensor in node.outputs], node.name)
            copies.update(zip(node.outputs, made.outputs))
        return [copies[tensor] for tensor in self.outputs]

    def restricted(self, outputs: Iterable[int], parameters: Iterable[int] | None = None) -> Body:
        """This body with some of its outputs, and some of its parameters, by their numbers."""
        whole, results = self.parameters, self.outputs
        chosen = whole if parameters is None else [whole[index] for index in parameters]
        return self.close([results[index] for index in outputs], chosen)

    def __repr__(self) -> str:
        taken = ", ".join(map(str, self.parameter_types))
        given = ", ".join(map(str, self.output_types))
        return f"<body {self.name!r}: ({taken}) -> ({given}), {len(self.nodes)} nodes>"


def bodies_of(node: Node) -> Iterator[Body]:
    """The bodies among the attributes of a node, directly or in a tuple."""
    for value in node.attrs.values():
        if isinstance(value, Body):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Body):
                    yield item


def has_bodies(node: Node) -> bool:
    """Whether there is a body among the attributes of a node; cheaper than to ask `bodies_of` for one."""
    for value in node.attrs.values():
        if isinstance(value, Body):
            return True
        if type(value) is tuple:
            for item in value:
                if isinstance(item, Body):
                    return True
    return False


def nested_nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes, and those of all bodies below them."""
    pending = list(nodes)
    pending.reverse()
    while pending:
        node = pending.pop()
        yield node
        for body in bodies_of(node):
            pending.extend(reversed(body.order()))


def map_bodies(attrs: Attrs, change: Callable[[Body], Body]) -> Attrs:
    """The attributes with every body replaced by what `change` makes of it."""

    def changed(value: Any) -> Any:
        if isinstance(value, Body):
            return change(value)
        if isinstance(value, tuple) and any(isinstance(item, Body) for item in value):
            return tuple(map(changed, value))
        return value

    return Attrs({name: changed(value) for name, value in attrs.items()})

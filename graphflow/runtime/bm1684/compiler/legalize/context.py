"""From the nodes of a program to layers: values with four axes, and a table of what operators become.

Every operator that the chip can do has one function here, which looks at a node and adds layers, or says why
it cannot. All refusals of a program are collected, so that a user sees them at once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphflow.errors import BackendError
from graphflow.ir.interpret import run_node
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.program import Program
from graphflow.runtime.bm1684.compiler.layers.layer import Layer
from graphflow.runtime.bm1684.compiler.legalize.heads import Heads, find_heads, turned_ahead
from graphflow.runtime.bm1684.compiler.legalize.hidden import Hidden, find_hidden
from graphflow.runtime.bm1684.compiler.tensors import Value, elements
from graphflow.runtime.bm1684.isa import Shape

FEW_ROWS = 16
"""A matrix of fewer rows has them as its batch and its columns on the lanes; one of more its rows."""


class Refused(BackendError):
    """Why a node cannot run on the chip, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node that cannot run on the chip."""

    node: Node
    reason: str
    hint: str


Legalize = Callable[["Legalizer", Node], None]
LEGAL: dict[str, Legalize] = {}
"""By the name of an operator what adds its layers."""

TRUTHS: set[str] = set()
"""Operators that may give bool: it is 1.0 or 0.0 on the chip."""

REASONS: dict[str, tuple[str, str]] = {}
"""By the name of an operator why the chip cannot run it, and what to do."""


def legal(*operators: str) -> Callable[[Legalize], Legalize]:
    """Register a function as what the nodes of these operators become."""

    def register(function: Legalize) -> Legalize:
        LEGAL.update(dict.fromkeys(operators, function))
        return function

    return register


def chip_shape(shape: Sequence[int]) -> Shape:
    """The four axes of a tensor of any rank, where nothing says otherwise.

    >>> chip_shape((2, 197, 768)), chip_shape((1, 1000)), chip_shape((2, 3, 4, 5, 6))
    (Shape(n=2, c=197, h=1, w=768), Shape(n=1, c=1000, h=1, w=1), Shape(n=6, c=4, h=5, w=6))
    """
    sizes = [int(size) for size in shape]
    if len(sizes) <= 1:
        return Shape(1, *sizes) if sizes else Shape()
    if len(sizes) == 2:
        return Shape(*sizes) if sizes[0] < FEW_ROWS else Shape(1, sizes[0], 1, sizes[1])
    if len(sizes) == 3:
        return Shape(sizes[0], sizes[1], 1, sizes[2])
    return Shape(int(np.prod(sizes[:-3])), *sizes[-3:])


@dataclass(slots=True)
class Legalizer:
    """The layers of a program as they are made.

    Attributes:
        values: of each tensor the value that it was computed as.
        constants: of each constant tensor its data.
        layers: in an order in which each comes after what it reads.
        refusals: what cannot be done.
        aliases, places: of each value its other sizes, and the place of the layer that computes it.
        uses: how often each tensor is read.
        heads: factors of products that are read where they lie, as heads of attention.
        turned: of values with rows on the lanes those with features there.
        hidden: nodes that are computed with features on the lanes.
        added: of tensors that are added there the values with features on the lanes.
    """

    values: dict[Tensor, Value] = field(default_factory=dict)
    constants: dict[Tensor, np.ndarray] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    aliases: dict[tuple[Value, Shape], Value] = field(default_factory=dict)
    places: dict[Value, int] = field(default_factory=dict)
    uses: Counter[Tensor] = field(default_factory=Counter)
    heads: dict[Tensor, Heads] = field(default_factory=dict)
    turned: dict[Value, Value] = field(default_factory=dict)
    hidden: Hidden = field(default_factory=lambda: Hidden({}, set(), {}))
    added: dict[Tensor, Value] = field(default_factory=dict)

    def constant(self, tensor: Tensor) -> np.ndarray | None:
        """The data of a tensor if it is constant."""
        return self.constants.get(tensor)

    def value(self, tensor: Tensor, shape: Shape | None = None) -> Value:
        """The value of a tensor: as it was computed, or the same bytes with other sizes.

        A constant is put into DDR. Sizes other than those it was computed with force it through DDR.
        """
        if tensor not in self.values:
            data = self.constants[tensor]
            self.values[tensor] = Value(
                tensor.name, chip_shape(data.shape), np.ascontiguousarray(data, np.float32)
            )
        made = self.values[tensor]
        return made if shape is None or shape == made.shape else self.alias(made, shape)

    def alias(self, value: Value, shape: Shape) -> Value:
        """The same bytes of DDR with other sizes."""
        assert elements(value.shape) == elements(shape)
        key = (value.root, shape)
        if value.root.shape == shape:
            return value.root
        if key not in self.aliases:
            self.aliases[key] = Value(value.name, shape, alias=value.root)
        return self.aliases[key]

    def output(self, tensor: Tensor, shape: Shape | None = None) -> Value:
        """A new value for what a node computes."""
        made = Value(tensor.name, chip_shape(sizes(tensor)) if shape is None else shape)
        self.values[tensor] = made
        return made

    def inner(self, name: str, shape: Shape) -> Value:
        """A new value between the layers of one node."""
        return Value(name, shape)

    def same(self, tensor: Tensor, value: Value) -> None:
        """Let a tensor be a value that is there already: a reshape, an identity."""
        self.values[tensor] = value

    def add(self, layer: Layer) -> None:
        """The next layer."""
        self.places[layer.output] = len(self.layers)
        self.layers.append(layer)

    def maker(self, tensor: Tensor) -> Layer | None:
        """The layer that computes a tensor which nothing but the node at hand reads; else None."""
        place = self.places.get(self.values[tensor]) if tensor in self.values else None
        return None if place is None or self.uses[tensor] != 1 else self.layers[place]

    def extend(self, layer: Layer, node: Node, **changes: Any) -> None:
        """Let a layer do a node's work too: it is changed, and computes the node's output."""
        place = self.places.pop(layer.output)
        made = self.output(node.output, layer.output.shape)
        names = (*layer.nodes, node.name)
        self.layers[place] = dataclasses.replace(layer, output=made, nodes=names, **changes)
        self.places[made] = place

    def run(self, program: Program) -> None:
        """Add the layers of all nodes; what cannot be done goes to `refusals`."""
        for tensor in program.feeds:
            self.output(tensor)
        order = program.order()
        self.uses.update(tensor for node in order for tensor in node.inputs)
        self.uses.update(program.outputs)
        computed = [node for node in order if not self._is_known(node)]
        self.heads.update(find_heads(order, self.uses, self.constants))
        self.hidden = find_hidden(order, self.uses, self.constants)
        taken = {node for heads in self.heads.values() for node in heads.nodes}
        for node in computed:
            if node.op.name != "placeholder" and node not in taken:
                self._node(node)
        self.layers = turned_ahead(self.layers, self.turned)
        for tensor in program.outputs:
            if tensor.dtype.name == "bool":
                hint = "fetch gf.astype(it, 'float32'), which is 1.0 and 0.0"
                self.refusals.append(Refusal(tensor.node, f"{tensor.name} is fetched as bool", hint))

    def _is_known(self, node: Node) -> bool:
        """Whether a node is constant, or computed from constants alone, which is done here."""
        if "nullary_input" in node.op.traits or any(one not in self.constants for one in node.inputs):
            return False
        if node.op.name == "constant":
            self.constants[node.output] = np.asarray(node.attrs["value"])
        else:
            self.constants.update(zip(node.outputs, run_node(node, [self.constants[x] for x in node.inputs])))
        return True

    def _node(self, node: Node) -> None:
        try:
            refusal = refused(node) or _unsized(node)
            if refusal is not None:
                raise Refused(refusal[0], hint=refusal[1])
            LEGAL[node.op.name](self, node)
        except Refused as error:
            self.refusals.append(Refusal(node, error.message, error.hint or ""))
            for tensor in node.outputs:
                self.output(tensor)


def refused(node: Node) -> tuple[str, str] | None:
    """Why a node cannot run whatever its inputs are, and what to do; None if it may."""
    if node.op.name not in LEGAL:
        return REASONS.get(
            node.op.name,
            (
                "the chip has no commands for it that are known here",
                "express it by other operators, or run this part of the model on the host",
            ),
        )
    for tensor in node.outputs:
        truth = tensor.dtype.name == "bool" and node.op.name in TRUTHS
        if tensor.dtype.name != "float32" and not truth:
            return f"{tensor.name} has dtype {tensor.dtype.name}", "the chip computes in float32"
    return None


def _unsized(node: Node) -> tuple[str, str] | None:
    """Why a node has no size that the chip can take, and what to do; None if it has."""
    for tensor in node.outputs:
        if any(not isinstance(size, int) for size in tensor.shape):
            return f"{tensor.name} has the sizes {tensor.shape}", "give the sizes of all inputs"
        if 0 in tensor.shape:
            return f"{tensor.name} is empty", "leave it out: the chip has no empty tensors"
    return None


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """The sizes of a tensor whose shape is known."""
    return tuple([int(size) for size in tensor.shape])

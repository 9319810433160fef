"""Which segments of a program are the same function: a canonical form of each, compared exactly.

The form lists the nodes of a segment by operator, attributes and types, and what each of them reads: the
n-th tensor made in the segment, or its n-th input in the order of first use. Names, and which tensors the
inputs are, do not matter. Small constants are inputs at first; those that have the same value in all
segments of a kind are then put back, so that the compiler can fold them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.ir.attrs import Attrs
from graphflow.ir.copying import copy_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.ir.traversal import topological_order
from graphflow.optimizer.program import Program


@dataclass(frozen=True, slots=True)
class Part:
    """Some nodes of a program, with what they need.

    Attributes:
        nodes: in an order in which they can run.
        inputs: what they read from outside, in the order of first use, small constants included.
        form: operators, attributes, types and wiring as numbers.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    form: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a program that runs as one compiled function.

    Attributes:
        nodes: in an order in which they can run, the constants that are part of it first.
        inputs, outputs: what it reads from outside, and what is read of it outside.
        donated: positions among `inputs` whose memory an output can take over.
        freed: inputs that nothing reads later, and that nobody else holds.
        kind: the number of the function it computes; equal for segments that are alike.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    donated: tuple[int, ...]
    freed: tuple[Tensor, ...]
    kind: int


class Sequencer:
    """Numbers for nodes and parts of one program, such that equal numbers mean equal structure.

    Arguments:
        inline: the small constants.
        cheap: nodes that each part makes for itself.
    """

    def __init__(self, inline: set[Node], cheap: set[Node]) -> None:
        self.inline = inline
        self.cheap = cheap
        self._numbers: dict[tuple, int] = {}
        self._operations: dict[Node, int] = {}

    def _number(self, *key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _operation(self, node: Node) -> int:
        found = self._operations.get(node)
        if found is None:
            types = tuple([tensor.type for tensor in node.outputs])
            found = self._operations[node] = self._number(node.op, node.attrs, types)
        return found

    def signatures(self, sequence: Sequence[Node], near: int) -> list[int]:
        """For each node a number that tells its operator and how far before it its inputs are made."""
        position = {node: place for place, node in enumerate(sequence)}
        made = []
        for place, node in enumerate(sequence):
            reads = []
            for tensor in node.inputs:
                found = position.get(tensor.node)
                distance = 0 if found is None else min(place - found, near)
                reads.append((distance, tensor.index))
            made.append(self._number(self._operation(node), *reads))
        return made

    def part(self, nodes: Sequence[Node]) -> Part:
        """The part that consists of these nodes and the cheap ones that they read."""
        local: dict[Tensor, int] = {}
        inputs: dict[Tensor, int] = {}
        held: list[Node] = []
        form: list[int] = []
        for node in nodes:
            for needed in (*self._missing(node, local), node) if self.cheap else (node,):
                form += [self._operation(needed), len(needed.inputs)]
                for tensor in needed.inputs:
                    place = local.get(tensor)
                    if place is None:
                        form.append(-1 - inputs.setdefault(tensor, len(inputs)))
                    else:
                        form.append(place)
                for tensor in needed.outputs:
                    local[tensor] = len(local)
                held.append(needed)
        for tensor in inputs:
            form.append(self._number(tensor.type, tensor.node in self.inline))
        return Part(tuple(held), tuple(inputs), np.array(form, np.int64).tobytes())

    def _missing(self, node: Node, local: Mapping[Tensor, int]) -> list[Node]:
        """The cheap nodes that a node needs and the part does not have yet."""
        cheap = self.cheap
        missing = [tensor for tensor in node.inputs if tensor.node in cheap and tensor not in local]
        if not missing:
            return []
        return topological_order(missing, lambda tensor: tensor.node not in cheap or tensor in local)


def make_segments(
    parts: Sequence[Part],
    free_after: Mapping[Tensor, int],
    outputs: Sequence[Tensor],
    inline: set[Node],
) -> tuple[list[Segment], list[Segment]]:
    """The segments that parts become, and the first of each kind.

    Arguments:
        free_after: for each tensor whose memory is free at last, the number of the part that reads it last.
        outputs: of the program.
        inline: the small constants.
    """
    needed = {tensor for part in parts for tensor in part.inputs}.union(outputs)
    drafts = [_Draft(part, number, free_after, needed) for number, part in enumerate(parts)]
    groups: dict[tuple, list[_Draft]] = {}
    for draft in drafts:
        groups.setdefault(draft.key, []).append(draft)
    segments: list[Segment | None] = [None] * len(parts)
    kinds = []
    for kind, members in enumerate(groups.values()):
        fixed = _shared_constants([draft.part for draft in members], inline)
        made = [draft.segment(kind, fixed) for draft in members]
        kinds.append(made[0])
        for draft, segment in zip(members, made):
            segments[draft.number] = segment
    return [segment for segment in segments if segment is not None], kinds


class _Draft:
    """What is known of a segment before it is compared with the others."""

    def __init__(
        self, part: Part, number: int, free_after: Mapping[Tensor, int], needed: set[Tensor]
    ) -> None:
        self.part, self.number = part, number
        made = [tensor for node in part.nodes for tensor in node.outputs]
        given = [place for place, tensor in enumerate(made) if tensor in needed]
        self.outputs = tuple([made[place] for place in given])
        self.freed = tuple([tensor for tensor in part.inputs if free_after.get(tensor) == number])
        self.donated = self._donated()
        places = [place for place, tensor in enumerate(part.inputs) if tensor in self.donated]
        self.key = (part.form, tuple(given), tuple(places))

    def _donated(self) -> set[Tensor]:
        """The freed inputs whose memory an output of the same type can take over, each output once."""
        room = Counter([tensor.type for tensor in self.outputs])
        chosen = set()
        for tensor in self.freed:
            if room[tensor.type] > 0:
                room[tensor.type] -= 1
                chosen.add(tensor)
        return chosen

    def segment(self, kind: int, fixed: frozenset[int]) -> Segment:
        """The segment, with the constants at the places `fixed` as part of it."""
        part = self.part
        held = [tensor.node for place, tensor in enumerate(part.inputs) if place in fixed]
        inputs = tuple([tensor for place, tensor in enumerate(part.inputs) if place not in fixed])
        donated = tuple([place for place, tensor in enumerate(inputs) if tensor in self.donated])
        return Segment((*held, *part.nodes), inputs, self.outputs, donated, self.freed, kind)


def _shared_constants(members: Sequence[Part], inline: set[Node]) -> frozenset[int]:
    """The inputs that are small constants of the same value in all parts of a kind."""
    first, *others = members
    places = []
    for place, tensor in enumerate(first.inputs):
        attrs = tensor.node.attrs
        if tensor.node in inline and all([part.inputs[place].node.attrs == attrs for part in others]):
            places.append(place)
    return frozenset(places)


def segment_program(segment: Segment) -> Program:
    """A program of a segment alone: its inputs are the feeds, its outputs the fetches."""
    program = Program(f"segment of kind {segment.kind}")
    copies: dict[Tensor, Tensor] = {}
    for tensor in segment.inputs:
        attrs = Attrs(dtype=tensor.dtype, shape=tensor.shape)
        name = program.unique_name(tensor.node.name)
        node = program.add(registry["placeholder"], (), attrs, (tensor.type,), name, tensor.node.origin)
        program.placeholders[node.name] = copies[tensor] = node.output
        program.feeds.append(node.output)
    copy_nodes(program, segment.nodes, copies)
    program.outputs = [copies[tensor] for tensor in segment.outputs]
    program.fetch_count = len(program.outputs)
    return program

"""Cutting a large program into segments, and finding those that are alike, so that each kind compiles once.

Compilers take more than linear time, so a program of many nodes compiles sooner in pieces; and where its
structure repeats, as the layers of a deep network do, most pieces are the same function of other arrays.
The steps, each linear in the number of nodes (but for a sort) and none recursive:

  order    what a run needs, outputs by their depth, so that an update directly follows its gradient; or
           that of `Program.schedule`, where less is alive at once in it and no repetition is lost
  sources  feeds, variables, constants, keys are computed by no segment; what is cheaply made of small
           constants is made again by each segment that reads it, rather than passed between them
  cuts     at narrow places, in step with the repetition of the sequence of nodes
  kinds    two segments are alike if their nodes, types and wiring are: see `segment_kinds`

Neighbours of one kind, each reading what the one before it made, are also where a program could be
rolled up into a loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from graphflow.ir.body import bodies_of, nested_nodes
from graphflow.ir.collector import paused_collector
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order
from graphflow.ir.types import TensorType
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.program import Program
from graphflow.runtime.cuts import choose_cuts
from graphflow.runtime.repetition import find_regions
from graphflow.runtime.segment_kinds import Part, Segment, Sequencer, make_segments

INLINE_BYTES = 4096
"""Constants below this size are part of the segments that read them."""
NEAR = 64
"""Inputs made up to so many nodes before count by their distance where repetition is looked for."""
MARGIN = 0.1
"""A schedule is followed if so much less is alive at once in it, and at most so much more compiled."""
_CHEAP_NODES = 4
_TENSOR_COST = 256
"""What passing a tensor costs beside its bytes, in bytes."""
_STREAM = "random_key"


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A program as segments that run one after another.

    Attributes:
        program: what was cut.
        segments: in an order in which they can run.
        kinds: for each kind, the first of its segments.
        streams: the nodes that give a key to each random stream; they run before all segments, together,
            since their names would set apart segments that are alike.
        nodes: how many nodes the program has, those in bodies included.
    """

    program: Program
    segments: tuple[Segment, ...]
    kinds: tuple[Segment, ...]
    streams: tuple[Node, ...]
    nodes: int

    @property
    def note(self) -> str:
        """The numbers in words."""
        kinds = f"{len(self.kinds)} kind{'s' * (len(self.kinds) != 1)}"
        return f"1 program of {self.nodes:,} nodes in {len(self.segments)} segments of {kinds}"


def program_weight(program: Program) -> int:
    """The number of nodes a compiler sees: those that outputs need, and those in their bodies."""
    return sum(1 for _ in nested_nodes(program.order()))


@paused_collector()
def cut_program(program: Program, budget: int, donate: bool = True) -> Segmentation:
    """Cut a program into segments of at most `budget` nodes each, but for a single node that has more.

    The segments follow `program.schedule` if the most bytes alive between two nodes are a tenth less there
    than in `depth_order`, and the kinds have at most a tenth more nodes: an order chosen for memory alone may
    take equal layers in different ways, and each way would be compiled for itself.

    Arguments:
        program: its sizes may be symbolic; each then counts as 1.
        budget: the most nodes of a segment, those in bodies included.
        donate: whether an updated variable may give its memory to what its last reader makes.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> x = y = gf.placeholder("x", (8,))
    >>> for _ in range(100):
    ...     y = gf.exp(-y)
    >>> made = cut_program(extract([y], feeds=[x]), budget=20)
    >>> made.note
    '1 program of 201 nodes in 13 segments of 3 kinds'
    """
    order = depth_order(program)
    inline = {
        node for node in order if node.op.name == "constant" and type_bytes(node.output.type) < INLINE_BYTES
    }
    cheap = _cheap_nodes(order, inline, program.outputs)
    cutter = _Cutter(program, inline, cheap, budget, donate)
    sequence = cutter.computed(order)
    costs = crossing_costs(sequence, program.outputs)
    segments, kinds = cutter.cut(sequence, costs)
    if program.schedule:
        scheduled = cutter.computed(program.schedule)
        lower = crossing_costs(scheduled, program.outputs)
        if lower.max() < (1 - MARGIN) * costs.max():
            other = cutter.cut(scheduled, lower)
            if _compiled(other[1]) <= (1 + MARGIN) * _compiled(kinds):
                segments, kinds = other
    streams = tuple([node for node in order if _is_stream(node)])
    total = sum([_weight(node) for node in sequence]) + len(order) - len(sequence)
    return Segmentation(program, tuple(segments), tuple(kinds), streams, total)


@dataclass(frozen=True, slots=True)
class _Cutter:
    """What cuts a program along one order or another."""

    program: Program
    inline: set[Node]
    cheap: set[Node]
    budget: int
    donate: bool

    def computed(self, order: Sequence[Node]) -> list[Node]:
        """The nodes that segments are made of."""
        return [node for node in order if node not in self.cheap and not _is_source(node)]

    def cut(self, sequence: Sequence[Node], costs: np.ndarray) -> tuple[list[Segment], list[Segment]]:
        """The segments, and the first of each kind."""
        outputs, budget = self.program.outputs, self.budget
        sequencer = Sequencer(self.inline, self.cheap)
        regions = find_regions(sequencer.signatures(sequence, NEAR), shortest=min(budget, len(sequence)))
        cuts = choose_cuts([_weight(node) for node in sequence], costs, regions, budget)
        parts = [sequencer.part(sequence[start:stop]) for start, stop in pairwise(cuts)]
        return make_segments(parts, _passed_on(parts, self.program, self.donate), outputs, self.inline)


def _compiled(kinds: Iterable[Segment]) -> int:
    """How many nodes are compiled for segments of these kinds."""
    return sum([len(kind.nodes) for kind in kinds])


def depth_order(program: Program) -> list[Node]:
    """The nodes that the outputs need, in an order in which they can run, shallow outputs first.

    In a training step the update of the last layer then comes with its gradient, before that of the
    layer before it, so that few gradients are held at once.
    """
    depth: dict[Node, int] = {}
    for node in program.order():
        depth[node] = 1 + max([depth[tensor.node] for tensor in node.inputs], default=0)
    return topological_order(sorted(program.outputs, key=lambda tensor: depth[tensor.node]))


def crossing_costs(sequence: Sequence[Node], outputs: Iterable[Tensor]) -> np.ndarray:
    """For a cut before each node, and after the last, the bytes that would cross it.

    Outputs do not count: wherever the cuts are, they have to be kept.
    """
    position = {tensor: place for place, node in enumerate(sequence) for tensor in node.outputs}
    last = dict(position)
    for place, node in enumerate(sequence):
        for tensor in node.inputs:
            if tensor in last:
                last[tensor] = place
    for tensor in outputs:
        last.pop(tensor, None)
    sizes: dict[TensorType, int] = {}
    for tensor in last:
        if tensor.type not in sizes:
            sizes[tensor.type] = type_bytes(tensor.type) + _TENSOR_COST
    changes = np.zeros(len(sequence) + 2)
    np.add.at(changes, [position[tensor] + 1 for tensor in last], [sizes[tensor.type] for tensor in last])
    np.subtract.at(changes, [place + 1 for place in last.values()], [sizes[each.type] for each in last])
    return np.cumsum(changes)[: len(sequence) + 1]


def _weight(node: Node) -> int:
    return 1 if next(bodies_of(node), None) is None else sum(1 for _ in nested_nodes([node]))


def _is_stream(node: Node) -> bool:
    return node.op.name == _STREAM and node.inputs[0].node.op.name == "session_key"


def _is_source(node: Node) -> bool:
    return "nullary_input" in node.op.traits or node.op.name == "constant" or _is_stream(node)


def _cheap_nodes(order: Sequence[Node], inline: set[Node], outputs: Iterable[Tensor]) -> set[Node]:
    """Nodes that are made of small constants by a few others, each element for itself.

    Merging twins leaves one such node for a whole program, a tensor of zeros say, and compilers make it
    anew wherever it is read.
    """
    kept = {tensor.node for tensor in outputs}
    size: dict[Node, int] = dict.fromkeys(inline, 0)
    for node in order:
        if len(node.outputs) != 1 or node in kept or _is_source(node):
            continue
        local = not node.op.traits.isdisjoint(("elementwise", "injective")) or not node.inputs
        if local and all([tensor.node in size for tensor in node.inputs]):
            total = 1 + sum([size[tensor.node] for tensor in node.inputs])
            if total <= _CHEAP_NODES and next(bodies_of(node), None) is None:
                size[node] = total
    return size.keys() - inline


def _passed_on(parts: Sequence[Part], program: Program, donate: bool) -> dict[Tensor, int]:
    """For each tensor whose memory is free after its last reader, the number of that part."""
    made = {tensor for part in parts for node in part.nodes for tensor in node.outputs}
    updated = set(program.updated) if donate else set()
    kept = set(program.outputs)
    last: dict[Tensor, int] = {}
    for number, part in enumerate(parts):
        for tensor in part.inputs:
            own = tensor in made and tensor not in kept
            if own or (tensor.node.op.name == "variable" and tensor.node.name in updated):
                last[tensor] = number
    return last

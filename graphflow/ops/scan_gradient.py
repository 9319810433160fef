"""The gradient of a scan: forward once more with further results, and backward over them.

For c_(t+1), y_t = f(c_t, x_t, k) the cotangents follow the recurrence

    dc_t, dx_t, dk_t = J_f(c_t, x_t, k)^T (dc_(t+1), dy_t)        t = length - 1, .., 0

whose steps read values of the way there. Those that change from step to step are its *residuals*: the
scan is built again with them as further results, and the optimizer lets that one take the place of
the first. The cotangent of k is the sum of the dk_t, a carry of the way back.

Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 12; Radul et al., You Only
Linearize Once, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphflow.ir.body import Body, Source
from graphflow.ir.builder import Builder, several
from graphflow.ir.copying import copy_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.ops.control import scan
from graphflow.ops.control_gradients import further_captures, is_real, open_again, pull, wanted_of

_COPIES = frozenset(("broadcast_to", "reshape", "expand_dims", "squeeze", "permute_dims"))
"""Operators that only arrange their input: doing them again is cheaper than keeping what they give."""


@dataclass(slots=True)
class _Backward:
    """What the way back of a scan consists of: nodes to copy, and what they read of the way there.

    Attributes:
        nodes: nodes to copy, of the gradient and those of the forward part that are done again.
        residuals: forward tensors to keep, one value a step.
        parameters: parameters of the body that are read as they are.
    """

    nodes: set[Node] = field(default_factory=set)
    residuals: dict[Tensor, None] = field(default_factory=dict)
    parameters: dict[Tensor, None] = field(default_factory=dict)


def _moving(body: Body, parameters: Sequence[Tensor], end: int) -> set[Tensor]:
    """The tensors of the forward part that differ from step to step."""
    found = set(parameters)
    for node in body.nodes[:end]:
        if any(tensor in found for tensor in node.inputs):
            found.update(node.outputs)
    return found


def _backward(
    results: Sequence[Tensor], opened: Source, carries: int, moving: set[Tensor], end: int
) -> _Backward:
    """Walk up from the cotangents and decide for each forward tensor whether to keep or to redo it."""
    back = _Backward()
    first, others = set(opened.parameters[:carries]), set(opened.parameters[carries:])
    pending, seen = list(results), set(results)
    while pending:
        tensor = pending.pop()
        node = tensor.node
        if tensor in others or (node.op.name == "placeholder" and tensor not in first):
            back.parameters[tensor] = None
            continue
        kept = node.id < end and tensor in moving and node.op.name not in _COPIES
        if tensor in first or kept:
            back.residuals[tensor] = None
            continue
        if node not in back.nodes:
            back.nodes.add(node)
            fresh = [read for read in node.inputs if read not in seen]
            seen.update(fresh)
            pending += fresh
    back.residuals = dict.fromkeys(sorted(back.residuals, key=lambda tensor: (tensor.node.id, tensor.index)))
    return back


def _active_carries(opened: Source, wanted: list[bool], carries: int) -> list[bool]:
    """For each parameter whether a wanted operand reaches it, through carries of earlier steps too."""
    active = list(wanted)
    while True:
        reached = {tensor for tensor, flag in zip(opened.parameters, active) if flag}
        for node in creation_order(ancestors(opened.outputs)):
            if any(tensor in reached for tensor in node.inputs):
                reached.update(node.outputs)
        grown = [
            flag or (number < carries and is_real(tensor) and opened.outputs[number] in reached)
            for number, (flag, tensor) in enumerate(zip(active, opened.parameters))
        ]
        if grown == active:
            return active
        active = grown


@scan.gradient
def _(b, node, *cotangents):
    return _ScanGradient(b, node, cotangents).build()


class _ScanGradient:
    """The two scans of one gradient."""

    def __init__(self, b: Builder, node: Node, cotangents: Sequence[Tensor | None]) -> None:
        self.b, self.node, self.attrs = b, node, node.attrs
        self.cotangents = cotangents
        self.carries, self.sequences = node.attrs.carries, node.attrs.sequences
        opened = open_again(b, node.attrs.body)
        active = _active_carries(opened, wanted_of(b, node.inputs), self.carries)
        self.wanted = [number for number, flag in enumerate(active) if flag]
        self.states = [number for number in self.wanted if number < self.carries]
        rows = [n for n in range(self.carries, len(node.outputs)) if cotangents[n] is not None]
        self.rows = [number for number in rows if is_real(node.outputs[number])]
        self.end = len(opened.body.nodes)
        self.pulled = pull(opened, [*self.states, *self.rows], self.wanted)

    def build(self) -> list[Tensor | None]:
        """The cotangents of the operands."""
        pulled, node = self.pulled, self.node
        found = dict(zip(self.wanted, pulled.found))
        if all(tensor is None for tensor in pulled.found):
            return [None] * len(node.inputs)
        self.moved = [n for n, t in found.items() if t is not None and self._is_sequence(n)]
        self.fixed = [n for n, t in found.items() if t is not None and n >= self.carries + self.sequences]
        opened = pulled.opened
        changing = opened.parameters[: self.carries + self.sequences]
        moving = _moving(opened.body, changing, self.end)
        results = [tensor for tensor in pulled.found if tensor is not None]
        back = _backward(results, opened, self.carries, moving, self.end)
        stacks = self._forward(list(back.residuals))
        made = self._back(back, found, stacks)
        parts: list[Tensor | None] = [None] * len(node.inputs)
        for number, tensor in zip([*self.states, *self.fixed, *self.moved], made):
            parts[number] = tensor
        return parts

    def _is_sequence(self, number: int) -> bool:
        return self.carries <= number < self.carries + self.sequences

    def _forward(self, residuals: list[Tensor]) -> tuple[Tensor, ...]:
        """The scan again with the residuals as further results; those."""
        if not residuals:
            return ()
        opened, attrs = self.pulled.opened, self.attrs
        extra_outer, extra_inner = further_captures(opened)
        body = opened.body.close([*opened.outputs, *residuals], [*opened.parameters, *extra_inner])
        made = self.b.scan(
            *self.node.inputs, *extra_outer, body=body, carries=self.carries, sequences=self.sequences,
            length=attrs.length, reverse=attrs.reverse,
        )  # fmt: skip
        return several(made)[len(opened.outputs) :]

    def _back(
        self, back: _Backward, found: dict[int, Tensor | None], stacks: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The scan over the residuals, the other way round: cotangents of carries, captures, sequences."""
        b, node, opened = self.b, self.node, self.pulled.opened
        body = Body(f"{self.attrs.body.name}_gradient", repeats=True)
        copies: dict[Tensor, Tensor] = {}

        def enter(tensor: Tensor) -> None:
            copies[tensor] = body.parameter(tensor.type, tensor.node.name, tensor.node.origin)

        weights = dict(zip([*self.states, *self.rows], self.pulled.cotangents))
        outer = dict(zip(opened.parameters, node.inputs))
        outer |= dict(zip(*reversed(further_captures(opened))))
        # The carries: cotangents of the states, and sums of those of the captured values.
        for number in self.states:
            enter(weights[number])
        sums = [body.parameter(opened.parameters[n].type, "sum") for n in self.fixed]
        starts = [self._weight(number) for number in self.states]
        starts += [b.full_like(0, node.inputs[number]) for number in self.fixed]
        # The sequences: residuals, slices of the sequences, and cotangents of the rows.
        slices = [
            t for t in opened.parameters[self.carries : self.carries + self.sequences] if t in back.parameters
        ]
        for tensor in [*back.residuals, *slices, *[weights[number] for number in self.rows]]:
            enter(tensor)
        sequences = [*stacks, *[outer[t] for t in slices], *[self.cotangents[n] for n in self.rows]]
        rest = [tensor for tensor in back.parameters if tensor not in copies]
        for tensor in rest:
            enter(tensor)
        copy_nodes(body, creation_order(back.nodes), copies)
        inner = Builder(body, node.origin)
        results = [
            copies[t] if (t := found[n]) is not None else inner.full_like(0, opened.parameters[n])
            for n in self.states
        ]
        results += [inner.add(total, copies[found[n]]) for total, n in zip(sums, self.fixed)]  # type: ignore[index]
        results += [copies[found[n]] for n in self.moved]  # type: ignore[index]
        made = b.scan(
            *starts, *sequences, *[outer[tensor] for tensor in rest], body=body.close(results),
            carries=len(starts), sequences=len(sequences), length=self.attrs.length,
            reverse=not self.attrs.reverse,
        )  # fmt: skip
        return several(made)

    def _weight(self, number: int) -> Tensor:
        found = self.cotangents[number]
        return self.b.full_like(0, self.node.inputs[number]) if found is None else found

"""The gradient of a scan: forward once more with further results, and backward over them.

For c_(t+1), y_t = f(c_t, x_t, k) the cotangents follow the recurrence

    dc_t, dx_t, dk_t = J_f(c_t, x_t, k)^T (dc_(t+1), dy_t)        t = length - 1, .., 0

whose steps read values of the way there. Those that change from step to step are its *residuals*: the
scan is built again with them as further results, and the optimizer lets that one take the place of
the first. The cotangent of k is the sum of the dk_t, a carry of the way back; but where dk_t is a product
a_t^T g_t, as for the weights of a recurrent layer, the rows a and g are kept and multiplied once, after
the loop.

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


def _product(tensor: Tensor | None, moving: set[Tensor]) -> tuple[Tensor, Tensor] | None:
    """The matrices a and g of each step, if a cotangent is a^T g."""
    if tensor is None or tensor.node.op.name != "matmul":
        return None
    left, right = tensor.node.inputs
    turned = left.node
    if turned.op.name != "permute_dims" or turned.attrs["axes"] != (1, 0) or right.ndim != 2:
        return None
    (first,) = turned.inputs
    return (first, right) if first in moving and right in moving else None


def _active_carries(opened: Source, wanted: list[bool], carries: int) -> list[bool]:
    """For each parameter whether a wanted operand reaches it, through carries of earlier steps too."""
    active, order = list(wanted), creation_order(ancestors(opened.outputs))
    while True:
        reached = {tensor for tensor, flag in zip(opened.parameters, active) if flag}
        for node in order:
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
    """The two scans of one gradient.

    Operands are called by their numbers. Wanted are the cotangents of: `states`, the carries; `moved`, the
    sequences; `summed`, captured values whose cotangents are added up step by step; `products`, those
    whose parts are products, with the two factors. `rows` are the outputs with a given cotangent.
    """

    def __init__(self, b: Builder, node: Node, cotangents: Sequence[Tensor | None]) -> None:
        self.b, self.node, self.attrs, self.cotangents = b, node, node.attrs, cotangents
        self.carries = carries = node.attrs.carries
        self.captures = carries + node.attrs.sequences
        self.opened = opened = open_again(b, node.attrs.body)
        self.end = len(opened.body.nodes)
        active = _active_carries(opened, wanted_of(b, node.inputs), carries)
        wanted = [number for number, flag in enumerate(active) if flag]
        self.states = [number for number in wanted if number < carries]
        outputs = node.outputs
        self.rows = [
            n for n in range(carries, len(outputs)) if cotangents[n] is not None and is_real(outputs[n])
        ]
        pulled = pull(opened, [*self.states, *self.rows], wanted)
        self.weights = dict(zip([*self.states, *self.rows], pulled.cotangents))
        self.found = {n: tensor for n, tensor in zip(wanted, pulled.found) if tensor is not None}
        self.moved = [number for number in self.found if carries <= number < self.captures]
        moving = self._moving(pulled.cotangents, len(opened.body.nodes))
        factors = {n: _product(self.found[n], moving) for n in self.found if n >= self.captures}
        self.products = {number: pair for number, pair in factors.items() if pair is not None}
        self.summed = [number for number, pair in factors.items() if pair is None]

    def build(self) -> list[Tensor | None]:
        """The cotangents of the operands."""
        parts: list[Tensor | None] = [None] * len(self.node.inputs)
        if not self.found:
            return parts
        roots = [tensor for number, tensor in self.found.items() if number not in self.products]
        roots += [factor for pair in self.products.values() for factor in pair]
        back = _backward(roots, self.opened, self.carries, self._moving((), self.end), self.end)
        stacks = self._forward(list(back.residuals))
        made = self._backwards(back, stacks)
        for number, tensor in zip([*self.states, *self.summed, *self.moved], made):
            parts[number] = tensor
        for number, (left, right) in self.products.items():
            parts[number] = self._multiplied(stacks[left], stacks[right])
        return parts

    def _moving(self, further: Sequence[Tensor], end: int) -> set[Tensor]:
        """What differs from step to step among the first nodes of the open body."""
        return _moving(self.opened.body, [*self.opened.parameters[: self.captures], *further], end)

    def _multiplied(self, left: Tensor, right: Tensor) -> Tensor:
        """The sum of the products a_t^T g_t over all steps, of the stacked a and g."""
        b = self.b
        rows = [b.reshape(one, shape=(one.shape[0] * one.shape[1], one.shape[2])) for one in (left, right)]
        made: Tensor = b.matmul(b.permute_dims(rows[0], axes=(1, 0)), rows[1])
        return made

    def _forward(self, residuals: list[Tensor]) -> dict[Tensor, Tensor]:
        """The stacked residuals, results of the scan built again; some are rows of it anyway."""
        if not residuals:
            return {}
        opened, attrs = self.opened, self.attrs
        outer, inner = further_captures(opened)
        rows = opened.outputs[self.carries :]
        results = [*opened.outputs, *[tensor for tensor in residuals if tensor not in rows]]
        made = self.b.scan(
            *self.node.inputs, *outer, body=opened.body.close(results, [*opened.parameters, *inner]),
            carries=self.carries, sequences=attrs.sequences, length=attrs.length, reverse=attrs.reverse,
        )  # fmt: skip
        stacks = dict(zip(results[self.carries :], several(made)[self.carries :]))
        return {tensor: stacks[tensor] for tensor in residuals}

    def _backwards(self, back: _Backward, stacks: dict[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """The scan over the residuals, the other way round: the cotangents of states, summed and moved.

        The stacked factors of the products, which it gives too, are entered in `stacks`.
        """
        b, opened = self.b, self.opened
        outer = dict(zip(opened.parameters, self.node.inputs)) | dict(
            zip(*reversed(further_captures(opened)))
        )
        steps = opened.parameters[self.carries : self.captures]
        stacks.update((tensor, outer[tensor]) for tensor in steps if tensor in back.parameters)
        sequences: dict[Tensor, Tensor | None] = dict(stacks)
        sequences |= {self.weights[number]: self.cotangents[number] for number in self.rows}
        states = [self.weights[number] for number in self.states]
        fixed = [t for t in back.parameters if t not in sequences and t not in states]
        factors = dict.fromkeys(one for pair in self.products.values() for one in pair if one not in stacks)
        body = self._body(back, [*states, *sequences, *fixed], list(factors))
        starts = [self._start(number) for number in self.states]
        starts += [b.full_like(0, self.node.inputs[number]) for number in self.summed]
        made = several(b.scan(
            *starts, *sequences.values(), *[outer[tensor] for tensor in fixed], body=body,
            carries=len(starts), sequences=len(sequences), length=self.attrs.length,
            reverse=not self.attrs.reverse,
        ))  # fmt: skip
        count = len(made) - len(factors)
        stacks.update(zip(factors, made[count:]))
        return made[:count]

    def _body(self, back: _Backward, reads: Sequence[Tensor], factors: Sequence[Tensor]) -> Body:
        """One step of the way back. Its parameters are those of `reads`, with the sums behind the states."""
        body = Body(f"{self.attrs.body.name}_gradient", repeats=True)
        inner = Builder(body, self.node.origin)
        copies: dict[Tensor, Tensor] = {}
        sums: list[Tensor] = []
        for position, tensor in enumerate([*reads, None]):
            if position == len(self.states):
                sums = [body.parameter(self.opened.parameters[n].type, "sum") for n in self.summed]
            if tensor is not None:
                copies[tensor] = body.parameter(tensor.type, tensor.node.name, tensor.node.origin)
        copy_nodes(body, creation_order(back.nodes), copies)
        results = [
            copies[self.found[n]] if n in self.found else inner.full_like(0, self.opened.parameters[n])
            for n in self.states
        ]
        results += [inner.add(total, copies[self.found[n]]) for total, n in zip(sums, self.summed)]
        results += [copies[self.found[number]] for number in self.moved]
        return body.close([*results, *[copies[factor] for factor in factors]])

    def _start(self, number: int) -> Tensor:
        """The cotangent of a final carry."""
        given = self.cotangents[number]
        return self.b.full_like(0, self.node.inputs[number]) if given is None else given

"""Gradients of choices, calls and while loops: for each body, a body of its vector-Jacobian product.

A choice differentiates the branch that was taken, and a call its body; both compute the forward part
again where the gradient needs it. A bounded while loop is differentiated as the scan of as many steps
in which those after the end do nothing; `scan_gradient` has the gradient of scans.

Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import GradientError
from graphflow.ir.body import Body, Source
from graphflow.ir.builder import Builder, several
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import ancestors
from graphflow.ops.control import OPAQUE, RECOMPUTE, call, switch_case, while_loop
from graphflow.ops.static_case import static_case


def open_again(b: Builder, body: Body) -> Source:
    """A body that may grow, with the parameters and outputs of the given one."""
    if body.source is not None:
        body.source.body.shut = False
        return body.source
    wide = Body(body.name, outer=b.graph, repeats=body.repeats)
    wide.scope = ""
    parameters = [
        wide.parameter(tensor.type, tensor.node.name, tensor.node.origin) for tensor in body.parameters
    ]
    return Source(wide, tuple(parameters), tuple(body.inline(wide, parameters)))


def is_real(tensor: Tensor) -> bool:
    return tensor.type.dtype.is_differentiable


def wanted_of(b: Builder, tensors: Sequence[Tensor]) -> list[bool]:
    """For each tensor whether its cotangent is asked for."""
    return [is_real(tensor) and (b.wanted is None or tensor in b.wanted) for tensor in tensors]


def further_captures(opened: Source) -> tuple[list[Tensor], list[Tensor]]:
    """What the open body captured beyond its chosen parameters: outer tensors, and their parameters."""
    known = set(opened.parameters)
    pairs = [pair for pair in zip(*opened.body.captured()) if pair[1] not in known]
    return [outer for outer, _ in pairs], [inner for _, inner in pairs]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A body with the cotangents of some of its parameters, `sources`, built into it."""

    opened: Source
    sources: list[Tensor]
    cotangents: list[Tensor]
    found: list[Tensor | None]


def pull(opened: Source, given: Sequence[int], wanted: Sequence[int]) -> Pulled:
    """Differentiate a body: cotangents for the outputs `given` become those of the parameters `wanted`."""
    targets = [opened.outputs[index] for index in given]
    weights = [opened.body.parameter(tensor.type, "cotangent") for tensor in targets]
    sources = [opened.parameters[index] for index in wanted]
    found: list[Tensor | None] = [None] * len(sources)
    if targets and sources:
        found = Builder.differentiate(targets, sources, weights, unconnected="none")
    return Pulled(opened, sources, weights, found)


def _closed_together(
    pulls: Sequence[Pulled], operands: Sequence[Tensor]
) -> tuple[tuple[Body, ...], list[Tensor], list[int]]:
    """One body of each, with the same parameters: of the operands those that some body reads.

    Returns the bodies, their operands, and which of the sources they give the cotangents of: those that
    have one in some body.
    """
    given = [
        number
        for number in range(len(pulls[0].sources))
        if any(pull.found[number] is not None for pull in pulls)
    ]
    results: list[list[Tensor]] = []
    used: set[int] = set()
    outer = dict.fromkeys(tensor for pull in pulls for tensor in further_captures(pull.opened)[0])
    for pull in pulls:
        zeros = Builder(pull.opened.body)
        made = [
            zeros.full_like(0, pull.sources[number]) if (found := pull.found[number]) is None else found
            for number in given
        ]
        above = ancestors(made)
        parameters = [*pull.opened.parameters, *pull.cotangents]
        used.update(number for number, tensor in enumerate(parameters) if tensor.node in above)
        results.append(made)
    bodies = []
    for pull, made in zip(pulls, results):
        parameters = [*pull.opened.parameters, *pull.cotangents]
        known = dict(zip(*further_captures(pull.opened)))
        further = [
            known[tensor] if tensor in known else pull.opened.body.parameter(tensor.type, "unused")
            for tensor in outer
        ]
        bodies.append(pull.opened.body.close(made, [*[parameters[n] for n in sorted(used)], *further]))
    return tuple(bodies), [*[operands[number] for number in sorted(used)], *outer], given


def _spread(count: int, wanted: Sequence[int], given: Sequence[int], made: Any) -> list[Tensor | None]:
    """A list of `count` cotangents with those made at their places."""
    parts: list[Tensor | None] = [None] * count
    for number, tensor in zip(given, several(made)):
        parts[wanted[number]] = tensor
    return parts


def _real_cotangents(cotangents: Sequence[Tensor | None]) -> tuple[list[int], list[Tensor]]:
    """The numbers of the outputs that have a cotangent, and those."""
    pairs = [(number, tensor) for number, tensor in enumerate(cotangents) if tensor is not None]
    return [number for number, _ in pairs], [tensor for _, tensor in pairs]


@switch_case.gradient
def _(b, node, *cotangents):
    given, weights = _real_cotangents(cotangents)
    operands = node.inputs[1:]
    wanted = [number for number, needed in enumerate(wanted_of(b, operands)) if needed]
    pulls = [pull(open_again(b, branch), given, wanted) for branch in node.attrs.branches]
    bodies, reads, found = _closed_together(pulls, [*operands, *weights])
    made = b.switch_case(node.inputs[0], *reads, branches=bodies) if found else ()
    return [None, *_spread(len(operands), wanted, found, made)]


@static_case.gradient
def _(b, node, *cotangents):
    given, weights = _real_cotangents(cotangents)
    wanted = [number for number, needed in enumerate(wanted_of(b, node.inputs)) if needed]
    pulls = [pull(open_again(b, branch), given, wanted) for branch in node.attrs.branches]
    bodies, reads, found = _closed_together(pulls, [*node.inputs, *weights])
    attrs = {name: node.attrs[name] for name in ("selector", "choices", "period")}
    made = b.static_case(*reads, branches=bodies, **attrs) if found else ()
    return _spread(len(node.inputs), wanted, found, made)


@call.gradient
def _(b, node, *cotangents):
    given, weights = _real_cotangents(cotangents)
    wanted = [number for number, needed in enumerate(wanted_of(b, node.inputs)) if needed]
    pulled = pull(open_again(b, node.attrs.body), given, wanted)
    (body,), reads, found = _closed_together([pulled], [*node.inputs, *weights])
    mark = OPAQUE if node.attrs.mark in (RECOMPUTE, OPAQUE) else ""
    made = b.call(*reads, body=body, mark=mark) if found else ()
    return _spread(len(node.inputs), wanted, found, made)


@while_loop.gradient
def _(b, node, *cotangents):
    attrs = node.attrs
    if attrs.max_steps is None:
        raise GradientError(
            f"node {node.name} cannot be differentiated: a while loop whose number of steps has no bound "
            "would have to keep the values of all of them",
            hint="pass max_steps=..., or use gf.scan or gf.fori_loop with a fixed number of steps",
            origin=node.origin,
        )
    looped = bounded(b, node)[0].node
    assert callable(looped.op.vjp)
    return looped.op.vjp(b, looped, *cotangents)


def bounded(b: Builder, node: Node) -> tuple[Tensor, ...]:
    """A while loop with `max_steps` as a scan: steps after its end hand the carries on."""
    carries = node.attrs.carries
    step = Body(node.attrs.body.name, repeats=True)
    inner = [step.parameter(tensor.type, tensor.node.name.rpartition("/")[2]) for tensor in node.inputs]
    (going,) = node.attrs.condition.inline(step, inner)
    ended = Body("ended")
    kept = [ended.parameter(tensor.type, tensor.node.name) for tensor in inner]
    idle = ended.close(kept[:carries])
    made = Builder(step, node.origin).switch_case(going, *inner, branches=(idle, node.attrs.body))
    body = step.close(several(made), inner)
    made = b.scan(*node.inputs, body=body, carries=carries, sequences=0, length=node.attrs.max_steps)
    return several(made)

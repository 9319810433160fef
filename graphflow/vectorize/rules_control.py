"""Batching of control flow: bodies become bodies of the batched computation.

A choice by an index that all examples share stays a choice. By one of their own, a branch is computed if
some example takes it, and each example selects its result; in the place of those that take another one
the branch sees an example that does take it, so that nothing infinite, not even a loop, comes of them.
A loop carries a batch from the first step on where some step makes one. A while loop whose condition
differs between examples runs until the last one has ended, and those that ended earlier keep what they
have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.ir.body import Body
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import bool_, int32
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import TensorType
from graphflow.vectorize.rule import Batch, Operand, batching
from graphflow.vectorize.walk import Batched, building, inlined, opened


def _listed(made: Any) -> tuple[Tensor, ...]:
    return made if isinstance(made, tuple) else () if made is None else (made,)


def _marked(made: Any, flags: Sequence[bool]) -> list[Operand]:
    return [Operand(tensor, flag) for tensor, flag in zip(_listed(made), flags)]


def _flags(operands: Sequence[Operand]) -> list[bool]:
    return [operand.batched for operand in operands]


def _closed(
    made: Sequence[Batched], results: Sequence[Sequence[Tensor]], parameters: Sequence[Sequence[Tensor]]
) -> tuple[list[Body], list[Tensor]]:
    """The bodies closed, with the same further parameters: what any of them captured, which is second."""
    outer: list[Tensor] = list(dict.fromkeys(tensor for one in made for tensor in one.body.captured()[0]))
    bodies = []
    for one, tensors, own in zip(made, results, parameters):
        known = dict(zip(*one.body.captured()))
        further = [
            known[tensor] if tensor in known else one.body.parameter(tensor.type, "unused")
            for tensor in outer
        ]
        bodies.append(one.body.close(tensors, [*own, *further]))
    return bodies, outer


@batching("after")
def _(batch: Batch, node: Node, x: Operand, moment: Operand) -> Any:
    return Operand(batch.again(node, x.tensor, moment.tensor), x.batched)


@batching("call")
def _(batch: Batch, node: Node, *operands: Operand) -> Any:
    made = opened(batch, node.attrs["body"], _flags(operands))
    flags = _flags(made.results)
    bodies, outer = _closed([made], [made.fronted(flags)], [made.parameters])
    tensors = [operand.tensor for operand in operands]
    return _marked(batch.again(node, *tensors, *outer, body=bodies[0]), flags)


@batching("switch_case")
def _(batch: Batch, node: Node, index: Operand, *operands: Operand) -> Any:
    branches = node.attrs["branches"]
    if index.batched:
        return _selected(batch, node, index.tensor, operands)
    made = [opened(batch, branch, _flags(operands)) for branch in branches]
    flags = [any(column) for column in zip(*[_flags(one.results) for one in made])]
    results = [one.fronted(flags) for one in made]
    bodies, outer = _closed(made, results, [one.parameters for one in made])
    tensors = [operand.tensor for operand in operands]
    return _marked(batch.again(node, index.tensor, *tensors, *outer, branches=tuple(bodies)), flags)


@batching("static_case")
def _(batch: Batch, node: Node, *operands: Operand) -> Any:
    made = [opened(batch, branch, _flags(operands)) for branch in node.attrs["branches"]]
    flags = [any(column) for column in zip(*[_flags(one.results) for one in made])]
    results = [one.fronted(flags) for one in made]
    bodies, outer = _closed(made, results, [one.parameters for one in made])
    tensors = [operand.tensor for operand in operands]
    return _marked(batch.again(node, *tensors, *outer, branches=tuple(bodies)), flags)


def _selected(batch: Batch, node: Node, index: Tensor, operands: Sequence[Operand]) -> list[Operand]:
    """The results of all branches, of which each example takes those of its own."""
    builder, branches = batch.builder, node.attrs["branches"]
    if len(branches) == 1:
        return inlined(batch, branches[0], operands)
    if index.dtype is bool_:
        masks = [builder.logical_not(index), index]
    else:
        near = builder.minimum(builder.maximum(index, 0), len(branches) - 1)
        masks = [builder.equal(near, number) for number in range(len(branches))]
    rows = [_where_taken(batch, *pair, operands) for pair in zip(branches, masks)]
    made = []
    for number, column in enumerate(zip(*rows)):
        chosen, rank = column[0], node.outputs[number].ndim
        for mask, other in zip(masks[1:], column[1:]):
            chosen = builder.where(batch.aligned(Operand(mask, True), rank), other, chosen)
        made.append(Operand(chosen, True))
    return made


def _where_taken(batch: Batch, branch: Body, mask: Tensor, operands: Sequence[Operand]) -> tuple[Tensor, ...]:
    """What a branch gives for the examples in the mask; anything for others, and zeros if there are none."""
    flags = [True, *_flags(operands)]
    kinds = [TensorType(bool_, ()), *branch.parameter_types]
    taken, idle = (_empty(batch, name, kinds, flags) for name in (branch.name, "not_taken"))
    inside = taken.parameters[0]
    with building(taken.batch.builder):
        seen = [
            Operand(_as_one_that_takes_it(taken.batch, inside, tensor) if flag else tensor, flag)
            for tensor, flag in zip(taken.parameters[1:], flags[1:])
        ]
        results = [taken.batch.front(one) for one in inlined(taken.batch, branch, seen)]
    with building(idle.batch.builder):
        zeros = [idle.batch.builder.full_like(0, tensor) for tensor in results]
    bodies, outer = _closed([idle, taken], [zeros, results], [idle.parameters, taken.parameters])
    tensors = [mask, *[operand.tensor for operand in operands], *outer]
    some = batch.builder.any(mask)
    return _listed(batch.builder.switch_case(some, *tensors, branches=tuple(bodies), name=branch.name))


def _as_one_that_takes_it(batch: Batch, mask: Tensor, x: Tensor) -> Tensor:
    """The examples, where those that are not in the mask are replaced by the first that is."""
    if batch.size == 0:
        return x
    builder = batch.builder
    before = builder.equal(builder.cumulative_sum(builder.astype(mask, dtype=int32)), 0)
    first = builder.take(x, builder.sum(before, axis=0), axis=0)
    return builder.where(batch.aligned(Operand(mask, True), x.ndim - 1), x, first)


def _empty(batch: Batch, name: str, kinds: Sequence[TensorType], flags: Sequence[bool]) -> Batched:
    """A body with parameters of these types, batched as the flags say, and nothing else yet."""
    body = Body(name, outer=batch.builder.graph)
    body.scope = ""
    parameters = [body.parameter(batch.type_of(kind, flag), "x") for kind, flag in zip(kinds, flags)]
    return Batched(Batch(Builder(body), batch.size, batch.looped), body, parameters, [])


@batching("scan")
def _(batch: Batch, node: Node, *operands: Operand) -> Any:
    attrs, flags = node.attrs, _flags(operands)
    carries, sequences = attrs["carries"], attrs["sequences"]
    made = _to_fixpoint(batch, attrs["body"], flags, carries)
    after = flags[:carries] + _flags(made.results[carries:])
    bodies, outer = _closed([made], [made.fronted(after)], [made.parameters])
    first = [batch.front(one) if flag else one.tensor for one, flag in zip(operands[:carries], flags)]
    moving = [
        batch.moved(one.tensor, 0, 1) if one.batched else one.tensor
        for one in operands[carries : carries + sequences]
    ]
    fixed = [one.tensor for one in operands[carries + sequences :]]
    found = _listed(batch.again(node, *first, *moving, *fixed, *outer, body=bodies[0]))
    rows = [
        batch.moved(tensor, 1, 0) if flag else tensor
        for tensor, flag in zip(found[carries:], after[carries:])
    ]
    return _marked((*found[:carries], *rows), after)


def _to_fixpoint(batch: Batch, body: Body, flags: list[bool], carries: int) -> Batched:
    """The batched body, once `flags` says which carries some step makes batched."""
    while True:
        made = opened(batch, body, flags)
        grown = [flag or result.batched for flag, result in zip(flags[:carries], made.results)]
        if grown == flags[:carries]:
            return made
        flags[:carries] = grown


@batching("while_loop")
def _(batch: Batch, node: Node, *operands: Operand) -> Any:
    attrs, flags = node.attrs, _flags(operands)
    carries = attrs["carries"]
    made = _to_fixpoint(batch, attrs["body"], flags, carries)
    test = opened(batch, attrs["condition"], flags)
    if test.results[0].batched:
        return _until_all_ended(batch, node, operands)
    results = [[test.results[0].tensor], made.fronted(flags[:carries])]
    bodies, outer = _closed([test, made], results, [test.parameters, made.parameters])
    first = [batch.front(one) if flag else one.tensor for one, flag in zip(operands, flags)]
    found = batch.again(node, *first, *outer, condition=bodies[0], body=bodies[1])
    return _marked(found, flags[:carries])


def _until_all_ended(batch: Batch, node: Node, operands: Sequence[Operand]) -> list[Operand]:
    """A loop that carries which examples still go on, and the states of all."""
    attrs, condition, carries = node.attrs, node.attrs["condition"], node.attrs["carries"]
    flags = [True] * carries + _flags(operands[carries:])
    first = [Operand(batch.front(one), True) for one in operands[:carries]]
    fixed = list(operands[carries:])
    going = batch.front(inlined(batch, condition, [*first, *fixed])[0])
    step = opened(batch, attrs["body"], flags)
    test = _empty(batch, condition.name, condition.parameter_types, flags)
    going_type = TensorType(bool_, (batch.size,))
    in_test, in_step = (one.body.parameter(going_type, "going") for one in (test, step))
    with building(test.batch.builder):
        goes_on = test.batch.builder.any(in_test)
    after = _kept(step, in_step, condition, carries, flags)
    parameters = [
        [in_test, *test.parameters],
        [in_step, *step.parameters],
    ]
    bodies, outer = _closed([test, step], [[goes_on], after], parameters)
    found = batch.again(
        node, going, *[one.tensor for one in (*first, *fixed)], *outer,
        condition=bodies[0], body=bodies[1], carries=carries + 1,
    )  # fmt: skip
    return _marked(_listed(found)[1:], [True] * carries)


def _kept(step: Batched, going: Tensor, condition: Body, carries: int, flags: Sequence[bool]) -> list[Tensor]:
    """Which examples go on after a step, and the states: new ones for those that went on into it."""
    batch, before = step.batch, step.parameters
    with building(batch.builder):
        states = []
        for old, new in zip(before[:carries], step.results):
            mask = batch.aligned(Operand(going, True), old.ndim - 1)
            states.append(batch.builder.where(mask, batch.front(new), old))
        fixed = [Operand(tensor, flag) for tensor, flag in zip(before[carries:], flags[carries:])]
        known = [*[Operand(state, True) for state in states], *fixed]
        still = batch.front(inlined(batch, condition, known)[0])
        return [batch.builder.logical_and(going, still), *states]

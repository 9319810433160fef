"""The calls that control flow makes of its bodies, one after the other: what loops and branches mean.

Each operator has a generator that gives a call and is told what it made. The references in `ops.control`
let every call run (`outcome`); a tool that looks at the values inside of a loop walks through the calls
itself (`body_calls`), and may send what it computed, or something else, in place of the body's results.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.ir.body import Body
from graphflow.ir.interpret import run_body
from graphflow.ir.node import Node


class BodyCall(NamedTuple):
    """One run of a body: its number among those of the node, the body, and the values of its parameters."""

    number: int
    body: Body
    arguments: list[Any]


Calls = Generator[BodyCall, Sequence[Any] | None, tuple[Any, ...]]
"""Gives calls, takes their results (None: run the body), and returns those of the node."""


def outcome(calls: Calls) -> tuple[Any, ...]:
    """The results of the node, all of whose calls run as they come."""
    while True:
        try:
            next(calls)
        except StopIteration as end:
            made: tuple[Any, ...] = end.value
            return made


def _results(call: BodyCall, sent: Sequence[Any] | None) -> list[Any]:
    return run_body(call.body, call.arguments) if sent is None else list(sent)


def switch_calls(operands: Sequence[Any], branches: Sequence[Body]) -> Calls:
    """The one call of a choice among bodies."""
    index = min(max(int(operands[0]), 0), len(branches) - 1)
    made = BodyCall(index, branches[index], list(operands[1:]))
    return tuple(_results(made, (yield made)))


def call_calls(operands: Sequence[Any], body: Body, mark: str = "") -> Calls:
    """The one call of a function."""
    made = BodyCall(0, body, list(operands))
    return tuple(_results(made, (yield made)))


def scan_calls(
    operands: Sequence[Any], body: Body, carries: int, sequences: int, length: Any, reverse: bool
) -> Calls:
    """A call for each step of a loop over sequences; its results after the carries are stacked."""
    state = list(operands[:carries])
    moving, fixed = operands[carries : carries + sequences], operands[carries + sequences :]
    count = len(moving[0]) if moving else int(length)
    kinds = body.output_types[carries:]
    rows: list[list[Any]] = [[None] * count for _ in kinds]
    for step in reversed(range(count)) if reverse else range(count):
        call = BodyCall(0, body, [*state, *[array[step] for array in moving], *fixed])
        made = _results(call, (yield call))
        state = made[:carries]
        for row, value in zip(rows, made[carries:]):
            row[step] = value
    stacked = [
        np.stack(row) if count else np.empty((0, *kind.shape), kind.dtype.numpy)
        for row, kind in zip(rows, kinds)
    ]
    return (*state, *stacked)


def while_calls(
    operands: Sequence[Any], condition: Body, body: Body, carries: int, max_steps: int | None
) -> Calls:
    """A call of the condition before each step of a loop, and one of the body if it holds."""
    state, fixed = list(operands[:carries]), operands[carries:]
    steps = 0
    while max_steps is None or steps < max_steps:
        asked = BodyCall(0, condition, [*state, *fixed])
        if not bool(_results(asked, (yield asked))[0]):
            break
        repeated = BodyCall(1, body, [*state, *fixed])
        state = _results(repeated, (yield repeated))[:carries]
        steps += 1
    return tuple(state)


_CALLS: dict[str, Callable[..., Calls]] = {
    "switch_case": switch_calls, "call": call_calls, "scan": scan_calls, "while_loop": while_calls,
}  # fmt: skip


def body_calls(node: Node, arrays: Sequence[Any], attrs: Mapping[str, Any] | None = None) -> Calls:
    """Every call of a body in a run of the node, in order; none for a node without bodies.

    Arguments:
        arrays: the values of the node's inputs.
        attrs: its attributes with sizes known, where those of the node have symbols.

    >>> import graphflow as gf
    >>> last, _ = gf.scan(lambda c, x: (c + x, c), 0.0, gf.placeholder("x", (3,)))
    >>> [list(map(float, made.arguments)) for made in body_calls(last.node, [0.0, [1.0, 2.0, 3.0]])]
    [[0.0, 1.0], [1.0, 2.0], [3.0, 3.0]]
    """
    calls = _CALLS.get(node.op.name)
    given = node.attrs if attrs is None else attrs
    return () if calls is None else (yield from calls(arrays, **given))


def following(calls: Calls, results: Sequence[Any]) -> BodyCall | None:
    """The call after the one that was given last, which made these results; None after the last.

    >>> import graphflow as gf
    >>> y = gf.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, gf.placeholder("x", ()))
    >>> calls = body_calls(y.node, [5.0])
    >>> next(calls).arguments, following(calls, [True]).arguments, following(calls, [7.0]).arguments
    ([5.0], [5.0], [7.0])
    """
    try:
        return calls.send(results)
    except StopIteration:
        return None

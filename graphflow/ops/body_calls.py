"""The calls that a node of control flow makes of its bodies, one after the other, for given operands.

It follows the references of `ops.control` and hands out what each step gets, so that a tool can look at
the values inside of a loop or branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.ir.body import Body
from graphflow.ir.interpret import run_body
from graphflow.ir.node import Node
from graphflow.ops.control import call, scan, switch_case, while_loop


class BodyCall(NamedTuple):
    """One run of a body: its number among those of the node, the body, and the values of its parameters."""

    number: int
    body: Body
    arguments: list[Any]


def body_calls(
    node: Node, arrays: Sequence[Any], attrs: Mapping[str, Any] | None = None
) -> Iterator[BodyCall]:
    """Every call of a body in a run of the node, in order; none for a node without bodies.

    Arguments:
        arrays: the values of the node's inputs.
        attrs: its attributes with sizes known, where those of the node have symbols.

    >>> import graphflow as gf
    >>> last, _ = gf.scan(lambda c, x: (c + x, c), 0.0, gf.placeholder("x", (3,)))
    >>> [list(map(float, made.arguments)) for made in body_calls(last.node, [0.0, [1.0, 2.0, 3.0]])]
    [[0.0, 1.0], [1.0, 2.0], [3.0, 3.0]]
    """
    given = node.attrs if attrs is None else attrs
    if node.op is switch_case:
        branches = given["branches"]
        index = min(max(int(arrays[0]), 0), len(branches) - 1)
        yield BodyCall(index, branches[index], list(arrays[1:]))
    elif node.op is call:
        yield BodyCall(0, given["body"], list(arrays))
    elif node.op is scan:
        yield from _scan_calls(given, arrays)
    elif node.op is while_loop:
        yield from _while_calls(given, arrays)


def _scan_calls(attrs: Mapping[str, Any], arrays: Sequence[Any]) -> Iterator[BodyCall]:
    body, carries, sequences = (attrs[name] for name in ("body", "carries", "sequences"))
    state = list(arrays[:carries])
    moving, fixed = arrays[carries : carries + sequences], arrays[carries + sequences :]
    steps = range(len(moving[0]) if moving else int(attrs["length"]))
    number = _number(attrs, body)
    for step in reversed(steps) if attrs["reverse"] else steps:
        arguments = [*state, *[array[step] for array in moving], *fixed]
        yield BodyCall(number, body, arguments)
        state = run_body(body, arguments)[:carries]


def _while_calls(attrs: Mapping[str, Any], arrays: Sequence[Any]) -> Iterator[BodyCall]:
    condition, body, carries, most = (attrs[name] for name in ("condition", "body", "carries", "max_steps"))
    state, fixed = list(arrays[:carries]), arrays[carries:]
    asked, repeated = _number(attrs, condition), _number(attrs, body)
    steps = 0
    while most is None or steps < most:
        arguments = [*state, *fixed]
        yield BodyCall(asked, condition, arguments)
        if not bool(run_body(condition, arguments)[0]):
            return
        yield BodyCall(repeated, body, arguments)
        state = run_body(body, arguments)
        steps += 1


def _number(attrs: Mapping[str, Any], body: Body) -> int:
    """The place of a body among those of a node."""
    bodies = [value for value in attrs.values() if isinstance(value, Body)]
    return next(number for number, one in enumerate(bodies) if one is body)

"""Import of branches, loops and calls of subgraphs: as `cond` and `while_loop`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import DTypeError, FileFormatError, GraphFlowError
from graphflow.io.tflite.call import Call
from graphflow.io.tflite.reading import AGAIN
from graphflow.ir import dtypes
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ops import branching, looping, standard

MOST_STEPS = 1024
"""The most steps of a loop that is laid out, step by step."""


def _if(call: Call, condition: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
    branches = call.option("ThenSubgraphIndex"), call.option("ElseSubgraphIndex")
    chosen = _known(condition)
    if chosen is not None:
        return tuple(call.importer.subgraph(branches[0 if chosen else 1], given))

    def taken(number: int) -> Any:
        return lambda *values: tuple(call.importer.subgraph(number, values))

    return tuple(branching.cond(_flag(condition), taken(branches[0]), taken(branches[1]), *given))


def _known(condition: Tensor) -> bool | None:
    try:
        found = condition.known_value()
    except GraphFlowError:
        return None
    while isinstance(found, tuple) and len(found) == 1:
        (found,) = found
    return found if isinstance(found, bool) else None


def _flag(condition: Tensor) -> Tensor:
    if condition.dtype is not dtypes.bool_:
        raise DTypeError(f"a condition is {condition.dtype.name}, not bool", hint=AGAIN)
    return standard.reshape(condition, ())


def _while(call: Call, *given: Tensor) -> tuple[Tensor, ...]:
    try:
        with default_graph().attempt():
            return _looped(call, given)
    except FileFormatError:
        raise
    except GraphFlowError as error:
        return _laid_out(call, given, error)


def _looped(call: Call, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The loop as one node with a body."""
    numbers = call.option("CondSubgraphIndex"), call.option("BodySubgraphIndex")

    def goes_on(values: Any) -> Tensor:
        return _flag(call.importer.subgraph(numbers[0], values)[0])

    def step(values: Any) -> Any:
        return tuple(call.importer.subgraph(numbers[1], values))

    return tuple(looping.while_loop(goes_on, step, tuple(given)))


def _laid_out(call: Call, given: Sequence[Tensor], error: GraphFlowError) -> tuple[Tensor, ...]:
    """The loop as the nodes of all its steps, where slices depend on the number of the step."""
    carried = tuple(given)
    numbers = call.option("CondSubgraphIndex"), call.option("BodySubgraphIndex")
    for _ in range(MOST_STEPS):
        goes_on = _known(call.importer.subgraph(numbers[0], carried)[0])
        if goes_on is None:
            raise error
        if not goes_on:
            return carried
        carried = tuple(call.importer.subgraph(numbers[1], carried))
    raise FileFormatError(
        f"{call.label} would be laid out in more than {MOST_STEPS} steps",
        hint="let what it carries keep its shape and slices have fixed sizes, so that it can stay a loop",
    ) from error


def _call(call: Call, *given: Tensor) -> tuple[Tensor, ...]:
    return tuple(call.importer.subgraph(call.option("Subgraph"), given))


TABLE: dict[str, Any] = {"CALL": _call, "IF": _if, "WHILE": _while}

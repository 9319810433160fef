"""The birth of NaN and infinity: the first node that makes some of finite values, found node by node.

A program is run by the operators' references in the order of the graph. Where a node with bodies is the
first, the search goes on inside of the call that makes it, so that a line in a loop is named, not the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.ir.body import bodies_of
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.interpret import run_node
from graphflow.ir.node import Node, Tensor
from graphflow.ops.body_calls import body_calls, following
from graphflow.optimizer.program import Program

_MOST_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Birth:
    """Where NaN or infinity comes from.

    Attributes:
        node: its name; inside of a body with the path in front.
        op: what it computes.
        origin: the user's line.
        what: "NaN" or "infinity".
        fed: whether the value came from outside as it is: a feed, a variable or a constant.
    """

    node: str
    op: str
    origin: str
    what: str
    fed: bool = False

    def __str__(self) -> str:
        at = f" ({self.origin})" if self.origin else ""
        if self.fed:
            return f"{self.node} = {self.op}{at} has {self.what} to begin with"
        return f"{self.node} = {self.op}{at} makes {self.what} of finite values"


def first_birth(program: Program, outside: Mapping[Tensor, Any]) -> Birth | None:
    """The first node that makes NaN or infinity out of finite values; None if there is none.

    Arguments:
        program: with static sizes.
        outside: the values of its feeds, variables and key.
    """
    values = {tensor: np.asarray(value) for tensor, value in outside.items()}
    found = _first(program.order(), values)
    if found is None:
        return None
    node, arrays, made = found
    return _inside(node, arrays, made)


def not_finite_outside(program: Program, outside: Mapping[Tensor, Any]) -> Birth | None:
    """The first feed, variable or constant with NaN or infinity in it; None if there is none."""
    for node in program.order():
        arrays = [node.attrs["value"]] if node.op.name == "constant" else []
        arrays += [np.asarray(outside[tensor]) for tensor in node.outputs if tensor in outside]
        for array in arrays:
            if not is_finite(array):
                return Birth(node.name, node.op.name, str(node.origin or ""), kind_of(array), True)
    return None


def is_finite(array: np.ndarray) -> bool:
    """Whether there is neither NaN nor infinity in an array; what is no float has none.

    >>> import numpy as np
    >>> is_finite(np.array([1.0, np.inf])), is_finite(np.array([1, 2]))
    (False, True)
    """
    return as_dtype(array.dtype).kind not in ("float", "complex") or bool(np.isfinite(array).all())


def kind_of(array: np.ndarray) -> str:
    """What is wrong with an array that is not finite."""
    return "NaN" if np.isnan(array).any() else "infinity"


def _first(
    nodes: Iterable[Node], values: dict[Tensor, Any]
) -> tuple[Node, list[np.ndarray], Sequence[np.ndarray]] | None:
    for node in nodes:
        if all(tensor in values for tensor in node.outputs):
            continue
        arrays = [np.asarray(values[tensor]) for tensor in node.inputs]
        made = run_node(node, arrays)
        values.update(zip(node.outputs, made))
        if node.inputs and not all(map(is_finite, made)) and all(map(is_finite, arrays)):
            return node, arrays, made
    return None


def _inside(node: Node, arrays: list[np.ndarray], made: Sequence[np.ndarray]) -> Birth:
    """The node itself, or the one in its bodies, and theirs, where it happens."""
    path = ""
    while any(True for _ in bodies_of(node)):
        inner = _in_calls(node, arrays)
        if inner is None:
            break
        path += f"{node.name}:"
        node, arrays, made = inner
    bad = next(array for array in made if not is_finite(array))
    return Birth(path + node.name, node.op.name, str(node.origin or ""), kind_of(bad))


def _in_calls(
    node: Node, arrays: list[np.ndarray]
) -> tuple[Node, list[np.ndarray], Sequence[np.ndarray]] | None:
    calls = body_calls(node, arrays)
    call = next(calls, None)
    for _ in range(_MOST_CALLS):
        if call is None:
            break
        values = {tensor: np.asarray(value) for tensor, value in zip(call.body.parameters, call.arguments)}
        found = _first(call.body.order(), values)
        if found is not None:
            return found
        call = following(calls, [values[tensor] for tensor in call.body.outputs])
    return None

"""Tracing: running a user's function once on parameters, so that what it builds becomes a body."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import AttributeValueError, GraphError
from graphflow.ir.body import Body
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType
from graphflow.ir.graph import Graph, scoped
from graphflow.ir.nest import Nest, flatten
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType

DEEPEST = 48
"""Functions that may lie in one another: less than the text form reads, as passes and gradients wrap more."""


@dataclass(slots=True)
class Traced:
    """A function as an open body.

    Attributes:
        body: the graph that it built.
        parameters: the explicit parameters; captured ones are further parameters of the body.
        leaves, nest: what it returned; leaves that are no tensors yet are Python scalars or arrays.
    """

    body: Body
    parameters: list[Tensor]
    leaves: list[Any]
    nest: Nest

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.body.name

    def tensors(self, wanted: Sequence[DType | None]) -> list[Tensor]:
        """The results as tensors of the body; Python scalars take the dtype wanted of them."""
        builder = Builder(self.body)
        made = []
        for leaf, dtype in zip(self.leaves, wanted):
            if isinstance(leaf, Tensor):
                made.append(self.body.bring(leaf))
            else:
                made.append(
                    builder.tensor(leaf, dtype if isinstance(leaf, (bool, int, float, complex)) else None)
                )
        return made


def trace(
    fn: Callable[..., Any],
    outer: Graph,
    arguments: Sequence[Any],
    kinds: Sequence[tuple[TensorType, str]],
    what: str,
    scope: str | None = None,
    repeats: bool = False,
) -> Traced:
    """Run a function once on parameters and keep what it builds.

    Arguments:
        fn: called with one argument for each of `arguments`.
        outer: the graph around.
        arguments: the nest of each argument.
        kinds: types and names of the parameters, for all leaves of all arguments in order.
        what: how errors call the function.
        scope: a name scope for what it builds.
        repeats: whether it is the body of a loop.

    Raises:
        AttributeValueError: if it cannot be called, or not with so many arguments.
        GraphError: if it returns something with leaves that are no tensors, or lies too deep.
    """
    require_callable(fn, len(arguments), what)
    _refuse_depth(fn, outer, what)
    body = Body(function_name(fn, what), outer, repeats)
    parameters = [body.parameter(kind, name) for kind, name in kinds]
    leaves = iter(parameters)
    given = [nest.pack(leaves) if isinstance(nest, Nest) else nest for nest in arguments]
    with body:
        if scope is None:
            result = fn(*given)
        else:
            with scoped(body, scope):
                result = fn(*given)
    made, nest = flatten(result, f"what {what} returns")
    for leaf, path in zip(made, nest.paths):
        if isinstance(leaf, str) or not (
            isinstance(leaf, (Tensor, bool, int, float, complex)) or hasattr(leaf, "__array__")
        ):
            raise GraphError(
                f"{described(what, body.name)} returns {leaf!r:.60} of type {type(leaf).__name__}"
                + (f" at {path}" if path else ""),
                hint="return tensors, or tuples, lists and dicts of tensors",
            )
    return Traced(body, parameters, made, nest)


def _refuse_depth(fn: Any, outer: Graph | None, what: str) -> None:
    """Raise if a function lies inside of too many others: mostly it is one that calls itself."""
    depth = 0
    while isinstance(outer, Body):
        outer, depth = outer.outer, depth + 1
    if depth >= DEEPEST:
        raise GraphError(
            f"{described(what, function_name(fn, what))} lies inside of {depth} other branches and loops",
            hint="all branches are always built, so a function that calls itself in one never ends: "
            "gf.while_loop repeats",
        )


def require_callable(fn: Any, count: int, what: str) -> None:
    """Raise unless it is a function that takes so many arguments, as far as Python can tell."""
    if not callable(fn):
        raise AttributeValueError(f"{what} is {fn!r:.80}, which cannot be called", hint="pass a function")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # what is written in C may not say what it takes
        return
    try:
        signature.bind(*[None] * count)
    except TypeError as error:
        told = described(what, function_name(fn, what))
        raise AttributeValueError(
            f"{told} is called with {count} argument{'s' * (count != 1)}, but takes {signature!s:.100}",
            hint="several tensors that stand for one argument, such as a carry, are one tuple",
        ) from error


def function_name(fn: Any, default: str) -> str:
    """The name of a function, if it has one that says something."""
    name = getattr(fn, "__name__", "")
    return name if name.isidentifier() else default.replace(" ", "_")


def described(what: str, name: str) -> str:
    """What errors call a function: its part in the call, and its own name where it has another."""
    return what if name == what.replace(" ", "_") else f"{what} ({name})"


def share_captures(traced: Sequence[Traced]) -> tuple[list[Tensor], list[list[Tensor]]]:
    """What several bodies capture, together, and for each body the parameters that stand for it."""
    outer = list(dict.fromkeys(tensor for one in traced for tensor in one.body.captured()[0]))
    rows = []
    for one in traced:
        known = dict(zip(*one.body.captured()))
        rows.append(
            [
                known[tensor] if tensor in known else one.body.parameter(tensor.type, "unused")
                for tensor in outer
            ]
        )
    return outer, rows

"""Fed axes: a call whose axis is known only when it is fed becomes a choice among the calls for each axis.

    gf.sum(x, axis=axis)     is     gf.sum(x, axis=0) or gf.sum(x, axis=1), as `axis` is fed

The choice is a `static_case`, made before anything is compiled; so a session compiles for each axis that
is fed, as it does for each size.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphflow.errors import AxisNotKnown, GraphFlowError
from graphflow.ir.builder import builder_for, several
from graphflow.ir.dims import Dim
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ops.composite import composite
from graphflow.ops.inference import known
from graphflow.ops.tracing import Traced, function_name, share_captures, trace

MOST_CHOICES = 512
"""Combinations of axes that are tried; a call with more is refused."""

_NAMES = frozenset({"axis", "axes", "axis1", "axis2", "source", "destination", "start_axis", "end_axis"})


@composite
def for_axis(function: Callable[..., Any], *operands: Any, axis: Any) -> Any:
    """What a function makes of tensors and an axis that may be fed: y = function(*operands, axis=axis).

    Most calls take a fed axis as they are. This is for computations of several calls whose shapes have
    to fit one another, as x - mean(x), which broadcasts along the axis.

    Arguments:
        function: of the operands and the keyword `axis`, an int; called once for each axis there can be,
            from 0 to the largest rank of the operands. The results of all have the same rank.
        operands: tensors.
        axis: an int, an integer scalar whose value is known while building, or a placeholder of one; or
            several, as a tuple or a vector.

    Raises:
        AttributeValueError: if no axis would do, with what the function says of the first.

    >>> import graphflow as gf
    >>> x, axis = gf.placeholder("x", (2, 3)), gf.placeholder("axis", (), gf.int32)
    >>> y = gf.for_axis(lambda x, axis: x - gf.mean(x, axis=axis, keepdims=True), x, axis=axis)
    >>> gf.Session(backend="numpy").run(y, {x: [[1, 2, 3], [4, 5, 9]], axis: -1}).tolist()
    [[-1.0, 0.0, 1.0], [-2.0, -1.0, 3.0]]
    """
    listed = known(axis) if isinstance(axis, Tensor) else axis
    entries = [known(entry) for entry in (listed if isinstance(listed, (tuple, list)) else (listed,))]
    if not any(isinstance(entry, Dim) for entry in entries):
        return function(*operands, axis=tuple(entries) if _is_several(axis) else entries[0])

    def for_each(*operands: Any, axis: Any) -> Any:
        return function(*operands, axis=axis)

    for_each.__name__ = function_name(function, "for_axis")
    refused = AxisNotKnown(f"{for_each.__name__} can have none of the axes that might be fed")
    return call_for_each_axis(for_each, operands, {"axis": axis}, refused)


def call_for_each_axis(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], refused: AxisNotKnown
) -> Any:
    """What a call gives that was refused because an axis is known only when it is fed.

    Raises:
        AxisNotKnown: the given one, where no argument is such an axis, or no axis would do.
    """
    bound = _bound(function, args, kwargs)
    places = dict(_fed_entries(bound.arguments))
    selector = [entry for entries in places.values() for entry in entries if isinstance(entry, Dim)]
    most = _rank(bound.arguments.values()) + len(selector)
    if not selector or most ** len(selector) > MOST_CHOICES:
        raise refused
    graph = builder_for(_tensors(bound.arguments.values())).graph
    with graph.attempt():
        rows: list[tuple[tuple[int, ...], Traced]] = []
        refusals: list[GraphFlowError] = []
        for choice in itertools.product(range(most), repeat=len(selector)):
            call = _Call(function, bound, places, choice)
            try:
                rows.append((choice, trace(call, graph, [], [], call.__name__)))
            except GraphFlowError as error:
                refusals.append(error)  # not an axis that this call can have
        if not rows:
            raise refusals[0]
        if any(len(one.leaves) != len(rows[0][1].leaves) for _, one in rows):
            raise refused
        traced = [one for _, one in rows]
        results = [one.tensors([None] * len(one.leaves)) for one in traced]
        outer, captured = share_captures(traced)
        bodies = tuple(one.body.close(made, inner) for one, made, inner in zip(traced, results, captured))
        made = builder_for(outer).static_case(
            *outer,
            selector=tuple(selector),
            choices=tuple([choice for choice, _ in rows]),
            period=1 + max(itertools.chain.from_iterable(choice for choice, _ in rows)),
            branches=bodies,
            name=bound.arguments.get("name") or function.__name__,
        )
    return traced[0].nest.build(several(made))


class _Call:
    """The call with numbers in the place of its fed axes."""

    def __init__(
        self,
        function: Callable[..., Any],
        bound: inspect.BoundArguments,
        places: Mapping[str, Sequence[Any]],
        choice: Sequence[int],
    ) -> None:
        numbers = iter(choice)
        self.arguments = dict(bound.arguments)
        for name, entries in places.items():
            filled = tuple([next(numbers) if isinstance(entry, Dim) else entry for entry in entries])
            self.arguments[name] = filled if _is_several(bound.arguments[name]) else filled[0]
        self.function, self.signature = function, bound.signature
        self.__name__ = function.__name__

    def __call__(self) -> Any:
        again = inspect.BoundArguments(self.signature, self.arguments)
        return self.function(*again.args, **again.kwargs)


def _bound(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    signature = inspect.signature(function.reference if isinstance(function, OpDef) else function)
    if isinstance(function, OpDef) and "name" not in signature.parameters:
        name = inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default=None)
        signature = signature.replace(parameters=[*signature.parameters.values(), name])
    return signature.bind(*args, **kwargs)


def _fed_entries(arguments: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The arguments that are axes and hold a size which is known only when it is fed, with their entries."""
    for name, value in arguments.items():
        if name not in _NAMES:
            continue
        plain = known(value)
        listed = tuple([known(entry) for entry in plain]) if isinstance(plain, (tuple, list)) else (plain,)
        if any(isinstance(entry, Dim) for entry in listed):
            yield name, listed


def _is_several(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, Tensor) and value.type.rank > 0)


def _tensors(values: Any) -> list[Tensor]:
    """The tensors among arguments, those in lists too."""
    found: list[Tensor] = []
    pending = list(values)[::-1]
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            pending += reversed(value)
    return found


def _rank(values: Any) -> int:
    return max([tensor.type.rank for tensor in _tensors(values)], default=0)


OpDef.for_each_axis = staticmethod(call_for_each_axis)

"""NumpyExecutable: a program as a flat list of steps over slots, each value freed after its last use.

Results are arrays of their own: what a reference returns may be an argument, a constant or a view
of either, and such a value is copied before it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from graphflow.errors import BackendError, GraphFlowError
from graphflow.ir import dims
from graphflow.ir.attrs import substitute_dims
from graphflow.ir.data import as_result
from graphflow.ir.dims import Dim
from graphflow.ir.found_sizes import found_in
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import Shape
from graphflow.optimizer.program import Program

_OUTSIDE = ("placeholder", "variable", "session_key")


@dataclass(slots=True)
class Step:
    """One node to run: the slots it reads and writes, and those that are free afterwards.

    `needs` are the names of sizes in its attributes that are known only when other steps have run.
    """

    node: Node
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    frees: tuple[int, ...]
    needs: tuple[str, ...]


class NumpyExecutable:
    """A program that runs by the references of its operators.

    Attributes:
        program: what it runs.
        updated, kept: names of the variables it updates, and of those it only reads.
        uses_key: whether random operators need the session's key.
    """

    def __init__(self, program: Program) -> None:
        order = program.order()
        self.program = program
        self.updated = tuple(program.updated)
        read = {node.name: node.output for node in order if node.op.name == "variable"}
        self.kept = tuple(name for name in read if name not in set(self.updated))
        keys = [node.output for node in order if node.op.name == "session_key"]
        self.uses_key = bool(keys)
        _check_sources(program, order)
        self._slots: dict[Tensor, int] = {}
        slot = self._slot
        self._feeds = [slot(tensor) for tensor in program.feeds]
        self._updated = [slot(read[name]) if name in read else None for name in self.updated]
        self._kept = [slot(read[name]) for name in self.kept]
        self._keys = [slot(tensor) for tensor in keys]
        self._steps = self._plan(order)
        self._outputs = [slot(tensor) for tensor in program.outputs]

    def __call__(
        self, updated: Sequence[Any], kept: Sequence[Any], feeds: Sequence[Any], key: np.ndarray | None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Run once: (values of `updated`, of `kept`, feeds in program order, the session's key) ->
        (fetches, new values of `updated`), arrays that alias neither the arguments nor one another.

        Raises:
            BackendError: if an operator fails, naming the node and the user's line.
        """
        values: list[Any] = [None] * len(self._slots)
        arguments = [
            *zip(self._feeds, feeds, strict=True),
            *zip(self._updated, updated, strict=True),
            *zip(self._kept, kept, strict=True),
            *((slot, key) for slot in self._keys),
        ]
        for slot, value in arguments:
            if slot is not None:
                values[slot] = np.asarray(value)
        taken = {id(value) for value in values if value is not None}
        found: dict[str, int] = {}
        with np.errstate(all="ignore"):
            for step in self._steps:
                _run(step, values, found)
        results = [_owned(values[slot], taken) for slot in self._outputs]
        count = self.program.fetch_count
        return results[:count], results[count:]

    def memory(self) -> dict[str, int]:
        """{}: NumPy does not say."""
        return {}

    def _slot(self, tensor: Tensor) -> int:
        return self._slots.setdefault(tensor, len(self._slots))

    def _plan(self, order: Sequence[Node]) -> list[Step]:
        nodes = _after_their_sizes([node for node in order if node.op.name not in _OUTSIDE])
        last = {tensor: position for position, node in enumerate(nodes) for tensor in node.inputs}
        steps = []
        kept = set(self.program.outputs)
        for position, node in enumerate(nodes):
            reads = tuple([self._slot(tensor) for tensor in node.inputs])
            writes = tuple([self._slot(tensor) for tensor in node.outputs])
            done = {tensor: None for tensor in node.inputs if last[tensor] == position}
            done.update((tensor, None) for tensor in node.outputs if tensor not in last)
            frees = tuple([self._slot(tensor) for tensor in done if tensor not in kept])
            steps.append(Step(node, reads, writes, frees, _needed_sizes(node)))
        return steps


def _needed_sizes(node: Node) -> tuple[str, ...]:
    """The found sizes in the attributes of a node, but for one that it finds itself."""
    own = dims.symbols(node.attrs["size"]) if node.op.finds_size else ()
    return tuple(dict.fromkeys(name for name in found_in(node) if name not in own))


def _after_their_sizes(nodes: list[Node]) -> list[Node]:
    """The nodes, those that need a found size put off until it is found."""
    if not any(_needed_sizes(node) for node in nodes):
        return nodes
    made: list[Node] = []
    found: set[str] = set()
    known = {tensor for node in nodes for tensor in node.outputs}
    waiting = nodes
    while waiting:
        later: list[Node] = []
        for node in waiting:
            ready = found.issuperset(_needed_sizes(node)) and not known.intersection(node.inputs)
            (made if ready else later).append(node)
            if ready:
                known.difference_update(node.outputs)
                found.update(found_in(node))
        if len(later) == len(waiting):
            raise BackendError(
                f"nothing finds the size {_needed_sizes(later[0])[:1]} of {later[0].name!r}",
                hint="fetch it together with what finds it",
                origin=later[0].origin,
            )
        waiting = later
    return made


def _check_sources(program: Program, order: Sequence[Node]) -> None:
    """Raise if the program reads a value from outside that no call passes in."""
    fed = {tensor.node for tensor in program.feeds}
    for node in order:
        outside = "nullary_input" in node.op.traits
        if outside and node not in fed and node.op.name not in ("variable", "session_key"):
            raise BackendError(
                f"the program needs {node.op.name} {node.name!r}, which is not among its feeds",
                hint="feed it",
                origin=node.origin,
            )


def _run(step: Step, values: list[Any], found: dict[str, int]) -> None:
    node = step.node
    attrs = substitute_dims(node.attrs, found) if step.needs else node.attrs
    try:
        made = node.op.reference(*[values[slot] for slot in step.reads], **attrs)
    except Exception as error:
        _blame(node, [values[slot] for slot in step.reads], error)
    results = made if isinstance(made, tuple) else (made,)
    if len(results) != len(step.writes):
        _wrong(node, f"{len(results)} values", f"{len(step.writes)}")
    for slot, tensor, value in zip(step.writes, node.outputs, results):
        array = as_result(value)
        declared = tensor.type
        if array.dtype != declared.dtype.numpy or (declared.is_static and array.shape != declared.shape):
            _wrong(node, f"{array.dtype}{list(array.shape)}", str(declared))
        if not declared.is_static:
            _find(declared.shape, array.shape, found)
        values[slot] = array
    for slot in step.frees:
        values[slot] = None


def _find(declared: Shape, actual: tuple[int, ...], found: dict[str, int]) -> None:
    """Remember the sizes that a result tells."""
    for size, number in zip(declared, actual):
        symbol = size.symbol if isinstance(size, Dim) else None
        if symbol is not None:
            found.setdefault(symbol.name, number)


def _blame(node: Node, arrays: Sequence[np.ndarray], error: Exception) -> NoReturn:
    if isinstance(error, GraphFlowError):
        raise error.located(origin=node.origin)
    rows = [
        (tensor.node.name, f"{array.dtype}{list(array.shape)}", tensor.node.op.name, tensor.node.origin)
        for tensor, array in zip(node.inputs, arrays)
    ]
    raise BackendError(
        f"{node.op.name} {node.name!r} failed while it ran: {type(error).__name__}: {error}",
        operands=rows,
        origin=node.origin,
        hint="check the values that are fed; gf.check_gradients and sess.run on its inputs narrow it down"
        if not isinstance(error, MemoryError)
        else "feed smaller batches, or fetch less in one run",
    ) from error


def _wrong(node: Node, got: str, declared: str) -> NoReturn:
    raise BackendError(
        f"the reference of {node.op.name} gave {got} at {node.name!r}, where {declared} is declared",
        hint="the operator's `infer` and its reference must agree",
        origin=node.origin,
    )


def _owned(value: np.ndarray, taken: set[int]) -> np.ndarray:
    """The array itself if it is fresh, whole and writeable and not given away yet, else a copy."""
    if value.flags.owndata and value.flags.writeable and id(value) not in taken:
        taken.add(id(value))
        return value
    return np.array(value, order="C", copy=True)

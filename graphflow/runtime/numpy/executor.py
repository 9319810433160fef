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
from graphflow.ir.data import as_result
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.program import Program

_OUTSIDE = ("placeholder", "variable", "session_key")


@dataclass(slots=True)
class Step:
    """One node to run: the slots it reads and writes, and those that are free afterwards."""

    node: Node
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    frees: tuple[int, ...]


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
        with np.errstate(all="ignore"):
            for step in self._steps:
                _run(step, values)
        results = [_owned(values[slot], taken) for slot in self._outputs]
        count = self.program.fetch_count
        return results[:count], results[count:]

    def memory(self) -> dict[str, int]:
        """{}: NumPy does not say."""
        return {}

    def _slot(self, tensor: Tensor) -> int:
        return self._slots.setdefault(tensor, len(self._slots))

    def _plan(self, order: Sequence[Node]) -> list[Step]:
        nodes = [node for node in order if node.op.name not in _OUTSIDE]
        last = {tensor: position for position, node in enumerate(nodes) for tensor in node.inputs}
        steps = []
        kept = set(self.program.outputs)
        for position, node in enumerate(nodes):
            reads = tuple([self._slot(tensor) for tensor in node.inputs])
            writes = tuple([self._slot(tensor) for tensor in node.outputs])
            done = {tensor: None for tensor in node.inputs if last[tensor] == position}
            done.update((tensor, None) for tensor in node.outputs if tensor not in last)
            frees = tuple([self._slot(tensor) for tensor in done if tensor not in kept])
            steps.append(Step(node, reads, writes, frees))
        return steps


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


def _run(step: Step, values: list[Any]) -> None:
    node = step.node
    try:
        made = node.op.reference(*[values[slot] for slot in step.reads], **node.attrs)
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
        values[slot] = array
    for slot in step.frees:
        values[slot] = None


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

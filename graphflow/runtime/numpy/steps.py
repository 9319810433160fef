"""A step of a NumPy program: one node, run by its operator's reference and checked against its types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from graphflow.errors import BackendError, GraphFlowError
from graphflow.ir.attrs import substitute_dims
from graphflow.ir.data import as_result
from graphflow.ir.dims import Dim
from graphflow.ir.node import Node
from graphflow.ir.types import Shape


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

    def run(self, values: list[Any], found: dict[str, int]) -> None:
        """Compute the node from the values of its inputs.

        Raises:
            BackendError: if the operator fails, naming the node and the user's line.
        """
        node = self.node
        attrs = substitute_dims(node.attrs, found) if self.needs else node.attrs
        try:
            made = node.op.reference(*[values[slot] for slot in self.reads], **attrs)
        except Exception as error:
            blame(node, [values[slot] for slot in self.reads], error)
        results = made if isinstance(made, tuple) else (made,)
        if len(results) != len(self.writes):
            _wrong(node, f"{len(results)} values", f"{len(self.writes)}")
        for slot, tensor, value in zip(self.writes, node.outputs, results):
            array = as_result(value)
            declared = tensor.type
            if array.dtype != declared.dtype.numpy or (declared.is_static and array.shape != declared.shape):
                _wrong(node, f"{array.dtype}{list(array.shape)}", str(declared))
            if not declared.is_static:
                remember_sizes(declared.shape, array.shape, found)
            values[slot] = array
        for slot in self.frees:
            values[slot] = None


def remember_sizes(declared: Shape, actual: tuple[int, ...], found: dict[str, int]) -> None:
    """Remember the sizes that a result tells."""
    for size, number in zip(declared, actual):
        symbol = size.symbol if isinstance(size, Dim) else None
        if symbol is not None:
            found.setdefault(symbol.name, number)


def blame(node: Node, arrays: Sequence[np.ndarray], error: Exception) -> NoReturn:
    """Raise the error of a node as one that names its operands and the user's line."""
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

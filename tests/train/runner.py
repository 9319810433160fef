"""Running updates by the operators' references: no session, optimizer or backend takes part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ops.declare import Update


class Runner:
    """The values of the variables of a graph, and runs that change them.

    Attributes:
        values: by variable; what has no array as initial value starts at zero.
    """

    def __init__(self, update: Update) -> None:
        self.update = update
        self.values: dict[Tensor, np.ndarray] = {}
        for tensor in update.graph.variables.values():
            array = tensor.node.attrs.initializer.array
            self.values[tensor] = np.zeros(tensor.shape, tensor.dtype.numpy) if array is None else array

    def step(self, feeds: Mapping[Tensor, Any] | None = None) -> None:
        """One run of the update."""
        new = evaluate([node.inputs[1] for node in self.update.assigns], {**self.values, **(feeds or {})})
        for tensor, value in zip(self.update.variables, new):
            assert value.dtype == tensor.dtype.numpy and value.shape == tensor.shape, tensor
            self.values[tensor] = value

    def of(self, tensors: Sequence[Tensor], feeds: Mapping[Tensor, Any] | None = None) -> list[np.ndarray]:
        """Present values of tensors."""
        return evaluate(tensors, {**self.values, **(feeds or {})})

"""Running a graph with symbolic sizes, as a session does: cut out, specialised to real sizes, evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.optimizer.program import extract, specialize


def run(tensors: Sequence[Tensor], feeds: Mapping[Tensor, np.ndarray], **sizes: int) -> list[np.ndarray]:
    """The values of the tensors for the given sizes; each must have the type that was foretold."""
    program = specialize(extract(tensors, feeds=list(feeds)), sizes)
    values = evaluate(program.outputs, dict(zip(program.feeds, feeds.values())))
    for tensor, value in zip(program.outputs, values):
        assert tensor.shape == value.shape, f"{tensor} turned out to have shape {value.shape}"
        assert tensor.dtype.numpy == value.dtype
    return values

"""NumpyBackend: the target that runs every operator, with nothing to install and nothing to compile."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.optimizer.memory.plan import MemoryPlan
from graphflow.optimizer.pipelines import level_pipeline
from graphflow.optimizer.program import Program
from graphflow.runtime.backend import CompileOptions
from graphflow.runtime.numpy.executor import NumpyExecutable


class NumpyBackend:
    """Runs programs by the operators' NumPy references.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> program = extract([gf.exp(gf.constant([0.0]))])
    >>> backend = NumpyBackend()
    >>> fetches, _ = backend.compile(program, CompileOptions())([], [], [], None)
    >>> fetches
    [array([1.], dtype=float32)]
    """

    name = "numpy"

    def compile(self, program: Program, options: CompileOptions) -> NumpyExecutable:
        """The program, ready to run; `options` have no effect, since memory is never donated here.

        Where the pass `place` has run, it runs inside one allocation, which is kept from run to run.

        Raises:
            BackendError: if the program reads a value that nothing passes in.
        """
        return NumpyExecutable(program)

    def memory_plan(self, program: Program) -> MemoryPlan | None:
        """The plan of the arena in which a program would run; None if it runs without one."""
        return NumpyExecutable(program).plan

    def pipeline(self, level: str) -> str:
        """The level's own pipeline; above O0, regions then run as loops over blocks, all in one arena."""
        return (
            level_pipeline(level)
            if level == "O0"
            else f"{level_pipeline(level)},fuse,schedule,in-place,place"
        )

    def refusal(self, node: Node) -> str | None:
        """None: every operator has a reference."""
        return None

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array, order="C", copy=True)

    def get(self, array: Any) -> np.ndarray:
        """A copy."""
        return np.array(array, copy=True)

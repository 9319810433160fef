"""Bm1684Backend: programs are compiled for the chip, and run in its simulator.

The values of variables become coefficients of the file, so that a program with variables is compiled when
their values are known: at its first run, and again when one has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.errors import BackendError
from graphflow.ir.node import Node
from graphflow.optimizer.pipelines import level_pipeline, optimize
from graphflow.optimizer.program import Program, specialize
from graphflow.runtime.backend import CompileOptions, require_support
from graphflow.runtime.bm1684.bmodel import BModel, Net
from graphflow.runtime.bm1684.compiler.driver import compile_program
from graphflow.runtime.bm1684.compiler.legalize import refused
from graphflow.runtime.bm1684.compiler.package import Compiled
from graphflow.runtime.bm1684.simulator import simulate

_GIVEN = ("placeholder", "constant", "variable")


class Bm1684Executable:
    """A program for the chip; see `graphflow.runtime.backend.Executable`.

    Attributes:
        program: what it runs.
        updated, kept: names of the variables it updates (none), and of those it reads.
        uses_key: False: there are no random operators.
    """

    updated: tuple[str, ...] = ()
    uses_key = False

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kept = tuple([node.name for node in program.order() if node.op.name == "variable"])
        self._values: list[Any] = []
        self._compiled: Compiled | None = None if self.kept else compile_program(program)

    def __call__(
        self, updated: Sequence[Any], kept: Sequence[Any], feeds: Sequence[Any], key: np.ndarray | None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Run once in the simulator.

        Raises:
            BackendError: if the program cannot be compiled for the chip.
        """
        compiled = self.compiled(kept)
        stage = compiled.stage
        given = {info.name: np.asarray(value) for info, value in zip(stage.inputs, feeds)}
        made = simulate(BModel((Net(self.program.name, (stage,)),)), given)
        return [made[info.name] for info in stage.outputs], []

    def compiled(self, kept: Sequence[Any]) -> Compiled:
        """The stage for these values of the variables."""
        same = len(self._values) == len(kept) and all(
            np.array_equal(old, new) for old, new in zip(self._values, kept)
        )
        if self._compiled is None or not same:
            values = dict(zip(self.kept, [np.array(value) for value in kept]))
            self._compiled = compile_program(with_weights(self.program, values))
            self._values = list(values.values())
        return self._compiled

    def memory(self) -> dict[str, int]:
        """Bytes of DDR by kind; {} before the first run of a program with variables."""
        if self._compiled is None:
            return {}
        ddr = self._compiled.ddr
        return {"coefficients": len(ddr.data), "context": ddr.context_bytes}


def with_weights(program: Program, values: dict[str, np.ndarray]) -> Program:
    """The program with the values of its variables in it, and simplified by what follows from them."""
    made = specialize(program, {}, values)
    return optimize(made, pipeline=Bm1684Backend().pipeline("O2"), refusal=Bm1684Backend().refusal)


class Bm1684Backend:
    """The BM1684 by its simulator; see `graphflow.runtime.backend.Backend`.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (1, 3, 4, 4))
    >>> y = gf.nn.relu(x)
    >>> with gf.Session(backend="bm1684") as sess:
    ...     float(sess.run(y, {x: -np.ones((1, 3, 4, 4), np.float32)}).max())
    0.0
    """

    name = "bm1684"
    simulated = True

    def compile(self, program: Program, options: CompileOptions) -> Bm1684Executable:
        """The program for the chip.

        Raises:
            BackendError: with every node that the chip cannot run, and why; for programs that update.
        """
        if program.updated:
            raise BackendError(
                f"the chip cannot update the variables {', '.join(program.updated[:4])}",
                hint="train on backend='jax', and run what was trained on the chip",
            )
        require_support(self, program)
        return Bm1684Executable(program)

    def pipeline(self, level: str) -> str:
        """The level's own, loops written out, and the expansion of what the chip has no commands for."""
        return f"{level_pipeline(level)},unroll,decompose"

    def refusal(self, node: Node) -> str | None:
        """Why the chip cannot run a node whatever its sizes are, or None."""
        if node.op.name in _GIVEN:
            return None
        found = refused(node)
        return None if found is None else found[0]

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array, order="C", copy=True)

    def get(self, array: Any) -> np.ndarray:
        """A copy."""
        return np.array(array, copy=True)

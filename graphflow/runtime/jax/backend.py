"""The JAX backend: a program becomes one function, compiled ahead of time by XLA for this machine.

Compiling happens under JAX's 64-bit switch, which is local to the thread, so that float64 and int64
are exact while the process-wide setting stays as it is. The compiled object is called outside of
the switch (entering it costs a fifth of a small call); only 64-bit feeds have to be placed under it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphflow.errors import BackendError, GraphFlowError
from graphflow.ir.found_sizes import found_in
from graphflow.ir.node import Node
from graphflow.ops.custom import CustomOp
from graphflow.optimizer.pipelines import level_pipeline
from graphflow.optimizer.program import Program
from graphflow.runtime.backend import CompileOptions, require_support
from graphflow.runtime.jax.cache import persistent_cache
from graphflow.runtime.jax.lower import Lowered, lower
from graphflow.runtime.jax.lowering import LOWERINGS, NO_DTYPE, NO_LOWERING

_OUTSIDE = frozenset({"nullary_input", "effect"})
_WIDE = frozenset(map(np.dtype, ("int64", "uint64", "float64", "complex128")))


class JaxExecutable:
    """A program compiled by XLA; see `graphflow.runtime.backend.Executable`.

    Attributes:
        flat: takes updated, kept, feeds and, if `uses_key`, the key as one flat list of arguments,
            and gives fetches and new values as one tuple.
    """

    __slots__ = ("_compiled", "_fetch_count", "_wide", "flat", "kept", "program", "updated", "uses_key")

    def __init__(self, program: Program, lowered: Lowered, compiled: Any) -> None:
        self.program = program
        self.updated = lowered.updated
        self.kept = lowered.kept
        self.uses_key = lowered.uses_key
        self._compiled = compiled
        self._fetch_count = program.fetch_count
        before = len(lowered.updated) + len(lowered.kept)
        self._wide = [before + index for index, feed in enumerate(program.feeds) if feed.dtype.numpy in _WIDE]
        call = _dispatcher(compiled)
        if lowered.constants:
            call = partial(call, *map(_place, lowered.constants))
        self.flat = self._placing(call) if self._wide else call

    def _placing(self, call: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """`call`, with 64-bit feeds that lie on the host placed under the 64-bit switch."""
        wide = self._wide

        def placing(*arguments: Any) -> Sequence[Any]:
            ready = list(arguments)
            for index in wide:
                if not isinstance(ready[index], jax.Array):
                    ready[index] = _place(ready[index])
            return call(*ready)

        return placing

    def __call__(
        self, updated: Sequence[Any], kept: Sequence[Any], feeds: Sequence[Any], key: np.ndarray | None
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Run once; returns as soon as the work is enqueued."""
        outputs = self.flat(*updated, *kept, *feeds, *([key] if self.uses_key else []))
        return outputs[: self._fetch_count], outputs[self._fetch_count :]

    def memory(self) -> dict[str, int]:
        """XLA's own numbers, in bytes: arguments, outputs, aliased (in both), temp, code."""
        analysis = self._compiled.memory_analysis()
        if analysis is None:
            return {}
        return {
            "arguments": analysis.argument_size_in_bytes,
            "outputs": analysis.output_size_in_bytes,
            "aliased": analysis.alias_size_in_bytes,
            "temp": analysis.temp_size_in_bytes,
            "code": analysis.generated_code_size_in_bytes,
        }

    def text(self) -> str:
        """The optimised HLO, in which `op_name` metadata carries the names of nodes."""
        return self._compiled.as_text()


class JaxBackend:
    """XLA through JAX, on the CPU or a GPU; see `graphflow.runtime.backend.Backend`."""

    name = "jax"

    def compile(self, program: Program, options: CompileOptions) -> JaxExecutable:
        """Compile ahead of time.

        Raises:
            BackendError: for operators without a lowering, and for failures of a lowering or of XLA,
                with the node and the user's line where they are known.
        """
        require_support(self, program)
        lowered = lower(program)
        first = len(lowered.constants)
        donated = tuple(range(first, first + len(lowered.updated))) if options.donate else ()
        arguments = [jax.ShapeDtypeStruct(kind.shape, kind.dtype.numpy) for kind in lowered.types]
        # An updated variable that is not read is an unused argument; it must stay one to be donated.
        jitted = jax.jit(lowered.function, donate_argnums=donated, keep_unused=True)
        try:
            with jax.enable_x64(True), persistent_cache(options.cache_dir):
                compiled = jitted.lower(*arguments).compile()
        except GraphFlowError:
            raise
        except Exception as error:
            raise BackendError(
                f"XLA cannot compile the program of {len(program)} nodes: {error}",
                hint="backend='numpy' runs the same graph without a compiler",
            ) from error
        return JaxExecutable(program, lowered, compiled)

    def pipeline(self, level: str) -> str:
        """The level's own pipeline, then the expansion of operators without a lowering.

        XLA fuses, tiles and schedules by itself.
        """
        return f"{level_pipeline(level)},decompose"

    def refusal(self, node: Node) -> str | None:
        """Why XLA cannot run a node: it has no lowering, or XLA lacks one of its dtypes."""
        for tensor in (*node.outputs, *node.inputs):
            if tensor.dtype.name in NO_DTYPE:
                return NO_DTYPE[tensor.dtype.name]
        if next(found_in(node), None) is not None:
            return "a size of it depends on values: pass size=, the most there can be"
        op = node.op
        if op.name in LOWERINGS or "jax" in op.lowerings or not _OUTSIDE.isdisjoint(op.traits):
            return None
        if not isinstance(op, CustomOp):
            return NO_LOWERING.get(op.name, "it has no JAX lowering")
        return op.refusal("jax")

    def put(self, array: np.ndarray) -> jax.Array:
        """A device array with a copy of a host array."""
        return _place(array)

    def get(self, array: Any) -> np.ndarray:
        """A host copy of a device array, which the caller may write to.

        To ask for the memory of a computation that has failed ends the process; to wait for it first
        raises the failure.
        """
        return np.array(array.block_until_ready())


def _dispatcher(compiled: Any) -> Callable[..., Sequence[Any]]:
    """The C++ function behind a compiled object, or the object itself where this JAX has none.

    `compiled(...)` is a Python method that calls it; on a call of 5 us that method costs 8 %.
    """
    try:
        found = compiled._executable.create_cpp_call(compiled._params)
    except (AttributeError, TypeError):
        return compiled
    return compiled if found is None else found


def _place(array: np.ndarray) -> jax.Array:
    """A device copy with exactly the dtype of the host array.

    `jax.device_put` would alias aligned NumPy memory on the CPU; `jnp.array` copies.
    """
    with jax.enable_x64(True):
        return jnp.array(array, copy=True)

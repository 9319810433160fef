"""The JAX backend: a program becomes one function, compiled ahead of time by XLA for this machine.

A program of very many nodes becomes several; see `graphflow.runtime.jax.segmented`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from graphflow.ir.found_sizes import found_in
from graphflow.ir.node import Node
from graphflow.ops.custom import CustomOp
from graphflow.optimizer.pipelines import level_pipeline
from graphflow.optimizer.preparation import prepare
from graphflow.optimizer.program import Program
from graphflow.runtime.backend import CompileOptions, require_support
from graphflow.runtime.jax import conv_timer
from graphflow.runtime.jax.calls import FlatCall, compile_function, dispatcher, memory_bytes, place, share
from graphflow.runtime.jax.fusion_barriers import repeated_values
from graphflow.runtime.jax.fusion_guard import compile_options
from graphflow.runtime.jax.kernels import library
from graphflow.runtime.jax.lower import Lowered, lower
from graphflow.runtime.jax.lowering import LOWERINGS, NO_DTYPE, NO_LOWERING
from graphflow.runtime.jax.prepared import PreparedExecutable, note_of
from graphflow.runtime.jax.segmented import SegmentedExecutable
from graphflow.runtime.segment import Segmentation, cut_program, program_weight

_WINOGRAD = {"O2": 0, "O3": 4}  # the largest tile of Winograd's algorithm, which loses digits and spreads NaN
_MOST_BYTES = (1 << 63) - 1
"""XLA ends the process where a size in bytes overflows."""
_OUTSIDE = frozenset({"nullary_input", "effect"})
_WIDE = frozenset(map(np.dtype, ("int64", "uint64", "float64", "complex128")))


class JaxExecutable(FlatCall):
    """A program compiled by XLA; see `graphflow.runtime.backend.Executable`.

    Attributes:
        flat: takes updated, kept, feeds and, if `uses_key`, the key as one flat list of arguments,
            and gives fetches and new values as one tuple.
    """

    __slots__ = ("_compiled", "_wide", "flat", "kept", "program", "updated", "uses_key")

    def __init__(self, program: Program, lowered: Lowered, compiled: Any) -> None:
        self.program = program
        self.updated = lowered.updated
        self.kept = lowered.kept
        self.uses_key = lowered.uses_key
        self._compiled = compiled
        before = len(lowered.updated) + len(lowered.kept)
        self._wide = [before + index for index, feed in enumerate(program.feeds) if feed.dtype.numpy in _WIDE]
        call = dispatcher(compiled)
        if lowered.constants:
            call = partial(call, *map(share, lowered.constants))
        self.flat = self._placing(call) if self._wide else call

    def _placing(self, call: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """`call`, with 64-bit feeds that lie on the host placed under the 64-bit switch."""
        wide = self._wide

        def placing(*arguments: Any) -> Sequence[Any]:
            ready = list(arguments)
            for index in wide:
                if not isinstance(ready[index], jax.Array):
                    ready[index] = place(ready[index])
            return call(*ready)

        return placing

    def memory(self) -> dict[str, int]:
        """XLA's own numbers, in bytes: arguments, outputs, aliased (in both), temp, code."""
        return memory_bytes(self._compiled)

    def text(self) -> str:
        """The optimised HLO, in which `op_name` metadata carries the names of nodes."""
        return self._compiled.as_text()


class JaxBackend:
    """XLA through JAX, on the CPU or a GPU; see `graphflow.runtime.backend.Backend`."""

    name = "jax"

    prepares = True
    """Whether what is made of weights alone is computed once; see `graphflow.optimizer.preparation`."""

    def compile(
        self, program: Program, options: CompileOptions
    ) -> JaxExecutable | SegmentedExecutable | PreparedExecutable:
        """Compile ahead of time: as one function, or as several if the program has too many nodes for one.

        What a program makes of its steady variables alone becomes a function of its own.

        Raises:
            BackendError: for operators without a lowering, and for failures of a lowering or of XLA,
                with the node and the user's line where they are known.
        """
        require_support(self, program)
        parts = prepare(program)
        if parts is not None:
            made = [self.compile(part, options) for part in (parts.first, parts.rest)]
            return PreparedExecutable(program, parts, *made)
        cut = _segmentation(program, options)
        if cut is not None:
            return SegmentedExecutable(cut, options)
        separated = repeated_values(program)
        lowered = lower(program, separated)
        first = len(lowered.constants)
        donated = range(first, first + len(lowered.updated)) if options.donate else ()
        what = f"the program of {len(program)} nodes"
        further = compile_options(program, bool(separated))
        compiled = compile_function(
            lowered.function, lowered.types, donated, options.cache_dir, what, further
        )
        return JaxExecutable(program, lowered, compiled)

    def compilation_note(self, program: Program, options: CompileOptions) -> str:
        """What the program prepares, and how it will be cut into how many segments of which kinds; or ""."""
        parts = prepare(program)
        cut = _segmentation(program if parts is None else parts.rest, options)
        notes = ["" if parts is None else note_of(parts), "" if cut is None else cut.note]
        return ", ".join(filter(None, notes))

    def pipeline(self, level: str) -> str:
        """The level's own pipeline, the layout of convolutions and products, and the expansion of what has no
        lowering.

        XLA fuses and tiles by itself; regions are found to be named in reports, and do not bind the order in
        which nodes are emitted, which XLA may change once more. On the CPU it does not choose how to compute
        convolutions and products of few rows, which the passes `layout` and `product-layout` do; on a GPU
        its libraries choose, and they stay as they are.
        """
        steps = [level_pipeline(level), "decompose"]
        if level in _WINOGRAD and jax.default_backend() == "cpu":
            # Two loops over the same rows take XLA an eighth less time than one with both bodies.
            steps[0] = steps[0].replace("control-flow", "control-flow{beside=false}")
            timer = f",timer={conv_timer.NAME}" if conv_timer.is_on() else ""
            kernels = not library.missing()
            packed = ",packed=true" if kernels else ""
            steps[1:1] = [f"layout{{winograd={_WINOGRAD[level]}{packed}{timer}}}", "scan-sums"]
            if kernels:
                steps += [f"pack-weights{{lanes={library.machine().lanes}}}"]
            steps += ["product-layout"]
        if level != "O0":
            steps += ["fuse", "schedule{regions=false}", "in-place"]
        return ",".join(steps)

    def refusal(self, node: Node) -> str | None:
        """Why XLA cannot run a node: it has no lowering, a type that XLA lacks, or no fixed size."""
        for tensor in (*node.outputs, *node.inputs):
            if tensor.dtype.name in NO_DTYPE:
                return NO_DTYPE[tensor.dtype.name]
        for tensor in node.outputs:
            size = tensor.type.nbytes
            if isinstance(size, int) and size > _MOST_BYTES:
                return f"{tensor.type} has {size} bytes, more than 64 bits count"
        op = node.op
        if op.finds_size and op.name in NO_LOWERING:
            return NO_LOWERING[op.name]
        if next(found_in(node), None) is not None:
            return "a size of it depends on values: pass size=, the most there can be"
        if op.name in LOWERINGS or "jax" in op.lowerings or not _OUTSIDE.isdisjoint(op.traits):
            return None
        if not isinstance(op, CustomOp):
            return NO_LOWERING.get(op.name, "it has no JAX lowering")
        return op.refusal("jax")

    def kernel_of(self, node: Node) -> str:
        """What runs a node, where it is not XLA alone; else ""."""
        if node.op.name == "packed_conv" and not library.missing():
            return "a kernel of machine code that multiplies by packed weights"
        return ""

    def put(self, array: np.ndarray) -> jax.Array:
        """A device array with a copy of a host array."""
        return place(array)

    def get(self, array: Any) -> np.ndarray:
        """A host copy of a device array, which the caller may write to.

        To ask for the memory of a computation that has failed ends the process; to wait for it first
        raises the failure.
        """
        return np.array(array.block_until_ready())


def _segmentation(program: Program, options: CompileOptions) -> Segmentation | None:
    """How a program is cut, or None if it is compiled as one."""
    most = options.segment_nodes
    if most is None or program_weight(program) <= most:
        return None
    cut = cut_program(program, max(1, most // 2), options.donate)
    return cut if len(cut.segments) > 1 else None

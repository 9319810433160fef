"""Compiling one JAX function ahead of time for given types, and calling what comes of it.

Compiling happens under JAX's 64-bit switch, which is local to the thread, so that float64 and int64
are exact while the process-wide setting stays as it is. The compiled object is called outside of
the switch (entering it costs a fifth of a small call); only 64-bit feeds have to be placed under it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphflow.errors import BackendError, GraphFlowError
from graphflow.ir.types import TensorType
from graphflow.optimizer.program import Program
from graphflow.runtime.jax.cache import persistent_cache

Call = Callable[..., Sequence[Any]]


class FlatCall(ABC):
    """What runs by one call with a flat list of arguments; see `graphflow.runtime.backend.Executable`.

    Attributes:
        updated, kept: names of variables, in the order of arguments.
        flat: (updated, kept, feeds, the key if it is used) -> (fetches, new values), both flat.
    """

    __slots__ = ()

    program: Program
    updated: tuple[str, ...]
    kept: tuple[str, ...]
    uses_key: bool
    flat: Call

    def __call__(
        self, updated: Sequence[Any], kept: Sequence[Any], feeds: Sequence[Any], key: np.ndarray | None
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Run once; returns as soon as the work is enqueued."""
        outputs = self.flat(*updated, *kept, *feeds, *([key] if self.uses_key else []))
        count = self.program.fetch_count
        return outputs[:count], outputs[count:]

    @abstractmethod
    def memory(self) -> dict[str, int]:
        """XLA's own numbers, in bytes."""

    @abstractmethod
    def text(self) -> str:
        """The optimised HLO."""


def compile_function(
    function: Call,
    types: Sequence[TensorType],
    donated: Sequence[int],
    cache_dir: str | None,
    what: str,
    options: Mapping[str, str | bool] | None = None,
) -> Any:
    """The executable of a traceable function of arrays of these types.

    Arguments:
        donated: the positions of arguments whose memory it may take over.
        cache_dir: a folder that keeps compiled programs between processes, or None.
        what: names the function in errors.
        options: what XLA is told besides.

    Raises:
        BackendError: for failures of a lowering or of XLA.
    """
    arguments = [jax.ShapeDtypeStruct(kind.shape, kind.dtype.numpy) for kind in types]
    # An updated variable that is not read is an unused argument; it must stay one to be donated.
    jitted = jax.jit(function, donate_argnums=tuple(donated), keep_unused=True)
    try:
        with jax.enable_x64(True), persistent_cache(cache_dir):
            return jitted.lower(*arguments).compile(compiler_options=dict(options) if options else None)
    except GraphFlowError:
        raise
    except Exception as error:
        raise BackendError(
            f"XLA cannot compile {what}: {error}",
            hint="backend='numpy' runs the same graph without a compiler",
        ) from error


def tried(function: Callable[..., Any], options: Mapping[str, str | bool]) -> str:
    """What XLA:CPU makes of a function of one number; "" on other targets, and where an option is unknown."""
    if jax.default_backend() != "cpu":
        return ""
    try:
        lowered = jax.jit(function).lower(jax.ShapeDtypeStruct((), np.float32))
        return str(lowered.compile(compiler_options=dict(options)).as_text())
    except Exception:  # whatever a jaxlib says that has no such option
        return ""


def dispatcher(compiled: Any) -> Call:
    """The C++ function behind a compiled object, or the object itself where this JAX has none.

    `compiled(...)` is a Python method that calls it; on a call of 5 us that method costs 8 %.
    """
    try:
        found = compiled._executable.create_cpp_call(compiled._params)
    except (AttributeError, TypeError):
        found = None
    call: Call = compiled if found is None else found
    return call


def memory_bytes(compiled: Any) -> dict[str, int]:
    """XLA's own numbers, in bytes: arguments, outputs, aliased (in both), temp, code; {} if it has none."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return {}
    return {
        "arguments": analysis.argument_size_in_bytes,
        "outputs": analysis.output_size_in_bytes,
        "aliased": analysis.alias_size_in_bytes,
        "temp": analysis.temp_size_in_bytes,
        "code": analysis.generated_code_size_in_bytes,
    }


def place(array: np.ndarray) -> jax.Array:
    """A device copy with exactly the dtype of the host array.

    `jax.device_put` would alias aligned NumPy memory on the CPU; `jnp.array` copies.
    """
    with jax.enable_x64(True):
        return jnp.array(array, copy=True)


def share(array: np.ndarray) -> jax.Array:
    """A device array of a constant: on the CPU the same memory if that is aligned, elsewhere one copy."""
    with jax.enable_x64(True):
        return jax.device_put(array)

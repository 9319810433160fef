"""A program as a serialised jax.export: StableHLO that any JAX of the next months runs, without GraphFlow.

It is a function  (weights, inputs) -> outputs,  each a dict of arrays by name. Weights either stay arguments,
and lie in a file of their own, or become part of it, where large constants always are.

Source: https://docs.jax.dev/en/latest/export, "Compatibility guarantees".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import export

from graphflow.errors import BackendError, GraphFlowError, SessionError
from graphflow.ir.dims import symbols
from graphflow.optimizer.program import Program
from graphflow.runtime.jax.kernels import library
from graphflow.runtime.jax.lower import lower
from graphflow.runtime.jax.symbolic_sizes import sized, symbolic, using

_GIVE = "what it needs does not work for symbolic sizes: give their values, sizes={...}"


@dataclass(frozen=True)
class Form:
    """How a program is exported.

    Attributes:
        inputs, outputs: names for the program's feeds and fetches, in their order.
        platforms: "cpu", "cuda", "rocm", "tpu".
        gradient: whether a function for its products with Jacobians, transposed, is exported with it.
        weights: those that become part of it, by name; the others stay arguments.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    platforms: Sequence[str]
    gradient: bool
    weights: Mapping[str, np.ndarray]


def serialized(program: Program, form: Form) -> bytes:
    """The bytes for a program, whose unknown sizes stay so.

    Raises:
        SessionError: if it draws random numbers, for which nobody gives a key.
        BackendError: for failures of a lowering or of JAX.
    """
    found = {
        name: symbol
        for feed in program.feeds
        for size in feed.shape
        for name, symbol in symbols(size).items()
    }
    try:
        with jax.enable_x64(True), using(symbolic(found.values())), library.left_out():
            function, weights, feeds = _function(program, form)
            made = export.export(jax.jit(function), platforms=tuple(form.platforms))(weights, feeds)
            return bytes(made.serialize(vjp_order=1 if form.gradient else 0))
    except BackendError as error:
        error.hint = _GIVE if found else error.hint
        raise
    except GraphFlowError:
        raise
    except Exception as error:
        raise BackendError(
            f"JAX cannot export the program of {len(program)} nodes: {error!s:.2000}",
            hint=_GIVE if found else "export it as ONNX instead",
        ) from error


def _function(program: Program, form: Form) -> tuple[Any, Any, Any]:
    """The function of two dicts, and their types."""
    lowered = lower(program)
    if lowered.uses_key:
        raise SessionError(
            "the model draws random numbers, and an export has no seed",
            hint="make them an input of the model",
        )
    types = [
        jax.ShapeDtypeStruct(sized(kind.shape), kind.dtype.numpy)
        for kind in lowered.types[len(lowered.constants) :]
    ]
    count = len(lowered.kept)
    weights = {name: kind for name, kind in zip(lowered.kept, types) if name not in form.weights}
    feeds = dict(zip(form.inputs, types[count:]))

    def graphflow_program(weights: dict[str, Any], feeds: dict[str, Any]) -> dict[str, Any]:
        # JAX hands dicts over in the order of their names, so the names say which is which.
        known = {**form.weights, **weights}
        kept = [known[name] for name in lowered.kept]
        given = [feeds[name] for name in form.inputs]
        return dict(zip(form.outputs, lowered.function(*lowered.constants, *kept, *given)))

    return graphflow_program, weights, feeds

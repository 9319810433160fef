"""A program as a serialised jax.export: StableHLO that any JAX of the next months runs, without GraphFlow.

Weights stay arguments, so that they are in the file of weights alone:  (weights, inputs) -> outputs, each a
dict of arrays by name.

Source: https://docs.jax.dev/en/latest/export, "Compatibility guarantees".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax import export

from graphflow.errors import BackendError, GraphFlowError, SessionError
from graphflow.optimizer.program import Program
from graphflow.runtime.jax.lower import lower


def serialized(
    program: Program, inputs: Sequence[str], outputs: Sequence[str], platforms: Sequence[str]
) -> bytes:
    """The bytes for a program with static shapes.

    Arguments:
        inputs, outputs: names for the program's feeds and fetches, in their order.
        platforms: "cpu", "cuda", "rocm", "tpu".

    Raises:
        SessionError: if it draws random numbers, for which nobody gives a key.
        BackendError: for failures of a lowering or of JAX.
    """
    lowered = lower(program)
    if lowered.uses_key:
        raise SessionError(
            "the model draws random numbers, and an export has no seed",
            hint="make them an input of the model",
        )
    first = len(lowered.constants)
    types = [jax.ShapeDtypeStruct(kind.shape, kind.dtype.numpy) for kind in lowered.types[first:]]
    weights = dict(zip(lowered.kept, types))
    feeds = dict(zip(inputs, types[len(lowered.kept) :]))

    def function(weights: dict[str, Any], feeds: dict[str, Any]) -> dict[str, Any]:
        kept = [weights[name] for name in lowered.kept]
        return dict(zip(outputs, lowered.function(*lowered.constants, *kept, *feeds.values())))

    try:
        with jax.enable_x64(True):
            # JAX hands dicts over in the order of their names, so the names say which is which.
            made = export.export(
                jax.jit(lambda weights, named: function(weights, {name: named[name] for name in inputs})),
                platforms=tuple(platforms),
            )(weights, feeds)
            return bytes(made.serialize())
    except GraphFlowError:
        raise
    except Exception as error:
        raise BackendError(
            f"JAX cannot export the program of {len(program)} nodes: {error}",
            hint="export it as ONNX instead: exports={'model.onnx': None}",
        ) from error

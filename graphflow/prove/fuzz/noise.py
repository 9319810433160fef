"""Which differences rounding explains: the graph is run several times with every rounding error drawn anew.

Each float that an operator computes is moved by a few units in the last place, at random, as in stochastic
arithmetic (Vignes 1993, CESTAC; Parker 1997, Monte Carlo arithmetic). By how much a result moves then says
what its digits are worth: a sum that cancels, a comparison at a tie and a large slope show by themselves,
and no tolerance has to be guessed for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphflow.ir.interpret import run_node
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.closeness import Distance
from graphflow.optimizer.nonfinite import is_finite
from graphflow.optimizer.program import Program

SAMPLES = 12
MARGIN = 50.0
"""A difference of up to so many times what the noise makes is put down to rounding."""

_ULPS = 4.0
_BITS = {"float16": 10, "float32": 23, "float64": 52, "complex64": 23, "complex128": 52}
_EXACT = frozenset(("astype", "floor", "ceil", "round", "sign", "where", "max", "min", "maximum", "minimum"))


def explained(
    program: Program, outside: Mapping[Tensor, Any], tensor: str, found: Distance, samples: int = SAMPLES
) -> bool:
    """Whether rounding may have made a difference of that size at a tensor.

    Arguments:
        program: with static sizes, as it was built.
        outside: the values of its feeds, variables and key.
        tensor: its name in the program.
    """
    base = _value(program, outside, tensor, None)
    if base is None:
        return False
    spread = 0.0
    for seed in range(samples):
        moved = _value(program, outside, tensor, np.random.default_rng(seed))
        if moved is None or moved.dtype.kind in "biu":
            if moved is not None and not np.array_equal(base, moved):
                return True
            continue
        with np.errstate(all="ignore"):
            if not np.array_equal(np.isfinite(base), np.isfinite(moved)):
                return True
            apart = np.abs(moved.astype(np.complex128) - base.astype(np.complex128))
        spread = max(spread, float(np.nanmax(apart, initial=0.0)))
    return bool(found.absolute <= MARGIN * spread) and np.isfinite(found.ulps)


def _value(
    program: Program, outside: Mapping[Tensor, Any], name: str, rng: np.random.Generator | None
) -> np.ndarray | None:
    """The value of a tensor, with noise if there is a generator; None if there is no such tensor."""
    values = {tensor: np.asarray(value) for tensor, value in outside.items()}
    base, _, index = name.partition(":")
    for node in program.order():
        if not all(tensor in values for tensor in node.outputs):
            made = run_node(node, [values[tensor] for tensor in node.inputs])
            values.update(zip(node.outputs, made if rng is None else _noisy(node, made, rng)))
        if node.name == base:
            return values[node.outputs[int(index or 0)]]
    return None


def _noisy(node: Node, made: tuple[np.ndarray, ...], rng: np.random.Generator) -> list[np.ndarray]:
    if not node.inputs or node.op.name in _EXACT or {"view", "injective"} & set(node.op.traits):
        return list(made)
    return [_moved(array, rng) for array in made]


def _moved(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An array with each of its floats moved by some units in the last place."""
    bits = _BITS.get(array.dtype.name)
    if bits is None or not is_finite(array):
        return array
    factors = 1.0 + rng.uniform(-_ULPS, _ULPS, array.shape) * 2.0**-bits
    with np.errstate(all="ignore"):
        return np.asarray(array * factors).astype(array.dtype)

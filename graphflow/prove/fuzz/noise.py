"""Which differences rounding explains: the graph is run several times with every rounding error drawn anew.

Each float that an operator computes is moved by a few units in the last place, at random, as in stochastic
arithmetic (Vignes 1993, CESTAC; Parker 1997, Monte Carlo arithmetic). By how much a result moves then says
what its digits are worth: a sum that cancels, a comparison at a tie and a large slope show by themselves,
and no tolerance has to be guessed for them. Zeros get either sign, so that what reads it (atan2) shows too,
and subnormal numbers become 0, as compiled code makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

Noise = Callable[[Node, np.ndarray], np.ndarray]
"""What becomes of an array that a node computes."""

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
    given = {one: _flushed(np.asarray(value)) for one, value in outside.items()}
    spread = 0.0
    for seed in range(samples):
        moved = _value(program, given, tensor, _rounded_anew(np.random.default_rng(seed)))
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


def hangs_on_nan(program: Program, outside: Mapping[Tensor, Any], tensor: str) -> bool:
    """Whether a tensor changes with the signs of NaN, which no rule and no operator promises to keep.

    Arguments:
        program, outside, tensor: as for `explained`.
    """
    plain = _value(program, outside, tensor, None)
    if plain is None:
        return False
    for noise in (_positive_nan, _negative_nan):
        other = _value(program, outside, tensor, noise)
        if other is not None and not np.all((plain == other) | ((plain != plain) & (other != other))):
            return True
    return False


def _value(
    program: Program, outside: Mapping[Tensor, Any], name: str, noise: Noise | None
) -> np.ndarray | None:
    """The value of a tensor, with noise if there is some; None if there is no such tensor."""
    values = {tensor: np.asarray(value) for tensor, value in outside.items()}
    base, _, index = name.partition(":")
    for node in program.order():
        if not all(tensor in values for tensor in node.outputs):
            made = run_node(node, [values[tensor] for tensor in node.inputs])
            if noise is not None and node.inputs and not {"view", "injective"} & set(node.op.traits):
                made = tuple([noise(node, array) for array in made])
            values.update(zip(node.outputs, made))
        if node.name == base:
            return values[node.outputs[int(index or 0)]]
    return None


def _rounded_anew(rng: np.random.Generator) -> Noise:
    """Each float moved by some units in the last place, and zeros of either sign."""

    def moved(node: Node, array: np.ndarray) -> np.ndarray:
        bits = _BITS.get(array.dtype.name)
        if bits is None or not is_finite(array):
            return array
        if node.op.name not in _EXACT:
            factors = 1.0 + rng.uniform(-_ULPS, _ULPS, array.shape) * 2.0**-bits
            with np.errstate(all="ignore"):
                array = np.asarray(array * factors).astype(array.dtype)
        array = _flushed(array)
        if array.dtype.kind == "c":
            return array
        signed = np.where(rng.random(array.shape) < 0.5, -array, array)
        return np.asarray(np.where(array == 0, signed, array)).astype(array.dtype)

    return moved


def _flushed(array: np.ndarray) -> np.ndarray:
    """The array with 0 for numbers below the smallest normal one, in float32 and float64."""
    if array.dtype.kind == "c":
        made = array.copy()
        made.real, made.imag = _flushed(array.real), _flushed(array.imag)
        return made
    if array.dtype.name not in ("float32", "float64"):
        return array
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, array * 0, array)


def _positive_nan(node: Node, array: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(array), np.abs(array), array) if array.dtype.kind == "f" else array


def _negative_nan(node: Node, array: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(array), -np.abs(array), array) if array.dtype.kind == "f" else array

"""Rules called exact keep the bits for every dtype that they admit, not for float32 alone."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import GraphFlowError
from graphflow.ir.dtypes import as_dtype
from graphflow.optimizer.program import Program
from tests.optimizer.rewriting import AWKWARD, build, rewrite, values
from tests.optimizer.rules import (
    test_bounds,
    test_canonical,
    test_cuts,
    test_movement,
    test_strength,
    test_totals,
    test_truth,
)
from tests.optimizer.rules.cases import Case, identify

FAMILIES = (test_bounds, test_canonical, test_cuts, test_movement, test_strength, test_totals, test_truth)
CASES = [case for family in FAMILIES for case in family.CASES if case.rule.safety == "exact"]
DTYPES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint64", "float16", "bfloat16", "float32",
    "float64", "complex64",
)  # fmt: skip


def _awkward(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Values at the ends of the dtype's range, and those that floats are special for."""
    rng, kind = np.random.default_rng(seed), as_dtype(dtype)
    if kind.kind in ("int", "uint"):
        limits = np.iinfo(kind.numpy)
        pool = [limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 2, 3, 7, 100]
        return rng.choice(np.array(pool, dtype=kind.numpy), size=shape)
    if kind.kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    with np.errstate(all="ignore"):
        if kind.kind == "complex":
            return (rng.choice(AWKWARD, shape) + 1j * rng.choice(AWKWARD, shape)).astype(kind.numpy)
        return np.where(rng.random(shape) < 0.3, rng.normal(size=shape), rng.choice(AWKWARD, shape)).astype(
            kind.numpy
        )


def _bits(array: np.ndarray) -> np.ndarray:
    """The array such that equal bits, and any two NaN, compare equal, and zeros by sign."""
    if array.dtype.kind in "biu":
        return array
    if array.dtype.kind == "c":
        return np.stack([_bits(array.real), _bits(array.imag)])
    wide = array.astype(np.float64)
    return np.where(np.isnan(wide), np.nan, wide) + 0j + 1j * np.signbit(np.where(np.isnan(wide), 0, wide))


def _built(text: str) -> Program | None:
    try:
        return build(text)
    except GraphFlowError:
        return None  # the operators do not take this dtype


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_bits_in_every_dtype(case: Case) -> None:
    header, _, body = case.before.partition("->")
    fired = 0
    for written in ("float32", "int32"):
        if written not in header:
            continue
        for dtype in DTYPES:
            text = header.replace(written, dtype) + "->" + body
            plain, program = _built(text), _built(text)
            if plain is None or program is None or not rewrite(program, [case.rule]).edits:
                continue
            fired += 1
            for seed in range(2):
                arrays = [
                    _awkward(
                        str(tensor.dtype), tuple(s if isinstance(s, int) else 3 for s in tensor.shape), seed
                    )
                    for tensor in plain.feeds
                ]
                with np.errstate(all="ignore"):
                    pairs = zip(values(program, arrays), values(plain, arrays))
                    for left, right in pairs:
                        assert left.dtype == right.dtype and left.shape == right.shape, dtype
                        np.testing.assert_array_equal(_bits(left), _bits(right), err_msg=dtype)
    assert fired or not any(name in header for name in ("float32", "int32"))

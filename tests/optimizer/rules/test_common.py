"""What rules share: conversions on the way, and numbers that a dtype holds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphflow.ir.dtypes import as_dtype, float16, float32
from graphflow.ops.casting import converted
from graphflow.optimizer.rules.common import is_held, passes_through

NARROW = ("bool", "int8", "uint8", "int16", "uint16", "float16", "bfloat16")
WIDE = ("int32", "uint32", "int64", "uint64", "float32", "float64", "complex64")
TARGETS = (*NARROW, *WIDE, "int4", "float8_e4m3fn", "string")


def _every_value(name: str) -> np.ndarray:
    dtype = as_dtype(name).numpy
    if name == "bool":
        return np.array([False, True])
    return np.arange(2 ** (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)


@pytest.mark.parametrize("source", NARROW)
def test_conversions_that_pass_through_change_nothing(source: str) -> None:
    values, found = _every_value(source), 0
    for between, target in itertools.product((*NARROW, *WIDE), TARGETS):
        kinds = [as_dtype(name) for name in (source, between, target)]
        if not passes_through(*kinds):
            continue
        chosen = values[::97] if target == "string" else values
        with np.errstate(all="ignore"):
            direct = converted(chosen, kinds[2])
            detour = converted(converted(chosen, kinds[1]), kinds[2])
            if direct.dtype.kind == "V":  # NumPy takes a NaN of bfloat16 for unequal
                direct, detour = direct.astype(np.float64), detour.astype(np.float64)
        found += 1
        np.testing.assert_array_equal(direct, detour, err_msg=f"{source} {between} {target}")
    assert found > 10


def test_numbers_that_float16_holds() -> None:
    assert [is_held(float16, number) for number in (2047, 2048, 2049, 65504, 65536)] == [
        True, True, False, True, False
    ]  # fmt: skip
    assert is_held(float32, 2**24) and not is_held(float32, 2**24 + 1)

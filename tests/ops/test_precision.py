"""16-bit floats are computed in float32 and rounded once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from graphflow.ir.opdef import registry
from graphflow.ops.precision import is_half, wide


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_types_are_recognised(dtype):
    assert is_half(np.dtype(dtype))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.bool_])
def test_other_types_are_left_alone(dtype):
    assert not is_half(np.dtype(dtype))


def test_the_inner_dtype_is_float32_and_the_result_is_rounded_back():
    seen = []

    def reference(x, y, factor=1):
        seen.append((x.dtype, y.dtype))
        return x * y * factor

    result = wide(reference)(np.full(2, 3, np.float16), np.full(2, 5, np.float16), factor=2)
    assert seen == [(np.float32, np.float32)]
    assert result.dtype == np.float16 and result.tolist() == [30, 30]


def test_a_boolean_result_stays_boolean():
    assert wide(lambda x: x > 0)(np.ones(2, np.float16)).dtype == np.bool_


@pytest.mark.parametrize("name", ["sum", "mean", "cumulative_sum", "prod", "exp", "softmax", "gelu"])
def test_operators_of_16_bit_floats_are_rounded_once(name):
    x = np.random.default_rng(0).uniform(0.5, 1.5, 300)
    attrs = {"sum": {"axis": (0,)}, "mean": {"axis": (0,)}, "prod": {"axis": (0,)}}.get(name, {})
    attrs |= {"cumulative_sum": {"axis": 0}, "softmax": {"axis": 0}}.get(name, {})
    for dtype in (np.float16, ml_dtypes.bfloat16):
        half = x.astype(dtype)
        made = registry[name].reference(half, **attrs)
        exact = np.asarray(registry[name].reference(half.astype(np.float64), **attrs))
        assert made.dtype == dtype
        away = np.abs(made.astype(np.float64) - exact)
        step = np.abs(exact) * float(ml_dtypes.finfo(dtype).eps)
        assert (away <= 0.505 * step).all()

"""Clipping by the global norm, against optax and at the edges."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.interpret import evaluate


@pytest.mark.parametrize("limit", [0.1, 1.0, 3.0, 100.0])
def test_as_optax(limit, rng):
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (5,), (), (0,))]
    clipped, norm = gf.train.clip_by_global_norm([gf.constant(array) for array in arrays], limit)
    *found, length = evaluate([*clipped, norm])
    expected, _ = optax.clip_by_global_norm(limit).update([jnp.asarray(array) for array in arrays], ())
    for value, wanted in zip(found, expected):
        np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(length, np.sqrt(sum(float(np.sum(array**2)) for array in arrays)), rtol=1e-6)


def test_gradients_within_the_limit_keep_every_bit(rng):
    values = rng.standard_normal(7).astype(np.float32)
    [clipped], _ = gf.train.clip_by_global_norm([gf.constant(values)], 1e3)
    np.testing.assert_array_equal(evaluate([clipped])[0], values)


def test_zero_gradients_stay_zero():
    [clipped], norm = gf.train.clip_by_global_norm([gf.constant(np.zeros(3, np.float32))], 1.0)
    np.testing.assert_array_equal(evaluate([clipped, norm])[0], np.zeros(3))


def test_large_float16_gradients_do_not_overflow():
    values = np.full(8, 6e4, np.float16)
    [clipped], norm = gf.train.clip_by_global_norm([gf.constant(values)], 1.0)
    found, length = evaluate([clipped, norm])
    assert found.dtype == np.float16 and length == pytest.approx(6e4 * np.sqrt(8), rel=1e-3)
    np.testing.assert_allclose(found, np.full(8, 1 / np.sqrt(8)), rtol=1e-3)


def test_mixed_dtypes_keep_theirs(rng):
    arrays = [rng.standard_normal(3).astype(dtype) for dtype in ("float16", "float32", "float64")]
    clipped, _ = gf.train.clip_by_global_norm([gf.constant(array) for array in arrays], 0.5)
    assert [tensor.dtype.name for tensor in clipped] == ["float16", "float32", "float64"]
    found = evaluate(clipped)
    assert np.sqrt(sum(np.sum(np.square(value, dtype=np.float64)) for value in found)) == pytest.approx(
        0.5, rel=1e-3
    )


def test_nan_and_infinity_are_not_hidden():
    x = gf.placeholder("x", (2,))
    [clipped], norm = gf.train.clip_by_global_norm([x], 1.0)
    assert np.isnan(evaluate([norm], {x: np.float32([np.nan, 1])})[0])
    found, length = evaluate([clipped, norm], {x: np.float32([np.inf, 1])})
    assert np.isposinf(length) and np.isnan(found[0])


def test_symbolic_sizes():
    x = gf.placeholder("x", ("n", 3))
    [clipped], norm = gf.train.clip_by_global_norm([x], 1.0)
    assert clipped.type is x.type and norm.shape == ()


@pytest.mark.parametrize("tensors", [[], [None]])
def test_nothing_has_no_norm(tensors):
    with pytest.raises(ShapeError, match="norm of no tensors"):
        gf.train.global_norm(tensors)


@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan"), "1"])
def test_limits_that_make_no_sense(limit):
    with pytest.raises(AttributeValueError, match="the norm is"):
        gf.train.clip_by_global_norm([gf.constant([1.0])], limit)

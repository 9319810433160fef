"""Normalization operators: against formulas in float64, and where a naive variance loses all digits."""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.ops.normalization import batch_normalization, layer_normalization


def test_batch_normalization_is_its_formula(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 3, 5))
    mean, scale, offset = rng.standard_normal((3, 3))
    variance = rng.uniform(0.1, 2, 3)
    y = batch_normalization.reference(x, mean, variance, scale, offset, epsilon=1e-3, axis=1)
    for channel in range(3):
        deviation = np.sqrt(variance[channel] + 1e-3)
        expected = (x[:, channel] - mean[channel]) / deviation * scale[channel] + offset[channel]
        np.testing.assert_allclose(y[:, channel], expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_layer_normalization_gives_mean_0_and_variance_1(axis: int, rng: np.random.Generator) -> None:
    x = 3 + 5 * rng.standard_normal((4, 3, 50))
    place = axis % 3
    one, zero = np.ones(x.shape[place:]), np.zeros(x.shape[place:])
    y = layer_normalization.reference(x, one, zero, axis=place, epsilon=0.0)
    axes = tuple(range(place, 3))
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-12)


def test_a_large_mean_keeps_the_variance() -> None:
    """In float32, the mean of squares less the squared mean would be 0 or negative here."""
    rng = np.random.default_rng(0)
    x = (10000 + rng.standard_normal((8, 64))).astype(np.float32)
    one, zero = np.ones(64, np.float32), np.zeros(64, np.float32)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    y = layer_normalization.reference(x, one, zero, axis=1, epsilon=1e-5)
    np.testing.assert_allclose(y, expected, atol=2e-3)
    node = gf.ops.normalization.layer_normalization(*map(gf.constant, (x, one, zero))).node
    from graphflow.runtime.jax import lower_normalization

    lowered = jax.jit(lambda *a: lower_normalization._layer_normalization(*a, **node.attrs))(x, one, zero)
    np.testing.assert_allclose(lowered, expected, atol=2e-3)


def test_half_precision_statistics_are_single() -> None:
    x = np.array([[300.0, 301.0] * 512], np.float16)
    one, zero = np.ones(1024, np.float16), np.zeros(1024, np.float16)
    y = layer_normalization.reference(x, one, zero, axis=1, epsilon=0.0)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y[0, :2], [-1, 1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gradients_have_the_dtype_of_their_input(dtype: str) -> None:
    x = gf.placeholder("x", (2, 4), gf.as_dtype(dtype))
    c = gf.placeholder("c", (4,), gf.as_dtype(dtype))
    for y in (batch_normalization(x, c, c, c, c), layer_normalization(x, c, c)):
        assert y.dtype.name == dtype
        made = gradients(y, [x, c])
        assert [one.type for one in made] == [x.type, c.type]


def test_gradients_of_gradients(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (3, 4, 2), gf.float64)
    c = [gf.placeholder(name, (4,), gf.float64) for name in ("mean", "variance", "scale", "offset")]
    weights = gf.constant(rng.standard_normal((3, 4, 2)))
    feeds = {x: rng.standard_normal(x.shape)}
    feeds |= {one: rng.uniform(0.5, 1.5, 4) for one in c}
    y = gf.sum(batch_normalization(x, *c) * weights)
    check_gradients(y, [x, *c], feeds)
    check_gradients(gradients(y, [x, *c[:3]]), [x, *c], feeds)

    s = gf.placeholder("s", (4, 2), gf.float64)
    feeds[s] = rng.standard_normal((4, 2))
    z = gf.sum(layer_normalization(x, s, s, axis=1) * weights)
    check_gradients(z, [x, s], feeds)
    check_gradients(gradients(z, [x, s]), [x, s], feeds)


def test_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n", "c", 8))
    c = gf.placeholder("c", ("c",))
    assert batch_normalization(x, c, c, c, c).type is x.type
    assert x.graph.constraints == []
    scale = gf.placeholder("scale", ("k", 8))
    assert layer_normalization(x, scale, scale, axis=1).type is x.type
    assert {(str(left), str(right)) for left, right, _ in x.graph.constraints} == {("k", "c")}


def test_a_single_element_normalizes_to_the_offset() -> None:
    x = gf.constant(np.array([[7.0]]))
    y = layer_normalization(x, np.array([3.0]), np.array([-2.0]))
    np.testing.assert_array_equal(evaluate([y])[0], [[-2.0]])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x, c: batch_normalization(x, c, c, c, c, axis=2), ShapeError, "needs one mean for each"),
        (lambda x, c: batch_normalization(x, c, c, c, c, axis=3), AttributeValueError, "axis 3"),
        (lambda x, c: batch_normalization(x, c, c, c, c, epsilon=-1), AttributeValueError, "epsilon=-1"),
        (lambda x, c: batch_normalization(x, c, c, c, c, epsilon=np.nan), AttributeValueError, "epsilon=nan"),
        (lambda x, c: batch_normalization(x, c, c, c, c, epsilon="a"), AttributeValueError, "epsilon='a'"),
        (lambda x, c: layer_normalization(x, c, c), ShapeError, "scale does not have the shape"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    x, c = gf.placeholder("x", (2, 4, 3)), gf.placeholder("c", (4,))
    with pytest.raises(error, match=re.escape(message)):
        build(x, c)


def test_nothing_to_normalize_is_refused() -> None:
    x, c = gf.placeholder("x", (2, 0)), gf.placeholder("c", (0,))
    with pytest.raises(ShapeError, match="nothing to normalize"):
        layer_normalization(x, c, c)


def test_complex_numbers_are_refused() -> None:
    x = gf.placeholder("x", (2, 4), gf.as_dtype("complex64"))
    with pytest.raises(DTypeError, match="layer_normalization does not take complex64"):
        layer_normalization(x, np.ones(4, np.float32), np.ones(4, np.float32))

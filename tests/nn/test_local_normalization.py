"""Normalization without parameters: against formulas and ONNX's reference, also where the divisor is 0."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run


def _response(x: np.ndarray, size: int, alpha: float, beta: float, bias: float) -> np.ndarray:
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        low, high = max(0, c - (size - 1) // 2), min(x.shape[1] - 1, c + size // 2)
        total[:, c] = (x[:, low : high + 1] ** 2).sum(1)
    return x / (bias + alpha / size * total) ** beta


@pytest.mark.parametrize("size", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("shape", [(4, 4, 2, 1), (2, 5), (1, 3, 4), (0, 3, 2), (1, 1, 1, 1, 2)])
def test_local_response_norm(shape: Any, size: int, rng: np.random.Generator) -> None:
    x = 3 * rng.standard_normal(shape)
    y = everywhere(lambda x: nn.local_response_norm(x, size, 0.5, 0.6, 1.5), x, gradient=x.size > 0)
    np.testing.assert_allclose(y, _response(x, size, 0.5, 0.6, 1.5), rtol=1e-10)
    if len(shape) == 4:  # ONNX's reference takes the size of the batch for that of the channels
        theirs = onnx_run("LRN", x, size=size, alpha=0.5, beta=0.6, bias=1.5)
        np.testing.assert_allclose(y, theirs, rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
@pytest.mark.parametrize(("shape", "axis"), [((3, 4), -1), ((2, 3, 4), 1), ((5,), 0), ((2, 1), -1)])
def test_lp_normalize(shape: Any, axis: int, p: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape)
    y = everywhere(lambda x: nn.lp_normalize(x, p, axis), x, batched=())
    np.testing.assert_allclose(y, x / np.linalg.norm(x, p, axis, keepdims=True), rtol=1e-10)
    if p == 2 and axis:
        np.testing.assert_allclose(y, onnx_run("LpNormalization", x, p=2, axis=axis), rtol=1e-6)


def test_vectors_without_length_stay_zero() -> None:
    x = np.array([[0.0, -0.0], [3.0, 4.0], [np.nan, 1.0], [np.inf, 1.0]])
    y = everywhere(nn.lp_normalize, x, gradient=False)
    np.testing.assert_allclose(y, [[0, 0], [0.6, 0.8], [np.nan, np.nan], [np.nan, 0]])
    z = gf.placeholder("z", (2, 3))
    (slope,) = gf.gradients([nn.lp_normalize(z)], [z])
    with gf.Session(backend="numpy") as session:
        assert np.isfinite(session.run(slope, {z: np.zeros((2, 3), np.float32)})).all()


@pytest.mark.parametrize(
    ("shape", "axis"), [((2, 3, 4, 5), None), ((2, 3, 4, 5), (0, 2, 3)), ((3, 4), 1), ((2, 3, 4), (1, -1))]
)
def test_mean_variance_norm_is_that_of_onnx(shape: Any, axis: Any, rng: np.random.Generator) -> None:
    x = 2 + rng.standard_normal(shape)
    batched = () if axis is None or 0 in np.atleast_1d(axis) else (0,)
    y = everywhere(lambda x: nn.mean_variance_norm(x, axis), x, batched=batched)
    axes = [0, 2, 3] if axis is None else list(np.atleast_1d(axis))
    theirs = onnx_run("MeanVarianceNormalization", x.astype(np.float32), axes=axes)
    np.testing.assert_allclose(y, theirs, rtol=1e-3, atol=1e-4)
    expected = (x - x.mean(tuple(axes), keepdims=True)) / x.std(tuple(axes), keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-7)


def test_equal_values_are_normalized_to_zeros() -> None:
    """The variance is taken from the centered values: it is not a small negative number here."""
    x = gf.placeholder("x", (2, 4))
    y = nn.mean_variance_norm(x, 1)
    (slope,) = gf.gradients([y], [x])
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as session:
            value, made = session.run([y, slope], {x: np.full((2, 4), 1000.1, np.float32)})
        assert not value.any() and np.isfinite(made).all()


def test_dtypes() -> None:
    x = np.full((1, 4, 2), 300, np.float16)
    for build in (
        lambda x: nn.local_response_norm(x, 3, 1.0),
        nn.lp_normalize,
        lambda x: nn.mean_variance_norm(x, 0),
    ):
        y = everywhere(build, x, batched=(), gradient=False, rtol=1e-3)
        assert y.dtype == np.float16 and np.isfinite(y).all()
    assert nn.lp_normalize(gf.constant([3, 4])).dtype is gf.float32
    with pytest.raises(DTypeError, match="complex"):
        nn.lp_normalize(gf.placeholder("x", (3,), gf.as_dtype("complex64")))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.local_response_norm(x, 0), AttributeValueError, "at least 1, not 0"),
        (lambda x: nn.local_response_norm(x, 2.5), AttributeValueError, "size of local_response_norm"),
        (lambda x: nn.local_response_norm(x, 3, beta="a"), AttributeValueError, "beta"),
        (lambda x: nn.local_response_norm(x[0], 3), ShapeError, "of rank 1"),
        (lambda x: nn.lp_normalize(x, 0), AttributeValueError, "at least 1, not 0"),
        (lambda x: nn.lp_normalize(x, axis=2), AttributeValueError, "axis 2"),
        (lambda x: nn.mean_variance_norm(x, (0, 0)), AttributeValueError, "twice"),
        (lambda x: nn.mean_variance_norm(x, epsilon=-1), AttributeValueError, "epsilon"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        build(gf.placeholder("x", (4, 3)))

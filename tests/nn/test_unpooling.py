"""Max pooling with indices, and unpooling: against ONNX's reference, and what repeated indices mean."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_pads, onnx_run

# ONNX's reference errs in the indices where all strides are 1
CASES = [
    ((2, 2, 9), (2,), (2,), ((0, 0),), (1,)),
    ((1, 3, 10), (3,), (2,), ((0, 1),), (2,)),
    ((2, 1, 7, 8), (3, 2), (2, 1), ((1, 0), (0, 1)), (1, 1)),
    ((1, 2, 8, 6), (2, 3), (3, 2), ((0, 1), (2, 1)), (2, 1)),
    ((2, 1, 5, 4, 6), (2, 2, 3), (2, 1, 2), ((0, 1), (1, 0), (1, 1)), (1, 1, 2)),
]


@pytest.mark.parametrize("column_major", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_indices_are_those_of_onnx(case: Any, ceil: bool, column_major: bool, rng: Any) -> None:
    shape, window, strides, padding, dilation = case
    x = rng.integers(-2, 3, shape).astype(np.float64)
    y, indices = everywhere(
        lambda x: nn.max_pool_with_indices(x, window, strides, padding, dilation, ceil, column_major),
        x,
        gradient=False,
    )
    expected, places = onnx_run(
        "MaxPool", x, outputs=2, kernel_shape=window, strides=strides, pads=onnx_pads(padding),
        dilations=dilation, ceil_mode=int(ceil), storage_order=int(column_major and len(window) > 1),
    )  # fmt: skip
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, places)
    assert indices.dtype == np.int64
    if not column_major:
        np.testing.assert_array_equal(x.reshape(-1)[indices], y)


def test_indices_of_special_values() -> None:
    x = np.array([[[np.nan, 1, np.inf, np.inf, -np.inf, -np.inf, -0.0, 0.0]]], np.float32)
    y, indices = everywhere(lambda x: nn.max_pool_with_indices(x, 2), x, gradient=False)
    np.testing.assert_array_equal(y, [[[np.nan, np.inf, -np.inf, 0]]])
    assert indices.tolist() == [[[0, 2, 4, 6]]]


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int64"])
def test_indices_stay_exact_whatever_the_dtype(dtype: str) -> None:
    x = np.zeros((1, 1, 70_000), dtype)
    x[0, 0, 3::4] = 1
    y, indices = everywhere(lambda x: nn.max_pool_with_indices(x, 4), x, gradient=False)
    assert y.dtype == x.dtype and y.all()
    np.testing.assert_array_equal(indices[0, 0], np.arange(3, 70_000, 4))


@pytest.mark.parametrize(
    ("shape", "window", "strides", "pads"),
    [
        ((2, 3, 8), (2,), (2,), ((0, 0),)),
        ((2, 2, 6, 8), (2, 2), (2, 2), ((0, 0), (0, 0))),
        ((1, 2, 7, 5), (3, 3), (2, 2), ((1, 1), (0, 0))),
        ((1, 2, 4, 4, 6), (2, 2, 3), (2, 2, 3), ((0, 0), (0, 0), (0, 0))),
        ((1, 1, 1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))),
    ],
)
def test_max_unpool_is_that_of_onnx(shape: Any, window: Any, strides: Any, pads: Any, rng: Any) -> None:
    x = rng.permutation(int(np.prod(shape))).reshape(shape) / 4.0
    y, indices = evaluate(nn.max_pool_with_indices(x, window, strides, pads))
    made = everywhere(lambda y, i: nn.max_unpool(y, i, window, strides, pads), y, indices, batched=(0, 1))
    expected = onnx_run("MaxUnpool", y, indices, kernel_shape=window, strides=strides, pads=onnx_pads(pads))
    np.testing.assert_array_equal(made, expected)
    assert made.shape == shape
    np.testing.assert_array_equal(evaluate([nn.max_pool(made, window, strides, pads)])[0], y)


def test_the_output_shape_of_onnx_adds_zeros() -> None:
    """The example of ONNX: the indices are those of 4 x 4 places, whatever the shape that is asked for."""
    x = np.array([[[[5.0, 6.0], [7.0, 8.0]]]])
    indices = np.array([[[[5, 7], [13, 15]]]])
    expected = onnx_run("MaxUnpool", x, indices, np.array([1, 1, 5, 5]), kernel_shape=[2, 2], strides=[2, 2])
    padded = gf.pad(nn.max_unpool(x, indices, 2), ((0, 0), (0, 0), (0, 1), (0, 1)))
    np.testing.assert_array_equal(evaluate([padded])[0], expected)
    (direct,) = evaluate([nn.max_unpool(x, indices, output_shape=(5, 5))])
    assert np.flatnonzero(direct).tolist() == [5, 7, 13, 15]


def test_an_autoencoder_of_overlapping_windows(rng: np.random.Generator) -> None:
    """Neighbouring windows share maxima: each is put back once, and gets the gradient once."""
    x = rng.permutation(72).reshape(1, 2, 6, 6) / 8.0

    def restored(x: gf.Tensor) -> gf.Tensor:
        y, indices = nn.max_pool_with_indices(x, 3, 1, 1)
        return nn.max_unpool(y, indices, output_shape=(6, 6))

    made = everywhere(restored, x)
    assert set(made[made != 0]) <= set(x.flat) and 0 < (made != 0).sum() < 36


def test_of_equal_indices_the_last_counts() -> None:
    x, g = gf.placeholder("x", (1, 1, 4)), np.array([[[10.0, 20.0, 30.0]]], np.float32)
    y = nn.max_unpool(x, [[[2, 0, 2, 9]]], output_shape=3)
    (slope,) = gf.gradients([y], [x], [g])
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as session:
            value, made = session.run([y, slope], {x: np.array([[[1, 2, 3, 4]]], np.float32)})
        assert value.tolist() == [[[2, 0, 3]]] and made.tolist() == [[[0, 10, 30, 0]]]
    check_gradients(y, [x], {x: np.ones((1, 1, 4))})


def test_symbolic_spatial_sizes() -> None:
    x = gf.placeholder("x", ("n", 2, "h"))
    y, indices = nn.max_pool_with_indices(x, 2)
    n, _, h = x.shape
    assert y.shape == indices.shape == (n, 2, (h - 2) // 2 + 1)
    back = nn.max_unpool(y, indices, output_shape=(h,))
    assert back.shape == x.shape
    data = np.arange(10.0, dtype=np.float32).reshape(1, 2, 5)
    with gf.Session() as session:
        made = session.run(back, {x: data})
    assert made.tolist() == [[[0, 1, 0, 3, 0], [0, 6, 0, 8, 0]]]


def test_empty_batches() -> None:
    x = np.zeros((0, 2, 4, 4), np.float32)
    y, indices = everywhere(lambda x: nn.max_pool_with_indices(x, 2), x, gradient=False)
    assert y.shape == indices.shape == (0, 2, 2, 2)
    made = everywhere(lambda y, i: nn.max_unpool(y, i, 2), y, indices, batched=(0, 1), gradient=False)
    assert made.shape == x.shape


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x, i: nn.max_unpool(x, i), AttributeValueError, "cannot tell its size"),
        (lambda x, i: nn.max_unpool(x, i, 2, padding="same"), AttributeValueError, "padding='same'"),
        (lambda x, i: nn.max_unpool(x, i, output_shape=(4, 4)), ShapeError, "2 sizes for 1 spatial axes"),
        (lambda x, i: nn.max_unpool(x, i, output_shape=-4), ShapeError, "-4"),
        (lambda x, i: nn.max_unpool(x, x, 2), DTypeError, "indices"),
        (lambda x, i: nn.max_unpool(x, i[..., :1], 2), ShapeError, "an index for each element"),
        (lambda x, i: nn.max_unpool(x, i, 1, padding=2), ShapeError, "nothing left"),
        (lambda x, i: nn.max_unpool(x, i, 2, strides=0), AttributeValueError, "strides=0"),
        (lambda x, i: nn.max_pool_with_indices(x, 2, column_major=1), AttributeValueError, "column_major=1"),
        (lambda x, i: nn.max_pool_with_indices(x > 0, 2), DTypeError, "max_pool does not take bool"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    x, indices = gf.placeholder("x", (1, 1, 2)), gf.placeholder("i", (1, 1, 2), gf.int64)
    with pytest.raises(error, match=re.escape(message)):
        build(x, indices)

"""Patches: against JAX's and ONNX's, and as what makes a convolution a product of matrices."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from jax import lax

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_pads, onnx_run

CASES = [
    ((2, 3, 7), (3,), (1,), ((0, 0),), (1,)),
    ((1, 2, 5, 6), (2, 3), (2, 1), ((0, 1), (2, 0)), (1, 1)),
    ((2, 1, 7, 6), (2, 2), (1, 3), ((1, 1), (0, 0)), (2, 3)),
    ((1, 2, 3, 2, 4), (2, 1, 2), (1, 1, 2), ((0, 0), (1, 0), (0, 1)), (1, 1, 1)),
    ((1, 1, 1), (1,), (1,), ((2, 2),), (1,)),
]


@pytest.mark.parametrize("case", CASES)
def test_im2col_is_that_of_jax(case: Any, rng: np.random.Generator) -> None:
    shape, window, strides, padding, dilation = case
    x = rng.standard_normal(shape)
    y = everywhere(lambda x: nn.im2col(x, window, strides, padding, dilation), x)
    expected = lax.conv_general_dilated_patches(
        x.astype(np.float32), window, strides, padding, rhs_dilation=dilation, precision=lax.Precision.HIGHEST
    )
    np.testing.assert_allclose(y, np.reshape(expected, (*expected.shape[:2], -1)), rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_col2im_is_that_of_onnx(case: Any, rng: np.random.Generator) -> None:
    shape, window, strides, padding, dilation = case
    columns = rng.standard_normal(nn.im2col(np.zeros(shape), window, strides, padding, dilation).shape)
    y = everywhere(lambda c: nn.col2im(c, shape[2:], window, strides, padding, dilation), columns)
    expected = onnx_run(
        "Col2Im", columns, np.array(shape[2:]), np.array(window), strides=strides,
        pads=onnx_pads(padding), dilations=dilation,
    )  # fmt: skip
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [0, 1, "same", "same_lower"])
def test_a_convolution_is_a_product_with_patches(padding: Any, rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((4, 3, 3, 2))
    product = gf.matmul(w.reshape(4, 18), nn.im2col(x, (3, 2), 2, padding))
    y, expected = evaluate([product, nn.conv(x, w, 2, padding)])
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-10)


def test_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n", "c", "h", 6))
    n, c, h, _ = x.shape
    columns = nn.im2col(x, (2, 3))
    assert columns.shape == (n, 6 * c, (h - 1) * 4)
    image = nn.col2im(columns, (h, 6), (2, 3))
    assert image.shape == x.shape
    data = np.ones((1, 2, 3, 6), np.float32)
    with gf.Session() as session:
        assert session.run(image, {x: data})[0, 0].tolist()[1] == [2, 4, 6, 6, 4, 2]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x, c: nn.im2col(x, 5), ShapeError, "does not fit"),
        (lambda x, c: nn.im2col(c, 0), AttributeValueError, "window=0"),
        (lambda x, c: nn.im2col(x[0, 0], 2), ShapeError, "not of rank 1"),
        (lambda x, c: nn.im2col(x > 0, 2), DTypeError, "does not take bool"),
        (lambda x, c: nn.col2im(c, (4,), 4), ShapeError, "6 rows do not divide into channels of 4 places"),
        (lambda x, c: nn.col2im(c, (5,), 2), ShapeError, "a column for each window: [3] != [4]"),
        (lambda x, c: nn.col2im(c, (1, 1, 1, 1), 2), AttributeValueError, "1 to 3 spatial axes"),
        (lambda x, c: nn.col2im(c, (), 2), AttributeValueError, "1 to 3 spatial axes"),
        (lambda x, c: nn.col2im(c[0], (4,), 2), ShapeError, "not of rank 2"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    x, columns = gf.placeholder("x", (1, 3, 4)), gf.placeholder("c", (1, 6, 3))
    with pytest.raises(error, match=re.escape(message)):
        build(x, columns)

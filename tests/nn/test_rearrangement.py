"""Places and channels exchanged: against ONNX's reference, and each the inverse of the other."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, FeedError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize(("shape", "block"), [((2, 8, 2, 3), 2), ((1, 9, 1, 2), 3), ((2, 3, 4, 5), 1)])
def test_depth_to_space_is_that_of_onnx(shape: Any, block: int, mode: str, rng: Any) -> None:
    x = rng.standard_normal(shape)
    y = everywhere(lambda x: nn.depth_to_space(x, block, mode), x)
    np.testing.assert_array_equal(y, onnx_run("DepthToSpace", x, blocksize=block, mode=mode))


@pytest.mark.parametrize(("shape", "block"), [((2, 2, 4, 6), 2), ((1, 3, 3, 6), 3)])
def test_space_to_depth_is_that_of_onnx(shape: Any, block: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape)
    y = everywhere(lambda x: nn.space_to_depth(x, block), x)
    np.testing.assert_array_equal(y, onnx_run("SpaceToDepth", x, blocksize=block, opset=13))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize(
    ("shape", "block"),
    [((2, 6, 4), 3), ((1, 12, 2, 3), (3, 2)), ((1, 16, 1, 2, 3), 2), ((0, 4, 2, 2), 2), ((1, 1, 1), 1)],
)
def test_each_is_the_inverse_of_the_other(shape: Any, block: Any, mode: str, rng: Any) -> None:
    x = rng.standard_normal(shape)
    larger = nn.depth_to_space(x, block, mode)
    np.testing.assert_array_equal(evaluate([nn.space_to_depth(larger, block, mode)])[0], x)


def test_one_spatial_axis_in_both_orders() -> None:
    x = np.arange(4).reshape(1, 4, 1)
    assert evaluate([nn.depth_to_space(x, 2)])[0].tolist() == [[[0, 2], [1, 3]]]
    assert evaluate([nn.depth_to_space(x, 2, "CRD")])[0].tolist() == [[[0, 1], [2, 3]]]


def test_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n", "c", "h", 6))
    n, c, h, _ = x.shape
    assert nn.space_to_depth(x, (1, 3)).shape == (n, 3 * c, h, 2)
    y = nn.space_to_depth(x, 2)
    assert y.shape == (n, 4 * c, h // 2, 3)
    assert nn.depth_to_space(y, 2).shape[1] == c
    data = np.arange(48.0, dtype=np.float32).reshape(1, 2, 4, 6)
    with gf.Session() as session:
        np.testing.assert_array_equal(session.run(nn.depth_to_space(y, 2), {x: data}), data)
        with pytest.raises(FeedError, match=r"36 and 24"):
            session.run(y, {x: data[:, :, :3]})


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.depth_to_space(x, 2), ShapeError, "6 channels do not divide into blocks of 4 places"),
        (lambda x: nn.space_to_depth(x, 2), ShapeError, "axis 1 of size 3 do not divide into blocks of 2"),
        (lambda x: nn.depth_to_space(x, 0), AttributeValueError, "block=0"),
        (lambda x: nn.space_to_depth(x, (1, 1, 1)), AttributeValueError, "2 spatial axes"),
        (lambda x: nn.space_to_depth(x, 1, "RCD"), AttributeValueError, "no mode 'RCD'"),
        (lambda x: nn.depth_to_space(x[0, 0], 1), ShapeError, "not of rank 2"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        build(gf.placeholder("x", (1, 6, 4, 3)))

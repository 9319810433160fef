"""Adaptive pooling: against loops over PyTorch's windows, for sizes that divide and that do not."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from tests.nn.backends import everywhere

POOLS = [(nn.adaptive_avg_pool, np.mean), (nn.adaptive_max_pool, np.max)]
CASES = [
    ((2, 2, 7), 3),
    ((1, 2, 8), 4),
    ((2, 1, 3), 5),
    ((1, 2, 6, 7), (4, 2)),
    ((2, 1, 5, 4), (5, 2)),
    ((1, 2, 10, 9), 1),
    ((1, 1, 5, 6), (None, 4)),
    ((1, 1, 4, 5, 3), (3, 1, 2)),
    ((1, 1, 1, 1), (1, 2)),
]


def _loop(x: np.ndarray, output_size: Any, reduce: Any) -> np.ndarray:
    sizes = x.shape[2:]
    given = output_size if isinstance(output_size, tuple) else (output_size,) * len(sizes)
    counts = [size if count is None else count for size, count in zip(sizes, given)]
    y = np.zeros((*x.shape[:2], *counts), x.dtype)
    for at in itertools.product(*map(range, counts)):
        where = tuple(
            slice(i * size // count, -(-(i + 1) * size // count)) for i, size, count in zip(at, sizes, counts)
        )
        both = (slice(None), slice(None))
        y[(*both, *at)] = reduce(x[(*both, *where)], axis=tuple(range(2, x.ndim)))
    return y


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("case", CASES)
def test_windows_are_those_of_pytorch(case: Any, pool: Any, rng: np.random.Generator) -> None:
    shape, output_size = case
    x = rng.permutation(int(np.prod(shape))).reshape(shape) / 4.0
    y = everywhere(lambda x: pool[0](x, output_size), x)
    np.testing.assert_allclose(y, _loop(x, output_size, pool[1]), rtol=1e-12)


@pytest.mark.parametrize("pool", POOLS)
def test_sizes_that_are_not_known_while_building(pool: Any, rng: np.random.Generator) -> None:
    x = gf.placeholder("x", ("n", 2, "h", "w"), gf.float64)
    y = pool[0](x, (3, None))
    z = pool[0](x, (1, 4))
    assert y.shape == (*x.shape[:2], 3, x.shape[3]) and z.shape == (*x.shape[:2], 1, 4)
    slopes = gf.gradients([y, z], [x])
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as session:
            for height, width in ((7, 4), (3, 9), (2, 2), (1, 1)):
                data = rng.permutation(2 * height * width).reshape(1, 2, height, width) / 2.0
                first, second, slope = session.run([y, z, *slopes], {x: data})
                np.testing.assert_allclose(first, _loop(data, (3, None), pool[1]), rtol=1e-12)
                np.testing.assert_allclose(second, _loop(data, (1, 4), pool[1]), rtol=1e-12)
                assert slope.sum() == pytest.approx(first.size + second.size)


def test_even_windows_are_an_ordinary_pooling() -> None:
    x = gf.placeholder("x", ("n", 2, 8, 6))
    y = nn.adaptive_avg_pool(x, (4, 2))
    assert y.node.op.name == "avg_pool" and y.node.attrs.window == (2, 3)
    assert nn.adaptive_max_pool(x, (8, 3)).node.attrs.window == (1, 2)


@pytest.mark.parametrize("pool", POOLS)
def test_special_values_stay_in_their_windows(pool: Any) -> None:
    x = np.array([[[np.nan, 1, 2, np.inf, 4]]])
    y = everywhere(lambda x: pool[0](x, 3), x, gradient=False)
    np.testing.assert_array_equal(y, _loop(x, 3, pool[1]))


@pytest.mark.parametrize("pool", POOLS)
def test_empty_batches(pool: Any) -> None:
    y = everywhere(lambda x: pool[0](x, 3), np.zeros((0, 2, 7), np.float32), gradient=False)
    assert y.shape == (0, 2, 3)


def test_dtypes() -> None:
    x = np.array([[[1, 2, 4, 255, 5]]], np.uint8)
    assert everywhere(lambda x: nn.adaptive_max_pool(x, 2), x, gradient=False).tolist() == [[[4, 255]]]
    means = everywhere(lambda x: nn.adaptive_avg_pool(x, 2), x, gradient=False)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, [[[7 / 3, 88]]], rtol=1e-6)
    half = everywhere(lambda x: nn.adaptive_avg_pool(x, 2), x.astype(np.float16), gradient=False)
    assert half.dtype == np.float16


@pytest.mark.parametrize("pool", [nn.adaptive_avg_pool, nn.adaptive_max_pool])
@pytest.mark.parametrize(
    ("shape", "size", "error", "message"),
    [
        ((1, 1, 4), 0, AttributeValueError, "at least 1, not 0"),
        ((1, 1, 4), (1, 2), AttributeValueError, "1 spatial axes"),
        ((1, 1, 4), "same", AttributeValueError, "whole number"),
        ((1, 1, 4), 1.5, AttributeValueError, "whole number"),
        ((1, 1, 0), 2, ShapeError, "nothing to pool"),
        ((4, 4), 2, ShapeError, "not of rank 2"),
    ],
)
def test_what_does_not_fit_is_refused(pool: Any, shape: Any, size: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        pool(gf.placeholder("x", shape), size)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DTypeError, match="complex"):
        nn.adaptive_avg_pool(gf.placeholder("x", (1, 1, 5), gf.as_dtype("complex64")), 2)

"""Pooling by averages, maxima and norms: against ONNX's reference and loops, in every padding mode."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_pads, onnx_run

# shape, window, strides, padding, dilation
CASES = [
    ((2, 2, 9), (2,), (2,), ((0, 0),), (1,)),
    ((1, 2, 10), (3,), (2,), ((0, 1),), (2,)),
    ((2, 1, 7, 8), (3, 2), (2, 2), ((1, 0), (0, 1)), (1, 1)),
    ((1, 2, 8, 6), (2, 3), (2, 1), ((0, 1), (2, 1)), (2, 1)),
    ((3, 1, 5, 4), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((1, 1, 5, 4, 6), (2, 2, 3), (2, 2, 2), ((0, 1), (1, 0), (1, 1)), (1, 1, 2)),
]
# strides of 3 and more, where ONNX's reference puts part of what the ceiling needs at the beginning
WIDE = [
    ((1, 1, 8), (2,), (3,), ((0, 0),), (1,)),
    ((1, 1, 9), (4,), (4,), ((2, 1),), (1,)),
    ((1, 1, 5), (1,), (3,), ((0, 0),), (1,)),
    ((1, 2, 5, 7), (4, 2), (3, 5), ((0, 0), (1, 1)), (1, 1)),
    ((2, 1, 6, 5), (2, 3), (3, 4), ((1, 1), (0, 2)), (2, 1)),
]


def _windows(case: Any, ceil: bool) -> Any:
    """For each position of a channel, the places that its window has inside, and those within the padding."""
    shape, window, strides, padding, dilation = case
    axes = []
    for size, places, stride, (before, after), gap in zip(shape[2:], window, strides, padding, dilation):
        extent = (places - 1) * gap + 1
        starts = []
        start = -before
        while start + extent <= size + after or (ceil and start + extent < size + after + stride):
            if ceil and start >= size:
                break
            starts.append(start)
            start += stride
        held = [[start + k * gap for k in range(places)] for start in starts]
        axes.append(
            [([i for i in at if 0 <= i < size], sum(-before <= i < size + after for i in at)) for at in held]
        )
    positions = itertools.product(*[range(len(axis)) for axis in axes])
    for position in positions:
        rows = [axis[i] for axis, i in zip(axes, position)]
        inside = list(itertools.product(*[row[0] for row in rows]))
        yield position, inside, int(np.prod([row[1] for row in rows]))


def _loop(x: np.ndarray, case: Any, ceil: bool, reduce: Callable[[np.ndarray, int], Any]) -> np.ndarray:
    """Each window by itself; `reduce` gets what it has inside, [batch, channels, places], and the count."""
    made = {}
    for position, inside, counted in _windows(case, ceil):
        held = [x[(slice(None), slice(None), *place)] for place in inside]
        made[position] = reduce(np.stack(held, axis=-1), counted)
    shape = tuple(max(position[axis] for position in made) + 1 for axis in range(x.ndim - 2))
    y = np.zeros((*x.shape[:2], *shape))
    for position, value in made.items():
        y[(slice(None), slice(None), *position)] = value
    return y


def _options(case: Any, ceil: bool) -> dict[str, Any]:
    _, window, strides, padding, dilation = case
    return {
        "window": window, "strides": strides, "padding": padding, "dilation": dilation, "ceil_mode": ceil
    }  # fmt: skip


def _onnx(case: Any, ceil: bool) -> dict[str, Any]:
    _, window, strides, padding, dilation = case
    return {
        "kernel_shape": window, "strides": strides, "pads": onnx_pads(padding), "dilations": dilation,
        "ceil_mode": int(ceil),
    }  # fmt: skip


def _distinct(rng: np.random.Generator, shape: Any) -> np.ndarray:
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 4.0


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("case", CASES + WIDE)
def test_max_pool(case: Any, ceil: bool, rng: np.random.Generator) -> None:
    x = _distinct(rng, case[0])
    y = everywhere(lambda x: nn.max_pool(x, **_options(case, ceil)), x)
    np.testing.assert_array_equal(y, _loop(x, case, ceil, lambda held, _: held.max(-1)))
    np.testing.assert_array_equal(y, onnx_run("MaxPool", x, **_onnx(case, ceil)))


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("case", CASES + WIDE)
def test_avg_pool(case: Any, ceil: bool, counted: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal(case[0])
    y = everywhere(lambda x: nn.avg_pool(x, **_options(case, ceil), count_include_pad=counted), x)
    expected = _loop(x, case, ceil, lambda held, count: held.sum(-1) / (count if counted else held.shape[-1]))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    if not ceil or case in CASES:
        theirs = onnx_run("AveragePool", x, **_onnx(case, ceil), count_include_pad=int(counted))
        np.testing.assert_allclose(y, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("case", [CASES[1], CASES[3], WIDE[3], WIDE[4]])
def test_lp_pool(case: Any, p: int, ceil: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal(case[0])
    y = everywhere(lambda x: nn.lp_pool(x, p=p, **_options(case, ceil)), x)
    expected = _loop(x, case, ceil, lambda held, _: (np.abs(held) ** p).sum(-1) ** (1 / p))
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    if not ceil or case in CASES:
        theirs = onnx_run("LpPool", x, p=p, **_onnx(case, ceil))
        np.testing.assert_allclose(y, theirs, rtol=1e-10)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("size", [1, 4, 5, 7])
@pytest.mark.parametrize("padding", ["same", "same_lower", "valid"])
def test_named_paddings_are_those_of_onnx(padding: str, size: int, window: int, strides: int) -> None:
    if padding == "valid" and window > size:
        return
    x = np.random.default_rng(size).standard_normal((2, 1, size, size + 1))
    name = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER", "valid": "VALID"}[padding]
    attributes = {"kernel_shape": [window] * 2, "strides": [strides] * 2, "auto_pad": name}
    options = {"window": window, "strides": strides, "padding": padding}
    if strides <= window or padding == "valid":  # elsewhere ONNX's reference crops x by negative padding
        y = everywhere(lambda x: nn.avg_pool(x, **options), x, gradient=False)
        np.testing.assert_allclose(y, onnx_run("AveragePool", x, **attributes), rtol=1e-12)
    z = everywhere(lambda x: nn.max_pool(x, **options, ceil_mode=True), x, gradient=False)
    positions = tuple(
        (n - window) // strides + 1 if padding == "valid" else -(-n // strides) for n in (size, size + 1)
    )
    assert z.shape == (2, 1, *positions)
    if padding == "same_lower" and strides == 1:
        expected = ndimage.maximum_filter(
            x, (1, 1, window, window), mode="constant", cval=-np.inf, origin=(0, 0, 0, 0)
        )
        np.testing.assert_array_equal(z, expected)


def test_symbolic_sizes_with_the_ceiling() -> None:
    x = gf.placeholder("x", ("n", 3, "h", 9))
    n, _, h, _ = x.shape
    assert nn.max_pool(x, 2, ceil_mode=True).shape == (n, 3, (h - 1) // 2 + 1, 5)
    assert nn.avg_pool(x, 2, 3, ceil_mode=True).shape == (n, 3, (h - 1) // 3 + 1, 3)
    assert nn.max_pool(x, (1, 3), ceil_mode=True).node.attrs.ceil_mode is False
    assert nn.max_pool(x, (2, 2), 3, "same_lower").shape == (n, 3, (h + 2) // 3, 3)


@pytest.mark.parametrize("height", [4, 5, 6, 7])
def test_symbolic_sizes_become_known(height: int, rng: np.random.Generator) -> None:
    x = gf.placeholder("x", ("n", 1, "h"), gf.float64)
    data = _distinct(rng, (2, 1, height))
    for options in (
        {"window": 2, "strides": 3, "ceil_mode": True},
        {"window": 3, "strides": 2, "padding": "same_lower"},
        {"window": 3, "strides": 2, "padding": 1, "ceil_mode": True},
    ):
        ys = [nn.max_pool(x, **options), nn.avg_pool(x, **options), nn.lp_pool(x, **options)]
        slopes = gf.gradients(ys, [x])
        fixed = gf.constant(data)
        again = [nn.max_pool(fixed, **options), nn.avg_pool(fixed, **options), nn.lp_pool(fixed, **options)]
        for backend in ("numpy", "jax"):
            with gf.Session(backend=backend) as session:
                made = session.run([*ys, *slopes], {x: data})
                expected = session.run([*again, *gf.gradients(again, [fixed])])
            for ours, theirs in zip(made, expected):
                np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_divisor_gives_sums(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, 5, 6))
    y = everywhere(lambda x: nn.avg_pool(x, 3, 2, 1, ceil_mode=True, divisor=1), x)
    sums = _loop(x, ((1, 2, 5, 6), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), True, lambda h, _: h.sum(-1))
    np.testing.assert_allclose(y, sums, rtol=1e-12)
    for wrong in (0, 0.0, "a", True, float("nan")):
        with pytest.raises(AttributeValueError, match="divi"):
            nn.avg_pool(gf.constant(x), 2, divisor=wrong)


def test_the_ceiling_admits_a_window_larger_than_the_axis() -> None:
    x = gf.constant([[[3.0, 4.0]]])
    assert evaluate([nn.lp_pool(x, 5, ceil_mode=True)])[0].tolist() == [[[5.0]]]


def test_empty_batches() -> None:
    x = np.zeros((0, 2, 5, 5), np.float32)
    for pool in (nn.max_pool, nn.avg_pool, nn.lp_pool):
        y = everywhere(lambda x: pool(x, 2, ceil_mode=True), x, gradient=False)  # noqa: B023
        assert y.shape == (0, 2, 3, 3)


def test_norms_of_zeros_have_the_slope_zero() -> None:
    x = gf.placeholder("x", (1, 1, 4))
    for p in (1, 2, 3):
        for y in (nn.lp_pool(x, 2, p), nn.global_lp_pool(x, p), nn.lp_normalize(x, p)):
            (slope,) = gf.gradients([y], [x])
            with gf.Session(backend="numpy") as session:
                value, made = session.run([y, slope], {x: np.zeros((1, 1, 4), np.float32)})
            assert not value.any() and not made.any()


@pytest.mark.parametrize("p", [1, 2, 2.5, 3])
def test_global_lp_pool(p: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2, 4, 5))
    y = everywhere(lambda x: nn.global_lp_pool(x, p), x)
    np.testing.assert_allclose(y, np.linalg.norm(x.reshape(3, 2, 20), p, axis=2), rtol=1e-12)
    kept = everywhere(lambda x: nn.global_lp_pool(x, p, keepdims=True), x)
    np.testing.assert_array_equal(kept, y[:, :, None, None])


def test_global_pools_are_those_of_onnx(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2, 4, 5))
    average = everywhere(lambda x: nn.global_avg_pool(x, keepdims=True), x)
    np.testing.assert_allclose(average, onnx_run("GlobalAveragePool", x), rtol=1e-12)
    largest = everywhere(lambda x: nn.global_max_pool(x, keepdims=True), x)
    np.testing.assert_array_equal(largest, onnx_run("GlobalMaxPool", x))


def test_powers_of_special_values() -> None:
    x = np.array([[[np.nan, 1.0, np.inf, 2.0, -np.inf, 0.0, -0.0, 0.0]]])
    y = everywhere(lambda x: nn.lp_pool(x, 2), x, gradient=False)
    np.testing.assert_array_equal(y, [[[np.nan, np.inf, np.inf, 0.0]]])


@pytest.mark.parametrize("dtype", ["float16", "int32", "uint8"])
def test_dtypes(dtype: str) -> None:
    x = np.arange(1, 9).reshape(1, 1, 8).astype(dtype)
    y = everywhere(lambda x: nn.lp_pool(x, 4), x, gradient=False)
    assert y.dtype == (np.float16 if dtype == "float16" else np.float32)
    np.testing.assert_allclose(y, [[[np.sqrt(30), np.sqrt(174)]]], rtol=1e-3)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.lp_pool(x, 2, p=0.5), AttributeValueError, "p of lp_pool"),
        (lambda x: nn.lp_pool(x, 2, p=float("inf")), AttributeValueError, "p=inf"),
        (lambda x: nn.global_lp_pool(x, p="2"), AttributeValueError, "p of global_lp_pool"),
        (lambda x: nn.lp_pool(x, 9), ShapeError, "does not fit"),
        (lambda x: nn.lp_pool(x, 9, strides=2, ceil_mode=True), ShapeError, "does not fit"),
        (lambda x: nn.max_pool(x, 2, ceil_mode=3), AttributeValueError, "ceil_mode"),
        (lambda x: nn.max_pool(x, 2, padding="lower"), AttributeValueError, "'same_lower'"),
        (lambda x: nn.global_lp_pool(x[0]), ShapeError, "of rank 2"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        build(gf.placeholder("x", (1, 1, 4)))

"""Pooling: against JAX's reduce_window, with ties, NaN, infinities and windows that reach into padding."""

from __future__ import annotations

import itertools
import re
from typing import Any

import jax
import numpy as np
import pytest
from jax import lax

import graphflow as gf
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ops.pooling import avg_pool, max_pool, max_pool_gradient, max_pool_select
from graphflow.runtime.jax import lower  # noqa: F401 (fills the table)
from graphflow.runtime.jax.lowering import LOWERINGS

CASES = [
    ((2, 3, 9), (2,), (2,), ((0, 0),), (1,)),
    ((2, 3, 8, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((2, 2, 8, 7), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1)),
    ((1, 2, 8, 7), (3, 2), (1, 1), ((1, 2), (1, 0)), (1, 1)),
    ((1, 2, 9, 8), (3, 2), (2, 1), ((1, 0), (1, 1)), (2, 3)),
    ((1, 2, 12, 11), (5, 4), (1, 2), ((2, 2), (3, 1)), (1, 1)),
    ((1, 2, 5, 4, 6), (2, 3, 2), (1, 2, 2), ((1, 0), (1, 1), (0, 0)), (1, 1, 1)),
]


def _attrs(case: Any) -> dict[str, Any]:
    return dict(zip(("window", "strides", "padding", "dilation"), case[1:]))


def _reduce_window(x: np.ndarray, start: float, combine: Any, case: Any) -> np.ndarray:
    _, window, strides, padding, dilation = case
    pads = ((0, 0), (0, 0), *padding)
    with jax.enable_x64(True):
        made = lax.reduce_window(
            x,
            np.asarray(start, x.dtype)[()],
            combine,
            (1, 1, *window),
            (1, 1, *strides),
            pads,
            window_dilation=(1, 1, *dilation),
        )
        return np.asarray(made)


def _draw(rng: np.random.Generator, shape: Any, values: str) -> np.ndarray:
    if values == "ties":
        return rng.integers(-1, 2, shape).astype(np.float64)
    if values == "special":
        return rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, 2.0], shape)
    return rng.standard_normal(shape)


def _direct(x: np.ndarray, g: np.ndarray, case: Any) -> tuple[np.ndarray, np.ndarray]:
    """max_pool and its gradient, window by window, by np.argmax: the first maximum, or the first NaN."""
    shape, window, strides, padding, dilation = case
    y, dx = np.zeros(g.shape), np.zeros(shape)
    for at in itertools.product(*map(range, g.shape)):
        inside = []
        for k in itertools.product(*map(range, window)):
            place = tuple(
                p * s + i * d - pair[0] for p, s, i, d, pair in zip(at[2:], strides, k, dilation, padding)
            )
            if all(0 <= i < size for i, size in zip(place, shape[2:])):
                inside.append((*at[:2], *place))
        winner = inside[int(np.argmax([x[place] for place in inside]))]
        y[at] = x[winner]
        dx[winner] += g[at]
    return y, dx


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("values", ["normal", "ties", "special"])
def test_max_pool_takes_the_first_maximum(case: Any, values: str, rng: np.random.Generator) -> None:
    x, attrs = _draw(rng, case[0], values), _attrs(case)
    y = max_pool.reference(x, **attrs)
    np.testing.assert_array_equal(y, _reduce_window(x, -np.inf, lax.max, case))
    g = rng.standard_normal(y.shape)
    direct_y, direct_dx = _direct(x, g, case)
    np.testing.assert_array_equal(y, direct_y)
    np.testing.assert_allclose(max_pool_gradient.reference(x, g, **attrs), direct_dx, rtol=1e-12, atol=1e-12)
    with jax.enable_x64(True):
        lowered = LOWERINGS["max_pool_gradient"](x, g, **attrs)
    np.testing.assert_allclose(lowered, direct_dx, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if set(case[4]) == {1}])
@pytest.mark.parametrize("values", ["normal", "ties"])
def test_the_gradient_is_that_of_jax(case: Any, values: str, rng: np.random.Generator) -> None:
    x, attrs = _draw(rng, case[0], values), _attrs(case)
    y = max_pool.reference(x, **attrs)
    g, u = rng.standard_normal(y.shape), rng.standard_normal(x.shape)

    def pool(x: Any) -> Any:
        sizes = ((1, 1, *case[1]), (1, 1, *case[2]), ((0, 0), (0, 0), *case[3]))
        return lax.reduce_window(x, -np.inf, lax.max, *sizes)

    with jax.enable_x64(True):
        dx = jax.vjp(pool, x)[1](g)[0]
        along = jax.jvp(pool, (x,), (u,))[1]
    np.testing.assert_allclose(max_pool_gradient.reference(x, g, **attrs), dx, rtol=1e-12, atol=1e-12)
    if values == "normal":  # among equal maxima JAX's forward mode takes another than its reverse mode
        selected = max_pool_select.reference(x, u, **attrs)
        np.testing.assert_allclose(selected, along, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_selecting_is_the_transpose_of_the_gradient(case: Any, rng: np.random.Generator) -> None:
    x, attrs = _draw(rng, case[0], "special"), _attrs(case)
    g = rng.standard_normal(max_pool.reference(x, **attrs).shape)
    u = rng.standard_normal(x.shape)
    left = np.vdot(max_pool_gradient.reference(x, g, **attrs), u)
    assert left == pytest.approx(np.vdot(g, max_pool_select.reference(x, u, **attrs)))


def test_padding_never_wins() -> None:
    x = np.full((1, 1, 3), -np.inf)
    attrs = {"window": (2,), "strides": (2,), "padding": ((1, 0),), "dilation": (1,)}
    g = np.array([[[5.0, 7.0]]])
    np.testing.assert_array_equal(max_pool_gradient.reference(x, g, **attrs), [[[5.0, 7.0, 0.0]]])
    least = np.full((1, 1, 3), np.iinfo(np.int8).min, np.int8)
    np.testing.assert_array_equal(max_pool.reference(least, **attrs), [[[-128, -128]]])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("counted", [False, True])
def test_avg_pool_divides_sums_by_counts(case: Any, counted: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal(case[0])
    total = _reduce_window(x, 0.0, lax.add, case)
    count = np.prod(case[1]) if counted else _reduce_window(np.ones(case[0]), 0.0, lax.add, case)
    made = avg_pool.reference(x, **_attrs(case), count_include_pad=counted)
    np.testing.assert_allclose(made, total / count, rtol=1e-12, atol=1e-12)


def test_windows_that_fall_between_all_elements() -> None:
    """One element, and windows of two places two apart, which miss it on both sides."""
    attrs = {"window": (2,), "strides": (1,), "padding": ((1, 1),), "dilation": (2,)}
    x = np.ones((1, 1, 1))
    np.testing.assert_array_equal(avg_pool.reference(x, **attrs, count_include_pad=False), [[[0.0]]])
    np.testing.assert_array_equal(max_pool.reference(x, **attrs), [[[-np.inf]]])


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("strides", [1, 2])
def test_gradients_of_gradients(padding: int, strides: int, rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (1, 2, 6, 7), gf.float64)
    feeds = {x: rng.permutation(84).reshape(1, 2, 6, 7) / 10.0}
    for pool in (max_pool, avg_pool):
        y = gf.sum(gf.square(pool(x, window=3, strides=strides, padding=padding)))
        dx = gradients(y, [x])
        check_gradients(y, [x], feeds)
        check_gradients(dx, [x], feeds)


def test_shapes_and_defaults() -> None:
    x = gf.placeholder("x", ("n", 3, "h", 8))
    n, _, h, _ = x.shape
    y = max_pool(x, 2)
    assert y.shape == (n, 3, (h - 2) // 2 + 1, 4)
    assert y.node.attrs.strides == (2, 2) and y.node.attrs.padding == ((0, 0), (0, 0))
    assert max_pool(x, 3, 2, "same").shape == (n, 3, (h + 1) // 2, 4)
    assert avg_pool(gf.placeholder("i", (1, 1, 4), gf.int32), 2).dtype is gf.float64


@pytest.mark.parametrize(
    ("shape", "attrs", "error", "message"),
    [
        ((1, 1, 8, 8), {"window": 0}, AttributeValueError, "window=0"),
        ((1, 1, 8, 8), {"window": (2, 2, 2)}, AttributeValueError, "2 spatial axes"),
        ((1, 1, 8), {"window": 2, "padding": 2}, AttributeValueError, "would hold nothing"),
        ((1, 1, 8), {"window": 9}, ShapeError, "a window of 9 places does not fit"),
        ((8, 8), {"window": 2}, ShapeError, "not of rank 2"),
        ((1, 1, 8), {}, AttributeValueError, "needs the argument 'window'"),
    ],
)
def test_what_does_not_fit_is_refused(shape: Any, attrs: Any, error: type, message: str) -> None:
    for pool in (max_pool, avg_pool):
        with pytest.raises(error, match=re.escape(message)):
            pool(gf.placeholder(f"x_{pool.name}", shape), **attrs)


def test_booleans_have_no_order() -> None:
    with pytest.raises(DTypeError, match="max_pool does not take bool"):
        max_pool(gf.placeholder("x", (1, 1, 4), bool), 2)


def test_half_precision_is_summed_in_single() -> None:
    x = np.full((1, 1, 4096), 1.5, np.float16)
    attrs = {"window": (4096,), "strides": (1,), "padding": ((0, 0),), "dilation": (1,)}
    y = avg_pool.reference(x, **attrs, count_include_pad=False)
    assert y.dtype == np.float16 and y.item() == 1.5


def test_large_windows_are_lowered_to_a_slice_an_axis_place() -> None:
    """13 x 13 windows: 26 slices forward, not 169."""
    attrs = {"window": (13, 13), "strides": (1, 1), "padding": ((6, 6), (6, 6)), "dilation": (1, 1)}
    x = np.zeros((1, 1, 20, 20), np.float32)
    text = jax.jit(lambda x: LOWERINGS["max_pool"](x, **attrs)).lower(x).as_text()
    assert text.count("stablehlo.slice") == 26


@pytest.mark.parametrize("pool", [gf.nn.max_pool, gf.nn.avg_pool, gf.nn.lp_pool, gf.nn.max_pool_with_indices])
def test_windows_of_absurd_size_are_refused_and_large_strides_are_not(pool: Any) -> None:
    x, y = gf.placeholder("x", (1, 2, 8, 8)), gf.placeholder("y", (1, 2, "height", "width"))
    for image in (x, y):
        for padding in (0, "same"):
            with pytest.raises(AttributeValueError, match="more than can be computed"):
                pool(image, 2**40, padding=padding)
            with pytest.raises(AttributeValueError, match="more than can be computed"):
                pool(image, 2, strides=2**63, padding=padding)
    made = pool(x, 2, strides=2**40)
    first = made[0] if isinstance(made, tuple) else made
    found = gf.Session(backend="numpy").run(first, {x: np.arange(128.0).reshape(1, 2, 8, 8)})
    near = pool(x, 2, strides=8)
    wanted = gf.Session(backend="numpy").run(
        near[0] if isinstance(near, tuple) else near, {x: np.arange(128.0).reshape(1, 2, 8, 8)}
    )
    np.testing.assert_array_equal(found, wanted)

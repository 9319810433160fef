"""Reductions: axes, result dtypes, symbolic sizes, and gradients at ties and zeros."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DTYPES, bfloat16, float16, float32, float64
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ops import reduction, running, statistics
from graphflow.ops.declare import constant, placeholder

REDUCING = ["sum", "mean", "max", "min", "prod", "all", "any", "logsumexp"]
PLAIN = [dtype for dtype in DTYPES if dtype is not bfloat16]


def _value(tensor, feeds=None):
    return evaluate([tensor], feeds)[0]


@pytest.mark.parametrize("name", REDUCING)
def test_axes_are_kept_sorted_and_non_negative(name):
    function, x = getattr(reduction, name), constant(np.ones((2, 3, 4)))
    assert function(x).node.attrs["axis"] == (0, 1, 2)
    assert function(x, axis=-1).node.attrs["axis"] == (2,)
    assert function(x, axis=[2, -3]).node.attrs["axis"] == (0, 2)
    assert function(x, axis=()).shape == (2, 3, 4)
    assert function(x, axis=(0, 2), keepdims=1).shape == (1, 3, 1)
    with pytest.raises(AttributeValueError, match=f"{name} got an axis twice"):
        function(x, axis=(2, -1))
    with pytest.raises(AttributeValueError, match=f"{name} got axis 3, but its operand has rank 3"):
        function(x, axis=3)


@pytest.mark.parametrize("dtype", PLAIN, ids=str)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "cumsum", "cumprod", "max", "min", "argmax"])
def test_dtypes_are_those_of_numpy(name, dtype):
    if name in ("max", "min", "argmax") and dtype.kind == "complex":
        with pytest.raises(DTypeError, match=f"{name} does not take {dtype}"):
            getattr(reduction, name)(constant(np.ones(3, dtype.numpy)))
        return
    x = np.ones(3, dtype.numpy)
    expected = np.asarray(getattr(np, name)(x))
    owner = running if name.startswith("cum") else reduction
    ours = {"cumsum": "cumulative_sum", "cumprod": "cumulative_prod"}.get(name, name)
    made = getattr(owner, ours)(constant(x))
    assert made.dtype.numpy == expected.dtype
    np.testing.assert_array_equal(_value(made), expected)


def test_symbolic_sizes():
    x = placeholder("x", ("batch", 4, "time"))
    assert reduction.sum(x, axis=2).shape == (Dim("batch"), 4)
    assert reduction.mean(x, axis=(0, 2), keepdims=True).shape == (1, 4, 1)
    assert reduction.argmax(x, axis=1).shape == (Dim("batch"), Dim("time"))
    assert reduction.logsumexp(x).shape == ()
    assert running.cumulative_sum(x, axis=0).shape == x.shape


def _at(tensors, x, array):
    """The values once the symbols n and m, the sizes of x, are known."""
    from graphflow.optimizer.program import extract, specialize

    program = specialize(extract(tensors, [], [x], False), {"n": array.shape[0], "m": array.shape[1]})
    (feed,) = program.placeholders.values()
    return evaluate(program.outputs, {feed: array})


@pytest.mark.parametrize(
    "function", ["mean", "sum", "prod", "max", "logsumexp", "cumulative_prod", "var", "std"]
)
def test_gradients_with_symbolic_sizes(function):
    owner = next(m for m in (reduction, running, statistics) if hasattr(m, function))
    array = np.random.default_rng(0).normal(size=(3, 4))
    made = []
    for shape in (("n", "m"), (3, 4)):
        with Graph():
            x = placeholder("x", shape, np.float64)
            (slope,) = gradients(getattr(owner, function)(x, axis=0), [x])
            assert slope.shape == x.shape
            made.append(_at([slope], x, array)[0] if shape == ("n", "m") else _value(slope, {x: array}))
    np.testing.assert_allclose(made[0], made[1], rtol=1e-14)


def test_extremes_of_nothing_are_refused():
    x = placeholder("x", ("n", 0))
    for function in (reduction.max, reduction.min, reduction.argmax, reduction.argmin):
        with pytest.raises(ShapeError, match=r"axis 1 of shape \[n, 0\] is empty"):
            function(x)
        assert function(x, axis=0).shape == (0,)


def test_what_has_no_order_has_no_extreme():
    with pytest.raises(DTypeError, match="max does not take complex64"):
        reduction.max(constant([1j]))


def _slope(function, values):
    with Graph():
        x = placeholder("x", np.shape(values), np.float64)
        return evaluate(gradients(function(x), [x]), {x: np.asarray(values, np.float64)})[0].tolist()


def test_ties_share_the_gradient():
    values = [[2.0, 1.0, 2.0], [3.0, 3.0, 3.0]]
    assert _slope(lambda x: reduction.max(x, axis=1), values) == [[0.5, 0, 0.5], [1 / 3] * 3]
    assert _slope(reduction.max, values) == [[0, 0, 0], [1 / 3] * 3]
    assert _slope(lambda x: reduction.min(x, axis=0), values) == [[1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("zeros", [[], [1], [1, 3], [0, 1, 2, 3]])
def test_derivatives_of_products_at_zeros(zeros):
    values = np.array([2.0, 3.0, -5.0, 7.0])
    values[zeros] = 0
    with jax.enable_x64(True):
        for ours, theirs in ((reduction.prod, jax.numpy.prod), (_weighed, _weighed_jax)):
            x = placeholder("x" + ours.__name__.strip("_"), (4,), np.float64)
            (first,) = gradients(ours(x), [x])
            rows = [gradients(reduction.sum(first * unit), [x])[0] for unit in np.eye(4)]
            np.testing.assert_allclose(_value(first, {x: values}), jax.grad(theirs)(values), atol=1e-12)
            hessian = np.stack(evaluate(rows, {x: values}))
            np.testing.assert_allclose(hessian, jax.hessian(theirs)(values), atol=1e-12)


WEIGHTS = np.array([1.0, -2.0, 0.5, 3.0])


def _weighed(x):
    return reduction.sum(running.cumulative_prod(x) * WEIGHTS)


def _weighed_jax(x):
    return jax.numpy.sum(jax.numpy.cumprod(x) * WEIGHTS)


def test_product_over_several_axes_with_zeros():
    values = np.array([[2.0, 0.0], [3.0, 5.0]])
    assert _slope(reduction.prod, values) == [[0, 30], [0, 0]]
    assert _slope(lambda x: reduction.prod(x, axis=1, keepdims=True), values) == [[0, 2], [5, 3]]


def test_logsumexp_at_the_edges():
    rows = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [1e5, 1e5]])
    with np.errstate(all="ignore"):
        expected = [-np.inf, np.inf, 1e5 + np.log(2)]
    assert _value(reduction.logsumexp(constant(rows), axis=1)).tolist() == expected
    slope = _slope(lambda x: reduction.logsumexp(x, axis=1), rows[[0, 2]])
    np.testing.assert_allclose(slope, [[0, 0], [0.5, 0.5]], rtol=1e-15)
    with np.errstate(all="ignore"):
        slope = _slope(
            lambda x: reduction.logsumexp(x, axis=1), [[np.inf, 5.0], [np.nan, 1.0], [3.0, -np.inf]]
        )
    np.testing.assert_array_equal(slope, [[np.nan, 0], [np.nan, np.nan], [1, 0]])
    assert _slope(lambda x: reduction.logsumexp(x, axis=0), np.zeros((0, 2))) == []


def test_the_gradient_of_logsumexp_adds_up_to_one_for_large_numbers():
    """e^(x - y) would be as far off as y was rounded, by 3 %."""
    with Graph():
        x = placeholder("x", (2, 3), np.float32)
        slopes = gradients(reduction.logsumexp(x, axis=1), [x])
        (found,) = evaluate(slopes, {x: np.float32(1e6) + np.array([[0, 1, 2], [3, 3, 3]], np.float32)})
    powers = np.exp([[0.0, 1, 2], [3, 3, 3]])
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=3e-7)


def test_the_gradient_of_logsumexp_of_more_than_float16_can_count():
    with Graph():
        x = placeholder("x", (70000,), np.float16)
        (found,) = evaluate(gradients(reduction.logsumexp(x), [x]), {x: np.zeros(70000, np.float16)})
    np.testing.assert_allclose(found.astype(np.float64), 1 / 70000, rtol=0.01)


def test_argmax_without_an_axis_counts_in_row_major_order():
    x = np.array([[1.0, 5.0], [5.0, 2.0]])
    assert _value(reduction.argmax(constant(x))) == 1
    assert _value(reduction.argmin(constant(x), keepdims=True)).shape == (1, 1)
    assert reduction.argmax(constant([1.0, 2.0])).node.attrs["axis"] == 0
    with pytest.raises(AttributeValueError, match="integer axis"):
        reduction.argmax(constant(x), axis=(0, 1))


def test_running_sums_need_an_axis():
    with pytest.raises(AttributeValueError, match="needs an axis, as its operand has rank 2"):
        running.cumulative_sum(constant(np.ones((2, 2))))
    with pytest.raises(AttributeValueError, match="rank 0"):
        running.cumulative_prod(constant(1.0))


@pytest.mark.parametrize("correction", [0, 1, 0.5, 5])
@pytest.mark.parametrize("axis", [None, 0, (0, 1), -1])
def test_spread_is_that_of_numpy(axis, correction):
    x = np.random.default_rng(0).normal(size=(3, 4))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of too few degrees of freedom, and gives inf
        for ours, theirs in ((statistics.var, np.var), (statistics.std, np.std)):
            made = _value(ours(constant(x), axis, True, correction))
            expected = theirs(x, axis=axis, keepdims=True, ddof=correction)
            np.testing.assert_allclose(made, expected, rtol=1e-13)


def test_spread_of_integers_and_of_symbolic_sizes():
    assert statistics.var(constant([1, 2, 4])).dtype.name == "float64"
    with Graph():
        x = placeholder("x", ("n", "m"), np.float64)
        array = np.random.default_rng(1).normal(size=(5, 3))
        made = _at([statistics.std(x, axis=0, correction=1)], x, array)[0]
    np.testing.assert_allclose(made, array.std(axis=0, ddof=1), rtol=1e-13)
    with pytest.raises(DTypeError, match="var does not take complex64"):
        statistics.var(constant([1j]))


def test_std_is_flat_where_nothing_varies():
    assert _slope(statistics.std, [2.0, 2.0]) == [0, 0]


def test_count_nonzero():
    x = np.array([[0.0, -0.0, np.nan], [1.0, 0.0, 2.0]])
    made = statistics.count_nonzero(constant(x, allow_nan=True), axis=1)
    assert made.dtype.name == "int64" and _value(made).tolist() == [1, 2]
    assert _value(statistics.count_nonzero(constant([True, False, True]))) == 2


def test_clip():
    x = np.array([-2.0, 0.5, np.nan, 3.0], np.float32)
    tensor = constant(x, allow_nan=True)
    np.testing.assert_array_equal(_value(statistics.clip(tensor, 0, 1)), np.clip(x, 0, 1))
    np.testing.assert_array_equal(_value(statistics.clip(tensor, max=1)), np.minimum(x, 1))
    np.testing.assert_array_equal(_value(statistics.clip(tensor, min=2, max=1)), np.clip(x, 2, 1))
    assert statistics.clip(constant(1.0, dtype=float16), 0.0, 1.0).dtype is float16
    assert statistics.clip(1.0, 0, constant(2.0)).dtype is float32
    assert _slope(lambda t: statistics.clip(t, 0.0, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [0, 0.5, 1, 0.5, 0]
    assert statistics.clip(tensor) is tensor


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 8])
def test_slopes_of_running_products_are_those_of_products(size, exclusive, reverse):
    rng = np.random.default_rng(size)
    x, g = rng.standard_normal((2, 2, size, 3))
    x[:, size // 2 : size // 2 + 1] = 0.0
    x[1, 1:2] = 0.0
    attrs = {"axis": 1, "exclusive": exclusive, "reverse": reverse}
    wanted = np.zeros_like(x)
    for i in range(size):
        for k in range(size):
            part = [j for j in range(size) if (j >= i if reverse else j <= i) and not (exclusive and j == i)]
            if k in part:
                wanted[:, k] += g[:, i] * np.prod(x[:, [j for j in part if j != k]], axis=1)
    for length in (size, "n"):
        with Graph():
            given, weights = (placeholder(name, (2, length, 3), float64) for name in "xg")
            product = running.cumulative_prod(given, **attrs)
            (slope,) = gradients(product, [given], grad_ys=[weights])
            found = gf.Session(backend="numpy").run([slope, product, weights], {given: x, weights: g})[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)

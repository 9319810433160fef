"""Lowerings that say a thing in another way than JAX's own functions do: the same values, edges included."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.backend import CompileOptions, get_backend
from graphflow.runtime.jax.lower_activation import _softplus
from graphflow.runtime.jax.lower_softmax import may_be_product


def test_softplus_is_right_to_the_last_bits():
    tiny = 10.0 ** np.linspace(-37, 1, 500)
    x = np.concatenate([np.linspace(-86, 100, 5000), tiny, -tiny]).astype(np.float32)
    exact = np.logaddexp(0, x.astype(np.float64))
    error = np.abs(np.asarray(_softplus(jnp.asarray(x))) - exact)
    assert np.max(error / np.spacing(exact.astype(np.float32))) < 3


def test_softplus_at_the_edges():
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3e38, -3e38], np.float32)
    half = np.float32(np.log(2))
    expected = np.array([np.inf, 0, np.nan, half, half, 3e38, 0], np.float32)
    np.testing.assert_allclose(_softplus(jnp.asarray(x)), expected, rtol=1e-7)
    assert _softplus(jnp.zeros((0, 3), jnp.float32)).shape == (0, 3)
    assert _softplus(jnp.ones((2,), jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_steps_with_gates_read_the_slices_of_their_own_step(length, reverse):
    rng = np.random.default_rng(length)
    with gf.Graph():
        shapes = ((length, 2, 6), (length, 2, 3), (3, 6))
        given = [gf.constant(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]

        def step(h, slices):
            x, y = slices
            gate, value = gf.split(gf.matmul(h, given[2]) + x, 2, axis=1)
            return gf.nn.sigmoid(gate) * value + y, h

        result = gf.scan(step, gf.zeros((2, 3)), (given[0], given[1]), reverse=reverse)
        own, other = (gf.Session(level="O0", backend=name).run(result) for name in ("jax", "numpy"))
        for one, two in zip(own, other):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("keepdims", [True, False])
def test_a_total_beside_the_sums_of_rows_adds_up_these(keepdims):
    x = gf.placeholder("x", (64, 512))
    powers = gf.exp(x)
    rows, total = gf.sum(powers, axis=1, keepdims=keepdims), gf.sum(powers)
    program = optimize(extract([rows, total], feeds=[x]))
    executable = get_backend("jax").compile(program, CompileOptions())
    pieces = executable.text().split("\n\n")
    assert not [piece for piece in pieces if "f32[64,512]" in piece and "dimensions={0,1}" in piece]
    array = np.random.default_rng(0).standard_normal((64, 512)).astype(np.float32)
    wanted = [np.exp(array).sum(1, keepdims=keepdims), np.exp(array).sum()]
    for value, want in zip(gf.Session().run([rows, total], {x: array}), wanted):
        np.testing.assert_allclose(value, want, rtol=1e-6)


def test_the_powers_of_logsumexp_are_computed_once_with_its_gradient():
    x = gf.placeholder("x", (64, 48))
    y = gf.logsumexp(x, axis=1)
    program = extract([y, *gf.gradients(gf.sum(gf.square(y)), [x])], feeds=[x])
    assert get_backend("jax").compile(program, CompileOptions()).text().count(" exponential(") == 1


@pytest.mark.parametrize("dtype", [gf.int8, gf.uint8, gf.int32, gf.uint32, gf.int64, gf.uint64], ids=str)
def test_one_hot_compares_in_a_dtype_that_holds_indices_and_depth(dtype):
    limits = np.iinfo(dtype.numpy)
    given = np.array([0, 100, 127, limits.max, limits.min, 3], dtype.numpy)
    with gf.Graph():
        indices = gf.placeholder("indices", (6,), dtype)
        made = gf.Session(backend="jax").make_callable(gf.one_hot(indices, 300), [indices])(given)
    np.testing.assert_array_equal(made, given.astype(object)[:, None] == np.arange(300))


@pytest.mark.parametrize("say", [gf.nn.softmax, gf.nn.log_softmax, gf.logsumexp], ids=lambda op: op.name)
def test_logits_beyond_1e9_that_are_a_product_give_numbers(say):
    """XLA leaves out the rounding of the product where it subtracts the maximum, which has it."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.uniform(1e9, 1e11, (40, 1)), 30, axis=1).astype(np.float32)
    rows[1::2, ::7] *= np.float32(0.5)
    with gf.Graph():
        x = gf.placeholder("x", (40, 30))
        y = say(x * np.float32(0.123), axis=1)
        made, wanted = (gf.Session(backend=name).run(y, {x: rows}) for name in ("jax", "numpy"))
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(made, wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", [gf.float16, gf.bfloat16, gf.float32, gf.float64], ids=str)
@pytest.mark.parametrize("say", [gf.nn.softmax, gf.nn.log_softmax, gf.logsumexp], ids=lambda op: op.name)
def test_softmax_at_the_edges(say, dtype):
    inf, nan, most = np.inf, np.nan, float(np.finfo(np.float16).max)
    rows = [[1, 2, 3], [inf, 1, 2], [-inf, -inf, -inf], [nan, 1, 2], [-inf, 1, 1], [inf, inf, -inf],
            [most, -most, most], [-0.0, 0.0, 0.0], [inf, nan, 1], [-most, -most, -most]]  # fmt: skip
    for value in (np.asarray(rows).astype(dtype.numpy), np.zeros((3, 0), dtype.numpy)):
        with gf.Graph():
            y = say(gf.constant(value, allow_nan=True), axis=1)
            made, wanted = (gf.Session(backend=name, level="O0").run(y) for name in ("jax", "numpy"))
        assert made.dtype == wanted.dtype
        small = 1e-6 if dtype.itemsize >= 4 else 1e-2
        np.testing.assert_allclose(made.astype(np.float64), wanted.astype(np.float64), rtol=small)


_PRODUCTS = {
    "x": False,
    "x * 2.0": True,
    "gf.reshape(x * 2.0, (6, 4))": True,
    "gf.exp(x)": True,
    "gf.matmul(x, w)": False,
    "gf.matmul(x, w) + 1.0": False,
    "gf.matmul(x, w) * 0.5 + 1.0": True,
    "gf.maximum(gf.matmul(x, w), 0)": False,
    "gf.where(x > 0, gf.permute_dims(gf.reshape(x, (6, 4)), axes=(1, 0)), -1e9)": False,
    "gf.where(x > 0, x * 2.0, -1e9)": True,
    "gf.matmul(gf.reshape(x, (24, 1)), w[:1])": True,
}


@pytest.mark.parametrize("text", _PRODUCTS)
def test_what_may_be_an_unrounded_product(text):
    with gf.Graph():
        given = {"gf": gf, "x": gf.placeholder("x", (4, 6)), "w": gf.variable("w", (6, 4))}
        assert may_be_product(eval(text, given)) == _PRODUCTS[text]


def test_what_a_body_is_given_and_what_lies_deep_may_be_a_product():
    with gf.Graph():
        x, found = gf.placeholder("x", (4, 6)), []
        gf.fori_loop(0, 3, lambda i, h: found.append(may_be_product(h)) or h + 1.0, x)
        deep = x
        for _ in range(10_000):
            deep = deep + x
        assert found[0] and may_be_product(deep)


@pytest.mark.parametrize(("scale", "count"), [(1, 0), (0.5, 1)])
def test_softmax_has_a_minimum_where_its_input_is_a_product(scale, count):
    with gf.Graph():
        x = gf.placeholder("x", (8, 16))
        program = extract([gf.nn.softmax(x if scale == 1 else x * scale)], feeds=[x])
    assert get_backend("jax").compile(program, CompileOptions()).text().count(" minimum(") == count


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [0, 1, 16, 17, 18, 35])
def test_running_sums_and_products_are_those_of_numpy(size, reverse):
    """Short ones in order, longer ones by halves; -0 stays, NaN and inf reach what follows."""
    rng = np.random.default_rng(size)
    whole = rng.integers(-5, 6, (2, size, 3)).astype(np.int64)
    real = 1 + 0.1 * rng.standard_normal((2, size, 3)).astype(np.float32)
    real[0, 3:4, 0], real[0, 5:6, 1], real[1, 7:8, 2], real[1, :, 0] = np.nan, np.inf, 0, -0.0
    flip = np.s_[:, :: -1 if reverse else 1]
    for name, accumulate in (("cumulative_sum", np.add), ("cumulative_prod", np.multiply)):
        for exclusive in (False, True):
            attrs = {"axis": 1, "exclusive": exclusive, "reverse": reverse}
            with gf.Graph():
                feeds = [gf.placeholder("i", whole.shape, "int64"), gf.placeholder("x", real.shape)]
                made = [getattr(gf, name)(feed, **attrs) for feed in feeds]
                found = gf.Session(backend="jax").run(made, dict(zip(feeds, (whole, real), strict=True)))
            for own, x in zip(found, (whole, real), strict=True):
                wanted = accumulate.accumulate(x[flip], axis=1)
                if exclusive and size:
                    first = np.full_like(x[:, :1], accumulate.identity)
                    wanted = np.concatenate([first, wanted[:, :-1]], axis=1)
                np.testing.assert_allclose(own, wanted[flip], rtol=1e-5)
                if size > 16 or name == "cumulative_prod":  # XLA's windows add 0
                    numbers = ~np.isnan(own)
                    np.testing.assert_array_equal(np.signbit(own)[numbers], np.signbit(wanted[flip])[numbers])


def test_slopes_of_long_running_products_are_right_at_zeros():
    """Against those that NumPy takes; what stands behind a zero has no part in anything."""
    x = 1 + 0.1 * np.random.default_rng(0).standard_normal((2, 37))
    x[0, 20], x[1, [4, 30]] = 0.0, 0.0
    with gf.Graph():
        given = gf.placeholder("x", x.shape, "float64")
        (slope,) = gf.gradients(gf.sum(gf.cumulative_prod(given, axis=1)), [given])
        own, other = (gf.Session(backend=name).run(slope, {given: x}) for name in ("jax", "numpy"))
    np.testing.assert_allclose(own, other, rtol=1e-12)
    assert own[0, :21].all() and not own[0, 21:].any() and not own[1, 5:].any()

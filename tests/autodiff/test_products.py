"""Products with Jacobians and Hessians: values against jax, and what is built and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GradientError, GraphFlowError
from graphflow.ir.builder import Builder
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import NotDifferentiable, OpDef, registry
from graphflow.ir.traversal import ancestors
from tests.samples import Sample, all_samples

Function = Callable[..., Any]


def matmul(m, x, w):
    return m.tanh(m.matmul(x, w))


def softmax(m, x, w):
    scores = m.matmul(x, w)
    if m is jnp:
        return jax.nn.softmax(scores, axis=-1), m.sum(scores)
    return gf.nn.softmax(scores, axis=-1), m.sum(scores)


def broadcast(m, x, w):
    return m.exp(m.multiply(m.sum(x), w)), m.divide(x, m.add(2.0, m.square(m.sum(w, axis=0, keepdims=True))))


def conv(m, x, w):
    x, w = m.reshape(x, (1, 1, 4, 3)), m.reshape(w, (1, 1, 3, 3))
    if m is jnp:
        return jnp.sin(jax.lax.conv(x, w, (1, 1), [(1, 1), (1, 1)]))
    return gf.sin(gf.nn.conv(x, w, padding=1))


def picked(m, x, w):
    return m.max(x, axis=1), m.where(m.greater(w, 0), w, m.multiply(0.1, w)), m.exp(w[1:, ::2])


FUNCTIONS: list[Function] = [matmul, softmax, broadcast, conv, picked]


@pytest.fixture
def point(rng) -> list[np.ndarray]:
    return [rng.standard_normal((4, 3)), rng.standard_normal((3, 3))]


def tensors(point: list[np.ndarray]) -> list[gf.Tensor]:
    return [gf.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(point)]


def several(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (list, tuple)) else [values]


def assert_close(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
class TestAgainstJax:
    def test_jvp(self, function, point, rng):
        directions = [rng.standard_normal(array.shape) for array in point]
        xs = tensors(point)
        ys = several(function(gf, *xs))
        made = gf.jvp(ys, xs, directions)
        assert [tensor.type for tensor in made] == [y.type for y in ys]
        with jax.enable_x64(True):
            expected = jax.jvp(lambda *xs: function(jnp, *xs), point, directions)[1]
        assert_close(evaluate(made, dict(zip(xs, point))), several(expected))

    def test_vjp(self, function, point, rng):
        xs = tensors(point)
        ys = several(function(gf, *xs))
        weights = [rng.standard_normal(y.shape) for y in ys]
        made = gf.vjp(ys, xs, weights)
        with jax.enable_x64(True):
            outputs, pull = jax.vjp(lambda *xs: function(jnp, *xs), *point)
            expected = pull(tuple(weights) if isinstance(outputs, tuple) else weights[0])
        assert_close(evaluate(made, dict(zip(xs, point))), list(expected))

    def test_hessian_and_products_with_it(self, function, point, rng):
        def total(m, *xs):
            return sum(m.sum(m.square(y)) for y in several(function(m, *xs)))

        x, w = tensors(point)
        y = total(gf, x, w)
        matrix = gf.hessian(y, w)
        assert matrix.type is gf.TensorType(gf.float64, (3, 3, 3, 3))
        directions = [rng.standard_normal(array.shape) for array in point]
        products = gf.hessian_vector_product(y, [x, w], directions)
        found = evaluate([matrix, *products], {x: point[0], w: point[1]})
        with jax.enable_x64(True):
            hessian = jax.hessian(lambda *xs: total(jnp, *xs), argnums=(0, 1))(*point)
        expected = [
            sum(np.tensordot(block, v, axes=2) for block, v in zip(row, directions)) for row in hessian
        ]
        assert_close(found, [hessian[1][1], *expected])


def differentiable(name: str) -> bool:
    return registry[name].vjp is not None and not isinstance(registry[name].vjp, NotDifferentiable)


@pytest.mark.parametrize("name", [name for name in all_samples() if differentiable(name)])
def test_forward_and_reverse_mode_agree_for_every_operator(name, rng):
    """<J t, v> = <t, J^T v>, which the gradient of each operator's gradient has to satisfy.

    Between real and complex tensors it holds for the real parts.
    """
    for sample in all_samples()[name]:
        if sample.gradient:
            with gf.Graph():
                assert_transposed(registry[name], sample, rng)


def assert_transposed(op: OpDef, sample: Sample, rng: np.random.Generator) -> None:
    wide = {"float": np.float64, "complex": np.complex128}
    arrays = [a.astype(wide.get(gf.as_dtype(a.dtype).kind, a.dtype)) for a in sample.inputs]
    inputs = tensors(arrays)
    xs = [tensor for tensor in inputs if tensor.dtype.is_differentiable]
    outputs = several(Builder(gf.default_graph()).apply(op, inputs, dict(sample.attrs)))
    ys = [tensor for tensor in outputs if tensor.dtype.is_differentiable]
    if not xs or not ys:
        return
    along = [drawn(rng, x) for x in xs]
    weights = [drawn(rng, y) for y in ys]
    made = [*gf.jvp(ys, xs, along), *gf.vjp(ys, xs, weights)]
    values = evaluate(made, dict(zip(inputs, arrays)))
    left = sum(np.sum(value * weight) for value, weight in zip(values, weights))
    right = sum(np.sum(value * v) for value, v in zip(values[len(ys) :], along))
    np.testing.assert_allclose(np.real(left), np.real(right), rtol=1e-9, atol=1e-9)


def drawn(rng: np.random.Generator, tensor: gf.Tensor) -> np.ndarray:
    values = rng.standard_normal(tensor.shape)
    return values + 1j * rng.standard_normal(tensor.shape) if tensor.dtype.kind == "complex" else values


class TestForwardMode:
    def test_the_result_reads_no_weight_of_the_first_sweep(self):
        x = gf.placeholder("x", ("n", 3))
        before = len(x.graph)
        [made] = gf.jvp(gf.exp(x) * x, x, gf.ones_like(x))
        assert made.type is x.type
        assert {node.op.name for node in ancestors([made])} <= {
            "placeholder", "constant", "broadcast_to", "exp", "multiply", "add",
        }  # fmt: skip
        made_here = [node for node in ancestors([made]) if node.id >= before + 4]
        assert {node.name.partition("/")[0] for node in made_here} == {"jvp"}
        rows = np.arange(6.0, dtype=np.float32).reshape(2, 3)
        value = gf.Session(backend="numpy").run(made, {x: rows})
        np.testing.assert_allclose(value, np.exp(rows) * (1 + rows), rtol=1e-6)

    def test_unconnected_parts_are_zero(self):
        x, w = gf.placeholder("x", (2,)), gf.placeholder("w", ())
        made = gf.jvp([gf.sin(x), gf.exp(w), gf.round(x)], [x], [[1.0, 2.0]])
        found = evaluate(made, {x: [0.0, 0.0], w: 1.0})
        np.testing.assert_array_equal(found[0], [1.0, 2.0])
        np.testing.assert_array_equal(found[1], 0.0)
        np.testing.assert_array_equal(found[2], [0.0, 0.0])

    def test_a_tensor_is_its_own_derivative_and_directions_of_one_x_add_up(self):
        x = gf.placeholder("x", (2,))
        found = evaluate(gf.jvp([x, x * x], [x, x], [[1.0, 2.0], [10.0, 20.0]]), {x: [3.0, 4.0]})
        np.testing.assert_array_equal(found, [[11.0, 22.0], [66.0, 176.0]])

    def test_with_respect_to_what_lies_between(self):
        x = gf.placeholder("x", ())
        middle = gf.exp(x)
        assert evaluate(gf.jvp(middle * middle, middle, 1.0), {x: 0.0}) == [2.0]

    def test_higher_orders(self):
        x = gf.placeholder("x", (), gf.float64)
        y = gf.sin(x) * x
        for _ in range(3):
            [y] = gf.jvp(y, x, 1.0)
        [found] = evaluate([y], {x: 0.7})
        np.testing.assert_allclose(found, -3 * np.sin(0.7) - 0.7 * np.cos(0.7), rtol=1e-12)

    def test_forward_over_reverse_is_a_hessian_product(self, rng):
        x = gf.placeholder("x", (3,), gf.float64)
        v = rng.standard_normal(3)
        y = gf.sum(gf.exp(x)) * gf.sum(x * x)
        made = [*gf.jvp(gf.gradients(y, x), x, [v]), *gf.hessian_vector_product(y, x, v)]
        forward, reverse = evaluate(made, {x: rng.standard_normal(3)})
        np.testing.assert_allclose(forward, reverse, rtol=1e-12)

    def test_a_session_runs_it(self, rng):
        x = gf.placeholder("x", ("n", 2))
        [made] = gf.jvp(gf.nn.softmax(x), x, x)
        rows = rng.standard_normal((3, 2)).astype(np.float32)
        expected = jax.jvp(jax.nn.softmax, (rows,), (rows,))[1]
        for backend in ("numpy", "jax"):
            found = gf.Session(backend=backend).run(made, {x: rows})
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class TestReverseMode:
    def test_unconnected_is_zero_and_a_single_vector_may_stand_alone(self):
        x, w = gf.placeholder("x", (2,)), gf.placeholder("w", (3,))
        found = evaluate(gf.vjp(x * x, [x, w], np.float32([1.0, 10.0])), {x: [3.0, 4.0], w: [0.0] * 3})
        np.testing.assert_array_equal(found[0], [6.0, 80.0])
        np.testing.assert_array_equal(found[1], [0.0, 0.0, 0.0])


class TestHessians:
    @pytest.mark.parametrize("shape", [(), (1,), (2, 0), (2, 2)])
    def test_shapes(self, shape, rng):
        x = gf.placeholder("x", shape, gf.float64)
        values = rng.standard_normal(shape)
        [found] = evaluate([gf.hessian(gf.sum(x * x * x) * gf.sum(x), x)], {x: values})
        with jax.enable_x64(True):
            expected = jax.hessian(lambda x: jnp.sum(x**3) * jnp.sum(x))(values)
        assert found.shape == shape + shape
        np.testing.assert_allclose(found, expected, atol=1e-12)

    @pytest.mark.parametrize("function", [gf.sum, lambda x: gf.constant(1.0), lambda x: gf.sum(gf.sign(x))])
    def test_no_second_derivative_is_zero(self, function):
        x = gf.placeholder("x", (2,))
        y = function(x)
        found = evaluate(
            [gf.hessian(y, x), *gf.hessian_vector_product(y, [x], [[1.0, 1.0]])], {x: [1.0, 2.0]}
        )
        np.testing.assert_array_equal(found[0], np.zeros((2, 2)))
        np.testing.assert_array_equal(found[1], np.zeros(2))

    def test_other_sizes_may_be_symbolic(self, rng):
        x, w = gf.placeholder("x", ("n", 3), gf.float64), gf.placeholder("w", (3,), gf.float64)
        matrix = gf.hessian(gf.sum(gf.square(x @ w)), w)
        rows = rng.standard_normal((5, 3))
        found = gf.Session(backend="numpy").run(matrix, {x: rows})  # w has no say in it
        np.testing.assert_allclose(found, 2 * rows.T @ rows, rtol=1e-12)

    def test_a_product_needs_no_fixed_size(self):
        x = gf.placeholder("x", ("n",))
        [made] = gf.hessian_vector_product(gf.sum(x * x * x), x, x)
        found = gf.Session(backend="numpy").run(made, {x: [1.0, 2.0]})
        np.testing.assert_array_equal(found, [6.0, 24.0])


class TestRefusals:
    @pytest.mark.parametrize("product", [gf.jvp, gf.vjp])
    @pytest.mark.parametrize(
        ("vector", "words"),
        [
            (lambda: gf.constant(np.ones(2)), r"float64\[2\], not float32\[2\]"),
            (np.ones(3, np.float32), r"float32\[3\], not float32\[2\]"),
            ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], r"float32\[3, 2\]"),
            (None, "is None"),
            ("ones", "does not fit"),
        ],
    )
    def test_vectors_that_do_not_fit(self, product, vector, words):
        x = gf.placeholder("x", (2,))
        y = gf.exp(x)
        given = vector() if callable(vector) else vector
        count = len(x.graph)
        with pytest.raises(GraphFlowError, match=words):
            product(y, x, given)
        assert len(x.graph) == count  # what failed has left nothing behind

    @pytest.mark.parametrize(
        ("product", "words"),
        [
            (gf.jvp, "2 xs but 1 tangents"),
            (gf.vjp, "2 ys but 1 vs"),
        ],
    )
    def test_wrong_counts(self, product, words):
        x, w = gf.placeholder("x", ()), gf.placeholder("w", ())
        with pytest.raises(GradientError, match=words):
            product([x * w, x], [x, w], [1.0])

    def test_a_tangent_of_another_graph(self):
        with gf.Graph("other"):
            foreign = gf.constant(1.0)
        x = gf.placeholder("x", ())
        with pytest.raises(GradientError, match="the tangent of x:0 belongs to the graph 'other'"):
            gf.jvp(x, x, foreign)

    @pytest.mark.parametrize("product", [gf.jvp, gf.vjp, gf.hessian_vector_product])
    def test_integers_have_none(self, product):
        x = gf.placeholder("x", (), gf.int32)
        with pytest.raises(GradientError, match="only floating-point"):
            product(x * x, x, 1)

    def test_y_is_no_scalar(self):
        x = gf.placeholder("x", (1,))
        with pytest.raises(GradientError, match=r"hessian needs a scalar y, but exp:0 is float32\[1\]"):
            gf.hessian(gf.exp(x), x)
        with pytest.raises(GradientError, match="hessian_vector_product needs a scalar y"):
            gf.hessian_vector_product(gf.exp(x), x, [1.0])

    @pytest.mark.parametrize(
        ("shape", "words"),
        [
            (("n", 2), r"x:0 is float32\[n, 2\], whose size is not fixed"),
            ((101, 100), "10,100 elements"),
            (("n", 0), "not fixed"),
        ],
    )
    def test_x_is_of_open_or_large_size(self, shape, words):
        x = gf.placeholder("x", shape)
        with pytest.raises(GradientError, match=words) as caught:
            gf.hessian(gf.sum(x * x), x)
        assert "gf.hessian_vector_product" in caught.value.hint

    def test_a_hessian_takes_one_x(self):
        x = gf.placeholder("x", ())
        with pytest.raises(GradientError, match="hessian needs one tensor as x"):
            gf.hessian(x * x, [x, x])
        with pytest.raises(GradientError, match=r"needs one tensor as y, not 1\.0 of type float"):
            gf.hessian(1.0, x)

"""Symbolic gradients: values against jax.grad, and what is built, named and refused."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import GradientError, GraphFlowError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import OpDef


def placeholders(**arrays: np.ndarray) -> dict[str, Any]:
    return {name: gf.placeholder(name, array.shape, array.dtype) for name, array in arrays.items()}


def assert_gradients_as_jax(function: Any, arrays: dict[str, np.ndarray], rtol: float = 1e-9) -> None:
    """`function(namespace, **tensors)` gives a scalar in GraphFlow and in jax.numpy alike."""
    with Graph():
        tensors = placeholders(**arrays)
        found = evaluate(
            gradients(function(gf, **tensors), list(tensors.values())),
            {tensors[name]: array for name, array in arrays.items()},
        )
    with jax.enable_x64(True):
        expected = jax.grad(lambda values: function(jnp, **values))(
            {k: jnp.asarray(v) for k, v in arrays.items()}
        )
    for name, value in zip(arrays, found):
        assert value.dtype == arrays[name].dtype and value.shape == arrays[name].shape
        np.testing.assert_allclose(value, np.asarray(expected[name]), rtol=rtol, atol=1e-11, err_msg=name)


def made_by_op(operator: OpDef, *inputs: Any, **attrs: Any) -> Any:
    return Builder(inputs[0].graph).apply(operator, inputs, attrs)


def operator(name: str, reference: Any, infer: Any, vjp: Any = None) -> OpDef:
    """An operator that is not registered, so that no other test meets it."""
    made = OpDef(
        reference,
        family="test",
        name=name,
        infer=infer,
        traits=frozenset(),
        promotion=None,
        normalize=None,
        version=1,
    )
    made.vjp = vjp
    return made


class TestValues:
    def test_mlp_with_softmax_cross_entropy(self, rng):
        def loss(m, x, w1, b1, w2, b2, labels):
            hidden = m.tanh(m.add(m.matmul(x, w1), b1))
            logits = m.add(m.matmul(hidden, w2), b2)
            high = m.max(logits, axis=-1, keepdims=True)
            shifted = m.subtract(logits, high)
            normalizer = m.log(m.sum(m.exp(shifted), axis=-1, keepdims=True))
            return m.negative(m.mean(m.sum(m.multiply(labels, m.subtract(shifted, normalizer)), axis=-1)))

        shapes = {"x": (5, 4), "w1": (4, 7), "b1": (7,), "w2": (7, 3), "b2": (3,)}
        arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        arrays["labels"] = np.eye(3)[rng.integers(0, 3, 5)]
        assert_gradients_as_jax(loss, arrays)

    def test_mixed_broadcasting(self, rng):
        def loss(m, scalar, row, column, matrix, block):
            left = m.multiply(m.add(row, column), scalar)
            right = m.divide(matrix, m.add(2.0, m.square(block)))
            return m.sum(m.sin(m.subtract(left, m.multiply(right, column))))

        shapes = {"scalar": (), "row": (4,), "column": (3, 1), "matrix": (1, 4), "block": (2, 1, 4)}
        assert_gradients_as_jax(loss, {name: rng.standard_normal(shape) for name, shape in shapes.items()})

    def test_layer_norm_and_gate(self, rng):
        def loss(m, x, scale, shift):
            centred = m.subtract(x, m.mean(x, axis=-1, keepdims=True))
            spread = m.sqrt(m.add(m.mean(m.square(centred), axis=-1, keepdims=True), 1e-5))
            normal = m.add(m.multiply(m.divide(centred, spread), scale), shift)
            return m.sum(m.where(m.greater(normal, 0), normal, m.multiply(0.1, normal)))

        shapes = {"x": (2, 3, 5), "scale": (5,), "shift": (5,)}
        assert_gradients_as_jax(loss, {name: rng.standard_normal(shape) for name, shape in shapes.items()})

    def test_batched_attention(self, rng):
        def loss(m, query, key, value):
            scores = m.divide(m.matmul(query, m.permute_dims(key, (0, 2, 1))), 2.0)
            weights = m.exp(m.subtract(scores, m.max(scores, axis=-1, keepdims=True)))
            weights = m.divide(weights, m.sum(weights, axis=-1, keepdims=True))
            return m.sum(m.square(m.matmul(weights, value)))

        arrays = {name: rng.standard_normal((2, 3, 4)) for name in ("query", "key", "value")}
        assert_gradients_as_jax(loss, arrays)

    def test_gradient_of_a_gradient(self, rng):
        values = rng.standard_normal((3, 4))
        x = gf.placeholder("x", (3, 4), gf.float64)
        [first] = gradients(gf.sum(gf.sin(x) * gf.exp(x) * gf.sum(x)), x)
        [second] = gradients(gf.sum(first * first), x)
        [found] = evaluate([second], {x: values})

        def slope(z):
            return jax.grad(lambda z: jnp.sum(jnp.sin(z) * jnp.exp(z) * jnp.sum(z)))(z)

        with jax.enable_x64(True):
            expected = jax.grad(lambda z: jnp.sum(slope(z) ** 2))(jnp.asarray(values))
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_third_derivative_of_a_power(self):
        x = gf.placeholder("x", (), gf.float64)
        y = x * x * x * x
        for _ in range(3):
            [y] = gradients(y, x)
        assert evaluate([y], {x: 1.5})[0] == pytest.approx(24 * 1.5)

    def test_the_same_tensor_as_both_inputs(self):
        x = gf.placeholder("x", (3,), gf.float64)
        [slope] = gradients(x * x, x)
        np.testing.assert_array_equal(evaluate([slope], {x: [1.0, -2.0, np.inf]})[0], [2.0, -4.0, np.inf])

    def test_nan_and_inf_pass_through(self):
        x, y = gf.placeholder("x", (4,), gf.float64), gf.placeholder("y", (4,), gf.float64)
        [slope] = gradients(x * y, x)
        values = np.array([np.nan, np.inf, -0.0, 1.0])
        np.testing.assert_array_equal(evaluate([slope], {x: np.ones(4), y: values})[0], values)

    @pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), ()])
    def test_empty_and_single_element(self, shape):
        x = gf.placeholder("x", shape, gf.float64)
        [slope] = gradients(gf.sum(gf.sin(x)), x)
        assert evaluate([slope], {x: np.zeros(shape)})[0].shape == shape


# A program is a list of steps; each picks an operation and earlier values to apply it to

_SHAPES = ((2, 3), (3,), (2, 1), ())
_STEPS = (
    lambda m, x, y: m.sin(x),
    lambda m, x, y: m.tanh(m.add(x, y)),
    lambda m, x, y: m.subtract(x, y),
    lambda m, x, y: m.cos(m.multiply(x, y)),
    lambda m, x, y: m.divide(x, m.add(2.0, m.sin(y))),
    lambda m, x, y: m.exp(m.negative(m.abs(m.add(x, 0.3)))),
    lambda m, x, y: m.where(m.greater(x, 0.1), x, m.multiply(0.5, y)),
    lambda m, x, y: (
        m.mean(m.add(x, y), axis=None if x.ndim == 0 else -1, keepdims=True) if x.ndim else m.add(x, 1.0)
    ),
    lambda m, x, y: m.sum(m.sin(x)),
    lambda m, x, y: m.sqrt(m.add(1.0, m.square(m.sin(x)))),
    lambda m, x, y: m.expm1(m.multiply(0.1, m.cos(x))),
)


@given(
    program=st.lists(
        st.tuples(st.integers(0, len(_STEPS) - 1), st.integers(0, 30), st.integers(0, 30)),
        min_size=1,
        max_size=12,
    )
)
def test_random_programs_have_the_gradients_of_jax(program):
    rng = np.random.default_rng(len(program))

    def loss(m, **tensors):
        made = list(tensors.values())
        for step, first, second in program:
            made.append(_STEPS[step](m, made[-1 - first % len(made)], made[second % len(made)]))
        total = m.sum(made[-1])
        for value in made[len(tensors) : -1]:
            total = m.add(total, m.multiply(0.5, m.sum(value)))
        return total

    assert_gradients_as_jax(
        loss, {f"x{i}": rng.standard_normal(shape) for i, shape in enumerate(_SHAPES)}, 1e-8
    )


class TestWhatIsAskedFor:
    def test_x_that_is_also_y(self):
        x = gf.placeholder("x", (2,), gf.float64)
        [slope] = gradients([x, x * x], x)
        np.testing.assert_array_equal(evaluate([slope], {x: [3.0, 4.0]})[0], [7.0, 9.0])

    def test_y_twice_counts_twice(self):
        x = gf.placeholder("x", (), gf.float64)
        y = gf.sin(x)
        [slope] = gradients([y, y], x)
        assert evaluate([slope], {x: 0.0})[0] == 2.0

    def test_an_x_that_depends_on_another_x(self):
        x = gf.placeholder("x", (), gf.float64)
        middle = gf.exp(x)
        y = middle * middle + x
        found = evaluate(gradients(y, [x, middle]), {x: 1.0})
        np.testing.assert_allclose(found, [2 * np.e**2 + 1, 2 * np.e])

    def test_an_x_above_another_output_of_its_own_node(self):
        x = gf.placeholder("x", (4,), gf.float64)
        left, right = gf.split(x, (2, 2))
        found = evaluate(gradients(left * left, [x, left, right]), {x: [1.0, 2.0, 3.0, 4.0]})
        np.testing.assert_array_equal(found[0], [2.0, 4.0, 0.0, 0.0])
        np.testing.assert_array_equal(found[1], [2.0, 4.0])
        np.testing.assert_array_equal(found[2], [0.0, 0.0])

    def test_the_same_x_twice(self):
        x = gf.placeholder("x", (), gf.float64)
        first, second = gradients(x * x, [x, x])
        assert first is second

    def test_no_xs(self):
        assert gradients(gf.placeholder("x", ()), []) == []

    def test_weights(self):
        x = gf.placeholder("x", (2,), gf.float64)
        y, z = x * x, gf.exp(x)
        found = evaluate(
            gradients([y, z], x, grad_ys=[gf.constant(np.array([1.0, 10.0])), None]), {x: [1.0, 0.0]}
        )
        np.testing.assert_allclose(found[0], [2.0 + np.e, 1.0])

    @pytest.mark.parametrize("weight", [np.array([1.0, 10.0]), [1.0, 10.0], [[1.0, 10.0]]])
    def test_a_weight_for_a_single_y(self, weight):
        x = gf.placeholder("x", (2,), gf.float64)
        [slope] = gradients(x * x, x, grad_ys=weight)
        np.testing.assert_array_equal(evaluate([slope], {x: [1.0, 2.0]})[0], [2.0, 40.0])

    def test_narrow_floats_keep_their_type(self):
        x = gf.placeholder("x", (2,), gf.float16)
        w = gf.placeholder("w", (2,), gf.float64)
        slopes = gradients(gf.sum(gf.astype(x, gf.float32) * w), [x, w])
        assert [slope.dtype for slope in slopes] == [gf.float16, gf.float64]

    def test_promotion_is_undone(self):
        x, w = gf.placeholder("x", (3,), gf.float32), gf.placeholder("w", (1,), gf.float64)
        slopes = gradients(x * w, [x, w])
        assert [str(slope.type) for slope in slopes] == ["float32[3]", "float64[1]"]
        found = evaluate(slopes, {x: np.float32([1, 2, 3]), w: [2.0]})
        np.testing.assert_array_equal(found[0], [2.0, 2.0, 2.0])
        np.testing.assert_array_equal(found[1], [6.0])

    def test_a_real_beside_a_complex(self):
        x, c = gf.placeholder("x", (2,), gf.float32), gf.placeholder("c", (2,), "complex64")
        [slope] = gradients(x * c, x)
        assert slope.dtype is gf.float32
        found = evaluate([slope], {x: np.ones(2, np.float32), c: np.complex64([1 + 2j, 3 - 1j])})
        np.testing.assert_array_equal(found[0], [1.0, 3.0])


class TestSymbolicSizes:
    def test_types(self):
        x, w = gf.placeholder("x", ("batch", 3)), gf.placeholder("w", (3,))
        slopes = gradients(gf.sin(x) * w, [x, w])
        assert [str(slope.type) for slope in slopes] == ["float32[batch, 3]", "float32[3]"]

    def test_an_unconnected_x_gets_zeros_of_its_shape(self):
        x, other = gf.placeholder("x", ("batch",)), gf.placeholder("other", ("batch", "n"))
        [slope] = gradients(x * x, other)
        assert slope.type is other.type

    def test_a_bias_is_summed_over_the_unknown_batch(self):
        x, bias = gf.placeholder("x", ("batch", 1)), gf.placeholder("bias", (1,))
        [slope] = gradients(x * bias, bias)
        assert slope.type is bias.type
        with gf.Session(backend="numpy") as sess:
            np.testing.assert_array_equal(sess.run(slope, {x: np.ones((5, 1))}), [5.0])

    def test_sizes_found_equal_while_building(self):
        x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("m",))
        slopes = gradients(x * y + gf.exp(y), [x, y])
        with gf.Session(backend="numpy") as sess:
            found = sess.run(slopes, {x: [1.0, 2.0], y: [0.0, 0.0]})
        np.testing.assert_array_equal(found, [[0.0, 0.0], [2.0, 3.0]])


class TestWhatIsBuilt:
    def test_origin_is_the_line_of_the_forward_node(self):
        x = gf.placeholder("x", (3,))
        y = gf.exp(x)
        line = inspect.currentframe().f_lineno - 1
        before = len(x.graph)
        [slope] = gradients(y, x)
        assert slope.node.origin.line == line and slope.node.origin.file == __file__
        seeds = [node for node in x.graph.nodes[before:] if node.op.name in ("constant", "broadcast_to")]
        assert {node.origin.line for node in seeds} == {line + 3}

    def test_scopes_follow_the_forward_nodes(self):
        x = gf.placeholder("x", ())
        with gf.name_scope("net"), gf.name_scope("head"):
            y = gf.exp(x)
        with gf.name_scope("train"):
            [slope] = gradients(y, x)
        assert slope.name.startswith("train/gradients/net/head/")
        assert x.graph.scope == ""

    def test_the_scope_is_restored_after_an_error(self):
        bad = operator("bad", lambda x, /: x, lambda types, attrs: types)
        x = gf.placeholder("x", ())
        y = made_by_op(bad, gf.exp(x))
        with pytest.raises(GradientError):
            gradients(y, x)
        assert x.graph.scope == ""

    @pytest.mark.parametrize("uses", [2, 3, 50])
    def test_fan_out_is_summed_with_one_add_less_than_uses(self, uses):
        x = gf.placeholder("x", ())
        y = gf.concat([gf.reshape(gf.sin(x), (1,)) for _ in range(uses)])
        before = len(x.graph)
        [slope] = gradients(y, x)
        added = [node for node in x.graph.nodes[before:] if node.op.name == "add"]
        assert len(added) == uses - 1
        assert evaluate([slope], {x: np.float32(0)})[0] == uses

    @pytest.mark.parametrize("length", [2_000, 20_000])
    def test_a_chain_makes_a_bounded_number_of_nodes_each(self, length):
        x = gf.placeholder("x", (4,))
        y = x
        for _ in range(length):
            y = gf.sin(y)
        before = len(x.graph)
        gradients(y, x)
        assert len(x.graph) - before == 2 * length + 2  # cos and multiply each; a constant and its broadcast

    def test_what_leads_to_no_x_builds_nothing(self):
        x, w = gf.placeholder("x", (3,)), gf.placeholder("w", (3,))
        deep = w
        for _ in range(100):
            deep = gf.sin(deep)
        y = gf.exp(x) + deep
        before = len(x.graph)
        gradients(y, x)
        assert len(x.graph) - before <= 4

    def test_lazy_cotangents_are_made_only_if_needed(self):
        asked = []

        def vjp(b, node, g):
            def part(position):
                asked.append(position)
                return g if position else None

            return [lambda: part(0), lambda: part(1)]

        both = operator("both", lambda x, y, /: x + y, lambda types, attrs: types[:1], vjp)
        x, y = gf.placeholder("x", ()), gf.placeholder("y", ())
        z = made_by_op(both, x, y)
        assert evaluate(gradients(z, y), {x: 0.0, y: 0.0}) == [1.0]
        assert asked == [1]
        assert gradients(z, x, unconnected="none") == [None]
        assert asked == [1, 0]

    def test_several_outputs_get_a_cotangent_each_and_none_where_zero(self):
        seen = []

        def vjp(b, node, *cotangents):
            seen.append([cotangent is None for cotangent in cotangents])
            return [next(cotangent for cotangent in cotangents if cotangent is not None)]

        twins = operator("twins", lambda x, /: (x, x), lambda types, attrs: (types[0], types[0]), vjp)
        x = gf.placeholder("x", ())
        left, right = made_by_op(twins, x)
        gradients(right, x)
        gradients([left, right], x)
        assert seen == [[True, False], [False, False]]


class TestUnconnected:
    def test_policies(self):
        x, other = gf.placeholder("x", (2,)), gf.placeholder("other", (3,))
        y = gf.sin(x)
        [zero] = gradients(y, other)
        assert zero.type is other.type
        np.testing.assert_array_equal(evaluate([zero], {x: np.zeros(2, np.float32)})[0], np.zeros(3))
        assert gradients(y, other, unconnected="none") == [None]
        with pytest.raises(GradientError, match=r"no gradient with respect to other:0: no y depends on it"):
            gradients(y, other, unconnected="raise")

    def test_an_unknown_policy(self):
        x = gf.placeholder("x", ())
        with pytest.raises(GradientError, match="'zero', 'none' or 'raise'"):
            gradients(x, x, unconnected="ignore")

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            (
                lambda x: gf.stop_gradient(gf.sin(x)),
                r"between sin:0 and stop_gradient .*on purpose",
            ),
            (lambda x: gf.floor(gf.exp(x)), r"between exp:0 and floor \(floor.*constant between its jumps"),
            (lambda x: gf.where(gf.greater(x, 0), 1.0, 2.0), r"greater:0 is bool.*its result is boolean"),
            (lambda x: gf.astype(gf.astype(x, gf.int32), gf.float32), r"astype:0 is int32"),
        ],
    )
    def test_the_broken_edge_is_named(self, path, words):
        x = gf.placeholder("x", (2,))
        y = gf.exp(path(x)) + 1.0
        with pytest.raises(GradientError, match=words) as caught:
            gradients(y, x, unconnected="raise")
        assert "test_reverse.py" in str(caught.value)

    def test_a_whole_path_beside_a_broken_one(self):
        x = gf.placeholder("x", (2,), gf.float64)
        [slope] = gradients(gf.floor(x) * x, x, unconnected="raise")
        np.testing.assert_array_equal(evaluate([slope], {x: [1.5, 2.5]})[0], [1.0, 2.0])


class TestRefusals:
    def test_integers(self):
        x, n = gf.placeholder("x", (2,)), gf.placeholder("n", (2,), gf.int32)
        with pytest.raises(GradientError, match="x = n:0 is int32"):
            gradients(gf.sum(x), n)
        with pytest.raises(GradientError, match="y = n:0 is int32"):
            gradients(n, x)

    @pytest.mark.parametrize("ys", [3.0, None, "y", [1.0], np.ones(2)])
    def test_ys_that_are_no_tensors(self, ys):
        with pytest.raises(GradientError, match="among the ys"):
            gradients(ys, gf.placeholder("x", ()))

    def test_xs_that_are_no_tensors(self):
        x = gf.placeholder("x", ())
        with pytest.raises(GradientError, match="among the xs is 'x' of type str"):
            gradients(x, "x")

    def test_no_ys(self):
        with pytest.raises(GradientError, match="no y"):
            gradients([], gf.placeholder("x", ()))

    def test_two_graphs(self):
        with gf.Graph("one"):
            x = gf.placeholder("x", ())
        with gf.Graph("two"):
            y = gf.placeholder("y", ())
        with pytest.raises(GradientError, match=r"'one'.*'two'"):
            gradients(y, x)

    @pytest.mark.parametrize(
        ("weight", "words"),
        [
            (np.ones(3, np.float32), r"float32\[3\], not float32\[2\]"),
            ([None, None], "1 ys but 2 grad_ys"),
            ("ones", "does not fit"),
        ],
    )
    def test_weights_that_do_not_fit(self, weight, words):
        x = gf.placeholder("x", (2,))
        with pytest.raises(GraphFlowError, match=words):
            gradients([gf.sin(x)], x, grad_ys=weight)

    def test_a_weight_of_another_dtype(self):
        x = gf.placeholder("x", (2,))
        with pytest.raises(GradientError, match=r"float64\[2\], not float32\[2\]"):
            gradients(x, x, grad_ys=gf.constant(np.ones(2)))

    def test_an_operator_without_gradient_names_node_and_line(self):
        bad = operator("bad", lambda x, /: x, lambda types, attrs: types)
        x = gf.placeholder("x", ())
        with gf.name_scope("net"):
            y = made_by_op(bad, gf.exp(x))
        line = inspect.currentframe().f_lineno - 1
        with pytest.raises(GradientError, match="node net/bad cannot be differentiated") as caught:
            gradients(gf.sin(y), x)
        assert f"test_reverse.py:{line}" in str(caught.value)
        assert "gf.stop_gradient" in caught.value.hint

    def test_an_operator_without_gradient_does_no_harm_elsewhere(self):
        bad = operator("bad", lambda x, /: x, lambda types, attrs: types)
        x, w = gf.placeholder("x", ()), gf.placeholder("w", ())
        y = made_by_op(bad, w) * x
        assert evaluate(gradients(y, x), {x: 1.0, w: 3.0}) == [3.0]

    def test_a_rule_with_the_wrong_number_of_cotangents(self):
        short = operator("short", lambda x, y, /: x, lambda types, attrs: types[:1], lambda b, node, g: [g])
        x = gf.placeholder("x", ())
        with pytest.raises(GradientError, match="gave 1 cotangents for 2 inputs"):
            gradients(made_by_op(short, x, x), x)

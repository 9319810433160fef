"""Functions with a gradient of their own: that it is used, once and alone, and leaves no trace."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GradientError, GraphError
from graphflow.ir.interpret import evaluate


@gf.custom_gradient
def log1pexp(x):
    """The stable softplus of the manuals, whose plain gradient overflows."""
    e = gf.exp(x)
    return gf.log(1.0 + e), lambda g: g * (1.0 - 1.0 / (1.0 + e))


@gf.custom_gradient
def tripled(x):
    return gf.identity(x), lambda g: 3.0 * g


def derivative(y: Any, x: gf.Tensor, value: Any) -> np.ndarray:
    return evaluate(gf.gradients(y, x), {x: value})[0]


class TestValues:
    def test_as_jax_to_the_second_order(self, rng):
        @jax.custom_vjp
        def theirs(x):
            return jnp.log(1.0 + jnp.exp(x))

        theirs.defvjp(
            lambda x: (theirs(x), jnp.exp(x)), lambda e, g: (g * (1.0 - 1.0 / (1.0 + e)),)
        )  # fmt: skip
        values = rng.standard_normal(5)
        x = gf.placeholder("x", (5,), gf.float64)
        [first] = gf.gradients(gf.sum(gf.sin(log1pexp(x))), x)
        [second] = gf.gradients(first, x)
        found = evaluate([first, second], {x: values})

        def slope(x):
            return jax.grad(lambda x: jnp.sum(jnp.sin(theirs(x))))(x)

        with jax.enable_x64(True):
            expected = slope(values), jax.grad(lambda x: jnp.sum(slope(x)))(values)
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_it_replaces_what_would_overflow(self):
        x = gf.placeholder("x", ())
        with np.errstate(over="ignore"):
            assert derivative(log1pexp(x), x, 200.0) == 1.0

    def test_several_arguments_and_outputs(self):
        @gf.custom_gradient
        def both(x, y, scale=1.0):
            def slopes(g, h):
                return scale * (g + 10.0 * h), None

            return (x * y, x + y), slopes

        x, y = gf.placeholder("x", (2,)), gf.placeholder("y", (2,))
        product, total = both(x, y, scale=2.0)
        point = {x: [1.0, 2.0], y: [3.0, 4.0]}
        assert [value.tolist() for value in evaluate([product, total], point)] == [[3.0, 8.0], [4.0, 6.0]]
        for target, expected in ((product, 2.0), (total, 20.0), ([total, product], 22.0)):
            found = evaluate(gf.gradients(target, [x, y]), point)
            np.testing.assert_array_equal(found, [[expected] * 2, [0.0] * 2])

    def test_cotangents_of_all_uses_are_added_before_the_one_call(self):
        calls = []

        @gf.custom_gradient
        def counted(x):
            return (x, 2.0 * x), lambda g, h: calls.append((g, h)) or g + h

        x = gf.placeholder("x", ())
        a, b = counted(x)
        assert derivative(a * b + gf.sin(a) + 5.0 * b, x, 0.0) == 6.0
        assert len(calls) == 1

    def test_nested(self):
        @gf.custom_gradient
        def outer(x):
            y = tripled(x)

            def slope(g):
                return gf.gradients(y, x, grad_ys=g)[0] + g

            return y * y, slope

        x = gf.placeholder("x", ())
        assert derivative(outer(tripled(x)), x, 7.0) == 12.0
        assert derivative(tripled(tripled(tripled(x))), x, 1.0) == 27.0

    def test_a_result_that_ignores_its_argument_or_is_it(self):
        @gf.custom_gradient
        def ignoring(x):
            return gf.constant(5.0), lambda g: 2.0 * g

        x = gf.placeholder("x", ())
        assert derivative(ignoring(gf.exp(ignoring(gf.sin(x)))), x, 0.0) == pytest.approx(4.0 * np.exp(5.0))
        same = gf.custom_gradient(lambda x: (x, lambda g: 2.0 * g))(x)
        assert derivative(same + x, x, 0.0) == 3.0

    def test_the_inside_and_the_outputs_as_xs(self):
        inside = []

        @gf.custom_gradient
        def function(x):
            inside.append(gf.exp(x))
            return inside[0] * 2.0, lambda g: g

        x = gf.placeholder("x", ())
        y = function(x)
        assert evaluate(gf.gradients(y * y, y), {y: 2.0}) == [4.0]
        with pytest.raises(GradientError, match="only inside functions whose gradients are custom"):
            gf.gradients(y, inside[0], unconnected="raise")

    def test_integers_pass_by(self):
        @gf.custom_gradient
        def ranked(x, labels):
            seen = []

            def slope(g, none):
                seen.append(none)
                assert none is None
                return g * 4.0, None

            return (x, labels + 1), slope

        x, labels = gf.placeholder("x", ()), gf.placeholder("labels", (), gf.int32)
        y, after = ranked(x, labels)
        assert after.dtype is gf.int32
        assert evaluate(gf.gradients(y, x), {x: 1.0, labels: 3}) == [4.0]

    def test_numbers_as_arguments_and_symbolic_sizes(self):
        @gf.custom_gradient
        def clipped(x, bound):
            return x, lambda g: (gf.clip(g, -1.0, 1.0) * bound, None)

        x = gf.placeholder("x", ("n",))
        slopes = gf.gradients(gf.square(clipped(x, 0.5)), x)
        found = gf.Session(backend="numpy").run(slopes, {x: [0.25, -3.0, 8.0]})
        np.testing.assert_array_equal(found, [[0.25, -0.5, 0.5]])

    def test_it_builds_in_the_graph_of_its_arguments(self):
        with gf.Graph() as graph:
            x = gf.placeholder("x", ())

        @gf.custom_gradient
        def function(x):
            return x + gf.constant(1.0), lambda g: g * gf.constant(7.0)

        y = function(x)
        assert y.graph is graph
        assert derivative(y, x, 0.0) == 7.0

    def test_forward_mode_and_hessian_of_a_linear_one(self):
        x = gf.placeholder("x", ())
        found = evaluate([*gf.jvp(tripled(x) * x, x, 1.0), gf.hessian(tripled(x) * x, x)], {x: 5.0})
        assert found == [20.0, 6.0]


class TestTraces:
    def test_text_and_copies_have_plain_nodes(self, tmp_path):
        x = gf.placeholder("x", ())
        y = tripled(x)
        [slope] = gf.gradients(y * y, x)
        again = gf.parse_graph(gf.print_graph(x.graph))
        assert gf.print_graph(again) == gf.print_graph(x.graph)
        assert evaluate([again.tensor(slope.name)], {again.tensor("x"): 2.0}) == [12.0]
        assert derivative(again.tensor(y.name), again.tensor("x"), 2.0) == 1.0  # the plain gradient
        gf.saved_model.save(tmp_path / "saved", gf.Session(), inputs=[x], outputs=[slope])
        model = gf.saved_model.load(tmp_path / "saved")
        assert list(model.run({"x": 2.0}).values()) == [12.0]

    def test_a_session_optimizes_it_away(self):
        x = gf.placeholder("x", ("n",))
        y = tripled(gf.exp(x))
        for backend in ("numpy", "jax"):
            found = gf.Session(backend=backend).run(gf.gradients(y, x), {x: [0.0, 0.0]})
            np.testing.assert_array_equal(found, [[3.0, 3.0]])

    def test_training_goes_through_it(self):
        w = gf.variable("w", (), initializer=gf.initializers.constant(1.0))
        step = gf.train.SGD(0.5).minimize(tripled(w))
        sess = gf.Session(backend="numpy")
        sess.run(step)
        assert sess.run(w) == -0.5

    def test_name_and_doc_are_the_functions(self):
        assert log1pexp.__name__ == "log1pexp" and "softplus" in log1pexp.__doc__
        assert log1pexp(gf.placeholder("x", ())).name == "log1pexp:0"

    def test_a_failed_product_takes_it_back(self):
        @gf.custom_gradient
        def bad(x):
            inner = tripled(x)
            return inner, lambda g: (gf.vjp(tripled(inner), inner, g)[0], g)

        x = gf.placeholder("x", ())
        y = bad(x)
        count, customs = len(x.graph), len(x.graph.custom_gradients)
        with pytest.raises(GradientError, match="gave 2 for 1 arguments"):
            gf.vjp(y, x, 1.0)
        assert (len(x.graph), len(x.graph.custom_gradients)) == (count, customs)


class TestChecking:
    def test_a_right_one_passes(self, rng):
        x = gf.placeholder("x", (4,))
        [check] = gf.check_gradients(gf.sin(log1pexp(x)), x, {x: rng.standard_normal(4)})
        assert check.error < 1e-6

    def test_a_wrong_one_is_found(self):
        x = gf.placeholder("x", (4,))
        with pytest.raises(GradientError, match="off by"):
            gf.check_gradients(tripled(x), x, {x: np.ones(4)})


class TestRefusals:
    @pytest.mark.parametrize("answer", [None, 1.0, (1.0, 2.0), (lambda g: g,)])
    def test_no_pair(self, answer):
        with pytest.raises(GradientError, match="function has a custom gradient but returned"):

            @gf.custom_gradient
            def function(x):
                return answer

            function(gf.placeholder("x", ()))

    def test_no_tensor_as_output(self):
        function = gf.custom_gradient(lambda x: (3, lambda g: g))
        with pytest.raises(GradientError, match="is 3 of type int, which is no tensor"):
            function(gf.placeholder("x", ()))

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda g: None, "gave nothing for 2 arguments"),
            (lambda g: g, "gave 1 for 2 arguments"),
            (lambda g: (g, g), r"the cotangent of w:0 has type float32\[3\], not float32\[\]"),
            (lambda g: (gf.astype(g, gf.float64), None), r"x:0 has type float64\[3\], not float32\[3\]"),
        ],
    )
    def test_cotangents_that_do_not_fit(self, answer, words):
        x, w = gf.placeholder("x", (3,)), gf.placeholder("w", ())
        y = gf.custom_gradient(lambda x, w: (x * w, answer))(x, w)
        with pytest.raises(GradientError, match=words):
            gf.gradients(y, [x, w])

    def test_a_gradient_that_would_bypass_the_arguments(self):
        x, w = gf.placeholder("x", ()), gf.placeholder("w", ())
        scaled = gf.custom_gradient(lambda x: (x * w, lambda g: g))
        y = scaled(x)
        line = inspect.currentframe().f_lineno - 1
        assert derivative(y, x, 1.0) == 1.0
        with pytest.raises(GradientError, match="reads w:0, which is not among its arguments") as caught:
            gf.gradients(y, [x, w])
        assert "gf.stop_gradient" in caught.value.hint and f"test_custom.py:{line}" in str(caught.value)

    def test_a_variable_made_inside(self):
        def function(x):
            return x * gf.variable("w", ()), lambda g: g

        x = gf.placeholder("x", ())
        y = gf.custom_gradient(function)(x)
        with pytest.raises(GradientError, match="reads w:0"):
            gf.gradients(y, x.graph.variables["w"])

    @pytest.mark.parametrize("outside", [False, True])
    def test_a_stopped_gradient_may_be_read(self, outside):
        x, w = gf.placeholder("x", ()), gf.placeholder("w", ())
        stopped = gf.stop_gradient(w)
        function = gf.custom_gradient(
            lambda x: (x * (stopped if outside else gf.stop_gradient(2.0 * w)), lambda g: g)
        )
        assert evaluate(gf.gradients(function(x), [x, w]), {x: 1.0, w: 1.0}) == [1.0, 0.0]

    def test_one_that_is_not_linear_has_no_forward_mode(self):
        bounded = gf.custom_gradient(lambda x: (x, lambda g: gf.clip(g, -1.0, 1.0)))
        x = gf.placeholder("x", ())
        y = gf.exp(bounded(x))
        with pytest.raises(GradientError, match="not linear in its cotangents") as caught:
            gf.jvp(y, x, 1.0)
        assert "gf.vjp" in caught.value.hint

    def test_arguments_of_two_graphs(self):
        with gf.Graph():
            foreign = gf.placeholder("y", ())
        function = gf.custom_gradient(lambda x, y: (x, lambda g: (g, g)))
        with pytest.raises(GraphError, match="mixes graphs"):
            function(gf.placeholder("x", ()), foreign)

    @pytest.mark.parametrize("decorator", [gf.custom_gradient, gf.straight_through])
    def test_what_cannot_be_called(self, decorator):
        with pytest.raises(GradientError, match="got 3, which cannot be called"):
            decorator(3)

    def test_a_path_that_it_breaks_is_named(self):
        y = gf.custom_gradient(lambda x: (x, lambda g: (None,)))(x := gf.placeholder("x", ()))
        with pytest.raises(GradientError, match="the custom gradient of <lambda> passes none on"):
            gf.gradients(y, x, unconnected="raise")


class TestStraightThrough:
    @pytest.mark.parametrize("function", [gf.round, gf.sign, lambda x: gf.astype(x > 0, x.dtype)])
    def test_the_gradient_is_that_of_the_identity(self, function):
        x = gf.placeholder("x", ("n",))
        y = gf.straight_through(function)(x)
        point = {x: np.float32([-1.6, 0.0, 2.4])}
        fetches = [function(x), y, *gf.gradients(gf.square(y), x)]
        expected, value, slope = gf.Session(backend="numpy").run(fetches, point)
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(slope, 2.0 * expected)

    def test_forward_mode(self):
        x = gf.placeholder("x", ())
        assert evaluate(gf.jvp(3.0 * gf.straight_through(gf.floor)(x), x, 2.0), {x: 1.5}) == [6.0]

    @pytest.mark.parametrize(
        ("function", "words"),
        [
            (lambda x: x > 0, r"bool\[2\], not float32\[2\]"),
            (gf.sum, r"the result of sum of x:0 has type float32\[\]"),
        ],
    )
    def test_results_of_another_type(self, function, words):
        with pytest.raises(GradientError, match=words):
            gf.straight_through(function)(gf.placeholder("x", (2,)))

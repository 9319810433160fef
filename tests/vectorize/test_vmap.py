"""gf.vmap against jax.vmap: axes, nests, gradients, control flow, randomness and errors."""

from __future__ import annotations

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, GraphError, GraphFlowError, ShapeError
from graphflow.ir.interpret import evaluate

RNG = np.random.default_rng(7)
X = RNG.normal(size=(5, 3)).astype(np.float32)
W = RNG.normal(size=(3, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _graph():
    with gf.Graph() as graph:
        yield graph


def _placeholders(*arrays: np.ndarray) -> list[gf.Tensor]:
    return [gf.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]


def _close(found, wanted) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def _agrees(fn, theirs, arrays, in_axes=0, out_axes=0) -> None:
    """gf.vmap of `fn` gives what jax.vmap of `theirs` gives."""
    with gf.Graph():
        tensors = _placeholders(*arrays)
        made = gf.vmap(fn, in_axes, out_axes)(*tensors)
    wanted = jax.vmap(theirs, in_axes, out_axes)(*arrays)
    leaves = jax.tree.leaves(made)
    _close(evaluate(leaves, dict(zip(tensors, arrays))), jax.tree.leaves(wanted))


class TestAxes:
    @pytest.mark.parametrize(
        ("in_axes", "out_axes"), [(0, 0), (1, 0), (-1, 1), ((0, 0), -1), ([1, 1], 1), ((-2, 0), 0)]
    )
    def test_axes_count_from_either_end(self, in_axes, out_axes) -> None:
        square = RNG.normal(size=(4, 4)).astype(np.float32)
        _agrees(
            lambda x, y: gf.stack([x, gf.sin(y)]),
            lambda x, y: jnp.stack([x, jnp.sin(y)]),
            [square, square.T],
            in_axes,
            out_axes,
        )

    def test_what_is_shared_is_passed_as_it_is(self) -> None:
        _agrees(lambda x, w: x @ w, lambda x, w: x @ w, [X, W], (0, None))
        _agrees(lambda x, w: x @ w, lambda x, w: x @ w, [X[0], W], (None, 1))

    def test_numbers_that_are_shared_stay_numbers(self) -> None:
        (x,) = _placeholders(X.astype(np.float16))
        made = gf.vmap(lambda x, n: x * n if n == 2.0 else x, in_axes=(0, None))(x, 2.0)
        assert made.dtype is gf.float16 and made.node.op.name == "multiply"

    def test_keywords_are_handed_on(self) -> None:
        (x,) = _placeholders(X)
        assert gf.vmap(lambda x, axis: gf.sum(x, axis=axis))(x, axis=0).shape == (5,)

    def test_nests_of_arguments_and_results(self) -> None:
        Pair = collections.namedtuple("Pair", "a b")
        x, w, bias = _placeholders(X, W, W[0])

        def layer(p, x):
            return Pair({"y": x @ p["w"] + p["b"]}, [x, None])

        made = gf.vmap(layer, in_axes=({"w": None, "b": None}, 0), out_axes=(0, [1, 0]))(
            {"b": bias, "w": w}, x
        )
        assert isinstance(made, Pair) and made.b[1] is None
        first, second = evaluate([made.a["y"], made.b[0]], {x: X, w: W, bias: W[0]})
        _close([first, second], [X @ W + W[0], X.T])

    def test_results_that_are_the_same_for_all(self) -> None:
        x, w = _placeholders(X, W)
        made = gf.vmap(lambda x: (gf.sum(w), 1.5, gf.exp(w)), out_axes=(0, 0, None))(x)
        assert [one.shape for one in made] == [(5,), (5,), (3, 4)]
        _close(evaluate(made, {w: W}), [np.full(5, W.sum()), np.full(5, 1.5, np.float32), np.exp(W)])

    def test_no_examples_and_one(self) -> None:
        for count in (0, 1):
            rows = np.ones((count, 3), np.float32)
            with gf.Graph():
                (x,) = _placeholders(rows)
                made = gf.vmap(lambda x: gf.cumulative_sum(x) @ gf.constant(W))(x)
                (found,) = evaluate([made], {x: rows})
            _close([found], [np.cumsum(rows, 1) @ W])

    def test_symbolic_numbers_of_examples(self) -> None:
        x = gf.placeholder("x", ("batch", 3))
        y = gf.placeholder("y", (3, "rows"))
        made = gf.vmap(lambda x, y: gf.sum(x * y), in_axes=(0, 1))(x, y)
        with gf.Session(backend="numpy") as session:
            _close([session.run(made, {x: X, y: X.T})], [(X * X).sum(1)])
            with pytest.raises(GraphFlowError, match=r"batch|rows"):
                session.run(made, {x: X, y: X.T[:, :2]})


class TestComposition:
    def test_a_vmap_of_a_vmap(self) -> None:
        def pairs(vmap, dot):
            return lambda x, y: vmap(lambda a: vmap(lambda b: dot(a, b))(y))(x)

        x, y = _placeholders(X, X[:2])
        made = pairs(gf.vmap, lambda a, b: gf.sum(a * b))(x, y)
        _close(evaluate([made], {x: X, y: X[:2]}), [X @ X[:2].T])
        deep = gf.vmap(gf.vmap(gf.vmap(lambda x: x * gf.max(x))))(gf.placeholder("z", (2, 3, 4, 5)))
        assert deep.shape == (2, 3, 4, 5)

    @pytest.mark.parametrize("backend", ["numpy", "jax"])
    def test_gradients_of_each_example(self, backend: str) -> None:
        def ours(w, x):
            hidden = gf.tanh(x @ w)
            return gf.logsumexp(hidden) + gf.max(hidden)

        def theirs(w, x):
            hidden = jnp.tanh(x @ w)
            return jax.nn.logsumexp(hidden) + hidden.max()

        x, w = _placeholders(X, W)
        slopes = gf.vmap(lambda w, x: gf.gradients(ours(w, x), w)[0], in_axes=(None, 0))(w, x)
        captured = gf.vmap(lambda x: gf.gradients(ours(w, x), [w, x]))(x)
        wanted = jax.vmap(jax.grad(theirs, (0, 1)), (None, 0))(W, X)
        with gf.Session(backend=backend) as session:
            found = session.run([slopes, *captured], {x: X, w: W})
        _close(found, [wanted[0], *wanted])

    def test_gradients_of_each_example_through_a_convolution(self) -> None:
        images = RNG.normal(size=(4, 2, 6, 6)).astype(np.float32)
        kernels = RNG.normal(size=(3, 2, 3, 3)).astype(np.float32)

        def ours(w, x):
            y = gf.nn.conv(gf.expand_dims(x, 0), w, padding="same")
            return gf.sum(gf.square(gf.nn.max_pool(gf.nn.relu(y), 2)))

        x, w = _placeholders(images, kernels)
        slopes = gf.vmap(lambda w, x: gf.gradients(ours(w, x), w)[0], in_axes=(None, 0))(w, x)
        singles = [
            gf.gradients(ours(w, gf.constant(image)), w)[0] for image in images
        ]  # fmt: skip
        found, *wanted = evaluate([slopes, *singles], {x: images, w: kernels})
        _close([found], [np.stack(wanted)])

    @pytest.mark.parametrize("symbolic", [False, True])
    def test_gradients_of_a_vmapped_function(self, symbolic: bool) -> None:
        x = gf.placeholder("x", ("n" if symbolic else 5, 3))
        w = gf.placeholder("w", (3, 4))
        loss = gf.sum(gf.vmap(lambda x: gf.prod(gf.sin(x @ w)))(x))
        with gf.Session(backend="numpy") as session:
            found = session.run(gf.gradients(loss, [x, w]), {x: X, w: W})
        theirs = jax.grad(lambda x, w: jnp.prod(jnp.sin(x @ w), axis=1).sum(), (0, 1))(X, W)
        _close(found, theirs)

    def test_a_jacobian_is_a_vmap_over_directions(self) -> None:
        (x,) = _placeholders(X[0])
        w = gf.constant(W)

        def pulled(v):
            return gf.gradients(gf.tanh(x @ w), x, v)[0]

        _close(
            evaluate([gf.vmap(pulled)(gf.eye(4))], {x: X[0]}), [jax.jacobian(lambda x: jnp.tanh(x @ W))(X[0])]
        )

    def test_custom_gradients_are_kept(self) -> None:
        @gf.custom_gradient
        def halved(x, w):
            y = x * w
            return y, lambda g: (g * w * 0.5, g * x)

        x, w = _placeholders(X, W[:, 0])
        made = gf.sum(gf.vmap(lambda x: gf.sum(halved(x, w)))(x))
        slopes = gf.gradients(made, [x, w])
        inside = gf.vmap(lambda x: gf.gradients(gf.sum(halved(x, w)), x)[0])(x)
        again = gf.gradients(gf.sum(gf.vmap(gf.vmap(lambda a: halved(a, a)))(x)), x)
        found = evaluate([made, *slopes, inside, *again], {x: X, w: W[:, 0]})
        half = np.broadcast_to(W[:, 0] / 2, (5, 3))
        _close(found, [(X * W[:, 0]).sum(), half, X.sum(0), half, 1.5 * X])

    def test_custom_gradients_inside_of_bodies_are_kept(self) -> None:
        bounded = gf.custom_gradient(lambda x: (x * 3.0, lambda g: gf.clip(g, -1.0, 1.0)))
        (x,) = _placeholders(X)

        def example(x):
            return gf.fori_loop(0, 2, lambda i, c: bounded(c), gf.sum(x))

        (found,) = evaluate(gf.gradients(gf.sum(gf.vmap(example)(x)), x), {x: X})
        _close([found], [np.ones_like(X)])

    def test_functions_stay_calls(self) -> None:
        (x,) = _placeholders(X)
        made = gf.vmap(gf.function(lambda x: gf.sum(gf.exp(x)), name="energy"))(x)
        assert made.node.op.name == "call" and made.shape == (5,)
        _close(evaluate([made], {x: X}), [np.exp(X).sum(1)])


class TestControlFlow:
    def test_a_choice_by_what_is_shared_stays_one(self) -> None:
        x, flag = _placeholders(X, np.array(True))
        made = gf.vmap(lambda x: gf.cond(flag, lambda: x * 2.0, lambda: gf.zeros((3,))))(x)
        assert made.node.op.name == "switch_case"
        for value in (True, False):
            _close(evaluate([made], {x: X, flag: np.array(value)}), [2 * X * value])

    def test_a_choice_of_each_example(self) -> None:
        _agrees(
            lambda x: gf.cond(gf.sum(x) > 0.0, gf.exp, lambda x: x - 1.0, x),
            lambda x: jax.lax.cond(jnp.sum(x) > 0, jnp.exp, lambda x: x - 1, x),
            [X],
        )

    @pytest.mark.parametrize("backend", ["numpy", "jax"])
    @pytest.mark.parametrize("values", [[0.0, 2.0, -1.0], [0.0, -1.0], [2.0, 3.0], []])
    def test_what_a_branch_that_is_not_taken_would_do_is_not_seen(self, backend: str, values) -> None:
        x = gf.placeholder("x", ("n",))

        def halved(x):
            return gf.while_loop(lambda c: c > 1.0, lambda c: c * 0.5, gf.log(x) + x)

        def example(x):
            slow = gf.cond(x > 0.0, halved, lambda x: x * 0.0, x)
            fast = gf.cond(x > 0.0, gf.log, lambda x: x * 3.0, x)
            return slow, fast, gf.gradients(fast, x)[0]

        slow, fast, inside = gf.vmap(example)(x)
        outside = gf.gradients(fast, x)[0]
        array = np.array(values, np.float32)
        with np.errstate(all="ignore"), gf.Session(backend=backend) as session:
            found = session.run([fast, inside, outside], {x: array})
            assert np.isfinite(session.run(slow, {x: array})).all()
        one = [np.where(array > 0, np.log(np.maximum(array, 0.5)), array * 3)]
        slope = np.where(array > 0, 1 / np.maximum(array, 0.5), 3)
        _close(found, [*one, slope, slope])

    def test_an_index_out_of_range_counts_as_the_nearest(self) -> None:
        index = np.array([-7, 0, 1, 2, 99], np.int32)
        _agrees(
            lambda i, x: gf.switch_case(i, [gf.sin, gf.cos, lambda x: gf.full_like(x, 9.0)], x),
            lambda i, x: jax.lax.switch(i, [jnp.sin, jnp.cos, lambda x: jnp.full_like(x, 9.0)], x),
            [index, X],
        )

    @pytest.mark.parametrize("shared", ["init", "xs", "neither"])
    def test_scans(self, shared: str) -> None:
        axes = {"init": (None, 0), "xs": (0, None), "neither": (0, 0)}[shared]
        init = X[0, 0] if axes[0] is None else X[:, 0]
        xs = RNG.normal(size=(5, 6) if axes[1] == 0 else (6,)).astype(np.float32)
        _agrees(
            lambda c, xs: gf.scan(lambda c, x: (gf.sin(c) * x, (c, x)), c, xs),
            lambda c, xs: jax.lax.scan(lambda c, x: (jnp.sin(c) * x, (c, x)), c, xs),
            [init, xs], axes,
        )  # fmt: skip

    def test_a_carry_that_becomes_batched_on_the_way(self) -> None:
        def ours(x):
            return gf.fori_loop(0, 4, lambda i, c: (c[1] + 1.0, c[2], c[2] * x), (0.0, 1.0, 2.0))

        def theirs(x):
            return jax.lax.fori_loop(0, 4, lambda i, c: (c[1] + 1.0, c[2], c[2] * x), (0.0, 1.0, 2.0))

        _agrees(ours, theirs, [X[:, 0]])

    def test_a_loop_ends_for_each_example_when_its_condition_does(self) -> None:
        counts = np.array([6, 1, 27, 0, 7], np.int32)

        def ours(n):
            step = lambda s: (s[0] + 1, gf.where(gf.equal(s[1] % 2, 0), s[1] // 2, 3 * s[1] + 1))  # noqa: E731
            return gf.while_loop(lambda s: s[1] > 1, step, (0, n))

        def theirs(n):
            step = lambda s: (s[0] + 1, jnp.where(s[1] % 2 == 0, s[1] // 2, 3 * s[1] + 1))  # noqa: E731
            return jax.lax.while_loop(lambda s: s[1] > 1, step, (0, n))

        _agrees(ours, theirs, [counts])

    def test_a_loop_whose_condition_is_shared(self) -> None:
        made = gf.vmap(lambda x: gf.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x)))
        (x,) = _placeholders(X[:, 0])
        count, powers = made(x)
        _close(evaluate([count, powers], {x: X[:, 0]}), [np.full(5, 3), X[:, 0] ** 4])

    def test_the_gradient_of_a_bounded_loop(self) -> None:
        (x,) = _placeholders(np.array([1.5, 3.0, 20.0], np.float32))
        made = gf.vmap(lambda x: gf.while_loop(lambda c: c < 10.0, lambda c: c * c, x, max_steps=5))(x)
        values = np.array([1.5, 3.0, 20.0])
        steps = np.array([3, 2, 0])  # 1.5 -> 2.25 -> 5.0625 -> 25.6; 3 -> 9 -> 81
        found = evaluate([made, *gf.gradients(gf.sum(made), x)], {x: values.astype(np.float32)})
        _close(found, [values ** (2.0**steps), 2.0**steps * values ** (2.0**steps - 1)])


class TestRandomness:
    @pytest.mark.parametrize("backend", ["numpy", "jax"])
    def test_each_example_draws_what_a_loop_would_draw(self, backend: str) -> None:
        x = gf.placeholder("x", ("n", 3))

        def example(x):
            noise = gf.random.uniform((3,), stream="noise")
            order = gf.random.permutation(4, stream="order")
            return noise, order, gf.random.gamma(gf.exp(x), stream="sizes")

        with pytest.warns(gf.VmapWarning, match="random_gamma has no batching rule"):
            made = gf.vmap(example)(x)
        looped = gf.map(example, x)
        with gf.Session(backend=backend, seed=3) as session:
            found, wanted = session.run([made, looped], {x: X})
        for one, other in zip(found[:2], wanted[:2]):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(found[2], wanted[2], rtol=1e-6)
        assert len(np.unique(found[0])) == 15

    def test_backends_agree(self) -> None:
        (x,) = _placeholders(X)
        made = gf.vmap(lambda x: gf.vmap(lambda x: x * 0.0 + gf.random.uniform())(x))(x)
        results = []
        for backend in ("numpy", "jax"):
            with gf.Session(backend=backend, seed=1) as session:
                results.append(session.run(made, {x: X}))
        np.testing.assert_array_equal(*results)
        assert len(np.unique(results[0])) == 15

    def test_what_is_drawn_outside_is_shared(self) -> None:
        (x,) = _placeholders(X)
        noise = gf.random.normal((3,))
        made = gf.vmap(lambda x: x * 0.0 + noise)(x)
        with gf.Session(backend="numpy") as session:
            found = session.run(made, {x: X})
        assert (found == found[0]).all()


def _walks(x):
    """A random walk until it leaves an interval, with numbers of its own in each step."""

    def step(state):
        count, place = state
        return count + 1, place + gf.random.normal((), stream="steps")

    return gf.while_loop(lambda state: gf.abs(state[1]) < 2.0, step, (0, gf.sum(x) * 0.1))


def _noisy_scan(x):
    noise = gf.random.uniform((3,), stream="before")
    return gf.scan(lambda c, t: (c * t + gf.random.uniform((), stream="inside"), c), gf.sum(noise), x)


def _nested_choice(x):
    def inner(t):
        shift = gf.random.uniform((), stream="shift")
        return gf.cond(
            t > 0.0, lambda: gf.while_loop(lambda c: c < 5.0, lambda c: c * 2.0 + shift, t), lambda: shift
        )

    return gf.map(inner, x)


def _bounded(x):
    y = gf.while_loop(lambda c: gf.sum(c) < 9.0, lambda c: c * c + 1.0, x, max_steps=4)
    return gf.gradients(gf.sum(gf.sin(y)), x)[0]


def _recomputed(x):
    return gf.gradients(gf.recompute(lambda t: gf.sum(gf.sin(t * t)))(x), x)[0]


class TestLoops:
    @pytest.mark.parametrize("backend", ["numpy", "jax"])
    @pytest.mark.parametrize("fn", [_walks, _noisy_scan, _nested_choice, _bounded, _recomputed])
    def test_it_computes_what_a_loop_over_the_examples_does(self, fn, backend: str) -> None:
        x = gf.placeholder("x", ("n", 3))
        made, wanted = gf.vmap(fn)(x), gf.map(fn, x)
        with gf.Session(backend=backend, seed=5) as session:
            found = session.run([made, wanted], {x: X})
        _close(*found)


class TestNodes:
    def test_nodes_have_the_lines_and_names_of_those_they_batch(self) -> None:
        (x,) = _placeholders(X)

        def example(x):
            with gf.name_scope("head"):
                return gf.exp(x, name="energy")

        made = gf.vmap(example)(x)
        assert made.name == "vmap/head/energy:0"
        assert made.node.origin.line == example.__code__.co_firstlineno + 2

    def test_nothing_is_left_of_a_call_that_fails(self, _graph) -> None:
        (x,) = _placeholders(X)
        before = len(_graph)
        with pytest.raises(ShapeError):
            gf.vmap(lambda x: gf.exp(x) @ gf.zeros((7,)))(x)
        assert len(_graph) == before and _graph.scope == ""

    def test_what_does_not_depend_on_the_examples_is_computed_once(self) -> None:
        x, w = _placeholders(X, W)
        made = gf.vmap(lambda x: x @ gf.exp(w))(x)
        assert made.node.inputs[1].shape == (3, 4)

    def test_a_tensor_that_leaks_is_refused(self) -> None:
        (x,) = _placeholders(X)
        leaked = []
        gf.vmap(lambda x: leaked.append(x) or gf.exp(x))(x)
        with pytest.raises(GraphError):
            gf.exp(leaked[0])


Wrong = AttributeValueError


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "error", "text"),
        [
            (lambda x: gf.vmap(3), Wrong, "vmap got 3, which cannot be called"),
            (lambda x: gf.vmap(gf.exp, in_axes="0"), Wrong, "in_axes of vmap has '0'"),
            (lambda x: gf.vmap(gf.exp, in_axes=True), Wrong, "in_axes of vmap has True"),
            (lambda x: gf.vmap(gf.exp, out_axes=(0, 1.5)), Wrong, "out_axes of vmap has 1.5"),
            (lambda x: gf.vmap(gf.exp, in_axes=2)(x), Wrong, "axis 2 for argument 0, which is"),
            (lambda x: gf.vmap(gf.exp)(1.0), Wrong, "axis 0 for argument 0"),
            (lambda x: gf.vmap(gf.exp, in_axes=(0, 0))(x), Wrong, "2 entries, but exp is called"),
            (lambda x: gf.vmap(gf.exp, in_axes={"x": 0})(x), Wrong, "in_axes of vmap is a dict"),
            (lambda x: gf.vmap(gf.exp, in_axes=None)(x), Wrong, "no argument with a batch axis"),
            (lambda x: gf.vmap(gf.exp, out_axes=None)(x), Wrong, "not the same for all examples"),
            (lambda x: gf.vmap(gf.exp, out_axes=2)(x), Wrong, "axis 2"),
            (lambda x: gf.vmap(gf.exp, out_axes=(0, 0))(x), Wrong, "where there is a tensor"),
            (
                lambda x: gf.vmap(lambda d: d["a"], in_axes=({"b": 0},))({"a": x}),
                Wrong,
                r"has \{'b': 0\} at \[0\], where there is a dict of 'a'",
            ),
            (
                lambda x: gf.vmap(lambda x, d: x)(x, {"k": gf.zeros((4, 3))}),
                ShapeError,
                r"maps argument 0 over 5 examples, but argument 1 at \['k'\] .* has 4 along axis 0",
            ),
            (lambda x: gf.vmap(lambda x: "text")(x), GraphError, "returns 'text'"),
            (
                lambda x: gf.vmap(lambda x: gf.assign(gf.variable("v", ()), 1.0))(x),
                GraphError,
                "of type Update",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, call, error, text: str) -> None:
        (x,) = _placeholders(X)
        with pytest.raises(error, match=text) as caught:
            call(x)
        assert "test_vmap.py" in str(caught.value)

    def test_errors_of_the_function_are_its_own(self) -> None:
        (x,) = _placeholders(X)
        with pytest.raises(ZeroDivisionError):
            gf.vmap(lambda x: 1 / 0)(x)

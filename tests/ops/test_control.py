"""Control flow against lax: values, gradients of any order, on both backends, at every level; its errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, GradientError, GraphError, ShapeError
from graphflow.ir.body import Body, bodies_of
from graphflow.ir.verify import verify

RNG = np.random.default_rng(5)
STEPS = RNG.normal(size=(5, 3))
WEIGHT = RNG.normal(size=(3, 3)) * 0.5
START = RNG.normal(size=3)

SETTINGS = [("numpy", "O0"), ("numpy", "O3"), ("jax", "O0"), ("jax", "O2")]


def same(build: Callable[..., Any], model: Callable[..., Any], *arrays: np.ndarray, orders: int = 2) -> None:
    """A function of tensors against one of jax arrays: its value, gradient, and a Hessian-vector product."""
    with gf.Graph() as graph:
        xs = [gf.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        y = build(*xs)
        slopes = gf.gradients(y, xs)
        seconds = gf.hessian_vector_product(y, xs, list(arrays)) if orders > 1 else []
        [along] = gf.jvp(y, xs, list(arrays))
    verify(graph)
    graph.outputs = [y, *slopes, *seconds, along]
    kept: dict[str, np.ndarray] = {}
    text = gf.print_graph(graph, kept)
    assert gf.print_graph(gf.parse_graph(text, kept), {}) == text
    with jax.enable_x64(True):
        places = tuple(range(len(arrays)))
        slope = jax.grad(model, places)
        expected = [model(*arrays), *slope(*arrays)]
        if orders > 1:
            expected += jax.jvp(slope, arrays, arrays)[1]
        expected.append(sum(np.vdot(g, a) for g, a in zip(slope(*arrays), arrays)))
        expected = [np.asarray(value) for value in expected]
    for backend, level in SETTINGS:
        with gf.Session(graph, backend=backend, level=level) as session:
            found = session.run([y, *slopes, *seconds, along], dict(zip(xs, arrays)))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, err_msg=f"{backend} {level}")


def recurrence(tanh: Any, total: Any, loop: Any) -> Callable[..., Any]:
    def model(xs: Any, w: Any, first: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            after = tanh(carry @ w + x)
            return after, after * x

        last, rows = loop(step, first, xs)
        return total(last * last) + total(rows)

    return model


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse: bool) -> None:
    build = recurrence(gf.tanh, gf.sum, lambda f, c, xs: gf.scan(f, c, xs, reverse=reverse))
    model = recurrence(jnp.tanh, jnp.sum, lambda f, c, xs: lax.scan(f, c, xs, reverse=reverse))
    same(build, model, STEPS, WEIGHT, START)


@pytest.mark.parametrize("steps", [0, 4])
def test_weights_of_a_batch_are_summed_by_one_product_after_the_loop(steps: int) -> None:
    batch = RNG.normal(size=(steps, 2, 3))
    build = recurrence(gf.tanh, gf.sum, gf.scan)
    model = recurrence(jnp.tanh, jnp.sum, lax.scan)
    same(build, model, batch, WEIGHT, RNG.normal(size=(2, 3)))
    xs, w = gf.placeholder("xs", ("steps", "batch", 3)), gf.placeholder("w", (3, 3))
    last, _ = gf.scan(lambda c, x: (gf.tanh(c @ w + x), None), gf.zeros((2, 3)), xs)
    slope = gf.gradients(gf.sum(last), w)[0]
    assert slope.node.op.name == "matmul" and slope.type is w.type
    (back,) = [node for node in gf.default_graph().nodes if node.attrs.get("reverse")]
    assert back.attrs.carries == 1


def test_scan_with_a_nest_of_carries_integers_and_constants() -> None:
    def build(xs: Any, w: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            state = carry["state"] * 0.5 + gf.sin(x["a"] @ w)
            return {"state": state, "count": carry["count"] + 1}, (state * x["b"], None)

        after, (rows, _) = gf.scan(
            step, {"state": gf.zeros((3,), gf.float64), "count": 0}, {"a": xs, "b": xs}
        )
        return gf.sum(after["state"]) * gf.astype(after["count"], gf.float64) + gf.sum(rows * rows)

    def model(xs: Any, w: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            state = carry[0] * 0.5 + jnp.sin(x @ w)
            return (state, carry[1] + 1), state * x

        (state, count), rows = lax.scan(step, (jnp.zeros(3), 0), xs)
        return jnp.sum(state) * count + jnp.sum(rows * rows)

    same(build, model, STEPS, WEIGHT)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cond(sign: float) -> None:
    def build(x: Any, w: Any) -> Any:
        chosen = gf.cond(gf.sum(x) > 0.0, lambda: gf.tanh(x @ w), lambda: x * x * 2.0)
        return gf.sum(chosen * chosen)

    def model(x: Any, w: Any) -> Any:
        chosen = lax.cond(jnp.sum(x) > 0.0, lambda: jnp.tanh(x @ w), lambda: x * x * 2.0)
        return jnp.sum(chosen * chosen)

    same(build, model, sign * np.abs(START), WEIGHT)


@pytest.mark.parametrize("index", [-3, 0, 1, 2, 7])
def test_switch_case(index: int) -> None:
    def build(x: Any) -> Any:
        branches = [gf.sin, lambda t: gf.exp(t) * t, lambda t: gf.sqrt(t * t + 1.0)]
        return gf.sum(gf.switch_case(gf.constant(index) + gf.astype(x[0] * 0.0, int), branches, x))

    def model(x: Any) -> Any:
        branches = [jnp.sin, lambda t: jnp.exp(t) * t, lambda t: jnp.sqrt(t * t + 1.0)]
        return jnp.sum(lax.switch(index, branches, x))

    same(build, model, START)


def test_bounded_while() -> None:
    def build(x: Any, w: Any) -> Any:
        after = gf.while_loop(
            lambda c: gf.sum(c * c) < 50.0, lambda c: c + gf.tanh(c @ w) + 0.5, x, max_steps=9
        )
        return gf.sum(after * after)

    def model(x: Any, w: Any) -> Any:
        def step(c: Any, _: Any) -> Any:
            return jnp.where(jnp.sum(c * c) < 50.0, c + jnp.tanh(c @ w) + 0.5, c), None

        after = lax.scan(step, x, None, 9)[0]
        return jnp.sum(after * after)

    same(build, model, START, WEIGHT)


def test_nested_loops_and_choices() -> None:
    def build(x: Any, w: Any) -> Any:
        def outer(carry: Any, row: Any) -> Any:
            inner = gf.fori_loop(0, 3, lambda i, c: c * w[0, 0] + row * gf.astype(i, gf.float64), carry)
            return gf.cond(gf.sum(inner) > 0.0, lambda: inner @ w, lambda: gf.sin(inner)), None

        return gf.sum(gf.square(gf.scan(outer, x[0], x)[0]))

    def model(x: Any, w: Any) -> Any:
        def outer(carry: Any, row: Any) -> Any:
            inner = lax.fori_loop(0, 3, lambda i, c: c * w[0, 0] + row * i, carry)
            return lax.cond(jnp.sum(inner) > 0.0, lambda: inner @ w, lambda: jnp.sin(inner)), None

        return jnp.sum(jnp.square(lax.scan(outer, x[0], x)[0]))

    same(build, model, STEPS, WEIGHT)


def test_map_function_and_recompute() -> None:
    @gf.function
    def block(t: Any, w: Any) -> Any:
        return gf.tanh(t @ w)

    def build(x: Any, w: Any) -> Any:
        rows = gf.map(lambda row: gf.sin(row) * gf.sum(row), x)
        return gf.sum(gf.recompute(lambda t: block(block(t, w), w))(rows))

    def model(x: Any, w: Any) -> Any:
        rows = lax.map(lambda row: jnp.sin(row) * jnp.sum(row), x)
        return jnp.sum(jnp.tanh(jnp.tanh(rows @ w) @ w))

    same(build, model, STEPS, WEIGHT)


@pytest.mark.parametrize("steps", [0, 1])
def test_loops_of_no_step_or_one(steps: int) -> None:
    build = recurrence(gf.tanh, gf.sum, gf.scan)
    model = recurrence(jnp.tanh, jnp.sum, lax.scan)
    same(build, model, STEPS[:steps], WEIGHT, START)


def test_symbolic_number_of_steps() -> None:
    xs = gf.placeholder("xs", ("steps",))
    last, rows = gf.scan(lambda c, x: (c + x, c * x), 0.0, xs)
    slope = gf.gradients(last + gf.sum(rows), xs)[0]
    assert str(rows.type) == "float32[steps]"
    for backend in ("numpy", "jax"):
        session = gf.Session(backend=backend)
        for count in (4, 2, 0):
            values = np.arange(1.0, count + 1, dtype=np.float32)
            found = session.run([last, rows, slope], {xs: values})
            assert found[0] == values.sum()
            np.testing.assert_allclose(found[1], np.concatenate([[0.0], np.cumsum(values)])[:count] * values)
            np.testing.assert_allclose(found[2], 1 + values.sum() - values)
        assert len(session.compiles) == 3


def test_unbounded_while_counts_collatz_steps() -> None:
    n = gf.placeholder("n", (), gf.int32)
    steps, _ = gf.while_loop(
        lambda s: s[1] > 1,
        lambda s: (s[0] + 1, gf.where(gf.equal(s[1] % 2, 0), s[1] // 2, 3 * s[1] + 1)),
        (0, n),
    )
    for backend in ("numpy", "jax"):
        session = gf.Session(backend=backend)
        assert [int(session.run(steps, {n: k})) for k in (1, 6, 27)] == [0, 8, 111]


def test_while_with_tensor_bounds() -> None:
    n = gf.placeholder("n", (), gf.int32)
    total = gf.fori_loop(2, n, lambda i, c: c + i, 0)
    for backend in ("numpy", "jax"):
        assert [int(gf.Session(backend=backend).run(total, {n: k})) for k in (0, 2, 5)] == [0, 0, 9]


def test_only_the_taken_branch_gives_a_gradient() -> None:
    x = gf.placeholder("x", ())
    y = gf.cond(x > 0.0, lambda: gf.log(x), lambda: x * 3.0)
    slope = gf.gradients(y, x)[0]
    for backend, level in SETTINGS:
        with gf.Session(backend=backend, level=level) as session:
            assert session.run(slope, {x: 0.0}) == 3.0
            assert session.run(slope, {x: 4.0}) == 0.25


def test_layers_inside_a_loop_share_their_variables_between_steps() -> None:
    xs = gf.placeholder("xs", (6, 2, 3))

    def step(carry: Any, x: Any) -> Any:
        after = gf.layers.dense(gf.concat([carry, x], axis=1), 4, gf.tanh)
        return after, after

    last, _ = gf.scan(step, gf.zeros((2, 4)), xs, name="rnn")
    graph = gf.default_graph()
    assert [name.startswith("rnn/dense") for name in graph.variables] == [True, True]
    loss = gf.mean(gf.square(last - 0.5))
    update = gf.train.Adam(0.05).minimize(loss)
    feeds = {xs: RNG.normal(size=(6, 2, 3)).astype(np.float32)}
    with gf.Session() as session:
        losses = [float(session.run([loss, update], feeds)[0]) for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]


def test_random_numbers_differ_between_steps_and_agree_between_backends() -> None:
    _, rows = gf.scan(lambda c, x: (c, gf.random.uniform((3,))), None, length=4)
    outside = gf.random.uniform((3,))
    both = [gf.Session(backend=name, seed=3).run([rows, outside]) for name in ("numpy", "jax")]
    np.testing.assert_array_equal(both[0][0], both[1][0])
    assert len(np.unique(both[0][0])) == 12
    assert not np.isin(both[0][1], both[0][0]).any()
    nested = gf.scan(
        lambda c, _: (c, gf.scan(lambda d, _: (d, gf.random.uniform(())), None, length=3)[1]), None, length=3
    )
    assert len(np.unique(gf.Session(backend="numpy").run(nested[1]))) == 9


def test_random_numbers_in_while_loops() -> None:
    total = gf.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] + gf.random.uniform(())), (0, 0.0))[1]
    found = [float(gf.Session(backend=name).run(total)) for name in ("numpy", "jax")]
    assert found[0] == pytest.approx(found[1], rel=1e-6) and 0 < found[0] < 5


def test_custom_gradient_inside_bodies() -> None:
    @gf.custom_gradient
    def doubled(t: Any) -> Any:
        return t * 1.0, lambda g: g * 2.0

    x = gf.placeholder("x", ())
    looped = gf.scan(lambda c, _: (doubled(c), None), x, length=3)[0]
    chosen = gf.cond(x > 0.0, lambda: doubled(x), lambda: x)
    inside = gf.scan(lambda c, _: (gf.cond(c > 0.0, lambda: doubled(c), lambda: c), None), x, length=2)[0]
    slopes = [gf.gradients(y, x)[0] for y in (looped, chosen, inside)]
    for backend, level in SETTINGS:
        with gf.Session(backend=backend, level=level) as session:
            assert [float(v) for v in session.run(slopes, {x: 3.0})] == [8.0, 2.0, 4.0]


def test_training_flag_inside_a_body() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.cond(gf.sum(x) > 0.0, lambda: gf.where(gf.training, x * 2.0, x), lambda: x)
    session = gf.Session()
    assert session.run(y, {x: np.ones(4)}).sum() == 4
    assert session.run(y, {x: np.ones(4), gf.training: True}).sum() == 8


def test_the_optimizer_merges_the_forward_scan_into_that_of_the_gradient() -> None:
    xs, w = gf.placeholder("xs", (5, 3)), gf.variable("w", (3, 3))
    last, _ = gf.scan(lambda c, x: (gf.tanh(c @ w + x), None), gf.zeros((3,)), xs)
    slope = gf.gradients(gf.sum(last), w)[0]
    report = gf.Session().explain([last, slope])
    kinds = [node.op.name for node in report.optimized.order()]
    assert kinds.count("scan") == 2, kinds


def test_operands_that_no_branch_reads_are_dropped() -> None:
    x, y = gf.placeholder("x", ()), gf.placeholder("y", ())
    first, _ = gf.cond(x > 0.0, lambda: (x, y * y), lambda: (x + 1.0, y))
    report = gf.Session(backend="numpy").explain(first)
    node = next(node for node in report.optimized.order() if node.op.name == "switch_case")
    assert len(node.inputs) == 2 and len(node.outputs) == 1


def test_bodies_with_equal_structure_are_equal_attributes() -> None:
    x = gf.placeholder("x", ())
    first = gf.cond(x > 0.0, lambda: x * 2.0, lambda: x)
    second = gf.cond(x > 0.0, lambda: x * 2.0, lambda: x, name="another")
    third = gf.cond(x > 0.0, lambda: x * 2.5, lambda: x)
    assert first.node.attrs == second.node.attrs != third.node.attrs
    report = gf.Session(backend="numpy").explain([first, second])
    assert [node.op.name for node in report.optimized.order()].count("switch_case") == 1


def test_bodies_are_frozen() -> None:
    x = gf.placeholder("x", ())
    y = gf.cond(x > 0.0, lambda: x * 2.0, lambda: x)
    body = next(bodies_of(y.node))
    assert isinstance(body, Body) and body.frozen
    with pytest.raises(GraphError, match="frozen"), body:
        gf.constant(1.0)


# Errors


def refused(error: type[Exception], build: Callable[[], Any], *words: str) -> None:
    before = len(gf.default_graph().nodes)
    with pytest.raises(error) as caught:
        build()
    message = str(caught.value)
    for word in (*words, "test_control.py", "try:"):
        assert word in message, message
    for node in gf.default_graph().nodes[before:]:
        assert node.op.name in ("constant", "greater", "astype", "sum", "slice"), node


def cases() -> Sequence[tuple[type[Exception], Callable[[Any], Any], tuple[str, ...]]]:
    return [
        (DTypeError, lambda x: gf.cond(gf.sum(x), lambda: x, lambda: x), ("predicate", "float32[]")),
        (DTypeError, lambda x: gf.cond(x > 0.0, lambda: x, lambda: x), ("predicate", "bool[3]")),
        (
            ShapeError,
            lambda x: gf.cond(True, lambda: x, lambda: x[1:]),
            ("true_fn", "false_fn", "float32[2]"),
        ),
        (
            DTypeError,
            lambda x: gf.cond(True, lambda: x, lambda: gf.astype(x, int)),
            ("int32[3]", "float32[3]"),
        ),
        (GraphError, lambda x: gf.cond(True, lambda: (x, x), lambda: x), ("true_fn", "[1]", "one tensor")),
        (GraphError, lambda x: gf.cond(True, lambda: "no", lambda: x), ("true_fn", "'no'", "str")),
        (AttributeValueError, lambda x: gf.cond(True, 3, lambda: x), ("true_fn", "3", "called")),
        (AttributeValueError, lambda x: gf.switch_case(0, []), ("list of functions",)),
        (DTypeError, lambda x: gf.switch_case(x, [gf.sin]), ("index", "float32[3]")),
        (
            ShapeError,
            lambda x: gf.scan(lambda c, t: (c[1:], t), x, x),
            ("carry after the step of scan is float32[2]", "float32[3]"),
        ),
        (DTypeError, lambda x: gf.scan(lambda c, t: (c * 2.5, t), gf.astype(x, int), x), ("carry", "float")),
        (GraphError, lambda x: gf.scan(lambda c, t: c, x, x), ("no pair", "(carry, result)")),
        (GraphError, lambda x: gf.scan(lambda c, t: ((c, c), t), x, x), ("carry", "[0], [1]")),
        (ShapeError, lambda x: gf.scan(lambda c, t: (c, t), x, gf.sum(x)), ("scalar",)),
        (ShapeError, lambda x: gf.scan(lambda c, t: (c, t), x, (x, x[1:])), ("xs[1]", "2 slices", "3 steps")),
        (AttributeValueError, lambda x: gf.scan(lambda c, t: (c, t), x), ("length",)),
        (AttributeValueError, lambda x: gf.scan(lambda c, t: (c, t), x, length=-1), ("-1 steps",)),
        (DTypeError, lambda x: gf.while_loop(lambda c: c, lambda c: c, x), ("condition", "bool[]")),
        (DTypeError, lambda x: gf.while_loop(gf.sum, lambda c: c, x), ("float32[]", "compare it")),
        (ShapeError, lambda x: gf.while_loop(lambda c: c > 0.0, lambda c: c, x), ("bool[3]", "gf.any")),
        (ShapeError, lambda x: gf.while_loop(lambda c: c[0] > 0.0, lambda c: c[1:], x), ("carry",)),
        (
            AttributeValueError,
            lambda x: gf.while_loop(lambda a, b: b < 3.0, lambda a, b: (a, b), (x, 0.0)),
            ("the condition of while_loop", "1 argument,", "(a, b)", "one tuple"),
        ),
        (AttributeValueError, lambda x: gf.scan(lambda c: (c, c), x, x), ("the step of scan", "2 arguments")),
        (AttributeValueError, lambda x: gf.map(lambda a, b: a, (x, x)), ("function of map", "1 argument,")),
        (AttributeValueError, lambda x: gf.fori_loop(0, 3, lambda c: c, x), ("step of fori_loop", "2 arg")),
        (AttributeValueError, lambda x: gf.cond(True, lambda: x, lambda a: x), ("false_fn", "0 arguments")),
        (GraphError, lambda x: gf.cond(True, lambda: gf.assign(W, 1.0), lambda: x), ("update",)),
        (GraphError, lambda x: gf.map(lambda t: gf.placeholder("inner", ()), x), ("inner", "outside")),
        (AttributeValueError, lambda x: gf.function(3), ("3", "called")),
    ]


W: Any = None


@pytest.mark.parametrize("number", range(len(cases())))
def test_errors_name_the_part_and_the_line(number: int) -> None:
    global W
    x = gf.placeholder("x", (3,))
    W = gf.variable("w", ())
    error, build, words = cases()[number]
    refused(error, lambda: build(x), *words)


def test_what_a_body_made_cannot_be_used_outside() -> None:
    x = gf.placeholder("x", ())
    leaked = []
    gf.cond(x > 0.0, lambda: leaked.append(x * 2.0) or x, lambda: x)
    with pytest.raises(GraphError, match="return it from the function"):
        gf.exp(leaked[0]) + x


def test_an_unbounded_while_has_no_gradient() -> None:
    x = gf.placeholder("x", ())
    y = gf.while_loop(lambda c: c < 10.0, lambda c: c * 2.0, x)
    with pytest.raises(GradientError, match="max_steps"):
        gf.gradients(y, x)


def test_layers_in_two_loops_have_variables_of_their_own() -> None:
    xs = gf.placeholder("xs", (4, 2, 3))

    def step(carry: Any, x: Any) -> Any:
        return gf.layers.dense(carry + x, 3), None

    for _ in range(2):
        gf.scan(step, gf.zeros((2, 3)), xs)
    assert len(gf.default_graph().variables) == 4


def test_a_function_may_return_what_it_captures() -> None:
    x, k = gf.placeholder("x", ()), gf.placeholder("k", ())
    outer = x * 2.0
    same_twice, kept, other = gf.function(lambda a, b: (a * b, k, outer))(x, x)
    slopes = gf.gradients(same_twice + kept * 3.0 + other, [x, k])
    for backend, level in SETTINGS:
        with gf.Session(backend=backend, level=level) as session:
            found = session.run([same_twice, kept, other, *slopes], {x: 3.0, k: 5.0})
        assert [float(value) for value in found] == [9.0, 5.0, 6.0, 8.0, 3.0]


def test_layers_that_read_the_training_flag_work_in_bodies() -> None:
    x = gf.placeholder("x", (3, 100))
    _, rows = gf.scan(
        lambda c, row: (c, gf.cond(c > 0.0, lambda: gf.layers.dropout(row, 0.5), lambda: row)), 1.0, x
    )
    drawn = gf.map(lambda row: gf.nn.dropout(row, 0.5), x)
    ones = np.ones((3, 100), np.float32)
    for backend, level in SETTINGS:
        with gf.Session(backend=backend, level=level) as session:
            for made in session.run([rows, drawn], {x: ones}):
                np.testing.assert_array_equal(made, ones)
            for made in session.run([rows, drawn], {x: ones, gf.training: True}):
                assert set(made.ravel().tolist()) == {0.0, 2.0}


def test_an_index_too_narrow_for_the_number_of_branches() -> None:
    index = gf.placeholder("index", (), gf.int8)
    y = gf.switch_case(index, [lambda number=number: gf.constant(float(number)) for number in range(130)])
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend, level="O0") as session:
            assert [float(session.run(y, {index: np.int8(i)})) for i in (-5, 3, 127)] == [0.0, 3.0, 127.0]


def test_gradients_inside_a_body_do_not_pass_over_what_was_computed_outside() -> None:
    w = gf.placeholder("w", (3,))
    outside = w * 2.0
    frozen = gf.stop_gradient(w) * 3.0

    def direct(c: Any, _: Any) -> Any:
        return gf.gradients(gf.sum(w * c * frozen), [w])[0], None

    def around(c: Any, _: Any) -> Any:
        return gf.gradients(gf.sum(outside * c), [w])[0], None

    last, _ = gf.scan(direct, gf.ones((3,)), length=1)
    assert gf.Session(backend="numpy").run(last, {w: [1.0, 2.0, 3.0]}).tolist() == [3.0, 6.0, 9.0]
    with pytest.raises(GradientError, match="captured there, multiply:0, was computed from it outside"):
        gf.scan(around, gf.ones((3,)), length=1)

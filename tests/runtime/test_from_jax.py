"""gf.from_jax and gf.call_jax: control flow, models, gradients, symbolic sizes, origins, and errors."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphflow as gf
from graphflow.runtime.jax.from_jax import mapped_primitives
from tests.runtime.from_jax_cases import agree, case, normal

X, Y = normal(3, 4), normal(3, 4, seed=1)
COUNTS = np.arange(1, 8, dtype=np.int32)


@jax.custom_vjp
def scaled(a, b):
    return a * b


scaled.defvjp(lambda a, b: (a * b, (a, b)), lambda rest, g: (g * 10 * rest[1], g * 0 + 3.0))


@jax.custom_jvp
def clipped(a):
    return jnp.clip(a, -1.0, 1.0)


clipped.defjvp(lambda primals, tangents: (clipped(*primals), tangents[0] * 7))


def halve(state):
    return state[0] + 1, jnp.where(state[1] % 2 == 0, state[1] // 2, 3 * state[1] + 1)


def step(carry, row):
    return carry * 0.5 + row, jnp.tanh(carry)


CONTROL = [
    case("cond", lambda x: lax.cond(x.sum() > 0, jnp.sin, lambda x: x * 2, x), X),
    case("known cond", lambda x: lax.cond(True, jnp.sin, lambda x: x * 2, x), X),
    case("switch", lambda x, i: lax.switch(i, [jnp.sin, jnp.cos, lambda x: x * 2], x), X, np.int32(7)),
    case("cond of many", lambda x: jax.vmap(lambda r: lax.cond(r[0] > 0, jnp.sin, jnp.cos, r))(x), X),
    case("scan", lambda x: lax.scan(step, jnp.zeros(4), x), X),
    case("scan back", lambda x: lax.scan(step, jnp.zeros(4), x, reverse=True), X),
    case("scan of nests", lambda x: lax.scan(lambda c, _: ({"a": c["a"] * x}, None), {"a": x}, None, 3), X),
    case("nested scans", lambda x: lax.scan(lambda c, r: (lax.scan(step, c, x)[0], r), jnp.zeros(4), x), X),
    case("while", lambda n: lax.while_loop(lambda s: s[1] > 1, halve, (0, n)), np.int32(27)),
    case("while of many", jax.vmap(lambda n: lax.while_loop(lambda s: s[1] > 1, halve, (0, n))), COUNTS),
    case("fori", lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) + i, x), X),
    case("map", lambda x: lax.map(jnp.sort, x), X),
    case("checkpoint", jax.checkpoint(lambda x: jnp.sin(jnp.exp(x))), X),
    case("custom vjp", scaled, X, Y),
    case("custom vjp with a number", lambda x: scaled(x, jnp.full((3, 4), 2.0)), X),
    case("custom vjp in scan", lambda x: lax.scan(lambda c, r: (scaled(c, r), c), jnp.ones(4), x), X),
    case("custom jvp", lambda x: clipped(x) * x, X),
    case("second order", jax.grad(lambda x: jnp.sum(jax.nn.softplus(x) ** 2)), X),
    case("gradient of checkpoint", jax.grad(lambda x: jnp.sum(jax.checkpoint(jnp.sin)(x) ** 2)), X),
    case("hessian", jax.hessian(lambda x: jnp.sum(jnp.tanh(x) ** 3)), X[0]),
    case("jacobian", jax.jacfwd(lambda x: jnp.tanh(x) * x.sum()), X[0]),
    case("barrier", lambda x: lax.optimization_barrier(x) * 2, X),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fn", "arrays", "options"), CONTROL, ids=[row[0] for row in CONTROL])
def test_control_flow(name, fn, arrays, options):
    agree(fn, *arrays, **options)


# Models


def mlp(params, x):
    for layer in params["hidden"]:
        x = jax.nn.gelu(x @ layer["w"] + layer["b"])
    return jax.nn.log_softmax(x @ params["out"])


def cnn(params, x):
    x = lax.conv_general_dilated(x, params["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.reshape(x.shape[0], -1) @ params["w"]


def attention(params, x):
    q, k, v = (x @ params[name] for name in "qkv")
    scores = jnp.einsum("btd,bsd->bts", q, k) / jnp.sqrt(x.shape[-1])
    mask = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
    return jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)) @ v


def layer_norm(x, scale, offset):
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * scale + offset


def lstm(params, xs):
    def cell(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x @ params["w"] + h @ params["u"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((xs.shape[1], params["u"].shape[0]))
    return lax.scan(cell, (zeros, zeros), xs)


def loss(params, x, labels):
    return -jnp.mean(jnp.take_along_axis(mlp(params, x), labels[:, None], axis=1))


MLP = {
    "hidden": [{"w": normal(4, 8), "b": normal(8)}, {"w": normal(8, 8), "b": normal(8)}],
    "out": normal(8, 3),
}
CNN = {"k": normal(3, 3, 2, 4) * 0.3, "w": normal(36, 5)}
HEADS = {name: normal(4, 4, seed=place) for place, name in enumerate("qkv")}
CELL = {"w": normal(3, 16), "u": normal(4, 16)}
LABELS = np.array([0, 2, 1], np.int32)

MODELS = [
    case("mlp", mlp, MLP, X),
    case("cnn", cnn, CNN, normal(2, 6, 6, 2), tol=1e-4),
    case("attention", attention, HEADS, normal(2, 5, 4)),
    case("layer norm", layer_norm, X, normal(4), normal(4)),
    case("lstm", lstm, CELL, normal(5, 2, 3)),
    case("training step", jax.value_and_grad(loss), MLP, X, LABELS),
    case("per example", jax.vmap(jax.grad(lambda x, p: mlp(p, x).sum()), (0, None)), X, MLP),
    case(
        "lstm gradient",
        jax.grad(lambda p, x: jnp.sum(lstm(p, x)[1] ** 2)),
        CELL,
        normal(5, 2, 3),
        gradient=False,
    ),
    case("embedding", lambda table, i: jax.nn.standardize(table[i]), normal(7, 4), LABELS, tol=1e-4),
]


@pytest.mark.parametrize(("name", "fn", "arrays", "options"), MODELS, ids=[row[0] for row in MODELS])
def test_model(name, fn, arrays, options):
    agree(fn, *arrays, **options)


@pytest.mark.parametrize("name", ["mlp", "lstm", "attention"])
def test_jax_backend_gives_the_same(name):
    _, fn, arrays, _ = next(row for row in MODELS if row[0] == name)
    arrays = jax.tree.map(np.asarray, arrays)  # with the names of dicts in JAX's order
    graph = gf.from_jax(fn, *arrays)
    got = gf.Model(graph).run(dict(zip(graph.placeholders, jax.tree.leaves(arrays))))
    for found, right in zip(got.values(), jax.tree.leaves(fn(*arrays))):
        np.testing.assert_allclose(found, right, rtol=2e-5, atol=2e-5)


# Mixing


def test_call_jax_inside_a_graph():
    with gf.Graph() as graph:
        x = gf.placeholder("x", ("batch", 4))
        w = gf.variable("w", (4, 2), initializer=gf.initializers.value(normal(4, 2)))
        made = gf.call_jax(lambda x, p: {"y": jax.nn.relu(x @ p["w"]), "n": 3.0}, x, {"w": w})
        total = gf.sum(made["y"] * 2.0)
        (slope,) = gf.gradients(total, w)
    assert made["y"].shape[1] == 2
    got = gf.Session(graph, backend="numpy").run([total, slope], {x: X})
    right = jax.value_and_grad(lambda w: jnp.sum(jax.nn.relu(X @ w) * 2))(normal(4, 2))
    for found, wanted in zip(got, right):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_call_jax_inside_a_loop():
    with gf.Graph() as graph:
        x, k = gf.placeholder("x", ("n", 4)), gf.placeholder("k", ())
        last, _ = gf.scan(
            lambda c, row: (gf.call_jax(lambda a, b, k: a + jnp.sin(b) * k, c, row, k), None), gf.zeros(4), x
        )
    np.testing.assert_allclose(
        gf.Session(graph, backend="numpy").run(last, {x: X, k: 2.0}), np.sin(X).sum(0) * 2, rtol=1e-5
    )


def test_options_are_handed_on():
    graph = gf.from_jax(lambda x, axis: jnp.sum(x, axis=axis), (3, 4), axis=1)
    assert graph.outputs[0].shape == (3,)


def test_wide_operands_turn_on_64_bits():
    assert gf.from_jax(lambda x: x + jnp.arange(3), ((3,), gf.float64)).outputs[0].dtype is gf.float64
    assert gf.from_jax(lambda x: x + jnp.arange(3), (3,)).outputs[0].dtype is gf.float32


# Symbolic sizes


def test_symbolic_sizes():
    graph = gf.from_jax(
        lambda x: [jax.nn.softmax(x), x.reshape(-1, 2).sum(0), x.sum() / x.shape[0]], ("batch", 4)
    )
    assert str(graph.outputs[0].type) == "float32[batch, 4]"
    for rows in (1, 3):
        x = normal(rows, 4)
        got = list(gf.Model(graph).run({"x": x}, backend="numpy").values())
        np.testing.assert_allclose(got[0], jax.nn.softmax(x), rtol=1e-5)
        np.testing.assert_allclose(got[2], x.sum() / rows, rtol=1e-5)


def test_symbolic_sizes_of_expressions():
    with gf.Graph():
        x = gf.placeholder("x", ("n", 2))
        doubled = gf.concat(x, x, axis=0)
        made = gf.call_jax(lambda x: jnp.concatenate([x, x[1:]]), doubled)
    assert str(made.shape[0]) == "4*n - 1"


def test_shape_dtype_struct_with_symbols():
    (size,) = jax.export.symbolic_shape("rows")
    graph = gf.from_jax(lambda x: x * 2, jax.ShapeDtypeStruct((size, 3), jnp.int32))
    assert str(graph.outputs[0].type) == "int32[rows, 3]"


def test_a_function_that_needs_a_known_size():
    with pytest.raises(gf.ShapeError, match="for every size"):
        gf.from_jax(lambda x: x if x.shape[0] > 3 else -x, ("batch",))


# Reading the graph


def test_nodes_have_the_users_lines_and_scopes():
    def fn(x):
        with jax.named_scope("head"):
            y = jnp.tanh(x)
        return y + 1

    graph = gf.from_jax(fn, (3,))
    first = fn.__code__.co_firstlineno
    (tanh,) = [node for node in graph.nodes if node.op.name == "tanh"]
    (add,) = [node for node in graph.nodes if node.op.name == "add"]
    assert tanh.name == "head/tanh" and "/" not in add.name
    assert (tanh.origin.file, tanh.origin.line, add.origin.line) == (__file__, first + 2, first + 3)


def test_common_forms_become_one_operator():
    def operators(fn, *specs):
        return [
            node.op.name
            for node in gf.from_jax(fn, *specs).nodes
            if node.op.name not in ("placeholder", "constant")
        ]

    assert operators(lambda x, w: x @ w, ("n", 4), (4, 2)) == ["matmul"]
    assert operators(jax.nn.relu, (3,)) == ["relu"]
    assert operators(lambda x: x[jnp.array([2, 0])], (3, 4)) == ["take"]
    assert operators(lambda x: x[1:], (3, 4)) == ["slice"]
    assert (
        operators(lambda x: lax.conv(x, jnp.ones((2, 3, 3, 3)), (1, 1), "SAME"), (1, 3, 5, 5))[-1] == "conv"
    )
    assert operators(lambda x: jax.nn.sigmoid(x), (3,)) == ["sigmoid"]


def test_recompute_mark():
    (call,) = [node for node in gf.from_jax(jax.checkpoint(jnp.sin), (3,)).nodes if node.op.name == "call"]
    assert call.attrs.mark == "recompute"


# Errors


def test_all_unmapped_primitives_are_named_with_their_lines():
    def fn(x):
        jax.debug.print("{}", x)
        return lax.cond(x[0] > 0, lambda x: jax.pure_callback(np.sin, x, x), jnp.sin, x)

    with pytest.raises(gf.BackendError) as caught:
        gf.from_jax(fn, (3,))
    text = caught.value.message
    assert "2 JAX primitives" in text and "pure_callback" in text and "debug_" in text
    first = fn.__code__.co_firstlineno
    assert f"test_from_jax.py:{first + 1}" in text and f"test_from_jax.py:{first + 2}" in text


def test_an_unsupported_form_names_the_line():
    with pytest.raises(gf.BackendError, match="reduce_precision") as caught:
        gf.from_jax(lambda x: lax.reduce_precision(x, 3, 2), (3,))
    assert caught.value.origin.file == __file__


@pytest.mark.parametrize("wrong", [3, "fn", None, np.zeros(3)])
def test_no_function(wrong):
    with pytest.raises(gf.GraphFlowError):
        gf.from_jax(wrong, (3,))
    with pytest.raises(gf.GraphFlowError):
        gf.call_jax(wrong, 3)


def test_a_tensor_as_a_type():
    with pytest.raises(gf.GraphError, match="call_jax"):
        gf.from_jax(jnp.sin, gf.placeholder("x", (3,)))


def test_errors_of_the_function_are_its_own():
    with pytest.raises(TypeError, match="incompatible shapes"):
        gf.from_jax(lambda x, y: x + y, (3,), (4,))


def test_other_generators_are_refused():
    with pytest.raises(gf.GraphFlowError, match="rbg"):
        gf.from_jax(lambda x: x + jax.random.normal(jax.random.key(0, impl="rbg"), (3,)), (3,))


# What is mapped

COLLECTIVES = {
    "all_gather", "all_to_all", "axis_index", "pmax", "pmin", "ppermute", "psum", "ragged_all_to_all",
}  # fmt: skip
OPEN = {
    "after_all", "create_token", "custom_lin", "get", "hessenberg", "householder_product", "polygamma",
    "rng_bit_generator", "rng_uniform", "schur", "select_and_scatter", "swap", "tridiagonal",
    "tridiagonal_solve", "zeta",
}  # fmt: skip


def test_every_public_primitive_is_mapped_or_listed_as_open():
    from jax.extend.core import primitives

    public = {getattr(primitives, name).name for name in dir(primitives) if name.endswith("_p")}
    mapped = set(mapped_primitives())
    assert public - mapped == COLLECTIVES | OPEN
    assert len(public & mapped) == 152


def test_importing_graphflow_does_not_import_jax():
    code = "import sys, graphflow as gf; gf.trace(lambda x: gf.sin(x), (3,)); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Recurrent layers: their variables, and that they compute what the functions of gf.nn do with these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import layers, nn
from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir.interpret import evaluate

LAYERS: dict[str, Callable[..., Any]] = {"rnn": layers.rnn, "lstm": layers.lstm, "gru": layers.gru}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
Rng = np.random.Generator


def _weights(graph: gf.Graph, rng: Rng) -> dict[gf.Tensor, np.ndarray]:
    return {w: rng.standard_normal(w.shape).astype(w.dtype.numpy) for w in graph.variables.values()}


def _by_name(feeds: dict[gf.Tensor, np.ndarray], scope: str) -> dict[str, np.ndarray]:
    return {
        tensor.node.name.removeprefix(scope): value
        for tensor, value in feeds.items()
        if tensor.node.name.startswith(scope)
    }


@pytest.mark.parametrize("kind", LAYERS)
def test_variables(kind: str) -> None:
    x = gf.placeholder("x", ("batch", "time", 3))
    y, _ = LAYERS[kind](x, 5)
    LAYERS[kind](y, 2, use_bias=False)
    rows, blocks = GATES[kind], {"rnn": 1, "lstm": 4, "gru": 6}[kind]
    assert {name: tuple(w.shape) for name, w in x.graph.variables.items()} == {
        f"{kind}/kernel": (rows * 5, 3), f"{kind}/recurrent_kernel": (rows * 5, 5),
        f"{kind}/bias": (blocks * 5,), f"{kind}_1/kernel": (rows * 2, 5),
        f"{kind}_1/recurrent_kernel": (rows * 2, 2),
    }  # fmt: skip


def test_what_variables_start_from() -> None:
    x = gf.placeholder("x", ("batch", "time", 3))
    layers.lstm(x, 5, peephole=True, name="a")
    layers.lstm(x, 5, forget_bias=0.5, recurrent_initializer=gf.initializers.zeros(), name="b")
    names = list(x.graph.variables)
    with gf.Session(backend="numpy", seed=1) as sess:
        first = dict(zip(names, sess.run(list(x.graph.variables.values()))))
    np.testing.assert_array_equal(first["a/bias"].reshape(4, 5), [[0] * 5, [0] * 5, [1] * 5, [0] * 5])
    np.testing.assert_array_equal(first["b/bias"].reshape(4, 5)[2], 0.5)
    r = first["a/recurrent_kernel"]
    np.testing.assert_allclose(r.T @ r, np.eye(5), atol=1e-6)
    assert not first["b/recurrent_kernel"].any() and not first["a/peephole"].any()
    limit = np.sqrt(6 / (3 + 20))
    assert 0.5 * limit < np.abs(first["a/kernel"]).max() <= limit


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_the_function_with_its_variables(kind: str, rng: Rng) -> None:
    x = gf.placeholder("x", (2, 4, 3), gf.float64)
    lengths = gf.constant([4, 2])
    options: dict[str, Any] = {"peephole": True} if kind == "lstm" else {}
    y, state = LAYERS[kind](x, 5, lengths=lengths, clip=0.8, reverse=True, **options)
    feeds = {x: rng.standard_normal((2, 4, 3)), **_weights(x.graph, rng)}
    w = _by_name(feeds, f"{kind}/")
    options = {"peephole": w["peephole"]} if kind == "lstm" else {}
    options |= {"linear_before_reset": True} if kind == "gru" else {}
    expected = getattr(nn, kind)(
        feeds[x], w["kernel"], w["recurrent_kernel"], w["bias"], None, lengths, clip=0.8, direction="reverse",
        batch_first=True, **options,
    )  # fmt: skip
    last = [state[0], expected[1][0]] if kind == "lstm" else [state, expected[1]]
    made = evaluate([y, expected[0], *last], feeds)
    np.testing.assert_allclose(made[0], made[1], rtol=1e-12)
    np.testing.assert_allclose(made[2], made[3], rtol=1e-12)
    assert (made[0][1, 2:] == 0).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_both_directions_stand_side_by_side(kind: str, rng: Rng) -> None:
    x = gf.placeholder("x", (2, 4, 3), gf.float64)
    y, (forth, back) = LAYERS[kind](x, 5, bidirectional=True, name="both")
    parts = [LAYERS[kind](x, 5, name=name, reverse=name == "reverse") for name in ("forward", "reverse")]
    feeds = {x: rng.standard_normal((2, 4, 3)), **_weights(x.graph, rng)}
    for tensor in list(feeds):
        if tensor.node.name.startswith("both/"):
            feeds[x.graph.variables[tensor.node.name.removeprefix("both/")]] = feeds[tensor]
    short, _ = _last(kind, x, feeds)
    made = evaluate([y, *[part for part, _ in parts], _hidden(forth), _hidden(back), short], feeds)
    np.testing.assert_allclose(made[0], np.concatenate(made[1:3], axis=2), rtol=1e-12)
    np.testing.assert_allclose(made[5], np.concatenate(made[3:5], axis=1), rtol=1e-12)
    np.testing.assert_allclose(made[3], made[1][:, -1], rtol=1e-12)
    np.testing.assert_allclose(made[4], made[2][:, 0], rtol=1e-12)


def _hidden(state: Any) -> gf.Tensor:
    return state[0] if isinstance(state, tuple) else state


def _last(kind: str, x: gf.Tensor, feeds: dict[gf.Tensor, np.ndarray]) -> Any:
    """The same layer with return_sequences=False, with the weights of the one called "both"."""
    made = LAYERS[kind](x, 5, return_sequences=False, bidirectional=True, name="short")
    for name, tensor in x.graph.variables.items():
        if name.startswith("short/"):
            feeds[tensor] = feeds[x.graph.variables[name.replace("short", "both")]]
    return made


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_may_be_read_in_parts(kind: str, backend: str, rng: Rng) -> None:
    layer = layers.shared(lambda x, state: LAYERS[kind](x, 5, initial_state=state), name="layer")
    x = gf.placeholder("x", ("batch", "time", 3))
    whole, _ = layer(x, None)
    state = None
    parts = []
    for start, stop in ((0, 2), (2, 3), (3, 7)):
        y, state = layer(x[:, start:stop], state)
        parts.append(y)
    assert len(x.graph.variables) == 3
    with gf.Session(backend=backend) as sess:
        made, expected = sess.run(
            [gf.concat(*parts, axis=1), whole], {x: rng.standard_normal((2, 7, 3), np.float32)}
        )
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_it_learns_to_remember(kind: str, rng: Rng) -> None:
    """The sign of the first number has to be told behind all of them; on all backends alike."""
    x, target = gf.placeholder("x", ("batch", "time", 1)), gf.placeholder("target", ("batch", 1))
    y, _ = LAYERS[kind](x, 8, return_sequences=False, bidirectional=kind == "lstm")
    loss = nn.binary_cross_entropy_with_logits(layers.dense(y, 1), target)
    train = gf.train.Adam(0.03).minimize(loss)
    values = rng.standard_normal((32, 6, 1)).astype(np.float32)
    feeds = {x: values, target: (values[:, 0] > 0).astype(np.float32)}
    for backend, steps in (("jax", 60), ("numpy", 2)):
        with gf.Session(backend=backend, seed=2) as sess:
            losses = [float(sess.run([train, loss], feeds)[1]) for _ in range(steps)]
        if backend == "jax":
            assert losses[-1] < 0.5 * losses[0]
            first = losses
    np.testing.assert_allclose(losses, first[:2], rtol=1e-4)


def test_a_cell_inside_a_loop_has_variables_outside_of_it(rng: Rng) -> None:
    """A step of a scan that calls a layer on one slice at a time is the layer on all of them."""
    layer = layers.shared(lambda x, state: layers.gru(x, 4, initial_state=state), name="layer")
    x = gf.placeholder("x", (2, 5, 3), gf.float64)

    def step(state: gf.Tensor, now: gf.Tensor) -> tuple[gf.Tensor, gf.Tensor]:
        y, state = layer(gf.expand_dims(now, 1), state)
        return state, y[:, 0]

    _, rows = gf.scan(step, gf.zeros((2, 4), gf.float64), gf.permute_dims(x, (1, 0, 2)))
    whole, _ = layer(x, None)
    assert [name.split("/")[-1] for name in x.graph.variables] == ["kernel", "recurrent_kernel", "bias"]
    feeds = {x: rng.standard_normal((2, 5, 3)), **_weights(x.graph, rng)}
    made, expected = evaluate([gf.permute_dims(rows, (1, 0, 2)), whole], feeds)
    np.testing.assert_allclose(made, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: layers.lstm(x[0], 4), ShapeError, r"\[batch, time, features\]"),
        (lambda x: layers.lstm(x, 0), AttributeValueError, "units of lstm"),
        (lambda x: layers.gru(gf.astype(x, gf.int32), 4), DTypeError, "gru needs floats"),
        (lambda x: layers.rnn(gf.placeholder("y", (2, 3, "n")), 4), AttributeValueError, "symbolic"),
        (lambda x: layers.rnn(x, 4, bidirectional=True, reverse=True), AttributeValueError, "bidirectional"),
        (lambda x: layers.lstm(x, 4, initial_state=x), AttributeValueError, "is no pair"),
        (lambda x: layers.gru(x, 4, initial_state=gf.zeros((3, 4))), ShapeError, "initial_state"),
        (lambda x: layers.gru(x, 4, bidirectional=True, initial_state=x), AttributeValueError, "is no pair"),
        (lambda x: layers.lstm(x, 4, forget_bias="a"), AttributeValueError, "forget_bias"),
        (lambda x: [layers.gru(x, 4, name="a") for _ in range(2)], GraphError, "taken already"),
    ],
)  # fmt: skip
def test_refusals(build: Any, error: type[Exception], message: str) -> None:
    x = gf.placeholder("x", (2, "time", 3))
    with pytest.raises(error, match=message):
        build(x)
    if error is not GraphError:
        assert not x.graph.variables

"""Layers: names, shapes and values of what they make, and the moving statistics of batch_norm."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import layers
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.program import extract


def _weights(graph: gf.Graph, rng: np.random.Generator) -> dict[gf.Tensor, np.ndarray]:
    """A random value for each variable; positive ones for variances."""
    return {
        tensor: np.abs(value) + 0.5 if name.endswith("variance") else value
        for name, tensor in graph.variables.items()
        for value in [rng.standard_normal(tensor.shape).astype(tensor.dtype.numpy)]
    }


def _named(feeds: dict[gf.Tensor, np.ndarray]) -> dict[str, np.ndarray]:
    return {tensor.node.name: value for tensor, value in feeds.items()}


# Names


def test_each_call_gets_a_scope_of_its_own() -> None:
    x = gf.placeholder("x", ("n", 4))
    layers.dense(layers.dense(x, 3), 2)
    with gf.name_scope("head"):
        layers.dense(x, 2)
        layers.dense(x, 2, name="last")
    assert list(x.graph.variables) == [
        f"{scope}/{part}"
        for scope in ("dense", "dense_1", "head/dense", "head/last")
        for part in ("kernel", "bias")
    ]


def test_a_name_given_twice_is_an_error_at_the_users_line() -> None:
    x = gf.placeholder("x", ("n", 4))
    layers.dense(x, 3, name="head")
    with pytest.raises(GraphError, match="'head/kernel' of the new variable is taken already") as caught:
        layers.dense(x, 3, name="head")
    assert caught.value.origin.file == __file__
    assert x.graph.scope == ""


def test_a_given_name_is_passed_over_by_later_layers() -> None:
    x = gf.placeholder("x", ("n", 4))
    layers.dense(x, 3, name="dense")
    layers.dense(x, 3)
    gf.variable("dense_2", (1,))
    layers.dense(x, 3)
    assert [name for name in x.graph.variables if "kernel" in name] == [
        "dense/kernel",
        "dense_1/kernel",
        "dense_3/kernel",
    ]


def test_nodes_of_a_layer_lie_in_its_scope_and_point_to_the_user() -> None:
    x = gf.placeholder("x", ("n", 1, 8, 8))
    before = len(x.graph.nodes)
    y = layers.conv(x, 2, 3, activation=gf.nn.relu)
    made = x.graph.nodes[before:]
    assert {node.scope for node in made} == {"conv"}
    assert {node.origin.file for node in made} == {__file__}
    assert y.node.name == "conv/relu"


def test_an_input_of_another_graph_is_refused() -> None:
    with gf.Graph("other"):
        x = gf.placeholder("x", ("n", 4))
    with pytest.raises(GraphError, match="belongs to 'other'"):
        layers.dense(x, 3)


# Dense


@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4), (0, 4), (1, 1, 1, 4)])
def test_dense_works_on_the_last_axis(shape: Any, rng: np.random.Generator) -> None:
    x = gf.placeholder("x", shape)
    y = layers.dense(x, 3, activation=gf.nn.tanh)
    feeds = _weights(x.graph, rng)
    w, c = _named(feeds).values()
    value = rng.standard_normal(shape).astype(np.float32)
    made = evaluate([y], feeds | {x: value})[0]
    assert made.shape == y.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(made, np.tanh(value @ w + c), rtol=1e-5, atol=1e-6)


def test_dense_options() -> None:
    x = gf.placeholder("x", ("n", 4), gf.float64)
    y = layers.dense(
        x, np.int64(3), use_bias=False, kernel_initializer=gf.initializers.constant(2.0), name="d"
    )
    (kernel,) = x.graph.variables.values()
    assert kernel.type == gf.variable("same", (4, 3), dtype=gf.float64).type
    assert kernel.node.attrs.initializer == gf.initializers.constant(2.0)
    assert y.type == gf.placeholder("y", ("n", 3), gf.float64).type


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: layers.dense(gf.placeholder("x", (4,)), 3), ShapeError, "not of rank 1"),
        (lambda: layers.dense(gf.placeholder("x", (4, 3), gf.int32), 3), DTypeError, "floats, not int32"),
        (lambda: layers.dense(gf.placeholder("x", (4, "f")), 3), AttributeValueError, "f is symbolic"),
        (lambda: layers.dense(gf.placeholder("x", (4, 3)), 0), AttributeValueError, "units=0"),
        (lambda: layers.dense(gf.placeholder("x", (4, 3)), 2.5), AttributeValueError, "units=2.5"),
        (lambda: layers.conv(gf.placeholder("x", (4, 3)), 2, 3), ShapeError, "not of rank 2"),
        (lambda: layers.conv(gf.placeholder("x", (1, 3, 8)), 2, 0), AttributeValueError, "kernel_size=0"),
        (lambda: layers.conv(gf.placeholder("x", (1, 3, 8)), 2, 3, groups=2), ShapeError, "3 channels"),
        (lambda: layers.conv(gf.placeholder("x", (1, 4, 8)), 3, 3, groups=2), ShapeError, "3 out channels"),
        (
            lambda: layers.conv_transpose(gf.placeholder("x", (1, 4, 8)), 3, 3, groups=2),
            ShapeError,
            "3 filters",
        ),
        (lambda: layers.batch_norm(gf.placeholder("x", (4,))), ShapeError, "not an input of rank 1"),
        (
            lambda: layers.batch_norm(gf.placeholder("x", (4, 3)), momentum=2),
            AttributeValueError,
            "momentum=2",
        ),
        (
            lambda: layers.batch_norm(gf.placeholder("x", (4, 3)), training=1),
            AttributeValueError,
            "training=1",
        ),
        (lambda: layers.batch_norm(gf.placeholder("x", (4, "c"))), AttributeValueError, "c is symbolic"),
        (lambda: layers.group_norm(gf.placeholder("x", (4, 6)), 4), ShapeError, "6 channels"),
        (lambda: layers.layer_norm(gf.placeholder("x", (4, 3)), axis=2), AttributeValueError, "axis 2"),
        (lambda: layers.embedding(gf.placeholder("x", (4,)), 5, 3), DTypeError, "integer ids"),
        (lambda: layers.embedding(gf.constant([1]), 0, 3), AttributeValueError, "vocabulary=0"),
        (lambda: layers.multi_head_attention(gf.placeholder("x", (4, 6)), 2), ShapeError, "not of rank 2"),
        (
            lambda: layers.multi_head_attention(gf.placeholder("x", (4, 5, 6)), 4),
            AttributeValueError,
            "6 features do not divide into 4 heads",
        ),
        (lambda: layers.dropout(gf.placeholder("x", (4,)), 1.0), AttributeValueError, "rate=1.0"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        build()
    assert caught.value.origin.file == __file__


# Convolution


def test_conv_layer_is_conv_plus_bias(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", ("n", 4, 8, 8))
    y = layers.conv(x, 6, (3, 2), strides=2, groups=2, activation=gf.nn.relu)
    assert y.shape == (x.shape[0], 6, 4, 4)
    feeds = _weights(x.graph, rng)
    named = _named(feeds)
    assert named["conv/kernel"].shape == (6, 2, 3, 2)
    value = rng.standard_normal((2, 4, 8, 8)).astype(np.float32)
    z = gf.nn.conv(gf.constant(value), named["conv/kernel"], strides=2, padding="same", groups=2)
    plain = evaluate([z])[0] + named["conv/bias"].reshape(1, 6, 1, 1)
    fixed = gf.placeholder("fixed", (2, 4, 8, 8))
    with gf.name_scope("again"):
        again = layers.conv(fixed, 6, (3, 2), strides=2, groups=2, activation=gf.nn.relu)
    feeds = {x.graph.variables[f"again/{name}"]: value for name, value in named.items()} | {fixed: value}
    np.testing.assert_allclose(evaluate([again], feeds)[0], np.maximum(plain, 0), rtol=1e-5, atol=1e-6)


def test_conv_transpose_layer(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 4, 5, 5))
    y = layers.conv_transpose(x, 6, 3, strides=2, groups=2, use_bias=True)
    assert y.shape == (2, 6, 10, 10)
    feeds = _weights(x.graph, rng)
    named = _named(feeds)
    assert named["conv_transpose/kernel"].shape == (4, 3, 3, 3)
    value = rng.standard_normal(x.shape).astype(np.float32)
    z = gf.nn.conv_transpose(value, named["conv_transpose/kernel"], strides=2, padding="same", groups=2)
    expected = evaluate([z])[0] + named["conv_transpose/bias"].reshape(1, 6, 1, 1)
    np.testing.assert_allclose(evaluate([y], feeds | {x: value})[0], expected, rtol=1e-5, atol=1e-6)


# Batch normalization


def _batch_norm(shape: Any = (6, 3, 4), **options: Any) -> tuple[gf.Tensor, gf.Tensor]:
    x = gf.placeholder("x", shape, gf.float64)
    return x, layers.batch_norm(x, **options)


def test_batch_norm_uses_the_batch_in_training_and_the_averages_else(rng: np.random.Generator) -> None:
    x, y = _batch_norm()
    feeds = _weights(x.graph, rng)
    named = _named(feeds)
    value = 3 + 2 * rng.standard_normal(x.shape)
    feeds[x] = value

    def expected(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        rows = [named["batch_norm/scale"], named["batch_norm/offset"], mean, variance]
        scale, offset, mean, variance = (row.reshape(1, 3, 1) for row in rows)
        return (value - mean) / np.sqrt(variance + 1e-5) * scale + offset

    training = evaluate([y], feeds | {gf.training: np.array(True)})[0]
    np.testing.assert_allclose(training, expected(value.mean((0, 2)), value.var((0, 2))), rtol=1e-9)
    inference = evaluate([y], feeds | {gf.training: np.array(False)})[0]
    moving = named["batch_norm/moving_mean"], named["batch_norm/moving_variance"]
    np.testing.assert_allclose(inference, expected(*moving), rtol=1e-9)


def test_batch_norm_registers_the_moving_averages(rng: np.random.Generator) -> None:
    x, y = _batch_norm(momentum=0.8)
    graph = x.graph
    assert [trigger for trigger, _ in graph.statistics] == [y, y]
    targets = [assign.inputs[0].node.name for _, assign in graph.statistics]
    assert targets == ["batch_norm/moving_mean", "batch_norm/moving_variance"]
    feeds = _weights(graph, rng)
    named = _named(feeds)
    value = feeds[x] = rng.standard_normal(x.shape)
    moved = evaluate([assign.inputs[1] for _, assign in graph.statistics], feeds)
    batch = value.mean((0, 2)), value.var((0, 2))
    for new, name, statistic in zip(moved, targets, batch):
        np.testing.assert_allclose(new, 0.8 * named[name] + 0.2 * statistic, rtol=1e-12)


def test_only_scale_and_offset_are_trained() -> None:
    x, _ = _batch_norm()
    trainable = {name: tensor.node.attrs.trainable for name, tensor in x.graph.variables.items()}
    assert trainable == {
        "batch_norm/scale": True,
        "batch_norm/offset": True,
        "batch_norm/moving_mean": False,
        "batch_norm/moving_variance": False,
    }


@pytest.mark.parametrize("training", [True, False])
def test_a_fixed_mode_leaves_the_flag_out(training: bool) -> None:
    x, y = _batch_norm(training=training)
    names = {node.op.name for node in extract([y]).nodes}
    assert "training_flag" not in names and "where" not in names
    assert ("mean" in names) == training
    assert len(x.graph.statistics) == (2 if training else 0)


def test_the_branches_meet_in_a_choice_between_two_vectors() -> None:
    """So that a constant flag leaves nothing of the other branch."""
    _, y = _batch_norm()
    chosen = [tensor.node for tensor in y.node.inputs[1:3]]
    assert [node.op.name for node in chosen] == ["where", "where"]
    assert all(node.inputs[0] is gf.training for node in chosen)
    assert [node.inputs[2].node.op.name for node in chosen] == ["variable", "variable"]


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients(training: bool, rng: np.random.Generator) -> None:
    x, y = _batch_norm((5, 3, 2))
    loss = gf.sum(y * gf.constant(rng.standard_normal((5, 3, 2))))
    feeds = _weights(x.graph, rng)
    feeds |= {x: rng.standard_normal(x.shape), gf.training: np.array(training)}
    check_gradients(loss, [x, *list(x.graph.variables.values())[:2]], feeds)


def test_batch_norm_of_the_last_axis_and_of_features(rng: np.random.Generator) -> None:
    x, y = _batch_norm((4, 5, 3), axis=-1, training=True)
    assert x.graph.variables["batch_norm/scale"].shape == (3,)
    feeds = {x: rng.standard_normal((4, 5, 3))}
    feeds |= {
        x.graph.variables[f"batch_norm/{name}"]: np.full(3, float(name == "scale"))
        for name in ("scale", "offset")
    }
    made = evaluate([y], feeds)[0]
    np.testing.assert_allclose(made.mean((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(made.var((0, 1)), 1, rtol=1e-3)
    flat = layers.batch_norm(gf.placeholder("flat", ("n", 7)))
    assert flat.shape[1] == 7


# The others


def test_layer_and_group_norm_start_as_plain_normalization(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (4, 6, 3))
    value = rng.standard_normal(x.shape).astype(np.float32)
    pairs = [
        (layers.layer_norm(x), gf.nn.layer_norm(x)),
        (layers.layer_norm(x, axis=1, use_offset=False), gf.nn.layer_norm(x, axis=1)),
        (layers.group_norm(x, 2), gf.nn.group_norm(x, 2)),
    ]
    assert list(x.graph.variables) == [
        "layer_norm/scale",
        "layer_norm/offset",
        "layer_norm_1/scale",
        "group_norm/scale",
        "group_norm/offset",
    ]
    feeds = {
        tensor: tensor.node.attrs.initializer.sample(tensor.shape, tensor.dtype, np.zeros(2, np.uint32))
        for tensor in x.graph.variables.values()
    }
    for layer, plain in pairs:
        made, expected = evaluate([layer, plain], feeds | {x: value})
        np.testing.assert_allclose(made, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 3, 4), (1, 4, 2, 3, 2)])
def test_convolution_layers_in_one_to_three_dimensions(shape: tuple[int, ...]) -> None:
    x = gf.placeholder("x", ("n", *shape[1:]))
    y = layers.conv(x, 6, 3, strides=2, padding="same_lower", groups=2)
    assert y.shape == (x.shape[0], 6, *[(size + 1) // 2 for size in shape[2:]])
    z = layers.conv_transpose(y, 4, 3, strides=2, output_shape=shape[2:], padding="same_lower")
    assert z.shape == x.shape
    with gf.Session() as session:
        assert session.run(z, {x: np.ones(shape, np.float32)}).shape == shape


def test_instance_and_rms_norm_start_as_plain_normalization(rng: np.random.Generator) -> None:
    x = gf.constant(rng.standard_normal((3, 4, 5)).astype(np.float32))
    pairs = [
        (layers.instance_norm(x), gf.nn.instance_norm(x)),
        (layers.rms_norm(x), gf.nn.rms_norm(x)),
        (layers.rms_norm(x, axis=1), gf.nn.rms_norm(x, axis=1)),
    ]
    shapes = {name: variable.shape for name, variable in x.graph.variables.items()}
    assert shapes == {
        "instance_norm/scale": (4,),
        "instance_norm/offset": (4,),
        "rms_norm/scale": (5,),
        "rms_norm_1/scale": (4, 5),
    }
    with gf.Session() as session:
        for layer, plain in pairs:
            made, expected = session.run([layer, plain])
            np.testing.assert_allclose(made, expected, rtol=1e-6)


def test_embedding_takes_rows(rng: np.random.Generator) -> None:
    ids = gf.placeholder("ids", ("n", 2), gf.uint8)
    y = layers.embedding(ids, 5, 3, dtype=gf.float64)
    assert y.dtype is gf.float64 and y.shape == (ids.shape[0], 2, 3)
    assert y.graph.variables["embedding/table"].shape == (5, 3)
    table = rng.standard_normal((5, 3))
    fixed = gf.placeholder("fixed", (2, 2), gf.int32)
    z = layers.embedding(fixed, 5, 3, initializer=table, dtype=gf.float64)
    at = np.array([[0, 4], [2, 2]])
    feeds = {fixed: at.astype(np.int32), y.graph.variables["embedding_1/table"]: table}
    np.testing.assert_array_equal(evaluate([z], feeds)[0], table[at])
    (slope,) = gradients(z, [y.graph.variables["embedding_1/table"]])
    np.testing.assert_array_equal(evaluate([slope], feeds)[0][:, 0], [1, 0, 2, 0, 1])


def test_dropout_layers_have_streams_of_their_own() -> None:
    x = gf.placeholder("x", (64,))
    layers.dropout(x, 0.5)
    layers.dropout(x, 0.5)
    layers.dropout(x, 0.5, name="last")
    streams = [node.attrs.stream for node in x.graph.nodes if node.op.name == "random_key"]
    assert len(set(streams)) == 3
    assert [stream.split("/")[0] for stream in streams] == ["dropout", "dropout_1", "last"]


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention_is_attention_on_projections(causal: bool, rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 5, 6))
    memory = None if causal else gf.placeholder("memory", (2, 4, 3))
    y = layers.multi_head_attention(x, heads=2, memory=memory, head_size=4, causal=causal)
    assert y.type is x.type
    feeds = _weights(x.graph, rng)
    named = {name.removeprefix("multi_head_attention/"): value for name, value in _named(feeds).items()}
    value = feeds[x] = rng.standard_normal(x.shape).astype(np.float32)
    source = value if memory is None else rng.standard_normal((2, 4, 3)).astype(np.float32)
    if memory is not None:
        feeds[memory] = source

    def project(array: np.ndarray, part: str) -> np.ndarray:
        return array @ named[f"{part}/kernel"] + named[f"{part}/bias"]

    heads = []
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        q = project(value, "query")[..., own]
        k, v = (project(source, part)[..., own] for part in ("key", "value"))
        scores = q @ k.swapaxes(1, 2) / 2.0
        if causal:
            scores = np.where(np.tri(5, dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ v)
    expected = project(np.concatenate(heads, -1), "output")
    np.testing.assert_allclose(evaluate([y], feeds)[0], expected, rtol=1e-4, atol=1e-5)


def test_everything_takes_a_symbolic_batch() -> None:
    x = gf.placeholder("x", ("n", "t", 8))
    ids = gf.placeholder("ids", ("n", "t"), gf.int32)
    y = layers.embedding(ids, 10, 8) + x
    y = layers.multi_head_attention(layers.layer_norm(y), 2, causal=True)
    y = layers.dropout(layers.dense(y, 16, activation=gf.nn.gelu), 0.1)
    assert y.shape == (*x.shape[:2], 16)
    assert x.graph.constraints == []
    assert layers.group_norm(gf.placeholder("z", ("n", 8, "h")), 2).shape[1] == 8

"""Shared functions: one set of variables for all calls, found by name, in each graph of its own."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import layers
from graphflow.errors import AttributeValueError, GraphError, ShapeError


def encode(x: gf.Tensor) -> gf.Tensor:
    """Two layers of one kind, one with a name, and one with statistics."""
    x = layers.dense(layers.dense(x, 5), 4)
    x = layers.batch_norm(layers.dropout(x, 0.5))
    return layers.dense(x, 3, name="last")


NAMES = [
    "encode/dense/kernel", "encode/dense/bias", "encode/dense_1/kernel", "encode/dense_1/bias",
    "encode/batch_norm/scale", "encode/batch_norm/offset", "encode/batch_norm/moving_mean",
    "encode/batch_norm/moving_variance", "encode/last/kernel", "encode/last/bias",
]  # fmt: skip


def test_calls_share_variables_and_gradients_add_up(rng: np.random.Generator) -> None:
    tower = layers.shared(lambda x: gf.nn.tanh(layers.dense(x, 3)), name="tower")
    x, y = gf.placeholder("x", (4, 2)), gf.placeholder("y", (4, 2))
    left, right = tower(x), tower(y)
    kernel, bias = x.graph.variables.values()
    both = gf.gradients(gf.sum(left**2) + gf.sum(right**3), [kernel, bias])
    apart = [gf.gradients(loss, [kernel, bias]) for loss in (gf.sum(left**2), gf.sum(right**3))]
    feeds = {one: rng.standard_normal((4, 2)).astype(np.float32) for one in (x, y)}
    with gf.Session(backend="numpy") as sess:
        total, parts, same = sess.run([both, apart, [tower(x), left]], feeds)
    for one, first, second in zip(total, *parts):
        np.testing.assert_allclose(one, first + second, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(*same)


def test_names_are_those_of_the_first_call_wherever_the_others_are_made() -> None:
    x = gf.placeholder("x", ("n", 2))
    tower = layers.shared(encode)
    first = tower(x)
    with gf.name_scope("elsewhere"):
        second = tower(x)
        layers.dense(x, 2)
    assert list(x.graph.variables)[: len(NAMES)] == NAMES
    assert list(x.graph.variables)[len(NAMES) :] == ["elsewhere/dense/kernel", "elsewhere/dense/bias"]
    assert first.node.scope == second.node.scope == "encode/last"
    assert layers.shared(encode)(x).node.scope == "encode_1/last"


def test_the_moving_averages_follow_the_first_call() -> None:
    tower = layers.shared(encode)
    losses = [gf.sum(tower(gf.placeholder(name, ("n", 2)))) for name in "ab"]
    train = gf.train.SGD(0.1).minimize(losses[0] + losses[1])
    assert len(losses[0].graph.statistics) == 2
    assert len(train.assigns) == len({assign.inputs[0] for assign in train.assigns})


def test_each_call_drops_what_it_draws_itself() -> None:
    x = gf.ones((1, 1000))
    drop = layers.shared(lambda x: layers.dropout(x, 0.5), name="drop")
    with gf.Session(backend="numpy") as sess:
        first, second = sess.run([drop(x), drop(x)], {gf.training: True})
    assert 300 < np.count_nonzero(first != second) < 700


def test_shared_functions_nest() -> None:
    inner = layers.shared(lambda x: layers.dense(x, 2), name="inner")
    outer = layers.shared(lambda x: inner(layers.dense(inner(x), 2)), name="outer")
    x = gf.placeholder("x", ("n", 2))
    outer(outer(x))
    inner(x)
    assert list(x.graph.variables) == [
        "outer/inner/dense/kernel", "outer/inner/dense/bias", "outer/dense/kernel", "outer/dense/bias",
    ]  # fmt: skip


def test_each_graph_has_variables_of_its_own_and_is_not_kept_alive() -> None:
    tower = layers.shared(encode)
    graphs = [gf.Graph(), gf.Graph()]
    for graph in graphs:
        with graph:
            x = gf.placeholder("x", ("n", 2))
            tower(tower(gf.concat(tower(x), axis=0)[:, :2])[:, :2])
        assert list(graph.variables) == NAMES
    kept = [weakref.ref(graph) for graph in graphs]
    del graph, graphs, x
    gc.collect()
    assert [one() for one in kept] == [None, None]


def test_a_call_that_fails_leaves_nothing() -> None:
    x = gf.placeholder("x", ("n", 2))

    def picky(x: gf.Tensor, units: Any) -> gf.Tensor:
        return layers.dense(layers.dense(x, 3), units)

    tower = layers.shared(picky)
    with pytest.raises(AttributeValueError):
        tower(x, 0)
    assert not x.graph.variables
    tower(x, 4)
    count = len(x.graph.nodes)
    with pytest.raises(ShapeError, match=r"needs float32\[3, 5\] for 'picky/dense_1/kernel'"):
        tower(x, 5)
    assert len(x.graph.nodes) == count


@pytest.mark.parametrize("name", ["a b", "", 3])
def test_bad_names_and_functions(name: Any) -> None:
    with pytest.raises(GraphError, match="cannot name a shared"):
        layers.shared(encode, name=name)
    with pytest.raises(AttributeValueError, match="is no function"):
        layers.shared(3)


def test_other_layers_than_in_the_first_call_are_refused() -> None:
    x = gf.placeholder("x", ("n", 2))
    tower = layers.shared(lambda x, deep: layers.dense(layers.dense(x, 2), 2) if deep else layers.dense(x, 2))
    tower(x, False)
    with pytest.raises(
        GraphError, match="'lambda/dense_1/kernel', which its first call has not made"
    ) as caught:
        tower(x, True)
    assert caught.value.origin.file == __file__


def test_a_loop_shares_with_what_is_around_it(rng: np.random.Generator) -> None:
    cell = layers.shared(lambda x: gf.nn.tanh(layers.dense(x, 3)), name="cell")
    x = gf.placeholder("x", (4, 2, 3))
    looped = gf.map(cell, x)
    stacked = cell(gf.reshape(x, (8, 3)))
    assert list(x.graph.variables) == ["map/cell/dense/kernel", "map/cell/dense/bias"]
    with gf.Session() as sess:
        one, other = sess.run([looped, stacked], {x: rng.standard_normal((4, 2, 3)).astype(np.float32)})
    np.testing.assert_allclose(one.reshape(8, 3), other, rtol=1e-5, atol=1e-6)

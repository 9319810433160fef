"""minimize and apply: what is changed, what is added to the graph, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import DTypeError, GradientError, GraphError, ShapeError
from graphflow.ir.builder import Builder
from graphflow.ir.verify import verify
from graphflow.ops.declare import assign_node
from tests.train.runner import Runner


def names(update):
    return [tensor.node.name for tensor in update.variables]


def test_it_descends():
    w = gf.variable("w", initializer=[3.0, -4.0])
    loss = gf.sum(w * w)
    runner = Runner(gf.train.SGD(0.25).minimize(loss))
    losses = []
    for _ in range(4):
        losses.append(float(runner.of([loss])[0]))
        runner.step()
    assert losses == [25.0, 6.25, 1.5625, 0.390625]


def test_all_trainable_variables_that_the_loss_reaches_are_changed():
    w, b = gf.variable("w", (2,)), gf.variable("b", (2,))
    gf.variable("elsewhere", (2,))
    frozen = gf.variable("frozen", (2,), trainable=False)
    update = gf.train.SGD(0.1).minimize(gf.sum((w + b) * frozen))
    assert names(update) == ["w", "b", "sgd/step"] and update.training


def test_integer_and_unreachable_variables_are_left_out():
    w = gf.variable("w", (2,))
    count = gf.variable("count", (), dtype=gf.int32)
    cut = gf.variable("cut", (2,))
    loss = gf.sum(w * gf.astype(count, gf.float32) + gf.stop_gradient(cut))
    assert names(gf.train.SGD(0.1).minimize(loss)) == ["w", "sgd/step"]


def test_chosen_variables():
    w, b = gf.variable("w", (2,)), gf.variable("b", (2,), trainable=False)
    loss = gf.sum(w * b)
    assert names(gf.train.SGD(0.1).minimize(loss, [b])) == ["b", "sgd/step"]
    assert names(gf.train.SGD(0.1).minimize(loss, w)) == ["w", "sgd_1/step"]


def test_slots_live_in_the_scope_of_the_method():
    with gf.name_scope("net"):
        w = gf.variable("w", (2, 3))
    with gf.name_scope("training"):
        update = gf.train.Adam(name="mine").minimize(gf.sum(w * w))
    assert names(update) == [
        "net/w",
        "training/mine/net/w/first_moment",
        "training/mine/net/w/second_moment",
        "training/mine/step",
    ]
    assert not any(v.node.attrs.trainable for v in update.variables[1:])
    assert w.graph.scope == ""


def test_one_method_can_minimise_twice_with_slots_of_their_own():
    w = gf.variable("w", (2,))
    method = gf.train.Adam()
    first, second = (method.minimize(gf.sum(w * w)) for _ in range(2))
    assert set(names(first)) & set(names(second)) == {"w"}


def test_new_nodes_have_the_users_line():
    w = gf.variable("w", (2,))
    loss = gf.sum(w * w)
    before = len(w.graph)
    gf.train.Adam(gf.train.schedules.cosine(0.1, 10), clip_norm=1.0).minimize(loss)
    line = inspect.currentframe().f_lineno - 1
    own = [node for node in w.graph.nodes[before:] if node.name.startswith("adam/")]
    assert own and {(node.origin.file, node.origin.line) for node in own} == {(__file__, line)}


def test_the_graph_is_well_formed():
    w = gf.variable("w", (4, 3))
    gf.train.Adafactor(gf.train.schedules.warm_up(3, 0.1), clip_norm=1.0).minimize(gf.mean(w * w))
    verify(w.graph)


def test_a_scalar_tensor_as_learning_rate():
    w = gf.variable("w", initializer=[1.0])
    rate = gf.placeholder("rate", (), gf.float64)
    runner = Runner(gf.train.SGD(rate).minimize(gf.sum(w)))
    runner.step({rate: 0.25})
    runner.step({rate: 0.5})
    assert runner.values[w] == [0.25]


def test_the_step_is_counted():
    w = gf.variable("w", initializer=[1.0])
    update = gf.train.SGD(lambda done: done).minimize(gf.sum(w))
    runner = Runner(update)
    seen = []
    for _ in range(4):
        runner.step()
        seen.append(float(runner.values[w][0]))
    assert seen == [1.0, 0.0, -2.0, -5.0]
    assert runner.values[update.variables[-1]] == 4


def test_statistics_that_the_loss_reaches_are_applied():
    x = gf.placeholder("x", (2,))
    w, mean, other = (gf.variable(name, (2,), trainable=name == "w") for name in ("w", "mean", "other"))
    b = Builder(x.graph)
    used, unused = x * w, x + 1.0
    x.graph.statistics += [(used, assign_node(b, mean, used)), (unused, assign_node(b, other, unused))]
    update = gf.train.SGD(0.5).minimize(gf.sum(used))
    assert names(update) == ["w", "sgd/step", "mean"]


def test_apply_takes_gradients_as_they_are_and_skips_none():
    w, b = gf.variable("w", initializer=[1.0, 1.0]), gf.variable("b", (2,))
    [slope] = gf.gradients(gf.sum(w * w), [w])
    update = gf.train.SGD(0.25).apply([(slope + 2.0, w), (None, b)])
    assert names(update) == ["w", "sgd/step"]
    runner = Runner(update)
    runner.step()
    np.testing.assert_array_equal(runner.values[w], [0.0, 0.0])


class TestRefusals:
    def test_a_loss_that_is_no_scalar(self):
        w = gf.variable("w", (2,))
        with pytest.raises(ShapeError, match=r"has shape \[2\], and only a scalar") as caught:
            gf.train.SGD(0.1).minimize(w * w)
        assert "gf.mean" in caught.value.hint and caught.value.origin.file == __file__

    def test_an_integer_loss(self):
        n = gf.variable("n", (), dtype=gf.int32)
        with pytest.raises(DTypeError, match="is int32, and only a floating-point"):
            gf.train.SGD(0.1).minimize(n * n)

    def test_a_loss_that_is_no_tensor(self):
        with pytest.raises(DTypeError, match=r"the loss 3\.0 is no tensor"):
            gf.train.SGD(0.1).minimize(3.0)

    def test_no_variables(self):
        x = gf.placeholder("x", (2,))
        with pytest.raises(GradientError, match="depends on no variable"):
            gf.train.SGD(0.1).minimize(gf.sum(x))
        with pytest.raises(GradientError, match="depends on no variable"):
            gf.train.SGD(0.1).minimize(gf.sum(x), [])

    def test_only_variables_behind_a_stop(self):
        w = gf.variable("w", (2,))
        with pytest.raises(GradientError, match="depends on no variable"):
            gf.train.SGD(0.1).minimize(gf.sum(gf.stop_gradient(w)))

    def test_a_chosen_variable_without_influence(self):
        w, b = gf.variable("w", (2,)), gf.variable("b", (2,))
        with pytest.raises(GradientError, match="with respect to b:0: no y depends on it"):
            gf.train.SGD(0.1).minimize(gf.sum(w), [w, b])

    def test_a_placeholder_as_variable(self):
        x = gf.placeholder("x", (2,))
        with pytest.raises(GraphError, match="x:0 is no variable"):
            gf.train.SGD(0.1).minimize(gf.sum(x * x), [x])

    def test_a_variable_twice(self):
        w = gf.variable("w", (2,))
        with pytest.raises(GraphError, match="'w' is there twice"):
            gf.train.SGD(0.1).minimize(gf.sum(w), [w, w])

    def test_a_variable_of_another_graph(self):
        with gf.Graph():
            other = gf.variable("w", (2,))
        w = gf.variable("w", (2,))
        with pytest.raises(GradientError, match="belongs to the graph"):
            gf.train.SGD(0.1).minimize(gf.sum(w), [other])

    def test_no_pairs(self):
        with pytest.raises(GradientError, match="no variable with a gradient"):
            gf.train.SGD(0.1).apply([])

    def test_a_gradient_of_another_shape(self):
        w = gf.variable("w", (2,))
        with pytest.raises(ShapeError):
            gf.train.SGD(0.1).apply([(gf.constant([1.0, 2.0, 3.0]), w)])

    def test_a_schedule_that_gives_no_scalar(self):
        w = gf.variable("w", (2,))
        with pytest.raises(ShapeError, match="has to be a floating-point scalar"):
            gf.train.SGD(lambda done: gf.constant([0.1, 0.2])).minimize(gf.sum(w))

    def test_a_method_without_step(self):
        with pytest.raises(TypeError, match="abstract"):
            type("Lazy", (gf.train.Method,), {})(0.1)

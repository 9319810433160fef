"""Watching gradients and activations, read back and compared with what they are by hand."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.board.store import LogDirectory, node_of
from graphflow.errors import AttributeValueError, DTypeError, GraphError


@pytest.fixture
def net():
    x = gf.placeholder("x", ("n", 3))
    w = gf.variable("dense/w", initializer=np.array([[1.0], [2.0], [-3.0]], np.float32))
    with gf.name_scope("head"):
        score = gf.multiply(x @ w, 2.0, name="score")
        hidden = gf.nn.relu(score, name="relu")
    loss = gf.sum(hidden)
    return x, loss, gf.train.SGD(0.5).minimize(loss)


def logged(folder, net, watch, steps, feed):
    x, _, train = net
    with gf.train.SummaryWriter(folder / "run") as writer, gf.Session(backend="numpy") as sess:
        for step in range(steps):
            _, seen = sess.run([train, watch.fetches(step)], {x: feed})
            watch.write(writer, seen, step)
        assert len(sess.compiles) <= 2  # with the watch, and without
    log = LogDirectory(folder, index=None, refresh=0)
    log.refresh()
    return log


def test_values_by_hand(tmp_path, net):
    watch = gf.train.watch(net[1], activations=["head/relu", "head/s*"], every=2)
    assert sorted(watch.tensors) == ["activations/head/relu", "activations/head/score", "gradients/dense/w"]
    feed = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    with logged(tmp_path, net, watch, 3, feed) as log:
        assert log.scalars("run", "gradients.norm/dense/w").step.tolist() == [0, 2]
        # only the first row passes the rectifier, and the slope of score is 2
        assert log.scalars("run", "gradients.norm/dense/w").value[0] == pytest.approx(np.sqrt(8))
        assert log.scalars("run", "gradients.mean/dense/w").value[0] == pytest.approx(4 / 3)
        assert log.scalars("run", "activations.norm/head/score").value[0] == pytest.approx(np.hypot(6, 6))
        [first, _] = log.histograms("run", "activations/head/relu")
        assert first.counts.sum() == 2 and (first.left[0], first.right[-1]) == (0, 6)
        names = [tag.name for tag in log.node_tags("run", "head/relu")]
        assert sorted(names) == [
            "activations.mean/head/relu",
            "activations.nonfinite/head/relu",
            "activations.norm/head/relu",
            "activations/head/relu",
        ]


def test_nan_and_infinity_are_counted(tmp_path, net):
    watch = gf.train.watch(net[1], gradients=False, activations="head/score", every=1)
    feed = np.array([[np.nan, 0, 0], [1e30, 0, 0], [np.inf, 0, 0]], np.float32)
    with logged(tmp_path, net, watch, 1, feed) as log:
        assert log.scalars("run", "activations.nonfinite/head/score").value.tolist() == [2]
        norm = log.scalars("run", "activations.norm/head/score").value[0]
        assert norm == pytest.approx(2e30, rel=1e-6)
        assert log.histograms("run", "activations/head/score")[0].counts.sum() == 1


def test_nothing_that_is_there_changes(net):
    before = [(node.name, node.inputs) for node in net[1].graph.nodes]
    gf.train.watch(net[1], gradients=False, activations="head/*")
    assert [(node.name, node.inputs) for node in net[1].graph.nodes] == before
    gf.train.watch(net[1])
    assert [(node.name, node.inputs) for node in net[1].graph.nodes][: len(before)] == before


def test_steps_that_are_not_due_fetch_nothing(net):
    watch = gf.train.watch(net[1], every=10)
    assert [step for step in range(25) if watch.fetches(step)] == [0, 10, 20]
    assert "every 10 steps" in repr(watch)


def test_chosen_variables(net):
    assert list(gf.train.watch(net[1], gradients="dense*").tensors) == ["gradients/dense/w"]
    w = net[1].graph.variables["dense/w"]
    assert list(gf.train.watch(net[1], gradients=[w]).tensors) == ["gradients/dense/w"]
    assert gf.train.watch(net[1], gradients=False).tensors == {}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"activations": "nowhere/*"}, GraphError, "fits the name of no node"),
        ({"gradients": "nowhere"}, GraphError, "fits the name of no variable"),
        ({"every": 0}, AttributeValueError, "every is 0"),
    ],
)
def test_what_cannot_be_watched(net, arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        gf.train.watch(net[1], **arguments)
    assert caught.value.hint


def test_what_is_no_loss():
    with pytest.raises(DTypeError, match="no loss"):
        gf.train.watch(3.0)
    c = gf.astype(gf.variable("v", (2,)), gf.complex64)
    with pytest.raises(DTypeError, match="no distribution"):
        gf.train.watch(gf.sum(gf.variable("u", (2,))), activations=[c])


def test_the_node_of_a_tag():
    assert node_of("activations/a/b:1") == "a/b:1" and node_of("gradients.norm/w") == "w"
    assert node_of("loss") == node_of("train/loss") == ""

"""Weights that are prepared once for many runs: a run always sees what the variables are at its start."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

import graphflow as gf

jax = pytest.importorskip("jax")
PreparedExecutable = pytest.importorskip("graphflow.runtime.jax.prepared").PreparedExecutable

FED = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
START = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)


class Net:
    """relu(x w + b) with an update of w, and its session."""

    def __init__(self, **options: Any) -> None:
        with gf.Graph() as graph:
            self.x = gf.placeholder("x", (4, 64))
            self.w, self.b = gf.variable("w", (64, 64)), gf.variable("b", (64,))
            self.y = gf.nn.relu(self.x @ (self.w * 2.0) + self.b)
            self.double = gf.assign(self.w, self.w * 2.0)
        self.session = gf.Session(graph, **options)
        self.session.variables.update({"w": START, "b": np.ones(64, np.float32)})

    def run(self) -> np.ndarray:
        made: np.ndarray = self.session.run(self.y, {self.x: FED})
        return made

    def executable(self) -> Any:
        (plan,) = [plan for plan in self.session._cache._plans.values() if plan.signature.fetches]
        (variant,) = plan.variants.values()
        assert isinstance(variant.executable, PreparedExecutable)
        return variant.executable


def wanted(w: np.ndarray, b: float = 1.0) -> np.ndarray:
    return np.maximum(FED @ (w.astype(np.float64) * 2.0) + b, 0.0)


def counted(net: Net) -> list[int]:
    """A list that grows by an entry at each preparation."""
    prepared, counts = net.executable()._prepared, []
    make = prepared._make

    def counting(*arrays: Any) -> Any:
        counts.append(1)
        return make(*arrays)

    prepared._make = counting
    return counts


def test_weights_are_prepared_once_and_again_when_a_variable_is_set() -> None:
    net = Net()
    np.testing.assert_allclose(net.run(), wanted(START), rtol=1e-4, atol=1e-4)
    assert "made of weights alone" in net.session.compiles[-1].note
    counts = counted(net)
    first = net.run()
    np.testing.assert_array_equal(first, net.run())
    assert not counts
    net.session.variables["b"] = np.zeros(64, np.float32)  # which nothing was made of
    np.testing.assert_allclose(net.run(), wanted(START, 0.0), rtol=1e-4, atol=1e-4)
    assert not counts
    net.session.variables[net.w] = -START
    np.testing.assert_allclose(net.run(), wanted(-START, 0.0), rtol=1e-4, atol=1e-4)
    assert len(counts) == 1


@pytest.mark.parametrize("donate", [True, False])
def test_updates_by_another_program_take_effect_at_once(donate: bool) -> None:
    net = Net(donate=donate)
    step = net.session.make_callable(net.y, [net.x])
    for power in range(3):
        np.testing.assert_allclose(net.run(), wanted(START * 2.0**power), rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(np.asarray(step(FED)), net.run())
        net.session.run(net.double)


def test_a_program_that_updates_a_variable_does_not_take_it_for_steady() -> None:
    net = Net()
    for power in range(3):
        found, _ = net.session.run([net.y, net.double], {net.x: FED})
        np.testing.assert_allclose(found, wanted(START * 2.0**power), rtol=1e-4, atol=1e-3)
    assert net.session.compiles[-1].note == ""


def test_frozen_weights_are_prepared_beside_those_that_are_trained() -> None:
    with gf.Graph() as graph:
        x = gf.placeholder("x", (4, 64))
        frozen = gf.variable("frozen", (64, 64), trainable=False)
        w = gf.variable("w", (64, 64), initializer=gf.initializers.glorot_uniform())
        loss = gf.mean(gf.square(gf.nn.relu(x @ frozen) @ w))
        train = gf.train.SGD(1e-4).minimize(loss)
    found = []
    for backend in ("jax", "numpy"):
        with gf.Session(graph, backend=backend) as session:
            session.variables["frozen"] = START
            found.append([session.run([loss, train], {x: FED})[0] for _ in range(3)])
            notes = [made.note for made in session.compiles]
            assert any(["of weights alone" in note for note in notes]) is (backend == "jax")
    np.testing.assert_allclose(*found, rtol=1e-4)
    assert found[0][2] < found[0][0]


def test_a_checkpoint_holds_and_restores_the_variables_alone(tmp_path: Any) -> None:
    net = Net()
    first = net.run()
    net.session.save_checkpoint(tmp_path)
    net.session.run(net.double)
    assert not np.array_equal(net.run(), first)
    net.session.restore_checkpoint(tmp_path)
    np.testing.assert_array_equal(net.run(), first)
    assert sorted(net.session.variables) == ["b", "w"]


def test_what_was_prepared_is_let_go_with_the_values_it_was_made_of() -> None:
    net = Net()
    net.run()
    made = net.executable()._prepared._last[1]
    assert len(made) == 1
    net.session.variables["w"] = START
    gc.collect()
    assert made == []


def test_a_failed_preparation_is_not_kept() -> None:
    net = Net()
    net.run()
    prepared = net.executable()._prepared
    make, net.session.variables["w"] = prepared._make, -START

    def fails(*arrays: Any) -> Any:
        raise RuntimeError("out of memory")

    prepared._make = fails
    with pytest.raises(gf.GraphFlowError, match="out of memory"):
        net.run()
    prepared._make = make
    np.testing.assert_allclose(net.run(), wanted(-START), rtol=1e-4, atol=1e-4)


def test_readers_beside_an_update_see_the_values_of_one_moment() -> None:
    net, wrong = Net(), []
    net.run()
    answers = [wanted(START * 2.0**power) for power in range(6)]

    def read() -> None:
        for _ in range(30):
            found = net.run()
            if not any([np.allclose(found, answer, rtol=1e-3, atol=1e-2) for answer in answers]):
                wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        net.session.run(net.double)
    for thread in threads:
        thread.join()
    assert not wrong
    np.testing.assert_allclose(net.run(), answers[5], rtol=1e-3, atol=1e-2)


def test_programs_in_segments_and_with_random_numbers() -> None:
    with gf.Graph() as graph:
        x = gf.placeholder("x", (4, 64))
        w = gf.variable("w", (64, 64), initializer=gf.initializers.glorot_uniform())
        y = x @ gf.permute_dims(w, (1, 0)) + gf.random.normal((4, 64))
        for _ in range(60):
            y = gf.sin(y)
    plain = gf.Session(graph, backend="numpy").run(y, {x: FED})
    session = gf.Session(graph, segment_nodes=30)
    np.testing.assert_allclose(session.run(y, {x: FED}), plain, rtol=1e-4, atol=1e-4)
    assert "of weights alone" in session.compiles[0].note and "segments" in session.compiles[0].note
    assert "of weights alone" in session.explain(y).note


@pytest.mark.parametrize(
    "level, exclude, op",
    [("O0", "", "conv"), ("O2", "", "packed_conv"), ("O3", "conv_in_panels", "winograd_conv")],
)
def test_convolutions_with_variables_are_computed_as_with_constants(
    level: str, exclude: str, op: str
) -> None:
    with gf.Graph() as graph:
        x = gf.placeholder("x", (1, 128, 28, 28))
        w = gf.variable("w", (128, 128, 3, 3), initializer=gf.initializers.he_normal())
        norm = [gf.variable(name, (128,), initializer=gf.initializers.ones()) for name in "abcd"]
        y = gf.nn.relu(gf.nn.batch_norm(gf.nn.conv(x, w, padding=1), *norm))
    image = np.random.default_rng(0).standard_normal((1, 128, 28, 28)).astype(np.float32)
    plain = gf.Session(graph, backend="numpy", level="O0").run(y, {x: image})
    session = gf.Session(graph, level=level, exclude=[exclude] * bool(exclude))
    np.testing.assert_allclose(session.run(y, {x: image}), plain, rtol=1e-3, atol=1e-3)
    left = {node.op.name for node in session.explain(y).optimized.order()}
    assert op in left and ("batch_normalization" in left) is (level == "O0")
    assert bool(session.compiles[-1].note) is (level != "O0")

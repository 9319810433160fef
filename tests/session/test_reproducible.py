"""The same numbers again: in another process, in another session of the graph, and after a restart."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import graphflow as gf

PROGRAM = """
import hashlib, sys
import numpy as np
import graphflow as gf

x = gf.placeholder("x", ("batch", 8))
h = gf.layers.dropout(gf.layers.dense(x, 16, activation=gf.nn.relu), 0.5)
loss = gf.mean(gf.square(gf.layers.dense(h, 1))) + gf.mean(gf.random.normal((4,), name="noise"))
train = gf.train.Adam(0.01).minimize(loss)
with gf.Session(backend=sys.argv[1], seed=11) as sess:
    losses = [sess.run([loss, train], {x: np.ones((2, 8))})[0] for _ in range(3)]
    weights = [sess.variables[name].tobytes() for name in sorted(sess.variables)]
print(hashlib.sha256(b"".join([np.array(losses).tobytes(), *weights])).hexdigest())
"""


def test_another_process_gives_the_same_bits(backend: str) -> None:
    root = Path(gf.__file__).parents[1]
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", PROGRAM, backend]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=300, check=True
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def many_streams() -> list[gf.Tensor]:
    """Random tensors of every kind of name: none, given, repeated, in scopes, and meant to be confused."""
    made = [gf.random.uniform((8,)) for _ in range(3)]
    made += [gf.random.uniform((8,), name=name) for name in ("a", "a", "a_1", "#0", "s/a", "s/#0")]
    for scope in ("s", "s", "s/t"):
        with gf.name_scope(scope):
            made += [gf.random.uniform((8,)), gf.random.uniform((8,), name="a")]
    made += [gf.random.normal((8,)), gf.random.bernoulli(0.5, (8,)), gf.random.permutation(8)]
    return made


@pytest.mark.parametrize("level", ["O0", "O2", "O3"])
def test_no_two_operators_share_a_stream(backend: str, level: str) -> None:
    made = many_streams()
    streams = [node.attrs.stream for node in gf.default_graph() if node.op.name == "random_key"]
    assert len(set(streams)) == len(streams) == len(made)
    with gf.Session(backend=backend, level=level, seed=5) as sess:
        drawn = sess.run(made)
        for left, right in itertools.combinations(drawn, 2):
            assert left.dtype != right.dtype or not np.array_equal(left, right)
        assert all(np.array_equal(*pair) for pair in zip(drawn, sess.run(made)))  # no step was taken
    again = gf.parse_graph(gf.print_graph(gf.default_graph()))
    with again:
        fresh = gf.random.uniform((8,))
    assert fresh.node.inputs[0].node.attrs.stream not in streams


def counting() -> SimpleNamespace:
    w = gf.variable("w", (2,), initializer=gf.initializers.normal())
    noise = gf.random.normal((2,))
    return SimpleNamespace(w=w, noise=noise, update=gf.assign(w, w + noise))


def test_two_sessions_of_one_graph_are_independent(backend: str) -> None:
    net = counting()
    with gf.Session(backend=backend, seed=1) as first, gf.Session(backend=backend, seed=1) as second:
        with gf.Session(backend=backend, seed=2) as third:
            start = first.run(net.w)
            np.testing.assert_array_equal(start, second.run(net.w))
            assert not np.array_equal(start, third.run(net.w))
        noises = [first.run([net.noise, net.update])[0] for _ in range(3)]
        assert first.step == 3 and second.step == 0
        np.testing.assert_array_equal(second.run(net.w), start)
        np.testing.assert_array_equal([second.run([net.noise, net.update])[0] for _ in range(3)], noises)
        np.testing.assert_array_equal(first.run(net.w), second.run(net.w))
        assert len({noise.tobytes() for noise in noises}) == 3


def test_a_restart_goes_on_with_the_same_numbers(backend: str, tmp_path: Path) -> None:
    net = counting()
    with gf.Session(backend=backend, seed=1) as sess:
        sess.run(net.update)
        sess.save_checkpoint(tmp_path)
        expected = [sess.run([net.noise, net.update])[0] for _ in range(3)], sess.run(net.w)
    with gf.Session(backend=backend, seed=999) as later:
        later.run(net.update)
        later.restore_checkpoint(tmp_path)
        assert (later.step, later.seed) == (1, 1)
        found = [later.run([net.noise, net.update])[0] for _ in range(3)], later.run(net.w)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_layers_switch_between_training_and_inference(backend: str) -> None:
    x = gf.placeholder("x", ("batch", 4))
    h = gf.layers.dropout(gf.layers.batch_norm(x, momentum=0.5), 0.5)
    loss = gf.mean(gf.square(h))
    train = gf.train.SGD(0.0).minimize(loss)
    rng = np.random.default_rng(0)
    batch = rng.normal(3.0, 2.0, (64, 4)).astype(np.float32)
    with gf.Session(backend=backend) as sess:

        def infer() -> np.ndarray:
            return sess.run(h, {x: batch})

        np.testing.assert_allclose(infer(), batch / np.sqrt(1 + 1e-5), rtol=1e-5)
        trained = sess.run(h, {x: batch, gf.training: True})
        assert 0.3 < np.mean(trained == 0.0) < 0.7
        np.testing.assert_allclose(infer(), batch / np.sqrt(1 + 1e-5), rtol=1e-5)  # that run was no update
        fetched, _ = sess.run([h, train], {x: batch})
        np.testing.assert_array_equal(fetched == 0.0, trained == 0.0)  # the same step draws the same mask
        mean, variance = 0.5 * batch.mean(0), 0.5 + 0.5 * batch.var(0)
        np.testing.assert_allclose(infer(), (batch - mean) / np.sqrt(variance + 1e-5), rtol=1e-4, atol=1e-4)
        frozen = sess.run([h, train], {x: batch, gf.training: False})[0]
        np.testing.assert_allclose(frozen, (batch - mean) / np.sqrt(variance + 1e-5), rtol=1e-4, atol=1e-4)
        assert sess.step == 2

"""Streams of random numbers: their names, their independence, sharing one on purpose, and replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError
from graphflow.ops import threefry
from graphflow.ops.declare import builtin
from graphflow.ops.random import random_bits, random_key
from graphflow.ops.streams import fresh_key


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend."""
    return request.param


def _streams(graph: gf.Graph) -> list[str]:
    return [node.attrs["stream"] for node in graph.nodes if node.op.name == "random_key"]


def _words(name: str | None = None, stream: str | None = None, count: int = 4000) -> gf.Tensor:
    return random_bits(fresh_key(gf.Builder(gf.default_graph()), name, stream), (count,))


def test_streams_are_named_by_scope_name_and_order() -> None:
    with gf.Graph() as graph:
        gf.random.normal((2,))
        gf.constant(1.0)
        gf.random.uniform((2,), name="noise")
        with gf.name_scope("layer"):
            gf.random.bernoulli(0.5, (2,))
            gf.random.normal((2,), name="noise")
            gf.random.gamma(0.5)
        gf.random.poisson(2.0)
        gf.random.uniform((2,), name="noise")
    assert _streams(graph) == ["#0", "noise", "layer/#0", "layer/noise", "layer/#1", "#1", "noise_1"]


def test_streams_of_another_origin_are_respected() -> None:
    """A graph that was loaded brings streams that this process has not counted."""
    with gf.Graph() as graph:
        key = builtin(graph, "session_key")
        for stream in ("#0", "#1", "noise"):
            random_key(key, stream=stream)
        gf.random.normal((2,))
        gf.random.normal((2,), name="noise")
    assert _streams(graph)[3:] == ["#2", "noise_1"]


def test_a_shared_stream_draws_the_same_and_is_taken_from_then_on(backend: str) -> None:
    first, second = (gf.random.normal((50,), stream="noise") for _ in range(2))
    with gf.name_scope("elsewhere"):
        third = gf.random.normal((50,), stream="noise")
    other = gf.random.normal((50,), name="noise")
    assert _streams(first.graph)[-1] == "noise_1"
    with gf.Session(backend=backend, seed=3) as sess:
        values = sess.run([first, second, third, other])
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    assert not np.array_equal(values[0], values[3])


def test_a_named_stream_can_be_shared_later() -> None:
    first = gf.random.uniform((9,), name="dropout")
    second = gf.random.uniform((9,), stream="dropout")
    with gf.Session(backend="numpy") as sess:
        np.testing.assert_array_equal(*sess.run([first, second]))


DRAW = {
    "bernoulli": lambda **given: gf.random.bernoulli(0.5, (64,), **given),
    "beta": lambda **given: gf.random.beta(2.0, 3.0, (64,), **given),
    "binomial": lambda **given: gf.random.binomial(40, 0.5, (64,), **given),
    "categorical": lambda **given: gf.random.categorical(gf.zeros((64, 5)), **given),
    "dirichlet": lambda **given: gf.random.dirichlet([0.5, 1.0], (64, 2), **given),
    "exponential": lambda **given: gf.random.exponential((64,), **given),
    "gamma": lambda **given: gf.random.gamma(2.0, shape=(64,), **given),
    "gumbel": lambda **given: gf.random.gumbel((64,), **given),
    "integers": lambda **given: gf.random.integers(9, shape=(64,), **given),
    "laplace": lambda **given: gf.random.laplace((64,), **given),
    "multinomial": lambda **given: gf.random.multinomial(gf.zeros((5,)), 64, **given),
    "normal": lambda **given: gf.random.normal((64,), **given),
    "permutation": lambda **given: gf.random.permutation(64, **given),
    "poisson": lambda **given: gf.random.poisson(4.0, (64,), **given),
    "shuffle": lambda **given: gf.random.shuffle(gf.arange(64), **given),
    "truncated_normal": lambda **given: gf.random.truncated_normal((64,), **given),
    "uniform": lambda **given: gf.random.uniform((64,), **given),
}


def test_every_distribution_has_a_stream_of_its_own_or_a_shared_one() -> None:
    assert sorted(DRAW) == sorted(gf.random.__all__)
    made = {
        name: [draw(), draw(), draw(stream="shared"), draw(stream="shared")] for name, draw in DRAW.items()
    }
    with gf.Session(backend="numpy", seed=5) as sess:
        for name, (one, two, shared, again) in sess.run(made).items():
            assert not np.array_equal(one, two), name
            np.testing.assert_array_equal(shared, again, err_msg=name)
    streams = [stream for stream in _streams(gf.default_graph()) if stream != "shared"]
    assert len(set(streams)) == len(streams) == 2 * len(DRAW)


def test_dropout_can_share_its_stream() -> None:
    x = gf.ones((200,))
    made = [gf.nn.dropout(x, 0.5, training=True, stream=stream) for stream in ("mask", "mask", None)]
    with gf.Session(backend="numpy") as sess:
        one, two, other = sess.run(made)
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("wrong", ["", 3, b"x", ["a"]])
def test_what_is_no_name_of_a_stream(wrong: object) -> None:
    with pytest.raises(AttributeValueError, match="name of a random stream"):
        gf.random.uniform((2,), stream=wrong)


# Independence


def test_no_word_is_at_the_same_place_of_two_streams() -> None:
    """Of 40 million pairs 0.009 are expected to agree by chance."""
    made = [_words(), _words(), _words("noise"), _words("noise"), _words(stream="other")]
    with gf.Session(backend="numpy", seed=11) as sess:
        values = sess.run(made)
    for index, left in enumerate(values):
        for right in values[:index]:
            assert not (left == right).any()


def test_streams_do_not_correlate() -> None:
    made = [gf.random.normal((20_000,)) for _ in range(4)]
    with gf.Session(backend="numpy", seed=12) as sess:
        table = np.corrcoef(np.stack(sess.run(made)))
    assert np.abs(table - np.eye(4)).max() < 5 / np.sqrt(20_000)


def test_folded_keys_differ_from_one_another_and_from_their_origin() -> None:
    key = np.array([1, 2], np.uint32)
    keys = {tuple(threefry.fold_in(key, number)) for number in range(5000)}
    assert len(keys) == 5000 and tuple(key) not in keys


# Replays


def _trained(sess: gf.Session, fetches: list, update: gf.Update, steps: int) -> list[np.ndarray]:
    return [np.concatenate([np.ravel(v) for v in sess.run([*fetches, update])[:-1]]) for _ in range(steps)]


def test_a_run_is_a_function_of_seed_and_step(backend: str, tmp_path: Path) -> None:
    """Also after a checkpoint is restored in a session of another seed, whose own steps are forgotten."""
    drawn = [
        gf.random.normal((5,)), gf.random.gamma(0.7, shape=(5,)), gf.random.poisson(30.0, (5,)),
        gf.random.permutation(6), gf.random.multinomial(gf.zeros((3,)), 4),
    ]  # fmt: skip
    total = gf.variable("total", ())
    update = gf.assign(total, total + gf.sum(drawn[0]))
    with gf.Session(backend=backend, seed=21) as sess:
        before = _trained(sess, drawn, update, 3)
        sess.save_checkpoint(tmp_path / "mark")
        after = _trained(sess, drawn, update, 3)
    assert len({value.tobytes() for value in before + after}) == 6
    with gf.Session(backend=backend, seed=21) as sess:
        for left, right in zip(_trained(sess, drawn, update, 6), before + after, strict=True):
            np.testing.assert_array_equal(left, right)
    with gf.Session(backend=backend, seed=99) as sess:
        _trained(sess, drawn, update, 1)
        sess.restore_checkpoint(tmp_path / "mark")
        for left, right in zip(_trained(sess, drawn, update, 3), after, strict=True):
            np.testing.assert_array_equal(left, right)

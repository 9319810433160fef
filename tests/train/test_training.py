"""Training through a session: methods, statistics and averages together, on both backends."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError


def classes(rng: np.random.Generator, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Points of three Gaussian clouds, and the number of the cloud."""
    labels = rng.integers(0, 3, count, np.int32)
    centres = np.float32([[0, 2], [2, -1], [-2, -1]])
    return centres[labels] + 0.3 * rng.standard_normal((count, 2)).astype(np.float32), labels


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("level", ["O0", "O2"])
def test_a_classifier_learns_as_the_one_in_jax_and_optax(backend, level, rng):
    points, labels = classes(rng)
    x, y = gf.placeholder("x", ("batch", 2)), gf.placeholder("y", ("batch",), gf.int32)
    logits = gf.layers.dense(gf.layers.dense(x, 8, activation=gf.nn.tanh), 3)
    loss = gf.nn.cross_entropy(logits, y)
    schedule = gf.train.schedules.warm_up(3, gf.train.schedules.cosine(0.1, 30))
    train = gf.train.AdamW(schedule, weight_decay=0.01, clip_norm=0.5).minimize(loss)
    names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    with gf.Session(backend=backend, level=level) as sess:
        params = {name: jnp.asarray(value) for name, value in zip(names, sess.run(names))}
        found = [float(sess.run([loss, train], {x: points, y: labels})[0]) for _ in range(30)]

    def oracle_loss(p):
        hidden = jnp.tanh(points @ p["dense/kernel"] + p["dense/bias"])
        scores = hidden @ p["dense_1/kernel"] + p["dense_1/bias"]
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    rates = optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 33)
    oracle = optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(rates, weight_decay=0.01))
    state, expected = oracle.init(params), []
    for _ in range(30):
        value, slopes = jax.value_and_grad(oracle_loss)(params)
        updates, state = oracle.update(slopes, state, params)
        params = optax.apply_updates(params, updates)
        expected.append(float(value))
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert found[-1] < 0.2 * found[0]


def test_batch_norm_statistics_move_with_every_training_run_and_only_then(rng):
    x = gf.placeholder("x", ("batch", 3))
    y = gf.layers.batch_norm(gf.layers.dense(x, 4), momentum=0.75)
    train = gf.train.SGD(0.0).minimize(gf.mean(gf.square(y)))
    batch = rng.standard_normal((16, 3)).astype(np.float32)
    names = ["dense/kernel", "batch_norm/moving_mean", "batch_norm/moving_variance"]
    with gf.Session(backend="numpy") as sess:
        kernel, mean, variance = sess.run(names)
        hidden = batch @ kernel
        for _ in range(3):
            sess.run(train, {x: batch})
            mean = 0.75 * mean + 0.25 * hidden.mean(0)
            variance = 0.75 * variance + 0.25 * hidden.var(0)
        sess.run(y, {x: batch})
        np.testing.assert_allclose(sess.run(names[1]), mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(sess.run(names[2]), variance, rtol=1e-4, atol=1e-6)


def test_statistics_move_with_every_accumulated_run(rng):
    x = gf.placeholder("x", (8, 3))
    y = gf.layers.batch_norm(x, momentum=0.5)
    train = gf.train.GradientAccumulation(gf.train.SGD(0.1), 2).minimize(gf.sum(gf.sin(y)))
    with gf.Session(backend="numpy") as sess:
        batches = rng.standard_normal((2, 8, 3)).astype(np.float32)
        for batch in batches:
            sess.run(train, {x: batch})
        expected = 0.5 * (0.5 * batches[0].mean(0)) + 0.5 * batches[1].mean(0)
        np.testing.assert_allclose(sess.run("batch_norm/moving_mean"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_variables_of_other_widths(backend, dtype):
    w = gf.variable("w", initializer=np.array([3.0, -4.0], dtype))
    train = gf.train.Adam(0.125).minimize(gf.sum(w * w))
    with gf.Session(backend=backend) as sess:
        for _ in range(4):
            sess.run(train)
        value = sess.run(w)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, [2.5, -3.5], rtol=2e-3)


def test_an_average_of_randomly_initialised_weights():
    w = gf.variable("w", (3, 2))
    average = gf.train.ExponentialMovingAverage(0.5)
    update = gf.group(gf.train.SGD(0.25).minimize(gf.sum(w)), average.update([w]))
    with gf.Session(backend="numpy") as sess:
        start = sess.run(w)
        for _ in range(3):
            sess.run(update)
        expected = 0.5 * (0.5 * start + 0.5 * (start - 0.25)) + 0.5 * (start - 0.5)
        np.testing.assert_allclose(sess.run(average.of(w)), expected, rtol=1e-5)
        np.testing.assert_allclose(sess.run(w), start - 0.75, rtol=1e-5)


def test_two_methods_on_two_parts_in_one_run():
    w, v = gf.variable("w", initializer=[1.0]), gf.variable("v", initializer=[1.0])
    loss = gf.sum(w * v)
    slow, fast = gf.train.SGD(0.25).minimize(loss, [w]), gf.train.SGD(0.5).minimize(loss, [v])
    with gf.Session(backend="numpy") as sess:
        sess.run([slow, fast])
        assert (sess.run(w), sess.run(v)) == ([0.75], [0.5])
        with pytest.raises(GraphFlowError, match="two updates change the variable 'w'"):
            sess.run([slow, gf.train.SGD(0.5).minimize(loss, [w])])


def test_training_repeats_with_the_seed():
    w = gf.variable("w", (4, 4))
    train = gf.train.Adam(0.1).minimize(gf.sum(gf.square(w)))
    values = []
    for seed in (1, 1, 2):
        with gf.Session(backend="numpy", seed=seed) as sess:
            sess.run(train)
            values.append(sess.run(w))
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_two_methods_whose_losses_share_batch_statistics(rng):
    x = gf.placeholder("x", (8, 3))
    shared = gf.layers.batch_norm(x, momentum=0.5)
    v, w = gf.variable("v", initializer=[1.0, 1.0, 1.0]), gf.variable("w", initializer=[1.0, 1.0, 1.0])
    updates = [gf.train.SGD(0.1).minimize(gf.mean(shared * part), [part]) for part in (v, w)]
    batch = rng.standard_normal((8, 3)).astype(np.float32)
    for fetches in (updates, gf.group(*updates)):
        with gf.Session(backend="numpy") as sess:
            sess.run(fetches, {x: batch})
            np.testing.assert_allclose(sess.run("batch_norm/moving_mean"), 0.5 * batch.mean(0), rtol=1e-4)

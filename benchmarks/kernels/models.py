"""Layers of transformers and recurrent networks, for inference and for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernels.kernel import Kernel, Make, both, integers, normal, standard

import graphflow as gf


def _heads(m: Any, x: Any, heads: int) -> Any:
    batch, length, features = x.shape
    return m.permute_dims(m.reshape(x, (batch, length, heads, features // heads)), axes=(0, 2, 1, 3))


def _attention(m: Any, nn: Any, q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    scores = m.matmul(q, m.permute_dims(k, axes=(0, 1, 3, 2))) / np.float32(np.sqrt(q.shape[-1]))
    if mask is not None:
        scores = m.where(mask, scores, np.float32(-1e9))
    return m.matmul(nn.softmax(scores), v)


def _layer(m: Any, nn: Any, x: Any, weights: list[Any], heads: int, mask: Any = None) -> Any:
    """A layer of a transformer, norms before its parts."""
    wq, wk, wv, wo, up, down, s, o = weights
    y = nn.layer_norm(x, s, o)
    q, k, v = (_heads(m, m.matmul(y, w), heads) for w in (wq, wk, wv))
    mixed = m.reshape(m.permute_dims(_attention(m, nn, q, k, v, mask), axes=(0, 2, 1, 3)), x.shape)
    x = x + m.matmul(mixed, wo)
    return x + m.matmul(nn.gelu(m.matmul(nn.layer_norm(x, s, o), up)), down)


def _weights(features: int) -> list[np.ndarray]:
    square = [normal(seed, features, features) for seed in range(4)]
    up, down = normal(4, features, 4 * features), normal(5, 4 * features, features)
    return [*square, up, down, np.ones(features, np.float32), np.zeros(features, np.float32)]


def encoder_layer() -> Kernel:
    """A layer of an encoder, 64 tokens of 256 features; the weights are arguments."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x, *weights: _layer(m, nn, x, list(weights), 4)

    return Kernel("encoder layer", *both(written), [standard(9, 1, 64, 256), *_weights(256)])


def decoder_training() -> Kernel:
    """A layer of a causal decoder with the gradients of its loss, 4 x 64 tokens of 128 features."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        mask = np.tril(np.ones((64, 64), bool))

        def loss(x: Any, labels: Any, *weights: Any) -> Any:
            return nn.cross_entropy(_layer(m, nn, x, list(weights), 4, mask), labels)

        return loss

    arrays = [standard(9, 4, 64, 128), integers(8, 128, 4, 64), *_weights(128)]
    return Kernel("decoder layer, training", *both(written), arrays, gradient=True, close=1e-3)


def decode_step() -> Kernel:
    """One token of a decoder layer of 512 features; keys and values of 256 places are read from a cache."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        wq, wk, wv, wo, up, down, s, o = _weights(512)

        def step(x: Any, keys: Any, values: Any, place: Any) -> Any:
            y = nn.layer_norm(x, s, o)
            q, k, v = (_heads(m, m.matmul(y, w), 8) for w in (wq, wk, wv))
            here = m.equal(m.reshape(m.arange(256), (1, 1, 256, 1)), place)
            keys, values = m.where(here, k, keys), m.where(here, v, values)
            seen = m.reshape(m.arange(256), (1, 1, 1, 256)) <= place
            mixed = m.reshape(
                m.permute_dims(_attention(m, nn, q, keys, values, seen), axes=(0, 2, 1, 3)), x.shape
            )
            x = x + m.matmul(mixed, wo)
            return x + m.matmul(nn.gelu(m.matmul(nn.layer_norm(x, s, o), up)), down), keys, values

        return step

    cache = [standard(1, 1, 8, 256, 64), standard(2, 1, 8, 256, 64), np.array(100, np.int32)]
    return Kernel("decode step with a cache", *both(written), [standard(3, 1, 1, 512), *cache], "O3")


def mlp_training() -> Kernel:
    """A training step's work for an MLP: loss and gradients."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def loss(x: Any, labels: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
            h = nn.relu(m.matmul(x, w1) + b1)
            return nn.cross_entropy(m.matmul(h, w2) + b2, labels)

        return loss

    arrays = [
        standard(0, 128, 256), integers(1, 10, 128), normal(2, 256, 512), np.zeros(512, np.float32),
        normal(3, 512, 10), np.zeros(10, np.float32),
    ]  # fmt: skip
    return Kernel("MLP, training", *both(written), arrays, gradient=True)


def lstm() -> Kernel:
    """An LSTM of 64 steps; JAX's side multiplies each step's input inside the scan, as textbooks do."""
    w, r, b = normal(0, 512, 64), normal(1, 512, 128), normal(2, 512)

    def own(x: Any) -> Any:
        return gf.nn.lstm(x, w, r, b)[0]

    def other(x: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, c = state
            i, o, f, g = jnp.split(x @ w.T + h @ r.T + b, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((16, 128))
        return jax.lax.scan(step, (zero, zero), x)[1]

    return Kernel("LSTM, 64 steps", own, other, [standard(3, 64, 16, 64)])


def lstm_written_out() -> Kernel:
    """The same textbook LSTM on both sides, with four products a gate instead of one."""
    ws, rs = [normal(s, 64, 128) for s in range(4)], [normal(s, 128, 128) for s in range(4, 8)]

    def cell(m: Any, nn: Any) -> Callable[..., Any]:
        def step(state: Any, x: Any) -> Any:
            h, c = state
            i, o, f, g = (m.matmul(x, w) + m.matmul(h, r) for w, r in zip(ws, rs))
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * m.tanh(g)
            h = nn.sigmoid(o) * m.tanh(c)
            return (h, c), h

        scan, zero = (gf.scan if m is gf else jax.lax.scan), np.zeros((16, 128), np.float32)
        return lambda x: scan(step, (zero, zero), x)[1]

    return Kernel("LSTM written out", *both(cell), [standard(8, 64, 16, 64)], "O3")


def gru() -> Kernel:
    """A GRU of 64 steps, with the gradients of its weights."""
    w, r = normal(0, 384, 64), normal(1, 384, 128)

    def own(x: Any, w: Any, r: Any) -> Any:
        return gf.mean(gf.square(gf.nn.gru(x, w, r)[0]))

    def other(x: Any, w: Any, r: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            z, reset, _ = jnp.split(x @ w.T, 3, axis=-1)
            z = jax.nn.sigmoid(z + h @ r[:128].T)
            reset = jax.nn.sigmoid(reset + h @ r[128:256].T)
            n = jnp.tanh(x @ w[256:].T + (reset * h) @ r[256:].T)
            h = (1 - z) * n + z * h
            return h, h

        return jnp.mean(jnp.square(jax.lax.scan(step, jnp.zeros((16, 128)), x)[1]))

    return Kernel("GRU, 64 steps, gradients", own, other, [standard(3, 64, 16, 64), w, r], gradient=True)


KERNELS: tuple[Make, ...] = (
    encoder_layer,
    decoder_training,
    decode_step,
    mlp_training,
    lstm,
    lstm_written_out,
    gru,
)
"""What makes each kernel."""

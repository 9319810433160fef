"""What a kernel is: one function, written in GraphFlow and as a user of JAX would write it.

Both sides are given the same arrays and call their functions alike. `jax_nn` has, under the names of
`gf.nn`, the few layers that jax.numpy lacks, spelled as in JAX's own tutorials: NCHW convolutions by
`lax.conv_general_dilated`, pooling by `lax.reduce_window`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import graphflow as gf


class Kernel(NamedTuple):
    """One function, in GraphFlow and in JAX.

    Attributes:
        name: what it computes.
        build: placeholders -> result, in GraphFlow.
        plain: arrays -> result, in JAX; to be jitted as it is.
        arrays: the inputs, as NumPy arrays.
        level: the level at which GraphFlow's function is meant to be compiled.
        gradient: both sides also compute the gradients of their scalar result with respect to all
            floating-point arrays: by `gf.gradients` and by `jax.value_and_grad`.
        careful: where `plain` is the function as a textbook has it, which overflows or cancels, this is
            JAX's function that does not. Times are compared with it; those of `plain` are shown beside.
        exact: the result in float64, from float64 arrays; what errors are measured against where `careful`
            is given. Only `plain` may be wrong.
        close: how far results may differ, beside the largest element.
    """

    name: str
    build: Callable[..., Any]
    plain: Callable[..., Any]
    arrays: list[np.ndarray]
    level: str = "O2"
    gradient: bool = False
    careful: Callable[..., Any] | None = None
    exact: Callable[..., np.ndarray] | None = None
    close: float = 1e-4


Make = Callable[[], Kernel]


def normal(seed: int, *shape: int) -> np.ndarray:
    """Random numbers that a product with them leaves of the same size."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))


def standard(seed: int, *shape: int) -> np.ndarray:
    """Random numbers of variance 1."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def integers(seed: int, limit: int, *shape: int) -> np.ndarray:
    """Random int32 in [0, limit)."""
    return np.random.default_rng(seed).integers(0, limit, shape).astype(np.int32)


def both(write: Callable[[Any, Any], Callable[..., Any]]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A function written once, for (gf, gf.nn) and for (jnp, jax_nn)."""
    return write(gf, gf.nn), write(jnp, jax_nn)


def _conv(x: Any, w: Any, strides: int = 1, padding: int = 0, groups: int = 1) -> Any:
    return jax.lax.conv_general_dilated(
        x, w, (strides, strides), [(padding, padding)] * 2, feature_group_count=groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )  # fmt: skip


def _max_pool(x: Any, window: int, strides: int | None = None, padding: int = 0) -> Any:
    size, step = (1, 1, window, window), (1, 1, *[strides or window] * 2)
    around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, step, around)


def _avg_pool(x: Any, window: int) -> Any:
    size = (1, 1, window, window)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, size, size, "VALID") / window**2


def _batch_norm(x: Any, mean: Any, variance: Any, scale: Any, offset: Any) -> Any:
    mean, variance, scale, offset = (one.reshape(1, -1, 1, 1) for one in (mean, variance, scale, offset))
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + offset


def _layer_norm(x: Any, scale: Any, offset: Any) -> Any:
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + offset


def _cross_entropy(logits: Any, labels: Any) -> Any:
    logs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logs, labels[..., None], axis=-1))


def _upsample(x: Any, scale: int) -> Any:
    return jnp.repeat(jnp.repeat(x, scale, axis=2), scale, axis=3)


jax_nn = SimpleNamespace(
    conv=_conv,
    max_pool=_max_pool,
    avg_pool=_avg_pool,
    batch_norm=_batch_norm,
    layer_norm=_layer_norm,
    cross_entropy=_cross_entropy,
    upsample=_upsample,
    relu=jax.nn.relu,
    gelu=lambda x: jax.nn.gelu(x, approximate=False),
    silu=jax.nn.silu,
    sigmoid=jax.nn.sigmoid,
    softmax=jax.nn.softmax,
    softplus=jax.nn.softplus,
    one_hot=lambda indices, depth: jax.nn.one_hot(indices, depth, dtype=jnp.float32),
)
"""Layers as users of JAX write them."""

"""Functions with their gradients, symbolic ones against those of jax.value_and_grad of the same function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernels.kernel import Kernel, Make, both, integers, standard

import graphflow as gf


def _kernel(name: str, write: Callable[[Any, Any], Callable[..., Any]], *arrays: np.ndarray) -> Kernel:
    return Kernel(name, *both(write), list(arrays), gradient=True)


def max_pool() -> Kernel:
    """Max pooling: JAX's own gradient scatters into windows, ours adds slices."""
    return _kernel(
        "max pool 2x2, gradient",
        lambda m, nn: lambda x: m.sum(m.square(nn.max_pool(x, 2))),
        standard(0, 16, 32, 32, 32),
    )


def overlapping_max_pool() -> Kernel:
    """Max pooling in windows that overlap, as behind the first convolution of a ResNet."""
    return _kernel(
        "max pool 3x3, strides 2, gradient",
        lambda m, nn: lambda x: m.sum(m.square(nn.max_pool(x, 3, strides=2, padding=1))),
        standard(0, 4, 64, 56, 56),
    )


def avg_pool() -> Kernel:
    """Average pooling."""
    return _kernel(
        "average pool 2x2, gradient",
        lambda m, nn: lambda x: m.sum(m.square(nn.avg_pool(x, 2))),
        standard(0, 16, 32, 32, 32),
    )


def variance() -> Kernel:
    """The variance of rows."""
    return _kernel(
        "variance, gradient",
        lambda m, nn: lambda x: m.sum(m.square(m.var(x, axis=-1))),
        standard(0, 1024, 512),
    )


def logsumexp() -> Kernel:
    """logsumexp of rows."""

    def own(x: Any) -> Any:
        return gf.sum(gf.square(gf.logsumexp(x, axis=-1)))

    def other(x: Any) -> Any:
        return jnp.sum(jnp.square(jax.nn.logsumexp(x, axis=-1)))

    return Kernel("logsumexp, gradient", own, other, [standard(0, 1024, 512)], gradient=True)


def cumulative_sum() -> Kernel:
    """A running sum along rows."""

    def own(x: Any) -> Any:
        return gf.mean(gf.square(gf.cumulative_sum(x, axis=1)))

    def other(x: Any) -> Any:
        return jnp.mean(jnp.square(jnp.cumsum(x, axis=1)))

    return Kernel("cumulative sum, gradient", own, other, [standard(0, 256, 512)], gradient=True)


def cumulative_product() -> Kernel:
    """A running product along rows, of numbers near 1."""
    x = 1 + np.float32(0.01) * standard(0, 256, 512)

    def own(x: Any) -> Any:
        return gf.mean(gf.square(gf.cumulative_prod(x, axis=1)))

    def other(x: Any) -> Any:
        return jnp.mean(jnp.square(jnp.cumprod(x, axis=1)))

    return Kernel("cumulative product, gradient", own, other, [x], "O3", gradient=True, close=1e-3)


def embedding() -> Kernel:
    """Rows of a table, which the gradient adds up again."""
    return _kernel(
        "embedding, gradient",
        lambda m, nn: lambda table, at: m.sum(m.square(m.take(table, at, axis=0))),
        standard(0, 2048, 256),
        integers(1, 2048, 512),
    )


def layer_norm() -> Kernel:
    """Layer norm of rows."""
    return _kernel(
        "layer norm, gradient",
        lambda m, nn: lambda x, scale, offset: m.sum(m.square(nn.layer_norm(x, scale, offset))),
        standard(0, 1024, 512), standard(1, 512), standard(2, 512),
    )  # fmt: skip


def largest() -> Kernel:
    """The largest of each row, whose gradient finds it again."""
    return _kernel(
        "max of rows, gradient",
        lambda m, nn: lambda x: m.sum(m.square(m.max(x, axis=-1))),
        standard(0, 1024, 512),
    )


def norm() -> Kernel:
    """Rows divided by their length."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def loss(x: Any, y: Any) -> Any:
            return m.sum(x / m.sqrt(m.sum(x * x, axis=-1, keepdims=True)) * y)

        return loss

    return _kernel("normalised rows, gradient", written, standard(0, 1024, 512), standard(1, 1024, 512))


KERNELS: tuple[Make, ...] = (
    max_pool,
    overlapping_max_pool,
    avg_pool,
    variance,
    logsumexp,
    cumulative_sum,
    cumulative_product,
    embedding,
    layer_norm,
    largest,
    norm,
)
"""What makes each kernel."""

"""Functions that XLA compiles as well without us; these rows are to stay at 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from kernels.kernel import Kernel, Make, both, normal, standard

import graphflow as gf


def matmul() -> Kernel:
    """One matrix product."""
    return Kernel("matmul 512", gf.matmul, jnp.matmul, [normal(0, 512, 512), normal(1, 512, 512)])


def batched_matmul() -> Kernel:
    """A batch of matrix products."""
    arrays = [normal(0, 16, 128, 128), normal(1, 16, 128, 128)]
    return Kernel("batched matmul", gf.matmul, jnp.matmul, arrays)


def softmax() -> Kernel:
    """The stable softmax of rows."""
    return Kernel("softmax", *both(lambda m, nn: lambda x: nn.softmax(x)), [standard(0, 512, 1024)])


def layer_norm() -> Kernel:
    """Layer norm of rows."""
    arrays = [standard(0, 1024, 768), standard(1, 768), standard(2, 768)]
    return Kernel("layer norm", *both(lambda m, nn: nn.layer_norm), arrays)


def elementwise() -> Kernel:
    """A chain of elementwise operators, one loop."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x, y: m.tanh(x * y + m.sin(x)) * m.exp(-m.square(y)) + m.sqrt(m.abs(x))

    return Kernel("elementwise chain", *both(written), [standard(0, 512, 1024), standard(1, 512, 1024)])


def gelu() -> Kernel:
    """GELU of a product with its bias."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x, w, b: nn.gelu(m.matmul(x, w) + b)

    return Kernel(
        "dense layer with GELU", *both(written), [normal(0, 128, 512), normal(1, 512, 512), normal(2, 512)]
    )


def statistics() -> Kernel:
    """Mean and deviation of columns."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: (m.mean(x, axis=0), m.std(x, axis=0))

    return Kernel("mean and deviation", *both(written), [standard(0, 2048, 512)])


def sorting() -> Kernel:
    """Rows in order."""
    return Kernel("sort", gf.sort, jnp.sort, [standard(0, 64, 1024)])


def attention() -> Kernel:
    """Attention of 4 heads to 256 places."""

    def own(q: Any, k: Any, v: Any) -> Any:
        return gf.nn.attention(q, k, v)

    def other(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.softmax(q @ jnp.swapaxes(k, -1, -2) / 8.0) @ v

    return Kernel("attention", own, other, [standard(seed, 1, 4, 256, 64) for seed in range(3)])


KERNELS: tuple[Make, ...] = (
    matmul,
    batched_matmul,
    softmax,
    layer_norm,
    elementwise,
    gelu,
    statistics,
    sorting,
    attention,
)
"""What makes each kernel."""

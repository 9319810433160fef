"""Matrix products that the optimizer reorders, merges or avoids before XLA sees them.

The same text serves both sides. Weights that are no arguments are constants of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernels.kernel import Kernel, Make, integers, normal

import graphflow as gf


def matmul_chain() -> Kernel:
    """((A B) C) v: a matrix times a vector three times is a thousandth of the work."""
    arrays = [normal(seed, 512, 512) for seed in range(3)] + [normal(3, 512)]
    return Kernel("matmul chain, vector last", _chain(gf), _chain(jnp), arrays, "O3")


def _chain(m: Any) -> Callable[..., Any]:
    return lambda a, b, c, v: m.matmul(m.matmul(m.matmul(a, b), c), v)


def low_rank_update() -> Kernel:
    """(U V) x with thin U and V, as in an adapter of rank 8: the product U V is never made."""
    arrays = [normal(0, 1024, 8), normal(1, 8, 1024), normal(2, 1024, 32)]
    return Kernel("low-rank update (U V) x", _update(gf), _update(jnp), arrays, "O3")


def _update(m: Any) -> Callable[..., Any]:
    return lambda u, v, x: m.tanh(m.matmul(m.matmul(u, v), x))


def linear_attention() -> Kernel:
    """(q k^T) v without a softmax is q (k^T v): linear in the length of the sequence."""
    arrays = [normal(seed, 8, 512, 64) for seed in range(3)]
    return Kernel("linear attention (q k^T) v", _linear(gf), _linear(jnp), arrays, "O3")


def _linear(m: Any) -> Callable[..., Any]:
    return lambda q, k, v: m.matmul(m.matmul(q, m.permute_dims(k, axes=(0, 2, 1))), v)


def heads_of_one_row() -> Kernel:
    """Eight narrow products of one small batch, as the heads of a detector or a mixture's gates have."""
    weights = [normal(seed, 4096, 16) for seed in range(8)]
    return Kernel(
        "8 heads of 16 rows",
        _heads(gf, weights),
        _heads(jnp, weights),
        [normal(9, 16, 4096)],
        "O3",
    )


def _heads(m: Any, weights: list[np.ndarray]) -> Callable[..., Any]:
    return lambda x: m.concat([m.tanh(m.matmul(x, w)) for w in weights], axis=1)


def queries_keys_values() -> Kernel:
    """The three products of attention for one short sequence."""
    weights = [normal(seed, 1024, 1024) for seed in range(3)]
    return Kernel(
        "queries, keys, values of one row",
        _heads(gf, weights),
        _heads(jnp, weights),
        [normal(3, 1, 1024)],
        "O3",
    )


def one_hot_lookup() -> Kernel:
    """one_hot(i) table, a lookup spelled as a product."""
    arrays = [integers(0, 2048, 64), normal(1, 2048, 256)]

    def own(index: Any, table: Any) -> Any:
        return gf.matmul(gf.one_hot(index, 2048), table)

    def other(index: Any, table: Any) -> Any:
        return jax.nn.one_hot(index, 2048, dtype=jnp.float32) @ table

    return Kernel("one-hot lookup", own, other, arrays, "O3")


def repeated_key_heads() -> Kernel:
    """Grouped-query attention with keys and values repeated for the heads, for one new query."""
    arrays = [normal(0, 4, 16, 1, 64), normal(1, 4, 2, 512, 64), normal(2, 4, 2, 512, 64)]
    return Kernel("grouped-query attention, keys repeated", _grouped(gf), _grouped(jnp), arrays)


def _grouped(m: Any) -> Callable[..., Any]:
    softmax = gf.nn.softmax if m is gf else jax.nn.softmax

    def attend(q: Any, k: Any, v: Any) -> Any:
        k, v = m.repeat(k, 8, axis=1), m.repeat(v, 8, axis=1)
        return m.matmul(softmax(m.matmul(q, m.permute_dims(k, axes=(0, 1, 3, 2))) * 0.125), v)

    return attend


KERNELS: tuple[Make, ...] = (
    matmul_chain,
    low_rank_update,
    linear_attention,
    heads_of_one_row,
    queries_keys_values,
    one_hot_lookup,
    repeated_key_heads,
)
"""What makes each kernel."""

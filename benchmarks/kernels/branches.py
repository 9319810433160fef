"""Work that need not be done: decided branches, masks of zeros, repeated and loop-invariant expressions.

What is known when the graph is built is known to JAX when it traces, too; both sides say it as data, not
by a Python `if`. XLA does part of this by itself, which the rows near 1 show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernels.kernel import Kernel, Make, both, normal, standard

import graphflow as gf


def decided_branch() -> Kernel:
    """cond with a constant predicate."""
    w, v = normal(0, 256, 256), normal(1, 256, 256)

    def own(x: Any) -> Any:
        return gf.cond(
            gf.constant(True), lambda: gf.tanh(gf.matmul(x, w)), lambda: gf.matmul(gf.matmul(x, w), v)
        )

    def other(x: Any) -> Any:
        return jax.lax.cond(jnp.bool_(True), lambda: jnp.tanh(x @ w), lambda: (x @ w) @ v)

    return Kernel("cond, constant predicate", own, other, [normal(2, 256, 256)])


def common_code() -> Kernel:
    """cond whose branches begin alike, with a predicate that is fed."""
    w = normal(0, 256, 256)

    def own(x: Any, flag: Any) -> Any:
        return gf.cond(flag > 0, lambda: gf.tanh(gf.matmul(x, w)), lambda: gf.nn.relu(gf.matmul(x, w)))

    def other(x: Any, flag: Any) -> Any:
        return jax.lax.cond(flag > 0, lambda: jnp.tanh(x @ w), lambda: jax.nn.relu(x @ w))

    return Kernel("cond, branches begin alike", own, other, [normal(2, 256, 256), np.array(1, np.int32)])


def dropout() -> Kernel:
    """Dropout in a network at inference; JAX's side multiplies by a mask where a flag says so, as data."""
    w, v = normal(0, 256, 512), normal(1, 512, 256)

    def own(x: Any) -> Any:
        return gf.matmul(gf.nn.dropout(gf.nn.relu(gf.matmul(x, w)), 0.5), v)

    def other(x: Any) -> Any:
        h = jax.nn.relu(x @ w)
        kept = jax.random.bernoulli(jax.random.key(0), 0.5, h.shape)
        return jnp.where(jnp.bool_(False), jnp.where(kept, h / 0.5, 0), h) @ v

    return Kernel("dropout at inference", own, other, [normal(2, 128, 256)])


def switched_off() -> Kernel:
    """A mixture of four products of which constant gates let one through."""
    weights = [normal(seed, 256, 256) for seed in range(4)]
    gates = np.array([0, 0, 1, 0], np.float32)

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def mixed(x: Any) -> Any:
            parts = [m.matmul(x, w) * gate for w, gate in zip(weights, gates)]
            return parts[0] + parts[1] + parts[2] + parts[3]

        return mixed

    return Kernel("4 products, 3 times 0", *both(written), [normal(5, 256, 256)], "O3")


def repeated_in_loop() -> Kernel:
    """A product inside a loop that is the same in every step, and written twice."""
    a, b = normal(0, 128, 128), normal(1, 128, 128)

    def own(h: Any, a: Any, b: Any) -> Any:
        def step(h: Any) -> Any:
            return gf.tanh(gf.matmul(h, gf.matmul(a, b)) + gf.sum(gf.matmul(a, b), axis=0))

        return gf.fori_loop(0, 32, lambda i, h: step(h), h)

    def other(h: Any, a: Any, b: Any) -> Any:
        def step(i: Any, h: Any) -> Any:
            return jnp.tanh(h @ (a @ b) + jnp.sum(a @ b, axis=0))

        return jax.lax.fori_loop(0, 32, step, h)

    return Kernel("loop, invariant product", own, other, [normal(2, 16, 128), a, b])


def invariant_in_scan() -> Kernel:
    """A softmax of weights inside a scan, which every step computes anew as it is written."""

    def own(h: Any, xs: Any, w: Any) -> Any:
        return gf.scan(lambda h, x: (gf.tanh(gf.matmul(h, gf.nn.softmax(w)) + x), None), h, xs)[0]

    def other(h: Any, xs: Any, w: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            return jnp.tanh(h @ jax.nn.softmax(w) + x), None

        return jax.lax.scan(step, h, xs)[0]

    return Kernel(
        "scan, invariant softmax",
        own,
        other,
        [normal(0, 16, 128), normal(1, 64, 16, 128), standard(2, 128, 128)],
    )


def short_scan() -> Kernel:
    """A scan of four steps, which is unrolled."""

    def own(h: Any, xs: Any) -> Any:
        return gf.scan(lambda h, x: (gf.tanh(h * x + h), None), h, xs)[0]

    def other(h: Any, xs: Any) -> Any:
        return jax.lax.scan(lambda h, x: (jnp.tanh(h * x + h), None), h, xs)[0]

    return Kernel("scan of 4 steps", own, other, [standard(0, 512, 512), standard(1, 4, 512, 512)])


def two_scans() -> Kernel:
    """Two scans over the same steps, which become one."""

    def own(h: Any, xs: Any) -> Any:
        first = gf.scan(lambda h, x: (gf.tanh(h * 0.9 + x), None), h, xs)[0]
        second = gf.scan(lambda h, x: (gf.maximum(h * 0.5, x), None), h, xs)[0]
        return first + second

    def other(h: Any, xs: Any) -> Any:
        first = jax.lax.scan(lambda h, x: (jnp.tanh(h * 0.9 + x), None), h, xs)[0]
        second = jax.lax.scan(lambda h, x: (jnp.maximum(h * 0.5, x), None), h, xs)[0]
        return first + second

    return Kernel("two scans of 64 steps", own, other, [standard(0, 128, 256), standard(1, 64, 128, 256)])


def unused_state() -> Kernel:
    """A scan that carries and stacks what nobody reads."""

    def own(h: Any, xs: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, total = state
            h = gf.tanh(h + x)
            return (h, total + gf.exp(h)), gf.sin(h)

        return gf.scan(step, (h, h), xs)[0][0]

    def other(h: Any, xs: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, total = state
            h = jnp.tanh(h + x)
            return (h, total + jnp.exp(h)), jnp.sin(h)

        return jax.lax.scan(step, (h, h), xs)[0][0]

    return Kernel("scan, unused results", own, other, [standard(0, 128, 256), standard(1, 64, 128, 256)])


def moved_axes() -> Kernel:
    """Axes moved forth and back around elementwise operators, as exporters leave them."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def function(x: Any) -> Any:
            n, c, h, w = x.shape
            y = m.permute_dims(x, axes=(0, 2, 3, 1))
            y = m.permute_dims(m.tanh(m.reshape(y, (n, h * w, c))), axes=(0, 2, 1))
            return m.reshape(y, (n, c, h, w)) * 2.0 + x

        return function

    return Kernel("moved axes around tanh", *both(written), [standard(0, 4, 64, 56, 56)])


KERNELS: tuple[Make, ...] = (
    decided_branch,
    common_code,
    dropout,
    switched_off,
    repeated_in_loop,
    invariant_in_scan,
    short_scan,
    two_scans,
    unused_state,
    moved_axes,
)
"""What makes each kernel."""

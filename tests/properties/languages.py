"""The two languages in which a random program can be said: GraphFlow, and JAX as its independent judge.

Both are namespaces with the names of the Python array API, so that most operators of a program are written
once. What differs is written twice, here: NumPy's promotion, which jax.numpy does not follow, the calls of
control flow, and the functions of neural nets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import graphflow as gf

MOST_STEPS = 4
"""The bound of while loops."""


class GraphFlow:
    """Programs as graphs."""

    def __getattr__(self, name: str) -> Any:
        return getattr(gf, name) if hasattr(gf, name) else getattr(gf.nn, name)

    def size(self, x: Any, axis: int) -> Any:
        return x.shape[axis]

    def like(self, x: Any, other: Any) -> Any:
        return gf.astype(x, other.dtype)

    def int32(self, x: Any) -> Any:
        return gf.astype(x, gf.int32)

    def norm(self, x: Any, axis: int) -> Any:
        return gf.vector_norm(x, axis=axis)

    def inner_solve(self, a: Any, y: Any) -> Any:
        return gf.linalg.solve(a, y)

    def cholesky(self, a: Any) -> Any:
        return gf.linalg.cholesky(a)

    def spectrum(self, x: Any) -> Any:
        z = gf.fft.fft(x)
        return gf.real(z) * gf.imag(z)

    def highest(self, x: Any, k: int) -> Any:
        return gf.top_k(x, k)[0]

    def scattered(self, x: Any, indices: Any, updates: Any) -> Any:
        return gf.index_add(x, indices, updates)

    def scan(self, step: Callable[..., Any], start: Any, xs: Any, reverse: bool) -> Any:
        return gf.scan(step, start, xs, reverse=reverse)

    def while_loop(self, going: Callable[..., Any], step: Callable[..., Any], start: Any) -> Any:
        return gf.while_loop(going, step, start, max_steps=MOST_STEPS)

    def repeated(self, count: int, step: Callable[..., Any], start: Any) -> Any:
        return gf.fori_loop(0, count, lambda _, x: step(x), start)

    def choice(self, index: Any, branches: list[Callable[..., Any]], x: Any) -> Any:
        return gf.switch_case(index, branches, x)

    def call(self, fn: Callable[..., Any], x: Any) -> Any:
        return gf.function(fn)(x)

    def recompute(self, fn: Callable[..., Any], x: Any) -> Any:
        return gf.recompute(fn)(x)


def _promoting(fn: Callable[..., Any], lifting: bool = False) -> Callable[..., Any]:
    """A function of two operands that takes them in the dtype that NumPy promotes them to."""

    def promoted(x: Any, y: Any, **options: Any) -> Any:
        arrays = [value for value in (x, y) if hasattr(value, "dtype")]
        dtype = np.result_type(*[value.dtype for value in arrays])
        if lifting and dtype.kind != "f":
            dtype = np.dtype(np.float64)
        return fn(*[jnp.asarray(value, dtype) for value in (x, y)], **options)

    return promoted


class Jax:
    """Programs as functions of JAX arrays, traced under 64-bit types."""

    def __init__(self) -> None:
        names = (
            "add", "subtract", "multiply", "maximum", "minimum", "remainder", "less", "less_equal", "equal",
            "matmul", "pow", "bitwise_and", "bitwise_xor", "floor_divide",
        )  # fmt: skip
        self._own = {name: _promoting(getattr(jnp, name)) for name in names}
        self._own |= {name: _promoting(getattr(jnp, name), True) for name in ("divide", "atan2", "logaddexp")}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._own.get(name) or getattr(jnp if hasattr(jnp, name) else jax.nn, name)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return _promoting(lambda a, b: jnp.where(condition, a, b))(x, y)

    def concat(self, xs: list[Any], axis: int = 0) -> Any:
        dtype = np.result_type(*[x.dtype for x in xs])
        return jnp.concatenate([x.astype(dtype) for x in xs], axis)

    def einsum(self, subscripts: str, x: Any, y: Any) -> Any:
        return _promoting(lambda a, b: jnp.einsum(subscripts, a, b))(x, y)

    def erf(self, x: Any) -> Any:
        return jax.scipy.special.erf(x)

    def gelu(self, x: Any) -> Any:
        return jax.nn.gelu(x, approximate=False)

    def logsumexp(self, x: Any, axis: Any) -> Any:
        return jax.scipy.special.logsumexp(x, axis)

    def layer_norm(self, x: Any, axis: int, epsilon: float) -> Any:
        centred = x - jnp.mean(x, axis, keepdims=True)
        return centred / jnp.sqrt(jnp.mean(centred * centred, axis, keepdims=True) + epsilon)

    def stop_gradient(self, x: Any) -> Any:
        return jax.lax.stop_gradient(x)

    def one_hot(self, x: Any, depth: int) -> Any:
        return jax.nn.one_hot(x, depth, dtype=jnp.float32)

    def size(self, x: Any, axis: int) -> Any:
        return x.shape[axis]

    def like(self, x: Any, other: Any) -> Any:
        return x.astype(other.dtype)

    def int32(self, x: Any) -> Any:
        return x.astype(jnp.int32)

    def norm(self, x: Any, axis: int) -> Any:
        return jnp.sqrt(jnp.sum(x * x, axis))

    def inner_solve(self, a: Any, y: Any) -> Any:
        return jnp.linalg.inv(a) @ y

    def cholesky(self, a: Any) -> Any:
        return jnp.linalg.cholesky(a)

    def spectrum(self, x: Any) -> Any:
        z = jnp.fft.fft(x)
        return jnp.real(z) * jnp.imag(z)

    def highest(self, x: Any, k: int) -> Any:
        return jnp.flip(jnp.sort(x, axis=-1), axis=-1)[..., :k]

    def scattered(self, x: Any, indices: Any, updates: Any) -> Any:
        return x.at[indices].add(updates)

    def cond(self, predicate: Any, yes: Callable[..., Any], no: Callable[..., Any], *xs: Any) -> Any:
        return jax.lax.cond(predicate, yes, no, *xs)

    def scan(self, step: Callable[..., Any], start: Any, xs: Any, reverse: bool) -> Any:
        return jax.lax.scan(step, start, xs, reverse=reverse)

    def map(self, fn: Callable[..., Any], xs: Any) -> Any:
        return jax.vmap(fn)(xs) if xs.shape[0] else jax.lax.map(fn, xs)

    def while_loop(self, going: Callable[..., Any], step: Callable[..., Any], start: Any) -> Any:
        """Unrolled: once the condition fails, the carry stays."""
        state, alive = start, jnp.asarray(True)
        for _ in range(MOST_STEPS):
            alive = alive & going(state)
            state = tuple(jnp.where(alive, new, old) for new, old in zip(step(state), state))
        return state

    def repeated(self, count: int, step: Callable[..., Any], start: Any) -> Any:
        for _ in range(count):
            start = step(start)
        return start

    def choice(self, index: Any, branches: list[Callable[..., Any]], x: Any) -> Any:
        return jax.lax.switch(index, branches, x)

    def call(self, fn: Callable[..., Any], x: Any) -> Any:
        return fn(x)

    def recompute(self, fn: Callable[..., Any], x: Any) -> Any:
        return fn(x)

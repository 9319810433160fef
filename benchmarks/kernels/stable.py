"""Losses and functions as textbooks have them, which overflow or cancel; the optimizer makes them stable.

GraphFlow is given the naive text. Times are compared with the careful function of JAX's library; the same
naive text in JAX is measured beside it, for its time and its error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernels.kernel import Kernel, Make, both, integers, standard


def _log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_of_softmax() -> Kernel:
    """log(softmax(x)), -inf where a probability underflows."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: m.log(nn.softmax(x))

    return Kernel(
        "log(softmax(x))",
        *both(written),
        [30 * standard(0, 512, 1024)],
        careful=jax.nn.log_softmax,
        exact=_log_softmax,
    )


def cross_entropy_written_out() -> Kernel:
    """-mean(sum(one_hot(labels) * log(softmax(x)))), and its gradient; NaN where a probability underflows."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def loss(x: Any, labels: Any) -> Any:
            return -m.mean(m.sum(nn.one_hot(labels, 1024) * m.log(nn.softmax(x)), axis=-1))

        return loss

    def exact(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return -np.take_along_axis(_log_softmax(x), labels[:, None], axis=-1).mean()

    def careful(x: Any, labels: Any) -> Any:
        return -jnp.mean(jnp.sum(jax.nn.one_hot(labels, 1024) * jax.nn.log_softmax(x), axis=-1))

    arrays = [30 * standard(0, 256, 1024), integers(1, 1024, 256)]
    name = "cross entropy written out, gradient"
    return Kernel(name, *both(written), arrays, gradient=True, careful=careful, exact=exact)


def log_of_sum_of_exp() -> Kernel:
    """log(sum(exp(x))), inf from 89 on."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: m.log(m.sum(m.exp(x), axis=-1))

    def exact(x: np.ndarray) -> np.ndarray:
        return np.logaddexp.reduce(x, axis=-1)

    def careful(x: Any) -> Any:
        return jax.nn.logsumexp(x, axis=-1)

    arrays = [40 * standard(0, 512, 1024)]
    return Kernel("log(sum(exp(x)))", *both(written), arrays, careful=careful, exact=exact)


def binary_cross_entropy() -> Kernel:
    """-mean(z log(s) + (1 - z) log(1 - s)), s = sigmoid(x); infinite from 17 on."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def loss(x: Any, z: Any) -> Any:
            s = nn.sigmoid(x)
            return -m.mean(z * m.log(s) + (1 - z) * m.log(1 - s))

        return loss

    arrays = [10 * standard(0, 512, 1024), integers(1, 2, 512, 1024).astype(np.float32)]
    return Kernel("binary cross entropy", *both(written), arrays, careful=_careful_binary, exact=_binary)


def _careful_binary(x: Any, z: Any) -> Any:
    return -jnp.mean(z * jax.nn.log_sigmoid(x) + (1 - z) * jax.nn.log_sigmoid(-x))


def _binary(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return (np.logaddexp(0, x) - x * z).mean()


def binary_gradient() -> Kernel:
    """The same with its gradient, in which 0 / 0 cancels to sigmoid(x) - z."""
    return binary_cross_entropy()._replace(name="binary cross entropy, gradient", gradient=True)


def softplus_written_out() -> Kernel:
    """log(1 + exp(x)), inf from 89 on and 0 below -17."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: m.log(1 + m.exp(x))

    def exact(x: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, x)

    arrays = [40 * standard(0, 512, 1024)]
    return Kernel("log(1 + exp(x))", *both(written), arrays, careful=jax.nn.softplus, exact=exact)


def softmax_written_out() -> Kernel:
    """exp(x) / sum(exp(x)), NaN from 89 on."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        def softmax(x: Any) -> Any:
            e = m.exp(x)
            return e / m.sum(e, axis=-1, keepdims=True)

        return softmax

    def exact(x: np.ndarray) -> np.ndarray:
        return np.exp(_log_softmax(x))

    arrays = [40 * standard(0, 512, 1024)]
    return Kernel("exp(x) / sum(exp(x))", *both(written), arrays, careful=jax.nn.softmax, exact=exact)


def hyperbolic_tangent() -> Kernel:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), NaN from 89 on."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: (m.exp(x) - m.exp(-x)) / (m.exp(x) + m.exp(-x))

    arrays = [40 * standard(0, 512, 1024)]
    return Kernel("tanh written out", *both(written), arrays, careful=jnp.tanh, exact=np.tanh)


def variance_in_one_pass() -> Kernel:
    """mean(x^2) - mean(x)^2, which cancels where the mean is large; ours reads x twice for it."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: m.mean(m.square(x), axis=-1) - m.square(m.mean(x, axis=-1))

    def exact(x: np.ndarray) -> np.ndarray:
        return x.var(axis=-1)

    def careful(x: Any) -> Any:
        return jnp.var(x, axis=-1)

    arrays = [standard(0, 1024, 1024) + 300]
    return Kernel("mean(x^2) - mean(x)^2", *both(written), arrays, careful=careful, exact=exact)


KERNELS: tuple[Make, ...] = (
    log_of_softmax,
    cross_entropy_written_out,
    log_of_sum_of_exp,
    binary_cross_entropy,
    binary_gradient,
    softplus_written_out,
    softmax_written_out,
    hyperbolic_tangent,
    variance_in_one_pass,
)
"""What makes each kernel."""

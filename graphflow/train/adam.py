"""Adam and the methods built on its two moments: AdamW and LAMB."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.train import settings
from graphflow.train.method import Method, Slots


class Adam(Method):
    """Adam:  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
    w = w - rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)  at the t-th update.

    Arguments:
        learning_rate, clip_norm, name: see Method.
        beta1, beta2: decay of the means of g and g^2.
        epsilon: added to the root.

    Source: Kingma and Ba, Adam, ICLR 2015.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> step = gf.train.Adam(0.5).minimize(gf.sum(w * w))
    >>> with gf.Session(backend="numpy") as sess:
    ...     _ = sess.run(step)
    ...     sess.run(w)
    array([0.5, 1.5], dtype=float32)
    """

    default_name = "adam"

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, name)
        self.beta1 = settings.number("beta1", beta1, 0, 1, open_ends="high")
        self.beta2 = settings.number("beta2", beta2, 0, 1, open_ends="high")
        self.epsilon = settings.number("epsilon", epsilon, 0)

    def slots(self, target: Tensor) -> Mapping[str, Shape]:
        """The two moments."""
        return {"first_moment": target.shape, "second_moment": target.shape}

    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The equations above."""
        direction, moments = self.direction(b, gradient, slots, count)
        return value - rate * direction, moments

    def direction(self, b: Builder, gradient: Tensor, slots: Slots, count: Tensor) -> tuple[Tensor, Slots]:
        """Adam's step before the learning rate, and the new moments."""
        first = self.beta1 * slots["first_moment"] + (1 - self.beta1) * gradient
        second = self.beta2 * slots["second_moment"] + (1 - self.beta2) * (gradient * gradient)
        unbiased_first = first / _one_minus_power(b, self.beta1, count)
        unbiased_second = second / _one_minus_power(b, self.beta2, count)
        direction = unbiased_first / (b.sqrt(unbiased_second) + self.epsilon)
        return direction, {"first_moment": first, "second_moment": second}


def _one_minus_power(b: Builder, base: float, exponent: Tensor) -> Tensor:
    """1 - base^exponent; written with expm1, as 1 - 0.999 has an error of 5e-5 in float32."""
    if base == 0:
        return b.like(1, exponent)
    return -b.expm1(exponent * math.log(base))


class AdamW(Adam):
    """Adam with decoupled weight decay:  w = w - rate * (adam + weight_decay * w).

    Arguments:
        weight_decay: lambda; the others as for Adam.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> gf.train.AdamW(1e-3, weight_decay=0.1).minimize(gf.sum(w * w)).name
    'adamw'
    """

    default_name = "adamw"

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 1e-4,
        clip_norm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, clip_norm, name)
        self.weight_decay = settings.number("weight_decay", weight_decay, 0)

    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The equation above."""
        direction, moments = self.direction(b, gradient, slots, count)
        return value - rate * (direction + self.weight_decay * value), moments


class Lamb(AdamW):
    """LAMB: AdamW's step, rescaled for each variable to the length of the variable itself.

    u = adam + weight_decay * w,  w = w - rate * (|w| / |u|) * u, the ratio being 1 where either
    norm is zero.

    Arguments:
        epsilon: 1e-6, as in the paper; the others as for AdamW.

    Source: You et al., Large batch optimization for deep learning, ICLR 2020.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> gf.train.Lamb(1e-3).minimize(gf.sum(w * w)).name
    'lamb'
    """

    default_name = "lamb"

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float = 1e-2,
        clip_norm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, clip_norm, name)

    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The equations above."""
        direction, moments = self.direction(b, gradient, slots, count)
        direction = direction + self.weight_decay * value
        own, length = b.sqrt(b.sum(value * value)), b.sqrt(b.sum(direction * direction))
        either_zero = b.logical_or(b.equal(own, 0), b.equal(length, 0))
        ratio = b.where(either_zero, 1, own / b.where(either_zero, 1, length))
        return value - rate * ratio * direction, moments

"""Stochastic gradient descent, plain, with momentum, and with Nesterov's look-ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.train import settings
from graphflow.train.method import Method, Slots


class SGD(Method):
    """Gradient descent:  v = momentum * v + g,  w = w - rate * v.

    With `nesterov` the step looks ahead:  w = w - rate * (g + momentum * v).

    Arguments:
        learning_rate, clip_norm, name: see Method.
        momentum: 0 for plain descent.
        nesterov: whether to look ahead.
        weight_decay: lambda of an L2 penalty: g + lambda * w takes the place of g.

    Source: Sutskever et al., On the importance of initialization and momentum, ICML 2013.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> step = gf.train.SGD(0.25).minimize(gf.sum(w * w))
    >>> with gf.Session(backend="numpy") as sess:
    ...     _ = sess.run(step)
    ...     sess.run(w)
    array([0.5, 1. ], dtype=float32)
    """

    default_name = "sgd"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, name)
        self.momentum = settings.number("momentum", momentum, 0, 1, open_ends="high")
        self.nesterov = nesterov
        self.weight_decay = settings.number("weight_decay", weight_decay, 0)

    def slots(self, target: Tensor) -> Mapping[str, Shape]:
        """The velocity, if there is momentum."""
        return {"velocity": target.shape} if self.momentum else {}

    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The equations above."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if not self.momentum:
            return value - rate * gradient, {}
        velocity = self.momentum * slots["velocity"] + gradient
        ahead = gradient + self.momentum * velocity if self.nesterov else velocity
        return value - rate * ahead, {"velocity": velocity}

"""Methods that divide each element's step by a running root mean square: RMSProp and Adafactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.train import settings
from graphflow.train.method import Method, Slots


class RMSProp(Method):
    """RMSProp:  s = decay * s + (1 - decay) * g^2,  w = w - rate * g / sqrt(s + epsilon).

    With momentum m the step goes through a velocity:  v = m * v + g / sqrt(s + epsilon),
    w = w - rate * v.

    Arguments:
        learning_rate, clip_norm, name: see Method.
        decay: of the running mean of squares.
        momentum: 0 for none.
        epsilon: added under the root.

    Source: Hinton, Neural Networks for Machine Learning, lecture 6e, 2012.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> gf.train.RMSProp(0.01).minimize(gf.sum(w * w))
    <update 'rmsprop' of w, rmsprop/w/mean_square, rmsprop/step>
    """

    default_name = "rmsprop"

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, name)
        self.decay = settings.number("decay", decay, 0, 1, open_ends="high")
        self.momentum = settings.number("momentum", momentum, 0, 1, open_ends="high")
        self.epsilon = settings.number("epsilon", epsilon, 0)

    def slots(self, target: Tensor) -> Mapping[str, Shape]:
        """The mean of squares, and the velocity if there is momentum."""
        names = ["mean_square"] + ["velocity"] * bool(self.momentum)
        return {name: target.shape for name in names}

    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The equations above."""
        square = self.decay * slots["mean_square"] + (1 - self.decay) * (gradient * gradient)
        scaled = gradient * b.rsqrt(square + self.epsilon)
        if not self.momentum:
            return value - rate * scaled, {"mean_square": square}
        velocity = self.momentum * slots["velocity"] + scaled
        return value - rate * velocity, {"mean_square": square, "velocity": velocity}


class Adafactor(Method):
    """Adafactor: a second moment that is kept as a row and a column mean instead of a matrix.

    For matrices of at least `min_size_to_factor` rows and columns, with r and c the running means
    of g^2 + epsilon over columns and over rows,  v = r c / mean(r); otherwise v is kept whole. The
    step u = g / sqrt(v) is clipped to root mean square `clip_threshold` and, with
    `scale_by_parameter`, multiplied by max(1e-3, rms(w)). The decay of the running means at update
    t is  1 - t^-decay_exponent.

    Arguments:
        learning_rate, clip_norm, name: see Method.
        decay_exponent, min_size_to_factor, clip_threshold, scale_by_parameter, epsilon: as above.

    Source: Shazeer and Stern, Adafactor, ICML 2018, algorithms 4 and 5.

    >>> import graphflow as gf
    >>> w = gf.variable("w", (256, 128))
    >>> step = gf.train.Adafactor(1e-2).minimize(gf.sum(w * w))
    >>> [v.shape for v in step.variables]
    [(256, 128), (256,), (128,), ()]
    """

    default_name = "adafactor"

    def __init__(
        self,
        learning_rate: Any = 1e-2,
        decay_exponent: float = 0.8,
        min_size_to_factor: int = 128,
        clip_threshold: float = 1.0,
        scale_by_parameter: bool = True,
        epsilon: float = 1e-30,
        clip_norm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, name)
        self.decay_exponent = settings.number("decay_exponent", decay_exponent, 0, 1, open_ends="low")
        self.min_size_to_factor = settings.whole("min_size_to_factor", min_size_to_factor)
        self.clip_threshold = settings.number("clip_threshold", clip_threshold, 0, open_ends="low")
        self.scale_by_parameter = scale_by_parameter
        self.epsilon = settings.number("epsilon", epsilon, 0)

    def is_factored(self, target: Tensor) -> bool:
        """Whether the second moment of a variable is kept as row and column means."""
        sizes = [size for size in target.shape[-2:] if isinstance(size, int)]
        return len(sizes) == 2 and min(sizes) >= self.min_size_to_factor

    def slots(self, target: Tensor) -> Mapping[str, Shape]:
        """The means of squares: of rows and columns, or of each element."""
        shape = target.shape
        if self.is_factored(target):
            return {"row_mean": shape[:-1], "column_mean": (*shape[:-2], shape[-1])}
        return {"second_moment": shape}

    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The equations above."""
        decay = 1 - count ** (-self.decay_exponent)
        square = gradient * gradient + self.epsilon
        if self.is_factored(value):
            row = decay * slots["row_mean"] + (1 - decay) * b.mean(square, axis=-1)
            column = decay * slots["column_mean"] + (1 - decay) * b.mean(square, axis=-2)
            row_factor = b.rsqrt(row / b.mean(row, axis=-1, keepdims=True))
            scaled = gradient * b.expand_dims(row_factor, axis=-1) * b.expand_dims(b.rsqrt(column), axis=-2)
            new = {"row_mean": row, "column_mean": column}
        else:
            second = decay * slots["second_moment"] + (1 - decay) * square
            scaled = gradient * b.rsqrt(second)
            new = {"second_moment": second}
        scaled = scaled / b.maximum(1.0, b.sqrt(b.mean(scaled * scaled)) / self.clip_threshold)
        if self.scale_by_parameter:
            scaled = scaled * b.maximum(1e-3, b.sqrt(b.mean(value * value)))
        return value - rate * scaled, new

"""Loss scaling: gradients that float16 would flush to zero are computed of a multiple of the loss.

float16 has no number below 6e-8, and many gradients are smaller. Those of scale * loss are scale times as
large; they are divided by it in float32 before the step. Where the scale was too large, some gradient is
infinite or NaN: that step is left out, and the scale becomes smaller; after many good steps it grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from graphflow.errors import GraphError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import float32, int32
from graphflow.ir.graph import scoped
from graphflow.ir.node import Tensor
from graphflow.ops import initializers
from graphflow.ops.declare import Update, variable
from graphflow.train import settings
from graphflow.train.method import Change, Minimizer, checked_method
from graphflow.train.precision import widened


class LossScale(Minimizer):
    """A method on gradients of scale * loss, divided by the scale, with a scale that adapts itself.

    A step in which a gradient is not finite changes nothing but the scale, which is divided by `factor`.
    After `growth_steps` finite ones in a row it is multiplied by it. The scale is the variable
    `<name>/scale`; being a power of two if `initial` and `factor` are, it rounds nothing.

    Arguments:
        method: what takes the step, with its schedule and clipping.
        initial: the first scale, at least 1.
        growth_steps: how many finite steps let the scale grow.
        factor: by how much the scale changes, above 1.
        name: the scope of its variables.

    Raises:
        AttributeValueError: for numbers that make no sense, or if `method` is no method.

    Source: Micikevicius et al., Mixed Precision Training, 2018, section 3.2.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> update = gf.train.LossScale(gf.train.SGD(0.25)).minimize(gf.sum(w * w))
    >>> with gf.Session(backend="numpy") as sess:
    ...     _ = sess.run(update)
    ...     sess.variables["w"], sess.variables["loss_scale/scale"]
    (array([0.5, 1. ], dtype=float32), array(32768., dtype=float32))
    """

    default_name = "loss_scale"

    def __init__(
        self,
        method: Minimizer,
        initial: float = 2.0**15,
        growth_steps: int = 2000,
        factor: float = 2.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.method = checked_method(method)
        self.initial = settings.number("initial", initial, 1)
        self.growth_steps = settings.whole("growth_steps", growth_steps)
        self.factor = settings.number("factor", factor, 1, open_ends="low")

    def _minimized(self, loss: Tensor, variables: Any, weight: Tensor | None = None) -> Update:
        with loss.graph:
            scale = variable(
                f"{self.name}/scale",
                (),
                initializers.value(np.float32(self.initial)),
                float32,
                trainable=False,
            )
        b = Builder(loss.graph, provenance.capture())
        grown = b.astype(scale, dtype=loss.dtype)
        return _Unscaled(self, scale)._minimized(loss, variables, grown if weight is None else grown * weight)

    def changes(self, b: Builder, slopes: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Change]:
        """Refused: the scale has to be there before gradients are."""
        raise GraphError(
            "LossScale has to scale the loss before it is differentiated",
            hint="call minimize(loss) instead of apply",
        )


class _Unscaled(Minimizer):
    """What a LossScale does with gradients of the scaled loss."""

    def __init__(self, owner: LossScale, scale: Tensor) -> None:
        super().__init__(owner.name)
        self.owner, self.scale = owner, scale

    def changes(self, b: Builder, slopes: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Change]:
        """The method's own changes where all gradients are finite, the scale's in any case."""
        owner, scale = self.owner, self.scale
        true = [b.divide(wide, b.astype(scale, dtype=wide.dtype)) for wide in [widened(b, s) for s in slopes]]
        is_good = reduce(b.logical_and, [b.all(b.is_finite(slope)) for slope in true])
        good = variable("good", (), initializers.zeros(), int32, trainable=False)
        with scoped(b.graph, owner.method.name):
            inner = owner.method.changes(b, true, targets)
        counted = b.add(good, 1)
        grows = b.greater_equal(counted, owner.growth_steps)
        larger = b.where(grows, b.multiply(scale, owner.factor), scale)
        smaller = b.maximum(b.divide(scale, owner.factor), 1.0)
        return [
            *[(target, b.where(is_good, value, target)) for target, value in inner],
            (scale, b.where(is_good, larger, smaller)),
            (good, b.where(is_good, b.where(grows, 0, counted), 0)),
        ]

"""Gradient accumulation: several small batches make one step of any method.

Each run adds its gradients to accumulators; every `steps`-th run hands their mean to the method and
clears them. In the other runs every variable of the method keeps its value, chosen by `where`, so
one compiled program serves all runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int32
from graphflow.ir.graph import scoped
from graphflow.ir.node import Tensor
from graphflow.ops import initializers
from graphflow.ops.declare import variable
from graphflow.train import settings
from graphflow.train.method import Change, Minimizer, checked_method
from graphflow.train.precision import working_dtype


class GradientAccumulation(Minimizer):
    """A method that steps once every `steps` runs, on the mean of their gradients.

    For a loss that is a mean over its batch, `steps` runs on batches of equal size give the step of
    one run on all of them. Batch-norm statistics follow every run.

    Arguments:
        method: what takes the step, with its schedule and clipping.
        steps: how many runs make one step.
        name: the scope of its variables.

    Raises:
        AttributeValueError: if steps is not at least 1, or `method` is no method.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> method = gf.train.GradientAccumulation(gf.train.Adam(1e-3), steps=4)
    >>> method.minimize(gf.sum(w * w)).name
    'accumulation'
    """

    default_name = "accumulation"

    def __init__(self, method: Minimizer, steps: int, name: str | None = None) -> None:
        super().__init__(name)
        self.method = checked_method(method)
        self.steps = settings.whole("steps", steps)

    def changes(self, b: Builder, slopes: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Change]:
        """The accumulators, and the method's own changes in the runs that make a step."""
        count = variable("count", (), initializers.zeros(), int32, trainable=False)
        is_last = b.equal(count, self.steps - 1)
        made: list[Change] = []
        means: list[Tensor] = []
        for slope, target in zip(slopes, targets):
            dtype = working_dtype(target.dtype)
            name = f"{target.node.name}/sum"
            held = variable(name, target.shape, initializers.zeros(), dtype, trainable=False)
            total = b.add(held, slope)
            means.append(b.divide(total, self.steps))
            made.append((held, b.where(is_last, 0, total)))
        with scoped(b.graph, self.method.name):
            inner = self.method.changes(b, means, targets)
        kept = [(target, b.where(is_last, value, target)) for target, value in inner]
        return [*kept, *made, (count, b.where(is_last, 0, b.add(count, 1)))]

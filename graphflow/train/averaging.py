"""Exponential moving averages of variables, for evaluation with smoother weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import GraphError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import bool_
from graphflow.ir.graph import describe, scoped
from graphflow.ir.node import Tensor
from graphflow.ops import initializers
from graphflow.ops.declare import Update, assign_node, variable
from graphflow.train import settings
from graphflow.train.precision import widened


class ExponentialMovingAverage:
    """Shadows of variables:  s = decay * s + (1 - decay) * v, the first update copying v.

    Arguments:
        decay: near 1; 0.999 averages over about a thousand updates.
        name: the scope of the shadows.

    Within a run the shadow takes in the value that the variable had when the run started. Shadows
    of types narrower than float32 are kept in float32, where a small part is not lost.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992.

    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[1.0, 2.0])
    >>> average = gf.train.ExponentialMovingAverage(0.99)
    >>> average.update([w])
    <update 'average' of average/w, average/started>
    >>> average.of(w).name
    'average/w:0'
    """

    def __init__(self, decay: float = 0.999, name: str = "average") -> None:
        self.decay = settings.number("decay", decay, 0, 1)
        self.name = name
        self._shadows: dict[Tensor, Tensor] = {}

    def update(self, variables: Tensor | Sequence[Tensor]) -> Update:
        """The Update that takes the variables' values in; group it with the training update.

        Raises:
            GraphError: if something is no floating-point variable, or is averaged already.

        >>> import graphflow as gf
        >>> w = gf.variable("w", initializer=[1.0, 2.0])
        >>> train = gf.train.SGD(0.1).minimize(gf.sum(w * w))
        >>> gf.group(train, gf.train.ExponentialMovingAverage(0.99).update([w]))
        <update 'group' of w, sgd/step, average/w, average/started>
        """
        listed: list[Any] = list(variables) if isinstance(variables, (list, tuple)) else [variables]
        self._check(listed)
        graph = listed[0].graph
        b = Builder(graph, provenance.capture())
        assigns = []
        shadows: dict[Tensor, Tensor] = {}
        with graph, graph.attempt(), scoped(graph, graph.unique_name(self.name)[len(graph.scope) :]):
            started = variable("started", (), initializers.zeros(), bool_, trainable=False)
            for target in listed:
                value = widened(b, target)
                shadow = variable(target.node.name, target.shape, initializers.zeros(), value.dtype, False)
                shadows[target] = shadow
                mixed = b.add(b.multiply(self.decay, shadow), b.multiply(1 - self.decay, value))
                assigns.append(assign_node(b, shadow, b.where(started, mixed, value)))
            assigns.append(assign_node(b, started, b.tensor(True)))
        self._shadows.update(shadows)
        return Update(assigns, name=self.name)

    def of(self, target: Tensor) -> Tensor:
        """The shadow of a variable.

        Raises:
            GraphError: if `update` has not been given it.
        """
        if not isinstance(target, Tensor) or target not in self._shadows:
            raise GraphError(
                f"{getattr(target, 'name', target)} is not averaged",
                hint="pass it to update([...]) first",
                origin=provenance.capture(),
            )
        return self._shadows[target]

    def _check(self, targets: Sequence[Tensor]) -> None:
        if not targets:
            raise GraphError(
                "there is nothing to average", hint="pass variables", origin=provenance.capture()
            )
        seen = set(self._shadows)
        for target in targets:
            is_variable = isinstance(target, Tensor) and target.node.op.name == "variable"
            if not is_variable or not target.dtype.is_differentiable or target in seen:
                known = is_variable and target in seen
                raise GraphError(
                    f"{getattr(target, 'name', target)} cannot be averaged: it is "
                    + ("averaged already" if known else "no floating-point variable"),
                    hint="pass each floating-point variable once",
                    operands=describe([target] if isinstance(target, Tensor) else []),
                    origin=provenance.capture(),
                )
            seen.add(target)

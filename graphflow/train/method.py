"""The common part of gradient-descent methods: from a loss to one Update of all variables.

A method supplies `slots` (what it remembers of each variable) and `step` (one variable's new value
and new slots). `minimize` differentiates, clips, steps the learning-rate schedule, and groups all
assignments, together with the batch statistics that the loss reaches, into one training Update.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from graphflow.autodiff.reverse import gradients, listed
from graphflow.errors import AttributeValueError, DTypeError, GradientError, GraphError, ShapeError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType, int32
from graphflow.ir.graph import Graph, checked_name, describe, scoped
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import ancestors
from graphflow.ir.types import Shape
from graphflow.ops import initializers
from graphflow.ops.declare import Update, assign_node, variable
from graphflow.train import settings
from graphflow.train.clipping import clip_by_global_norm
from graphflow.train.precision import cast, working_dtype

Schedule: TypeAlias = Callable[[Tensor], Tensor]
Slots: TypeAlias = Mapping[str, Tensor]
Change: TypeAlias = tuple[Tensor, Tensor]


class Minimizer(ABC):
    """What turns a loss into an Update: finds the variables and their gradients.

    Arguments:
        name: the scope of the variables it adds.
    """

    default_name = "minimizer"

    def __init__(self, name: str | None = None) -> None:
        self.name = self.default_name if name is None else checked_name(name, "training method")

    @abstractmethod
    def changes(self, b: Builder, slopes: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Change]:
        """All (variable, new value) pairs of one update; called inside the method's own scope."""

    def minimize(self, loss: Tensor, variables: Tensor | Sequence[Tensor] | None = None) -> Update:
        """The Update that takes one step down the gradient of `loss`.

        Fetching it sets gf.training and also applies the batch-norm statistics that the loss
        reaches.

        Arguments:
            loss: a floating-point scalar.
            variables: what to change. By default all trainable floating-point variables through
                which the loss can be changed.

        Raises:
            ShapeError: if the loss is not a scalar.
            DTypeError: if the loss is not a real floating-point number.
            GradientError: if it depends on no variable, or not on one of those given.

        >>> import graphflow as gf
        >>> w = gf.variable("w", initializer=[1.0, 2.0])
        >>> gf.train.SGD(0.1).minimize(gf.sum(w * w))
        <update 'sgd' of w, sgd/step>
        """
        _check_loss(loss)
        with loss.graph.attempt():
            return self._minimized(loss, variables)

    def _minimized(
        self, loss: Tensor, variables: Tensor | Sequence[Tensor] | None, weight: Tensor | None = None
    ) -> Update:
        """`minimize`, with the gradients of weight * loss."""
        reached = ancestors([loss])
        if variables is None:
            known = loss.graph.variables.values()
            targets = [
                v for v in known if v.node.attrs.trainable and v.dtype.is_floating and v.node in reached
            ]
            slopes = gradients(loss, targets, weight, unconnected="none")
        else:
            targets = listed(variables, "variables")
            slopes = gradients(loss, targets, weight, unconnected="raise")
        if all(slope is None for slope in slopes):
            raise GradientError(
                f"the loss {loss.name} depends on no variable that could be changed",
                hint="build the loss from gf.variable or gf.layers, in the same graph",
                operands=describe([loss]),
                origin=provenance.capture(),
            )
        return self.apply(list(zip(slopes, targets)), _statistics(loss, reached))

    def apply(self, pairs: Sequence[tuple[Tensor | None, Tensor]], also: Sequence[Node] = ()) -> Update:
        """The Update for (gradient, variable) pairs, as gf.gradients gives them.

        Arguments:
            pairs: a variable whose gradient is None is left as it is.
            also: further assign nodes to include.

        Raises:
            GraphError: if something is no variable, or is there twice.

        >>> import graphflow as gf
        >>> w = gf.variable("w", initializer=[1.0, 2.0])
        >>> [slope] = gf.gradients(gf.sum(w * w), [w])
        >>> gf.train.SGD(0.1).apply([(gf.clip(slope, -1, 1), w)])
        <update 'sgd' of w, sgd/step>
        """
        if not isinstance(pairs, (list, tuple)) or not all(map(_is_pair, pairs)):
            raise GradientError(
                f"{pairs!r:.80} are no (gradient, variable) pairs",
                hint="pass list(zip(gf.gradients(loss, variables), variables))",
            )
        kept = [(slope, target) for slope, target in pairs if slope is not None]
        _check_targets([target for _, target in kept])
        graph = kept[0][1].graph
        b = Builder(graph, provenance.capture())
        with graph, graph.attempt(), scoped(graph, _unique_scope(graph, self.name)):
            changes = self.changes(b, [slope for slope, _ in kept], [target for _, target in kept])
            assigns = [assign_node(b, target, value) for target, value in changes]
        return Update([*assigns, *also], training=True, name=self.name)


class Method(Minimizer):
    """Base of the gradient-descent methods; a subclass defines `slots` and `step`.

    Variables narrower than float32 are updated in float32, slots included, and rounded at the end.

    Arguments:
        learning_rate: a number, a scalar tensor, or a schedule from gf.train.schedules, which maps
            the number of updates done so far to a rate.
        clip_norm: if given, gradients are scaled so that their global norm is at most this.
        name: the scope of its variables.

    Raises:
        AttributeValueError: for numbers that make no sense.
    """

    default_name = "method"

    def __init__(self, learning_rate: Any, clip_norm: float | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.learning_rate = settings.learning_rate(learning_rate)
        self.clip_norm = (
            None if clip_norm is None else settings.number("clip_norm", clip_norm, 0, open_ends="low")
        )

    def slots(self, target: Tensor) -> Mapping[str, Shape]:
        """Names and shapes of what is remembered of a variable; all start at zero."""
        return {}

    @abstractmethod
    def step(
        self, b: Builder, value: Tensor, gradient: Tensor, slots: Slots, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Slots]:
        """The new value and new slots of one variable.

        Arguments:
            b: where to build.
            value, gradient, slots: the variable's present value, its gradient, what is remembered;
                all of the dtype in which the variable is updated.
            rate: the learning rate, a scalar of that dtype.
            count: the number of this update, 1 for the first, a scalar of that dtype.
        """

    def changes(self, b: Builder, slopes: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Change]:
        """One step of each variable, its slots, and the count of updates."""
        if self.clip_norm is not None:
            slopes = clip_by_global_norm(slopes, self.clip_norm)[0]
        done = variable("step", (), initializers.zeros(), int32, trainable=False)
        following = b.add(done, 1)
        scalars: dict[DType, tuple[Tensor, Tensor]] = {}
        values: list[Change] = []
        remembered: list[Change] = []
        for target, slope in zip(targets, slopes):
            dtype = working_dtype(target.dtype)
            if dtype not in scalars:
                scalars[dtype] = self.rate(b, done, dtype), b.astype(following, dtype=dtype)
            held = {
                name: variable(
                    f"{target.node.name}/{name}", shape, initializers.zeros(), dtype, trainable=False
                )
                for name, shape in self.slots(target).items()
            }
            value, gradient = cast(b, target, dtype), cast(b, slope, dtype)
            new, new_slots = self.step(b, value, gradient, held, *scalars[dtype])
            values.append((target, cast(b, new, target.dtype)))
            remembered += [(held[name], slot) for name, slot in new_slots.items()]
        return [*values, *remembered, (done, following)]

    def rate(self, b: Builder, done: Tensor, dtype: DType) -> Tensor:
        """The learning rate after `done` updates, a scalar of `dtype`."""
        given = self.learning_rate
        if isinstance(given, Tensor):
            return cast(b, given, dtype)
        if not callable(given):
            return b.tensor(given, dtype)
        rate = b.tensor(given(b.astype(done, dtype=dtype)))
        settings.learning_rate(rate)
        return cast(b, rate, dtype)


def checked_method(value: Any) -> Minimizer:
    """The training method that another one hands its gradients to.

    Raises:
        AttributeValueError: if it is none.
    """
    if not isinstance(value, Minimizer):
        raise AttributeValueError(
            f"{value!r:.80} is no training method",
            hint="pass gf.train.Adam(...)",
            origin=provenance.capture(),
        )
    return value


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Tensor) or not loss.dtype.is_floating:
        shown = f"{loss.name} is {loss.dtype}" if isinstance(loss, Tensor) else f"{loss!r:.80} is no tensor"
        raise DTypeError(
            f"the loss {shown}, and only a floating-point tensor can be minimised",
            hint="compute the loss from floating-point tensors; gf.astype converts",
            operands=describe([loss] if isinstance(loss, Tensor) else []),
            origin=provenance.capture(),
        )
    if loss.ndim:
        raise ShapeError(
            f"the loss {loss.name} has shape {list(loss.shape)}, and only a scalar can be minimised",
            hint="reduce it with gf.mean or gf.sum",
            operands=describe([loss]),
            origin=provenance.capture(),
        )


def _check_targets(targets: Sequence[Any]) -> None:
    """Raise unless these are different floating-point variables, at least one."""
    seen: set[Tensor] = set()
    for target in targets:
        fault = None
        if not isinstance(target, Tensor) or target.node.op.name != "variable":
            fault = f"{target.name if isinstance(target, Tensor) else repr(target)} is no variable"
        elif not target.dtype.is_floating:
            fault = f"the variable {target.node.name!r} is {target.dtype}"
        elif target in seen:
            fault = f"the variable {target.node.name!r} is there twice"
        if fault is not None:
            raise GraphError(
                f"{fault}, so no step can be taken on it",
                hint="pass different floating-point tensors that gf.variable or gf.layers made",
                operands=describe([target] if isinstance(target, Tensor) else []),
                origin=provenance.capture(),
            )
        seen.add(target)
    if not seen:
        raise GradientError(
            "there is no variable with a gradient",
            hint="pass (gradient, variable) pairs",
            origin=provenance.capture(),
        )


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, (list, tuple)) and len(pair) == 2


def _unique_scope(graph: Graph, name: str) -> str:
    """A scope below the current one that nothing else uses."""
    return graph.unique_name(name)[len(graph.scope) :]


def _statistics(loss: Tensor, reached: set[Node]) -> list[Node]:
    """The assignments of running statistics that computing the loss calls for."""
    return [node for trigger, node in loss.graph.statistics if trigger.node in reached]

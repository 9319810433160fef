"""Functions with a gradient of their own: what differentiation does at their end instead of the rules.

    y = f(x)   with a given   g(dy)   in place of   (df/dx)^T dy

The outputs of such a function pass through `identity` nodes, for which the graph under construction
remembers the arguments and the gradient function; a reverse sweep that reaches them goes straight to
the arguments. The gradient so built is ordinary nodes, and nothing else of this outlives the building:
a copy of the graph, its text, or a saved model holds plain nodes, no Python function.

Sources: jax.custom_vjp; tf.custom_gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphflow.autodiff.reverse import listed, of_type
from graphflow.errors import GradientError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.graph import describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import NotDifferentiable, registry
from graphflow.ir.traversal import ancestors, creation_order


@dataclass(frozen=True, eq=False, slots=True)
class CustomGradient:
    """One call of a function with a gradient of its own.

    name: of the function, for messages.
    function: from cotangents of the outputs to those of the inputs.
    inputs, outputs: the arguments of the call, and what it gave.
    captured: what else the function reads and would have gradients; none can reach it.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    captured: tuple[Tensor, ...]

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """All that the outputs depend on, as far as differentiation is concerned."""
        return self.inputs + self.captured

    def cotangents(
        self, builder: Builder, gathered: Mapping[Tensor, Tensor], active: set[Tensor]
    ) -> list[Tensor | None]:
        """The cotangents of the inputs; from those `gathered` at outputs; sources are above `active`."""
        for tensor in self.captured:
            if tensor in active:
                raise self._bypassed(tensor)
        given: list[Tensor | None] = []
        for tensor in self.outputs:
            found = gathered.get(tensor)
            if found is None and tensor.dtype.is_differentiable:
                found = builder.full_like(0, tensor)
            given.append(found)
        with builder.graph:
            made = self.function(*given)
        parts = list(made) if isinstance(made, (list, tuple)) else [made]
        if made is None or len(parts) != len(self.inputs):
            raise GradientError(
                f"the gradient function of {self.name} gave {'nothing' if made is None else len(parts)} "
                f"for {len(self.inputs)} arguments",
                hint="return one cotangent for each argument; in a tuple, None is one that is zero",
                operands=describe(self.inputs),
                origin=self.outputs[0].node.origin,
            )
        return [
            of_type(tensor, part, "cotangent")
            if part is not None and tensor.dtype.is_differentiable
            else None
            for tensor, part in zip(self.inputs, parts)
        ]

    def _bypassed(self, tensor: Tensor) -> GradientError:
        return GradientError(
            f"{self.name} has a custom gradient and reads {tensor.name}, which is not among its arguments, "
            "so no gradient gets there",
            hint="pass it as an argument, or read gf.stop_gradient of it inside the function",
            operands=describe([*self.inputs, tensor]),
            origin=self.outputs[0].node.origin,
        )


def custom_gradient(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the gradient of a function of tensors: a decorator.

    Where y_1, .., y_m = fn(x_1, .., x_n), the cotangents of the x are grad_fn(dy_1, .., dy_m), whatever
    the operators inside say. Derivatives of that are taken as usual, of the operators that grad_fn used.

    Arguments:
        fn: called as fn(*tensors, **options) for each use; returns a pair (outputs, grad_fn). The outputs
            are a tensor or a tuple of tensors. grad_fn takes a cotangent of the type of each output
            (zeros where nothing depends on it, None if it is not floating-point) and returns one of the
            type of each argument, None being zero, in a tuple if there are several. It may use the
            tensors made by fn. It runs whenever gradients through the call are built.

    Returns:
        a function of the same arguments that returns the outputs. Arguments that are no tensors (numbers,
        arrays) become constants; keyword arguments are handed on as they are.

    Raises:
        GradientError: if fn or grad_fn do not return what they should, or if a gradient is asked for with
            respect to a tensor that fn reads without having it as an argument.

    The function exists while the graph is being built only: graphs that were copied, saved or printed and
    read back have the usual gradients.

    Sources: jax.custom_vjp; tf.custom_gradient.

    >>> import graphflow as gf
    >>> @gf.custom_gradient
    ... def bounded(x):
    ...     return x, lambda g: gf.clip(g, -1.0, 1.0)
    >>> x = gf.placeholder("x", ())
    >>> y = bounded(x)
    >>> gf.Session(backend="numpy").run(gf.gradients(y * y, [x]), {x: 3.0})
    [array(1., dtype=float32)]
    """
    _require_callable(fn, "custom_gradient", "decorate a function that returns (outputs, grad_fn)")
    name = getattr(fn, "__name__", type(fn).__name__)

    @functools.wraps(fn)
    def replaced(*arguments: Any, **options: Any) -> Any:
        builder = builder_for(arguments)
        inputs = builder.operands(registry["identity"], arguments)
        start = len(builder.graph.nodes)
        with builder.graph:
            results, function = _pair(name, fn(*inputs, **options))
        made = listed(results, f"outputs of {name}")
        captured = _captured(made, inputs, start)
        label = name if name.isidentifier() else None
        outputs = tuple([builder.identity(tensor, name=label) for tensor in made])
        custom = CustomGradient(name, function, inputs, outputs, captured)
        builder.graph.custom_gradients.update((tensor.node, custom) for tensor in outputs)
        return outputs if isinstance(results, (list, tuple)) else outputs[0]

    return replaced


def straight_through(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function whose gradient is that of the identity: y = fn(x), dx = dy.

    It lets training pass steps whose derivative is zero or does not exist, such as rounding.

    Arguments:
        fn: from a tensor to one of the same dtype and shape.

    Returns:
        the function with that gradient.

    Raises:
        GradientError: when called, if the result of fn has another dtype or shape than its argument.

    Source: Bengio, Leonard and Courville, Estimating or Propagating Gradients Through Stochastic Neurons
    for Conditional Computation, 2013.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2,))
    >>> y = gf.straight_through(gf.round)(x)
    >>> gf.Session(backend="numpy").run([y, *gf.gradients(y, [x])], {x: [0.2, 1.7]})
    [array([0., 2.], dtype=float32), array([1., 1.], dtype=float32)]
    """

    _require_callable(fn, "straight_through", "pass a function from a tensor to one of its type")
    name = getattr(fn, "__name__", type(fn).__name__)

    def through(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return of_type(x, fn(x), f"result of {name}"), lambda cotangent: cotangent

    through.__name__ = name
    through.__doc__ = fn.__doc__
    replaced: Callable[[Tensor], Tensor] = custom_gradient(through)
    return replaced


def _require_callable(fn: Any, asker: str, hint: str) -> None:
    if not callable(fn):
        raise GradientError(f"{asker} got {fn!r:.80}, which cannot be called", hint=hint)


def _pair(name: str, answer: Any) -> tuple[Any, Callable[..., Any]]:
    if isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1]):
        return answer
    raise GradientError(
        f"{name} has a custom gradient but returned {answer!r:.80}",
        hint="return a pair: the outputs, and a function from their cotangents to those of the arguments",
    )


def _captured(made: list[Tensor], inputs: tuple[Tensor, ...], start: int) -> tuple[Tensor, ...]:
    """What the nodes from number `start` on read, or make of nothing, that could have a gradient."""
    arguments = set(inputs)

    def outside(tensor: Tensor) -> bool:
        return tensor.node.id < start

    found = [tensor for tensor in made if outside(tensor)]
    for node in creation_order(ancestors(made, stop=lambda t: outside(t) or _is_constant(t.node))):
        if "nullary_input" in node.op.traits:
            found.extend(node.outputs)
        found.extend(filter(outside, node.inputs))
    return tuple(
        [
            tensor
            for tensor in dict.fromkeys(found)
            if tensor not in arguments and tensor.dtype.is_differentiable and not _is_constant(tensor.node)
        ]
    )


def _is_constant(node: Node) -> bool:
    """Whether differentiation ends at the node, as its derivative is zero."""
    vjp = node.op.vjp
    return isinstance(vjp, NotDifferentiable) and vjp.zero and "nullary_input" not in node.op.traits

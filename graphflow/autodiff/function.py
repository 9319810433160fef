"""gf.function and gf.recompute: functions that stay one node in the graph, a call of a body."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphflow.autodiff.custom import custom_gradient
from graphflow.errors import AttributeValueError
from graphflow.ir.builder import builder_for, several
from graphflow.ir.graph import checked_name
from graphflow.ir.nest import Nest, flatten
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite
from graphflow.ops.control import RECOMPUTE
from graphflow.ops.tracing import function_name, trace

__all__ = ["function", "recompute"]


def function(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    gradient: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """A function whose calls are one node each, with a sub-graph inside: a decorator.

    A picture shows a call as one box that can be opened; the text form has its body once a call. The
    optimizer puts bodies in the place of their calls, so a function costs nothing at run time.

    Arguments:
        fn: called as fn(*tensors, **options), once for each call; arguments may be nests of tensors. It
            may read any tensor around it, and its keyword arguments are handed on as they are.
        name: of the nodes; that of the function by default.
        gradient: a gradient of its own, called as gradient(inputs, outputs, cotangents) with tuples of
            tensors; it returns a cotangent for each input, None being zero. See gf.custom_gradient.

    Returns:
        a function of the same arguments that gives the same results.

    Raises:
        AttributeValueError: if `fn` cannot be called, or `name` cannot name a node.

    Source: ONNX's model-local functions; as tf.function.

    >>> import graphflow as gf
    >>> @gf.function
    ... def block(x, w):
    ...     return gf.tanh(x @ w)
    >>> x, w = gf.placeholder("x", ("batch", 4)), gf.variable("w", (4, 4))
    >>> block(block(x, w), w)
    <tensor block_1:0 float32[batch, 4] by call>
    """
    if fn is None:
        return functools.partial(function, name=name, gradient=gradient)
    if gradient is not None and not callable(gradient):
        raise AttributeValueError(
            f"the gradient {gradient!r:.80} cannot be called",
            hint="pass a function of (inputs, outputs, cotangents)",
        )
    return _calling(fn, name, "", "function", gradient)


def recompute(fn: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """A function whose gradient computes it again instead of keeping its intermediate values.

    That saves memory between the forward pass and the gradient, for the time of a second forward pass:
    of a chain of n blocks only the inputs of each are kept, and the inside of one at a time.

    Arguments:
        fn: called as fn(*tensors, **options), once for each call, as in gf.function.
        name: of the nodes; that of the function by default.

    Returns:
        a function of the same arguments that gives the same results.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016; as jax.checkpoint.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("n",))
    >>> y = gf.recompute(lambda t: gf.sin(gf.exp(t)))(x)
    >>> gf.Session(backend="numpy").run(gf.gradients(y, x), {x: [0.0]})
    [array([0.5403023], dtype=float32)]
    """
    return _calling(fn, name, RECOMPUTE, "recompute")


def _calling(
    fn: Callable[..., Any],
    name: str | None,
    mark: str,
    asker: str,
    gradient: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    if not callable(fn):
        raise AttributeValueError(
            f"{asker} got {fn!r:.80}, which cannot be called", hint="pass a function of tensors"
        )
    label = function_name(fn, asker) if name is None else checked_name(name, asker)

    def called(*arguments: Any, **options: Any) -> Any:
        nests, leaves = [], []
        for position, argument in enumerate(arguments):
            found, nest = flatten(argument, f"argument {position} of {label}")
            nests.append(nest)
            leaves += found
        builder = builder_for(leaves)
        call = _Call(functools.partial(fn, **options), nests, mark, label)
        operands = builder.operands_of(leaves)
        made = call(*operands) if gradient is None else _with_gradient(call, gradient)(*operands)
        return call.results.build(made)

    functools.update_wrapper(called, fn)
    return composite(called)


class _Call:
    """One call of a function, on flat operands; afterwards `results` is the structure of what it gives."""

    results: Nest

    def __init__(self, fn: Callable[..., Any], nests: Sequence[Nest], mark: str, label: str) -> None:
        self.fn, self.nests, self.mark, self.__name__ = fn, nests, mark, label

    def __call__(self, *operands: Tensor) -> tuple[Tensor, ...]:
        label = self.__name__
        builder = builder_for(operands)
        kinds = [(tensor.type, tensor.node.name.rpartition("/")[2]) for tensor in operands]
        with builder.graph.attempt():
            traced = trace(self.fn, builder.graph, self.nests, kinds, label, label)
            traced.body.name = label
            results = traced.tensors([None] * len(traced.leaves))
            outer, inner = traced.body.captured()  # with what the results brought in
            body = traced.body.close(results, [*traced.parameters, *inner])
            made = builder.call(*operands, *outer, body=body, mark=self.mark, name=label)
        self.results = traced.nest
        return several(made)


def _with_gradient(call: _Call, gradient: Callable[..., Any]) -> Callable[..., Any]:
    def pair(*inputs: Tensor) -> tuple[Any, Callable[..., Any]]:
        outputs = call(*inputs)
        return outputs, lambda *cotangents: gradient(inputs, outputs, cotangents)

    pair.__name__ = call.__name__
    return custom_gradient(pair)

"""gf.call_jax and gf.from_jax: functions written with JAX as operators, by way of their jaxprs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.graph import Graph
from graphflow.ops.composite import composite
from graphflow.ops.front_door import traced_graph
from graphflow.runtime.jax.jaxpr_inline import inline
from graphflow.runtime.jax.jaxpr_reader import rules

__all__ = ["call_jax", "from_jax"]

FAMILIES = (
    "control", "elementwise", "indexing", "linalg", "products", "random", "reduction", "shape", "special",
    "windows",
)  # fmt: skip

for _family in FAMILIES:
    importlib.import_module(f"graphflow.runtime.jax.from_jax_{_family}")


def mapped_primitives() -> tuple[str, ...]:
    """The names of the JAX primitives that operators stand for."""
    return tuple(sorted(rules))


@composite
def call_jax(fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a JAX function gives for tensors, as operators of the graph.

    The function is traced by JAX and each primitive of its jaxpr becomes operators, so that the result is
    part of the graph like anything else: it is differentiated, optimized, drawn, and run by any backend.
    Its nodes have the lines of the function as their origins, and `jax.named_scope` names their scopes.

    Arguments:
        fn: a function that JAX can trace, called as fn(*args, **options); it may hold arrays.
        args, options: tensors, in any nest that JAX knows (pytrees). What is no tensor is handed on as it is.

    Returns:
        what the function returns, with tensors in place of arrays.

    Raises:
        BackendError: naming all primitives that no operator stands for, with their lines.
        ShapeError: if the function can be traced for known sizes alone, and they are not known.

    Where an operand has a 64-bit dtype, or JAX is configured so, 64-bit dtypes are on while tracing. JAX
    takes it that symbolic sizes are at least 1. Functions with `jax.custom_vjp` or `jax.custom_jvp` keep
    their gradients.

    Source: the jaxpr language of JAX.

    >>> import graphflow as gf
    >>> import jax.numpy as jnp
    >>> x = gf.placeholder("x", ("batch", 3))
    >>> gf.call_jax(lambda x: jnp.tanh(x).sum(axis=1), x)
    <tensor sum:0 float32[batch] by sum>
    """
    if not callable(fn):
        raise AttributeValueError(
            f"call_jax got {fn!r:.80}, which cannot be called",
            hint="pass the function first, then its tensors",
        )
    return inline(fn, args, options)


@composite
def from_jax(fn: Callable[..., Any], *specs: Any, name: str | None = None, **options: Any) -> Graph:
    """The graph of a JAX function for arguments of given types; see `gf.call_jax` and `gf.trace`.

    Arguments:
        fn: a function that JAX can trace.
        specs: the type of each argument, as `gf.trace` takes them; a `jax.ShapeDtypeStruct` too.
        name: of the graph; that of the function by default.
        options: keyword arguments that are handed on as they are.

    Returns:
        a new graph, with a placeholder for each argument and the results as its `outputs`.

    Raises:
        BackendError: naming all primitives that no operator stands for, with their lines.

    Source: the jaxpr language of JAX.

    >>> import graphflow as gf
    >>> import jax, jax.numpy as jnp
    >>> graph = gf.from_jax(jax.grad(lambda w: jnp.sum(w ** 3)), (4,))
    >>> gf.Model(graph).run({"w": [1.0, 2.0, 3.0, 4.0]}, backend="numpy")
    {'multiply_1': array([ 3., 12., 27., 48.], dtype=float32)}
    """
    return traced_graph(
        fn, specs, options, name, "from_jax", "gf.call_jax(fn, x) applies a function to tensors of a graph",
        lambda *given: call_jax(fn, *given, **options),
    )  # fmt: skip

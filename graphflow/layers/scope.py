"""The name scope of a layer: `dense`, `dense_1`, ... or the name that the user gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import at_root, default_graph, scoped
from graphflow.ir.node import Tensor
from graphflow.layers.sharing import shared_scope
from graphflow.ops.inference import whole_number

Activation = Callable[[Tensor], Tensor] | None


@contextmanager
def layer_scope(x: Tensor, name: str | None, kind: str) -> Iterator[Builder]:
    """Enter the scope of a layer on x, and give a builder for it.

    Without a name it is the kind of the layer, with a suffix where that is taken; in a shared function
    the suffix counts the layers of a call. A given name is used as it is: a second layer of that
    name fails when it claims the names of its variables. A layer that fails leaves nothing behind.
    """
    graph = default_graph()
    graph.bring(x)
    with graph.attempt():
        counted = shared_scope(graph, kind) if name is None else None
        with at_root(graph) as root:  # where the variables of a layer inside a loop are
            fresh = counted or root.unique_name(name or kind).removeprefix(graph.scope)
        with scoped(graph, name or fresh):
            yield Builder(graph)


def layer_input(x: Any, kind: str) -> Tensor:
    """x as a tensor of floats, of the current graph where it is none yet."""
    tensor = layer_operand(x)
    if not tensor.dtype.is_floating:
        raise DTypeError(f"{kind} needs floats, not {tensor.dtype}", hint="convert with gf.astype")
    return tensor


def layer_operand(x: Any) -> Tensor:
    """x as a tensor."""
    return x if isinstance(x, Tensor) else Builder(default_graph()).tensor(x)


def static_size(x: Tensor, axis: int, kind: str) -> int:
    """The size of an axis that the shape of a variable depends on."""
    size = x.shape[axis]
    if not isinstance(size, int):
        raise AttributeValueError(
            f"{kind} makes variables whose shape depends on axis {axis % x.ndim} of its input {x.type}, "
            f"but its size {size} is symbolic",
            hint="give the placeholder, or a gf.reshape before the layer, a fixed size there",
        )
    return size


def positive(value: Any, what: str, kind: str) -> int:
    """A positive int, or an error that names the argument."""
    return whole_number(value, f"{what} of {kind}", 1)


def activated(y: Tensor, activation: Activation) -> Tensor:
    """activation(y), or y where there is none."""
    if activation is None:
        return y
    if not callable(activation):
        raise AttributeValueError(
            f"the activation {activation!r:.80} is no function", hint="pass one, such as gf.nn.relu"
        )
    return activation(y)

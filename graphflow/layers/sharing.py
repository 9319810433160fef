"""Layers that several calls share: the first call makes the variables, the others find them by name."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, TypeVar

from graphflow.errors import AttributeValueError, GraphError, ShapeError
from graphflow.ir.graph import Graph, at_root, checked_name, default_graph, scoped
from graphflow.ir.node import Tensor
from graphflow.ops import declare
from graphflow.ops.composite import composite

P = ParamSpec("P")
R = TypeVar("R")


class _Call:
    """One call of a shared function: which layers it has met, and the variables that the first call made."""

    def __init__(self, root: Graph, known: list[str] | None) -> None:
        self.root = root
        self.known = known
        self.met: dict[str, int] = {}
        self.made: list[str] = []

    def scope(self, kind: str) -> str:
        """The name of the next unnamed layer of a kind: the same in each call."""
        full = default_graph().scope + kind
        count = self.met[full] = self.met.get(full, -1) + 1
        return f"{kind}_{count}" if count else kind

    def find(self, name: str, shape: Any, dtype: Any) -> Tensor:
        """The variable of that name in the current scope, as the first call has made it."""
        full = default_graph().scope + name
        if full not in (self.known or ()):
            raise GraphError(
                f"a shared function asks for the variable {full!r}, which its first call has not made",
                hint="let it make the same layers in each call",
            )
        known = self.root.variables[full]
        if known.shape != tuple(shape) or known.dtype is not dtype:
            raise ShapeError(
                f"a shared function needs {dtype}{list(shape)} for {full!r}, which is {known.type}",
                hint="call it with the same number of features and the same dtype each time",
            )
        return known


_current: ContextVar[_Call | None] = ContextVar("graphflow_shared_call", default=None)


def shared_scope(graph: Graph, kind: str) -> str | None:
    """The name that the shared call under way gives to the next layer of a kind; None outside of any."""
    call = _current.get()
    return None if call is None or call.root is not graph.root else call.scope(kind)


def is_repeated() -> bool:
    """Whether a later call of a shared function is under way."""
    call = _current.get()
    return call is not None and call.known is not None


def variable(
    name: str, shape: Any, initializer: Any = None, dtype: Any = None, trainable: bool = True
) -> Tensor:
    """A layer's variable: `gf.variable`, or the one of the first call of a shared function."""
    call = _current.get()
    if call is not None and call.known is not None:
        return call.find(name, shape, dtype)
    made = declare.variable(name, shape, initializer, dtype, trainable)
    if call is not None:
        call.made.append(made.node.name)
    return made


@composite
def shared(function: Callable[P, R], name: str | None = None) -> Callable[P, R]:
    """A function whose layers are the same in each call: the first call makes their variables.

    Layers without a name are told apart by their order, so each call has to make the same ones. It
    is their variables that are shared; those that the function itself makes with gf.variable belong
    outside. The moving averages of batch_norm follow the batches of the first call.

    Arguments:
        function: calls layers.
        name: the scope of the variables; the function's name, with a suffix where needed, by default.

    Returns:
        a function with the same arguments and result. In each graph it has other variables.

    Raises:
        GraphError, ShapeError: by a later call that asks for other variables than the first.

    >>> import graphflow as gf
    >>> encode = gf.layers.shared(lambda x: gf.layers.dense(x, 8), name="encode")
    >>> left, right = (encode(gf.placeholder(side, ("batch", 16))) for side in ("left", "right"))
    >>> list(left.graph.variables)
    ['encode/dense/kernel', 'encode/dense/bias']
    """
    if not callable(function):
        raise AttributeValueError(f"{function!r:.80} is no function", hint="pass one that calls layers")
    given = name if name is not None else getattr(function, "__name__", "shared").strip("<>")
    checked_name(given, "scope")
    calls: weakref.WeakKeyDictionary[Graph, _First] = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        graph = default_graph()
        first = calls.get(graph.root)
        with graph.attempt():
            if first is not None:
                again = _Call(graph.root, first.variables)
                return _entered(graph, first, again, lambda: function(*args, **kwargs))
            with at_root(graph) as root:
                scope = root.unique_name(given).removeprefix(graph.scope)
            first, call = _First(graph.scope, scope, []), _Call(root, None)
            result = _entered(graph, first, call, lambda: function(*args, **kwargs))
            calls[root] = first._replace(variables=call.made)
            return result

    return wrapper


class _First(NamedTuple):
    """Where the first call has stood, by names only: a tensor would keep its graph alive."""

    place: str
    scope: str
    variables: list[str]


def _entered(graph: Graph, first: _First, call: _Call, run: Callable[[], R]) -> R:
    """Run the function in the scope of its first call, wherever it is called from."""
    token, outer = _current.set(call), graph.scope
    graph.scope = first.place
    try:
        with scoped(graph, first.scope):
            return run()
    finally:
        graph.scope = outer
        _current.reset(token)

"""gf.trace: a graph from a plain Python function over tensors and the types of its arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DType, as_dtype, float32
from graphflow.ir.graph import Graph, checked_name
from graphflow.ir.nest import flatten
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.declare import placeholder
from graphflow.ops.tracing import function_name

__all__ = ["trace"]


@composite
def trace(fn: Callable[..., Any], *specs: Any, name: str | None = None, **options: Any) -> Graph:
    """The graph that a function over tensors builds for arguments of given types.

    The function runs once, in a new graph, on placeholders that are named after its parameters.

    Arguments:
        fn: called as fn(*tensors, **options); returns a tensor, or a nest of tensors.
        specs: the type of each argument: a gf.TensorType; a shape, of float32; a pair (shape, dtype); a
            dtype, of a scalar; an array or a number, whose type is meant; or a nest (tuple, list, dict) of
            these, of which the function gets one of tensors.
        name: of the graph; that of the function by default.
        options: keyword arguments that are handed on as they are.

    Returns:
        a new graph, whose `outputs` are the results, the leaves of a nest in order.

    Raises:
        AttributeValueError: if `fn` cannot be called, or not with so many arguments.
        GraphError: if a spec is no type, or it returns something that is no tensor.

    The sum of a matrix's diagonal is `gf.linalg.trace`.

    >>> import graphflow as gf
    >>> def head(x, params):
    ...     return gf.tanh(x @ params["w"])
    >>> graph = gf.trace(head, ("batch", 2), {"w": (2, 1)})
    >>> list(graph.placeholders), graph.outputs
    (['x', 'params.w'], [<tensor tanh:0 float32[batch, 1] by tanh>])
    >>> gf.Model(graph).run({"x": [[1.0, 2.0]], "params.w": [[0.0], [0.0]]}, backend="numpy")
    {'tanh': array([[0.]], dtype=float32)}
    """
    hint = "the sum of a matrix's diagonal is gf.linalg.trace(x)"
    return traced_graph(fn, specs, options, name, "trace", hint, lambda *given: fn(*given, **options))


def traced_graph(
    fn: Any,
    specs: Sequence[Any],
    options: dict[str, Any],
    name: str | None,
    asker: str,
    hint: str,
    build: Callable[..., Any],
) -> Graph:
    """The graph that `build` makes of placeholders for the arguments of `fn`.

    Arguments:
        asker: the public function, for errors.
        hint: of the errors for tensors in the place of a function or a type.
    """
    if not callable(fn) or isinstance(fn, Tensor):
        shown = repr(fn) if isinstance(fn, Tensor) else f"{fn!r:.80}"
        raise AttributeValueError(f"{asker} takes a function first, and got {shown}", hint=hint)
    label = function_name(fn, asker) if name is None else checked_name(name, asker)
    parameters = _parameters(fn, len(specs), options, asker)
    graph = Graph(label)
    taken: set[str] = set()
    arguments = []
    with graph:
        for parameter, spec in zip(parameters, specs):
            arguments.append(_declared(spec, parameter, taken, asker, hint))
        result = build(*arguments)
        graph.outputs = _results(graph, result, label)
    return graph


def _parameters(fn: Callable[..., Any], count: int, options: dict[str, Any], asker: str) -> list[str]:
    """A name for each positional argument: its parameter's, or a numbered one."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return [f"x{place}" for place in range(count)]
    try:
        bound = signature.bind(*range(count), **options)
    except TypeError as error:
        raise AttributeValueError(
            f"{asker} cannot call {function_name(fn, 'the function')} with {count} "
            f"argument{'s' * (count != 1)}: {error}",
            hint="pass a type for each of its arguments",
        ) from None
    names: list[str] = []
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}.{place}" for place in range(len(value))]
        elif len(names) < count:
            names.append(name)
    return names


def _declared(spec: Any, parameter: str, taken: set[str], asker: str, hint: str) -> Any:
    """The argument that a spec describes, of placeholders."""
    paths = list(_leaves(spec, "", 0))
    made = []
    for path, leaf in paths:
        if isinstance(leaf, Tensor):
            raise GraphError(f"{asker} takes types, and got the tensor {leaf.name} {leaf.type}", hint=hint)
        kind = type_of_spec(leaf, f"{parameter}{path}", asker)
        base = re.sub(r"[^0-9A-Za-z_]+", ".", f"{parameter}{path}").strip(".") or "x"
        name, number = base, 0
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        made.append(placeholder(name, kind.shape, kind.dtype))
    return _packed(spec, iter(made))


def _is_shape(spec: Any) -> bool:
    return type(spec) in (tuple, list) and all(
        size is None or (isinstance(size, (int, str, Dim, np.integer)) and not isinstance(size, bool))
        for size in spec
    )


def _is_pair(spec: Any) -> bool:
    return (
        type(spec) is tuple
        and len(spec) == 2
        and _is_shape(spec[0])
        and isinstance(spec[1], (DType, str, type, np.dtype))
    )


def _is_nest(spec: Any) -> bool:
    if isinstance(spec, dict):
        return True
    return isinstance(spec, (tuple, list)) and not _is_shape(spec) and not _is_pair(spec)


def _leaves(spec: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > 64:
        raise GraphError("the types are nested more than 64 deep", hint="pass a flatter nest")
    if spec is None:
        return
    if not _is_nest(spec):
        yield path, spec
        return
    items = spec.items() if isinstance(spec, dict) else zip(getattr(spec, "_fields", range(len(spec))), spec)
    for name, item in items:
        yield from _leaves(item, f"{path}.{name}", depth + 1)


def _packed(spec: Any, leaves: Iterator[Tensor]) -> Any:
    if spec is None:
        return None
    if not _is_nest(spec):
        return next(leaves)
    if isinstance(spec, dict):
        return {name: _packed(item, leaves) for name, item in spec.items()}
    parts = [_packed(item, leaves) for item in spec]
    return type(spec)(*parts) if hasattr(spec, "_fields") else type(spec)(parts)


def type_of_spec(spec: Any, what: str, asker: str) -> TensorType:
    """The type that a spec without parts stands for.

    Raises:
        GraphError: if it stands for none.
    """
    try:
        if isinstance(spec, TensorType):
            return spec
        if _is_pair(spec):
            return TensorType(as_dtype(spec[1]), _shape(spec[0]))
        if _is_shape(spec):
            return TensorType(float32, _shape(spec))
        if isinstance(spec, (DType, np.dtype, type)):
            return TensorType(as_dtype(spec), ())
        if isinstance(spec, (bool, int, float, complex)) and not isinstance(spec, np.generic):
            with Graph("scratch") as scratch:
                return Builder(scratch).tensor(spec).type
        if hasattr(spec, "shape") and hasattr(spec, "dtype"):
            return TensorType(as_dtype(spec.dtype), _shape(spec.shape))
    except (DTypeError, ShapeError) as error:
        raise GraphError(f"{asker}: the type of {what} is wrong: {error.message}", hint=error.hint) from None
    raise GraphError(
        f"{asker} needs the type of {what}, and got {spec!r:.80}",
        hint='pass a shape such as ("batch", 4), (shape, gf.int32), a gf.TensorType, or an array like it',
    )


def _shape(shape: Any) -> tuple[Any, ...]:
    sizes = tuple([None if size is None else _size(size) for size in shape])
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise ShapeError(f"the shape {tuple(shape)} has a negative size", hint="sizes are 0 or more")
    return sizes


def _size(size: Any) -> Any:
    if isinstance(size, (int, str, Dim)) or (hasattr(size, "__index__") and not hasattr(size, "scope")):
        return dims.as_size(size)
    return dims.as_size(str(size))  # a symbolic size of JAX


def _results(graph: Graph, result: Any, label: str) -> list[Tensor]:
    """The leaves of what the function returned, as tensors of the graph."""
    leaves, nest = flatten(result, f"what {label} returns")
    if not leaves:
        raise GraphError(f"{label} returns no tensor", hint="return a tensor, or a nest of tensors")
    builder = Builder(graph)
    made = []
    for leaf, path in zip(leaves, nest.paths):
        if isinstance(leaf, Tensor):
            made.append(graph.bring(leaf))
        elif isinstance(leaf, (bool, int, float, complex)) or hasattr(leaf, "__array__"):
            made.append(builder.tensor(leaf))
        else:
            raise GraphError(
                f"{label} returns {leaf!r:.60} of type {type(leaf).__name__}"
                + (f" at {path}" if path else ""),
                hint="return tensors, or tuples, lists and dicts of tensors",
            )
    return made

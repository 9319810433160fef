"""Tracing a function with JAX and reading it into the current graph; its gradients are traced likewise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from graphflow.autodiff.custom import custom_gradient
from graphflow.errors import BackendError, GraphFlowError, ShapeError
from graphflow.ir import dims, provenance
from graphflow.ir.builder import builder_for
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ir.provenance import Origin
from graphflow.runtime.jax import from_jax_sizes
from graphflow.runtime.jax.jaxpr_reader import Reader, Step, Value, is_key, unmapped

SHOWN_LINES = 3


def inline(
    fn: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any], wide: bool = False
) -> Any:
    """What a JAX function gives for tensors, as tensors of the current graph; see `call_jax`.

    Arguments:
        wide: trace with 64-bit dtypes whatever the operands are.
    """
    leaves, tree = jax.tree_util.tree_flatten(
        (tuple(arguments), options), lambda leaf: isinstance(leaf, Tensor)
    )
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    operands = builder_for([leaves[place] for place in places]).operands_of(
        [leaves[place] for place in places]
    )

    def flat(*arrays: Any) -> Any:
        filled = list(leaves)
        for place, array in zip(places, arrays):
            filled[place] = array
        given, named = jax.tree_util.tree_unflatten(tree, filled)
        return fn(*given, **named)

    wide = wide or bool(jax.config.read("jax_enable_x64")) or any(_is_wide(tensor) for tensor in operands)
    closed, shapes = _traced(flat, operands, wide)
    _require_mapped(closed)
    builder = builder_for(operands)
    names = {name for tensor in operands for name in dims.symbols_of(tensor.shape)}
    symbols: dict[str, Size] = {name: builder.graph.adopt(dims.Dim(name)) for name in sorted(names)}
    reader = Reader(symbols, wide)
    with builder.graph:
        made = [builder.tensor(value) for value in reader.run(closed, operands)]
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shapes), made)


def _is_wide(tensor: Tensor) -> bool:
    return (tensor.dtype.bits == 64 and tensor.dtype.kind != "complex") or tensor.dtype.bits == 128


def _traced(fn: Callable[..., Any], operands: Sequence[Tensor], wide: bool) -> tuple[Any, Any]:
    """The jaxpr of a function for operands of these types, and the nest of its results."""
    kinds = [
        jax.ShapeDtypeStruct(tuple(map(from_jax_sizes.to_jax, tensor.shape)), tensor.dtype.numpy)
        for tensor in operands
    ]
    try:
        with jax.enable_x64(wide):
            return jax.make_jaxpr(fn, return_shape=True)(*kinds)
    except GraphFlowError as error:
        raise BackendError(
            f"JAX cannot trace a function that uses GraphFlow itself: {error.message}",
            hint="pass a function over JAX's arrays; gf.trace is for functions over tensors",
            origin=provenance.capture(),
        ) from error
    except core.InconclusiveDimensionOperation as error:
        raise ShapeError(
            f"JAX cannot trace the function for every size: {str(error).splitlines()[0]}",
            hint="give the sizes it depends on as numbers",
            origin=provenance.capture(),
        ) from error


def _require_mapped(closed: Any) -> None:
    """Raise with all primitives that have no rule."""
    missing = unmapped(closed)
    if not missing:
        return
    rows = [f"{name}{_at(places)}" for name, places in missing.items()]
    raise BackendError(
        f"the function uses {len(rows)} JAX primitive{'s' * (len(rows) > 1)} that no operator stands for: "
        + "; ".join(rows),
        hint="compute that part with GraphFlow's operators, or outside of the graph",
        origin=next((places[0] for places in missing.values() if places), None),
    )


def _at(places: Sequence[Origin]) -> str:
    shown = [str(place) for place in places[:SHOWN_LINES]]
    return f" (at {', '.join(shown)}{', ...' if len(places) > SHOWN_LINES else ''})" if shown else ""


def with_jax_gradient(
    step: Step, primal: Callable[..., Sequence[Value]], operands: Sequence[Value]
) -> list[Value]:
    """What `primal` gives for the operands, with the gradient that JAX has for the equation.

    The gradient is traced when it is asked for, and is ordinary operators then.
    """
    inputs: dict[Any, Tensor] = {}
    for atom, value in zip(step.equation.invars, operands):
        if isinstance(value, Tensor):
            inputs.setdefault(atom, value)
    if not _differentiable(inputs.values()) or not any(kind.dtype.is_differentiable for kind in step.outs):
        return list(primal(*operands))
    known = [
        (atom, value)
        for atom, value in zip(step.equation.invars, operands)
        if not isinstance(value, Tensor) and not isinstance(atom, core.Literal)
    ]

    def function(*tensors: Tensor) -> Any:
        given = dict(zip(inputs, tensors))
        read = [
            given[atom] if isinstance(value, Tensor) else value
            for atom, value in zip(step.equation.invars, operands)
        ]
        made = [step.b.tensor(value) for value in primal(*read)]

        def gradient(*cotangents: Any) -> Any:
            pulled = _pullback(step.equation, list(inputs), known)
            answer = inline(pulled, (list(tensors), list(cotangents)), {}, step.reader.wide)
            return tuple(answer) if len(tensors) > 1 else answer[0]

        return (tuple(made) if len(made) > 1 else made[0]), gradient

    function.__name__ = str(step.params.get("name", step.equation.primitive.name))
    made = custom_gradient(function)(*inputs.values())
    return list(made) if isinstance(made, (tuple, list)) else [made]


def _pullback(
    equation: Any, inputs: Sequence[Any], known: Sequence[tuple[Any, np.ndarray]]
) -> Callable[..., Any]:
    """A function of JAX from the operands of an equation and the cotangents of its results to theirs.

    Arguments:
        inputs: the variables that it is differentiated by.
        known: the other variables, and their values.
    """
    fixed = dict(known)
    variables = [*inputs, *fixed]
    results = list(equation.outvars)
    names = [f"x{number}" for number in range(len(variables))]
    about = core.DebugInfo("gradient", equation.primitive.name, tuple(names), ("",) * len(results))
    jaxpr = core.Jaxpr([], variables, results, [equation], debug_info=about)
    whole = core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, ()))

    def as_taken(atom: Any, array: Any) -> Any:
        return jax.random.wrap_key_data(array) if is_key(atom.aval.dtype) else jax.numpy.asarray(array)

    def pulled(arrays: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        taken = [as_taken(atom, array) for atom, array in zip(inputs, arrays)]
        others = [as_taken(atom, array) for atom, array in fixed.items()]
        results, pull = jax.vjp(lambda *moved: list(whole(*moved, *others)), *taken)
        given = [
            np.zeros(result.shape, jax.dtypes.float0) if cotangent is None else cotangent
            for cotangent, result in zip(cotangents, results)
        ]
        return [None if part.dtype == jax.dtypes.float0 else part for part in pull(given)]

    return pulled


def _differentiable(tensors: Iterable[Tensor]) -> bool:
    return any(tensor.dtype.is_differentiable for tensor in tensors)

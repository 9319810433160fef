"""gf.vmap: a function of one example as a function of many.

The function is traced once, on the types that one example has, and the graph that it builds is built
again with a batch axis in front of whatever depends on the examples. Nothing of the tracing is left.

Source: Frostig, Johnson and Leary, Compiling machine learning programs via high-level tracing, 2018.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int32
from graphflow.ir.nest import Nest, flatten
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.inference import normalize_axis
from graphflow.ops.tracing import Traced, function_name, trace
from graphflow.vectorize import rules
from graphflow.vectorize.axes import Axis, axes_of, checked_axes
from graphflow.vectorize.fallback import warn
from graphflow.vectorize.rule import Batch, Operand
from graphflow.vectorize.walk import Walk

__all__ = ["rules", "vmap"]


@composite
def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function that applies `fn` to each of n examples: y_t = fn(x_t), all at once.

    It computes what `gf.map` does, without the loop: each operator is replaced by one that takes all
    examples together. A gradient inside is one for each example; vmaps nest. An operator that has no
    batching rule becomes a loop, with a `VmapWarning`; docs/operators.md lists them.

    Arguments:
        fn: from tensors, or nests of tensors, to a tensor or a nest of tensors. It runs once, on what
            one example is. It may read any tensor around it, which is the same for all examples.
        in_axes: which axis of the arguments holds the examples: an int; None for an argument that all
            examples share; or a tuple of these, one an argument, in which a nest of the argument's
            structure may stand for one. All these axes must have one size, which may be symbolic.
        out_axes: where that axis lies in the results: an int, a nest of them, or None for a result that
            is the same for all examples.

    Returns:
        a function of the same arguments. Keyword arguments are handed on as they are.

    Raises:
        AttributeValueError: if `fn` cannot be called, or the axes do not fit the arguments or results.
        ShapeError: if the sizes of the mapped axes differ, naming two arguments.

    A random operator draws numbers of its own for each example, those that `gf.map` draws.
    A gf.cond whose predicate depends on the example computes each branch that some example takes, and a
    gf.while_loop runs until the last example has ended.

    Source: as jax.vmap.

    >>> import graphflow as gf
    >>> x, w = gf.placeholder("x", ("batch", 3)), gf.placeholder("w", (3,))
    >>> loss = lambda w, x: gf.sum(w * x) ** 2.0
    >>> slopes = gf.vmap(lambda w, x: gf.gradients(loss(w, x), w)[0], in_axes=(None, 0))(w, x)
    >>> slopes.type
    float32[batch, 3]
    """
    if not callable(fn):
        raise AttributeValueError(
            f"vmap got {fn!r:.80}, which cannot be called", hint="pass a function of tensors"
        )
    checked_axes(in_axes, "in_axes")
    checked_axes(out_axes, "out_axes")
    label = function_name(fn, "function")

    def mapped(*arguments: Any, **options: Any) -> Any:
        given = _Arguments.read(arguments, in_axes, label)
        builder = builder_for(given.leaves)
        with builder.graph.attempt():
            size, tensors = _mapped(builder, given)
            traced = trace(
                _on_examples(fn, given, options, label), builder.graph, [flatten([0] * len(tensors))[1]],
                _kinds(tensors), label, "vmap", repeats=True,
            )  # fmt: skip
            batch = Batch(builder, size, {})
            results = _batched(batch, traced, tensors)
            made = _placed(batch, traced, results, out_axes, label)
            traced.body.shut = True
        warn(batch.looped.values(), label)
        return made

    functools.update_wrapper(mapped, fn)
    return composite(mapped)


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The arguments of a call: their leaves, with the axis of each, and how to put them together."""

    leaves: list[Any]
    axes: list[Axis]
    names: list[str]
    nests: list[tuple[Nest, int]]

    @classmethod
    def read(cls, arguments: Sequence[Any], in_axes: Any, label: str) -> _Arguments:
        spec = in_axes
        if isinstance(spec, (tuple, list)) and len(spec) != len(arguments):
            raise AttributeValueError(
                f"in_axes of vmap has {len(spec)} entries, but {label} is called with {len(arguments)} "
                "arguments",
                hint="pass one for each argument, None for those that all examples share",
            )
        if isinstance(spec, dict):
            raise AttributeValueError(
                "in_axes of vmap is a dict, but the arguments are a tuple",
                hint="pass a tuple, one entry each",
            )
        found = cls([], [], [], [])
        for position, argument in enumerate(arguments):
            leaves, nest = flatten(argument, f"argument {position} of {label}")
            found.leaves.extend(leaves)
            found.nests.append((nest, len(leaves)))
            found.names.extend(f"argument {position}{path and ' at ' + path}" for path in nest.paths)
        found.axes.extend(axes_of(spec if spec is None else _listed(spec), tuple(arguments), "in_axes"))
        return found

    def is_parameter(self, number: int) -> bool:
        """Whether a leaf is a parameter of the trace; numbers that all examples share stay as they are."""
        return self.axes[number] is not None or isinstance(self.leaves[number], Tensor)

    def rebuilt(self, parameters: Sequence[Any]) -> list[Any]:
        """The arguments of one example."""
        fresh = iter(parameters)
        leaves = iter([next(fresh) if self.is_parameter(n) else leaf for n, leaf in enumerate(self.leaves)])
        return [nest.pack(leaves) for nest, _ in self.nests]


def _listed(spec: Any) -> Any:
    return tuple(spec) if isinstance(spec, list) else spec


def _on_examples(fn: Any, given: _Arguments, options: dict[str, Any], label: str) -> Callable[..., Any]:
    """The function of the parameters of a trace."""

    def run(parameters: Sequence[Tensor]) -> Any:
        return fn(*given.rebuilt(parameters), **options)

    run.__name__ = label
    return run


def _mapped(builder: Builder, given: _Arguments) -> tuple[Size, list[Operand]]:
    """The number of examples, and the leaves that are parameters, with the examples in front."""
    size: Size | None = None
    first = ""
    operands: list[Operand] = []
    for number, (leaf, axis, name) in enumerate(zip(given.leaves, given.axes, given.names)):
        if not given.is_parameter(number):
            continue
        tensor = builder.operands_of([leaf])[0]
        if axis is None:
            operands.append(Operand(tensor, False))
            continue
        place = _axis_in(tensor, axis, name)
        found = tensor.shape[place]
        common = found if size is None else dims.unify(size, found)
        if common is None:
            raise ShapeError(
                f"vmap maps {first} over {size} examples, but {name} ({tensor.type}) has {found} along "
                f"axis {place}",
                hint="let the mapped axes have one size, and pass None in in_axes for what is shared",
            )
        size, first = common, first or name
        operands.append(Operand(Batch(builder, found, {}).moved(tensor, place, 0), True))
    if size is None:
        raise AttributeValueError(
            "vmap has no argument with a batch axis", hint="let in_axes name an axis of one argument at least"
        )
    return size, operands


def _axis_in(tensor: Tensor, axis: int, name: str) -> int:
    if -tensor.ndim <= axis < tensor.ndim:
        return axis % tensor.ndim
    raise AttributeValueError(
        f"in_axes of vmap has axis {axis} for {name}, which is {tensor.type}",
        hint="name an axis that it has, or None if all examples share it",
    )


def _kinds(operands: Sequence[Operand]) -> list[tuple[TensorType, str]]:
    """Types and names of the parameters: those of one example."""
    return [
        (
            TensorType(tensor.dtype, tensor.shape[1:]) if flag else tensor.type,
            tensor.node.name.rpartition("/")[2],
        )
        for tensor, flag in ((operand.tensor, operand.batched) for operand in operands)
    ]


def _batched(batch: Batch, traced: Traced, operands: Sequence[Operand]) -> list[Operand]:
    """What stands for the results of the trace in the batched computation."""
    results = traced.tensors([None] * len(traced.leaves))
    known = dict(zip(traced.parameters, operands, strict=True))
    for outer, inner in zip(*traced.body.captured()):
        known[inner] = Operand(outer, False)
    if traced.body.iteration is not None:
        known[traced.body.iteration] = Operand(batch.builder.iota(size=batch.size, dtype=int32), True)
    return Walk(batch, traced.body, known).run(results)


def _placed(batch: Batch, traced: Traced, results: Sequence[Operand], out_axes: Any, label: str) -> Any:
    """The results in the structure they had, with the axis of the examples where it is wanted."""
    nested = traced.nest.build(traced.leaves)
    spec = _listed(out_axes) if isinstance(nested, tuple) else out_axes
    axes = axes_of(spec, nested, "out_axes")
    made = []
    for result, axis, path in zip(results, axes, traced.nest.paths):
        if axis is None:
            if result.batched:
                raise AttributeValueError(
                    f"out_axes of vmap is None for the result{path and ' ' + path} of {label}, which is not "
                    "the same for all examples",
                    hint="name an axis for it, or reduce it over the examples outside",
                )
            made.append(result.tensor)
            continue
        whole = batch.front(result)
        place = normalize_axis(axis, whole.ndim, f"out_axes of vmap for {label}{path}:")
        made.append(batch.moved(whole, 0, place))
    return traced.nest.build(made)

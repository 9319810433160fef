"""gf.cond and gf.switch_case: the functions that build a choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError, GraphError
from graphflow.ir.builder import Builder, builder_for, several
from graphflow.ir.dtypes import DType, bool_
from graphflow.ir.graph import checked_name
from graphflow.ir.nest import flatten
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite
from graphflow.ops.control import require_same
from graphflow.ops.tracing import Traced, described, share_captures, trace

__all__ = ["cond", "switch_case"]


@composite
def cond(
    predicate: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    *operands: Any,
    name: str | None = None,
) -> Any:
    """What one of two functions gives: true_fn(*operands) if the predicate holds, else false_fn(*operands).

    Only the chosen one runs, and gradients flow through it alone.

    Arguments:
        predicate: a boolean scalar.
        true_fn, false_fn: functions of the operands. They may also read any tensor around them, and
            return a tensor or a nest (tuple, list, dict) of tensors, of the same structure and types.
        operands: tensors, or nests of tensors.
        name: of the node.

    Raises:
        GraphError, ShapeError, DTypeError: naming the branch and the result, if the two do not match.

    Source: ONNX If-25; as jax.lax.cond.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ())
    >>> y = gf.cond(x > 0.0, lambda: gf.log(x), lambda: x * 0.0)
    >>> gf.Session(backend="numpy").run([y, *gf.gradients(y, x)], {x: -2.0})
    [array(-0., dtype=float32), array(0., dtype=float32)]
    """
    builder = builder_for([predicate])
    chosen = builder.tensor(predicate)
    if chosen.type.dtype is not bool_ or chosen.type.rank:
        raise DTypeError(
            f"the predicate of cond is {chosen.type}, but has to be a boolean scalar",
            hint="compare it with something, or reduce it with gf.any or gf.all",
        )
    return _choose(builder, chosen, [("false_fn", false_fn), ("true_fn", true_fn)], operands, name or "cond")


@composite
def switch_case(
    index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, name: str | None = None
) -> Any:
    """What the function of that index gives: branches[index](*operands).

    Arguments:
        index: an integer scalar; one below 0 counts as 0, one beyond the last as the last.
        branches: functions of the operands, as in gf.cond.
        operands: tensors, or nests of tensors.
        name: of the node.

    Raises:
        GraphError, ShapeError, DTypeError: naming the branch and the result, if they do not match.

    Source: as jax.lax.switch.

    >>> import graphflow as gf
    >>> x, kind = gf.placeholder("x", ()), gf.placeholder("kind", (), gf.int32)
    >>> y = gf.switch_case(kind, [gf.nn.relu, gf.tanh, lambda t: t * t], x)
    >>> gf.Session(backend="numpy").run(y, {x: -3.0, kind: 2})
    array(9., dtype=float32)
    """
    builder = builder_for([index])
    chosen = builder.tensor(index)
    if not chosen.type.dtype.is_integer or chosen.type.rank:
        raise DTypeError(
            f"the index of switch_case is {chosen.type}, but has to be an integer scalar",
            hint="use gf.cond for a boolean",
        )
    if not isinstance(branches, (list, tuple)) or not branches:
        raise AttributeValueError(
            f"switch_case needs a list of functions, not {branches!r:.80}", hint="pass at least one"
        )
    listed = [(f"branch {number}", fn) for number, fn in enumerate(branches)]
    return _choose(builder, chosen, listed, operands, name or "switch_case")


def _choose(
    builder: Builder,
    chosen: Tensor,
    branches: Sequence[tuple[str, Callable[..., Any]]],
    operands: Sequence[Any],
    name: str,
) -> Any:
    graph = builder.graph
    nests, given = [], []
    for position, operand in enumerate(operands):
        leaves, nest = flatten(operand, f"operand {position} of {name}")
        nests.append(nest)
        given += builder.operands_of(leaves)
    kinds = [(tensor.type, tensor.node.name) for tensor in given]
    with graph.attempt():
        traced = [trace(fn, graph, nests, kinds, label, checked_name(name, "node")) for label, fn in branches]
        results = _matched(traced, [label for label, _ in branches])
        outer, captured = share_captures(traced)
        bodies = tuple(
            one.body.close(made, [*one.parameters, *inner])
            for one, made, inner in zip(traced, results, captured)
        )
        made = builder.switch_case(chosen, *given, *outer, branches=bodies, name=name)
    return traced[0].nest.build(several(made))


def _matched(traced: Sequence[Traced], labels: Sequence[str]) -> list[list[Tensor]]:
    """The results of the branches, once it is known that they are alike."""
    first = traced[0]
    for one, label in zip(traced[1:], labels[1:]):
        if one.nest.key != first.nest.key:
            raise GraphError(
                f"{described(label, one.name)} returns {_shape_of(one)}, but "
                f"{described(labels[0], first.name)} {_shape_of(first)}",
                hint="let all branches return the same structure",
            )
    wanted: list[DType | None] = [
        next((leaf.type.dtype for leaf in leaves if isinstance(leaf, Tensor)), None)
        for leaves in zip(*[one.leaves for one in traced])
    ]
    results = [one.tensors(wanted) for one in traced]
    for made, label, one in zip(results[1:], labels[1:], traced[1:]):
        for tensor, model, path in zip(made, results[0], one.nest.paths):
            what = f"the result{path and ' ' + path} of {described(label, one.name)}"
            require_same(tensor.type, model.type, f"{what}, beside {described(labels[0], first.name)},")
    return results


def _shape_of(one: Traced) -> str:
    if not one.nest.paths:
        return "nothing"
    return f"the results {', '.join(path or 'of one tensor' for path in one.nest.paths)}"

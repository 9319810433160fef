"""Copying nodes from one graph into another, with inputs and symbolic sizes replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from graphflow.errors import GraphFlowError, ShapeError
from graphflow.ir import dims
from graphflow.ir.attrs import Attrs, substitute_dims
from graphflow.ir.dims import Dim, Size
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import TensorType

Memo = dict[Any, Any]


def copy_node(
    target: Graph,
    node: Node,
    copies: Mapping[Tensor, Tensor],
    sizes: Mapping[str, Size] | None = None,
    memo: Memo | None = None,
) -> Node:
    """Append a copy of a node; its name (made unique), line and lineage are kept.

    Arguments:
        target: where it goes.
        copies: what the tensors it reads have become there.
        sizes: values of symbolic sizes.
        memo: what these sizes have made of attributes and types so far.

    Raises:
        GraphFlowError: if the node cannot have attributes of these sizes.
    """
    attrs: Attrs = node.attrs
    types: Sequence[TensorType] = [tensor.type for tensor in node.outputs]
    inputs = tuple([copies[tensor] for tensor in node.inputs])
    if sizes:
        attrs, types = _sized(node, inputs, types, sizes, {} if memo is None else memo)
    copy = target.add(node.op, inputs, attrs, types, target.unique_name(node.name), node.origin, node.lineage)
    if node.op.name == "variable":
        target.variables[copy.name] = copy.outputs[0]
    elif node.op.name == "placeholder":
        target.placeholders[copy.name] = copy.outputs[0]
    return copy


def copy_constraints(
    constraints: Iterable[tuple[Size, Size, Node]], copies: Mapping[Tensor, Tensor]
) -> list[tuple[Size, Size, Node]]:
    """The constraints of those nodes that were copied, at their copies."""
    return [
        (left, right, copies[node.outputs[0]].node)
        for left, right, node in constraints
        if node.outputs and node.outputs[0] in copies
    ]


def copy_nodes(
    target: Graph,
    nodes: Iterable[Node],
    copies: MutableMapping[Tensor, Tensor],
    sizes: Mapping[str, Size] | None = None,
) -> None:
    """Copy nodes, each after everything it reads, and enter their outputs in `copies`.

    A node whose outputs are all in `copies` already is passed over.
    """
    memo: Memo = {}
    for node in nodes:
        if not node.outputs or not all(tensor in copies for tensor in node.outputs):
            made = _chosen(target, node, copies, sizes) if sizes and node.op.choose is not None else None
            if made is None:
                made = copy_node(target, node, copies, sizes, memo).outputs
            for old, new in zip(node.outputs, made):
                copies.setdefault(old, new)


def _chosen(
    target: Graph, node: Node, copies: Mapping[Tensor, Tensor], sizes: Mapping[str, Size]
) -> Sequence[Tensor] | None:
    """The outputs of the body that these sizes choose in the place of a node, copied into `target`."""
    assert node.op.choose is not None
    try:
        body = node.op.choose(node.attrs, sizes)
    except GraphFlowError as error:
        raise error.located(origin=node.origin) from None
    if body is None:
        return None
    made: Sequence[Tensor] = body.substitute(sizes).inline(target, [copies[read] for read in node.inputs])
    return made


# Sizes


def _sized(
    node: Node, inputs: Sequence[Tensor], types: Sequence[TensorType], sizes: Mapping[str, Size], memo: Memo
) -> tuple[Attrs, Sequence[TensorType]]:
    """The attributes and output types of a node for given sizes."""
    attrs = node.attrs
    if not any(map(_has_sizes, attrs.values())):
        return attrs, [kind if kind.is_static else _substituted(kind, sizes, memo) for kind in types]
    given = tuple([tensor.type for tensor in inputs])
    key = (node.op.name, attrs, given, tuple(types))
    found = memo.get(key)
    if found is None:
        attrs = substitute_dims(attrs, sizes)
        types = [_substituted(kind, sizes, memo) for kind in types]
        if attrs is not node.attrs and all([kind.is_static for kind in (*given, *types)]):
            attrs = _settled(node, given, attrs, types)
        found = memo[key] = (attrs, types)
    result: tuple[Attrs, Sequence[TensorType]] = found
    return result


def _has_sizes(value: Any) -> bool:
    return isinstance(value, (tuple, Dim)) or hasattr(value, "substitute")


def _substituted(kind: TensorType, sizes: Mapping[str, Size], memo: Memo) -> TensorType:
    found = memo.get(kind)
    if found is None:
        found = memo[kind] = kind.substitute(sizes)
    result: TensorType = found
    return result


def _settled(node: Node, given: tuple[TensorType, ...], attrs: Attrs, types: Sequence[TensorType]) -> Attrs:
    """The attributes in canonical form, now that their sizes are numbers, which can be checked at last."""
    op = node.op
    try:
        settle = op.settle or op.normalize
        if settle is not None:
            attrs = Attrs(settle(given, dict(attrs)))
        made = op.memo.get((given, attrs)) or tuple(op.infer(given, attrs))
    except GraphFlowError as error:
        raise error.located(origin=node.origin) from None
    finally:
        dims.take_assumptions()
    if list(made) != list(types):
        raise ShapeError(
            f"{node.name} ({op.name}) gives {', '.join(map(str, made))} for these sizes, not "
            f"{', '.join(map(str, types))}",
            hint="feed sizes that agree",
            origin=node.origin,
        )
    return attrs

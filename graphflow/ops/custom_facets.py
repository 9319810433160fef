"""What a user's gradient or expansion goes through before the package relies on it.

Both may call anything in `gf`, so they run in the graph they belong to; an expansion is traced into a
body, as the optimizer puts it in the place of the node by a builder of its own. What they give is
checked against the node, so that a slip is an error with the operator's name, where it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import GradientError, GraphError
from graphflow.ir import dims
from graphflow.ir.body import Body, Source
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order
from graphflow.ops.control_gradients import pull, wanted_of


def checked_gradient(vjp: Callable[..., Any]) -> Callable[..., list[Tensor | None]]:
    """The gradient, whose cotangents fit the inputs or are refused."""

    def checked(b: Builder, node: Node, *cotangents: Tensor | None) -> list[Tensor | None]:
        with b.graph:
            made = vjp(b, node, *cotangents)
            parts = list(made) if isinstance(made, (tuple, list)) else [made]
            parts = [part() if callable(part) and not isinstance(part, Tensor) else part for part in parts]
        if len(parts) != len(node.inputs):
            raise _bad_gradient(node, f"it gives {len(parts)} cotangents for {len(node.inputs)} inputs")
        for number, (part, source) in enumerate(zip(parts, node.inputs)):
            if part is not None and not isinstance(part, Tensor):
                raise _bad_gradient(node, f"for input {number} it gives {part!r:.60}, which is no tensor")
            if part is not None and "broadcasting" not in node.op.traits and not _fits(part, source):
                raise _bad_gradient(node, f"for input {number}, {source.type}, it gives {part.type}")
        return parts

    return checked


def _fits(part: Tensor, source: Tensor) -> bool:
    sizes = zip(part.shape, source.shape)
    return part.ndim == source.ndim and all(dims.unify(left, right) is not None for left, right in sizes)


def _bad_gradient(node: Node, fault: str) -> GradientError:
    return GradientError(
        f"the gradient that {node.op.name} declares does not fit the node {node.name}: {fault}",
        hint="return, for each input in order, a tensor of its shape, or None where the cotangent is zero",
        origin=node.origin,
    )


@dataclass(frozen=True)
class CheckedExpansion:
    """An expansion, node by node through the builder it is asked for.

    Attributes:
        declared: as the user wrote it.
    """

    declared: Callable[..., Any]

    def __call__(self, b: Builder, node: Node) -> list[Tensor]:
        made = _traced(b, node, self.declared)
        return _built(b, made.body, dict(zip(made.parameters, node.inputs)), made.outputs)


def gradient_of_expansion(b: Builder, node: Node, *cotangents: Tensor | None) -> list[Tensor | None]:
    """The gradient of an operator that declares an expansion and no gradient: through the expansion."""
    expansion = node.op.decompose
    assert isinstance(expansion, CheckedExpansion)
    made = _traced(b, node, expansion.declared)
    given = [index for index, tensor in enumerate(cotangents) if tensor is not None]
    wanted = [index for index, needed in enumerate(wanted_of(b, node.inputs)) if needed]
    pulled = pull(made, given, wanted)
    known: dict[Tensor, Any] = dict(zip(made.parameters, node.inputs))
    known.update((weight, cotangents[index]) for weight, index in zip(pulled.cotangents, given))
    parts: list[Tensor | None] = [None] * len(node.inputs)
    found = [(index, tensor) for index, tensor in zip(wanted, pulled.found) if tensor is not None]
    built = _built(b, made.body, known, [tensor for _, tensor in found])
    for (index, _), tensor in zip(found, built):
        parts[index] = tensor
    return parts


def _traced(b: Builder, node: Node, decompose: Callable[..., Any]) -> Source:
    """Run the user's function once, on a twin of the node in a body of its own."""
    body = Body(node.op.name, outer=b.graph)
    body.scope = ""
    given = [body.parameter(tensor.type, f"x{index}") for index, tensor in enumerate(node.inputs)]
    inner = Builder(body, node.origin)
    twin = inner.make(node.op, tuple(given), node.attrs, [tensor.type for tensor in node.outputs], None)
    with body:
        made = decompose(inner, twin)
    outputs = inner.operands_of(made if isinstance(made, (tuple, list)) else [made])
    found = [tensor.type for tensor in outputs]
    wanted = [tensor.type for tensor in node.outputs]
    if found != wanted or twin in {tensor.node for tensor in outputs}:
        raise GraphError(
            f"the expansion of {node.op.name} gives {', '.join(map(str, found)) or 'nothing'}, "
            f"but the operator gives {', '.join(map(str, wanted))}",
            hint="build the same outputs, with the same types, from node.inputs",
            origin=node.origin,
        )
    return Source(body, tuple(given), tuple(outputs))


def _built(b: Builder, body: Body, known: dict[Tensor, Any], wanted: Sequence[Tensor]) -> list[Tensor]:
    """Copies of tensors of an open body, made node by node by the builder; `known` has the parameters'."""
    outer, parameters = body.captured()
    known.update(zip(parameters, outer))
    for inner in topological_order(wanted, stop=known.__contains__):
        reads = tuple([known[tensor] for tensor in inner.inputs])
        types = [tensor.type for tensor in inner.outputs]
        known.update(zip(inner.outputs, b.make(inner.op, reads, inner.attrs, types, None).outputs))
    return [known[tensor] for tensor in wanted]

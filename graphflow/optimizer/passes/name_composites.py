"""Put what has a name but no operator under that name: attention, RMS normalization, the cell of an LSTM.

The nodes move into the body of a `call` that is marked with the name, so that reports, pictures and
targets see one node, "attention", and may do something better with it; a target that knows nothing of it
runs the body. Nothing is computed otherwise than before, so this is exact.

Only what serves the composite alone moves. Constants up to 4 kB are copied into the body, where a causal
mask, a scale or an epsilon can be read off; all else that the nodes read is an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from graphflow.ir.body import COPIED_BYTES, Body
from graphflow.ir.copying import copy_node
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.passes.composite_forms import Found, attention, lstm_cell, rms_norm
from graphflow.optimizer.passes.edits import is_excluded, replaced
from graphflow.optimizer.program import Program
from graphflow.optimizer.rules.whole_forms import NAMES

_FINDERS: dict[str, dict[str, Callable[..., Found | None]]] = {
    "matmul": {"attention": attention},
    "multiply": {"rms_norm": rms_norm, "lstm_cell": lstm_cell},
}
"""By the operator at the end of each form: its mark, and what finds it there."""


@dataclass(frozen=True)
class NameComposites(Pass):
    """Name the composites that are written out."""

    name: ClassVar[str] = "name-composites"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Put each composite into a marked call."""
        rewriter, named = context.rewriter, 0
        order = rewriter.order()
        roots = [node for node in order if node.op.name in _FINDERS]
        places = {node: place for place, node in enumerate(order)} if roots else {}
        for node in roots:
            for mark, find in _FINDERS[node.op.name].items():
                if (
                    not rewriter.is_alive(node)
                    or context.journal.is_full
                    or is_excluded(context, NAMES[mark])
                ):
                    continue
                found = find(node, rewriter, places)
                if found is not None:
                    named += _enclose(found, mark, context, places)
        return PassResult(named > 0, f"{named} composites named" if named else "")


def _enclose(found: Found, mark: str, context: PassContext, places: dict[Node, int]) -> bool:
    """Move the nodes into the body of a call."""
    nodes = sorted(found.nodes, key=places.__getitem__)
    operands, body = _body(nodes, found)
    builder = context.rewriter.builder.standing_for([nodes[-1], *nodes[:-1]], NAMES[mark].name)
    made = builder.call(*operands, body=body, mark=mark, name=mark)
    results: Sequence[Tensor] = made if isinstance(made, tuple) else (made,)
    changed = False
    # What others of the composite read goes first: it is theirs until the last result is replaced.
    for old, new in reversed(list(zip(found.outputs, results))):
        changed |= replaced(context, old, new, NAMES[mark], f"{len(nodes)} nodes are {found.title}")
    return changed


def _body(nodes: Sequence[Node], found: Found) -> tuple[list[Tensor], Body]:
    """The nodes as a body, and what it has to be given."""
    inside = {tensor for node in nodes for tensor in node.outputs}
    body = Body(found.title)
    operands: list[Tensor] = []
    copies: dict[Tensor, Tensor] = {}
    copied: list[Tensor] = []
    read = [*found.operands, *[tensor for node in nodes for tensor in node.inputs]]
    for tensor in dict.fromkeys(read):
        if tensor not in inside:
            small = tensor.node.op.name == "constant" and tensor.node.attrs["value"].nbytes <= COPIED_BYTES
            (copied if small else operands).append(tensor)
    for tensor in operands:
        copies[tensor] = body.parameter(tensor.type, tensor.node.name.rpartition("/")[2], tensor.node.origin)
    for node in (*[tensor.node for tensor in copied], *nodes):
        copies.update(zip(node.outputs, copy_node(body, node, copies).outputs))
    body.outputs = [copies[tensor] for tensor in found.outputs]
    return operands, body.seal()

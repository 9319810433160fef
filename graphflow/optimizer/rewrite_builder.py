"""The Builder that rules use: it finds an equal node before it makes one, and marks what it makes.

A new node takes over the user's line of the node it is made for, a name derived from that node's,
and its lineage: the rule, and the names of all the nodes it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphflow.ir import dims
from graphflow.ir.attrs import Attrs
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ir.types import TensorType
from graphflow.optimizer.numbering import value_number

if TYPE_CHECKING:
    from graphflow.optimizer.rewriter import Rewriter


class RewriteBuilder(Builder):
    """A Builder that reuses an equal node where there is one, and marks new ones with their lineage.

    Attributes:
        made: the nodes made since the last edit.
    """

    __slots__ = ("_rule", "_stands_for", "made", "rewriter")

    def __init__(self, rewriter: Rewriter) -> None:
        super().__init__(rewriter.program)
        self.rewriter = rewriter
        self.made: list[Node] = []
        self._rule = ""
        self._stands_for: Sequence[Node] = ()

    def standing_for(self, nodes: Sequence[Node], rule: str) -> RewriteBuilder:
        """From now on, new nodes stand for `nodes` (the first gives name and origin), by `rule`."""
        self._stands_for = nodes
        self._rule = rule
        self.origin = nodes[0].origin
        self.lineage = None
        return self

    def taken(self) -> list[Node]:
        """The nodes made since the last edit; the next list starts empty."""
        made, self.made = self.made, []
        return made

    def make(
        self,
        op: OpDef,
        inputs: tuple[Tensor, ...],
        attrs: Attrs,
        types: Sequence[TensorType],
        name: str | None,
    ) -> Node:
        """An equal node of the program, else a new one."""
        rewriter = self.rewriter
        key = value_number(op, inputs, attrs) if rewriter.merge_twins else None
        found = rewriter.numbers.get(key) if key is not None else None
        assumed = dims.take_assumptions()
        if found is not None:
            return found
        if self.lineage is None and self._stands_for:
            self.lineage = (self._rule, tuple([node.name for node in self._stands_for]))
        graph = self.graph
        chosen = graph.unique_name(name or self._derived_name(op))
        node = graph.add(op, inputs, attrs, types, chosen, self.origin, self.lineage)
        if assumed:
            graph.constraints += [(left, right, node) for left, right in assumed]
        rewriter.register(node, key)
        self.made.append(node)
        return node

    def _derived_name(self, op: OpDef) -> str:
        """`<name of the replaced node>.<operator>`, without piling up when that was derived itself."""
        if not self._stands_for:
            return op.name
        root = self._stands_for[0]
        base = root.name.rpartition(".")[0] if root.lineage is not None else ""
        return f"{base or root.name}.{op.name}"

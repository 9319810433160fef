"""Checking values while rewriting: what each rule puts in the place of a tensor is computed and compared.

A ValueCheck is an observer. It keeps the value of every tensor it has needed, so an edit costs the
evaluation of its new nodes alone. A rule whose values differ by more than its safety class permits is
refused: the driver then names it, leaves it out and goes on, or raises if it is strict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import GraphFlowError, RewriteError
from graphflow.ir.attrs import Attrs, substitute_dims
from graphflow.ir.interpret import evaluate, run_node
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order
from graphflow.ir.types import TensorType
from graphflow.ops.body_calls import body_calls
from graphflow.optimizer.closeness import Distance, judge, rounding_tolerance
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule
from graphflow.optimizer.rules import PASS_RULES, RULES

_SAFETY = {rule.name: rule.safety for rule in (*RULES, *PASS_RULES)}
# Folded constants lie in the order of their axes, and in which order a sum adds up depends on how they lie.
_SAFETY["fold"] = "rounding"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was about to change a value more than it may."""

    rule: str
    node: str
    origin: str
    safety: str
    distance: Distance

    def __str__(self) -> str:
        at = f" ({self.origin})" if self.origin else ""
        return f"rule {self.rule!r} ({self.safety}) changes {self.node}{at}: {self.distance}"


class ValueCheck:
    """Compares the values of what a rule replaces with those of what it puts there.

    Arguments:
        values: arrays for the feeds and all else that comes from outside.
        sizes: the values of symbolic sizes.
        rules: further rules that may fire, whose safety classes then count.
        tolerance: for classes that permit rounding; by default that of the dtype.

    Attributes:
        findings: what was refused so far, in bodies too.
        checked: how many replacements were compared.
    """

    def __init__(
        self,
        values: Mapping[Tensor, Any],
        sizes: Mapping[str, int] | None = None,
        rules: Iterable[Rule] = (),
        tolerance: float | None = None,
    ) -> None:
        self.sizes = dict(sizes or {})
        self.values: dict[Tensor, Any] = {tensor: np.asarray(value) for tensor, value in values.items()}
        self.safety = {**_SAFETY, **{rule.name: rule.safety for rule in rules}}
        self.tolerance = tolerance
        self.findings: list[Finding] = []
        self.checked = 0
        self._parent: ValueCheck | None = None

    def replaces(self, rule: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Compare, unless a value cannot be computed (there is a feed without a value above it).

        Raises:
            RewriteError: if the values differ by more than the rule's class permits.
        """
        if rule == "bodies":
            return  # each edit inside of the body has been compared
        safety = self.safety.get(rule, "rounding" if rule.startswith("decompose_") else "exact")
        for before, after in pairs:
            try:
                old, new = self.value(before), self.value(after)
            except GraphFlowError:
                continue
            self._count()
            tolerance = rounding_tolerance(before.dtype) if self.tolerance is None else self.tolerance
            fine, found = judge(old, new, safety, tolerance)
            if not fine:
                finding = Finding(rule, before.node.name, str(before.node.origin or ""), safety, found)
                self._report(finding)
                raise RewriteError(f"its values differ: {found}", origin=before.node.origin)
            # Of equal arrays the old one: what reads it may add up in the order in which it lies.
            self.values[after] = old if found.ulps == 0 else new

    def inside(self, node: Node, number: int, program: Program) -> ValueCheck | None:
        """A check of a body with the values of its first call; None if it is not called."""
        try:
            arrays = [self.value(tensor) for tensor in node.inputs]
            first = next(
                (
                    made
                    for made in body_calls(node, arrays, self._attrs(node, arrays))
                    if made.number == number
                ),
                None,
            )
        except GraphFlowError:
            return None
        if first is None:
            return None
        made = ValueCheck(dict(zip(program.feeds, first.arguments)), self.sizes, tolerance=self.tolerance)
        made.safety, made._parent = self.safety, self
        return made

    def value(self, tensor: Tensor) -> np.ndarray:
        """The value of a tensor, computed from those known so far.

        Raises:
            GraphFlowError: if something that comes from outside of the program is missing.
        """
        values = self.values
        if tensor not in values:
            for node in topological_order([tensor], stop=values.__contains__):
                if "nullary_input" in node.op.traits:
                    evaluate(node.outputs)  # raises, with a sentence
                arrays = [values[each] for each in node.inputs]
                values.update(zip(node.outputs, run_node(node, arrays, self._attrs(node, arrays))))
        found: np.ndarray = values[tensor]
        return found

    def _attrs(self, node: Node, arrays: Sequence[np.ndarray]) -> Attrs:
        """The attributes of a node for the sizes, in canonical form."""
        attrs = substitute_dims(node.attrs, self.sizes) if self.sizes else node.attrs
        settle = node.op.settle or node.op.normalize
        if attrs is node.attrs or settle is None:
            return attrs
        types = tuple([TensorType(tensor.dtype, array.shape) for tensor, array in zip(node.inputs, arrays)])
        return Attrs(settle(types, dict(attrs)))

    def _count(self) -> None:
        self.checked += 1
        if self._parent is not None:
            self._parent._count()

    def _report(self, finding: Finding) -> None:
        self.findings.append(finding)
        if self._parent is not None:
            self._parent._report(finding)

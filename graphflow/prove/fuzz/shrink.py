"""Making a failing graph small: nodes are left out, half of them at first, as long as it still fails.

A node that is left out becomes an input with the value it had, so everything below it stays as it was. What
is tried is halved as delta debugging does it (Zeller and Hildebrandt, 2002), until no single node can go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.errors import GraphFlowError
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Node, Tensor
from graphflow.ir.parse import parse_graph
from graphflow.ir.traversal import topological_order
from graphflow.prove.fuzz.judging import Fault, case_of, faults
from graphflow.prove.minimal import Minimal, cut
from graphflow.prove.subject import Case, Subject
from graphflow.runtime.backend import Backend

TRIES = 150


class Shrinking:
    """The search for a small graph with the same fault.

    Arguments:
        subject, case: what fails, and with which inputs.
        fault: how.
        backend: where.
        tries, seconds: how many graphs are tried at most, and for how long.

    Attributes:
        tried: how many graphs were.
    """

    def __init__(
        self,
        subject: Subject,
        case: Case,
        fault: Fault,
        backend: Backend,
        tries: int = TRIES,
        seconds: float = 60.0,
    ) -> None:
        self.subject, self.case, self.fault, self.backend = subject, case, fault, backend
        self.tries, self.deadline, self.tried = tries, time.monotonic() + seconds, 0
        static = subject.static(case)
        self._outside = subject.outside(static, case)
        self._static = {tensor.name: tensor for node in static.nodes for tensor in node.outputs}
        self._known: dict[str, np.ndarray] = {}

    def run(self) -> Minimal | None:
        """The smallest graph found; None if none but the original one fails when taken by itself."""
        best: Minimal | None = None
        for outputs in self._ends():
            ends = {tensor.node for tensor in outputs}  # these have to stay
            inner = [node for node in topological_order(outputs) if node.inputs and node not in ends]
            best = self._try(outputs, {*inner, *ends})
            if best is not None:
                return self._reduced(outputs, inner, best)
        return None

    def _ends(self) -> list[list[Tensor]]:
        """What to look at: the tensor that differs, then each output, then all."""
        program = self.subject.extract()
        named = {tensor.name: tensor for node in program.nodes for tensor in node.outputs}
        first = named.get(self.fault.tensor, named.get(f"{self.fault.tensor}:0"))
        ends = [[first]] if first is not None and first.node.inputs else []
        ends += [[tensor] for tensor in program.outputs if tensor.node.inputs]
        return [*ends, program.outputs] if len(program.outputs) > 1 else ends

    def _reduced(self, outputs: Sequence[Tensor], inner: list[Node], best: Minimal) -> Minimal:
        """Leave out one part of the nodes after the other, smaller parts each time."""
        parts, ends = 1, {tensor.node for tensor in outputs}
        while inner and parts <= len(inner) and self._may_go_on():
            size = -(-len(inner) // parts)
            for start in range(0, len(inner), size):
                kept = inner[:start] + inner[start + size :]
                found = self._try(outputs, {*kept, *ends})
                if found is not None:
                    inner, best, parts = kept, found, max(parts - 1, 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(2 * parts, len(inner))
        return best

    def _may_go_on(self) -> bool:
        return self.tried < self.tries and time.monotonic() < self.deadline

    def _try(self, outputs: Sequence[Tensor], inner: set[Node]) -> Minimal | None:
        """The graph of these nodes, if it has the fault."""
        if not self._may_go_on():
            return None
        self.tried += 1
        try:
            made = cut(outputs, inner, self._values)
            return made if has_fault(made, self.fault, self.backend) else None
        except GraphFlowError:
            return None

    def _values(self, tensors: Sequence[Tensor]) -> list[np.ndarray]:
        """Their values as the graph was built; sizes may be symbolic here, they are not there."""
        missing = [tensor.name for tensor in tensors if tensor.name not in self._known]
        self._known.update(zip(missing, evaluate([self._static[name] for name in missing], self._outside)))
        return [self._known[tensor.name] for tensor in tensors]


def has_fault(minimal: Minimal, fault: Fault, backend: Backend) -> bool:
    """Whether a graph in text form has the fault."""
    subject = Subject(parse_graph(minimal.text, minimal.arrays))
    levels = [] if fault.level in ("O0", "any") else [fault.level]
    case = case_of(subject, minimal.inputs, fault.special)
    if fault.level == "any":
        levels = ["O1", "O2", "O3"]
    return any(fault.same(other) for other in faults(subject, [case], {fault.backend: backend}, levels))


Shrink = Callable[[Subject, Case, Fault, Backend], Minimal | None]


def shrunk(
    subject: Subject, inputs: Mapping[str, Any], fault: Fault, backend: Backend, seconds: float = 60.0
) -> Minimal | None:
    """The smallest graph found that has the fault; see `Shrinking`."""
    case = case_of(subject, inputs, fault.special)
    return Shrinking(subject, case, fault, backend, seconds=seconds).run()

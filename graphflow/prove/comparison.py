"""Comparing levels and backends on given inputs: each tensor with its counterpart, in the order of the graph.

Rounding errors grow on their way, so a tensor is judged by what its own node adds: the tolerance, relative
to the largest element of the tensor or of what it is made from (sums may cancel), and on top of that some
times the difference that its operands have already.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from graphflow.errors import GraphFlowError
from graphflow.ir.node import Tensor
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.closeness import EQUAL, Distance, judge, magnitude
from graphflow.optimizer.journal import Journal
from graphflow.prove.counterparts import Pair, counterparts
from graphflow.prove.subject import Case, Subject
from graphflow.runtime.backend import Backend, get_backend

_LARGE = 1 << 26
"""Bytes of weights that are not to be kept once for each level."""

_GROWTH = 100.0
"""By how much an operator may enlarge a difference of its operands."""


@dataclass(frozen=True, slots=True)
class Parting:
    """The first tensor that differs by more than it may.

    Attributes:
        tensor: its name in the original.
        origin: the user's line.
        op: what computes it.
        safety: the class of the rules above it: how closely it had to agree.
        distance: how far the two are apart.
        inputs: the label of the inputs.
        rules: the rules whose edits replaced the node, or those around it.
    """

    tensor: str
    origin: str
    op: str
    safety: str
    distance: Distance
    inputs: str
    rules: tuple[str, ...]

    def __str__(self) -> str:
        at = f" ({self.origin})" if self.origin else ""
        by = f"\n    rules at work there: {', '.join(self.rules)}" if self.rules else ""
        return (
            f"{self.tensor} = {self.op}{at} is the first to part, with {self.inputs}:\n"
            f"    {self.distance}\n    it had to be {_WANTED[self.safety]}{by}"
        )


_WANTED = {
    "exact": "equal to the bit",
    "finite": "equal where it is finite",
    "rounding": "equal within rounding",
    "unsafe": "equal within rounding",
}


@dataclass
class Row:
    """One backend and level.

    Attributes:
        edits: what the optimizer did.
        compared, equal: how many tensors were compared, and were equal to the bit, over all inputs.
        worst: the largest difference that was permitted, and its tensor.
        parting: the first that was not, or None.
        failure: why it could not be run, or "".
    """

    backend: str
    level: str
    edits: int = 0
    compared: int = 0
    equal: int = 0
    worst: Distance = field(default_factory=lambda: EQUAL)
    worst_tensor: str = ""
    parting: Parting | None = None
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran and nothing parted."""
        return self.parting is None and not self.failure


def compare(
    subject: Subject, cases: Iterable[Case], backends: Mapping[str, Backend], levels: list[str], exact: bool
) -> list[Row]:
    """A row for each backend and level, over all cases; numpy at O0 is what the others are held against."""
    rows = {(name, level): Row(name, level) for name in backends for level in ["O0", *levels]}
    if "numpy" in backends:
        del rows["numpy", "O0"]
    for case in cases:
        anchor = _Run(subject, case, get_backend("numpy"), "O0")
        for name, backend in backends.items():
            base = anchor
            if name != "numpy":
                base = _compared(rows[name, "O0"], subject, case, backend, anchor, exact) or anchor
            for level in levels:
                _compared(rows[name, level], subject, case, backend, base, exact)
                if base.weight_bytes > _LARGE:
                    gc.collect()  # graphs are cyclic: what a level made of large weights would stay for long
    return list(rows.values())


class _Run:
    """The values of a program's outputs, and of all its tensors that have a counterpart in the original."""

    def __init__(self, subject: Subject, case: Case, backend: Backend, level: str) -> None:
        self.original = subject.static(case)
        self.journal = Journal("entries")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.program = subject.build(case, backend, level, self.journal)
        self.pairs = counterparts(self.original, self.program, self.journal, subject.rules)
        self.outputs = subject.run(self.program, case, backend)
        watched = list(dict.fromkeys(pair.after for pair in self.pairs))
        values = subject.run(self.program, case, backend, watched)[len(self.outputs) :]
        self.values = dict(zip(watched, values))
        self.outside = subject.outside(self.original, case)
        held = [node for node in self.original.nodes if node.op.name in ("constant", "variable")]
        self.weight_bytes = sum([type_bytes(node.output.type) for node in held])

    @cached_property
    def by_name(self) -> dict[str, np.ndarray]:
        """Values by the names of the original's tensors."""
        found = {pair.before.name: self.values[pair.after] for pair in self.pairs}
        found.update({tensor.name: array for tensor, array in self.outside.items()})
        for node in self.original.nodes:
            if node.op.name == "constant":
                found[node.output.name] = node.attrs["value"]
        return found

    @cached_property
    def sizes(self) -> dict[str, float]:
        """The magnitudes of these values."""
        return {name: magnitude(array) for name, array in self.by_name.items()}


def _compared(
    row: Row, subject: Subject, case: Case, backend: Backend, base: _Run, exact: bool
) -> _Run | None:
    """Run a level and enter in its row how it compares with `base`; None if it cannot be run."""
    if row.failure:
        return None
    try:
        run = _Run(subject, case, backend, row.level)
    except (GraphFlowError, Warning) as error:
        row.failure = error.message if isinstance(error, GraphFlowError) else str(error)
        return None
    row.edits = max(row.edits, run.journal.edits)
    _Judge(row, run, case, exact, rounded=backend.name != "numpy").compare(base)
    return run


class _Judge:
    """Compares one run with another, and enters what it finds in a row."""

    def __init__(self, row: Row, run: _Run, case: Case, exact: bool, rounded: bool) -> None:
        self.row, self.run, self.case, self.exact, self.rounded = row, run, case, exact, rounded

    def compare(self, base: _Run) -> None:
        """All tensors with counterparts, and then the outputs as they are without watching the others."""
        known, sizes, run = base.by_name, base.sizes, self.run
        pairs = {pair.before: pair for pair in run.pairs if pair.before.name in known}
        errors: dict[Tensor, float] = {}
        limits: dict[Tensor, tuple[float, float]] = {}
        for node in run.original.order():
            inherited = max([errors[tensor] for tensor in node.inputs], default=0.0)
            scale = max([sizes.get(tensor.name, 0.0) for tensor in node.inputs], default=0.0)
            for tensor in node.outputs:
                limits[tensor] = scale, _GROWTH * inherited
                errors[tensor] = inherited
                if tensor in pairs:
                    value = run.values[pairs[tensor].after]
                    found = self._enter(pairs[tensor], known[tensor.name], value, *limits[tensor])
                    errors[tensor] = found.absolute if np.isfinite(found.absolute) else 0.0
        for number, tensor in enumerate(run.original.outputs):
            pair = pairs.get(tensor) or Pair(tensor, run.program.outputs[number], "rounding", 1e-4)
            self._enter(pair, base.outputs[number], run.outputs[number], *limits[tensor])

    def _enter(
        self, pair: Pair, expected: np.ndarray, actual: np.ndarray, scale: float, slack: float
    ) -> Distance:
        """Judge one tensor."""
        row, safety = self.row, pair.safety
        if self.rounded and safety in ("exact", "finite"):
            safety = "rounding"
        if self.exact and not self.rounded:
            safety = "exact"
        fine, found = judge(expected, actual, safety, pair.tolerance, scale, slack)
        if self.case.special and safety != "exact":
            return found  # a rule may turn what is not finite into what is, and then all below differs
        row.compared += 1
        row.equal += found.ulps == 0
        if fine:
            if (found.relative, found.ulps) > (row.worst.relative, row.worst.ulps):
                row.worst, row.worst_tensor = found, _name(pair.before)
        elif row.parting is None:
            node = pair.before.node
            row.parting = Parting(
                _name(pair.before),
                str(node.origin or ""),
                node.op.name,
                safety,
                found,
                self.case.label,
                _rules_at(self.run, pair.before, pair.after),
            )
        return found


def _name(tensor: Tensor) -> str:
    return tensor.node.name if len(tensor.node.outputs) == 1 else tensor.name


def _rules_at(run: _Run, before: Tensor, after: Tensor) -> tuple[str, ...]:
    """The rules that removed the node, gave what is there now, or edited a body in it."""
    names = {before.node.name, after.node.name}
    found = [
        entry.rule
        for entry in run.journal.entries
        if names & {*entry.removed, *entry.added}
        or any(name.partition(":")[0] in names for name in entry.removed if ":" in name)
    ]
    return tuple(dict.fromkeys(found))

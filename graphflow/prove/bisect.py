"""Bisect: the one edit of the optimizer that changes the answer, found by replaying half of the edits.

The answer after no edit is right and that after all of them is not, so somewhere among them there is an
edit with a right answer before and a wrong one after it; a binary search ends at such a pair whether or
not the answers in between go back and forth. What is found is cut down to the nodes that the rule met,
with the values that they had, as a graph of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.optimizer.closeness import EQUAL, Distance, judge, magnitude, rounding_tolerance
from graphflow.optimizer.journal import Entry, Journal, describe
from graphflow.optimizer.pipelines import PIPELINES, parse_pipeline
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule
from graphflow.optimizer.rules import RULES
from graphflow.prove.minimal import Minimal, cut_down, locate
from graphflow.prove.reproduction import Settings, write
from graphflow.prove.subject import Case, Subject
from graphflow.runtime.backend import Backend, get_backend

_SHOWN = 6


@dataclass(frozen=True)
class Bisection:
    """What a bisection found; print it.

    Attributes:
        title: what was bisected, at which level and on which backend.
        edits: how many edits there are in all.
        number: that of the edit which changes the answer, from 1; 0 if none does.
        entry: it, as the journal has it; None if there is none.
        origin: the user's line of the node it is about.
        safety, evidence, algebra: what the rule claims.
        before, after: the nodes that went and came, as text.
        output: the output that changes.
        distance: by how much it does, or the largest difference if that is permitted.
        runs: how many programs were run.
        minimal: the part of the graph that shows it, or None.
        files: what was written.
    """

    title: str
    edits: int
    number: int
    entry: Entry | None
    origin: str
    safety: str
    evidence: str
    algebra: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    output: str
    distance: Distance
    runs: int
    minimal: Minimal | None
    files: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether an edit changes the answer."""
        return self.entry is not None

    def __str__(self) -> str:
        if self.entry is None:
            same = f"largest difference: {self.distance}" if self.distance.ulps else "equal to the bit"
            return f"{self.title}: none of {self.edits} edits changes the answer ({same})"
        entry = self.entry
        at = f" ({self.origin})" if self.origin else ""
        lines = [
            f"{self.title}: edit {self.number} of {self.edits} changes the answer ({self.runs} runs)",
            "",
            f"rule    {entry.rule} in {entry.pass_name}"
            + (f", {self.safety}, {self.evidence}" if self.safety else ""),
            *([f"        {self.algebra}"] if self.algebra else []),
            f"node    {_about(entry)}{at}",
            *[f"before  {text}" if not n else f"        {text}" for n, text in enumerate(self.before)],
            *[f"after   {text}" if not n else f"        {text}" for n, text in enumerate(self.after)],
            f"output  {self.output}: {self.distance}",
        ]
        if self.minimal is not None:
            lines.append(f"shown   by {self.minimal}")
        return "\n".join([*lines, *[f"wrote   {path}" for path in self.files]])

    def to_dict(self) -> dict[str, Any]:
        """The result in types that JSON has."""
        return {
            "title": self.title,
            "found": self.found,
            "edits": self.edits,
            "number": self.number,
            "rule": self.entry.rule if self.entry else "",
            "pass": self.entry.pass_name if self.entry else "",
            "node": _about(self.entry) if self.entry else "",
            "origin": self.origin,
            "safety": self.safety,
            "evidence": self.evidence,
            "before": list(self.before),
            "after": list(self.after),
            "output": self.output,
            "distance": self.distance.to_dict(),
            "runs": self.runs,
            "graph": self.minimal.text if self.minimal else "",
            "files": list(self.files),
        }


def _about(entry: Entry) -> str:
    return (entry.removed or entry.into or ("?",))[0]


def bisect(
    what: Any,
    inputs: Mapping[Any, Any],
    level: str = "O2",
    backend: str = "numpy",
    *,
    rules: Sequence[Rule] = (),
    tolerance: float | None = None,
    exact: bool = False,
    folder: str | Path | None = None,
) -> Bisection:
    """Find the edit of the optimizer that changes the answer.

    Arguments:
        what: a gf.Model, a graph with outputs, or tensors.
        inputs: arrays by name.
        level: "O0" to "O3", or a pipeline in string form.
        backend: where the programs run.
        rules: further rules that the optimizer uses.
        tolerance: the largest permitted difference, relative to the largest element of an output; by
            default what rounding in the output's dtype may amount to.
        exact: let no bit differ.
        folder: where a ready test with the smallest graph that shows it, and its inputs, is written.

    Returns:
        a Bisection; print it, or ask `.found`.

    Raises:
        FeedError: for inputs that do not fit.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (3,))
    >>> print(gf.prove.bisect(gf.exp(x * 1.0), {"x": [1.0, 2.0, 3.0]}))
    'default' at O2 on numpy: none of 1 edits changes the answer (equal to the bit)
    """
    if not isinstance(level, str):
        raise AttributeValueError(f"the level is {level!r:.80}", hint="give a level or a pipeline as a str")
    if level not in PIPELINES:
        parse_pipeline(level)
    subject = Subject(what, rules)
    search = _Search(
        subject, subject.case("the given inputs", inputs), get_backend(backend), level, tolerance, exact
    )
    title = f"{subject.model.graph.name!r} at {level} on {backend}"
    good, bad = 0, search.edits
    if not search.differs(bad):
        largest = search.largest(bad)
        return Bisection(
            title, bad, 0, None, "", "", "", "", (), (), "", largest, search.runs, None, ()
        )  # fmt: skip
    while bad - good > 1:
        middle = (good + bad) // 2
        if search.differs(middle):
            bad = middle
        else:
            good = middle
    return _told(title, search, bad, folder)


class _Search:
    """Programs after some edits, and whether they give the wrong answer; each is made and run once."""

    def __init__(
        self, subject: Subject, case: Case, backend: Backend, level: str, tolerance: float | None, exact: bool
    ) -> None:
        self.subject, self.case, self.backend, self.level = subject, case, backend, level
        self.tolerance, self.exact = tolerance, exact
        self.runs = 0
        self._known: dict[int, tuple[int, str, Distance]] = {}
        self.right = self._outputs(0)
        original = subject.static(case)
        read = [tensor.node.inputs for tensor in original.outputs]
        outside = subject.outside(original, case)
        self.scales = [max(map(magnitude, evaluate(tensors, outside)), default=0.0) for tensors in read]
        journal = Journal("counts")
        subject.build(case, backend, level, journal)
        self.edits = journal.edits

    def program(self, steps: int) -> tuple[Program, Journal]:
        """The program after so many edits."""
        journal = Journal("entries", steps)
        return self.subject.build(self.case, self.backend, self.level, journal), journal

    def _outputs(self, steps: int) -> list[np.ndarray]:
        self.runs += 1
        return self.subject.run(self.program(steps)[0], self.case, self.backend)

    def differs(self, steps: int) -> bool:
        """Whether the answer after so many edits is wrong."""
        return self.compared(steps)[0] >= 0

    def largest(self, steps: int) -> Distance:
        """The largest difference of an output."""
        return self.compared(steps)[2]

    def compared(self, steps: int) -> tuple[int, str, Distance]:
        """The number and name of the first wrong output, or -1; and how far it, or the worst one, is off."""
        if steps not in self._known:
            self._known[steps] = self._compare(self._outputs(steps))
        return self._known[steps]

    def _compare(self, outputs: Sequence[np.ndarray]) -> tuple[int, str, Distance]:
        worst = EQUAL
        names = list(self.subject.model.outputs)
        for number, (tensor, expected, actual) in enumerate(zip(self.subject.fetches, self.right, outputs)):
            allowed = self._allowed(tensor)
            safety, scale = "exact" if self.exact else "rounding", self.scales[number]
            fine, found = judge(expected, actual, safety, allowed, scale)
            if not fine:
                return number, names[number], found
            worst = max(worst, found, key=lambda one: one.ulps)
        return -1, "", worst

    def _allowed(self, tensor: Tensor) -> float:
        return rounding_tolerance(tensor.dtype) if self.tolerance is None else self.tolerance


def _told(title: str, search: _Search, number: int, folder: str | Path | None) -> Bisection:
    """The result, once the edit is known."""
    subject, case = search.subject, search.case
    good, bad = search.program(number - 1), search.program(number)
    journal = bad[1]
    entry = journal.entries[number - 1]
    rule = next((one for one in (*RULES, *subject.rules) if one.name == entry.rule), None)
    _, output, found = search.compared(number)
    settings = Settings(search.level, search.backend.name, subject.rules, search.exact, entry.rule)
    place = locate(subject, case, good, bad, entry)
    minimal = cut_down(subject, case, place, settings)
    gone = journal.gone.get(_about(entry))
    origin = gone.origin if gone else ""
    files: tuple[str, ...] = ()
    if folder is not None and minimal is not None:
        files = tuple(map(str, write(folder, minimal, settings, origin)))
    made = {node.name: node for node in place.bad.order()}
    came = [describe(made[name]) for name in place.added if name in made]
    return Bisection(
        title, search.edits, number, entry, origin,
        rule.safety if rule else "", rule.evidence if rule else "", rule.algebra if rule else entry.reason,
        tuple([journal.gone[name].text for name in entry.removed[:_SHOWN] if name in journal.gone]),
        tuple(came[:_SHOWN]) or entry.into, output, found, search.runs, minimal, files,
    )  # fmt: skip

"""Judging one graph: every level on every backend, each difference held against the safety class it is under.

What rules of the class "exact" leave must be equal to the bit, special values among the inputs. Below a rule
that rounds, and between backends, a difference counts unless rounding explains it (see `noise`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import FeedError, GraphFlowError, ShapeError
from graphflow.optimizer.nonfinite import first_birth, not_finite_outside
from graphflow.prove.comparison import Row, compare
from graphflow.prove.fuzz.noise import explained, hangs_on_nan
from graphflow.prove.subject import Case, Subject
from graphflow.runtime.backend import Backend


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a graph.

    Attributes:
        kind: "parted" (values differ), "failed" (a level cannot be run) or "crashed" (it raises what is no
            GraphFlowError).
        backend, level: where.
        what: in words.
        tensor: the first that differs, "" if none does.
        rules: those at work there.
        special: whether it takes inputs with NaN, infinities and the like.
    """

    kind: str
    backend: str
    level: str
    what: str
    tensor: str = ""
    rules: tuple[str, ...] = ()
    special: bool = False

    def same(self, other: Fault) -> bool:
        """Whether another graph has the same fault, as far as can be told."""
        return (self.kind, self.backend, self.level) == (other.kind, other.backend, other.level) and (
            self.kind == "parted" or _stem(self.what) == _stem(other.what)
        )


def _stem(text: str) -> str:
    """What a message begins with, without the names and numbers in it."""
    return re.sub(r"\d+", "", text.partition("'")[0])[:60]


def faults(
    subject: Subject, cases: Sequence[Case], backends: Mapping[str, Backend], levels: Sequence[str]
) -> list[Fault]:
    """All faults of a graph, the first of each backend and level."""
    found: list[Fault] = []
    for name, backend in backends.items():
        for case in cases if name == "numpy" else cases[:1]:
            try:
                rows = compare(subject, [case], {name: backend}, list(levels), exact=False)
            except FeedError:
                continue  # a size that no input tells, as of a gradient that is zero
            except GraphFlowError as error:
                if not _refuses_sizes(subject, case):
                    found.append(Fault("failed", name, "O0", error.message, special=case.special))
                continue
            except Exception as error:  # any that a graph can bring about is what is looked for
                if not isinstance(error, np.linalg.LinAlgError):
                    said = f"{type(error).__name__}: {error}"
                    found.append(Fault("crashed", name, "any", said, special=case.special))
                continue
            found += [fault for row in rows for fault in _of_row(row, subject, case)]
    return found


def _refuses_sizes(subject: Subject, case: Case) -> bool:
    """Whether the graph as built refuses the sizes of a case, as of a position outside of an axis."""
    try:
        subject.static(case)
    except ShapeError:
        return True
    return False


def _of_row(row: Row, subject: Subject, case: Case) -> list[Fault]:
    if row.failure:
        refused = "cannot run" in row.failure
        return [] if refused else [Fault("failed", row.backend, row.level, row.failure, special=case.special)]
    parting = row.parting
    if parting is None:
        return []
    program = subject.static(case)
    outside = subject.outside(program, case)
    if case.special and hangs_on_nan(program, outside, parting.tensor):
        return []
    if parting.safety != "exact" and (
        first_birth(program, outside) is not None  # nothing is promised of what is not finite
        or not_finite_outside(program, outside) is not None
        or explained(program, outside, parting.tensor, parting.distance)
    ):
        return []
    return [
        Fault("parted", row.backend, row.level, str(parting), parting.tensor, parting.rules, case.special)
    ]


def case_of(subject: Subject, inputs: Mapping[str, Any], special: bool) -> Case:
    """The inputs of a graph as a case; those that it does not need are left out."""
    needed = {name: inputs[name] for name in subject.inputs}
    return subject.case("the inputs it was made for", needed, special)

"""Check: a model unoptimised and at each level, on each backend, with every corresponding tensor compared.

The reference is the numpy backend at O0. On numpy a tensor below exact rules alone must be equal to the
bit; below a rule that rounds, and on other backends, it must be equal within rounding. Where a tensor
parts, the first one in the order of the graph is named, with the rules at work there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.optimizer.nonfinite import first_birth
from graphflow.optimizer.pipelines import PIPELINES, parse_pipeline
from graphflow.optimizer.rule import Rule
from graphflow.prove.comparison import Row, compare
from graphflow.prove.inputs import generated_case
from graphflow.prove.subject import Case, Subject
from graphflow.prove.tables import table
from graphflow.runtime.backend import availability, get_backend


@dataclass
class Check:
    """What a check found; print it.

    Attributes:
        title: what was checked.
        inputs: the labels of the inputs.
        rows: one for each backend and level.
        skipped: the backends that are not available, or cannot run the model, with reasons.
        born: for each inputs, the first node that makes NaN or infinity of finite values; with `nan_guard`.
    """

    title: str
    inputs: list[str]
    rows: list[Row]
    skipped: dict[str, str]
    born: list[str]

    @property
    def passed(self) -> bool:
        """Whether every level agrees on every backend, and the guard found nothing."""
        return all(row.passed for row in self.rows) and not self.born

    def __str__(self) -> str:
        lines = [f"check of {self.title} with {'; '.join(self.inputs)}", ""]
        rows = [["backend", "level", "edits", "tensors", "equal", "largest difference", ""]]
        for row in self.rows:
            rows.append(
                [
                    row.backend,
                    row.level,
                    str(row.edits),
                    str(row.compared),
                    str(row.equal),
                    _worst(row),
                    _verdict(row),
                ]
            )
        lines.append(table(rows, right=(2, 3, 4)))
        lines += [f"{name}: not checked, {reason}" for name, reason in self.skipped.items()]
        for row in self.rows:
            if row.parting is not None:
                lines += ["", f"{row.backend} {row.level}: {row.parting}"]
            if row.failure:
                lines += ["", f"{row.backend} {row.level}: {row.failure}"]
        return "\n".join([*lines, *([""] if self.born else []), *self.born])

    def to_dict(self) -> dict[str, Any]:
        """The whole result in types that JSON has."""
        return {
            "title": self.title,
            "inputs": self.inputs,
            "passed": self.passed,
            "rows": [_row_dict(row) for row in self.rows],
            "skipped": self.skipped,
            "nan_guard": self.born,
        }


def _verdict(row: Row) -> str:
    return "failed" if row.failure else "PARTED" if row.parting is not None else "ok"


def _worst(row: Row) -> str:
    if row.failure or not row.compared:
        return "-"
    if row.worst.ulps == 0:
        return "none"
    return f"{row.worst.relative:.1g} of the largest, {row.worst.ulps:,.0f} ulp at {row.worst_tensor}"


def _row_dict(row: Row) -> dict[str, Any]:
    parting = row.parting
    told = None
    if parting is not None:
        told = {name: getattr(parting, name) for name in ("tensor", "origin", "op", "safety", "inputs")}
        told.update(distance=parting.distance.to_dict(), rules=list(parting.rules))
    return {
        "backend": row.backend,
        "level": row.level,
        "edits": row.edits,
        "compared": row.compared,
        "equal": row.equal,
        "worst": row.worst.to_dict(),
        "worst_tensor": row.worst_tensor,
        "passed": row.passed,
        "failure": row.failure,
        "parting": told,
    }


def check(
    what: Any,
    inputs: Mapping[Any, Any] | None = None,
    levels: Sequence[str] = ("O1", "O2", "O3"),
    backends: Sequence[str] | None = None,
    *,
    seeds: int = 2,
    rules: Sequence[Rule] = (),
    exact: bool = False,
    nan_guard: bool = False,
) -> Check:
    """Compare a model as built with what each level makes of it, tensor by tensor, on each backend.

    Arguments:
        what: a gf.Model; a graph with outputs; or tensors. Updates of variables are left out.
        inputs: arrays by name; if they are left out, inputs are made up from the types, among them ones
            with NaN, infinities and the like, for which what is exact is compared.
        levels: levels, or pipelines in string form.
        backends: names; if left out all that are available, but for those that lack an operator of the model.
        seeds: how many inputs of normal numbers are made up.
        rules: further rules that the optimizer is to use.
        exact: let nothing differ by a bit, whatever the class of a rule; on numpy only.
        nan_guard: also look for the first node that makes NaN or infinity out of finite values.

    Returns:
        a Check; print it, or ask `.passed`.

    Raises:
        FeedError: for inputs that do not fit.
        AttributeValueError: for an unknown level.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 3))
    >>> gf.prove.check(gf.nn.softmax(x * 1.0), backends=["numpy"]).passed
    True
    """
    subject = Subject(what, rules)
    for level in _texts(levels, "levels", "O1"):
        if level not in PIPELINES:
            parse_pipeline(level)
    skipped: dict[str, str] = {}
    if backends is None:
        reasons = availability()
        skipped = {name: reason for name, reason in reasons.items() if reason is not None}
        names = [name for name, reason in reasons.items() if reason is None]
    else:
        names = _texts(backends, "backends", "numpy")
    chosen = {name: get_backend(name) for name in sorted(names, key=lambda name: (name != "numpy", name))}
    if inputs is not None:
        cases = [subject.case("the given inputs", inputs)]
    else:
        cases = [generated_case(subject, seed, special=False) for seed in range(seeds)]
        cases.append(generated_case(subject, seeds, special=True))
    rows = compare(subject, cases, chosen, list(levels), exact)
    if backends is None:
        skipped |= {row.backend: row.failure for row in rows if row.level == "O0" and _is_refusal(row)}
        rows = [row for row in rows if row.backend not in skipped]
    born = [line for case in cases if not case.special and nan_guard for line in _births(subject, case)]
    return Check(repr(subject.model.graph.name), [case.label for case in cases], rows, skipped, born)


def _is_refusal(row: Row) -> bool:
    """Whether a backend cannot run the model even as it was built."""
    return row.failure.startswith(f"the backend {row.backend!r} cannot run")


def _texts(given: Any, what: str, example: str) -> list[str]:
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    if not listed or not all(isinstance(item, str) for item in listed):
        raise AttributeValueError(
            f"the {what} are {given!r:.80}", hint=f"pass a list of names: [{example!r}]"
        )
    return listed


# The NaN guard


def _births(subject: Subject, case: Case) -> list[str]:
    """The first node of the program as built that makes NaN or infinity of finite values, in words."""
    program = subject.static(case)
    birth = first_birth(program, subject.outside(program, case))
    return [] if birth is None else [f"{birth}, with {case.label}"]

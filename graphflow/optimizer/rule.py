"""Rules: a pattern, a replacement, and how far the replacement can be trusted.

    @rule(P.log(P.softmax(X, axis=AXIS)), safety="rounding", evidence="sampled", tags="stabilize")
    def log_of_softmax(match, b):
        \"""log(softmax(x)) = log_softmax(x), finite where softmax underflows to 0.\"""
        if not match.inner.has_one_use:
            return decline(f"{match.inner.name} has other users")
        return b.log_softmax(match.X, axis=match.AXIS)

The function gets the match and a Builder. It returns the tensor that takes the root's place (a list
of them if the root has several outputs), or `decline("reason")` where it could fire but should not,
or None where the pattern fits in form only, which is not worth a remark.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from graphflow.errors import GraphError, RewriteError
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.pattern import Match, Operation, Plan, plans
from graphflow.optimizer.rewriter import Rewriter

SAFETY = {
    "exact": "the same bits for every input",
    "finite": "equal if there are no NaN and no infinities; zeros may differ in sign",
    "rounding": "equal in real arithmetic; the last bits may differ",
    "unsafe": "equal only under conditions that are not checked",
}
"""The safety classes, safest first. A pipeline states the last one it admits."""

EVIDENCE = {
    "proved": "follows from the algebra in the docstring",
    "exhaustive": "tested on every value of a small dtype",
    "sampled": "tested on random and awkward values",
    "assumed": "taken from the literature, or on trust in who wrote it",
}

_PACKAGE = "graphflow."


@dataclass(frozen=True, slots=True)
class Decline:
    """A rule's answer that it could fire but should not; see `decline`."""

    reason: str


def decline(reason: str) -> Decline:
    """What a rule returns where it could fire but has a reason not to, in words a user can act on."""
    return Decline(reason)


Answer: TypeAlias = Tensor | Sequence[Tensor | None] | Decline | None
"""What a rule may return."""

RuleFunction: TypeAlias = Callable[[Match, Builder], Answer]


class Applicable(Protocol):
    """What the driver tries on nodes: a compiled pattern."""

    def accepts(self, child_ops: Sequence[str]) -> bool:
        """Whether nodes whose inputs are made by these operators may match."""
        ...

    def match(self, node: Node, rewriter: Rewriter) -> Match | None:
        """The match of a node, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewrite rule.

    Attributes:
        name: unique among all rules; the journal quotes it.
        patterns: what it matches; several are alternatives.
        function: (match, builder) -> replacement, Decline or None.
        safety, evidence: keys of `SAFETY` and `EVIDENCE`.
        tags: families it belongs to, such as "stabilize".
        algebra: the first sentence of its docstring.
        kind: the kind of journal entry it writes.
    """

    name: str
    patterns: tuple[Operation, ...]
    function: RuleFunction
    safety: str = "exact"
    evidence: str = "proved"
    tags: frozenset[str] = frozenset()
    algebra: str = ""
    kind: str = "replace"
    root_names: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root_names", tuple(dict.fromkeys(p.op_name for p in self.patterns)))

    def plans_for(self, op_name: str) -> list[Applicable]:
        """The compiled patterns whose root is the operator; none while they name operators unknown."""
        found: list[Plan] = []
        for pattern in self.patterns:
            if pattern.op_name == op_name:
                found += plans(pattern)
        return list(found)

    def inner_depths(self) -> dict[str, int]:
        """For each operator below the root of a pattern, the depth of its lowest place."""
        depths: dict[str, int] = {}
        for pattern in self.patterns:
            for operation, depth in pattern.operations():
                depths[operation.op_name] = max(depths.get(operation.op_name, 0), depth)
        return depths

    def nested_operators(self) -> Iterator[tuple[str, str, int]]:
        """Each operator below another one in a pattern, that one, and the depth of its place."""
        for pattern in self.patterns:
            for operation, depth in pattern.operations():
                for operand in operation.operands:
                    if isinstance(operand, Operation):
                        yield operand.op_name, operation.op_name, depth

    def __repr__(self) -> str:
        return f"<rule {self.name} ({self.safety}): {' | '.join(map(repr, self.patterns))}>"


def rule(
    pattern: Operation | Sequence[Operation],
    *,
    safety: str,
    evidence: str = "",
    tags: str = "",
) -> Callable[[RuleFunction], Rule]:
    """Turn a function into a Rule; see the module docstring.

    Arguments:
        pattern: what it matches, or several alternatives.
        safety: a key of `SAFETY`.
        evidence: a key of `EVIDENCE`; if left out, "proved" for rules of this package, "assumed" for others.
        tags: family names, separated by spaces.

    Raises:
        RewriteError: for an unknown class, or a function without a docstring.
    """
    for value, allowed in ((safety, SAFETY), (evidence or "assumed", EVIDENCE)):
        if value not in allowed:
            raise RewriteError(f"a rule cannot be {value!r}", hint="use " + ", ".join(allowed))
    patterns = (pattern,) if isinstance(pattern, Operation) else tuple(pattern)

    def declare(function: RuleFunction) -> Rule:
        algebra = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        if not algebra:
            raise RewriteError(
                f"rule {function.__name__!r} does not state its algebra", hint="write a docstring"
            )
        tagged = frozenset(tags.split())
        known = evidence or ("proved" if function.__module__.startswith(_PACKAGE) else "assumed")
        return Rule(function.__name__, patterns, function, safety, known, tagged, algebra)

    return declare


def admits(limit: str, safety: str) -> bool:
    """Whether a pipeline that admits everything up to `limit` admits a rule of class `safety`.

    >>> admits("finite", "exact"), admits("finite", "rounding")
    (True, False)
    """
    classes = list(SAFETY)
    return classes.index(safety) <= classes.index(limit)


def select(rules: Iterable[Rule], safety: str, tags: Iterable[str] = ()) -> list[Rule]:
    """The rules up to a safety class, and those of any class but "unsafe" that carry one of the tags."""
    wanted = frozenset(tags)
    return [
        one for one in rules if admits(safety, one.safety) or (wanted & one.tags and one.safety != "unsafe")
    ]


def checked_rules(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules of a user, once it is known that they are some.

    Raises:
        RewriteError: for anything else, two of one name, or a pattern with an operator that does not exist.
    """
    listed = tuple(rules) if isinstance(rules, (list, tuple)) else (rules,)
    for one in listed:
        if not isinstance(one, Rule):
            raise RewriteError(
                f"{one!r:.80} is no rule", hint="write one with @rule, and pass a list: rules=[my_rule]"
            )
        _require_operators(one)
    names = [one.name for one in listed]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RewriteError(f"the rule {twice!r} is listed twice", hint="give each rule its own name")
    return listed


def _require_operators(one: Rule) -> None:
    """Refuse a pattern that could never match, as it names an operator that there is none of."""
    for pattern in one.patterns:
        for operation, _ in pattern.operations():
            try:
                registry[operation.op_name]
            except GraphError as error:
                raise RewriteError(
                    f"rule {one.name!r} looks for P.{operation.op_name}, but {error.message}", hint=error.hint
                ) from None

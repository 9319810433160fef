"""One case drives three tests of a rule: the program it gives, the values it keeps, and that it ends."""

from __future__ import annotations

from typing import NamedTuple

from graphflow.optimizer.rule import Rule
from tests.optimizer.rewriting import assert_rewrites, assert_same_values


class Case(NamedTuple):
    """`rule` turns `before` into `after`; values agree within `rtol` where the rule may round."""

    rule: Rule
    before: str
    after: str
    rtol: float = 2e-6


def check_program(case: Case) -> None:
    """The rule alone gives the expected program, and finds nothing more to do there."""
    assert_rewrites(case.rule, case.before, case.after)


def check_values(case: Case) -> None:
    """Bits for exact rules, on NaN, infinities, -0.0 and all; else as far as the safety class goes."""
    if case.rule.safety == "exact":
        assert_same_values(case.rule, case.before)
    elif case.rule.safety == "finite":
        assert_same_values(case.rule, case.before, finite=True, atol=1e-300)  # zeros may differ in sign
    else:
        assert_same_values(case.rule, case.before, finite=True, rtol=case.rtol, atol=1e-6)


def identify(case: Case) -> str:
    """A short name for the test's report."""
    return f"{case.rule.name}: {case.before.partition('->')[2].strip()}"

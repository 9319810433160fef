"""No rule goes untested, and no two rules disagree about the end."""

from __future__ import annotations

import pytest

from graphflow.optimizer.rules import RULES
from tests.optimizer.rewriting import build, rewrite, show
from tests.optimizer.rules import (
    test_arithmetic,
    test_attention_forms,
    test_bounds,
    test_canonical,
    test_composites,
    test_cuts,
    test_fold_weights,
    test_logic,
    test_movement,
    test_pieces,
    test_products,
    test_quantization,
    test_reassociate,
    test_reduction,
    test_selections,
    test_shape,
    test_sizes,
    test_stabilize,
    test_stable_functions,
    test_stable_losses,
    test_strength,
    test_totals,
    test_truth,
)
from tests.optimizer.rules.cases import Case, check_program, check_values, identify

FAMILIES = (
    test_arithmetic,
    test_attention_forms,
    test_bounds,
    test_canonical,
    test_composites,
    test_cuts,
    test_fold_weights,
    test_logic,
    test_movement,
    test_pieces,
    test_products,
    test_quantization,
    test_reassociate,
    test_reduction,
    test_selections,
    test_shape,
    test_sizes,
    test_stabilize,
    test_stable_functions,
    test_stable_losses,
    test_strength,
    test_totals,
    test_truth,
)
CASES = [case for family in FAMILIES for case in family.CASES]


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {case.rule.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_program(case: Case) -> None:
    check_program(case)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_values(case: Case) -> None:
    check_values(case)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_all_rules_together_come_to_an_end(case: Case) -> None:
    """A second run of every rule changes nothing: no rule undoes another."""
    program = build(case.before)
    assert rewrite(program, RULES).edits
    settled = show(program)
    assert not rewrite(program, RULES).edits
    assert show(program) == settled

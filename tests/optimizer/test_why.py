"""Why a rule did not fire: each kind of reason, in words that name the place."""

from __future__ import annotations

import pytest

from graphflow.errors import GraphFlowError, RewriteError
from graphflow.optimizer.explain import Report, explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.rule import decline, rule
from tests.optimizer.rewriting import build

X, AXIS = variables("X AXIS")
TEXT = (
    "x: float32[4,7] -> e = exp(x); s = softmax(x, axis=1); "
    "(subtract(e, 1.0), square(e), log(x), log(add(e, 2.0)), log(softmax(x, axis=0)), multiply(x, 1.0))"
)


@rule(P.square(X), safety="exact")
def shy(m, b):
    """square(x) = square(x), which this rule declines to say."""
    return decline("it is shy")


@rule(P.exp(P.sin(X)), safety="unsafe")
def bold(m, b):
    """exp(sin(x)) = x, which is wrong."""
    return m.X


def report(level: str = "O2", text: str = TEXT, **options: object) -> Report:
    program, journal = build(text), Journal("remarks")
    optimize(program, level, journal=journal, rules=[shy, bold], **options)
    return explain(build(text), program, journal)


def test_declines_are_quoted() -> None:
    assert report().why_not("exp_minus_one", "subtract") == "it declined: exp has other users"
    assert report().why_not("shy", "square") == "it declined: it is shy"


@pytest.mark.parametrize(
    ("name", "node", "said"),
    [
        ("log_of_softmax", "exp", "is for log, but exp is exp"),
        ("log_of_softmax", "log", "softmax(X, axis=AXIS) should be softmax, but x is placeholder"),
        ("log_of_one_plus", "log_1", "1 should be a constant of that value, but constant_1 is 2.0"),
    ],
)
def test_the_part_of_the_pattern_that_fails_is_named(name: str, node: str, said: str) -> None:
    assert said in report().why_not(name, node)


def test_levels_that_do_not_have_the_rule_are_told() -> None:
    told = report("O1").why_not("log_of_softmax", "log_2")
    assert "of class rounding, which O1 does not admit; the first level with it is O2" in told
    assert "it would fire if it were tried" in told
    assert "no level admits it" in report().why_not("bold", "exp")


def test_what_fired_says_so() -> None:
    assert report().why_not("log_of_softmax", "log_2").startswith("it did: edit ")
    told = report().why_not("shy", "multiply")
    assert "removed it by [neutral_element], into x" in told and "before that:" in told


def test_unknown_rules_and_nodes_get_suggestions() -> None:
    with pytest.raises(RewriteError, match="no rule 'log_of_softmaxx'") as caught:
        report().why_not("log_of_softmaxx", "log")
    assert "did you mean 'log_of_softmax'" in str(caught.value)
    with pytest.raises(GraphFlowError, match="no node 'lag'"):
        report().why_not("log_of_softmax", "lag")


def test_a_rule_of_the_user_shows_its_class_in_the_report() -> None:
    text = "x: float32[3] -> exp(sin(x))"
    program, journal = build(text), Journal("remarks")
    optimize(program, pipeline="canonicalize{safety=unsafe}", journal=journal, rules=[bold])
    assert "unsafe, assumed" in str(explain(build(text), program, journal))


def test_rules_are_checked() -> None:
    for wrong in ("shy", [1], [shy, shy]):
        with pytest.raises(RewriteError):
            optimize(build(TEXT), rules=wrong)


def test_the_work_of_passes_can_be_asked_for() -> None:
    text = "x: float32[4,7] -> y = exp(x); (relu(add(y, 2.0)), exp(sort(y)), log(x))"
    program, journal = build(text), Journal("remarks")
    optimize(program, "O2", "fuse", journal)
    told = explain(build(text), program, journal)
    assert told.why_not("fuse", "relu").startswith("it did: relu is in fused_")
    assert told.why_not("fuse", "sort").startswith("it declined: sort is opaque")
    assert told.why_not("fold", "x") == "it found nothing to do at x"
    assert told.why_not("layout", "x").startswith("the pass layout is not part of what ran")
    merged = report(text="x: float32[3] -> (exp(x), exp(x))").why_not("merge_twins", "exp_1")
    assert merged.startswith("it did: edit 1 removed it by [merge_twins]")


def test_suggestions_are_not_said_twice() -> None:
    with pytest.raises(GraphFlowError) as caught:
        report().why_not("exp_minus_one", "subtrac")
    assert caught.value.hint.count("'subtract'") == 1

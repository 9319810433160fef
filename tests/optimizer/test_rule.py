"""Rules as records: classes, tags, selection."""

from __future__ import annotations

import pytest

from graphflow.errors import RewriteError
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import EVIDENCE, SAFETY, Decline, admits, checked_rules, decline, rule, select
from graphflow.optimizer.rules import RULES

(X,) = variables("X")


def test_a_rule_states_its_algebra() -> None:
    @rule(P.exp(X), safety="exact", evidence="sampled", tags="one two")
    def plain(m, b):
        """exp(x) = exp(x),
        always.

        And then some.
        """

    assert plain.algebra == "exp(x) = exp(x), always." and plain.tags == {"one", "two"}
    assert repr(plain) == "<rule plain (exact): exp(X)>"


def test_a_rule_without_algebra_is_refused() -> None:
    with pytest.raises(RewriteError, match="does not state its algebra"):
        rule(P.exp(X), safety="exact")(lambda m, b: None)


@pytest.mark.parametrize("classes", [{"safety": "perhaps"}, {"safety": "exact", "evidence": "hearsay"}])
def test_unknown_classes_are_refused(classes: dict[str, str]) -> None:
    with pytest.raises(RewriteError, match="a rule cannot be"):
        rule(P.exp(X), **classes)


def test_declining_gives_a_reason() -> None:
    assert decline("too large") == Decline("too large")


def test_classes_are_ordered() -> None:
    classes = list(SAFETY)
    for place, limit in enumerate(classes):
        assert [admits(limit, one) for one in classes] == [at <= place for at in range(len(classes))]


def test_selection_honours_class_and_tags() -> None:
    exact = select(RULES, "exact")
    assert {one.safety for one in exact} == {"exact"}
    better = select(RULES, "exact", ["stabilize"])
    assert {one.name for one in better} - {one.name for one in exact} == {
        one.name for one in RULES if "stabilize" in one.tags and one.safety != "exact"
    }
    assert not any(one.safety == "unsafe" for one in select(RULES, "rounding", ["stabilize"]))
    assert select(RULES, "unsafe") == list(RULES)


def test_depths_tell_how_far_an_edit_is_seen() -> None:
    @rule(P.sqrt(P.cos(P.sin(X))), safety="unsafe")
    def deep(m, b):
        """Nothing."""

    assert deep.inner_depths() == {"sqrt": 0, "cos": 1, "sin": 2}


def test_every_rule_is_documented_and_classified() -> None:
    assert len({one.name for one in RULES}) == len(RULES) >= 60
    for one in RULES:
        assert one.safety in SAFETY and one.evidence in EVIDENCE
        assert one.algebra.endswith((".", ",")) and len(one.algebra) > 8, one.name


def test_a_users_rule_that_names_no_operator_is_refused() -> None:
    @rule(P.tanh(P.expp(X)), safety="exact")
    def misspelled(m, b):
        """tanh(exp(x)) = x, for the sake of its pattern."""

    with pytest.raises(RewriteError, match=r"'misspelled' looks for P\.expp, but there is no op") as caught:
        checked_rules([misspelled])
    assert "did you mean exp" in (caught.value.hint or "")


def test_a_users_rule_is_trusted_but_not_proved() -> None:
    @rule(P.tanh(X), safety="exact")
    def mine(m, b):
        """tanh(x) = x, which is wrong."""

    @rule(P.tanh(X), safety="exact", evidence="sampled")
    def tested(m, b):
        """tanh(x) = x, which is wrong."""

    assert (mine.evidence, tested.evidence) == ("assumed", "sampled")
    assert {one.evidence for one in RULES if one.name == "double_negation"} == {"proved"}

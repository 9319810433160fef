"""Canonicalize: rules and folding reach a joint fixed point, with the rules that the options admit."""

from __future__ import annotations

import pytest

from graphflow.errors import AttributeValueError
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.passes.canonicalize import Canonicalize
from graphflow.optimizer.pipelines import optimize
from tests.optimizer.rewriting import build, show


def canonical(text: str, options: str = "") -> str:
    program = build(text)
    optimize(program, pipeline=f"canonicalize{options}", strict=True, check=True)
    return show(program)


def test_folding_makes_way_for_rules_and_rules_for_folding() -> None:
    """The comparison folds, so the choice falls, so the product is by 1, which falls too."""
    text = "x: float32[3] -> multiply(x, where(less(constant(1.0), 2.0), add(constant(0.25), 0.75), sum(x)))"
    assert canonical(text) == show(build("x: float32[3] -> x"))


def test_options_admit_rules() -> None:
    text = "x: float32[3] -> add(log(softmax(x)), 0.0)"
    assert canonical(text) == show(build(text))
    assert canonical(text, "{tags=stabilize}") == show(build("x: float32[3] -> add(log_softmax(x), 0.0)"))
    assert canonical(text, "{safety=finite}") == show(build("x: float32[3] -> log(softmax(x))"))
    assert canonical(text, "{safety=rounding}") == show(build("x: float32[3] -> log_softmax(x)"))


def test_steps_are_noted() -> None:
    journal = Journal("counts")
    optimize(build("x: float32[3] -> exp(negative(negative(x)))"), pipeline="canonicalize", journal=journal)
    # The outer negation, and then x and its new reader, which the edit has touched.
    assert journal.passes[0].note == "3 steps"


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(AttributeValueError, match="no safety class 'careful'"):
        Canonicalize(safety="careful")

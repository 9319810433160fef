"""Patterns: what they match, what they offer, and what they cost nodes they cannot match."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import RewriteError
from graphflow.optimizer.pattern import Match, Operation, P, Variable, plans, variables
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewriter import Rewriter
from tests.optimizer.rewriting import build

X, Y, AXIS = variables("X Y AXIS")


def match(pattern: Operation, text: str) -> tuple[Match | None, Program]:
    """The first match of a pattern at the node of the first output."""
    program = build(text)
    rewriter = Rewriter(program)
    node = program.outputs[0].node
    found = [plan.match(node, rewriter) for plan in plans(pattern) if plan.op is node.op]
    return next((one for one in found if one is not None), None), program


def fits(pattern: Operation, text: str) -> bool:
    return match(pattern, text)[0] is not None


def test_variables_stand_for_tensors_and_attributes() -> None:
    found, program = match(P.log(P.softmax(X, axis=AXIS)), "x: float32[4,7] -> log(softmax(x, axis=0))")
    assert found is not None
    assert found.X is program.feeds[0] and found.AXIS == 0
    assert found.root is program.outputs[0].node and found.output is program.outputs[0]
    assert [node.op.name for node in found.nodes] == ["log", "softmax"]
    assert found.inner.name == "softmax" and found.inner.attrs.axis == 0


def test_inner_nodes_know_their_uses() -> None:
    pattern = P.log(P.softmax(X))
    assert match(pattern, "x: float32[4] -> log(softmax(x))")[0].inner.has_one_use
    shared = match(pattern, "x: float32[4] -> s = softmax(x); (log(s), s)")[0]
    assert shared is not None and not shared.inner.has_one_use


def test_inner_nodes_can_have_names() -> None:
    pattern = P.add(P.exp(X).named("power"), P.sin(Y).named("wave"))
    found, _ = match(pattern, "x: float32[3] -> add(sin(x), exp(x))")
    assert found is not None and found.power.name == "exp" and found.wave.name == "sin"


def test_an_unknown_name_says_what_there_is() -> None:
    found, _ = match(P.exp(X), "x: float32[3] -> exp(x)")
    with pytest.raises(AttributeError, match="it has X"):
        found.Z  # noqa: B018
    with pytest.raises(RewriteError, match="no inner operator"):
        found.inner  # noqa: B018


def test_operators_and_arity_must_agree() -> None:
    assert not fits(P.exp(P.sin(X)), "x: float32[3] -> exp(cos(x))")
    assert not fits(P.concat(X), "x: float32[3] -> concat(x, x)")
    assert fits(P.concat(...), "x: float32[3] -> concat(x, x)")


def test_a_repeated_variable_means_the_same_tensor() -> None:
    assert fits(P.subtract(X, X), "x: float32[3] -> subtract(x, x)")
    assert not fits(P.subtract(X, X), "x: float32[3], y: float32[3] -> subtract(x, y)")
    assert fits(P.add(P.exp(X), P.sin(X)), "x: float32[3] -> add(sin(x), exp(x))")
    assert not fits(P.add(P.exp(X), P.sin(X)), "x: float32[3], y: float32[3] -> add(sin(x), exp(y))")


def test_a_repeated_attribute_variable_means_the_same_value() -> None:
    pattern = P.max(P.max(X, axis=AXIS), axis=AXIS)
    assert fits(pattern, "x: float32[2,3,4] -> max(max(x, axis=1), axis=1)")
    assert not fits(pattern, "x: float32[2,3,4] -> max(max(x, axis=1), axis=0)")


def test_literal_attributes_must_be_equal_exactly() -> None:
    assert fits(P.sum(X, keepdims=True), "x: float32[3] -> sum(x, keepdims=True)")
    assert not fits(P.sum(X, keepdims=True), "x: float32[3] -> sum(x)")
    assert not fits(P.pad(X, value=0.0), "x: float32[3] -> pad(x, 1, value=-0.0)")


def test_commutative_operands_are_tried_in_both_orders() -> None:
    for text in ("add(exp(x), y)", "add(y, exp(x))"):
        found, program = match(P.add(P.exp(X), Y), f"x: float32[3], y: float32[3] -> {text}")
        assert found is not None and found.X is program.feeds[0] and found.Y is program.feeds[1]
    assert not fits(P.subtract(P.exp(X), Y), "x: float32[3], y: float32[3] -> subtract(y, exp(x))")


def test_inner_commutative_operands_too() -> None:
    pattern = P.divide(1, P.add(1, P.exp(P.negative(X))))
    assert len(plans(pattern)) == 2
    for inner in ("add(1.0, exp(negative(x)))", "add(exp(negative(x)), 1.0)"):
        assert fits(pattern, f"x: float32[3] -> divide(1.0, {inner})")


def test_free_variables_need_no_second_order() -> None:
    assert len(plans(P.add(X, Y))) == 1
    assert len(plans(P.add(X, 1))) == 2
    assert len(plans(P.subtract(X, 1))) == 1


@pytest.mark.parametrize(
    ("literal", "operand", "wanted"),
    [
        (1, "1.0", True),
        (1, "np.ones((3,), 'f')", True),
        (1, "broadcast_to(constant(1.0), (3,))", True),
        (1, "np.array([1, 1, 2], 'f')", False),
        (1, "np.float32(1.0000001)", False),
        (0.0, "0.0", True),
        (0.0, "-0.0", False),
        (-0.0, "-0.0", True),
        (-0.0, "0.0", False),
        (0.5, "np.float32(0.5)", True),
        (1, "np.array(np.nan, 'f')", False),
    ],
)
def test_literals_match_constants_to_the_bit(literal: float, operand: str, wanted: bool) -> None:
    assert fits(P.multiply(X, literal), f"x: float32[3] -> multiply(x, {operand})") is wanted


def test_literals_know_kinds() -> None:
    assert fits(P.add(X, 0), "x: int32[3] -> add(x, 0)")
    assert not fits(P.add(X, -0.0), "x: int32[3] -> add(x, 0)")
    assert fits(P.logical_and(X, True), "x: bool[3] -> logical_and(x, True)")
    assert not fits(P.where(1, X, Y), "x: float32[3] -> where(True, x, x)")
    assert not fits(P.multiply(X, 1), "z: complex64[3] -> multiply(z, constant(1.0, 'complex64'))")


def test_conditions_on_variables() -> None:
    whole, fixed = Variable("X", kinds="int uint"), Variable("C", constant=True)
    assert fits(P.negative(whole), "x: int32[3] -> negative(x)")
    assert not fits(P.negative(whole), "x: float32[3] -> negative(x)")
    found, _ = match(P.add(X, fixed), "x: float32[2] -> add(np.array([1, 2], 'f'), x)")
    assert found is not None
    np.testing.assert_array_equal(found.value(fixed), np.array([1, 2], "f"))
    assert not fits(P.add(X, fixed), "x: float32[2] -> add(x, x)")


def test_only_first_outputs_are_matched() -> None:
    assert fits(P.exp(P.split(X)), "x: float32[4] -> a, b = split(x, 2); exp(a)")
    assert not fits(P.exp(P.split(X)), "x: float32[4] -> a, b = split(x, 2); exp(b)")


def test_operators_that_do_not_exist_match_nothing() -> None:
    assert plans(P.operator_of_the_future(X)) == []
    assert plans(P.exp(P.operator_of_the_future(X))) == []


def test_what_makes_the_inputs_is_asked_first() -> None:
    (plan,) = plans(P.divide(1, P.exp(X)))
    assert plan.accepts(["constant", "exp"]) and plan.accepts(["broadcast_to", "exp"])
    assert not plan.accepts(["placeholder", "exp"]) and not plan.accepts(["constant", "sin"])
    assert not plan.accepts(["constant"])


def test_wrong_patterns_are_refused() -> None:
    with pytest.raises(RewriteError, match="cannot be part of a pattern"):
        P.exp("x")


def test_patterns_print_as_they_are_written() -> None:
    assert repr(P.log(P.softmax(X, axis=AXIS))) == "log(softmax(X, axis=AXIS))"
    assert repr(P.add(X, 1.0)) == "add(X, 1.0)" and repr(P.concat(...)) == "concat(...)"


def test_variables_that_occur_again_are_tried_in_both_orders() -> None:
    pattern = P.divide(P.multiply(X, Y), P.sqrt(Y))
    header = "x: float32[2], y: float32[2] -> "
    assert fits(pattern, f"{header}divide(multiply(x, y), sqrt(y))")
    assert fits(pattern, f"{header}divide(multiply(y, x), sqrt(y))")
    assert not fits(pattern, f"{header}divide(multiply(x, x), sqrt(y))")
    assert len(plans(P.exp(P.add(X, Y)))) == 1  # where they stand alone, one order is enough

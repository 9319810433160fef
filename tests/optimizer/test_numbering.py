"""Value numbers: which nodes have one, and when two are equal."""

from __future__ import annotations

from graphflow.ir.opdef import registry
from graphflow.optimizer.numbering import (
    COMMUTATIVE,
    CONSTANT,
    ORDINARY,
    OUTSIDE,
    numbering_kind,
    value_number,
)
from tests.optimizer.rewriting import build


def test_every_operator_has_a_kind() -> None:
    kinds = {op.name: numbering_kind(op) for op in registry}
    assert kinds["placeholder"] == kinds["variable"] == kinds["assign"] == kinds["training_flag"] == OUTSIDE
    assert kinds["add"] == kinds["equal"] == COMMUTATIVE
    assert kinds["subtract"] == kinds["concat"] == ORDINARY
    assert kinds["constant"] == CONSTANT


def test_numbers_are_equal_for_equal_values_only() -> None:
    program = build(
        "x: float32[3], y: float32[3] -> (add(x, y), add(y, x), add(x, x), subtract(x, y), subtract(y, x))"
    )
    keys = [value_number(tensor.node.op, tensor.node.inputs, tensor.node.attrs) for tensor in program.outputs]
    assert keys[0] == keys[1]
    assert len({keys[0], *keys[2:]}) == 4


def test_outputs_of_one_node_are_ordered_by_index() -> None:
    program = build("x: float32[4] -> a, b = split(x, 2); (add(a, b), add(b, a))")
    first, second = [value_number(one.node.op, one.node.inputs, one.node.attrs) for one in program.outputs]
    assert first == second


def test_what_comes_from_outside_has_none() -> None:
    (x,) = build("x: float32[3] -> x").outputs
    assert value_number(x.node.op, x.node.inputs, x.node.attrs) is None

"""Value numbers: which nodes have one, and when two are equal."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.ir.opdef import registry
from graphflow.optimizer import numbering
from graphflow.optimizer.numbering import (
    COMMUTATIVE,
    CONSTANT,
    CONTENT_LIMIT,
    ORDINARY,
    OUTSIDE,
    LargeValue,
    numbering_kind,
    value_number,
)
from tests.optimizer.rewriting import build, rewrite


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


COUNT = CONTENT_LIMIT // 4 + 1000


def test_large_constants_of_equal_bytes_become_one() -> None:
    outputs = "(constant(a), constant(a.copy()), constant(a[::-1].copy()))"
    program = build(f"-> a = np.arange({COUNT}, dtype='float32'); {outputs}")
    rewrite(program, [])
    first, second, third = program.outputs
    assert first is second and third is not first


@pytest.mark.parametrize("change", ["value", "dtype", "shape", "zero", "nan"])
def test_large_constants_that_differ_stay_apart(change: str) -> None:
    """Also where the sample that is hashed is the same, and where values compare equal but bits do not."""
    one = np.zeros(COUNT, np.float32)
    other = one.copy()
    if change == "value":
        other[1] = 1
    elif change == "dtype":
        other = other.view(np.int32)
    elif change == "shape":
        other = other.reshape(1, -1)
    elif change == "zero":
        other[1] = -0.0
    else:
        one[1], other[1] = np.nan, -np.nan
    assert LargeValue(one) != LargeValue(other)
    assert LargeValue(one) == LargeValue(one.copy())


def test_each_large_constant_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal samples cost one digest each, not one for each pair; different ones cost none."""
    digests = []
    plain = numbering.hashlib.sha256
    monkeypatch.setattr(numbering.hashlib, "sha256", lambda data: digests.append(1) or plain(data))
    table = {}
    for place in range(1, 31):
        array = np.zeros(COUNT, np.float32)
        array[place] = 1  # between the sampled elements
        table[LargeValue(array)] = place
    assert len(table) == 30 and len(digests) == 30
    for start in range(30):
        table[LargeValue(np.arange(start, start + COUNT, dtype=np.float32))] = start
    assert len(table) == 60 and len(digests) == 30


def test_views_are_only_themselves() -> None:
    array = np.zeros((COUNT, 2), np.float32)[:, 0]
    assert LargeValue(array) == LargeValue(array) != LargeValue(array[:])

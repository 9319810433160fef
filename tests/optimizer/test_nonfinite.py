"""The birth of NaN: the first node that makes it, in loops too."""

from __future__ import annotations

import numpy as np

import graphflow as gf
from graphflow.optimizer.nonfinite import first_birth, is_finite, kind_of, not_finite_outside
from graphflow.optimizer.program import extract


def birth(y: gf.Tensor, x: gf.Tensor, value: object):
    program = extract([y], feeds=[x])
    outside = {program.feeds[0]: np.asarray(value, np.float32)}
    return first_birth(program, outside), not_finite_outside(program, outside)


def test_the_first_node_is_named_with_its_line() -> None:
    x = gf.placeholder("x", (2,))
    y = gf.sqrt(gf.log(x, name="bad") + 1.0)
    found, given = birth(y, x, [1.0, -1.0])
    assert found is not None and given is None
    assert (found.node, found.op, found.what) == ("bad", "log", "NaN") and "test_nonfinite.py" in found.origin
    assert "makes NaN of finite values" in str(found)


def test_infinity_is_told_apart_and_fed_values_are_named() -> None:
    x = gf.placeholder("x", (2,))
    found, given = birth(gf.divide(1.0, x), x, [1.0, 0.0])
    assert found is not None and found.what == "infinity" and given is None
    found, given = birth(gf.exp(x), x, [1.0, np.nan])
    assert found is None and given is not None and given.node == "x" and "to begin with" in str(given)


def test_a_node_in_a_loop_is_named() -> None:
    x = gf.placeholder("x", (3,))
    last, _ = gf.scan(lambda c, row: (gf.log(c - row), c), gf.constant(5.0), x)
    found, _ = birth(last, x, [0.0, 1.0, 2.0])
    assert found is not None and found.op == "log" and ":" in found.node


def test_nothing_is_found_where_all_is_finite() -> None:
    x = gf.placeholder("x", (3,))
    assert birth(gf.exp(x), x, [0.0, 1.0, 2.0]) == (None, None)


def test_dtypes() -> None:
    assert is_finite(np.array([1, 2])) and is_finite(np.array([True]))
    assert not is_finite(np.array([1 + 1j * np.inf])) and not is_finite(np.float16([np.nan]))
    assert not is_finite(np.array([np.nan]).astype(gf.bfloat16.numpy))
    assert kind_of(np.array([np.inf])) == "infinity"

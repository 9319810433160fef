"""Rules of reductions."""

from __future__ import annotations

from graphflow.optimizer.rules import reduction as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

X = "x: float32[3,1,4]"

CASES = [
    Case(
        rules.keep_reduced_axes,
        "x: float32[3,4] -> m = max(x, axis=1); (subtract(x, expand_dims(m, axis=-1)), m)",
        "r = reshape(max(x, axis=1, keepdims=True), (3,)); (subtract(x, expand_dims(r, axis=-1)), r)",
    ),
    Case(
        rules.keep_reduced_axes,
        "x: float32[n,4] -> reshape(sum(x, axis=1), (-1, 1))",
        "reshape(reshape(sum(x, axis=1, keepdims=True), (Dim('n'),)), (-1, 1))",
    ),
    Case(
        rules.reshape_of_reduced,
        "x: int32[3,4] -> reshape(sum(x, axis=0), (1, 4))",
        "sum(x, axis=0, keepdims=True)",
    ),
    Case(
        rules.reshape_of_reduced,
        "x: float32[3,4] -> reshape(min(x, axis=(0, 1), keepdims=True), ())",
        "min(x, axis=(0, 1))",
    ),
    Case(rules.reduce_one_element, f"{X} -> max(x, axis=1)", "reshape(x, (3, 4))"),
    Case(rules.reduce_one_element, f"{X} -> min(x, axis=1, keepdims=True)", "x"),
    Case(rules.reduce_one_element, f"{X} -> prod(x, axis=1)", "reshape(x, (3, 4))"),
    Case(rules.reduce_one_element, "n: int64[1,2] -> sum(n, axis=0)", "reshape(n, (2,))"),
    Case(rules.reduce_one_element, "n: int8[1,2] -> sum(n, axis=0)", "astype(reshape(n, (2,)), 'int64')"),
    Case(rules.reduce_one_element, "p: bool[1,2] -> all(p, axis=0)", "reshape(p, (2,))"),
    Case(rules.reduce_one_element, "x: float32[] -> max(x)", "x"),
    Case(rules.sum_one_element, f"{X} -> sum(x, axis=1)", "reshape(x, (3, 4))"),
    Case(rules.sum_one_element, f"{X} -> mean(x, axis=1)", "reshape(x, (3, 4))"),
    Case(rules.sum_one_element, f"{X} -> sum(x, axis=())", "x"),
    Case(rules.reduce_of_reduce, f"{X} -> max(max(x, axis=0), axis=1)", "max(x, axis=(0, 2))"),
    Case(
        rules.reduce_of_reduce,
        f"{X} -> min(min(x, axis=0, keepdims=True), axis=2, keepdims=True)",
        "min(x, axis=(0, 2), keepdims=True)",
    ),
    Case(
        rules.reduce_of_reduce,
        f"{X} -> max(max(x, axis=-1, keepdims=True), axis=0)",
        "reshape(max(x, axis=(0, 2)), (1, 1))",
    ),
    Case(
        rules.reduce_of_reduce,
        "n: int8[3,2,4] -> sum(sum(n, axis=2), axis=-1, keepdims=True)",
        "reshape(sum(n, axis=(1, 2), keepdims=True), (3, 1))",
    ),
    Case(rules.reduce_of_reduce, "n: uint8[3,4] -> prod(prod(n, axis=0), axis=0)", "prod(n, axis=(0, 1))"),
    Case(rules.reduce_of_reduce, "p: bool[2,3,4] -> any(any(p, axis=2), axis=0)", "any(p, axis=(0, 2))"),
    Case(
        rules.reduce_copies,
        "x: float32[2] -> add(x, sum(broadcast_to(constant(3.0), (4, 2)), axis=0))",
        "add(x, broadcast_to(constant(12.0), (2,)))",
    ),
    Case(
        rules.reduce_copies,
        "x: float32[] -> add(x, mean(broadcast_to(constant(3.0), (4, 2))))",
        "add(x, constant(3.0))",
    ),
    Case(
        rules.reduce_copies,
        "x: float32[] -> add(x, max(broadcast_to(constant(0.3), (4, 2))))",
        "add(x, constant(0.3))",
    ),
    Case(
        rules.reduce_copies,
        "x: int64[] -> add(x, sum(broadcast_to(constant(-7), (4, 2))))",
        "add(x, constant(-56, 'int64'))",
    ),
    Case(
        rules.reduce_copies,
        "x: float32[] -> add(x, sum(broadcast_to(constant(3.0), (0, 2))))",
        "add(x, constant(0.0))",
    ),
    Case(
        rules.reduce_copies,
        "p: bool[] -> logical_or(p, all(broadcast_to(constant(False), (4, 2))))",
        "logical_or(p, False)",
    ),
]


def test_inexact_sums_of_copies_stay() -> None:
    assert_declines(rules.reduce_copies, "-> sum(broadcast_to(constant(0.1), (3,)))")
    assert_declines(rules.reduce_copies, "-> sum(broadcast_to(constant(3.0), (2 ** 23, 2)))")
    assert_declines(rules.reduce_copies, "-> sum(broadcast_to(constant(2**62, 'int64'), (4,)))")
    assert_declines(rules.reduce_copies, "-> mean(broadcast_to(constant(3.0), (0,)))")
    assert_declines(rules.reduce_copies, "-> sum(broadcast_to(constant(-0.0), (3,)))")
    assert_declines(rules.reduce_copies, "-> sum(broadcast_to(constant(1.0), (Dim('n'),)))")


def test_reducing_several_elements_stays() -> None:
    assert_declines(rules.reduce_one_element, f"{X} -> max(x, axis=(0, 1))")
    assert_declines(rules.reduce_of_reduce, f"{X} -> max(min(x, axis=0), axis=1)")
    assert_declines(
        rules.reduce_of_reduce, f"{X} -> m = max(x, axis=0); (m, max(m, axis=1))", "has other users"
    )


def test_reduced_axes_that_do_not_come_back_stay_away() -> None:
    assert_declines(rules.keep_reduced_axes, "x: float32[3,4] -> reshape(max(x, axis=1), (1, 3))")
    assert_declines(rules.keep_reduced_axes, "x: float32[3,4] -> exp(max(x, axis=1))")
    assert_declines(rules.keep_reduced_axes, "x: float32[3,4] -> reshape(argmax(x, axis=1), (3, 1))")
    assert_declines(rules.reshape_of_reduced, "x: float32[3,4] -> reshape(argmin(x), (1, 1))")
    assert_declines(rules.reshape_of_reduced, f"{X} -> reshape(max(x, axis=()), (3, 4))")
    assert_declines(
        rules.reshape_of_reduced, "x: float32[3,4] -> m = max(x, axis=1); (reshape(m, (3, 1)), m)"
    )

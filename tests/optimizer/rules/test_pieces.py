"""Rules of cutting and joining."""

from __future__ import annotations

from graphflow.optimizer.rules import pieces as rules
from tests.optimizer.rewriting import assert_declines, assert_rewrites
from tests.optimizer.rules.cases import Case

X = "x: float32[7,5]"
XY = "x: float32[4,3], y: float32[2,3]"

CASES = [
    Case(rules.slice_of_everything, f"{X} -> slice(x, (0, 0), (7, 5))", "x"),
    Case(rules.slice_of_everything, "x: float32[n,2] -> slice(x, (0,), (None,), axes=(1,))", "x"),
    Case(
        rules.slice_of_slice,
        f"{X} -> slice(slice(x, (1,), (6,), axes=(0,)), (2, 1), (4, 3))",
        "slice(x, (3, 1), (5, 3))",
    ),
    Case(
        rules.slice_of_slice,
        f"{X} -> slice(slice(x, (1,), (7,), (2,), (0,)), (0,), (3,), (2,), (0,))",
        "slice(x, (1,), (6,), (4,), (0,))",
    ),
    Case(
        rules.slice_of_slice,
        f"{X} -> slice(slice(x, (None,), (None,), (-1,), (0,)), (1,), (4,), axes=(0,))",
        "slice(x, (5,), (2,), (-1,), (0,))",
    ),
    Case(
        rules.slice_of_slice,
        f"{X} -> slice(slice(x, (5,), (None,), (-1,), (0,)), (2,), (None,), (-1,), (0,))",
        "slice(x, (3,), (6,), axes=(0,))",
    ),
    Case(
        rules.slice_of_concat,
        f"{XY} -> slice(concat(x, y), (1,), (3,), axes=(0,))",
        "slice(x, (1,), (3,), axes=(0,))",
    ),
    Case(rules.slice_of_concat, f"{XY} -> slice(concat(x, y), (4, 1), (6, 2))", "slice(y, (0, 1), (2, 2))"),
    Case(
        rules.slice_of_concat,
        f"{XY} -> slice(concat(x, y), (5,), (3,), (-1,), (0,))",
        "slice(y, (1,), (None,), (-1,), (0,))",
    ),
    Case(rules.concat_of_one, f"{X} -> concat([x], axis=1)", "x"),
    Case(rules.concat_of_concat, f"{XY} -> concat(concat(x, y), concat(y, x))", "concat(x, y, y, x)"),
    Case(
        rules.concat_of_nothing,
        "x: float32[2,3], e: float32[2,0] -> concat(e, x, e, x, axis=1)",
        "concat(x, x, axis=1)",
    ),
    Case(rules.concat_of_nothing, "e: float32[0], f: float32[0] -> concat(e, f)", "concat([e])"),
    Case(
        rules.pad_of_pad,
        f"{X} -> pad(pad(x, ((1, 0), (0, 2))), ((2, 1), (0, 1)))",
        "pad(x, ((3, 1), (0, 3)))",
    ),
]


def test_pieces_that_do_not_fit_together_stay() -> None:
    assert_declines(rules.slice_of_concat, f"{XY} -> slice(concat(x, y), (3,), (5,), axes=(0,))")
    assert_declines(rules.concat_of_concat, f"{XY} -> concat(concat(x, y), concat(x, y), axis=1)")
    assert_declines(rules.pad_of_pad, f"{X} -> pad(pad(x, 1, value=1.0), 1, value=2.0)")
    assert_declines(rules.pad_of_pad, f"{X} -> pad(pad(x, 1, value=0.0), 1, value=-0.0)")
    assert_declines(rules.pad_of_pad, f"{X} -> pad(pad(x, 1, mode='edge'), 1)")


def test_a_join_that_others_read_is_not_taken_apart() -> None:
    assert_declines(rules.concat_of_concat, f"{XY} -> c = concat(x, y); (concat(c, y), exp(c))")


def test_symbolic_positions_stay() -> None:
    assert_declines(rules.slice_of_slice, "x: float32[n] -> slice(slice(x, (1,), (None,)), (1,), (None,))")
    assert_declines(rules.slice_of_everything, f"{X} -> slice(x, (None,), (None,), (-1,), (0,))")


def test_reversing_twice_gives_the_tensor() -> None:
    reverse = "(None,), (None,), (-1,), (0,)"
    before = f"{X} -> slice(slice(x, {reverse}), {reverse})"
    assert_rewrites([rules.slice_of_slice, rules.slice_of_everything], before, "x")

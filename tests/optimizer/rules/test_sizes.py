"""Rules of sizes as values: what they give, what they keep, and what they leave alone."""

from __future__ import annotations

from graphflow.optimizer.rules import sizes as rules
from graphflow.optimizer.rules.cuts import take_of_range
from tests.optimizer.rewriting import assert_declines, build, rewrite
from tests.optimizer.rules.cases import Case

N = "x: float32[n,3,5]"
SIZE = "dimension(size=Dim('n'), dtype=constant(1, 'int64').dtype)"

CASES = [
    Case(rules.known_sizes, f"{N} -> slice(shape_of(x), (1,), (3,))", f"{N} -> constant(np.array([3, 5]))"),
    Case(rules.shape_from_operand, f"{N} -> shape_of(exp(x))", "shape_of(x)"),
    Case(
        rules.shape_from_operand, f"{N}, y: float32[5] -> shape_of(add(y, multiply(x, 2.0)))", "shape_of(x)"
    ),
    Case(
        rules.dimension_arithmetic,
        f"{N} -> (x, add({SIZE}, constant(2, 'int64')))",
        "(x, dimension(size=Dim('n') + 2, dtype=constant(1, 'int64').dtype))",
    ),
    Case(
        rules.dimension_arithmetic,
        f"{N} -> (x, floor_divide(multiply(constant(6, 'int64'), {SIZE}), constant(3, 'int64')))",
        "(x, dimension(size=Dim('n') * 2, dtype=constant(1, 'int64').dtype))",
    ),
    Case(rules.dimension_arithmetic, f"{N} -> (x, subtract({SIZE}, {SIZE}))", "(x, constant(0, 'int64'))"),
]


def test_a_size_that_is_known_is_read_from_a_shape_that_is_not() -> None:
    program = build(f"{N} -> multiply(take(shape_of(exp(x)), constant(2)), 4)")
    rewrite(program, [*rules.RULES, take_of_range])
    assert [node.op.name for node in program.order()] == ["constant", "reshape", "constant", "multiply"]


def test_sizes_that_are_not_known_stay() -> None:
    assert_declines(rules.known_sizes, f"{N} -> slice(shape_of(x), (0,), (2,))")
    assert_declines(rules.shape_from_operand, f"{N} -> shape_of(sum(x, axis=1))")


def test_narrow_integers_might_wrap() -> None:
    size = "dimension(size=Dim('n'), dtype=constant(1, 'int32').dtype)"
    assert_declines(rules.dimension_arithmetic, f"{N} -> multiply({size}, {size})")
    assert_declines(rules.dimension_arithmetic, f"{N} -> floor_divide({SIZE}, constant(0, 'int64'))")

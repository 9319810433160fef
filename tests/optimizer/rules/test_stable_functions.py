"""Stable forms of functions: what each rule gives, and the digits that the plain form loses."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.rules import RULES
from graphflow.optimizer.rules import stable_functions as rules
from tests.optimizer.rewriting import assert_declines, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
TWO = f"{X} -> e, f = exp(x), exp(negative(x)); "
VARIANCE = f"{X} -> subtract(mean(square(x), axis=1), square(mean(x, axis=1)))"

CASES = [
    Case(
        rules.sigmoid_from_tangent,
        "x: float32[4,7] -> add(0.5, multiply(0.5, tanh(multiply(x, 0.5))))",
        "sigmoid(x)",
        1e-5,
    ),
    Case(
        rules.tangent_from_sigmoid,
        "x: float32[4,7] -> subtract(1.0, multiply(sigmoid(x), 2.0))",
        "negative(tanh(multiply(x, 0.5)))",
        1e-5,
    ),
    Case(
        rules.log_of_one_minus,
        f"{X} -> log(subtract(1.0, negative(square(x))))",
        "log1p(negative(negative(square(x))))",
    ),
    Case(rules.one_minus_exp, f"{X} -> subtract(1.0, exp(x))", "negative(expm1(x))"),
    Case(rules.hyperbolic_sine, f"{TWO}multiply(subtract(e, f), 0.5)", "sinh(x)", 1e-5),
    Case(rules.hyperbolic_sine, f"{TWO}divide(subtract(e, f), 2.0)", "sinh(x)", 1e-5),
    Case(rules.hyperbolic_cosine, f"{TWO}multiply(add(e, f), 0.5)", "cosh(x)", 1e-5),
    Case(rules.hyperbolic_cosine, f"{TWO}divide(add(f, e), 2.0)", "cosh(x)", 1e-5),
    Case(rules.hyperbolic_tangent, f"{TWO}divide(subtract(e, f), add(e, f))", "tanh(x)", 1e-5),
    Case(
        rules.hyperbolic_tangent,
        f"{X} -> e, f = exp(multiply(x, 2.0)), exp(multiply(x, -2.0)); divide(subtract(e, f), add(f, e))",
        "tanh(multiply(x, 2.0))",
        1e-5,
    ),
    Case(
        rules.tangent_of_half,
        f"{X} -> e = exp(x); divide(subtract(e, 1.0), add(e, 1.0))",
        "tanh(multiply(x, 0.5))",
        1e-5,
    ),
    Case(
        rules.tangent_of_half,
        f"{X} -> y = multiply(x, 2.0); divide(expm1(y), add(exp(y), 1.0))",
        "tanh(x)",
        1e-5,
    ),
    Case(
        rules.tangent_of_negative_half,
        f"{X} -> e = exp(multiply(x, -2.0)); divide(subtract(1.0, e), add(1.0, e))",
        "tanh(negative(negative(x)))",
        1e-5,
    ),
    Case(
        rules.sigmoid_from_tangent,
        f"{X} -> multiply(add(tanh(multiply(x, 0.5)), 1.0), 0.5)",
        "sigmoid(x)",
        1e-5,
    ),
    Case(
        rules.tangent_from_sigmoid,
        f"{X} -> subtract(multiply(sigmoid(x), 2.0), 1.0)",
        "tanh(multiply(x, 0.5))",
        1e-5,
    ),
    Case(rules.softplus_written_out, f"{X} -> logaddexp(0.0, x)", "softplus(x)"),
    Case(rules.softplus_in_two_parts, f"{X} -> add(relu(x), softplus(negative(abs(x))))", "softplus(x)"),
    Case(rules.softplus_in_two_parts, f"{X} -> add(x, softplus(negative(x)))", "softplus(x)"),
    Case(rules.minus_softplus, f"{X} -> subtract(x, softplus(x))", "negative(softplus(negative(x)))"),
    Case(rules.log_of_square, f"{X} -> log(square(x))", "multiply(log(abs(x)), 2.0)", 1e-5),
    Case(rules.log_of_power, f"{X} -> log(pow(exp(x), 3.0))", "multiply(log(exp(x)), 3.0)", 1e-5),
    Case(rules.log_of_reciprocal, f"{X} -> log(reciprocal(exp(x)))", "negative(log(exp(x)))"),
    Case(
        rules.log_of_scaled_exp,
        "x: float32[4], y: float32[4] -> log(divide(exp(x), exp(y)))",
        "subtract(x, log(exp(y)))",
        1e-5,
    ),
    Case(
        rules.log_of_mean_of_exp,
        f"{X} -> log(mean(exp(x), axis=1))",
        "subtract(logsumexp(x, axis=1), constant(np.float32(np.log(7))))",
        1e-5,
    ),
    Case(rules.divide_by_own_root, f"{X} -> y = exp(x); divide(y, sqrt(y))", "sqrt(exp(x))"),
    Case(rules.divide_by_own_root, f"{X} -> y = exp(x); multiply(y, rsqrt(y))", "sqrt(exp(x))"),
    Case(rules.mean_written_out, f"{X} -> divide(sum(x, axis=1), 7.0)", "mean(x, axis=1)"),
    Case(rules.mean_written_out, f"{X} -> multiply(sum(x, axis=0), 0.25)", "mean(x, axis=0)"),
    Case(
        rules.variance_in_two_passes,
        VARIANCE,
        "mean(square(subtract(x, mean(x, axis=1, keepdims=True))), axis=1)",
        1e-5,
    ),
    Case(
        rules.variance_in_two_passes,
        f"{X} -> c = reshape(mean(x, axis=1, keepdims=True), (4,)); "
        "subtract(mean(square(x), axis=1), square(c))",
        "mean(square(subtract(x, mean(x, axis=1, keepdims=True))), axis=1)",
        1e-5,
    ),
    Case(
        rules.hyperbolic_tangent,
        "x: float32[3] -> e, f = exp(multiply(x, 2.0)), exp(multiply(x, np.full((2, 3), -2.0, 'f')));"
        "divide(subtract(e, f), add(e, f))",
        "broadcast_to(tanh(multiply(x, 2.0)), (2, 3))",
        1e-5,
    ),
]


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("log(subtract(1.0, x))", [1e-20], [-1e-20]),
        ("subtract(1.0, exp(x))", [1e-20], [-1e-20]),
        ("multiply(subtract(exp(x), exp(negative(x))), 0.5)", [1e-20], [1e-20]),
        ("divide(subtract(exp(x), exp(negative(x))), add(exp(x), exp(negative(x))))", [1e-20], [1e-20]),
        ("y = exp(multiply(x, 2.0)); divide(subtract(y, 1.0), add(y, 1.0))", [1000.0], [1.0]),
        ("y = exp(multiply(x, -2.0)); divide(subtract(1.0, y), add(y, 1.0))", [-1000.0], [-1.0]),
        ("divide(add(tanh(divide(x, 2.0)), 1.0), 2.0)", [-40.0], [4.248354255291589e-18]),
        ("subtract(multiply(sigmoid(x), 2.0), 1.0)", [1e-20], [5e-21]),
        ("add(x, log(add(exp(negative(x)), 1.0)))", [-40.0], [4.248354255291589e-18]),
        ("log(square(x))", [1e-200], [-921.0340371976183]),
        ("log(pow(exp(x), 3.0))", [300.0], [900.0]),
        ("log(divide(exp(x), add(x, 1.0)))", [999.0], [999.0 - 6.907755278982137]),
        ("log(mean(exp(x), axis=0))", [1000.0], 1000.0),
        ("divide(sin(x), sqrt(sin(x)))", [0.0], [0.0]),
    ],
)
def test_what_the_plain_form_loses(text: str, value: list[float], wanted: object) -> None:
    """Where the plain form overflows, underflows or cancels, all rules together give the true value."""
    plain, stable = build(f"x: float64[1] -> {text}"), build(f"x: float64[1] -> {text}")
    rewrite(stable, [rule for rule in RULES if rule.safety == "exact" or "stabilize" in rule.tags])
    with np.errstate(all="ignore"):
        (lost,) = values(plain, [np.array(value)])
        (kept,) = values(stable, [np.array(value)])
    assert not np.allclose(lost, wanted, rtol=1e-12, atol=0)
    np.testing.assert_allclose(kept, wanted, rtol=1e-13)


def test_variance_of_numbers_far_from_zero() -> None:
    program = build(VARIANCE.replace("float32", "float64"))
    x = 1e9 + np.arange(28.0).reshape(4, 7)
    (lost,) = values(program, [x])
    rewrite(program, rules.RULES)
    np.testing.assert_array_equal(values(program, [x])[0], np.full(4, 4.0))
    assert not np.allclose(lost, 4.0)


def test_a_mean_of_halves_does_not_overflow() -> None:
    program = build("x: float16[64] -> divide(sum(x), constant(np.float16(64)))")
    rewrite(program, rules.RULES)
    assert values(program, [np.full(64, 6e4, np.float16)])[0] == np.float16(6e4)


def test_counts_that_overflow_are_no_divisors() -> None:
    """100000 is infinite as a float16."""
    assert_declines(rules.mean_written_out, "x: float16[100000] -> divide(sum(x), np.float16(np.inf))")


def test_means_over_other_axes_stay() -> None:
    square = "x: float32[3,3]"
    assert_declines(
        rules.variance_in_two_passes,
        f"{square} -> subtract(mean(square(x), axis=1), square(mean(x, axis=0)))",
    )


def test_other_divisors_are_no_means() -> None:
    assert_declines(
        rules.mean_written_out, f"{X} -> (divide(sum(x, axis=1), 6.0), multiply(sum(x, axis=1), 7.0))"
    )
    assert_declines(
        rules.mean_written_out, f"{X} -> s = sum(x, axis=1); (s, divide(s, 7.0))", "sum has other users"
    )


def test_shared_parts_stay() -> None:
    shared = "has other users"
    assert_declines(rules.one_minus_exp, f"{X} -> e = exp(x); (e, subtract(1.0, e))", shared)
    assert_declines(rules.minus_softplus, f"{X} -> s = softplus(x); (s, subtract(x, s))", shared)
    assert_declines(rules.log_of_square, f"{X} -> s = square(x); (s, log(s))", shared)
    assert_declines(rules.log_of_power, f"{X} -> s = pow(exp(x), 3.0); (s, log(s))", shared)
    assert_declines(rules.log_of_reciprocal, f"{X} -> s = reciprocal(x); (s, log(s))", shared)
    assert_declines(
        rules.variance_in_two_passes,
        f"{X} -> s = mean(square(x), axis=1); (s, subtract(s, square(mean(x, axis=1))))",
        shared,
    )


def test_signs_matter() -> None:
    assert_declines(rules.log_of_power, f"{X} -> log(pow(x, 3.0))", "may be negative")
    assert_declines(
        [rules.hyperbolic_sine, rules.hyperbolic_tangent],
        "x: float32[3], y: float32[3] -> e, f = exp(x), exp(y);"
        "(multiply(subtract(e, f), 0.5), divide(subtract(e, f), add(e, f)))",
    )

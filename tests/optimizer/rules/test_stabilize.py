"""Rules of stable forms: what they give, what they keep, and what they repair."""

from __future__ import annotations

import pytest

from graphflow.optimizer.rules import stabilize as rules
from tests.optimizer.rewriting import assert_declines, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"

CASES = [
    Case(rules.log_of_softmax, f"{X} -> log(softmax(x, axis=1))", "log_softmax(x, axis=1)", 1e-4),
    Case(rules.log_of_sum_of_exp, f"{X} -> log(sum(exp(x), axis=1))", "logsumexp(x, axis=1)"),
    Case(rules.log_of_sum_of_exp, f"{X} -> log(sum(exp(x), keepdims=True))", "logsumexp(x, keepdims=True)"),
    Case(rules.log_of_two_exp, "x: float32[3], y: float32[3] -> log(add(exp(x), exp(y)))", "logaddexp(x, y)"),
    Case(
        rules.normalized_exp,
        f"{X} -> e = exp(x); divide(e, sum(e, axis=0, keepdims=True))",
        "softmax(x, axis=0)",
    ),
    Case(
        rules.softmax_of_shifted,
        f"{X} -> softmax(subtract(x, max(x, axis=1, keepdims=True)))",
        "softmax(x, axis=1)",
    ),
    Case(rules.log_of_one_plus, f"{X} -> log(add(1.0, square(x)))", "log1p(square(x))"),
    Case(rules.exp_minus_one, f"{X} -> subtract(exp(x), 1.0)", "expm1(x)"),
    Case(rules.exp_minus_one, f"{X} -> add(-1.0, exp(x))", "expm1(x)"),
    Case(rules.logistic_function, f"{X} -> divide(1.0, add(1.0, exp(negative(x))))", "sigmoid(x)"),
    Case(rules.logistic_function, f"{X} -> reciprocal(add(exp(negative(x)), 1.0))", "sigmoid(x)"),
    Case(rules.logistic_function, f"{X} -> e = exp(x); divide(e, add(e, 1.0))", "sigmoid(x)"),
    Case(rules.one_minus_sigmoid, f"{X} -> subtract(1.0, sigmoid(x))", "sigmoid(negative(x))"),
    Case(rules.log_of_sigmoid, f"{X} -> log(sigmoid(x))", "negative(softplus(negative(x)))", 1e-5),
    Case(rules.log1p_of_exp, f"{X} -> log1p(exp(x))", "softplus(x)"),
    Case(rules.log_of_exp, f"{X} -> log(exp(x))", "x"),
    Case(rules.inverse_near_zero, f"{X} -> log1p(expm1(x))", "x"),
    Case(rules.root_of_square, f"{X} -> sqrt(square(x))", "abs(x)"),
    Case(rules.normalized_exp, f"{X} -> e = exp(x); divide(e, sum(e, axis=0))", "softmax(x, axis=0)"),
    Case(
        rules.root_of_positive,
        f"{X} -> pow(add(square(x), 0.5), 0.5)",
        "sqrt(add(square(x), 0.5))",
    ),
    Case(
        rules.root_of_positive,
        f"{X} -> pow(add(1e-5, mean(square(x), axis=0)), -0.5)",
        "rsqrt(add(1e-5, mean(square(x), axis=0)))",
    ),
    Case(rules.small_power, f"{X} -> pow(x, 2.0)", "square(x)"),
    Case(rules.small_power, f"{X} -> pow(x, -1.0)", "reciprocal(x)"),
]


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("x: float64[2] -> log(softmax(x))", [0.0, -1000.0], [0.0, -1000.0]),
        ("x: float64[2] -> log(sum(exp(x)))", [1000.0, 1000.0], 1000.0 + 0.6931471805599453),
        (
            "x: float64[2] -> e = exp(x); divide(e, sum(e, axis=0, keepdims=True))",
            [1000.0, 1000.0],
            [0.5, 0.5],
        ),
        ("x: float64[1] -> log(add(1.0, x))", [1e-20], [1e-20]),
        ("x: float64[1] -> subtract(exp(x), 1.0)", [1e-20], [1e-20]),
        ("x: float64[1] -> subtract(1.0, sigmoid(x))", [40.0], [4.248354255291589e-18]),
        ("x: float64[1] -> log(sigmoid(x))", [-1000.0], [-1000.0]),
        ("x: float64[1] -> log(add(1.0, exp(x)))", [1000.0], [1000.0]),
        ("x: float64[1] -> sqrt(square(x))", [1e200], [1e200]),
    ],
)
def test_what_the_plain_form_loses(text: str, value: list[float], wanted: object) -> None:
    """Where the plain form overflows, underflows or cancels, the stable one gives the true value."""
    import numpy as np

    plain, stable = build(text), build(text)
    rewrite(stable, rules.RULES)
    (lost,) = values(plain, [np.array(value)])
    (kept,) = values(stable, [np.array(value)])
    assert not np.allclose(lost, wanted, rtol=1e-12, atol=0)
    np.testing.assert_allclose(kept, wanted, rtol=1e-14)


def test_shared_parts_stay() -> None:
    assert_declines(
        rules.exp_minus_one, f"{X} -> e = exp(x); (subtract(e, 1.0), square(e))", "exp has other users"
    )
    assert_declines(
        rules.one_minus_sigmoid, f"{X} -> s = sigmoid(x); (s, subtract(1.0, s))", "sigmoid has other users"
    )


def test_softmax_takes_one_axis() -> None:
    assert_declines(
        rules.normalized_exp, f"{X} -> e = exp(x); divide(e, sum(e, keepdims=True))", "softmax takes one axis"
    )
    assert_declines(
        rules.softmax_of_shifted, f"{X} -> softmax(subtract(x, max(x, axis=0, keepdims=True)), axis=1)"
    )


def test_logarithm_undone_near_its_pole() -> None:
    assert_declines(rules.inverse_near_zero, f"{X} -> expm1(log1p(x))", "may be below -1")


def test_roots_of_what_may_be_negative_or_zero_stay_powers() -> None:
    assert_declines(rules.root_of_positive, f"{X} -> pow(add(x, 1.0), 0.5)", "may be negative")
    assert_declines(rules.root_of_positive, f"{X} -> pow(add(square(x), 0.0), -0.5)")


def test_a_total_that_does_not_stand_where_its_terms_did() -> None:
    assert_declines(rules.normalized_exp, "x: float32[3,3] -> e = exp(x); divide(e, sum(e, axis=1))")

"""Stable forms of losses: what each rule gives, and that naive spellings come out right where they fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.optimizer.rules import stable_losses as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
SHIFT = f"{X} -> m = max(x, axis=1, keepdims=True); "
ALONG = "x: float32[4,7], y: float32[4,1] -> "

CASES = [
    Case(
        rules.log_softmax_written_out,
        f"{X} -> subtract(x, logsumexp(x, axis=0))",
        "log_softmax(x, axis=0)",
        1e-5,
    ),
    Case(
        rules.log_softmax_written_out,
        f"{X} -> subtract(logsumexp(x, axis=1, keepdims=True), x)",
        "negative(log_softmax(x, axis=1))",
        1e-5,
    ),
    Case(
        rules.logsumexp_of_shifted,
        f"{X} -> m = max(x); add(m, logsumexp(subtract(x, m)))",
        "logsumexp(x)",
    ),
    Case(
        rules.logsumexp_of_shifted,
        f"{X} -> m = max(x, axis=0); add(logsumexp(subtract(x, m), axis=0), m)",
        "logsumexp(x, axis=0)",
    ),
    Case(
        rules.log_softmax_written_out,
        f"{X} -> subtract(x, logsumexp(x, axis=1, keepdims=True))",
        "log_softmax(x, axis=1)",
        1e-5,
    ),
    Case(rules.log_softmax_of_shifted, f"{SHIFT}log_softmax(subtract(x, m))", "log_softmax(x, axis=1)", 1e-5),
    Case(rules.softmax_of_offset, f"{ALONG}softmax(add(y, x))", "softmax(x)", 1e-5),
    Case(rules.softmax_of_offset, f"{ALONG}softmax(subtract(x, y))", "softmax(x)", 1e-5),
    Case(
        rules.logsumexp_of_shifted,
        f"{SHIFT}add(logsumexp(subtract(x, m), axis=1, keepdims=True), m)",
        "logsumexp(x, axis=1, keepdims=True)",
    ),
    Case(
        rules.logsumexp_of_shifted,
        f"{SHIFT}add(max(x, axis=1), logsumexp(subtract(x, m), axis=1))",
        "logsumexp(x, axis=1)",
    ),
    Case(
        rules.logsumexp_of_shifted,
        f"{SHIFT}add(reshape(m, (4,)), logsumexp(subtract(x, m), axis=1))",
        "logsumexp(x, axis=1)",
    ),
    Case(
        rules.logsumexp_of_shifted,
        f"{X} -> m = max(x, axis=1); m = where(is_finite(m), m, 0.0); "
        "add(m, logsumexp(subtract(x, reshape(m, (4, 1))), axis=1))",
        "logsumexp(x, axis=1)",
    ),
    Case(rules.exp_of_log_softmax, f"{X} -> exp(log_softmax(x, axis=0))", "softmax(x, axis=0)", 1e-5),
    Case(
        rules.log_of_picked_probability,
        "x: float32[4,7], i: int32[4,1] -> log(take_along_axis(softmax(x), i, axis=1))",
        "take_along_axis(log_softmax(x), i, axis=1)",
        1e-4,
    ),
    Case(
        rules.log_of_picked_probability,
        f"{X} -> log(reshape(sigmoid(x), (28,)))",
        "reshape(negative(softplus(negative(x))), (28,))",
        1e-4,
    ),
    Case(
        rules.log_of_one_minus_sigmoid,
        f"{X} -> log(subtract(1.0, sigmoid(x)))",
        "negative(softplus(x))",
        1e-4,
    ),
    Case(
        rules.log_of_one_minus_sigmoid, f"{X} -> log1p(negative(sigmoid(x)))", "negative(softplus(x))", 1e-4
    ),
    Case(
        rules.opposite_logistic_function, f"{X} -> reciprocal(add(exp(x), 1.0))", "sigmoid(negative(x))", 1e-5
    ),
    Case(
        rules.opposite_logistic_function,
        f"{X} -> divide(1.0, add(exp(x), 1.0))",
        "sigmoid(negative(x))",
        1e-5,
    ),
    Case(
        rules.log_of_guarded,
        "c: bool[4,7], x: float32[4,7] -> log(where(c, 1.0, sigmoid(x)))",
        "where(c, 0.0, log(sigmoid(x)))",
    ),
    Case(
        rules.log_of_guarded_complement,
        "c: bool[4,7], x: float32[4,7] -> log1p(negative(where(c, 0.0, sigmoid(x))))",
        "where(c, 0.0, negative(softplus(x)))",
        1e-5,
    ),
    Case(
        rules.cancel_probability,
        "g: float32[4,7], x: float32[4,7], y: float32[4,7]"
        " -> s = sigmoid(x); multiply(divide(g, s), multiply(s, y))",
        "multiply(g, y)",
        1e-5,
    ),
    Case(
        rules.cancel_probability_alone,
        "g: float32[4,7], x: float32[4,7] -> s = softmax(x); multiply(divide(g, s), s)",
        "g",
        1e-5,
    ),
    Case(
        rules.spread_over_probability,
        "g: float32[4,7], x: float32[4,7], y: float32[4,1]"
        " -> s = softmax(x); multiply(s, subtract(divide(g, s), y))",
        "s = softmax(x); subtract(g, multiply(s, y))",
        1e-4,
    ),
    Case(
        rules.cancel_probability_alone,
        "g: float32[4,7], x: float32[4,7] -> s = softmax(x); multiply(negative(divide(g, s)), s)",
        "negative(g)",
        1e-5,
    ),
    Case(
        rules.spread_over_sigmoid,
        "g: float32[4,7], h: float32[4,7], x: float32[4,7] -> s = sigmoid(x); t = subtract(1.0, s);"
        "multiply(subtract(divide(g, s), divide(h, t)), multiply(t, s))",
        "s = sigmoid(x); t = subtract(1.0, s); subtract(multiply(g, t), multiply(h, s))",
        1e-4,
    ),
    Case(
        rules.softmax_gradient_written_out,
        "g: float32[4,7], h: float32[4,7], x: float32[4,7] -> e = exp(x); t = sum(e, axis=1, keepdims=True);"
        "multiply(add(divide(g, t), sum(negative(divide(h, t)), axis=1, keepdims=True)), e)",
        "multiply(subtract(g, sum(h, axis=1, keepdims=True)), softmax(x))",
        1e-4,
    ),
    Case(
        rules.softmax_gradient_written_out,
        "g: float32[4,7], h: float32[4,7], x: float32[4,7] -> e = exp(x); t = sum(e, axis=1, keepdims=True);"
        "multiply(subtract(divide(g, t), sum(divide(h, t), axis=1, keepdims=True)), e)",
        "multiply(subtract(g, sum(h, axis=1, keepdims=True)), softmax(x))",
        1e-4,
    ),
    Case(
        rules.exp_times_reciprocal_total,
        f"{X} -> e = exp(x); multiply(reciprocal(sum(e, axis=1, keepdims=True)), e)",
        "softmax(x, axis=1)",
        1e-5,
    ),
    Case(
        rules.shares_of_exp,
        "g: float32[4,7], h: float32[4,1], x: float32[4,7] -> e = exp(x); t = sum(e, axis=1, keepdims=True);"
        "multiply(subtract(divide(g, t), divide(h, t)), e)",
        "multiply(subtract(g, h), softmax(x))",
        1e-4,
    ),
    Case(
        rules.shares_of_exp,
        "g: float32[4,7], h: float32[4,1], x: float32[4,7] -> e = exp(x); t = sum(e, axis=1, keepdims=True);"
        "multiply(add(divide(g, t), negative(divide(h, t))), e)",
        "multiply(subtract(g, h), softmax(x))",
        1e-4,
    ),
    Case(
        rules.exp_over_total,
        "g: float32[4,7], x: float32[4,7] -> e = exp(x);"
        "multiply(divide(g, sum(e, axis=1, keepdims=True)), e)",
        "multiply(g, softmax(x, axis=1))",
        1e-5,
    ),
    Case(
        rules.exp_over_total,
        "g: float32[4,7], x: float32[4,7] -> e = exp(x); q = divide(g, sum(e, axis=1, keepdims=True));"
        "multiply(sum(negative(q), axis=1, keepdims=True), e)",
        "multiply(negative(sum(g, axis=1, keepdims=True)), softmax(x, axis=1))",
        1e-4,
    ),
]


def _optimized(fetches: list[gf.Tensor], feeds: dict[gf.Tensor, np.ndarray]) -> list[np.ndarray]:
    program = optimize(extract(fetches, feeds=list(feeds)), "O2", strict=True)
    with np.errstate(all="ignore"):
        return evaluate(program.outputs, dict(zip(program.feeds, feeds.values())))


SCORES = np.array([-1000.0, -40.0, -1e-3, 0.0, 0.5, 30.0, 1000.0])


@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_naive_sigmoid_cross_entropy(target: float) -> None:
    """-z ln s(x) - (1 - z) ln(1 - s(x)), and its gradient, where s(x) is 0 or 1 in floating point."""
    with gf.Graph():
        x, z = gf.placeholder("x", (7,), gf.float64), gf.placeholder("z", (7,), gf.float64)
        s = gf.nn.sigmoid(x)
        loss = -z * gf.log(s) - (1 - z) * gf.log(1 - s)
        (slope,) = gf.gradients(loss, [x])
        found, slopes = _optimized([loss, slope], {x: SCORES, z: np.full(7, target)})
    wanted = target * np.logaddexp(0, -SCORES) + (1 - target) * np.logaddexp(0, SCORES)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
    np.testing.assert_allclose(slopes, special.expit(SCORES) - target, rtol=1e-12, atol=1e-15)


def test_binary_cross_entropy_of_a_sigmoid() -> None:
    with gf.Graph():
        x, z = gf.placeholder("x", (7,), gf.float64), gf.placeholder("z", (7,), gf.float64)
        loss = gf.nn.binary_cross_entropy(gf.nn.sigmoid(x), z, reduction="none")
        for target in (0.0, 1.0, 0.25):
            (found,) = _optimized([loss], {x: SCORES, z: np.full(7, target)})
            wanted = target * np.logaddexp(0, -SCORES) + (1 - target) * np.logaddexp(0, SCORES)
            np.testing.assert_allclose(found, wanted, rtol=1e-13)


SPELLINGS = {
    "log(softmax)": lambda x: gf.log(gf.nn.softmax(x)),
    "log(exp / sum)": lambda x: gf.log(gf.exp(x) / gf.sum(gf.exp(x), axis=-1, keepdims=True)),
    "x - log(sum(exp))": lambda x: x - gf.log(gf.sum(gf.exp(x), axis=-1, keepdims=True)),
    "shifted": lambda x: _shifted(x, gf.max(x, axis=-1, keepdims=True)),
    "shifted, without gradient": lambda x: _shifted(x, gf.stop_gradient(gf.max(x, axis=-1, keepdims=True))),
    "shifted total": lambda x: x - _total(x, gf.max(x, axis=-1, keepdims=True)),
}


def _shifted(x: gf.Tensor, m: gf.Tensor) -> gf.Tensor:
    return (x - m) - gf.log(gf.sum(gf.exp(x - m), axis=-1, keepdims=True))


def _total(x: gf.Tensor, m: gf.Tensor) -> gf.Tensor:
    return gf.log(gf.sum(gf.exp(x - m), axis=-1, keepdims=True)) + m


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_log_softmax_become_the_operator(spelling: str) -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("n", 5))
        program = optimize(extract([SPELLINGS[spelling](x)], feeds=[x]), "O2", strict=True)
    assert [node.op.name for node in program.order()] == ["placeholder", "log_softmax"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_naive_cross_entropy_and_its_gradient(spelling: str) -> None:
    """-log(softmax(x))[label] is finite, and so is its gradient, where the probability underflows to 0."""
    scores = np.array([[0.0, 2000.0, -5.0], [1.0, 2.0, 3.0]])
    labels = np.array([[0], [2]])
    with gf.Graph():
        x = gf.placeholder("x", (2, 3), gf.float64)
        loss = -gf.sum(gf.take_along_axis(SPELLINGS[spelling](x), gf.constant(labels), axis=1))
        (slope,) = gf.gradients(loss, [x])
        found, slopes = _optimized([loss, slope], {x: scores})
    wanted = special.log_softmax(scores, axis=1)[[0, 1], [0, 2]]
    np.testing.assert_allclose(found, -wanted.sum(), rtol=1e-13)
    np.testing.assert_allclose(
        slopes, special.softmax(scores, axis=1) - np.array([[1, 0, 0], [0, 0, 1]]), rtol=1e-12, atol=1e-15
    )


def test_picked_after_the_logarithm() -> None:
    """-log(softmax(x)[label]), the gather before the logarithm, has no infinite loss either."""
    with gf.Graph():
        x = gf.placeholder("x", (1, 2), gf.float64)
        picked = gf.take_along_axis(gf.nn.softmax(x), gf.constant([[1]]), axis=1)
        (found,) = _optimized([-gf.log(picked)], {x: np.array([[1000.0, 0.0]])})
    assert found == 1000.0


def test_more_than_one_axis_stays() -> None:
    for text in (
        "multiply(divide(x, sum(e, keepdims=True)), e)",
        "multiply(reciprocal(sum(e, keepdims=True)), e)",
    ):
        assert_declines(
            [rules.exp_over_total, rules.exp_times_reciprocal_total],
            f"{X} -> e = exp(x); {text}",
            "takes one axis",
        )
    assert_declines(
        rules.log_softmax_written_out, f"{X} -> subtract(x, logsumexp(x, keepdims=True))", "takes one axis"
    )


def test_a_share_without_the_axis_stays() -> None:
    assert_declines(
        rules.exp_over_total,
        "g: float32[], x: float32[3] -> e = exp(x); q = divide(g, sum(e, axis=0, keepdims=True));"
        "multiply(sum(negative(q), axis=0, keepdims=True), e)",
    )


def test_shared_logarithms_stay() -> None:
    assert_declines(
        rules.exp_of_log_softmax, f"{X} -> l = log_softmax(x); (l, exp(l))", "log_softmax has other users"
    )


def test_an_offset_that_varies_along_the_axis_stays() -> None:
    assert_declines(
        [rules.softmax_of_offset, rules.log_softmax_of_shifted],
        "x: float32[4,7], y: float32[4,7] -> (softmax(add(x, y)), log_softmax(subtract(x, y)))",
    )
    assert_declines(
        rules.logsumexp_of_shifted,
        "x: float32[4,7], y: float32[4,1], z: float32[4,1]"
        " -> add(logsumexp(subtract(x, y), axis=1, keepdims=True), z)",
    )


def test_what_does_not_stand_where_it_was_reduced_stays() -> None:
    square = "x: float32[3,3]"
    assert_declines(rules.log_softmax_written_out, f"{square} -> subtract(x, logsumexp(x, axis=1))")
    assert_declines(
        rules.logsumexp_of_shifted,
        f"{square} -> m = max(x, axis=1); add(m, logsumexp(subtract(x, m), axis=1))",
    )
    assert_declines(
        rules.logsumexp_of_shifted,
        "x: float32[3,3,4], m: float32[1,3,1] -> add(reshape(m, (3, 1)), logsumexp(subtract(x, m), axis=2))",
    )


def test_other_divisors_do_not_cancel() -> None:
    """g / s s is NaN for s = 0, and means it, where s is not a probability."""
    assert_declines(
        [rules.cancel_probability, rules.cancel_probability_alone, rules.spread_over_probability],
        "g: float32[3], s: float32[3], y: float32[3] -> q = divide(g, s);"
        "(multiply(q, s), multiply(q, multiply(s, y)), multiply(s, subtract(q, y)))",
    )

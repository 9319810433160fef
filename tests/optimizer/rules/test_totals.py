"""Further rules of reductions: what they give, what they keep, and where they decline."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.optimizer.rules import totals as rules
from tests.optimizer.rewriting import assert_declines, assert_rewrites, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
CUBE = "x: float32[2,3,4]"
C = "c: float32[]"
ROWS = "x: float32[3,20]"

CASES = [
    Case(
        rules.extreme_of_broadcast,
        "x: float32[7] -> max(broadcast_to(x, (4, 7)), axis=0)",
        "reshape(reshape(x, (1, 7)), (7,))",
    ),
    Case(
        rules.extreme_of_broadcast,
        "x: float32[4,1] -> min(broadcast_to(x, (3, 4, 5)), axis=(1, 2), keepdims=True)",
        "broadcast_to(min(reshape(x, (1, 4, 1)), axis=1, keepdims=True), (3, 1, 1))",
    ),
    Case(
        rules.sum_of_broadcast,
        "x: float32[7] -> sum(broadcast_to(x, (4, 7)), axis=0)",
        "reshape(multiply(reshape(x, (1, 7)), 4.0), (7,))",
    ),
    Case(
        rules.sum_of_broadcast,
        "x: float32[4,1] -> sum(broadcast_to(x, (4, 5)))",
        "reshape(multiply(sum(x, axis=0, keepdims=True), 5.0), ())",
    ),
    Case(
        rules.sum_of_broadcast, "x: float32[4,1] -> mean(broadcast_to(x, (4, 5)), axis=1)", "reshape(x, (4,))"
    ),
    Case(
        rules.extreme_of_permuted, f"{CUBE} -> max(permute_dims(x), axis=0)", "permute_dims(max(x, axis=2))"
    ),
    Case(rules.extreme_of_permuted, f"{CUBE} -> min(permute_dims(x, (1, 0, 2)), axis=1)", "min(x, axis=0)"),
    Case(
        rules.extreme_of_permuted,
        f"{CUBE} -> max(permute_dims(x), axis=0, keepdims=True)",
        "permute_dims(max(x, axis=2, keepdims=True))",
    ),
    Case(
        rules.sum_of_permuted,
        f"{CUBE} -> mean(permute_dims(x, (0, 2, 1)), axis=(1, 2))",
        "mean(x, axis=(1, 2))",
    ),
    Case(rules.extreme_of_reshaped, f"{X} -> max(reshape(x, (28,)))", "max(x)"),
    Case(
        rules.sum_of_reshaped,
        f"{X} -> sum(reshape(x, (2, 14)), keepdims=True)",
        "reshape(sum(x), (1, 1))",
        1e-5,
    ),
    Case(rules.merge_means, f"{CUBE} -> mean(mean(x, axis=1), axis=1)", "mean(x, axis=(1, 2))", 1e-5),
    Case(
        rules.merge_means,
        f"{CUBE} -> logsumexp(logsumexp(x, axis=0), axis=0)",
        "logsumexp(x, axis=(0, 1))",
        1e-5,
    ),
    Case(
        rules.sum_of_known_sums,
        f"{ROWS} -> (sum(x), sum(x, axis=1, keepdims=True))",
        "s = sum(x, axis=1, keepdims=True); (sum(s, axis=(0, 1)), s)",
        1e-5,
    ),
    Case(
        rules.sum_of_known_sums,
        "x: float32[3,20,2] -> (sum(x, axis=(0, 1), keepdims=True), sum(x, axis=1))",
        "s = sum(x, axis=1); (reshape(sum(s, axis=0), (1, 1, 2)), s)",
        1e-5,
    ),
    Case(
        rules.sum_of_scaled, f"{X}, {C} -> sum(multiply(x, c), axis=1)", "multiply(sum(x, axis=1), c)", 1e-5
    ),
    Case(rules.sum_of_scaled, f"{X}, {C} -> mean(divide(x, c))", "divide(mean(x), c)", 1e-5),
    Case(rules.sum_of_negative, f"{X} -> sum(negative(x), axis=1)", "negative(sum(x, axis=1))"),
    Case(rules.extreme_of_negative, f"{X} -> max(negative(x), axis=0)", "negative(min(x, axis=0))"),
    Case(rules.extreme_of_shifted, f"{X}, {C} -> max(add(x, c), axis=0)", "add(max(x, axis=0), c)"),
    Case(rules.extreme_of_shifted, f"{X} -> min(multiply(x, 3.0))", "multiply(min(x), 3.0)"),
    Case(rules.extreme_of_rising, f"{X} -> max(exp(x), axis=1)", "exp(max(x, axis=1))"),
    Case(rules.extreme_of_rising, f"{X} -> min(sqrt(square(x)))", "sqrt(min(square(x)))"),
    Case(rules.place_of_rising, f"{X} -> argmax(tanh(x), axis=1)", "argmax(x, axis=1)"),
    Case(rules.place_of_probability, f"{X} -> argmax(softmax(x), axis=1)", "argmax(x, axis=1)"),
    Case(rules.place_of_probability, f"{X} -> argmin(log_softmax(x, axis=0), axis=0)", "argmin(x, axis=0)"),
    Case(
        rules.place_of_shifted,
        "x: float32[4,7], y: float32[4,1] -> argmax(subtract(x, y), axis=1)",
        "argmax(x, axis=1)",
    ),
    Case(rules.place_of_shifted, f"{X} -> argmin(multiply(3.0, x))", "argmin(x)"),
    Case(rules.place_of_negative, f"{X} -> argmax(negative(x), axis=0)", "argmin(x, axis=0)"),
]


@pytest.mark.parametrize("scores", [[0.0, 200.0, 201.0], [-1e9, -1e9 + 128, 0.0]])
def test_the_largest_score_wins_where_probabilities_tie(scores: list[float]) -> None:
    """softmax and sigmoid round these to equal numbers, of which argmax takes the first."""
    x = np.array(scores, np.float32)
    for text in ("argmax(sigmoid(x))", "argmin(softmax(x))"):
        program = build(f"x: float32[3] -> {text}")
        rewrite(program, rules.RULES)
        wanted = np.argmax(x) if "argmax" in text else np.argmin(x)
        assert values(program, [x])[0] == wanted


def test_many_copies_add_up_to_their_number_times_one() -> None:
    """Adding 0.1 a million times one by one loses digits that multiplying keeps."""
    program = build("x: float32[1] -> sum(broadcast_to(x, (1000003,)))")
    rewrite(program, rules.RULES)
    assert values(program, [np.array([0.1], np.float32)])[0] == np.float32(
        np.float32(0.1) * np.float32(1000003)
    )


def test_symbolic_counts() -> None:
    assert_rewrites(
        rules.sum_of_broadcast,
        "x: float32[7] -> sum(broadcast_to(x, (Dim('n'), 7)), axis=0)",
        "reshape(multiply(reshape(x, (1, 7)), dimension(size=Dim('n'), dtype=x.dtype)), (7,))",
    )
    assert_declines(
        [rules.sum_of_broadcast, rules.extreme_of_broadcast],
        "x: float32[7] -> y = broadcast_to(x, (Dim('n'), 7)); mean(y, axis=0)",
    )


def test_empty_and_size_one() -> None:
    assert_declines(rules.sum_of_broadcast, "x: float32[7] -> sum(broadcast_to(x, (0, 7)), axis=0)")
    for shape in ((1, 7), (7, 1)):
        outputs = "(max(permute_dims(x), axis=1), argmax(negative(x), axis=1))"
        text = f"x: float32[{shape[0]},{shape[1]}] -> {outputs}"
        plain, program = build(text), build(text)
        assert rewrite(program, rules.RULES).edits
        x = np.array([0.0, -0.0, np.nan, np.inf, 1, 2, 3], np.float32).reshape(shape)
        for left, right in zip(values(program, [x]), values(plain, [x])):
            np.testing.assert_array_equal(left, right)


def test_shared_parts_stay() -> None:
    shared = "has other users"
    assert_declines(rules.merge_means, f"{CUBE} -> m = mean(x, axis=1); (m, mean(m, axis=1))", shared)
    assert_declines(rules.sum_of_scaled, f"{X}, {C} -> m = multiply(x, c); (m, sum(m))", shared)
    assert_declines(rules.sum_of_negative, f"{X} -> m = negative(x); (m, sum(m))", shared)
    assert_declines(rules.extreme_of_negative, f"{X} -> m = negative(x); (m, max(m))", shared)
    assert_declines(rules.extreme_of_shifted, f"{X}, {C} -> m = add(x, c); (m, max(m))", shared)
    assert_declines(rules.extreme_of_rising, f"{X} -> m = exp(x); (m, max(m))", shared)


@pytest.mark.parametrize(
    "text",
    [
        f"{X} -> (sum(x), sum(x, axis=1))",
        f"{ROWS} -> (sum(x, axis=1), sum(x, axis=1, keepdims=True))",
        f"{ROWS} -> (sum(x, axis=0), sum(x, axis=1))",
        f"{ROWS} -> (sum(x), mean(x, axis=1))",
        "x: float16[3,20] -> (sum(x), sum(x, axis=1))",
        "x: int32[3,20] -> (sum(x), sum(x, axis=1))",
        "x: float32[n,20] -> (sum(x), sum(x, axis=1))",
        "x: float32[3,0] -> (sum(x), sum(x, axis=1))",
    ],
)
def test_totals_that_partial_sums_do_not_make(text: str) -> None:
    assert_declines(rules.sum_of_known_sums, text)


@pytest.mark.parametrize("level", ["O2", "O3"])
def test_a_total_is_made_of_the_sums_of_a_gradient(level: str) -> None:
    with gf.Graph():
        x, y = (gf.placeholder(name, (6, 32)) for name in "xy")
        loss = gf.sum(x / gf.sqrt(gf.sum(x * x, axis=-1, keepdims=True)) * y)
        program = optimize(extract([loss, *gf.gradients(loss, [x])], feeds=[x, y]), level)
    assert program.outputs[0].node.inputs[0].node.op.name == "sum"
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((6, 32)).astype(np.float32) for _ in range(2)]
    unit = given[0] / np.sqrt(np.sum(given[0].astype(np.float64) ** 2, axis=-1, keepdims=True))
    np.testing.assert_allclose(values(program, given)[0], np.sum(unit * given[1]), atol=1e-5)


def test_sums_with_infinities_of_both_signs() -> None:
    program = build(f"{ROWS} -> (sum(x), sum(x, axis=1))")
    rewrite(program, [rules.sum_of_known_sums])
    for bad, wanted in (([np.inf], np.inf), ([-np.inf, np.inf], np.nan), ([np.nan, 1], np.nan)):
        x = np.ones((3, 20), np.float32)
        x[: len(bad), 4] = bad
        np.testing.assert_array_equal(values(program, [x])[0], wanted)


def test_signs_matter() -> None:
    said = "may be negative, where log gives NaN"
    assert_declines(rules.extreme_of_rising, f"{X} -> max(log(x))", said)
    assert_declines(rules.place_of_rising, f"{X} -> argmax(log(x))", said)
    assert_declines(rules.extreme_of_shifted, f"{X} -> max(multiply(x, -3.0))")
    assert_declines(
        rules.place_of_shifted, f"{X}, {C} -> (argmax(multiply(x, c)), argmax(multiply(x, -3.0)))"
    )


def test_the_least_integers_stay() -> None:
    """-(-128) is -128 for int8."""
    assert_declines(
        [rules.extreme_of_negative, rules.place_of_negative],
        "x: int8[4] -> (max(negative(x)), argmax(negative(x)))",
    )


def test_other_axes_stay() -> None:
    assert_declines(
        [rules.place_of_probability, rules.place_of_shifted],
        "x: float32[4,7], y: float32[4,1] -> (argmax(softmax(x, axis=0), axis=1), argmax(add(x, y), axis=0))",
    )


def test_copies_that_a_dtype_cannot_count_stay() -> None:
    """100000 is infinite as a float16, and 0 times infinity is NaN, where the sum is 0."""
    said = "float16 may not hold"
    assert_declines(
        rules.sum_of_broadcast, "x: float16[3] -> sum(broadcast_to(x, (100000, 3)), axis=0)", said
    )
    assert_declines(
        rules.sum_of_broadcast, "x: float16[3] -> sum(broadcast_to(x, (Dim('n'), 3)), axis=0)", said
    )

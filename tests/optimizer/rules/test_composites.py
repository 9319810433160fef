"""Rules that give composites written out by hand their names."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.rules import RULES
from graphflow.optimizer.rules import composites as rules
from tests.optimizer.rewriting import AWKWARD, assert_declines, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
ERF = "e = add(erf(divide(x, np.float32(np.sqrt(2)))), 1.0)"
TANH = "e = add(tanh(multiply(0.7978845608, add(x, multiply(0.044715, pow(x, 3.0))))), 1.0)"
CUBE = "e = add(tanh(multiply(multiply(x, 0.7978845608), add(multiply(0.044715, square(x)), 1.0))), 1.0)"
CENTER = "c = subtract(x, mean(x, axis=1, keepdims=True))"
VARIANCE = "v = add(mean(square(c), axis=1, keepdims=True), 1e-5)"
BARE = "v = mean(square(c), axis=1, keepdims=True)"
POWER = "v = add(mean(square(x), axis=1, keepdims=True), 1.0)"
ONES = "broadcast_to(1.0, shape=(7,)), broadcast_to(0.0, shape=(7,))"
NORM = f"layer_normalization(x, {ONES}, axis=1, epsilon=float(np.float32(1e-5)))"
BARE_NORM = f"layer_normalization(x, {ONES}, axis=1, epsilon=0.0)"

CASES = [
    Case(
        rules.gate_form, f"{X} -> divide(2.0, add(exp(x), 1.0))", "multiply(2.0, sigmoid(negative(x)))", 1e-5
    ),
    Case(
        rules.gate_form,
        f"{X} -> divide(x, add(1.0, exp(multiply(x, -1.702))))",
        "multiply(x, sigmoid(negative(multiply(x, -1.702))))",
        1e-5,
    ),
    Case(
        rules.gelu_form,
        f"{X} -> h = multiply(x, 0.5); add(h, multiply(h, erf(divide(x, np.float32(np.sqrt(2))))))",
        "gelu(x)",
    ),
    Case(
        rules.scale_inside_norm,
        f"{X}, s: float32[7] -> {CENTER}; {VARIANCE}; multiply(c, multiply(s, rsqrt(v)))",
        f"{X}, s: float32[7] -> {CENTER}; {VARIANCE}; multiply(multiply(c, rsqrt(v)), s)",
        1e-5,
    ),
    Case(
        rules.scale_inside_norm,
        f"{X}, s: float32[7] -> {POWER}; divide(multiply(s, x), sqrt(v))",
        f"{X}, s: float32[7] -> {POWER}; multiply(multiply(x, rsqrt(v)), s)",
        1e-5,
    ),
    Case(
        rules.scale_inside_norm,
        f"{X}, s: float32[7] -> {CENTER}; {VARIANCE}; multiply(reciprocal(sqrt(v)), multiply(c, s))",
        f"{X}, s: float32[7] -> {CENTER}; {VARIANCE}; multiply(multiply(c, rsqrt(v)), s)",
        1e-5,
    ),
    Case(
        rules.center_inside_norm,
        f"{X}, s: float32[7], o: float32[7] -> m = mean(x, axis=1, keepdims=True); c = subtract(x, m); "
        f"{VARIANCE}; f = multiply(rsqrt(v), s); add(multiply(x, f), subtract(o, multiply(m, f)))",
        f"{X}, s: float32[7], o: float32[7] -> {CENTER}; {VARIANCE}; "
        "add(multiply(c, multiply(rsqrt(v), s)), o)",
        1e-4,
    ),
    Case(
        rules.divide_by_root_mean_square,
        f"{X} -> multiply(x, reciprocal(sqrt(add(mean(square(x), axis=1, keepdims=True), 1e-5))))",
        "multiply(x, rsqrt(add(mean(square(x), axis=1, keepdims=True), 1e-5)))",
    ),
    Case(
        rules.divide_by_root_mean_square,
        f"{X} -> divide(x, sqrt(mean(square(x), axis=1, keepdims=True)))",
        "multiply(x, rsqrt(mean(square(x), axis=1, keepdims=True)))",
    ),
    Case(
        rules.scale_inside_norm,
        f"{X}, s: float32[7] -> multiply(x, multiply(rsqrt(mean(square(x), axis=1, keepdims=True)), s))",
        "multiply(multiply(x, rsqrt(mean(square(x), axis=1, keepdims=True))), s)",
        1e-5,
    ),
    Case(rules.silu_form, f"{X} -> multiply(sigmoid(x), x)", "silu(x)"),
    Case(rules.silu_form, f"{X} -> divide(x, add(1.0, exp(negative(x))))", "silu(x)"),
    Case(rules.gelu_form, f"{X} -> {ERF}; multiply(multiply(0.5, x), e)", "gelu(x)"),
    Case(rules.gelu_form, f"{X} -> {ERF}; multiply(0.5, multiply(x, e))", "gelu(x)"),
    Case(rules.gelu_form, f"{X} -> {ERF}; multiply(x, multiply(e, 0.5))", "gelu(x)"),
    Case(
        rules.gelu_form,
        f"{X} -> multiply(x, add(0.5, multiply(0.5, erf(multiply(x, np.float32(np.sqrt(0.5)))))))",
        "gelu(x)",
    ),
    Case(rules.gelu_form, f"{X} -> {TANH}; multiply(multiply(x, 0.5), e)", "gelu(x, approximate=True)", 1e-5),
    Case(rules.gelu_form, f"{X} -> {CUBE}; multiply(x, multiply(e, 0.5))", "gelu(x, approximate=True)", 1e-5),
    Case(
        rules.gelu_form,
        f"{X} -> multiply(x, sigmoid(multiply(1.5957691216, add(x, multiply(0.044715, multiply(x, "
        f"square(x)))))))",
        "gelu(x, approximate=True)",
        1e-5,
    ),
    Case(rules.layer_norm_form, f"{X} -> {CENTER}; {VARIANCE}; divide(c, sqrt(v))", NORM, 1e-5),
    Case(rules.layer_norm_form, f"{X} -> {CENTER}; {VARIANCE}; multiply(rsqrt(v), c)", NORM, 1e-5),
    Case(
        rules.layer_norm_form,
        "x: float32[4,7,3] -> c = subtract(x, divide(sum(x, axis=(1, 2), keepdims=True), 21.0));"
        "v = divide(sum(square(c), axis=(1, 2), keepdims=True), 21.0); divide(c, sqrt(add(v, 1.0)))",
        "layer_normalization(x, broadcast_to(1.0, shape=(7, 3)), broadcast_to(0.0, shape=(7, 3)), "
        "axis=1, epsilon=1.0)",
        1e-5,
    ),
    Case(rules.layer_norm_form, f"{X} -> {CENTER}; {BARE}; divide(c, sqrt(v))", BARE_NORM, 1e-5),
    Case(rules.layer_norm_form, f"{X} -> {CENTER}; {BARE}; multiply(c, rsqrt(v))", BARE_NORM, 1e-5),
    Case(
        rules.layer_norm_form,
        f"{X} -> {CENTER}; {BARE}; z = equal(v, 0.0); divide(c, where(z, 0.0, sqrt(where(z, 1.0, v))))",
        BARE_NORM,
        1e-5,
    ),
    Case(
        rules.scale_layer_norm,
        f"{X}, s: float32[7] -> multiply({NORM}, s)",
        "layer_normalization(x, s, broadcast_to(0.0, shape=(7,)), axis=1, epsilon=float(np.float32(1e-5)))",
        1e-5,
    ),
    Case(
        rules.shift_layer_norm,
        f"{X}, s: float32[1,7] -> add({NORM}, s)",
        "layer_normalization(x, broadcast_to(1.0, shape=(7,)), reshape(s, shape=(7,)), axis=1, "
        "epsilon=float(np.float32(1e-5)))",
        1e-5,
    ),
    Case(
        rules.divide_by_root_mean_square,
        f"{X} -> divide(x, sqrt(add(mean(square(x), axis=1, keepdims=True), 1e-5)))",
        "multiply(x, rsqrt(add(mean(square(x), axis=1, keepdims=True), 1e-5)))",
    ),
]


@pytest.mark.parametrize(
    ("rule", "text", "sentence"),
    [
        (rules.silu_form, f"{X} -> s = sigmoid(x); (multiply(x, s), s)", "sigmoid has other users"),
        (rules.silu_form, f"{X}, y: float32[4,7] -> multiply(y, sigmoid(x))", ""),
        (rules.gelu_form, f"{X} -> {ERF}; (multiply(multiply(0.5, x), e), e)", "add has other users"),
        (
            rules.gelu_form,
            f"{X} -> multiply(multiply(0.5, x), add(erf(divide(x, 1.414)), 1.0))",
            "0.707213561 is not 0.707106781 to the precision of float32, so this is not quite gelu",
        ),
        (
            rules.gelu_form,
            "x: float64[3] -> multiply(multiply(0.5, x), add(erf(divide(x, 1.41421356)), 1.0))",
            "to the precision of float64",
        ),
        (rules.gelu_form, f"{X}, y: float32[4,7] -> multiply(multiply(0.5, x), add(erf(y), 1.0))", ""),
        (rules.gelu_form, f"{X} -> multiply(multiply(0.25, x), add(erf(x), 1.0))", ""),
        (
            rules.layer_norm_form,
            f"{X} -> c = subtract(x, mean(x, axis=0, keepdims=True)); divide(c, "
            f"sqrt(add(mean(square(c), axis=0, keepdims=True), 1e-5)))",
            "",
        ),
        (
            rules.layer_norm_form,
            f"{X} -> c = subtract(x, divide(sum(x, axis=1, keepdims=True), 0.0)); {VARIANCE}; "
            "divide(c, sqrt(v))",
            "",
        ),
        (
            rules.layer_norm_form,
            f"{X}, m: float32[4,1] -> c = subtract(x, m); {VARIANCE}; divide(c, sqrt(v))",
            "",
        ),
        (
            rules.layer_norm_form,
            f"{X} -> {CENTER}; v = add(mean(square(c), axis=1, keepdims=True), -1.0); divide(c, sqrt(v))",
            "",
        ),
        (
            rules.layer_norm_form,
            f"{X} -> {CENTER}; v = add(multiply(sum(square(c), axis=1, keepdims=True), 0.25), 1.0); "
            f"divide(c, sqrt(v))",
            "",
        ),
        (
            rules.layer_norm_form,
            f"{X} -> {CENTER}; {VARIANCE}; (divide(c, sqrt(v)), v)",
            "add has other users",
        ),
        (
            rules.layer_norm_form,
            f"x: float32[4,n] -> {CENTER}; {VARIANCE}; divide(c, sqrt(v))",
            "layer_norm needs static sizes",
        ),
        (rules.scale_layer_norm, f"{X}, s: float32[4,1] -> multiply({NORM}, s)", ""),
        (
            rules.shift_layer_norm,
            f"{X}, s: float32[7] -> y = {NORM}; (add(y, s), y)",
            "layer_normalization has other users",
        ),
        (rules.gate_form, f"{X}, y: float32[4,7] -> divide(y, add(exp(x), 1.0))", ""),
        (rules.gate_form, f"{X} -> t = add(exp(x), 1.0); (divide(x, t), t)", "add has other users"),
        (
            rules.scale_inside_norm,
            f"{X}, s: float32[7] -> {CENTER}; {VARIANCE}; f = multiply(s, rsqrt(v)); (multiply(c, f), f)",
            "multiply has other users",
        ),
        (
            rules.scale_inside_norm,
            f"{X}, s: float32[4,1] -> {CENTER}; {VARIANCE}; multiply(c, multiply(s, rsqrt(v)))",
            "",
        ),
        (
            rules.center_inside_norm,
            f"{X}, m: float32[4,1], f: float32[4,1], o: float32[7] -> "
            "add(multiply(x, f), subtract(o, multiply(m, f)))",
            "",
        ),
        (
            rules.divide_by_root_mean_square,
            f"{X} -> r = sqrt(add(mean(square(x), axis=1, keepdims=True), 1e-5)); (divide(x, r), r)",
            "sqrt has other users",
        ),
    ],
)
def test_declines(rule: object, text: str, sentence: str) -> None:
    assert_declines(rule, text, sentence)


@pytest.mark.parametrize(
    "text",
    [
        f"{ERF}; multiply(multiply(0.5, x), e)",
        f"{TANH}; multiply(multiply(0.5, x), e)",
        "multiply(x, sigmoid(x))",
    ],
)
def test_activations_at_awkward_values(text: str) -> None:
    """NaN stays NaN; infinities and huge numbers give what the formula's limit is, or the formula's NaN."""
    plain, program = build(f"x: float64[14] -> {text.replace('np.float32', '')}"), None
    program = build(
        f"x: float64[14] -> {text.replace('np.float32', '').replace('0.7978845608', 'np.sqrt(2 / np.pi)')}"
    )
    rewrite(program, rules.RULES)
    assert len(program.order()) == 2
    x = np.array(AWKWARD)
    with np.errstate(all="ignore"):
        (old,), (new,) = values(plain, [x]), values(program, [x])
    assert np.isnan(new[np.isnan(x)]).all()
    finite = np.isfinite(x)
    np.testing.assert_allclose(new[finite], old[finite], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("level", ["O2", "O3"])
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.rule is not rules.gate_form],
    ids=lambda case: case.before.partition("->")[2],
)
def test_each_level_finds_the_name(case: Case, level: str) -> None:
    program = optimize(build(case.before), level, strict=True)
    assert {"silu", "gelu", "layer_normalization", "call"} & {node.op.name for node in program.order()}


def test_every_composite_is_tagged() -> None:
    tagged = [one.name for one in RULES if "composites" in one.tags]
    assert {one.name for one in rules.RULES} <= set(tagged)
    assert all(one.safety == "rounding" for one in rules.RULES)


SPELLINGS = [
    ("divide(x, add(1.0, exp(multiply(-1.5957691216, add(x, multiply(0.044715, pow(x, 3.0)))))))", "gelu"),
    (
        f"{CENTER}; v = add(mean(pow(c, 2.0), axis=-1, keepdims=True), 1e-5); multiply(c, pow(v, -0.5))",
        "layer",
    ),
    (
        "m = expand_dims(mean(x, axis=-1), axis=-1); c = subtract(x, m); "
        "v = expand_dims(mean(multiply(c, c), axis=-1), axis=-1); divide(c, sqrt(add(v, 1e-5)))",
        "layer",
    ),
    ("multiply(x, reciprocal(sqrt(add(mean(pow(x, 2.0), axis=-1, keepdims=True), 1e-6))))", "call"),
    ("multiply(x, expand_dims(rsqrt(add(mean(square(x), axis=-1), 1e-6)), axis=-1))", "call"),
    ("divide(x, pow(add(mean(square(x), axis=1, keepdims=True), 1e-6), 0.5))", "call"),
    ("multiply(x, rsqrt(mean(square(x), axis=-1, keepdims=True)))", "call"),
    ("multiply(x, pow(mean(pow(x, 2.0), axis=-1, keepdims=True), -0.5))", "call"),
    ("multiply(reciprocal(sqrt(mean(multiply(x, x), axis=-1, keepdims=True))), x)", "call"),
    (f"{CENTER}; divide(c, sqrt(mean(multiply(c, c), axis=1, keepdims=True)))", "layer"),
    (f"{CENTER}; multiply(c, pow(mean(pow(c, 2.0), axis=1, keepdims=True), -0.5))", "layer"),
]


@pytest.mark.parametrize(("text", "name"), SPELLINGS)
@pytest.mark.parametrize("kind", ["float32[4,7]", "bfloat16[n,7]"])
def test_other_spellings_of_the_same(text: str, name: str, kind: str) -> None:
    program = optimize(build(f"x: {kind} -> {text}"), strict=True)
    assert any(node.op.name.startswith(name) for node in program.order()), list(program.order())


@pytest.mark.parametrize("tail", ["divide(c, sqrt(v))", "multiply(c, rsqrt(v))"])
def test_without_epsilon_rows_that_have_no_spread_stay_nan(tail: str) -> None:
    x = np.array([[2.0] * 7, [1e-30] + [0.0] * 6, [np.inf] + [0.0] * 6, np.arange(7.0)], np.float32)
    text = f"{X} -> {CENTER}; {BARE}; {tail}"
    before, after = build(text), optimize(build(text), strict=True)
    assert any(node.op.name == "layer_normalization" for node in after.order())
    old, new = values(before, [x])[0], values(after, [x])[0]
    np.testing.assert_allclose(new, old, rtol=1e-6)
    assert np.isnan(new[[0, 2]]).any(axis=1).all() and np.isfinite(new[3]).all()


def test_a_sum_of_squares_and_the_spread_of_another_tensor_are_no_norm() -> None:
    for text in (
        "x: float32[4,7] -> divide(x, sqrt(sum(square(x), axis=1, keepdims=True)))",
        "x: float32[4,7], y: float32[4,7] -> divide(x, sqrt(mean(square(y), axis=1, keepdims=True)))",
        "x: float32[4,7] -> divide(x, sqrt(mean(square(x), axis=0, keepdims=True)))",
        f"x: float32[4,7], y: float32[4,1] -> {CENTER}; {BARE}; divide(subtract(x, y), sqrt(v))",
    ):
        names = {node.op.name for node in optimize(build(text), strict=True).order()}
        assert not names & {"call", "layer_normalization"}, text

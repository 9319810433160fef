"""Rules that fold factors, biases and batch normalization into weights."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.optimizer.rules import fold_weights as rules
from tests.optimizer.rewriting import AWKWARD, assert_declines, build, rewrite, show, values
from tests.optimizer.rules.cases import Case

X = "x: float64[2,4,5,6]"
W = "w = np.cos(np.arange(72.)).reshape(2, 4, 3, 3)"
V = "v = np.array([2., -3.])"
C = "c = np.array([[[.5]], [[-1.5]]])"
S4 = "s = np.array([1., 2., -3., 4.]).reshape(4, 1, 1)"
M = "m = np.cos(np.arange(12.)).reshape(3, 4)"
D = "d = np.array([1., -2., 4., .25])"
MATRIX = "x: float64[5,3]"
BN = "f = v / np.sqrt(np.abs(v) + 1e-5)"

CASES = [
    Case(
        rules.scale_after_product,
        f"{X} -> {W}; {C}; multiply(conv(x, w), c)",
        f"{X} -> {W}; {C}; conv(x, w * c[:, None])",
        1e-9,
    ),
    Case(
        rules.scale_after_product,
        f"{X} -> {W}; divide(conv(x, w, padding=1), 4.0)",
        f"{X} -> {W}; conv(x, w / 4.0, padding=1)",
        1e-9,
    ),
    Case(
        rules.scale_after_product,
        f"{MATRIX} -> {M}; {D}; multiply(d, matmul(x, m))",
        f"{MATRIX} -> {M}; {D}; matmul(x, m * d)",
        1e-9,
    ),
    Case(
        rules.scale_after_product,
        "x: float64[1,2,3,3] -> w = np.cos(np.arange(18.)).reshape(2, 1, 3, 3); "
        "multiply(conv(x, w, groups=2, padding=1), np.array([[[2.]], [[-3.]]]))",
        "x: float64[1,2,3,3] -> w = np.cos(np.arange(18.)).reshape(2, 1, 3, 3); "
        "conv(x, w * np.array([2., -3.]).reshape(2, 1, 1, 1), groups=2, padding=1)",
        1e-9,
    ),
    Case(
        rules.scale_after_product,
        "x: float64[1,4,3,3] -> w = np.cos(np.arange(32.)).reshape(4, 2, 2, 2); "
        "multiply(conv_input_gradient(x, w, input_shape=(1, 4, 4, 4), groups=2), np.arange(1., "
        "5.).reshape(4, 1, 1))",
        "x: float64[1,4,3,3] -> w = np.cos(np.arange(32.)).reshape(2, 2, 2, 2, 2); "
        "conv_input_gradient(x, (w * np.arange(1., 5.).reshape(2, 1, 2, 1, 1)).reshape(4, 2, 2, 2), "
        "input_shape=(1, 4, 4, 4), groups=2)",
        1e-9,
    ),
    Case(
        rules.scale_before_product,
        f"{X} -> {W}; {S4}; conv(multiply(x, s), w, padding=1)",
        f"{X} -> {W}; {S4}; conv(x, w * s, padding=1)",
        1e-9,
    ),
    Case(
        rules.scale_before_product,
        f"{X} -> {W}; conv(divide(x, 255.0), w)",
        f"{X} -> {W}; conv(x, w / 255.0)",
        1e-9,
    ),
    Case(
        rules.scale_before_product,
        f"{MATRIX} -> {M}; matmul(multiply(x, np.array([1., 2., 3.])), m)",
        f"{MATRIX} -> {M}; matmul(x, m * np.array([[1.], [2.], [3.]]))",
        1e-9,
    ),
    Case(
        rules.scale_before_product,
        "x: float64[1,4,3,3] -> w = np.cos(np.arange(32.)).reshape(4, 2, 2, 2); s = np.arange(1., 5.); "
        "conv_input_gradient(multiply(x, s.reshape(4, 1, 1)), w, input_shape=(1, 4, 4, 4), groups=2)",
        "x: float64[1,4,3,3] -> w = np.cos(np.arange(32.)).reshape(4, 2, 2, 2); s = np.arange(1., 5.); "
        "conv_input_gradient(x, w * s.reshape(4, 1, 1, 1), input_shape=(1, 4, 4, 4), groups=2)",
        1e-9,
    ),
    Case(
        rules.scale_after_bias,
        f"{X} -> {W}; {C}; multiply(add(conv(x, w), c), 2.0)",
        f"{X} -> {W}; {C}; add(conv(x, w * 2), c * 2)",
        1e-9,
    ),
    Case(
        rules.scale_after_bias,
        f"{MATRIX} -> {M}; {D}; divide(add(matmul(x, m), 1.0), d)",
        f"{MATRIX} -> {M}; {D}; add(matmul(x, m / d), 1 / d)",
        1e-9,
    ),
    Case(
        rules.batch_norm_after_product,
        f"{X} -> {W}; {V}; batch_normalization(conv(x, w), v, np.abs(v), v, v)",
        f"{X} -> {W}; {V}; {BN}; add(conv(x, w * f.reshape(2, 1, 1, 1)), (v - v * f).reshape(2, 1, 1))",
        1e-9,
    ),
    Case(
        rules.batch_norm_after_product,
        f"{X} -> {W}; {V}; {C}; batch_normalization(add(conv(x, w), c), v, np.abs(v), v, v)",
        f"{X} -> {W}; {V}; {C}; {BN}; "
        "add(conv(x, w * f.reshape(2, 1, 1, 1)), (v - (v - c.ravel()) * f).reshape(2, 1, 1))",
        1e-9,
    ),
    Case(
        rules.batch_norm_after_product,
        f"{MATRIX} -> {M}; {D}; batch_normalization(matmul(x, m), d, np.abs(d), d, d)",
        f"{MATRIX} -> {M}; {D}; f = d / np.sqrt(np.abs(d) + 1e-5); add(matmul(x, m * f), d - d * f)",
        1e-9,
    ),
    Case(
        rules.merge_biases,
        f"{X} -> {W}; {C}; add(add(conv(x, w), c), 1.0)",
        f"{X} -> {W}; {C}; add(conv(x, w), c + 1)",
        1e-9,
    ),
    Case(
        rules.subtracted_bias,
        f"{X} -> {W}; {C}; subtract(conv(x, w), c)",
        f"{X} -> {W}; {C}; add(conv(x, w), -c)",
    ),
    Case(
        rules.subtracted_bias,
        f"{MATRIX} -> {M}; subtract(add(matmul(x, m), 1.0), 3.0)",
        f"{MATRIX} -> {M}; add(add(matmul(x, m), 1.0), -3.0)",
    ),
    Case(
        rules.shift_before_matmul,
        f"{MATRIX} -> {M}; k = np.array([1., 2., 3.]); matmul(subtract(x, k), m)",
        f"{MATRIX} -> {M}; k = np.array([1., 2., 3.]); subtract(matmul(x, m), k @ m)",
        1e-9,
    ),
    Case(
        rules.shift_before_matmul,
        f"{MATRIX} -> {M}; k = np.array([1., 2., 3.]); matmul(add(x, k), m)",
        f"{MATRIX} -> {M}; k = np.array([1., 2., 3.]); add(matmul(x, m), k @ m)",
        1e-9,
    ),
    Case(
        rules.pad_before_conv,
        f"{X} -> {W}; conv(pad(x, pads=((0, 0), (0, 0), (1, 2), (0, 3))), w, padding=1)",
        f"{X} -> {W}; conv(x, w, padding=((2, 3), (1, 4)))",
    ),
]


@pytest.mark.parametrize(
    ("rule", "text", "sentence"),
    [
        (
            rules.scale_after_product,
            f"{X} -> {W}; y = conv(x, w); (multiply(y, 2.0), y)",
            "conv has other users",
        ),
        (
            rules.scale_before_product,
            f"{X} -> {W}; y = multiply(x, 2.0); (conv(y, w), y)",
            "multiply has other users",
        ),
        (
            rules.scale_after_product,
            "x: float32[2,64] -> w = constant(np.ones((64, 64), 'float32')); (multiply(matmul(x, w), "
            "2.0), w)",
            "a second copy of its 16384 bytes",
        ),
        (rules.scale_after_product, f"{X} -> {W}; multiply(conv(x, w * 1e300), 1e300)", "leave the range"),
        (rules.scale_after_product, f"{X} -> {W}; multiply(conv(x, w * 1e-300), 1e-300)", "leave the range"),
        (rules.scale_after_product, f"{X} -> {W}; multiply(conv(x, w), np.inf)", "leave the range"),
        (
            rules.scale_after_product,
            "x: float16[2,3] -> multiply(matmul(x, np.ones((3, 4), 'float16')), 2.0)",
            "rounded a second time",
        ),
        (rules.scale_after_product, f"{X}, s: float64[2,1,1] -> {W}; multiply(conv(x, w), s)", ""),
        (rules.scale_after_product, f"{X} -> {W}; multiply(conv(x, w), np.ones((3, 4)))", ""),
        (rules.scale_after_product, f"{MATRIX}, w: float64[3,4] -> multiply(matmul(x, w), 2.0)", ""),
        (
            rules.batch_norm_after_product,
            f"{X} -> {W}; v = np.ones(3); batch_normalization(conv(x, w), v, v, v, v, axis=2)",
            "",
        ),
        (
            rules.shift_before_matmul,
            f"{MATRIX} -> {M}; y = add(x, 1.0); (matmul(y, m), y)",
            "add has other users",
        ),
        (
            rules.pad_before_conv,
            f"{X} -> {W}; conv(pad(x, pads=((0, 0), (0, 0), (1, 1), (1, 1)), value=1.0), w)",
            "pads with 1.0",
        ),
        (
            rules.pad_before_conv,
            f"{X} -> {W}; conv(pad(x, pads=((0, 0), (0, 0), (1, 1), (1, 1)), value=-0.0), w)",
            "pads with -0.0",
        ),
        (
            rules.pad_before_conv,
            f"{X} -> {W}; conv(pad(x, pads=((0, 0), (0, 0), (1, 1), (1, 1)), mode='edge'), w)",
            "repeats elements",
        ),
        (
            rules.pad_before_conv,
            f"{X} -> {W}; conv(pad(x, pads=((0, 1), (0, 0), (1, 1), (1, 1))), w)",
            "the batch or the channels",
        ),
        (
            rules.pad_before_conv,
            f"{X} -> {W}; y = pad(x, pads=((0, 0), (0, 0), (1, 1), (1, 1))); (conv(y, w), y)",
            "pad has other users",
        ),
    ],
)
def test_declines(rule: object, text: str, sentence: str) -> None:
    assert_declines(rule, text, sentence)


def test_nan_and_infinities_come_out_in_the_same_places() -> None:
    scale = "np.array([1., 0., -2., 3.])"
    text = f"{MATRIX} -> {M}; {D}; batch_normalization(matmul(x, m), d, np.abs(d), {scale}, d)"
    plain, folded = build(text), build(text)
    assert rewrite(folded, rules.RULES).fired("batch_norm_after_product")
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.choice(np.array(AWKWARD), size=(5, 3))
        (old,), (new,) = values(plain, [x]), values(folded, [x])
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9 * 1e30)
        np.testing.assert_array_equal(np.isnan(new), np.isnan(old))
        np.testing.assert_array_equal(np.isinf(new), np.isinf(old))


@pytest.mark.parametrize("shape", ["float64[0,4,5,6]", "float64[1,4,3,3]", "float64[n,4,5,6]"])
def test_empty_single_and_unknown_sizes(shape: str) -> None:
    text = f"x: {shape} -> {W}; {V}; batch_normalization(conv(x, w), v, np.abs(v), v, v)"
    plain, folded = build(text), build(text)
    rewrite(folded, rules.RULES)
    assert [
        node.op.name for node in folded.order() if node.op.name in ("conv", "add", "batch_normalization")
    ] == ["conv", "add"]
    sizes = [size if isinstance(size, int) else 3 for size in plain.feeds[0].shape]
    x = np.random.default_rng(1).normal(size=sizes)
    np.testing.assert_allclose(values(folded, [x])[0], values(plain, [x])[0], rtol=1e-9)


def _variable_net(rows: int) -> tuple[gf.Graph, gf.Tensor]:
    with gf.Graph() as graph:
        x = gf.placeholder("x", (rows, 8))
        w, s = gf.variable("w", (8, 8)), gf.variable("s", (8,))
        return graph, gf.matmul(x, w) * s


def test_variables_fold_where_scaling_the_result_takes_more() -> None:
    for rows, op_names in ((64, ["multiply", "matmul"]), (2, ["matmul", "multiply"])):
        graph, y = _variable_net(rows)
        journal = Journal("remarks")
        with graph:
            program = optimize(extract([y]), "O2", journal=journal)
        found = [node.op.name for node in program.order() if node.op.name in ("matmul", "multiply")]
        assert found == op_names
        said = [remark.reason for remark in journal.remarks if remark.rule == "scale_after_product"]
        assert said == ([] if rows == 64 else [
            "w is no constant: to scale its 64 elements at every run takes more than the 16 of matmul"
        ])  # fmt: skip


def test_a_whole_convolutional_block_is_one_convolution_with_a_bias() -> None:
    text = (
        f"{X} -> {W}; {V}; {C}; y = conv(pad(divide(x, 255.0), pads=((0, 0), (0, 0), (1, 1), (1, 1))), w); "
        "relu(add(multiply(batch_normalization(add(y, c), v, np.abs(v), v, v), 3.0), c))"
    )
    plain, program = build(text), optimize(build(text), "O2", strict=True)
    assert [node.op.name for node in program.order()] == [
        "placeholder",
        "constant",
        "conv",
        "constant",
        "add",
        "relu",
    ]
    x = np.random.default_rng(2).normal(size=(2, 4, 5, 6)) * 255
    np.testing.assert_allclose(values(program, [x])[0], values(plain, [x])[0], rtol=1e-9, atol=1e-12)
    assert show(optimize(program, "O2")) == show(program)

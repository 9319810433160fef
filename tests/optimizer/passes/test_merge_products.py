"""Products that share their input become one where that pays."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from tests.optimizer.rewriting import build, show, values

WEIGHTS = "a, b, c = (constant(np.cos(np.arange(64.) * k).reshape(8, 8)) for k in (1, 2, 3))"
QKV = f"x: float64[2,4,8] -> {WEIGHTS}; (matmul(x, a), tanh(matmul(x, b)), matmul(x, c))"
KERNELS = "a, b = (constant(np.cos(np.arange(36. * n)).reshape(n, 4, 3, 3)) for n in (2, 3))"
BRANCHES = f"x: float64[2,4,5,6] -> {KERNELS}; (conv(x, a, padding=1), relu(conv(x, b, padding=1)))"


def merged(text: str, options: str = "") -> tuple[Program, Journal]:
    journal = Journal("remarks")
    return optimize(build(text), pipeline=f"merge-products{options}", journal=journal, strict=True), journal


def names(program: Program) -> list[str]:
    return [node.op.name for node in program.order() if node.op.name not in ("placeholder", "constant")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            QKV,
            f"x: float64[2,4,8] -> {WEIGHTS}; w = np.concatenate([t.node.attrs['value'] for t in (a, "
            f"b, c)], axis=1);"
            "q, k, v = split(matmul(x, w), sections=(8, 8, 8), axis=2); (q, tanh(k), v)",
        ),
        (
            BRANCHES,
            f"x: float64[2,4,5,6] -> {KERNELS}; w = np.concatenate([t.node.attrs['value'] for t in (a, b)]);"
            "y, z = split(conv(x, w, padding=1), sections=(2, 3), axis=1); (y, relu(z))",
        ),
    ],
)
def test_constant_weights_are_joined(before: str, after: str) -> None:
    program, journal = merged(before)
    assert show(program) == show(optimize(build(after), pipeline="eliminate"))
    assert journal.entries[0].rule == "merge_products"
    x = np.random.default_rng(0).normal(size=program.feeds[0].shape)
    for new, old in zip(values(program, [x]), values(build(before), [x])):
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-12)
    assert not merged(after)[1].edits


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f"x: float64[4096,8] -> {WEIGHTS}; (matmul(x, a), matmul(x, b), matmul(x, c))",
            "merging 3 products of x: saves 171072 bytes, costs 1179648",
        ),
        (f"x: float64[n,8] -> {WEIGHTS}; (matmul(x, a), matmul(x, b))", "symbolic sizes"),
        (f"x: float64[2,8] -> {WEIGHTS}; (matmul(x, a), matmul(x, b), b)", "constant_1 has other users"),
        (f"x: float64[2,8], y: float64[2,8] -> {WEIGHTS}; (matmul(x, a), matmul(y, b))", ""),
        ("x: float64[2,8], a: float64[8,8], b: float64[8,8] -> (matmul(x, a), matmul(x, b))", ""),
        (f"x: float64[2,4,5,6] -> {KERNELS}; (conv(x, a), conv(x, b, padding=1))", ""),
        ("x: int32[2,8] -> (matmul(x, np.ones((8, 2), 'int32')), matmul(x, np.zeros((8, 2), 'int32')))", ""),
    ],
)
def test_products_that_stay_apart(text: str, sentence: str) -> None:
    program, journal = merged(text)
    assert show(program) == show(optimize(build(text), pipeline="eliminate"))
    said = [remark.reason for remark in journal.remarks]
    assert any(sentence in reason for reason in said) if sentence else not said


@pytest.mark.parametrize(("size", "pays"), [(8, True), (128, False)])
def test_variables_are_joined_at_every_run_so_they_must_be_small(size: int, pays: bool) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2, size))
        made = [gf.matmul(x, gf.variable(f"w{place}", (size, size))) for place in range(3)]
        journal = Journal("remarks")
        program = optimize(extract(made), pipeline="merge-products", journal=journal)
    assert ("concat" in names(program)) == pays
    assert len(journal.remarks) == (not pays)


def test_empty_and_single_rows_and_what_is_not_finite() -> None:
    for shape in ((0, 8), (1, 8), (3, 8)):
        text = QKV.replace("[2,4,8]", f"[{shape[0]},{shape[1]}]")
        program, journal = merged(text)
        assert journal.edits
        x = np.random.default_rng(1).normal(size=shape)
        x[:1, :2] = [np.nan, np.inf]
        for new, old in zip(values(program, [x]), values(build(text), [x])):
            np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-12)


def test_levels_and_the_option() -> None:
    for level, count in (("O2", 3), ("O3", 1)):
        assert names(optimize(build(QKV), level)).count("matmul") == count
    assert not merged(QKV, "{start=0}")[1].edits


def test_weights_without_columns_are_left_out() -> None:
    """Joined with nothing a weight is itself, so that its product would be cut out of itself."""
    text = QKV.replace("matmul(x, c)", "matmul(x, constant(np.zeros((8, 0))))")
    assert names(merged(text)[0]).count("matmul") == 2
    two = "x: float64[2,8] -> a = constant(np.ones((8, 3))); "
    assert not merged(two + "(matmul(x, a), matmul(x, constant(np.zeros((8, 0)))))")[1].edits

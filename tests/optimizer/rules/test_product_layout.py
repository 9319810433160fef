"""Products of few rows get their weights transposed: which, what others are told, and that values stay."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rules.product_layout import LEAST_BYTES, MOST_ROWS

K, N = 512, LEAST_BYTES // 4 // 512
"""The sizes of the smallest matrix that is transposed."""


def weights(k: int = K, n: int = N, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(3).standard_normal((k, n)).astype(dtype)


def optimized(outputs: list[Tensor], feeds: list[Tensor]) -> tuple[Program, list[str]]:
    """The program after the pass, and what was said of products that stayed."""
    journal = Journal("remarks")
    made = optimize(extract(outputs, feeds=feeds), pipeline="product-layout", journal=journal, check=True)
    return made, [remark.reason for remark in journal.remarks if remark.rule == "transposed_weights"]


def products(program: Program) -> list[str]:
    return [node.op.name for node in program.order() if node.op.name.startswith("matmul")]


@pytest.mark.parametrize("rows", [(), (1,), (8,), (2, 4), (MOST_ROWS,)])
def test_constants_are_transposed_for_few_rows(rows: tuple[int, ...]) -> None:
    w = weights()
    with gf.Graph():
        x = gf.placeholder("x", (*rows, K))
        program, reasons = optimized([gf.matmul(x, w)], [x])
    assert products(program) == ["matmul_transposed"] and reasons == []
    (held,) = [node for node in program.order() if node.op.name == "constant"]
    np.testing.assert_array_equal(held.attrs["value"], w.T)
    data = np.random.default_rng(4).standard_normal((*rows, K), np.float32)
    (made,) = evaluate(program.outputs, {program.feeds[0]: data})
    np.testing.assert_allclose(made, data.astype(np.float64) @ w, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "matrix", "said"),
    [
        ((MOST_ROWS + 1, K), weights(), "65 rows make a product that takes longer"),
        ((0, K), weights(), "0 rows"),
        ((8, K), weights(n=N - 1), "stay in the cache"),
        (("n", K), weights(), ""),
        ((8, K), weights(dtype="float64"), ""),
    ],
)
def test_other_products_stay(shape: tuple[int | str, ...], matrix: np.ndarray, said: str) -> None:
    with gf.Graph():
        x = gf.placeholder("x", shape, matrix.dtype.name)
        program, reasons = optimized([gf.matmul(x, matrix)], [x])
    assert products(program) == ["matmul"]
    assert (said in reasons[0]) if said else not reasons


def test_variables_stay_unless_they_are_transposed_already() -> None:
    with gf.Graph():
        x, w = gf.placeholder("x", (8, K)), gf.variable("w", (K, N))
        program, reasons = optimized([gf.matmul(x, w)], [x])
        assert products(program) == ["matmul"] and "is no constant" in reasons[0]
        g = gf.placeholder("g", (8, N))
        program, _ = optimized([gf.matmul(g, gf.permute_dims(w, (1, 0)))], [g])
    (product,) = [node for node in program.order() if node.op.name == "matmul_transposed"]
    assert product.inputs[1].node.op.name == "variable"


def test_shared_weights_are_transposed_if_all_products_are_of_few_rows() -> None:
    w = weights()
    with gf.Graph():
        x, many = gf.placeholder("x", (8, K)), gf.placeholder("many", (100, K))
        held = gf.constant(w)
        program, _ = optimized([gf.matmul(x, held), gf.matmul(x * 2, held)], [x])
        assert products(program) == ["matmul_transposed"] * 2
        assert len([node for node in program.order() if node.attrs.get("value") is not None]) <= 2
        for other in (gf.matmul(many, held), gf.sum(held), held):
            program, reasons = optimized([gf.matmul(x, held), other], [x, many])
            assert "matmul_transposed" not in products(program)
            assert any(["has other users" in reason or "is a result" in reason for reason in reasons])


def test_rewriting_again_changes_nothing() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (8, K))
        program, _ = optimized([gf.matmul(x, weights())], [x])
        journal = Journal("entries")
        optimize(program, pipeline="product-layout", journal=journal)
    assert not journal.entries


def test_strange_numbers_come_out_as_before() -> None:
    w = weights()
    w[0, :4] = np.nan, np.inf, -np.inf, 0.0
    data = np.random.default_rng(5).standard_normal((3, K), np.float32)
    data[1, 0], data[2, 1] = 0.0, np.inf
    with gf.Graph():
        x = gf.placeholder("x", (3, K))
        y = gf.matmul(x, w)
        with gf.Session(level="O2", exclude=["product_in_panels"]) as session:
            made = session.run(y, {x: data})
            assert "transposed_weights" in {one.rule for one in session.explain(y, [x]).journal.entries}
    with np.errstate(invalid="ignore"):
        wanted = data.astype(np.float64) @ w
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)

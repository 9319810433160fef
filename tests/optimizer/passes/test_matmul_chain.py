"""The order of matrix products: the cheapest one, the same values, and why another one stays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.ir.dims import Dim
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.passes.matmul_chain import LONGEST
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program
from tests.optimizer.rewriting import assert_same_bits, build, show, values


def ordered(text: str, options: str = "") -> tuple[Program, Journal]:
    journal = Journal("remarks")
    return optimize(build(text), pipeline=f"matmul-chain{options}", journal=journal, strict=True), journal


def multiply_adds(program: Program) -> int:
    """What the products of a program cost, counted from their shapes."""
    total = 0
    for node in program.order():
        if node.op.name == "matmul":
            inner = node.inputs[0].shape[-1]
            total += int(np.prod(node.output.shape, dtype=np.int64)) * inner
    return total


def all_costs(sizes: tuple[int, ...]) -> Iterator[int]:
    """The cost of each way to bracket a chain of matrices [sizes[i], sizes[i + 1]], by brute force."""
    if len(sizes) == 2:
        yield 0
    for middle in range(1, len(sizes) - 1):
        product = sizes[0] * sizes[middle] * sizes[-1]
        for left, right in itertools.product(all_costs(sizes[: middle + 1]), all_costs(sizes[middle:])):
            yield left + right + product


def bracketed(count: int, draw: np.random.Generator) -> str:
    """A random bracketing of x0 .. x(count - 1) as nested calls."""
    parts = [f"x{place}" for place in range(count)]
    while len(parts) > 1:
        place = int(draw.integers(len(parts) - 1))
        parts[place : place + 2] = [f"matmul({parts[place]}, {parts[place + 1]})"]
    return parts[0]


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=4, max_size=7), seed=st.integers(0, 1000))
def test_no_bracketing_is_cheaper(sizes: list[int], seed: int) -> None:
    count = len(sizes) - 1
    inputs = ", ".join(f"x{place}: int64[{sizes[place]},{sizes[place + 1]}]" for place in range(count))
    text = f"{inputs} -> {bracketed(count, np.random.default_rng(seed))}"
    program, _ = ordered(text, "{safety=exact}")
    assert multiply_adds(program) == min(all_costs(tuple(sizes)))
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(-(2**62), 2**62, (sizes[place], sizes[place + 1])) for place in range(count)]
    assert_same_bits(values(program, arrays)[0], values(build(text), arrays)[0])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "a: float64[8,8], b: float64[8,8], v: float64[8,1] -> matmul(matmul(a, b), v)",
            "matmul(a, matmul(b, v))",
        ),
        (
            "a: float64[8,8], b: float64[8,8], v: float64[8] -> matmul(matmul(a, b), v)",
            "matmul(a, matmul(b, v))",
        ),
        (
            "u: float64[8], a: float64[8,8], b: float64[8,8] -> matmul(u, matmul(a, b))",
            "matmul(matmul(u, a), b)",
        ),
        (
            "x: float64[3,2,8], a: float64[8,16], b: float64[16,2] -> matmul(matmul(x, a), b)",
            "matmul(x, matmul(a, b))",
        ),
        (
            "x: float64[2,8,8], y: float64[1,8,8], v: float64[8,2] -> matmul(matmul(x, y), v)",
            "matmul(x, matmul(y, v))",
        ),
        (
            "x: float64[n,8], a: float64[8,16], b: float64[16,1] -> matmul(matmul(x, a), b)",
            "matmul(x, matmul(a, b))",
        ),
        (
            "x: float64[64,8], a: float64[8,4] -> w = constant(np.ones((4, 2))); matmul(matmul(x, a), w)",
            "x: float64[64,8], a: float64[8,4] -> w = constant(np.ones((4, 2))); matmul(x, matmul(a, w))",
        ),
    ],
)
def test_cheaper_orders(before: str, after: str) -> None:
    wanted = build(after if "->" in after else f"{before.partition('->')[0]}-> {after}")
    program, journal = ordered(before)
    optimize(wanted, pipeline="eliminate")
    assert show(program) == show(wanted)
    assert journal.fired("matmul_chain") == 1
    assert "FLOP instead of" in journal.entries[-1].reason
    rng = np.random.default_rng(0)
    shapes = [[3 if isinstance(size, Dim) else size for size in tensor.shape] for tensor in program.feeds]
    arrays = [rng.normal(size=shape) for shape in shapes]
    np.testing.assert_allclose(values(program, arrays)[0], values(build(before), arrays)[0], rtol=1e-9)
    assert (
        optimize(program, pipeline="matmul-chain", journal=(again := Journal("entries"))) and not again.edits
    )


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("a: float64[8,8], b: float64[8,8], v: float64[8,1] -> matmul(a, matmul(b, v))", "", ""),
        ("a: float64[8,8], b: float64[8,8], c: float64[8,8] -> matmul(matmul(a, b), c)", "", ""),
        (
            "a: float64[8,8], b: float64[8,8], v: float64[8,1] -> y = matmul(a, b); (matmul(y, v), y)",
            "",
            "",
        ),
        (
            "a: float64[8,8], b: float64[8,8], v: float64[8,1] -> matmul(matmul(a, b), v)",
            "{safety=finite}",
            "256 FLOP instead of 1152, but floats would round differently",
        ),
        (
            "a: float64[n,8], b: float64[8,n], c: float64[n,8] -> matmul(matmul(a, b), c)",
            "",
            "depends on n",
        ),
        # for one row 160 multiply-adds as written, 272 the other way round
        (
            "x: float64[n,8], a: float64[8,16], b: float64[16,2] -> matmul(matmul(x, a), b)",
            "",
            "depends on n",
        ),
        ("a: float64[0,8], b: float64[8,8], v: float64[8,1] -> matmul(matmul(a, b), v)", "", ""),
        # v^T A is a row for each matrix of A: no matrix of a chain
        ("v: float64[8], a: float64[2,8,8], b: float64[2,8,1] -> matmul(matmul(v, a), b[0])", "", ""),
    ],
)
def test_orders_that_stay(text: str, options: str, sentence: str) -> None:
    program, journal = ordered(text, options)
    assert show(program) == show(optimize(build(text), pipeline="eliminate"))
    said = [remark.reason for remark in journal.remarks]
    assert any(sentence in reason for reason in said) if sentence else not said


def test_low_rank_factors_stay_apart_and_wide_ones_are_multiplied_in_advance() -> None:
    thin = "x: float64[32,64] -> u = constant(np.ones((64, 2))); v = constant(np.ones((2, 64)))"
    program, journal = ordered(f"{thin}; matmul(matmul(x, u), v)")
    assert not journal.edits
    wide = "x: float64[32,8] -> u = constant(np.ones((8, 64))); v = constant(np.ones((64, 8)))"
    program = optimize(
        build(f"{wide}; matmul(matmul(x, u), v)"), pipeline="matmul-chain,fold-constants", strict=True
    )
    assert [node.op.name for node in program.order()] == ["placeholder", "constant", "matmul"]


def test_overflow_may_differ_between_orders() -> None:
    """Why the order of floats is of class rounding: one of them may leave the range."""
    text = "a: float64[1,1], b: float64[1,4], c: float64[4,1] -> matmul(matmul(a, b), c)"
    program, journal = ordered(text)
    assert journal.fired("matmul_chain")
    arrays = [np.full((1, 1), 1e200), np.full((1, 4), 1e200), np.full((4, 1), 1e-200)]
    with np.errstate(over="ignore"):
        assert np.isinf(values(build(text), arrays)[0]) and np.isfinite(values(program, arrays)[0])


def test_long_chains_are_ordered_in_pieces() -> None:
    count = 5 * LONGEST
    inputs = ", ".join(f"x{place}: int32[4,4]" for place in range(count))
    chain = "x0"
    for place in range(1, count):
        chain = f"matmul({chain}, x{place})" if place < 90 else chain
    text = f"{inputs}, v: int32[4,1] -> matmul({chain}, v)"
    program, journal = ordered(text, "{safety=exact}")
    assert journal.fired("matmul_chain") and multiply_adds(program) < multiply_adds(build(text))


@pytest.mark.parametrize(("level", "reordered"), [("O1", False), ("O2", False), ("O3", True)])
def test_levels(level: str, reordered: bool) -> None:
    text = "a: float64[8,8], b: float64[8,8], v: float64[8,1] -> matmul(matmul(a, b), v)"
    assert (multiply_adds(optimize(build(text), level)) == 128) == reordered


def test_a_rule_that_is_excluded_does_not_fire() -> None:
    text = "a: float64[8,8], b: float64[8,8], v: float64[8,1] -> matmul(matmul(a, b), v)"
    for name in ("matmul_chain", "matmul-chain"):
        assert multiply_adds(optimize(build(text), "O3", exclude=[name])) == 576

"""Constant folding: what is computed, what is too large to keep, and what stays where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import OpDef
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.elementwise import add
from graphflow.ops.inference import same_type
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from tests.optimizer.rewriting import build, show


def fold(text: str, options: str = "") -> tuple[Program, Journal]:
    program, journal = build(text), Journal("remarks")
    optimize(program, pipeline=f"fold-constants{options}", journal=journal, strict=True, check=True)
    return program, journal


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("-> add(constant(1.0), 2.0)", "-> constant(3.0)"),
        ("x: float32[2] -> multiply(x, exp(negative(constant(0.0))))", "multiply(x, 1.0)"),
        ("-> sum(constant([[1, 2], [3, 4]]), axis=0)", "-> constant(np.array([4, 6]))"),
        ("-> equal(constant([1, 2]), constant([1, 3]))", "-> constant([True, False])"),
        ("-> split(constant([1.0, 2.0]), 2)", "-> (constant([1.0]), constant([2.0]))"),
        ("-> iota(size=3)", "-> constant(np.array([0, 1, 2]))"),
        ("-> reshape(constant(np.zeros((0, 3), 'f')), (3, 0))", "-> constant(np.zeros((3, 0), 'f'))"),
    ],
)
def test_constants_are_computed(before: str, after: str) -> None:
    header = before.partition("->")[0]
    program, journal = fold(before)
    assert show(program) == show(build(after if "->" in after else f"{header}-> {after}"))
    assert all(entry.kind == "fold" for entry in journal.entries if entry.rule == "fold")


def test_folding_gives_the_bits_of_the_reference() -> None:
    text = "-> exp(divide(constant([1.0, -3.0, 1e-42, -0.0]), 3.0))"
    program, _ = fold(text)
    (wanted,) = evaluate(build(text).outputs)
    assert program.outputs[0].node.attrs["value"].tobytes() == wanted.tobytes()


def test_a_long_chain_folds_in_one_sweep() -> None:
    with Graph():
        x = placeholder("x", ())
        total = constant(0)
        for _ in range(3000):
            total = add(total, 1)
        program = extract([add(total, x)], feeds=[x])
    journal = Journal("counts")
    optimize(program, pipeline="fold-constants", journal=journal)
    assert journal.fired("fold") <= 3001 and len(program.nodes) <= 4
    assert evaluate(program.outputs, {program.feeds[0]: np.float32(0)}) == [3000]


# What is too large


def test_results_over_the_limit_are_not_kept() -> None:
    text = "-> multiply(constant(np.arange(4096, dtype='f')), 2.0)"
    assert fold(text)[1].fired("fold") == 1
    program, journal = fold(text, "{max-bytes=16383}")
    assert program.outputs[0].node.op.name == "multiply"
    assert "gives 16384 bytes, more than max-bytes=16383" in journal.remarks[0].reason


def test_large_results_of_small_constants_are_not_kept() -> None:
    for body in (
        "broadcast_to(constant(1.0), (100, 100))",
        "iota(size=10_000)",
        "tile(constant([1.0, 2.0]), (5000,))",
    ):
        program, journal = fold(f"-> {body}")
        assert not journal.edits and program.outputs[0].node.op.name != "constant"


def test_arithmetic_on_copies_is_done_once() -> None:
    program, journal = fold("-> multiply(add(broadcast_to(constant(1.0), (100, 100)), 2.0), 4.0)")
    assert show(program) == show(build("-> broadcast_to(constant(12.0), (100, 100))"))
    assert journal.fired("fold_broadcast") == 2


def test_symbolic_copies_too() -> None:
    program, _ = fold("x: float32[n] -> add(x, multiply(broadcast_to(constant(3.0), (Dim('n'),)), 2.0))")
    assert show(program) == show(build("x: float32[n] -> add(x, broadcast_to(constant(6.0), (Dim('n'),)))"))


def test_functions_that_round_their_own_way_are_not_done_on_one_element() -> None:
    assert not fold("-> exp(broadcast_to(constant(0.3), (100, 100)))")[1].edits


def test_zero_bytes_leaves_folding_out() -> None:
    program = build("x: float32[2] -> multiply(x, add(constant(1.0), 2.0))")
    journal = Journal("counts")
    optimize(program, pipeline="canonicalize{max-bytes=0}", journal=journal)
    assert not journal.edits


# What stays


def test_inputs_and_symbolic_sizes_stay() -> None:
    assert not fold("x: float32[3] -> exp(x)")[1].edits
    assert not fold("x: float32[n] -> add(x, broadcast_to(constant(3.0), (Dim('n'),)))")[1].edits
    with Graph():
        size = placeholder("x", ("n",)).shape[0]
        program = extract([add(constant(1), size)])
    assert not optimize_counting(program), "a size that is not known yet"


def test_a_weight_that_is_only_moved_is_moved_at_once() -> None:
    w = np.arange(600, dtype=np.float32).reshape(20, 30)
    with Graph():
        turned = gf.reshape(gf.permute_dims(constant(w), (1, 0)), (30, 4, 5))
        program = extract([gf.exp(turned)])
    optimize(program, pipeline="fold-constants{max-bytes=100}")
    assert [node.op.name for node in program.order()] == ["constant", "exp"]
    np.testing.assert_array_equal(program.order()[0].attrs["value"], w.T.reshape(30, 4, 5))


def test_a_weight_that_others_read_stays_one() -> None:
    with Graph():
        table = constant(np.ones((20, 30), np.float32))
        program = extract([gf.permute_dims(table, (1, 0)), gf.identity(table), table])
    journal = Journal("remarks")
    optimize(program, pipeline="fold-constants{max-bytes=100}", journal=journal)
    assert [node.op.name for node in program.order()].count("permute_dims") == 1
    assert "more than max-bytes=100" in journal.remarks[0].reason


def test_a_table_is_transposed_for_the_product_and_kept_for_its_rows() -> None:
    with Graph():
        table = constant(np.arange(600, dtype=np.float32).reshape(20, 30))
        words = placeholder("words", (3,), gf.int32)
        rows = gf.take(table, words, axis=0)
        program = extract([gf.matmul(rows, gf.permute_dims(table, (1, 0)))], (), [words])
    optimize(program, pipeline="fold-constants{max-bytes=100}")
    held = [node.output.shape for node in program.order() if node.op.name == "constant"]
    assert sorted(held) == [(20, 30), (30, 20)]


def test_random_numbers_stay() -> None:
    """A random operator on a constant key could be computed, but then no seed would reach it."""
    program = _applied(OpDef(_random_bits, family="random", name="bits", **_FACETS))
    assert not optimize_counting(program)


def test_what_the_reference_cannot_compute_is_declined() -> None:
    program = _applied(OpDef(_no_answer, family="test", name="no_answer", **_FACETS))
    journal = Journal("remarks")
    optimize(program, pipeline="fold-constants", journal=journal, strict=True)
    assert [remark.reason for remark in journal.remarks] == ["no_answer of these constants fails: singular"]
    assert not journal.edits


_FACETS: dict[str, Any] = {
    "infer": same_type, "traits": frozenset(), "promotion": None, "normalize": None, "version": 1,
}  # fmt: skip


def _random_bits(key: np.ndarray, /) -> np.ndarray:
    return key


def _no_answer(x: np.ndarray, /) -> np.ndarray:
    raise np.linalg.LinAlgError("singular")


def _applied(op: OpDef) -> Program:
    """A program that applies an operator, which is not registered, to a constant."""
    with Graph():
        return extract([op(constant(np.array([1, 2], np.uint32)))])


def optimize_counting(program: Program) -> int:
    """The number of edits that folding makes."""
    journal = Journal("counts")
    optimize(program, pipeline="fold-constants", journal=journal)
    return journal.edits

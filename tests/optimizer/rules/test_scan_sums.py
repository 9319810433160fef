"""What is added to all rows of a sequence alike is added in each step: the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ir.verify import verify
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.jax.backend import JaxBackend

STEPS, ROWS, UNITS = 5, 3, 4
AWKWARD = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)

Make = Callable[[Any, Any], Any]


def rewritten(make: Make, term: np.ndarray, steps: int = STEPS, reverse: bool = False) -> tuple[Any, ...]:
    """The program of a running sum of what `make` makes of a product and a term: before, after, journal."""
    with gf.Graph():
        x = gf.placeholder("x", (steps, ROWS, 2))
        k = gf.placeholder("k", term.shape)
        rows = make(gf.matmul(x, np.arange(8, dtype=np.float32).reshape(2, UNITS)), k)
        last, seen = gf.scan(
            lambda state, row: (gf.tanh(state + row), state),
            np.zeros((ROWS, UNITS), np.float32),
            rows,
            reverse=reverse,
        )
        fetches = [last, seen] if make is not twice else [last, seen, gf.sum(rows)]
        journal = Journal("remarks")
        made = optimize(extract(fetches, feeds=[x, k]), pipeline="scan-sums", journal=journal, check=True)
        verify(made)
        return extract(fetches, feeds=[x, k]), made, journal


def values(program: Program, term: np.ndarray, steps: int = STEPS) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    feeds = dict(zip(program.feeds, (rng.normal(size=(steps, ROWS, 2)).astype(np.float32), term)))
    return evaluate(program.outputs, feeds)


def after(rows: Any, k: Any) -> Any:
    return gf.add(rows, k)


def before(rows: Any, k: Any) -> Any:
    return gf.add(k, rows)


def twice(rows: Any, k: Any) -> Any:
    return gf.add(rows, k)


@pytest.mark.parametrize("make", [after, before])
@pytest.mark.parametrize("shape", [(UNITS,), (), (1,), (ROWS, UNITS), (1, 1, UNITS), (1, ROWS, 1)])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_addition_moves_into_the_step_with_the_same_bits(make: Make, shape: Any, reverse: bool) -> None:
    term = np.resize(AWKWARD, shape) if shape else np.float32(-0.0)
    plain, made, journal = rewritten(make, np.asarray(term, np.float32), reverse=reverse)
    assert journal.fired("sum_in_step") == 1
    assert [node.op.name for node in made.order() if node.op.name in ("add", "scan")] == ["scan"]
    for one, two in zip(values(plain, term), values(made, term)):
        np.testing.assert_array_equal(one.view(np.uint32), two.view(np.uint32))


def test_what_differs_between_steps_stays() -> None:
    _, made, journal = rewritten(after, np.ones((STEPS, 1, UNITS), np.float32))
    assert not journal.fired("sum_in_step") and "add" in [node.op.name for node in made.order()]


def test_a_scan_of_one_step_stays() -> None:
    assert not rewritten(after, np.ones(UNITS, np.float32), steps=1)[2].fired("sum_in_step")


def test_the_number_of_steps_may_be_unknown() -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("time", ROWS, 2))
        rows = gf.matmul(x, np.ones((2, UNITS), np.float32)) + np.ones(UNITS, np.float32)
        last, _ = gf.scan(lambda s, r: (s + r, s), np.zeros((ROWS, UNITS), np.float32), rows)
        journal = Journal("remarks")
        made = optimize(extract([last], feeds=[x]), pipeline="scan-sums", journal=journal, check=True)
    assert journal.fired("sum_in_step") == 1
    for steps in (0, 1, 3):
        data = np.ones((steps, ROWS, 2), np.float32)
        assert evaluate(made.outputs, {made.feeds[0]: data})[0].tolist() == [[3.0 * steps] * UNITS] * ROWS


def test_what_is_read_elsewhere_too_stays() -> None:
    *_, journal = rewritten(twice, np.ones(UNITS, np.float32))
    assert not journal.fired("sum_in_step")
    assert journal.remarks[0].reason.endswith("is read outside of the scan, too")


def test_what_is_no_product_joins_the_addition_where_it_is() -> None:
    *_, journal = rewritten(lambda rows, k: gf.add(gf.exp(rows), k), np.ones(UNITS, np.float32))
    assert not journal.fired("sum_in_step")


def test_a_broadcast_of_the_rows_themselves_stays() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (STEPS, 1, 2))
        rows = gf.matmul(x, np.ones((2, UNITS), np.float32)) + np.ones((1, ROWS, UNITS), np.float32)
        last, _ = gf.scan(lambda s, r: (s + r, s), np.zeros((ROWS, UNITS), np.float32), rows)
        journal = Journal("remarks")
        optimize(extract([last], feeds=[x]), pipeline="scan-sums", journal=journal)
    assert not journal.fired("sum_in_step")


def test_an_lstm_on_jax_adds_its_bias_in_the_steps() -> None:
    rng = np.random.default_rng(1)
    w, r, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((16, 3), (16, 4), (16,)))
    x = gf.placeholder("x", (6, 2, 3))
    y = gf.nn.lstm(x, w, r, bias)[0]
    program = extract([y], feeds=[x])
    made = optimize(program, "O2", JaxBackend().pipeline("O2"), refusal=JaxBackend().refusal)
    assert "add" not in [node.op.name for node in made.order()]
    plain = optimize(extract([y], feeds=[x]), "O2", JaxBackend().pipeline("O2"), exclude=["scan-sums"])
    assert "add" in [node.op.name for node in plain.order()]

"""Operators without a rule become loops, once each, and the warning names them and their line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import OpDef, op, registry
from graphflow.ops.inference import same_type

ROWS = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]], np.float32)


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> OpDef:
    """An operator that no rule knows, with one batch-unaware input and one that may be shared."""
    monkeypatch.setattr(registry, "_ops", dict(registry._ops))
    monkeypatch.setattr(registry, "listeners", [])

    @op("sorting", infer=same_type)
    def ranked(x, y, /, step=1):
        return (np.argsort(x.ravel()).argsort().reshape(x.shape) * step + y).astype(x.dtype)

    return ranked


@pytest.fixture
def x():
    with gf.Graph():
        yield gf.placeholder("x", (2, 3))


def test_a_loop_gives_the_same_and_says_so(ranked: OpDef, x) -> None:
    def example(x, y):
        first = ranked(x, y, step=2)
        return first + ranked(x, x)

    with pytest.warns(gf.VmapWarning) as caught:
        made = gf.vmap(example, in_axes=(0, None))(x, gf.constant(10.0))
    (warning,) = caught
    assert warning.filename == __file__
    assert warning.lineno == example.__code__.co_firstlineno + 1
    assert str(warning.message).startswith("ranked has no batching rule, so that gf.vmap of example loops")
    loops = [node for node in made.graph if node.op.name == "scan"]
    assert [node.name for node in loops] == ["vmap/ranked", "vmap/ranked_1"]
    assert [node.origin.line for node in loops] == [warning.lineno, warning.lineno + 1]
    ranks = np.argsort(np.argsort(ROWS, axis=1), axis=1)
    (found,) = evaluate([made], {x: ROWS})
    np.testing.assert_array_equal(found, ranks * 2 + 10 + ranks + ROWS)


def test_what_reads_nothing_batched_is_no_loop(ranked: OpDef, x) -> None:
    shared = gf.constant([2.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gf.vmap(lambda x: x + gf.sum(ranked(shared, shared)))(x)
    (found,) = evaluate([made], {x: ROWS})
    np.testing.assert_array_equal(found, ROWS + 4)


def test_loops_nest_and_lie_inside_of_bodies(ranked: OpDef, x) -> None:
    def row(x):
        return gf.scan(lambda c, t: (c + t, ranked(gf.stack([c, t]), c)), 0.0, x)[1]

    with pytest.warns(gf.VmapWarning, match="ranked"):
        made = gf.vmap(row)(x)
    found, wanted = evaluate([made, gf.map(row, x)], {x: ROWS})
    np.testing.assert_array_equal(found, wanted)


def test_an_operator_that_can_be_expanded_is_no_loop(ranked: OpDef, x) -> None:
    ranked.decomposition(lambda b, node: [b.add(b.multiply(node.inputs[0], 2.0), node.inputs[1])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gf.vmap(lambda x, y: ranked(x, y), in_axes=(0, None))(x, gf.constant(1.0))
    (found,) = evaluate([made], {x: ROWS})
    np.testing.assert_array_equal(found, 2 * ROWS + 1)

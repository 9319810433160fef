"""Loops that are written out compute the same."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract


def unrolled(outputs, feeds, pipeline="unroll"):
    return optimize(extract(outputs, feeds=feeds, training=False), pipeline=pipeline)


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("steps", (1, 5))
def test_a_scan_is_its_steps(reverse, steps):
    with gf.Graph():
        x = gf.placeholder("x", (steps, 3))
        factor = gf.placeholder("factor", (3,))
        last, rows = gf.scan(
            lambda c, row: (c * factor + row, c - row), np.ones(3, np.float32), x, reverse=reverse
        )
    program = unrolled([last, rows], [x, factor])
    assert not [node for node in program.nodes if node.op.name == "scan"]
    rng = np.random.default_rng(0)
    values = rng.standard_normal((steps, 3), np.float32), rng.standard_normal(3, np.float32)
    wanted = evaluate([last, rows], dict(zip([x, factor], values)))
    made = evaluate(list(program.outputs), dict(zip(program.feeds, values)))
    for left, right in zip(made, wanted):
        np.testing.assert_array_equal(left, right)


def test_loops_within_loops():
    with gf.Graph():
        x = gf.placeholder("x", (3, 4))
        y = gf.scan(lambda c, row: (gf.scan(lambda d, one: (d * 0.5 + one, d), c, row)[0], c), 1.0, x)[0]
    program = unrolled([y], [x])
    assert not [node for node in program.nodes if node.op.name == "scan"]
    value = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    np.testing.assert_array_equal(
        evaluate(list(program.outputs), {program.feeds[0]: value})[0], evaluate([y], {x: value})[0]
    )


def test_long_loops_and_loops_of_unknown_length_stay():
    with gf.Graph():
        x, y = gf.placeholder("x", (9,)), gf.placeholder("y", ("n",))
        sums = [gf.scan(lambda c, one: (c * one + one, c), 0.0, rows)[0] for rows in (x, y)]
    program = unrolled(sums, [x, y], "unroll{steps=8}")
    assert sum(node.op.name == "scan" for node in program.nodes) == 2

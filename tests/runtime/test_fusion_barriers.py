"""Values that XLA:CPU would compute anew for each of their readers: which, and that barriers stay."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.jax.fusion_barriers import OPTIONS, repeated_values
from graphflow.runtime.jax.fusion_guard import compile_options

on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="XLA for GPUs fuses otherwise")


def chain(function, count: int = 100) -> list[gf.Tensor]:
    made = [gf.placeholder("x", (8,))]
    for _ in range(count):
        made.append(function(made[-1]))
    return made


def kept(values: list[gf.Tensor], feeds: list[gf.Tensor]) -> int:
    return len(repeated_values(extract(values, feeds=feeds)))


@on_cpu
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (gf.sin, 99),  # each of them costs as much as eight additions; the last has no other reader
        (lambda h: h + 1.0, 12),  # every eighth
        (lambda h: gf.reshape(h + 1.0, (8,)), 12),
        (gf.exp, 0),  # never repeated
        (lambda h: gf.exp(h) + 1.0, 0),
        (lambda h: gf.cumulative_sum(gf.sin(h)), 0),  # not fused with what reads it
    ],
    ids=["sin", "add", "reshape", "exp", "exp and add", "scan"],
)
def test_results_along_a_chain(function, expected: int) -> None:
    values = chain(function)
    assert kept(values[1:], values[:1]) == expected
    assert kept(values[-1:], values[:1]) == 0


@on_cpu
def test_sums_of_two_arrays_are_never_repeated() -> None:
    h = x = gf.placeholder("m", (8, 8))
    for _ in range(96):
        h = h + gf.matmul(h, x)
    assert kept([h], [x]) == 0
    values = chain(lambda h: gf.sin(h) * h)
    assert kept(values[1:], values[:1]) == 0


@on_cpu
def test_small_programs_and_those_with_little_to_repeat_are_left_alone() -> None:
    few = chain(gf.sin, 30)
    assert kept(few[1:], few[:1]) == 0
    with gf.Graph():
        x = gf.placeholder("x", (8,))
        assert kept([gf.sin(x * float(number)) for number in range(100)], [x]) == 0
    assert repeated_values(Program("empty")) == frozenset()


@on_cpu
def test_the_options_join_others() -> None:
    x = gf.placeholder("x", (4, 5))
    program = extract([gf.matmul(x, gf.zeros((5, 3)))], feeds=[x])
    assert compile_options(program, has_barriers=True) == compile_options(program) | OPTIONS


@on_cpu
@pytest.mark.parametrize("segment_nodes", [None, 200])
def test_code_and_values_of_a_forward_chain(segment_nodes: int | None) -> None:
    """Without barriers the code of 100 results has 5,000 operators."""
    values = chain(lambda h: gf.sin(h) * 1.25, 150)
    feed = np.float32([0.0, -0.0, 1.0, -2.0, np.nan, 1e-30, 1e30, 3.0])
    with gf.Session(segment_nodes=segment_nodes) as sess:
        step = sess.make_callable(values[1:], [values[0]])
        results = [np.asarray(value) for value in step(feed)]
        plan = next(iter(sess._cache._plans.values()))
        text = next(iter(plan.variants.values())).executable.text()
    assert text.count(" sine(") <= 300
    expected = feed
    for result in results[:3]:
        expected = np.sin(expected) * np.float32(1.25)
        np.testing.assert_allclose(result, expected, rtol=1e-5)
    with gf.Session(backend="numpy") as sess:
        np.testing.assert_allclose(results[-1], sess.run(values[-1], {values[0]: feed}), rtol=2e-3)


def test_gradients_of_a_long_chain_in_segments() -> None:
    """A segment of the forward pass gives the backward pass every value it makes."""
    values = chain(lambda h: gf.sin(h) * 1.0001, 400)
    (slope,) = gf.gradients(gf.sum(values[-1]), [values[0]])
    feed = np.linspace(0.1, 0.8, 8, dtype=np.float32)
    with gf.Session(segment_nodes=400) as sess, gf.Session(backend="numpy") as other:
        got = sess.run(slope, {values[0]: feed})
        assert len(sess.compiles) == 1 and "segments" in sess.compiles[0].note
        np.testing.assert_allclose(got, other.run(slope, {values[0]: feed}), rtol=1e-3)

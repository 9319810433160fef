"""Graphs of absurd depth and constants of absurd size: nothing recurses, nothing is kept twice."""

from __future__ import annotations

import tracemalloc

import numpy as np

import graphflow as gf

DEPTH = 100_000


def test_a_chain_of_a_hundred_thousand_nodes() -> None:
    x = gf.placeholder("x", ())
    y = x
    for _ in range(DEPTH):
        y = gf.negative(y)
    text = gf.print_graph(y.graph)
    again = gf.parse_graph(text)
    assert len(again) == DEPTH + 1 and gf.print_graph(again) == text
    (slope,) = gf.gradients(y, [x])
    with gf.Session(backend="numpy", level="O0") as sess:
        assert sess.run([y, slope], {x: 3.0}) == [3.0, 1.0]


def test_a_chain_that_the_optimizer_takes_apart() -> None:
    x = gf.placeholder("x", ())
    y = x
    for _ in range(DEPTH // 2):
        y = gf.negative(gf.negative(y))
    with gf.Session(backend="numpy") as sess:
        assert sess.run(y, {x: 3.0}) == 3.0
    model = gf.Model(inputs=[x], outputs={"y": y})
    assert len(gf.optimize(model).graph) < 3


def test_a_deep_tree_of_sizes_and_scopes(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    for depth in range(40):
        with gf.name_scope(f"level_{depth}"):
            x = gf.concat([x[::2], x[1:]])[: x.shape[0]]
    with gf.Session(backend=backend) as sess:
        assert sess.run(x, {"x": np.arange(4.0)}).shape == (4,)


def test_a_wide_sum(backend: str) -> None:
    x = gf.placeholder("x", ())
    total = gf.concat([gf.reshape(x * float(index), (1,)) for index in range(3000)])
    with gf.Session(backend=backend) as sess:
        assert sess.run(gf.sum(total), {x: 1.0}) == np.float32(3000 * 2999 / 2)


def test_a_large_constant_is_copied_once() -> None:
    array = np.ones(1 << 27, np.int8)  # 128 MiB
    tracemalloc.start()
    try:
        gf.constant(array, name="large")
        after, peak = tracemalloc.get_traced_memory()
        assert after < 1.05 * array.nbytes and peak < 1.05 * array.nbytes
        with gf.Session(backend="numpy") as sess:
            assert sess.run(gf.default_graph().tensor("large")[-1]) == 1
        assert tracemalloc.get_traced_memory()[1] < 1.05 * array.nbytes
    finally:
        tracemalloc.stop()

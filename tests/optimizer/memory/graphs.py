"""Random programs for tests of the memory planner: elementwise, wide and narrow values, views of views."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.optimizer.program import Program, extract

SHAPES = [(2, 12), (24,), (4, 6), (1, 24), (24, 1)]


def made_from(draw: st.DrawFn, pool: list[Tensor]) -> Tensor:
    """One more tensor, of some of the pool."""
    chosen = draw(st.sampled_from(pool))
    kind = draw(st.sampled_from(["tanh", "add", "reshape", "identity", "expand", "sum", "wide", "permute"]))
    if kind == "add":
        same = [one for one in pool if one.type is chosen.type]
        return gf.add(chosen, draw(st.sampled_from(same)))
    if kind == "reshape" and chosen.size == 24:
        return gf.reshape(chosen, draw(st.sampled_from(SHAPES)))
    if kind == "identity":
        return gf.identity(chosen)
    if kind == "expand" and chosen.ndim < 4:
        return gf.expand_dims(chosen, 0)
    if kind == "sum":
        return gf.sum(chosen)
    if kind == "wide" and chosen.size <= 24:
        return gf.concat([gf.reshape(chosen, (-1,))] * 3, axis=0)
    if kind == "permute":
        return gf.permute_dims(chosen, tuple(reversed(range(chosen.ndim))))
    return gf.tanh(chosen)


@st.composite
def programs(draw: st.DrawFn, most: int = 25) -> Program:
    """A random program of at most so many operators, with up to three fetches."""
    with Graph():
        x = gf.placeholder("x", (2, 12))
        w = gf.variable("w", (24,))
        pool: list[Tensor] = [x, w, gf.constant(np.arange(24, dtype="f4").reshape(4, 6))]
        for _ in range(draw(st.integers(1, most))):
            pool.append(made_from(draw, pool))
        fetches = [draw(st.sampled_from(pool)) for _ in range(draw(st.integers(1, 3)))]
        return extract(fetches, feeds=[x])


def values_of(program: Program) -> dict[Tensor, np.ndarray]:
    """Random values for what a program takes from outside."""
    rng = np.random.default_rng(0)
    outside = [*program.placeholders.values(), *program.variables.values()]
    return {tensor: rng.normal(size=tensor.shape).astype("f4") for tensor in outside}


def random_program(count: int, window: int, seed: int = 0) -> Program:
    """A program of about `count` nodes, each of two of the last `window` tensors."""
    rng = np.random.default_rng(seed)
    with Graph():
        pool: list[Tensor] = [gf.placeholder("x", (16, 16))]
        for (left, right), kind in zip(rng.integers(0, window, (count, 2)), rng.random(count)):
            first, second = pool[-1 - left % len(pool)], pool[-1 - right % len(pool)]
            if kind < 0.3:
                pool.append(gf.tanh(first))
            else:
                pool.append((gf.matmul if kind < 0.5 else gf.add)(first, second))
        total = pool[-1]
        for other in pool[-window:-1]:
            total = gf.add(total, other)
        return extract([gf.sum(total)], feeds=pool[:1])

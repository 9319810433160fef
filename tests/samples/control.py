"""Samples of the control family: each operator with small bodies, loops of no step among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.ir.body import Body
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.types import TensorType
from tests.samples import sample

RNG = np.random.default_rng(11)
VECTOR = RNG.normal(size=3)
MATRIX = RNG.normal(size=(3, 3)) * 0.5
STEPS = RNG.normal(size=(4, 3))


def body(build: Callable[..., Any], *arrays: np.ndarray) -> Body:
    """The body that a function of a builder and parameters like these arrays makes."""
    graph = Body(build.__name__.strip("_<>") or "body")
    parameters = [
        graph.parameter(TensorType(as_dtype(array.dtype), array.shape), f"p{number}")
        for number, array in enumerate(arrays)
    ]
    made = build(Builder(graph), *parameters)
    return graph.close(list(made) if isinstance(made, tuple) else [made])


def bend(b: Any, x: Any, w: Any) -> Any:
    return b.tanh(b.matmul(x, w)), b.sum(x)


def scale(b: Any, x: Any, w: Any) -> Any:
    return b.multiply(x, b.sum(w)), b.prod(x)


def recur(b: Any, carry: Any, x: Any, w: Any) -> Any:
    after = b.tanh(b.add(b.matmul(carry, w), x))
    return after, b.multiply(after, x), b.sum(carry)


def each(b: Any, x: Any) -> Any:
    return b.sin(x), b.sum(x)


def small(b: Any, carry: Any, w: Any) -> Any:
    return b.less(b.sum(b.square(carry)), b.like(40.0, carry))


def grow(b: Any, carry: Any, w: Any) -> Any:
    return b.add(b.multiply(carry, b.like(1.5, carry)), b.matmul(carry, w))


# The facets lift real samples to float64, which the types of a body do not follow: so all are float64.
BRANCHES = (body(bend, VECTOR, MATRIX), body(scale, VECTOR, MATRIX))
for index in (False, True, np.int32(-1), np.int64(1), np.int64(2**40), np.uint8(200)):
    sample("switch_case", np.asarray(index), VECTOR, MATRIX, branches=BRANCHES)
sample("switch_case", np.int32(3), VECTOR, MATRIX, branches=BRANCHES[:1])

for backward in (False, True):
    sample(
        "scan", VECTOR, STEPS, MATRIX,
        body=body(recur, VECTOR, VECTOR, MATRIX), carries=1, sequences=1, length=4, reverse=backward,
    )  # fmt: skip
sample(
    "scan", VECTOR, STEPS[:0], MATRIX,
    body=body(recur, VECTOR, VECTOR, MATRIX), carries=1, sequences=1, length=0,
)  # fmt: skip
sample("scan", STEPS, body=body(each, VECTOR), carries=0, sequences=1, length=4)
sample("scan", VECTOR, MATRIX, body=body(grow, VECTOR, MATRIX), carries=1, sequences=0, length=3)

LOOP = {"condition": body(small, VECTOR, MATRIX), "body": body(grow, VECTOR, MATRIX), "carries": 1}
sample("while_loop", VECTOR, MATRIX, **LOOP, max_steps=12)
sample("while_loop", VECTOR, MATRIX, **LOOP, max_steps=2)
sample("while_loop", VECTOR, MATRIX, **LOOP, max_steps=0)
sample("while_loop", VECTOR, MATRIX, **LOOP, gradient=False)

for mark in ("", "recompute", "opaque"):
    sample("call", VECTOR, MATRIX, body=BRANCHES[0], mark=mark)

for selector in ((0,), (1,), (-1,)):
    sample(
        "static_case", VECTOR, MATRIX, selector=selector, choices=((0,), (1,)), period=2, branches=BRANCHES
    )

WILD = np.array([[0.5, -0.0], [np.nan, np.inf]], np.float32)
for value in (
    WILD,
    WILD.astype(np.float16),
    WILD.astype(np.complex64),
    WILD > 0,
    np.arange(3, dtype=np.uint8),
):
    sample("after", value, STEPS, gradient=False)
sample("after", VECTOR, STEPS)
sample("after", VECTOR, np.zeros((0, 2)))
sample("after", VECTOR, np.array(True))

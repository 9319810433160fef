"""All rules together on training graphs: each level gives what the program as built gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract

RNG = np.random.default_rng(3)
Build = Callable[[], tuple[gf.Tensor, list[gf.Tensor]]]


def _weight(*shape: int) -> gf.Tensor:
    return gf.placeholder(f"w{len(gf.default_graph())}", shape, gf.float64)


def _norm(x: gf.Tensor, axis: int) -> gf.Tensor:
    """A layer norm with its variance in one pass, as it is often written."""
    mean = gf.mean(x, axis=axis, keepdims=True)
    variance = gf.mean(x * x, axis=axis, keepdims=True) - mean**2
    return (x - mean) / gf.sqrt(variance + 1e-5)


def _cnn() -> tuple[gf.Tensor, list[gf.Tensor]]:
    """Two convolutions in NHWC around ones in NCHW, a clip, a naive softmax and cross entropy."""
    x = gf.placeholder("x", (2, 6, 6, 2), gf.float64)
    weights = [_weight(4, 2, 3, 3), _weight(4, 4, 3, 3), _weight(36, 3)]
    y = gf.permute_dims(x, (0, 3, 1, 2))
    y = gf.permute_dims(gf.clip(gf.nn.conv(y, weights[0], padding=1), 0.0, 6.0), (0, 2, 3, 1)) * 0.5 + 0.1
    y = gf.nn.conv(gf.permute_dims(y, (0, 3, 1, 2)), weights[1], padding=1)
    y = gf.nn.max_pool(gf.where(y > 0, y, 0.1 * y), 2)
    scores = gf.matmul(gf.reshape(y, (2, 36)), weights[2])
    powers = gf.exp(scores - gf.max(scores, axis=1, keepdims=True))
    shares = powers / gf.sum(powers, axis=1, keepdims=True)
    picked = gf.take_along_axis(shares, gf.constant([[0], [2]]), axis=1)
    return -gf.mean(gf.log(picked)), [x, *weights]


def _transformer() -> tuple[gf.Tensor, list[gf.Tensor]]:
    """One block: heads cut from one product, a mask, GELU by tanh and x**3, and both losses written out."""
    x = gf.placeholder("x", (2, 5, 8), gf.float64)
    weights = [_weight(8, 24), _weight(8, 8), _weight(8, 16), _weight(16, 8)]
    q, k, v = gf.split(gf.matmul(_norm(x, -1), weights[0]), 3, axis=2)
    heads = [gf.permute_dims(gf.reshape(part, (2, 5, 2, 4)), (0, 2, 1, 3)) for part in (q, k, v)]
    scores = gf.einsum("bhid,bhjd->bhij", heads[0], heads[1]) / 2.0
    mask = np.triu(np.full((5, 5), -1e9), 1)
    powers = gf.exp(scores + mask - gf.max(scores + mask, axis=-1, keepdims=True))
    mixed = gf.einsum("bhij,bhjd->bihd", powers / gf.sum(powers, axis=-1, keepdims=True), heads[2])
    y = x + gf.matmul(gf.reshape(mixed, (2, 5, 8)), weights[1])
    inner = gf.matmul(_norm(y, -1), weights[2])
    gelu = 0.5 * inner * (1 + gf.tanh(0.7978845608 * (inner + 0.044715 * inner**3)))
    y = y + gf.matmul(gelu, weights[3])
    s = gf.nn.sigmoid(y)
    z = gf.constant((np.arange(80).reshape(2, 5, 8) % 3 == 0).astype(float))
    return gf.mean(-z * gf.log(s) - (1 - z) * gf.log(1 - s)), [x, *weights]


def _program(build: Build) -> Program:
    with gf.Graph():
        loss, inputs = build()
        return extract([loss, *gf.gradients(loss, inputs)], feeds=inputs)


@pytest.mark.parametrize("build", [_cnn, _transformer])
@pytest.mark.parametrize("level", ["O1", "O2", "O3"])
def test_levels_agree(build: Build, level: str) -> None:
    plain, program = _program(build), _program(build)
    arrays = [RNG.normal(size=tensor.shape) * 0.5 for tensor in plain.feeds]
    wanted = evaluate(plain.outputs, dict(zip(plain.feeds, arrays)))
    journal = Journal("counts")
    optimize(program, level, journal=journal, strict=True, check=True)
    found = evaluate(program.outputs, dict(zip(program.feeds, arrays)))
    assert len(program.order()) < len(plain.order())
    for left, right in zip(found, wanted):
        if level == "O1":
            np.testing.assert_array_equal(left, right)
        else:
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


def test_the_rules_meet_in_a_transformer() -> None:
    program = _program(_transformer)
    journal = Journal("counts")
    optimize(program, "O2", journal=journal, strict=True)
    names = {node.op.name for node in program.order()}
    assert "exp" not in names and "log" not in names
    for rule in ("variance_in_two_passes", "log_of_one_minus_sigmoid", "spread_over_sigmoid"):
        assert journal.fired(rule), rule

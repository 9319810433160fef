"""The causal convolution with state: against ONNX's reference, and in pieces as in one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run


@pytest.mark.parametrize("activation", ["none", "silu", "swish"])
@pytest.mark.parametrize("given", ["", "bias", "state", "bias state"])
@pytest.mark.parametrize(("length", "size"), [(5, 3), (1, 4), (4, 1), (2, 2)])
def test_values_are_those_of_onnx(length: int, size: int, given: str, activation: str, rng: Any) -> None:
    x, w = rng.standard_normal((2, 3, length)), rng.standard_normal((3, 1, size))
    extra = {"bias": rng.standard_normal(3), "state": rng.standard_normal((2, 3, size - 1))}
    bias, state = (extra[name] if name in given else None for name in ("bias", "state"))
    kept = [array for array in (bias, state) if array is not None]

    def build(x: gf.Tensor, w: gf.Tensor, *others: gf.Tensor) -> Any:
        rest = iter(others)
        options = {name: next(rest) for name in ("bias", "state") if name in given}
        return nn.causal_conv_with_state(x, w, activation=activation, **options)

    batched = (0, 1 + len(kept)) if state is not None else (0,)
    gradient = activation != "swish" and length > 1
    y, present = everywhere(build, x, w, *kept, batched=batched, gradient=gradient)
    arrays = [None if array is None else array.astype(np.float32) for array in (x, w, bias, state)]
    expected, after = onnx_run("CausalConvWithState", *arrays, outputs=2, activation=activation)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(present, after, rtol=1e-6)


def test_a_sequence_in_pieces(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 4, 9)), rng.standard_normal((4, 1, 3))
    whole, last = evaluate(nn.causal_conv_with_state(x, w))
    pieces, state = [], None
    for start, stop in ((0, 1), (1, 2), (2, 6), (6, 9)):
        y, state = evaluate(nn.causal_conv_with_state(x[:, :, start:stop], w, state=state))
        pieces.append(y)
    np.testing.assert_allclose(np.concatenate(pieces, axis=2), whole, rtol=1e-12)
    np.testing.assert_array_equal(state, last)


def test_symbolic_length_and_empty_batches() -> None:
    x, w = gf.placeholder("x", ("n", 3, "time")), gf.placeholder("w", (3, 1, 4))
    y, state = nn.causal_conv_with_state(x, w)
    assert y.shape == x.shape and state.shape == (x.shape[0], 3, 3)
    with gf.Session() as session:
        feeds = {x: np.zeros((0, 3, 2), np.float32), w: np.ones((3, 1, 4), np.float32)}
        assert [made.shape for made in session.run([y, state], feeds)] == [(0, 3, 2), (0, 3, 3)]
        feeds[x] = np.ones((1, 3, 2), np.float32)
        assert session.run(y, feeds)[0, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activation": "relu"}, AttributeValueError, "no activation 'relu'"),
        ({"bias": np.ones(2)}, ShapeError, "a bias for each channel"),
        ({"state": np.ones((1, 3, 3))}, ShapeError, "as many earlier elements"),
        ({"w": np.ones((3, 2, 2))}, ShapeError, "a kernel for each channel"),
        ({"w": np.ones((2, 1, 2))}, ShapeError, "a kernel for each channel"),
        ({"w": np.ones((3, 2))}, ShapeError, "of rank 2"),
        ({"x": np.ones((1, 3, 2, 2))}, ShapeError, "not rank 4"),
        ({"w": np.ones((3, 1, 0))}, ShapeError, "fixed shape"),
    ],
)
def test_what_does_not_fit_is_refused(options: Any, error: type, message: str) -> None:
    given = {"x": np.ones((1, 3, 5)), "w": np.ones((3, 1, 3)), **options}
    with pytest.raises(error, match=re.escape(message)):
        nn.causal_conv_with_state(given.pop("x"), given.pop("w"), **given)

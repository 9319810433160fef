"""gf.function and gf.recompute: one node a call, nests in and out, gradients of their own, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, GradientError

BACKENDS = ("numpy", "jax")


def test_a_call_is_one_node_with_a_body() -> None:
    @gf.function
    def block(x: Any, w: Any, scale: float = 1.0) -> Any:
        return gf.tanh(x @ w) * scale

    x, w = gf.placeholder("x", ("n", 3)), gf.variable("w", (3, 3))
    y = block(block(x, w), w, scale=0.5)
    calls = [node for node in gf.default_graph().nodes if node.op.name == "call"]
    assert [node.name for node in calls] == ["block", "block_1"]
    assert calls[0].attrs.body.name == "block" and calls[0].attrs != calls[1].attrs
    values = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    for backend in BACKENDS:
        session = gf.Session(backend=backend)
        kernel = session.variables["w"]
        expected = np.tanh(np.tanh(values @ kernel) @ kernel) * 0.5
        np.testing.assert_allclose(session.run(y, {x: values}), expected, rtol=1e-5)


def test_nests_go_in_and_come_out() -> None:
    @gf.function(name="both")
    def pair(inputs: Any) -> Any:
        return {"sum": inputs["a"] + inputs["b"][0], "rest": (inputs["b"], None)}

    a = gf.placeholder("a", ())
    made = pair({"a": a, "b": [a * 2.0]})
    assert list(made) == ["sum", "rest"] and made["rest"][1] is None
    assert made["sum"].node.name == "both"
    assert gf.Session(backend="numpy").run(made["sum"], {a: 2.0}) == 6.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_of_its_own(backend: str) -> None:
    def clipped(inputs: Any, outputs: Any, cotangents: Any) -> Any:
        assert len(inputs) == len(outputs) == len(cotangents) == 1
        return gf.clip(cotangents[0] * inputs[0], -1.0, 1.0)

    @gf.function(gradient=clipped)
    def half(t: Any) -> Any:
        return t * t * 0.5

    x = gf.placeholder("x", (3,))
    (slope,) = gf.gradients(half(x), x)
    found = gf.Session(backend=backend).run(slope, {x: [-3.0, 0.5, 7.0]})
    np.testing.assert_array_equal(found, [-1.0, 0.5, 1.0])


def test_a_gradient_with_too_few_parts_is_an_error() -> None:
    add = gf.function(lambda a, b: a + b, gradient=lambda inputs, outputs, cotangents: cotangents[0])
    a, b = gf.placeholder("a", ()), gf.placeholder("b", ())
    with pytest.raises(GradientError, match="for 2 arguments"):
        gf.gradients(add(a, b), [a, b])


@pytest.mark.parametrize("backend", BACKENDS)
def test_recompute_gives_the_same_values_and_gradients(backend: str) -> None:
    def chain(x: Any, wrap: Any) -> Any:
        for _ in range(3):
            x = wrap(lambda t: gf.sin(t) * gf.exp(-t * t))(x)
        return gf.sum(x)

    x = gf.placeholder("x", (5,))
    made = [chain(x, wrap) for wrap in (gf.recompute, lambda fn: fn)]
    slopes = [gf.gradients(y, x)[0] for y in made]
    seconds = [gf.gradients(gf.sum(slope * slope), x)[0] for slope in slopes]
    values = np.linspace(-1, 1, 5, dtype=np.float32)
    found = gf.Session(backend=backend).run([*made, *slopes, *seconds], {x: values})
    for left, right in zip(found[::2], found[1::2]):
        np.testing.assert_allclose(left, right, rtol=2e-5, atol=1e-5)


def test_recompute_keeps_only_what_goes_in() -> None:
    """Of a chain of blocks, the gradient reads the blocks' inputs and nothing of their insides."""
    x = gf.placeholder("x", (5,))
    y = x
    for _ in range(3):
        y = gf.recompute(lambda t: gf.sin(gf.exp(gf.tanh(t))))(y)
    report = gf.Session(backend="numpy").explain([y, *gf.gradients(gf.sum(y), x)])
    again = [node for node in report.optimized.order() if node.op.name == "call"]
    assert len(again) == 3
    assert all(tensor.node.op.name in ("placeholder", "sin", "call", "broadcast_to", "constant")
               for node in again for tensor in node.inputs)  # fmt: skip


@pytest.mark.parametrize(
    "build",
    [
        lambda: gf.function(3),
        lambda: gf.recompute(None),
        lambda: gf.function(gf.sin, gradient=3),
        lambda: gf.function(lambda t: "text")(gf.placeholder("x", ())),
    ],
)
def test_refusals(build: Any) -> None:
    with pytest.raises((AttributeValueError, gf.GraphError)) as caught:
        build()
    assert "try:" in str(caught.value)

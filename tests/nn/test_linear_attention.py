"""Linear attention against the onnx package's cases, its recurrence, and its own gradients."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.onnx_cases import Case, cases

CASES = cases("linear_attention", "LinearAttention")


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_linear_attention_is_that_of_onnx(case: Case) -> None:
    q, k, v, state, decay, beta = [*case.inputs, None, None, None][:6]
    options = case.attributes
    made = nn.linear_attention(
        q,
        k,
        v,
        state,
        decay,
        beta,
        scale=options.get("scale") or None,
        chunk_size=options.get("chunk_size", 64),
        heads=options["q_num_heads"],
        kv_heads=options["kv_num_heads"],
    )
    for one, expected in zip(evaluate(list(made), {}), case.outputs):
        assert one.shape == expected.shape and one.dtype == expected.dtype
        half = one.dtype.itemsize == 2
        one, expected = one.astype(np.float64), expected.astype(np.float64)
        np.testing.assert_allclose(one, expected, rtol=2e-2 if half else 1e-4, atol=1e-2 if half else 1e-5)


def _drawn(rng: np.random.Generator, time: int, decay: int, beta: bool) -> dict[str, np.ndarray]:
    values = {
        "q": rng.standard_normal((2, 4, time, 3)),
        "k": rng.standard_normal((2, 2, time, 3)) / 2,
        "v": rng.standard_normal((2, 2, time, 5)),
        "state": rng.standard_normal((2, 2, 3, 5)),
    }
    if decay:
        values["decay"] = -rng.random((2, 2, time, decay))
    if beta:
        values["beta"] = rng.random((2, 2, time, 1))
    return values


def _recurrence(q: Any, k: Any, v: Any, state: Any, decay: Any = None, beta: Any = None) -> Any:
    """The definition, position by position."""
    rows = []
    for t in range(q.shape[2]):
        if decay is not None:
            state = state * jnp.exp(decay[:, :, t, :, None])
        written = v[:, :, t]
        if beta is not None:
            written = beta[:, :, t] * (written - jnp.einsum("bhij,bhi->bhj", state, k[:, :, t]))
        state = state + jnp.einsum("bhi,bhj->bhij", k[:, :, t], written)
        rows.append(jnp.einsum("bhi,bhij->bhj", q[:, :, t], jnp.repeat(state, 2, axis=1)) / np.sqrt(3))
    return jnp.stack(rows, axis=2), state


RULES = [(0, False), (1, False), (3, False), (0, True), (1, True), (3, True)]


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize(("decay", "beta"), RULES)
def test_each_rule_is_its_recurrence_and_so_are_its_gradients(
    decay: int, beta: bool, chunk: int, rng: np.random.Generator
) -> None:
    values = _drawn(rng, 10, decay, beta)
    inputs = {name: gf.placeholder(name, value.shape, gf.float64) for name, value in values.items()}
    y, state = nn.linear_attention(**inputs, chunk_size=chunk)
    slopes = gf.gradients(gf.sum(gf.sin(y)) + gf.sum(state**2), list(inputs.values()))
    feeds = {inputs[name]: value for name, value in values.items()}
    made = evaluate([y, state, *slopes], feeds)

    def loss(given: dict[str, Any]) -> Any:
        y, state = _recurrence(**given)
        return jnp.sum(jnp.sin(y)) + jnp.sum(state**2)

    with jax.enable_x64(True):
        expected = [*_recurrence(**values)]
        by_name = jax.grad(loss)(values)
    expected += [by_name[name] for name in values]
    for name, one, other in zip(["y", "last", *values], made, expected):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_text_in_parts_is_the_whole_text(backend: str, rng: np.random.Generator) -> None:
    """The state is all that the positions before leave behind, whatever the number of positions."""
    values = {name: value.astype(np.float32) for name, value in _drawn(rng, 9, 1, True).items()}
    shapes = {name: (*value.shape[:2], "time", value.shape[3]) for name, value in values.items()}
    shapes["state"] = values["state"].shape
    inputs = {name: gf.placeholder(name, shape) for name, shape in shapes.items()}
    outputs = list(nn.linear_attention(**inputs))
    with gf.Session(backend=backend) as sess:
        whole, last = sess.run(outputs, {inputs[name]: value for name, value in values.items()})
        parts, state = [], values["state"]
        for piece in (slice(0, 4), slice(4, 5), slice(5, 9)):
            cut = {inputs[name]: value[:, :, piece] for name, value in values.items() if name != "state"}
            part, state = sess.run(outputs, {**cut, inputs["state"]: state})
            parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts, axis=2), whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state, last, rtol=1e-4, atol=1e-5)


def test_strong_decays_neither_overflow_nor_vanish(rng: np.random.Generator) -> None:
    """exp(-G) alone would be inf: only differences of the sums of decays are taken to exponentials."""
    values = {name: value.astype(np.float32) for name, value in _drawn(rng, 20, 1, False).items()}
    values["decay"] = np.full_like(values["decay"], -80.0)
    y, state = nn.linear_attention(**values)
    made = evaluate([y, state], {})
    expected = [np.asarray(one) for one in _recurrence(**values)]
    np.testing.assert_allclose(made[0], expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made[1], expected[1], rtol=1e-4, atol=1e-5)


def test_second_derivatives(rng: np.random.Generator) -> None:
    values = _drawn(rng, 5, 1, False)
    inputs = {name: gf.placeholder(name, value.shape, gf.float64) for name, value in values.items()}
    y, _ = nn.linear_attention(**inputs, chunk_size=2)
    (slope,) = gf.gradients(gf.sum(y**2), [inputs["decay"]])
    feeds = {inputs[name]: value for name, value in values.items()}
    check_gradients(gf.sum(slope**2), [inputs["k"], inputs["decay"]], feeds)


def _x(*shape: Any, dtype: Any = gf.float32) -> gf.Tensor:
    return gf.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.linear_attention(x, x, _x(2, 4, 6, 5)), ShapeError, r"v of shape \[2, 4, 7, 5\]"),
        (
            lambda x: nn.linear_attention(x, _x(2, 3, 7, 8), _x(2, 3, 7, 8)),
            ShapeError,
            "4 heads cannot share 3",
        ),
        (lambda x: nn.linear_attention(x, x, x, decay=_x(2, 4, 7, 3)), ShapeError, "decay of shape"),
        (lambda x: nn.linear_attention(x, x, x, beta=_x(2, 4, 7, 8)), ShapeError, "beta of shape"),
        (lambda x: nn.linear_attention(x, x, x, state=_x(2, 4, 8, 7)), ShapeError, "a state of shape"),
        (lambda x: nn.linear_attention(x, x, x, chunk_size=0), AttributeValueError, "chunk_size"),
        (lambda x: nn.linear_attention(x, x, x, scale="1"), AttributeValueError, "scale"),
        (lambda x: nn.linear_attention(x, x, x, heads=4), ShapeError, "split from the shape"),
        (lambda x: nn.linear_attention(*[_x(2, 7, 8)] * 3), ShapeError, "not of rank 3"),
        (lambda x: nn.linear_attention(*[_x(2, 4, 7, 8, dtype=gf.int32)] * 3), DTypeError, "q is int32"),
    ],
)
def test_refusals(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(gf.placeholder("x", (2, 4, 7, 8)))

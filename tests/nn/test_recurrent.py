"""Recurrent nets against the onnx package, scans written in JAX, and their own gradients."""

from __future__ import annotations

from collections.abc import Callable
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
from tests.onnx_reference import onnx_run

NETS: dict[str, Callable[..., Any]] = {"rnn": nn.rnn, "lstm": nn.lstm, "gru": nn.gru}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
CASES = {kind: cases(kind, kind.upper()) for kind in NETS}
Rng = np.random.Generator


def run(kind: str, inputs: list[Any], attributes: dict[str, Any]) -> list[gf.Tensor]:
    """The call of ONNX's operator with these inputs and attributes, and its outputs Y, Y_h, Y_c."""
    x, w, r, b, lengths, *states = [*inputs, *[None] * 8][:8]
    options = {name: value for name, value in attributes.items() if name in ("clip", "linear_before_reset")}
    direction = attributes.get("direction", "forward")
    options["direction"] = direction.decode() if isinstance(direction, bytes) else direction
    if "activations" in attributes:
        options["activations"] = [name.decode() for name in attributes["activations"]]
    if kind == "lstm":
        options |= {"peephole": states[2], "input_forget": bool(attributes.get("input_forget"))}
    initial = (states[0], states[1]) if kind == "lstm" else states[0]
    batch_first = bool(attributes.get("layout"))
    y, last = NETS[kind](x, w, r, b, initial, lengths, batch_first=batch_first, **options)
    return [y, *(last if kind == "lstm" else [last])]


@pytest.mark.parametrize(
    ("kind", "case"),
    [pytest.param(kind, case, id=case.name) for kind, known in CASES.items() for case in known],
)
def test_the_cases_of_onnx(kind: str, case: Case) -> None:
    made = evaluate(run(kind, case.inputs, case.attributes), {})
    compared = 0
    for one, expected in zip(made, case.outputs):
        if expected is not None:
            assert one.shape == expected.shape and one.dtype == expected.dtype
            np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)
            compared += 1
    assert compared


def test_there_are_cases() -> None:
    assert all(len(known) >= 6 for known in CASES.values())


def drawn(
    rng: Rng, kind: str, ways: int, time: int = 5, batch: int = 3, features: int = 2, units: int = 4
) -> list[np.ndarray]:
    """x, w, r, b, and the states, all in float64."""
    rows = GATES[kind] * units
    shapes = [(time, batch, features), (ways, rows, features), (ways, rows, units), (ways, 2 * rows)]
    shapes += [(ways, batch, units)] * (2 if kind == "lstm" else 1)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", NETS)
def test_directions_and_layouts_are_those_of_onnx(kind: str, direction: str, layout: int, rng: Rng) -> None:
    """With biases, initial states and, for an LSTM, peepholes."""
    ways = 2 if direction == "bidirectional" else 1
    x, w, r, b, *states = drawn(rng, kind, ways)
    if layout:
        x, states = x.swapaxes(0, 1), [state.swapaxes(0, 1) for state in states]
    inputs = [x, w, r, b, None, *states]
    if kind == "lstm":
        inputs.append(rng.standard_normal((ways, 3 * r.shape[2])))
    attributes = {"hidden_size": r.shape[2], "direction": direction, "layout": layout}
    tanh = {"activations": ["Tanh"] * ways} if kind == "rnn" else {}
    expected = onnx_run(kind.upper(), *inputs, outputs=1 + len(states), opset=22, **attributes, **tanh)
    for one, other in zip(evaluate(run(kind, inputs, attributes), {}), expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


# The reference: ONNX's equations in NumPy, or in JAX for its gradients


def step_of(np: Any, kind: str, parts: list[Any], f: list[Callable[..., Any]], flags: set[str]) -> Any:
    """The step of one direction: from the states and x_t to the next states."""
    w, r, b, p = parts
    bound = 0.7 if "clip" in flags else np.inf
    f = [lambda v, one=one: one(np.clip(v, -bound, bound)) for one in f]
    wb, rb = np.split(b, 2)

    def cut(value: Any) -> list[Any]:
        return np.split(value, GATES[kind], axis=-1)

    def rnn(states: Any, x: Any) -> Any:
        return (f[0](x @ w.T + states[0] @ r.T + wb + rb),)

    def lstm(states: Any, x: Any) -> Any:
        (h, c), (pi, po, pf) = states, np.split(p, 3)
        i, o, g, n = cut(x @ w.T + h @ r.T + wb + rb)
        i = f[0](i + pi * c)
        g = 1 - i if "coupled" in flags else f[0](g + pf * c)
        c = g * c + i * f[1](n)
        return f[0](o + po * c) * f[2](c), c

    def gru(states: Any, x: Any) -> Any:
        (h,) = states
        (xz, xr, xh), (hz, hr, hh) = cut(x @ w.T + wb), cut(h @ r.T + rb)
        z, s = f[0](xz + hz), f[0](xr + hr)
        inner = s * hh if "linear" in flags else (s * h) @ r[2 * len(h) :].T + cut(rb)[2]
        return ((1 - z) * f[1](xh + inner) + z * h,)

    return {"rnn": rnn, "lstm": lstm, "gru": gru}[kind]


def way_of(np: Any, step: Any, x: Any, states: Any, lengths: Any, reverse: bool) -> Any:
    """One direction, each sequence on its own, cut to its length."""
    rows, last = [], []
    for n, length in enumerate(lengths):
        now, made = tuple(state[n] for state in states), [np.zeros(states[0].shape[1])] * len(x)
        for t in range(length)[::-1] if reverse else range(length):
            now = step(now, x[t, n])
            made[t] = now[0]
        rows.append(np.stack(made))
        last.append(now)
    return np.stack(rows, axis=1), [np.stack(one) for one in zip(*last)]


def reference(
    np: Any, kind: str, values: dict[str, Any], direction: str, f: list[Callable[..., Any]], flags: set[str]
) -> list[Any]:
    """y and the last states."""
    x, states = values["x"], [values[name] for name in ("h", "c") if name in values]
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    lengths = values.get("lengths", [len(x)] * x.shape[1])
    made = []
    for n, reverse in enumerate(ways):
        p = values["p"][n] if "p" in values else np.zeros(3 * values["r"].shape[2])
        step = step_of(np, kind, [*[values[name][n] for name in "wrb"], p], f, flags)
        made.append(way_of(np, step, x, [state[n] for state in states], lengths, reverse))
    last = [np.stack(parts) for parts in zip(*[states for _, states in made])]
    return [np.stack([rows for rows, _ in made], axis=1), *last]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.e**-x)


def tanh(x: Any) -> Any:
    return 2 * sigmoid(2 * x) - 1


DEFAULTS = {"rnn": [tanh], "lstm": [sigmoid, tanh, tanh], "gru": [sigmoid, tanh]}
VARIANTS = [
    ("rnn", set()), ("rnn", {"clip"}), ("lstm", set()), ("lstm", {"peephole"}), ("gru", set()),
    ("gru", {"clip"}), ("lstm", {"coupled", "clip"}), ("lstm", {"peephole", "coupled", "clip"}),
    ("gru", {"linear"}), ("gru", {"linear", "clip"}),
]  # fmt: skip


def named(rng: Rng, kind: str, ways: int, flags: set[str], **sizes: int) -> dict[str, np.ndarray]:
    values = dict(zip("xwrbhc", drawn(rng, kind, ways, **sizes)))
    if "peephole" in flags:
        values["p"] = rng.standard_normal((ways, 3 * values["r"].shape[2]))
    return values


def ours(
    kind: str, given: dict[str, Any], direction: str, flags: set[str], **options: Any
) -> list[gf.Tensor]:
    states = [given[name] for name in ("h", "c") if name in given]
    if kind == "lstm":
        options |= {"peephole": given.get("p"), "input_forget": "coupled" in flags}
    if kind == "gru":
        options["linear_before_reset"] = "linear" in flags
    y, last = NETS[kind](
        *[given[name] for name in "xwrb"], states if kind == "lstm" else states[0], given.get("lengths"),
        direction=direction, clip=0.7 if "clip" in flags else None, **options,
    )  # fmt: skip
    return [y, *(last if kind == "lstm" else [last])]


def inputs_for(values: dict[str, np.ndarray]) -> dict[str, gf.Tensor]:
    return {name: gf.placeholder(name, value.shape, value.dtype) for name, value in values.items()}


def open_inputs_for(values: dict[str, np.ndarray]) -> dict[str, gf.Tensor]:
    """The same, with open sizes for time and batch."""
    ways = len(values["w"])
    shapes: dict[str, Any] = {name: value.shape for name, value in values.items()}
    shapes |= {"x": ("time", "batch", 2), "h": (ways, "batch", 4), "c": (ways, "batch", 4)}
    shapes["lengths"] = ("batch",)
    return {name: gf.placeholder(name, shapes[name], value.dtype) for name, value in values.items()}


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
@pytest.mark.parametrize(("kind", "flags"), VARIANTS)
def test_every_variant(kind: str, flags: set[str], lengths: Any, rng: Rng) -> None:
    values = named(rng, kind, 2, flags, time=4)
    if lengths is not None:
        values["lengths"] = np.int32(lengths)
    given = inputs_for(values)
    outputs = ours(kind, given, "bidirectional", flags)
    feeds = {given[name]: value for name, value in values.items()}
    expected = reference(np, kind, values, "bidirectional", DEFAULTS[kind], flags)
    for one, other in zip(evaluate(outputs, feeds), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    loss = gf.sum(gf.sin(outputs[0])) + sum(gf.sum(state**2) for state in outputs[1:])
    check_gradients(loss, [given[name] for name in values if name != "lengths"], feeds)


@pytest.mark.parametrize(
    ("kind", "flags"), [("rnn", set()), ("lstm", {"peephole"}), ("gru", set()), ("gru", {"linear"})]
)
def test_gradients_are_those_of_jax_on_all_backends(kind: str, flags: set[str], rng: Rng) -> None:
    values, lengths = named(rng, kind, 2, flags, time=3, batch=2), np.int32([3, 2])
    given = open_inputs_for({**values, "lengths": lengths})
    outputs = ours(kind, given, "bidirectional", flags)
    loss = gf.sum(gf.sin(outputs[0])) + sum(gf.sum(state**2) for state in outputs[1:])
    fetches = [*outputs, *gf.gradients(loss, [given[name] for name in values])]
    feeds = {given[name]: value for name, value in {**values, "lengths": lengths}.items()}

    def total(arrays: dict[str, Any]) -> Any:
        given = {**arrays, "lengths": lengths}
        made = reference(jnp, kind, given, "bidirectional", DEFAULTS[kind], flags)
        return jnp.sum(jnp.sin(made[0])) + sum(jnp.sum(state**2) for state in made[1:]), made

    with jax.enable_x64(True):
        (_, expected), slopes = jax.value_and_grad(total, has_aux=True)(values)
    expected += [slopes[name] for name in values]
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as sess:
            made = sess.run(fetches, feeds)
        for one, other, name in zip(made, expected, [*["output"] * len(outputs), *values], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("kind", NETS)
def test_second_derivatives(kind: str, rng: Rng) -> None:
    values = named(rng, kind, 1, set(), time=3, batch=2)
    given = inputs_for(values)
    y, *_ = ours(kind, given, "forward", set())
    slopes = gf.gradients(gf.sum(gf.sin(y)), [given["w"], given["h"]])
    check_gradients(slopes, [given["r"], given["b"]], {given[name]: value for name, value in values.items()})


# Activations

ACTIVATIONS = [
    ("Relu", lambda x: np.maximum(x, 0)),
    ("Tanh", np.tanh),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    ("Affine", lambda x: x),
    (("Affine", 0.5, -1), lambda x: 0.5 * x - 1),
    ("LeakyRelu", lambda x: np.where(x >= 0, x, 0.01 * x)),
    (("leaky_relu", 0.3), lambda x: np.where(x >= 0, x, 0.3 * x)),
    ("ThresholdedRelu", lambda x: np.where(x >= 1, x, 0)),
    (("thresholded_relu", -0.5), lambda x: np.where(x >= -0.5, x, 0)),
    ("ScaledTanh", np.tanh),
    (("ScaledTanh", 2.0, 0.5), lambda x: 2 * np.tanh(0.5 * x)),
    ("HardSigmoid", lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    (("hard_sigmoid", 0.5), lambda x: np.clip(0.5 * x + 0.5, 0, 1)),
    (("HardSigmoid", 1, 0), lambda x: np.clip(x, 0, 1)),
    ("Elu", lambda x: np.where(x >= 0, x, np.expm1(x))),
    (["Elu", 2.0], lambda x: np.where(x >= 0, x, 2 * np.expm1(x))),
    ("Softsign", lambda x: x / (1 + np.abs(x))),
    ("softplus", lambda x: np.log1p(np.exp(x))),
    (nn.silu, lambda x: x / (1 + np.exp(-x))),
    (lambda x: x * 2 - 1, lambda x: 2 * x - 1),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "expected"), ACTIVATIONS)
def test_activations(activation: Any, expected: Any) -> None:
    """The state of a net without weights, whose only step sees x plus its bias; -0.5 and 1 are thresholds."""
    x = np.array([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 4.0])
    for form in (activation, [activation]):
        nothing = np.zeros((7, 7))
        (y,) = evaluate([nn.rnn(x[None, None], np.eye(7), nothing, activations=form)[0]], {})
        np.testing.assert_allclose(y[0, 0], expected(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", NETS)
def test_each_gate_and_direction_has_its_own_activations(kind: str, rng: Rng) -> None:
    values = named(rng, kind, 2, set())
    softsign = ("softsign", lambda v: v / (1 + abs(v)))
    pool = [
        softsign,
        ("tanh", np.tanh),
        ("hard_sigmoid", lambda v: np.clip(v / 5 + 0.5, 0, 1)),
        ("sigmoid", sigmoid),
    ]
    count = len(DEFAULTS[kind])
    chosen = [pool[place % 4] for place in range(2 * count)]
    made = evaluate(ours(kind, values, "bidirectional", set(), activations=[name for name, _ in chosen]), {})
    for way, direction in enumerate(("forward", "reverse")):
        own = {name: value if name == "x" else value[way : way + 1] for name, value in values.items()}
        functions = [function for _, function in chosen[way * count : (way + 1) * count]]
        expected = reference(np, kind, own, direction, functions, set())
        np.testing.assert_allclose(made[0][:, way : way + 1], expected[0], rtol=1e-10)
        np.testing.assert_allclose(made[1][way : way + 1], expected[1], rtol=1e-10)


# Forms of the operands


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", NETS)
def test_one_direction_needs_no_axis_for_it(kind: str, batch_first: bool, rng: Rng) -> None:
    values = named(rng, kind, 1, {"peephole"} if kind == "lstm" else set())
    if batch_first:
        values |= {name: values[name].swapaxes(0, 1) for name in ("x", "h", "c") if name in values}
    axis = {name: 1 if batch_first else 0 for name in ("h", "c")}
    plain = {
        name: value if name == "x" else value.squeeze(axis.get(name, 0)) for name, value in values.items()
    }
    full = evaluate(ours(kind, values, "reverse", set(), batch_first=batch_first), {})
    made = evaluate(ours(kind, plain, "reverse", set(), batch_first=batch_first), {})
    np.testing.assert_array_equal(made[0], full[0].squeeze(2 if batch_first else 1))
    for one, other in zip(made[1:], full[1:]):
        np.testing.assert_array_equal(one, other.squeeze(1 if batch_first else 0))


@pytest.mark.parametrize("kind", NETS)
def test_biases_may_be_summed_before(kind: str, rng: Rng) -> None:
    values = named(rng, kind, 2, set())
    summed = {**values, "b": values["b"].reshape(2, 2, -1).sum(axis=1)}
    made, expected = (evaluate(ours(kind, one, "bidirectional", set()), {}) for one in (summed, values))
    np.testing.assert_allclose(made[0], expected[0], rtol=1e-10)


def test_half_of_a_state_may_be_given(rng: Rng) -> None:
    x, w, r, b, h, c = (one[0] if place else one for place, one in enumerate(drawn(rng, "lstm", 1)))
    for given, full in (((h, None), (h, 0 * c)), ((None, c), (0 * h, c)), (None, (0 * h, 0 * c))):
        made = [nn.lstm(x, w, r, b, state)[0] for state in (given, full)]
        np.testing.assert_array_equal(*evaluate(made, {}))


@pytest.mark.parametrize("kind", NETS)
def test_padding_is_never_read(kind: str, rng: Rng) -> None:
    """Neither by outputs nor by gradients; lengths beyond the end are the end."""
    values = named(rng, kind, 2, set())
    lengths = np.int64([2, 9, 4])
    made = []
    for padding in (0.0, np.nan, np.inf):
        x = values["x"].copy()
        x[2:, 0] = x[4:, 2] = padding
        with gf.Graph():
            given = inputs_for({**values, "lengths": lengths})
            outputs = ours(kind, given, "bidirectional", set())
            slopes = gf.gradients([gf.sum(one**2) for one in outputs], [given["w"], given["r"], given["x"]])
            feeds = {given[name]: value for name, value in {**values, "x": x, "lengths": lengths}.items()}
            made.append(evaluate([*outputs, *slopes], feeds))
    for other in made[1:]:
        for one, two in zip(made[0], other):
            np.testing.assert_array_equal(one, two)
    y, slope = made[0][0], made[0][-1]
    assert np.isfinite(y).all() and (y[2:, :, 0] == 0).all() and (slope[2:, 0] == 0).all()
    assert y[4, :, 1].all()


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize(("time", "batch"), [(0, 2), (1, 1), (3, 0)])
def test_empty_and_single(kind: str, time: int, batch: int, rng: Rng) -> None:
    values = named(rng, kind, 1, set(), time=time, batch=batch)
    given = open_inputs_for(values)
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as sess:
            y, *last = sess.run(
                ours(kind, given, "forward", set()), {given[name]: value for name, value in values.items()}
            )
        assert y.shape == (time, 1, batch, 4)
        if time == 0:
            np.testing.assert_array_equal(last[0], values["h"])
        else:
            np.testing.assert_array_equal(last[0], y[-1])


@pytest.mark.parametrize("kind", NETS)
def test_what_the_input_gives_is_one_product_for_all_steps(kind: str) -> None:
    w, r, b = (np.float32(one) for one in drawn(np.random.default_rng(0), kind, 1)[1:4])
    y, _ = NETS[kind](gf.placeholder("x", ("time", "batch", 2)), w, r, b)
    order = gf.Session(backend="numpy").explain(y).optimized.order()
    (loop,) = [node for node in order if node.op.name == "scan"]
    inside = [node.op.name for node in loop.attrs.body.order()].count("matmul")
    assert [node.op.name for node in order].count("matmul") == 1
    assert inside == {"rnn": 1, "lstm": 1, "gru": 2}[kind]


def test_dtypes_are_promoted_together(rng: Rng) -> None:
    x, w, r, *_ = drawn(rng, "lstm", 1)
    for first, second, wanted in [
        (gf.float16, gf.float16, gf.float16), (gf.float32, gf.float64, gf.float64),
        (gf.bfloat16, gf.bfloat16, gf.bfloat16), (gf.float16, gf.float32, gf.float32),
    ]:  # fmt: skip
        y, (h, c) = nn.lstm(gf.constant(x, first), gf.constant(w, second), gf.constant(r, second))
        assert {y.dtype, h.dtype, c.dtype} == {wanted}
        exact = evaluate([nn.lstm(x, w, r)[0]], {})[0]
        np.testing.assert_allclose(evaluate([y], {})[0].astype(np.float64), exact, atol=0.05)


# Refusals


def _x(*shape: Any, dtype: Any = gf.float32) -> gf.Tensor:
    return gf.zeros(shape, dtype)


W, R = (12, 2), (12, 3)


def simple(x: gf.Tensor, activations: Any) -> Any:
    return nn.rnn(x, _x(3, 2), _x(3, 3), activations=activations)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.lstm(x[0], _x(*W), _x(*R)), ShapeError, r"needs x of rank 3, not of shape \[4, 2\]"),
        (lambda x: nn.lstm(x, _x(12), _x(*R)), ShapeError, r"w of rank 2 or 3"),
        (lambda x: nn.lstm(x, _x(12, 5), _x(*R)), ShapeError, r"the shape of w .*\[12, 5\] != \[12, 2\]"),
        (lambda x: nn.lstm(x, _x(*W), _x(9, 3)), ShapeError, r"the shape of r .*\[9, 3\] != \[12, 3\]"),
        (lambda x: nn.lstm(x, _x(1, *W), _x(*R)), ShapeError, "the shape of r"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), _x(7)), ShapeError, r"the shape of bias .*\[7\] != \[24\]"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), peephole=_x(12)), ShapeError, "the shape of peephole"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), None, (_x(5, 3), None)), ShapeError, "the shape of initial_h"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), None, _x(2, 4, 3)), AttributeValueError, "is no pair"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), lengths=_x(4)), DTypeError, "integer lengths"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), lengths=[1, 2]), ShapeError, "lengths of the shape"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), direction="up"), AttributeValueError, "no direction 'up'"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), direction="bidirectional"), ShapeError, "two directions"),
        (lambda x: nn.lstm(x, _x(2, *W), _x(2, *R)), ShapeError, r"\[2, 12, 2\] != \[1, 12, 2\]"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), clip=-1.0), AttributeValueError, "the clip of lstm"),
        (lambda x: nn.lstm(x, _x(*W), _x(*R), activations="tanh"), AttributeValueError, "takes 3 act"),
        (lambda x: nn.lstm(gf.astype(x, gf.int32), _x(*W), _x(*R)), DTypeError, "x is int32"),
        (lambda x: nn.gru(x, _x(9, 2), _x(9, 3), _x(9), linear_before_reset=True), ShapeError, r"!= \[18\]"),
        (lambda x: simple(x, "tan"), AttributeValueError, "no activation 'tan'"),
        (lambda x: simple(x, [3]), AttributeValueError, "no activation 3"),
        (lambda x: simple(x, ("relu", 1)), AttributeValueError, "takes 0 numbers"),
        (lambda x: simple(x, ("elu", "a")), AttributeValueError, "takes 1 act"),
        (lambda x: simple(x, gf.sum), AttributeValueError, r"float32\[\] of"),
        (lambda x: simple(x, ("elu", None)), AttributeValueError, "alpha of the"),
    ],
)  # fmt: skip
def test_refusals(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(gf.placeholder("x", ("time", 4, 2)))

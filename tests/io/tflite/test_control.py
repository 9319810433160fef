"""Branches, loops, calls and recurrent nets, which are more than one operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from tests.bad_input.refusal import refused
from tests.io.tflite.build import Net, file_of
from tests.io.tflite.oracle import computed, expected

RNG = np.random.default_rng(2)


def branch(op: str, number: float) -> Net:
    """x op number."""
    net = Net()
    x, y = net.input((3,)), net.tensor((3,))
    net.op(op, [x, net.constant(number, np.float32)], [y], f"{op.title()}Options")
    return net.out(y)


def chosen(condition: Any = None) -> bytes:
    """An IF whose condition is fed, or known."""
    net = Net()
    given = net.input((), "bool") if condition is None else net.constant(condition)
    x, y = net.input((3,)), net.tensor((3,))
    net.op("IF", [given, x], [y], "IfOptions", ThenSubgraphIndex=1, ElseSubgraphIndex=2)
    return file_of(net.out(y), branch("ADD", 10.0), branch("MUL", -2.0))


def looped(fed: bool = True, grows: bool = False) -> bytes:
    """x = x + x while count < limit; or x gets longer in each step."""
    goes, step, net = Net(), Net(), Net()
    limit, count, x = goes.input((), "int32"), goes.input((), "int32"), goes.input((2,))
    flag = goes.tensor((), "bool")
    goes.op("LESS", [count, limit], [flag])
    limit, count, x = step.input((), "int32"), step.input((), "int32"), step.input((2,))
    more, y = step.tensor((), "int32"), step.tensor((2,))
    step.op("ADD", [count, step.constant(1, np.int32)], [more], "AddOptions")
    if grows:
        step.op("CONCATENATION", [x, x], [y], "ConcatenationOptions", Axis=0)
    else:
        step.op("ADD", [x, x], [y], "AddOptions")
    limit = net.input((), "int32") if fed else net.constant(4, np.int32)
    zero, x = net.constant(0, np.int32), net.input((2,))
    outputs = [net.tensor((), "int32"), net.tensor((), "int32"), net.tensor((2,))]
    net.op("WHILE", [limit, zero, x], outputs, "WhileOptions", CondSubgraphIndex=1, BodySubgraphIndex=2)
    return file_of(net.out(outputs[1], outputs[2]), goes.out(flag), step.out(step.inputs[0], more, y))


X = np.array([1.0, -2.0, 3.5], np.float32)


@pytest.mark.parametrize("truth", [True, False])
def test_branches(truth: bool) -> None:
    feeds = [np.array(truth), X]
    np.testing.assert_array_equal(computed(chosen(), feeds), expected(chosen(), feeds))
    assert "switch_case" in [node.op.name for node in gf.tflite.load(chosen()).graph]
    known = chosen(truth)
    np.testing.assert_array_equal(computed(known, [X]), expected(known, [X]))
    assert "switch_case" not in [node.op.name for node in gf.tflite.load(known).graph]


@pytest.mark.parametrize("steps", [0, 5])
def test_loops(steps: int) -> None:
    feeds = [np.array(steps, np.int32), X[:2]]
    for want, got in zip(expected(looped(), feeds), computed(looped(), feeds)):
        np.testing.assert_array_equal(got, want)
    assert "while_loop" in [node.op.name for node in gf.tflite.load(looped()).graph]


def test_loops_whose_steps_differ_are_laid_out() -> None:
    content = looped(fed=False, grows=True)
    for want, got in zip(expected(content, [X[:2]]), computed(content, [X[:2]])):
        np.testing.assert_array_equal(got, want)
    assert "while_loop" not in [node.op.name for node in gf.tflite.load(content).graph]
    with refused(gf.ShapeError, "operator 0 (WHILE)"):
        gf.tflite.load(looped(fed=True, grows=True))


def test_calls() -> None:
    net = Net()
    x, y, z = net.input((3,)), net.tensor((3,)), net.tensor((3,))
    net.op("CALL", [x], [y], "CallOptions", Subgraph=1)
    net.op("CALL", [y], [z], "CallOptions", Subgraph=1)
    (got,) = computed(file_of(net.out(z), branch("MUL", 3.0)), [X])
    np.testing.assert_array_equal(got, X * 9)


def test_bits_and_parts_of_complex_numbers() -> None:
    net = Net()
    x, bits = net.input((3,)), net.tensor((3,), "int32")
    net.op("BITCAST", [x], [bits], "BitcastOptions")
    np.testing.assert_array_equal(computed(file_of(net.out(bits)), [X])[0], X.view(np.int32))
    net = Net()
    x = net.input((3,), "complex64")
    parts = [net.tensor((3,)) for _ in range(3)]
    for op, part in zip(("REAL", "IMAG", "COMPLEX_ABS"), parts):
        net.op(op, [x], [part])
    feed = (X + 1j * X[::-1]).astype(np.complex64)
    for want, got in zip(
        expected(file_of(net.out(*parts)), [feed]), computed(file_of(net.out(*parts)), [feed])
    ):
        np.testing.assert_allclose(got, want, rtol=1e-6)


# Recurrent nets


def lstm(time_major: bool, peephole: bool = False, **how: Any) -> tuple[bytes, np.ndarray]:
    """One layer with 4 units over 5 steps of 3 numbers, for 2 sequences."""
    net, units, features = Net(), 4, 3
    shape = (5, 2, features) if time_major else (2, 5, features)

    def weights(*shape: int) -> int:
        return net.constant(RNG.standard_normal(shape) * 0.5, np.float32)

    given = [net.input(shape)]
    given += [weights(units, features) for _ in range(4)] + [weights(units, units) for _ in range(4)]
    given += [weights(units) if peephole else -1 for _ in range(3)] + [weights(units) for _ in range(4)]
    given += [-1, -1, *[net.tensor((2, units), variable=True) for _ in range(2)], -1, -1, -1, -1]
    y = net.tensor((*shape[:2], units))
    options = {"FusedActivationFunction": 4, "TimeMajor": time_major, **how}
    net.op("UNIDIRECTIONAL_SEQUENCE_LSTM", given, [y], "UnidirectionalSequenceLSTMOptions", **options)
    return file_of(net.out(y)), RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("time_major", "peephole"), [(False, False), (True, False), (True, True)])
def test_lstm(time_major: bool, peephole: bool) -> None:
    content, feed = lstm(time_major, peephole)
    (want,), (got,) = expected(content, [feed]), computed(content, [feed])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_lstm_that_is_not_supported() -> None:
    for how, told in (
        ({"CellClip": 1.0}, "clipped cells"),
        ({"FusedActivationFunction": 1}, "the activation 1"),
    ):
        content, _ = lstm(False, **how)
        with refused(gf.GraphFlowError, told, "operator 0 (UNIDIRECTIONAL_SEQUENCE_LSTM)"):
            gf.tflite.load(content)


@pytest.mark.parametrize("activation", [0, 1, 4])
def test_rnn(activation: int) -> None:
    net, units = Net(), 4
    x = net.input((2, 5, 3))
    sizes = ((units, 3), (units, units), (units,))
    given = [net.constant(RNG.standard_normal(size) * 0.5, np.float32) for size in sizes]
    y, state = net.tensor((2, 5, units)), net.tensor((2, units), variable=True)
    options = {"FusedActivationFunction": activation}
    net.op("UNIDIRECTIONAL_SEQUENCE_RNN", [x, *given, state], [y], "SequenceRNNOptions", **options)
    content, feed = file_of(net.out(y)), RNG.standard_normal((2, 5, 3)).astype(np.float32)
    (want,), (got,) = expected(content, [feed]), computed(content, [feed])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)

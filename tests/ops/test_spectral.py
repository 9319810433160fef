"""Windows, transforms of frames and the mel scale against the reference evaluator of ONNX."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import graphflow as gf
from graphflow.ir.interpret import evaluate
from tests.ops.symbolic import run

WINDOWS = {
    "HannWindow": "hann_window",
    "HammingWindow": "hamming_window",
    "BlackmanWindow": "blackman_window",
}


def _onnx(kind: str, inputs: list, **attributes) -> np.ndarray:
    """What ONNX's reference makes of an operator; None stands for an input left out."""
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(inputs)]
    given = {name: np.asarray(value) for name, value in zip(names, inputs) if name}
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given.items()
    ]
    output = helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)
    graph = helper.make_graph([helper.make_node(kind, names, ["y"], **attributes)], "one", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    (made,) = ReferenceEvaluator(model).run(None, given)
    return made


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_are_those_of_onnx(kind, periodic) -> None:
    make = getattr(gf.signal, WINDOWS[kind])
    n = gf.placeholder("x", ("n",)).shape[0]
    symbolic = make(n, periodic=periodic)
    for size in (2, 3, 16, 17):
        wanted = _onnx(kind, [np.int64(size)], periodic=int(periodic))
        (value,), (other,) = evaluate([make(size, periodic=periodic)]), run([symbolic], {}, n=size)
        assert value.dtype == wanted.dtype == np.float32
        np.testing.assert_allclose(value, wanted, atol=1e-6)
        np.testing.assert_allclose(other, wanted, atol=1e-6)
    double = onnx.TensorProto.DOUBLE
    np.testing.assert_allclose(
        evaluate([make(9, periodic, "float64")])[0],
        _onnx(kind, [np.int64(9)], periodic=int(periodic), output_datatype=double), atol=1e-12,
    )  # fmt: skip


def test_windows_of_no_point_and_of_one() -> None:
    for name in WINDOWS.values():
        make = getattr(gf.signal, name)
        none, one, alone = evaluate([make(0), make(1), make(1, periodic=False)])
        n = gf.Dim("n")
        assert none.shape == (0,) and one.shape == (1,)
        np.testing.assert_array_equal(alone, [1])
        np.testing.assert_allclose(run([make(n)], {}, n=1)[0], one, atol=1e-7)
        np.testing.assert_array_equal(run([make(n, periodic=False)], {}, n=1)[0], [1])


@pytest.mark.parametrize("length", [None, 4, 9])
@pytest.mark.parametrize("axis", [1, -2])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("onesided", [False, True])
def test_dft_is_that_of_onnx(length, axis, parts, inverse, onesided, rng) -> None:
    if onesided and (parts == 2) != inverse:
        return  # real numbers have half a spectrum, and only half a spectrum gives real ones back
    x = rng.normal(size=(2, 6, 5, parts))
    options = {"inverse": inverse, "onesided": onesided}
    (value,) = evaluate([gf.signal.dft(x, length, axis, **options)])
    inputs = [x, None if length is None else np.int64(length), np.int64(axis)]
    wanted = _onnx("DFT", inputs, **{name: int(flag) for name, flag in options.items()})
    assert value.shape == wanted.shape and value.dtype == wanted.dtype
    np.testing.assert_allclose(value, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("step", "window", "length"), [(3, None, 8), (4, 6, None), (5, 8, 8), (1, None, 20), (7, None, None)]
)
@pytest.mark.parametrize("parts", [1, 2])
def test_stft_is_that_of_onnx(step, window, length, parts, rng) -> None:
    x = rng.normal(size=(2, 20, parts)).astype(np.float32)
    weights = None if window is None else rng.uniform(size=window).astype(np.float32)
    for onesided in (False, True)[: 3 - parts]:
        (value,) = evaluate([gf.signal.stft(x, step, weights, length, onesided)])
        inputs = [x, np.int64(step), weights, None if length is None else np.int64(length)]
        wanted = _onnx("STFT", inputs, onesided=int(onesided))
        assert value.shape == wanted.shape
        np.testing.assert_allclose(value, wanted, atol=2e-5)


def test_stft_of_a_signal_of_symbolic_length(rng) -> None:
    x = gf.placeholder("x", ("b", "n", 1), gf.float64)
    y = gf.signal.stft(x, 4, gf.signal.hann_window(8, dtype="float64"))
    (grad,) = gf.gradients(gf.sum(gf.square(y)), [x])
    data = rng.normal(size=(2, 19, 1))
    value, slope = run([y, grad], {x: data}, b=2, n=19)
    window = np.hanning(9)[:8]
    wanted = np.stack([np.fft.rfft(data[:, t : t + 8, 0] * window) for t in (0, 4, 8)], 1)
    np.testing.assert_allclose(value, np.stack([wanted.real, wanted.imag], -1), atol=1e-12)
    assert slope.shape == data.shape and np.all(slope[:, 16:] == 0)


@pytest.mark.parametrize(
    "case", [(8, 16, 8192, 0.0, 4096.0), (20, 512, 16000, 20.0, 7600.0), (40, 64, 8000, 0.0, 4000.0)]
)
def test_mel_weights_are_those_of_onnx(case) -> None:
    inputs = [np.int64(value) for value in case[:3]] + [np.float64(value) for value in case[3:]]
    (value,) = evaluate([gf.signal.mel_weight_matrix(*case)])
    wanted = _onnx("MelWeightMatrix", inputs)
    assert value.dtype == np.float32 and value.shape == wanted.shape
    np.testing.assert_allclose(value, wanted, atol=1e-7)


def test_a_mel_spectrogram_has_a_gradient(rng) -> None:
    x = gf.placeholder("x", (1, 64, 1), gf.float64)
    spectrum = gf.signal.stft(x, 8, gf.signal.hann_window(16, dtype="float64"))
    power = gf.sum(gf.square(spectrum), axis=-1)
    bands = gf.matmul(power, gf.signal.mel_weight_matrix(4, 16, 8000, 0, 4000, dtype="float64"))
    (check,) = gf.check_gradients(gf.sum(gf.log(bands + 1.0)), x, {x: rng.normal(size=(1, 64, 1))})
    assert check.error < 1e-6 and check.symbolic != 0


def test_signals_refuse() -> None:
    x, z = gf.constant(np.zeros((2, 8, 1))), gf.constant(np.zeros((2, 8, 2)))
    cases = [
        (lambda: gf.signal.hann_window(-1), gf.GraphFlowError, "-1"),
        (lambda: gf.signal.hann_window(4, periodic="no"), gf.AttributeValueError, "periodic"),
        (lambda: gf.signal.hann_window(4, dtype="bool"), gf.DTypeError, "bool"),
        (lambda: gf.signal.dft(x, axis=-1), gf.AttributeValueError, "real and imaginary"),
        (lambda: gf.signal.dft(gf.zeros((2, 8))), gf.ShapeError, "size 1"),
        (lambda: gf.signal.dft(gf.zeros((2, 8, 1), "int32")), gf.DTypeError, "int32"),
        (lambda: gf.signal.dft(z, onesided=True), gf.AttributeValueError, "no mirror"),
        (lambda: gf.signal.stft(z, 2, frame_length=4), gf.AttributeValueError, "no mirror"),
        (lambda: gf.signal.stft(x, 2, frame_length=9), gf.ShapeError, "9 points"),
        (lambda: gf.signal.stft(x, 0, frame_length=4), gf.AttributeValueError, "frame_step"),
        (lambda: gf.signal.stft(x, 2, [1.0, 1.0], 4), gf.AttributeValueError, "leave one out"),
        (lambda: gf.signal.stft(gf.zeros((8, 1)), 2), gf.ShapeError, "batch"),
        (lambda: gf.signal.mel_weight_matrix(4, 16, 8000, 0, 9000), gf.GraphFlowError, "sample rate"),
        (lambda: gf.signal.mel_weight_matrix(4, 16, 8000, 100, 50), gf.AttributeValueError, "upper_edge"),
        (lambda: gf.signal.mel_weight_matrix(40, 16, 8000, 0, 8000), gf.ShapeError, "4000"),
    ]
    for make, error, phrase in cases:
        with pytest.raises(error, match=phrase):
            make()

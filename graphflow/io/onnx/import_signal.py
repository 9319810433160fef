"""Import of signal processing: Fourier transforms and windows."""

from __future__ import annotations

from typing import Any

from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import casting, spectral


def _dft(call: Call, x: Tensor, length: Any = None, axis: Any = None) -> Tensor:
    place = call.attr("axis", 1) if call.version < 20 else call.number(axis, -2)
    inverse, onesided = call.flag("inverse"), call.flag("onesided")
    return spectral.dft(x, call.number(length), place, inverse, onesided)


def _stft(call: Call, x: Tensor, step: Tensor, window: Any = None, length: Any = None) -> Tensor:
    onesided = call.flag("onesided", True)
    return spectral.stft(x, call.number(step), window, call.number(length), onesided)


def _window(say: Any) -> Any:
    def say_it(call: Call, size: Tensor) -> Tensor:
        kind = call.dtype("output_datatype", dtypes.float32)
        wide = kind if kind.is_floating and kind.itemsize >= 4 else dtypes.float32
        return casting.astype(say(call.number(size), call.flag("periodic", True), wide), kind)

    return say_it


def _mel(call: Call, *given: Tensor) -> Tensor:
    bins, length, rate, low, high = [call.number(value) for value in given]
    kind = call.dtype("output_datatype", dtypes.float32)
    return spectral.mel_weight_matrix(bins, length, rate, float(low), float(high), kind)


TABLE: dict[str, Any] = {
    "BlackmanWindow": _window(spectral.blackman_window),
    "DFT": _dft,
    "HammingWindow": _window(spectral.hamming_window),
    "HannWindow": _window(spectral.hann_window),
    "MelWeightMatrix": _mel,
    "STFT": _stft,
}

"""Import of recurrent nets: RNN, GRU and LSTM."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor

_NUMBERS = {
    "affine": 2, "elu": 1, "hardsigmoid": 2, "leakyrelu": 1, "scaledtanh": 2, "thresholdedrelu": 1
}  # fmt: skip
_STANDARD = {
    "affine": (1.0, 0.0), "elu": (1.0,), "hardsigmoid": (0.2, 0.5), "leakyrelu": (0.01,),
    "scaledtanh": (1.0, 1.0), "thresholdedrelu": (1.0,),
}  # fmt: skip


def _activations(call: Call) -> list[Any]:
    """The activations with their numbers, which are taken in order from two lists."""
    alphas, betas = iter(call.attr("activation_alpha", [])), iter(call.attr("activation_beta", []))
    made: list[Any] = []
    for name in call.attr("activations"):
        standard = _STANDARD.get(name.lower(), ())
        numbers = [next(given, known) for given, known in zip((alphas, betas), standard)]
        made.append((name, *numbers) if numbers else name)
    return made


def _options(call: Call) -> dict[str, Any]:
    options: dict[str, Any] = {
        "direction": call.attr("direction", "forward"),
        "batch_first": call.flag("layout"),
        "clip": call.attr("clip"),
    }
    return {**options, "activations": _activations(call)} if call.has("activations") else options


def _rnn(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, state: Any = None
) -> tuple[Tensor, ...]:
    return nn.rnn(x, w, r, b, state, lengths, **_options(call))


def _gru(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, state: Any = None
) -> tuple[Tensor, ...]:
    reset = call.flag("linear_before_reset")
    return nn.gru(x, w, r, b, state, lengths, linear_before_reset=reset, **_options(call))


def _lstm(
    call: Call,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Any = None,
    lengths: Any = None,
    state: Any = None,
    cell: Any = None,
    peephole: Any = None,
) -> tuple[Tensor, ...]:
    initial = None if state is None and cell is None else (state, cell)
    forget = call.flag("input_forget")
    y, last = nn.lstm(x, w, r, b, initial, lengths, peephole, input_forget=forget, **_options(call))
    return (y, *last)


TABLE: dict[str, Any] = {"GRU": _gru, "LSTM": _lstm, "RNN": _rnn}

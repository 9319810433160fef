"""Import of recurrent nets over whole sequences, in floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow import nn
from graphflow.errors import AttributeValueError
from graphflow.io.tflite.call import Call
from graphflow.io.tflite.reading import AGAIN
from graphflow.ir.node import Tensor
from graphflow.ops import standard

_NAMES = {0: "affine", 1: "relu", 4: "tanh"}
_GATES = (0, 3, 1, 2)
"""Where the gates that we have in the order in, out, forget, cell lie in in, forget, cell, out."""


def _lstm(call: Call, *given: Tensor | None) -> Tensor:
    """Inputs: x, the matrices of x and of the state, peepholes, biases, projections, states, norms."""
    parts = [*given, *[None] * (24 - len(given))]
    _refuse(call, parts)
    x, peepholes = parts[0], [parts[9], parts[11], parts[10]]
    y, _ = nn.lstm(
        x,
        _stacked(parts[1:5]),
        _stacked(parts[5:9]),
        _stacked(parts[12:16]),
        _states(call, parts[18:20]),
        peephole=None if peepholes[0] is None else standard.concat(*_all(peepholes), axis=0),
        activations=("sigmoid", "tanh", "tanh"),
        batch_first=not call.option("TimeMajor", False),
    )
    return y


def _refuse(call: Call, parts: Sequence[Tensor | None]) -> None:
    wrong = (
        "quantized activations" if call.quantization(0) is not None
        else "a coupled input gate" if parts[1] is None
        else "a projection" if parts[16] is not None
        else "layer normalization" if any(one is not None for one in parts[20:24])
        else "clipped cells" if call.option("CellClip", 0.0)
        else f"the activation {call.fused}" if call.fused != 4
        else ""
    )  # fmt: skip
    if wrong:
        raise AttributeValueError(
            f"an LSTM with {wrong} is not supported",
            hint="convert the model with unrolled steps, or with a loop (WHILE)",
        )


def _all(parts: Sequence[Tensor | None]) -> list[Tensor]:
    found = [part for part in parts if part is not None]
    if len(found) != len(parts):
        raise AttributeValueError("a matrix of a gate is absent", hint=AGAIN)
    return found


def _stacked(gates: Sequence[Tensor | None]) -> Tensor:
    """The parts of the four gates, one below the other."""
    return standard.concat(*_all([gates[place] for place in _GATES]), axis=0)


def _states(call: Call, states: Sequence[Tensor | None]) -> Any:
    """Where the sequence begins; the file's own state begins with zeros, which is what we do, too."""
    infos = [call.input_info(18), call.input_info(19)]
    if all(info is None or info.is_variable for info in infos):
        return None
    return tuple(states)


def _rnn(call: Call, x: Tensor, w: Tensor, r: Tensor, b: Tensor, state: Tensor) -> Tensor:
    if call.fused not in _NAMES:
        raise AttributeValueError(
            f"an RNN with the activation {call.fused} is not supported", hint="use tanh"
        )
    info, name = call.input_info(4), _NAMES[call.fused]
    y, _ = nn.rnn(
        x,
        w,
        r,
        b,
        None if info is None or info.is_variable else state,
        activations=((name, 1.0, 0.0) if name == "affine" else name,),
        batch_first=not call.option("TimeMajor", False),
    )
    return y


TABLE: dict[str, Any] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _rnn,
}

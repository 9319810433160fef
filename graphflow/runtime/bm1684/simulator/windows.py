"""Windows that move over a padded input: its geometry, and the values under each place of the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.runtime.bm1684.isa import Operand, Pads, Precision, Shape, Window
from graphflow.runtime.bm1684.simulator.arithmetic import float_value
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import read_words
from graphflow.runtime.bm1684.simulator.memory import Memory

_NO_ZEROS, _ONE = Window(0, 0), Window()


def read_input(memory: Memory, command: Any) -> np.ndarray:
    """The input of a windowed command, as fp32 or integers.

    Raises:
        ChipFault: as `layout.read`, and for types that the kind does not take.
    """
    shape = Shape(command.result_shape.n, *command.input_shape[1:])
    if command.input.precision is Precision.INT8:
        return read_words(memory, command.input, shape)
    return float_value(memory, command.input, shape)


def padded(values: np.ndarray, pads: Pads, insert: Window = _NO_ZEROS, fill: float = 0) -> np.ndarray:
    """Zeros between the rows and columns, and padding around them."""
    n, c, h, w = values.shape
    tall, wide = (h - 1) * (insert.h + 1) + 1, (w - 1) * (insert.w + 1) + 1
    shape = (n, c, tall + pads.top + pads.bottom, wide + pads.left + pads.right)
    made = np.full(shape, fill, values.dtype)
    rows = slice(pads.top, pads.top + tall, insert.h + 1)
    made[:, :, rows, pads.left : pads.left + wide : insert.w + 1] = values
    return made


def under(
    values: np.ndarray, result: Shape, kernel: Window, step: Window, dilation: Window = _ONE
) -> np.ndarray:
    """A view (n, c, kernel h, kernel w, result h, result w) of a padded input.

    Raises:
        ChipFault: if the kernel would leave the input.
    """
    for axis, given in (("h", values.shape[2]), ("w", values.shape[3])):
        size, places, stride, spread = (getattr(part, axis) for part in (kernel, result, step, dilation))
        needed = (places - 1) * stride + (size - 1) * spread + 1
        if needed > given:
            raise ChipFault(
                "geometry",
                f"over {axis} the kernel reaches {needed} of {given} padded elements",
                hint="pad more, or make the result smaller",
            )
    n, c, h, w = values.strides
    strides = (n, c, h * dilation.h, w * dilation.w, h * step.h, w * step.w)
    sizes = (*values.shape[:2], *kernel, result.h, result.w)
    return np.lib.stride_tricks.as_strided(values, sizes, strides, writeable=False)


def check_result(command: Any, precisions: tuple[Precision, ...]) -> None:
    """Raises ChipFault unless the result is aligned and has one of these precisions."""
    if command.result.precision not in precisions:
        said = " or ".join(precision.name for precision in precisions)
        raise ChipFault(
            "unsupported", f"its result is {command.result.precision.name}", hint=f"make it {said}"
        )


def plain(operand: Operand) -> Operand:
    """An operand whose stride code the chip does not read: it always lies aligned."""
    return Operand(operand.address, operand.precision, operand.signed)

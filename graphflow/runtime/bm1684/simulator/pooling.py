"""Maximum and average over windows."""

from __future__ import annotations

import numpy as np

from graphflow.runtime.bm1684.isa import AveragePool, MaximumPool, Precision
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import write_words
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import flush, saturated, shifted
from graphflow.runtime.bm1684.simulator.windows import check_result, padded, plain, read_input, under

_LARGEST_WINDOW = 225


def _check(command: AveragePool | MaximumPool) -> None:
    check_result(command, (command.input.precision,))
    if command.input.strides is not None:
        raise ChipFault("unsupported", "a strided input", hint="copy it to an aligned place first")


def maximum_pool(memory: Memory, command: MaximumPool) -> None:
    """Runs a MaximumPool command.

    Raises:
        ChipFault: as `layout.read`, and for geometry or types that do not fit together.
    """
    _check(command)
    values = read_input(memory, command)
    whole = values.dtype != np.float32
    if whole and command.relu:
        raise ChipFault("unsupported", "the relu bit of an integer maximum", hint="leave it 0")
    lowest = np.iinfo(values.dtype).min if whole else -np.inf
    views = under(
        padded(values, command.pads, fill=lowest), command.result_shape, command.kernel, command.step
    )
    total = np.array(views[:, :, 0, 0])
    for row, column in np.ndindex(*command.kernel):
        view = views[:, :, row, column]
        total = np.where(view > total, view, total)
    write_words(memory, plain(command.result), total)


def average_pool(memory: Memory, command: AveragePool) -> None:
    """Runs an AveragePool command.

    Raises:
        ChipFault: as `maximum_pool`.
    """
    _check(command)
    values = padded(read_input(memory, command), command.pads)
    views = under(values, command.result_shape, command.kernel, command.step)
    whole = values.dtype != np.float32
    total = np.zeros(command.result_shape, np.int64 if whole else np.float32)
    for row, column in np.ndindex(*command.kernel):
        total += views[:, :, row, column]
    if not whole:
        write_words(memory, plain(command.result), flush(flush(total) * np.float32(command.factor.value)))
        return
    multiplier = integer_factor(command.kernel.h * command.kernel.w)[0]
    made = saturated(shifted(total * multiplier, command.right_shift), Precision.INT8, command.relu)
    write_words(memory, plain(command.result), made)


def integer_factor(count: int) -> tuple[int, int]:
    """The chip's multiplier for means of so many int8, and the right shift that makes it the mean.

    2 ** shift / count, rounded half up, with the shift that puts it into 128 to 255; then both are halved
    while the multiplier is even.

    Raises:
        ChipFault: if the window is larger than the chip's table.

    >>> integer_factor(9)
    (57, 9)
    """
    if not 1 <= count <= _LARGEST_WINDOW:
        raise ChipFault(
            "geometry", f"a mean of {count} int8", hint=f"at most {_LARGEST_WINDOW}; use a convolution"
        )
    shift = 0
    while (2 ** (shift + 1) + count) // (2 * count) < 128:
        shift += 1
    factor = (2 ** (shift + 1) + count) // (2 * count)
    while factor % 2 == 0:
        factor, shift = factor // 2, shift - 1
    return factor, shift

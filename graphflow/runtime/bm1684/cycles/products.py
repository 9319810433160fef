"""Cycles of convolutions, pools and products of matrices: pure functions of sizes, for plans and commands.

They are the estimates that the vendor's code generator keeps beside each command that it writes; the tests
replay its answers. Throughout, with the lane of the result in `lane`,

    groups = ceil((lane + c) / 64)      the 64 lanes work side by side, one channel each
    places = ceil(h * w / 16)           16 elements of a channel at a time
"""

from __future__ import annotations

from graphflow.errors import AttributeValueError
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.isa import Operation, Precision

TIU_HERTZ = 550_000_000
"""Clock of the tensor unit."""

FLOAT32_MACS = LANES * 32
INT8_MACS = LANES * 256
"""Multiply-adds per cycle at most, of plain convolutions: 16 places, and 2 input channels (fp32) or 4 of 4
items of the batch (int8)."""

_PLACES = 16
FOURS = 4
"""Items of the batch that int8 works on at a time, and input channels that lie side by side."""

_WIDE = 64
"""Elements of a channel at a time, where int8 is by channel or a product."""

DIVIDE = 30
"""Cycles of a division of what takes 1 otherwise."""

# By how much an int8 convolution is slower that has few input channels, as loading its input takes longer
# than computing: rows by ceil(channels / 4), 1 to 16, columns by the step, 1 to 10.
_STARVED = (
    (6.82, 7.89, 9.56, 9.94, 11.27, 12.04, 7.31, 13.78, 14.18, 15.62),
    (3.91, 4.43, 5.26, 5.43, 6.07, 6.51, 5.11, 7.36, 7.56, 8.30),
    (1.55, 3.29, 3.84, 3.95, 4.38, 4.67, 3.98, 5.24, 5.37, 5.84),
    (1.30, 1.35, 3.12, 3.21, 3.53, 3.75, 3.40, 4.18, 4.28, 4.63),
    (1.15, 1.20, 1.34, 2.77, 3.02, 3.20, 3.04, 3.54, 3.62, 3.90),
    (1.05, 1.09, 1.21, 1.24, 1.23, 2.83, 2.74, 3.11, 3.18, 3.42),
    (1.00, 1.03, 1.12, 1.14, 1.15, 1.28, 2.50, 2.81, 2.87, 3.07),
    (1.00, 1.00, 1.05, 1.07, 1.09, 1.19, 1.22, 2.59, 2.64, 2.81),
    (1.00, 1.00, 1.01, 1.02, 1.04, 1.13, 1.16, 1.22, 2.42, 2.61),
    (1.00, 1.00, 1.00, 1.00, 1.01, 1.07, 1.10, 1.15, 1.19, 2.45),
    (1.00, 1.00, 1.00, 1.00, 1.00, 1.03, 1.05, 1.10, 1.13, 2.24),
    (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.02, 1.05, 1.09, 1.14),
    (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.02, 1.05, 1.09),
    (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.01, 1.06),
    (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.02),
    (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00),
)


def parts(value: int, unit: int) -> int:
    """value / unit, rounded up."""
    return -(-value // unit)


def groups(c: int, lane: int = 0) -> int:
    """Channels that one lane works on after another, of `c` that begin in a lane.

    >>> groups(64), groups(64, lane=1), groups(197)
    (1, 2, 4)
    """
    return parts(lane + c, LANES)


def rounds(n: int, c: int, h: int, w: int, lane: int = 0) -> int:
    """How often the 64 lanes work on 16 places each."""
    return n * groups(c, lane) * parts(h * w, _PLACES)


def _is_float(precision: Precision) -> bool:
    return precision is Precision.FLOAT32


# Convolutions


def conv_cycles(
    n: int,
    oc: int,
    oh: int,
    ow: int,
    ic: int,
    kh: int,
    kw: int,
    bias: bool = False,
    *,
    step: tuple[int, int] = (1, 1),
    precision: Precision = Precision.FLOAT32,
    lane: int = 0,
) -> int:
    """Cycles of a Convolution.

    fp32: n * groups(oc) * places * (kh * kw * ceil(ic / 2) * slow + (2 if bias) + 3), where `slow` is 2.5 for
    3 input channels, and (step of w + 1) / min(ic, 64) besides, where that step is at least min(ic, 64).
    Integers: ceil(n / 4) * groups(oc) * places * (kh * kw * ceil(ic / 4) * slow + (2 if bias) + 8), where
    `slow` is from a table by ceil(ic / 4) and the smaller step.

    Arguments:
        n, oc, oh, ow: sizes of the result.
        ic: input channels.
        kh, kw: sizes of the kernel.
        bias: whether a bias is added.
        step: steps of the kernel over h and w.
        precision: of the input; the batch of integers lies in fours.
        lane: in which the result begins.

    A head of attention over 197 tokens, its two products as convolutions of 1 x 1:

    >>> conv_cycles(1, 197, 1, 197, 64, 1, 1) + conv_cycles(1, 197, 1, 64, 197, 1, 1)
    3452
    """
    once = rounds(1, oc, oh, ow, lane)
    added = 2 * bool(bias)
    if not _is_float(precision):
        units = parts(ic, FOURS)
        slow = _STARVED[min(units, len(_STARVED)) - 1][min(*step, len(_STARVED[0])) - 1]
        return int(parts(n, FOURS) * once * (kh * kw * units * slow + added + 8))
    held = max(min(ic, LANES), 1)
    slow = (step[1] + 1) / held if held <= step[1] else 1.0
    slow *= 2.5 if ic == 3 else 1.0
    return int(n * once * (kh * kw * parts(ic, 2) * slow + added + 3))


def winograd_cycles(
    n: int,
    oc: int,
    oh: int,
    ow: int,
    ic: int,
    bias: bool = False,
    *,
    precision: Precision = Precision.FLOAT32,
    lane: int = 0,
) -> int:
    """Cycles of a WinogradConvolution of 3 x 3 by steps of 1.

    fp32: n * groups(oc) * ceil(oh / 2) * ceil(ow / 2) * (ic + (13 with a bias, else 6)) / 2. Integers:
    ceil(n / 4) * groups(oc) * ceil(oh / 2) * ceil(ow / 2) * (ceil(ic / 4) + (4 if ic is 3) + (10 with a bias,
    else 11)).

    Arguments:
        n, oc, oh, ow, ic, bias, precision, lane: as of `conv_cycles`.

    >>> conv_cycles(1, 64, 56, 56, 64, 3, 3), winograd_cycles(1, 64, 56, 56, 64)
    (57036, 27440)
    """
    tiles = groups(oc, lane) * parts(oh, 2) * parts(ow, 2)
    if _is_float(precision):
        return n * tiles * (ic + (13 if bias else 6)) // 2
    return parts(n, FOURS) * tiles * (parts(ic, FOURS) + 4 * (ic == 3) + 11 - bool(bias))


def _windowed(
    size: tuple[int, int, int, int],
    kernel: tuple[int, int],
    step_w: int,
    more: tuple[int, int],
    precision: Precision,
    lane: int,
) -> int:
    """Cycles of what moves a window over each channel by itself; `more` a round, of fp32 and integers."""
    n, c, h, w = size
    window = kernel[0] * kernel[1] * (step_w + 1)
    if _is_float(precision):
        return rounds(n, c, h, w, lane) * (window - kernel[0] + more[0])
    return n * groups(c, lane) * parts(h * w, _WIDE) * (window - 1 + more[1])


def depthwise_cycles(
    n: int,
    c: int,
    oh: int,
    ow: int,
    kh: int,
    kw: int,
    *,
    step_w: int = 1,
    precision: Precision = Precision.FLOAT32,
    lane: int = 0,
) -> int:
    """Cycles of a DepthwiseConvolution, with a bias or without.

    fp32: n * groups(c) * places * (kh * kw * (step_w + 1) - kh + 5). Integers: n * groups(c) *
    ceil(oh * ow / 64) * (kh * kw * (step_w + 1) + 1).

    Arguments:
        n, c, oh, ow: sizes of the result.
        kh, kw: sizes of the kernel.
        step_w: the step of the kernel over w.
        precision, lane: as of `conv_cycles`.

    >>> depthwise_cycles(1, 64, 28, 28, 3, 3)
    980
    """
    return _windowed((n, c, oh, ow), (kh, kw), step_w, (5, 2), precision, lane)


def pool_cycles(
    kind: str,
    n: int,
    c: int,
    oh: int,
    ow: int,
    kh: int,
    kw: int,
    *,
    step_w: int = 1,
    precision: Precision = Precision.FLOAT32,
    lane: int = 0,
) -> int:
    """Cycles of a pool: "maximum" as `depthwise_cycles`, "average" 5 (integers: 2) a round less.

    Arguments:
        kind: "maximum" or "average".
        n, c, oh, ow, kh, kw, step_w, precision, lane: as of `depthwise_cycles`.

    Raises:
        AttributeValueError: if there is no such kind.

    >>> pool_cycles("average", 1, 2048, 1, 1, 7, 7)
    2912
    """
    more = {"maximum": (5, 2), "average": (0, 0)}.get(kind)
    if more is None:
        raise AttributeValueError(f"there is no pool {kind!r}", hint="one of maximum, average")
    return _windowed((n, c, oh, ow), (kh, kw), step_w, more, precision, lane)


# Products of matrices


def matmul_cycles(
    rows: int,
    inner: int,
    slices: int,
    width: int,
    bias: bool = False,
    accumulate: bool = False,
    *,
    precision: Precision = Precision.FLOAT32,
    lane: int = 0,
) -> int:
    """Cycles of a MatrixMultiply of rows x inner by inner x (slices * width).

    rows * groups(slices) * ceil(width / 16) * (inner + 6 + (2 if bias) + (2 if accumulate)); integers:
    ceil(width / 64), and 5 for 6.

    Arguments:
        rows, inner: sizes of the left matrix.
        slices, width: the columns of the result lie in so many channels of so many elements.
        bias, accumulate: whether a bias, and the old result, are added.
        precision, lane: as of `conv_cycles`.

    The head of `conv_cycles` by the command that is made for it:

    >>> matmul_cycles(197, 64, 13, 16) + matmul_cycles(197, 197, 4, 16)
    53781
    """
    several, more = (_PLACES, 6) if _is_float(precision) else (_WIDE, 5)
    a_round = inner + more + 2 * bool(bias) + 2 * bool(accumulate)
    return rows * groups(slices, lane) * parts(width, several) * a_round


def outer_cycles(operation: Operation, rows: int, slices: int, width: int, *, lane: int = 0) -> int:
    """Cycles of an OuterCombine with a result of rows x (slices * width): 1 a round, 30 for a division.

    Arguments:
        operation: what combines the vectors.
        rows, slices, width, lane: as of `matmul_cycles`.

    >>> outer_cycles(Operation.ADD, 8, 4, 32)
    16
    """
    return rounds(rows, slices, 1, width, lane) * (DIVIDE if operation is Operation.DIVIDE else 1)

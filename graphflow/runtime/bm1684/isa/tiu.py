"""The kinds of commands of the tensor unit (TIU), with what each computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from graphflow.runtime.bm1684.isa.command import TiuCommand, kind
from graphflow.runtime.bm1684.isa.parts import (
    BiasCodec,
    Choice,
    Codec,
    Constant,
    Flag,
    FourthCodec,
    Operand,
    OperandCodec,
    Operation,
    Pads,
    ResultCodec,
    Shape,
    Tuple,
    Window,
)

_RESULT_SHAPE = Tuple(Shape, "result_n", "result_c", "result_h", "result_w")
_INPUT_SHAPE = Tuple(Shape, "size0_n", "size0_c", "size0_h", "size0_w")
_KERNEL = Tuple(Window, "size1_h", "size1_w")
_STEP = Tuple(Window, "step_h", "step_w")
_DILATION = Tuple(Window, "dilation_h", "dilation_w", less=1)
_INSERT = Tuple(Window, "insert_h", "insert_w")
_PADS = Tuple(Pads, "pad_top", "pad_bottom", "pad_left", "pad_right")
_OPERATION = Choice("operation", Operation)
_ONE, _NO_ZEROS, _NO_PADS, _UNIT = Window(), Window(0, 0), Pads(), Constant.of(1.0)
"""Codecs and defaults that several kinds share."""


@dataclass(frozen=True, kw_only=True)
class _Windowed(TiuCommand):
    """What convolutions and pooling share: a window that moves over h and w of the padded input."""

    result: Annotated[Operand, ResultCodec()]
    input: Annotated[Operand, OperandCodec(0)]
    result_shape: Annotated[Shape, _RESULT_SHAPE]
    input_shape: Annotated[Shape, _INPUT_SHAPE]
    pads: Annotated[Pads, _PADS] = _NO_PADS
    relu: Annotated[bool, Flag("relu")] = True


@dataclass(frozen=True, kw_only=True)
class _Weighted(_Windowed):
    """What convolutions share: weights, and maybe a bias."""

    weights: Annotated[Operand | Constant, OperandCodec(1)]
    bias: Annotated[Operand | Constant | None, BiasCodec()] = None
    right_shift: Annotated[int, Codec("right_shift")] = 0


@dataclass(frozen=True, kw_only=True)
class _Dilated(_Weighted):
    """What convolutions share that move a kernel of any size in any step."""

    kernel: Annotated[Window, _KERNEL] = _ONE
    step: Annotated[Window, _STEP] = _ONE
    dilation: Annotated[Window, _DILATION] = _ONE
    insert: Annotated[Window, _INSERT] = _NO_ZEROS
    rotate_kernel: Annotated[bool, Flag("rotate_kernel")] = False


@dataclass(frozen=True, kw_only=True)
class _Elementwise(TiuCommand):
    """What kinds share whose result has the shape of their operands."""

    result: Annotated[Operand, ResultCodec()]
    shape: Annotated[Shape, _RESULT_SHAPE]


@kind(task=0, operation=0, winograd=0)
class Convolution(_Dilated):
    """result[n, o] = sum over i, kernel of input[n, i] * weights[o, i] (+ bias[o]) (+ old result).

    The input is padded, and zeros are inserted between its rows and columns, before the kernel moves over
    it. Integer results are shifted right, rounding half up, and saturate; they cannot be accumulated.
    """

    accumulate: Annotated[bool, Flag("accumulate")] = False


@kind(task=0, operation=0, winograd=1, usual={"stride_code1": 1, "size1_h": 4, "size1_w": 4})
class WinogradConvolution(_Weighted):
    """A convolution of 3 x 3 by steps of 1 as Winograd F(2, 3): the weights are 4 x 4, G w transpose(G)."""

    accumulate: Annotated[bool, Flag("accumulate")] = False


@kind(task=1, operation=1, constant1=0)
class DepthwiseConvolution(_Dilated):
    """result[n, c] = sum over the kernel of input[n, c] * weights[c] (+ bias[c])."""


@kind(task=1, operation=1, constant1=1)
class AveragePool(_Windowed):
    """result[n, c] = factor * sum over the window of input[n, c], padding included.

    For integers the factor is not read: the chip has one for each number of elements, and a right shift.
    """

    factor: Annotated[Constant, OperandCodec(1)]
    kernel: Annotated[Window, _KERNEL] = _ONE
    step: Annotated[Window, _STEP] = _ONE
    right_shift: Annotated[int, Codec("right_shift")] = 0


@kind(task=1, operation=4, usual={"operand_count": 1})
class MaximumPool(_Windowed):
    """result[n, c] = the maximum over the window of input[n, c]; padding does not take part."""

    kernel: Annotated[Window, _KERNEL] = _ONE
    step: Annotated[Window, _STEP] = _ONE
    relu: Annotated[bool, Flag("relu")] = False


@kind(task=2, operation=0)
class MatrixMultiply(TiuCommand):
    """result = left @ right (+ bias) (+ old result); the columns of a matrix lie in slices over c and w."""

    result: Annotated[Operand, ResultCodec()]
    left: Annotated[Operand, OperandCodec(0)]
    right: Annotated[Operand, OperandCodec(1)]
    bias: Annotated[Operand | Constant | None, BiasCodec()] = None
    result_shape: Annotated[Shape, _RESULT_SHAPE]
    left_shape: Annotated[Shape, _INPUT_SHAPE]
    left_last_width: Annotated[int, Codec("size1_w")]
    left_transposed: Annotated[bool, Flag("left_transposed")] = False
    accumulate: Annotated[bool, Flag("accumulate")] = False
    accumulate_signed: Annotated[bool, Flag("accumulate_signed")] = True
    relu: Annotated[bool, Flag("relu")] = False
    left_shift: Annotated[int, Codec("left_shift")] = 0
    right_shift: Annotated[int, Codec("right_shift")] = 0


@kind(task=3, operation=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12), usual={"arithmetic_shift": 0})
class Arithmetic(_Elementwise):
    """result = left operation right, element by element; multiply-accumulate adds to the old result.

    Strides of 0 broadcast. Integer results are shifted right, rounding half up, and saturate. A shift goes
    left by positive amounts and right by negative ones.
    """

    operation: Annotated[Operation, _OPERATION]
    left: Annotated[Operand | Constant, OperandCodec(0)]
    right: Annotated[Operand | Constant, OperandCodec(1)]
    accumulate_signed: Annotated[bool, Flag("accumulate_signed")] = True
    arithmetic_shift: Annotated[bool, Flag("arithmetic_shift")] = False
    left_shift: Annotated[int, Codec("left_shift")] = 0
    right_shift: Annotated[int, Codec("right_shift")] = 0


@kind(task=3, operation=19, usual={"arithmetic_shift": 0, "operand_count": 1})
class Copy(_Elementwise):
    """result = source, element by element, between any two strided layouts."""

    source: Annotated[Operand | Constant, OperandCodec(0)]


@kind(task=3, operation=(10, 11), usual={"arithmetic_shift": 0, "operand_count": 3})
class Choose(_Elementwise):
    """result = value where left > right (or left == right), elsewhere 0; the value is a constant."""

    operation: Annotated[Operation, _OPERATION]
    left: Annotated[Operand | Constant, OperandCodec(0)]
    right: Annotated[Operand | Constant, OperandCodec(1)]
    value: Annotated[Constant, OperandCodec(2)]


@kind(task=6)
class TableLookup(_Elementwise):
    """result = L2[table + 4 * index]: 32-bit words; the index is the low byte of an integer."""

    index: Annotated[Operand, OperandCodec(0)]
    table: Annotated[int, Codec("address1")]
    blocks: Annotated[int, Codec("size1_h")]


@kind(task=8, operation=(0, 2, 3, 12))
class ScalarArithmetic(_Elementwise):
    """result = left operation right (+ old result) on aligned tensors of fp32, or constants."""

    operation: Annotated[Operation, _OPERATION]
    left: Annotated[Operand | Constant, OperandCodec(0)]
    right: Annotated[Operand | Constant, OperandCodec(1)]
    accumulate: Annotated[bool, Flag("accumulate")] = False


@kind(task=9, operation=(14, 15, 16, 17), usual={"operand_count": 1})
class SpecialFunction(_Elementwise):
    """result = f(source): 1/sqrt(x), x to an integer, the nearest power of two, or its exponent."""

    operation: Annotated[Operation, _OPERATION]
    source: Annotated[Operand, OperandCodec(0)]


@kind(task=9, operation=13)
class Series(_Elementwise):
    """result = sum over i < terms of coefficients[i] * source ** (i + 1); the coefficients lie in L2."""

    source: Annotated[Operand, OperandCodec(0)]
    table: Annotated[int, Codec("address1")]
    terms: Annotated[int, Codec("size1_n")]


@kind(task=10, operation=(1, 20, 21), usual={"operand_count": 3})
class Linear(_Elementwise):
    """result = source * scale + bias, (source + bias)^2 or (source - bias)^2, scale and bias by channel."""

    operation: Annotated[Operation, _OPERATION]
    source: Annotated[Operand, OperandCodec(0)]
    bias: Annotated[Operand | Constant, OperandCodec(1)]
    scale: Annotated[Operand | Constant, OperandCodec(2)] = _UNIT


@kind(task=13, operation=(22, 23, 24), usual={"operand_count": 3})
class Compare(TiuCommand):
    """larger = max(left, right), and chosen = left > right ? if_greater : otherwise."""

    operation: Annotated[Operation, _OPERATION]
    larger: Annotated[Operand, ResultCodec()]
    chosen: Annotated[int, Codec("result1_address")] = 0
    left: Annotated[Operand | Constant, OperandCodec(0)]
    right: Annotated[Operand | Constant, OperandCodec(1)]
    if_greater: Annotated[Operand | Constant, OperandCodec(2)]
    otherwise: Annotated[Operand | Constant, FourthCodec()]
    shape: Annotated[Shape, _RESULT_SHAPE]


@kind(task=14, operation=(0, 2, 3, 4, 5))
class OuterCombine(TiuCommand):
    """result[i, j] = left[i] operation right[j], vectors that lie as the rows of a matrix product do."""

    operation: Annotated[Operation, _OPERATION]
    result: Annotated[Operand, ResultCodec()]
    left: Annotated[Operand, OperandCodec(0)]
    right: Annotated[Operand, OperandCodec(1)]
    result_shape: Annotated[Shape, _RESULT_SHAPE]
    left_shape: Annotated[Shape, _INPUT_SHAPE]
    left_last_width: Annotated[int, Codec("size1_w")]

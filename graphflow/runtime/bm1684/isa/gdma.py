"""The kinds of commands of the data mover (GDMA), with what each does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from graphflow.runtime.bm1684.isa.command import GdmaCommand, kind
from graphflow.runtime.bm1684.isa.parts import (
    Choice,
    Codec,
    Direction,
    Flag,
    Format,
    Shape,
    Tuple,
    Wide,
)

_DIRECTION = Choice("direction", Direction)
_SOURCE = Wide("source_low", "source_high")
_DESTINATION = Wide("destination_low", "destination_high")
_SOURCE_FORMAT = Choice("source_format", Format)
_DESTINATION_FORMAT = Choice("destination_format", Format)
_SOURCE_SHAPE = Tuple(Shape, *[f"source_{axis}" for axis in "nchw"])
_DESTINATION_SHAPE = Tuple(Shape, *[f"destination_{axis}" for axis in "nchw"])
_SOURCE_STRIDES = Tuple(Shape, *[f"source_stride_{axis}" for axis in "nchw"])
_DESTINATION_STRIDES = Tuple(Shape, *[f"destination_stride_{axis}" for axis in "nchw"])
_UNUSED = Shape(0, 0, 0, 0)
"""Codecs that several kinds share, and the strides of an automatic layout."""


@dataclass(frozen=True, kw_only=True)
class _Writing(GdmaCommand):
    """What all kinds have: a destination, and the formats."""

    direction: Annotated[Direction, _DIRECTION]
    destination: Annotated[int, _DESTINATION]
    source_format: Annotated[Format, _SOURCE_FORMAT] = Format.FLOAT32
    destination_format: Annotated[Format, _DESTINATION_FORMAT] = Format.FLOAT32


@dataclass(frozen=True, kw_only=True)
class _Moving(_Writing):
    """What kinds have that move a tensor or matrix.

    Strides count elements of the format of their side; without `explicit_strides` the system side is
    compact and the local side aligned.
    """

    source: Annotated[int, _SOURCE]
    source_shape: Annotated[Shape, _SOURCE_SHAPE]
    destination_shape: Annotated[Shape, _DESTINATION_SHAPE]
    explicit_strides: Annotated[bool, Flag("explicit_strides")] = False
    source_strides: Annotated[Shape, _SOURCE_STRIDES] = _UNUSED
    destination_strides: Annotated[Shape, _DESTINATION_STRIDES] = _UNUSED


@kind(linear=1, function=0)
class LinearCopy(_Writing):
    """Copies `length` elements in one run, between places in DDR and L2."""

    direction: Annotated[Direction, _DIRECTION] = Direction.SYSTEM
    source: Annotated[int, _SOURCE]
    length: Annotated[int, Codec("source_stride_n")]


@kind(linear=0, matrix=1, function=(0, 1))
class MatrixTransfer(_Moving):
    """Moves a matrix of the system from or to local memory, where its columns lie in slices over c and w.

    With `transposed` the rows of the system side are the columns of the local side.
    """

    transposed: Annotated[bool, Flag("function")] = False


@kind(linear=0, matrix=0, function=4)
class Fill(_Writing):
    """Writes one value to every element of the destination."""

    direction: Annotated[Direction, _DIRECTION] = Direction.LOCAL
    destination_shape: Annotated[Shape, _DESTINATION_SHAPE]
    explicit_strides: Annotated[bool, Flag("explicit_strides")] = False
    destination_strides: Annotated[Shape, _DESTINATION_STRIDES] = _UNUSED
    value: Annotated[int, Codec("fill_value")]


@kind(linear=0, matrix=0, function=0)
class TensorTransfer(_Moving):
    """Moves a tensor, element after element in the order n, c, h, w; `accumulate` adds to the destination."""

    accumulate: Annotated[bool, Flag("accumulate")] = False


@kind(linear=0, matrix=0, function=3)
class ConvertTransfer(_Moving):
    """Moves a tensor and converts its elements: fp32 to int8 rounds to nearest even and saturates."""


@kind(linear=0, matrix=0, function=(1, 5))
class TransposeTransfer(_Moving):
    """Moves a tensor and exchanges two axes: n and c (function 1), or c and w within local memory (5)."""

    function: Annotated[int, Codec("function")] = 1

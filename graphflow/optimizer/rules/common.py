"""What rules of several families share: variables, and making a tensor fit the place it takes."""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType, promote
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import Shape
from graphflow.optimizer.pattern import Match, Variable, variables

X, Y, Z, CONDITION = variables("X Y Z CONDITION")
AXIS, AXES, SHAPE, KEEPDIMS = variables("AXIS AXES SHAPE KEEPDIMS")

REAL = Variable("X", kinds="bool int uint float")
INTEGER = Variable("X", kinds="int uint")
FLOAT = Variable("X", kinds="float")
FIRST, SECOND = variables("FIRST SECOND", constant=True)


def fitted(match: Match, b: Builder, tensor: Tensor) -> Tensor:
    """The tensor, broadcast to the shape of the node it is to replace."""
    if tensor.type is match.output.type:
        return tensor
    made: Tensor = b.broadcast_to(tensor, shape=match.output.shape)
    return made


def reduced_before_move(match: Match, b: Builder) -> Tensor | None:
    """reduce(permute(x), axes) = permute(reduce(x, axes')), for a root that reduces a permuted tensor."""
    node = match.root
    inner, axes = node.inputs[0].node, node.attrs["axis"]
    moved = inner.attrs["axes"]
    inside = tuple(sorted([moved[axis] for axis in axes]))
    made = b.apply(node.op, [inner.inputs[0]], {**node.attrs, "axis": inside})
    keeps = node.attrs["keepdims"]
    left = [moved[axis] for axis in range(len(moved)) if keeps or axis not in axes]
    order = sorted(left)
    if left != order:
        made = b.permute_dims(made, axes=tuple([order.index(axis) for axis in left]))
    return in_place_of(match, made)


def stays_in_place(reduction: Node) -> bool:
    """Whether what a reduction gives, aligned at the end, stands where its operand's elements did."""
    axes = tuple(reduction.attrs["axis"])
    return bool(reduction.attrs["keepdims"]) or axes == tuple(range(len(axes)))


KEEPING = ("sum", "mean", "max", "min", "prod", "all", "any", "logsumexp")
"""Reductions whose axes are a tuple, and whose result may keep them with size 1."""


def reduced_as(reduction: Node, shape: Shape) -> bool:
    """Whether a shape is what a reduction would give if it kept the axes that it drops, or the opposite."""
    attrs = reduction.attrs
    if reduction.op.name not in KEEPING or not attrs["axis"]:
        return False
    sizes = enumerate(reduction.inputs[0].shape)
    if attrs["keepdims"]:
        return shape == tuple([size for axis, size in sizes if axis not in attrs["axis"]])
    return shape == tuple([1 if axis in attrs["axis"] else size for axis, size in sizes])


def filled(match: Match, b: Builder, value: float | bool) -> Tensor:
    """A tensor of the root's type all of whose elements are `value`."""
    return b.full_like(value, match.output)


SMALL_BYTES = 1 << 16
"""Rules compute with constants up to this size, so that a firing stays cheap."""


def small_constant(tensor: Tensor) -> np.ndarray | None:
    """The array of a constant that is small enough to compute with in a rule, else None."""
    node = tensor.node
    if node.op.name != "constant":
        return None
    array: np.ndarray = node.attrs["value"]
    return array if array.nbytes <= SMALL_BYTES else None


def is_constant(tensor: Tensor) -> bool:
    """Whether a tensor is a constant, broadcast or not."""
    node = tensor.node
    if node.op.name == "broadcast_to":
        node = node.inputs[0].node
    return node.op.name == "constant"


def is_line(tensor: Tensor) -> bool:
    """Whether at most one axis has more than one element, so that any order of axes is a reshape."""
    return sum([size != 1 for size in tensor.shape]) <= 1


def in_place_of(match: Match, tensor: Tensor) -> Tensor | None:
    """The tensor if it has the type of the root; None where symbolic sizes came out under other names."""
    return tensor if tensor.type is match.output.type else None


def is_lossless(source: DType, target: DType) -> bool:
    """Whether every value of one dtype has an equal one in the other.

    >>> from graphflow.ir.dtypes import float32, float64, int32, int64
    >>> is_lossless(int32, float64), is_lossless(int64, float64), is_lossless(float64, float32)
    (True, False, False)
    """
    if source.is_storage or target.is_storage or promote(source, target) is not target:
        return source is target
    # The lattice sends 64-bit integers to float64, as NumPy does, although that has 53 bits only.
    return not (source.is_integer and source.itemsize == 8 and target.is_differentiable)


def passes_through(source: DType, between: DType, target: DType) -> bool:
    """Whether astype(astype(x, between), target) = astype(x, target) for every x of dtype `source`.

    >>> from graphflow.ir.dtypes import float32, int8, int16, int32
    >>> passes_through(int8, float32, int16), passes_through(int32, int32, int8)
    (True, True)
    >>> passes_through(int16, float32, int8)  # 300.0 becomes 127, and 300 wraps around
    False
    """
    if not is_lossless(source, between):
        return False
    if target.is_differentiable:
        return True
    if source.is_differentiable:
        return False  # out of an integer's range, floats of each width convert as the hardware likes
    if target.kind == "string":
        return source.kind == between.kind  # True is written "True", and 1 "1"
    return not between.is_differentiable or target.kind == "bool" or is_lossless(source, target)


def is_held(dtype: DType, number: int) -> bool:
    """Whether a float dtype has a number to the digit: float16 has 2048, not 2049, and ends at 65504.

    >>> from graphflow.ir.dtypes import float16, float32
    >>> is_held(float16, 2048), is_held(float16, 100000), is_held(float32, 100000)
    (True, False, True)
    """
    with np.errstate(all="ignore"):
        return float(dtype.numpy.type(number)) == number

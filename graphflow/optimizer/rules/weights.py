"""What rules that fold into weights share: which tensors are weights, and how a channel's factor meets them.

Three operators are products of data with weights: conv, conv_input_gradient (the transposed convolution)
and matmul. Each is linear in its weights, so a factor for each channel of the result, or of the data, may
as well multiply the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import elements, type_bytes
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.preparation import is_steady
from graphflow.optimizer.rule import Decline, decline

PRODUCTS = ("conv", "conv_input_gradient", "matmul")

_SHARED_BYTES = 4096  # a second copy of weights up to this size is no matter

_KEEPS_WEIGHTS = frozenset((
    "reshape", "permute_dims", "broadcast_to", "expand_dims", "squeeze", "slice", "concat", "astype",
    "add", "subtract", "multiply", "divide", "negative", "sqrt", "rsqrt", "square", "reciprocal",
))  # fmt: skip

_DEEPEST = 24  # nodes looked at to tell whether a tensor is made of weights alone


def is_weight(tensor: Tensor) -> bool:
    """Whether a tensor is a constant, a variable, or made of such by a few cheap operations."""
    pending, looked = [tensor.node], 0
    while pending:
        node, looked = pending.pop(), looked + 1
        name = node.op.name
        if name in ("constant", "variable"):
            continue
        if name not in _KEEPS_WEIGHTS or looked > _DEEPEST:
            return False
        pending += [one.node for one in node.inputs]
    return True


def is_constant(*tensors: Tensor) -> bool:
    """Whether all tensors are constants."""
    return all([tensor.node.op.name == "constant" for tensor in tensors])


def array_of(tensor: Tensor) -> np.ndarray:
    """The value of a constant."""
    value: np.ndarray = tensor.node.attrs["value"]
    return value


def result_axis(node: Node) -> int:
    """The axis of a product's result that holds the channels."""
    return node.output.ndim - 1 if node.op.name == "matmul" else 1


def data_axis(node: Node) -> int:
    """The axis of a product's data that holds the channels."""
    return node.inputs[0].ndim - 1 if node.op.name == "matmul" else 1


def varies_along(tensor: Tensor, axis: int, rank: int) -> bool:
    """Whether a tensor, broadcast to that rank, has equal values along all other axes."""
    lead = rank - tensor.ndim
    return lead >= 0 and all([size == 1 or place + lead == axis for place, size in enumerate(tensor.shape)])


def foldable(m: Match, node: Node, scaled: Tensor, *parameters: Tensor) -> Decline | bool:
    """Whether parameters can be folded into the weights of a product, or why it would not pay.

    Arguments:
        scaled: what need not be scaled any more.
    """
    data, weight = node.inputs
    static = all([isinstance(size, int) for size in weight.shape])
    if not static or (node.op.name == "matmul" and weight.ndim != 2):
        return False
    if data.dtype.kind != "float" or not is_weight(weight) or not all(map(is_weight, parameters)):
        return False
    if data.dtype.itemsize < 4:
        return decline(f"weights of {data.dtype} would be rounded a second time")
    if is_constant(weight, *parameters):
        size = type_bytes(weight.type)
        if m.rewriter.use_count(weight) == 1 or size <= _SHARED_BYTES:
            return True
        return decline(
            f"{weight.node.name} has other users, so a second copy of its {size} bytes would be kept"
        )
    if all(map(is_steady, (weight, *parameters))) and m.rewriter.use_count(weight) == 1:
        return True  # done once for many runs
    work, spared = elements(weight.shape), elements(scaled.shape)
    if work <= spared:
        return True
    return decline(
        f"{weight.node.name} is no constant: to scale its {work} elements at every run takes more than the "
        f"{spared} of {scaled.node.name}"
    )


class Folding:
    """Arithmetic on parameters: at once, in float64 and rounded once, if all are constants; else by nodes.

    `f.ops` has the functions of NumPy or the methods of the builder, which share their names, and
    `f(tensor)` is what they take.
    """

    def __init__(self, b: Builder, *tensors: Tensor) -> None:
        self.b = b
        self.constant = is_constant(*tensors)
        self.ops: Any = np if self.constant else b

    def __call__(self, tensor: Tensor, shape: Sequence[Any] | None = None) -> Any:
        """What a tensor is in this arithmetic, under a shape."""
        if self.constant:
            array = array_of(tensor).astype(np.float64)
            return array if shape is None else array.reshape(shape)
        return tensor if shape is None else self.reshaped(tensor, shape)

    def reshaped(self, value: Any, shape: Sequence[Any]) -> Any:
        """A value under another shape."""
        return value.reshape(shape) if self.constant else self.b.reshape(value, shape=tuple(shape))

    def tensor(self, value: Any, like: Tensor) -> Tensor:
        """A value as a tensor of the dtype of another."""
        if not self.constant:
            made: Tensor = value
            return made
        with np.errstate(all="ignore"):
            made = self.b.constant(value=np.asarray(value, dtype=like.dtype.numpy))
        return made


def is_safe(tensor: Tensor, weight: Tensor | None = None, factor: Any = None) -> bool:
    """Whether a folded constant is finite, and 0 only where the weight or the factor it is made of is 0."""
    if tensor.node.op.name != "constant":
        return True
    value = array_of(tensor)
    if not np.isfinite(value).all():
        return False
    if weight is None or value.all():
        return True
    expected = (array_of(weight) == 0) | np.broadcast_to(factor == 0, value.shape)
    return bool((expected | (value != 0)).all())


def vector(f: Folding, tensor: Tensor, count: Size) -> Any:
    """A parameter as one number for each channel, or one for all."""
    return f(tensor, (count,) if elements(tensor.shape) == count and count != 1 else (1,))


def factor_on_weight(f: Folding, node: Node, factor: Any, of_result: bool) -> Any:
    """A vector of factors under a shape in which it broadcasts against the weights.

    Arguments:
        of_result: whether the channels are those of the result, or those of the data.
    """
    weight: Any = node.inputs[1]  # of static sizes
    name = node.op.name
    if prod(factor.shape) == 1:
        return f.reshaped(factor, (1,) * weight.ndim)
    if name == "matmul":
        return f.reshaped(factor, (1, -1) if of_result else (-1, 1))
    if of_result == (name == "conv"):
        return f.reshaped(factor, (weight.shape[0], *[1] * (weight.ndim - 1)))
    groups, inner = node.attrs["groups"], weight.shape[1]
    rest = [1] * (weight.ndim - 2)
    if groups == 1:
        return f.reshaped(factor, (1, inner, *rest))
    outer = weight.shape[0] // groups
    spread = f.reshaped(factor, (groups, 1, inner))
    shape = (groups, outer, inner)
    wide = np.broadcast_to(spread, shape) if f.constant else f.b.broadcast_to(spread, shape=shape)
    return f.reshaped(wide, (weight.shape[0], inner, *rest))


def with_weight(b: Builder, node: Node, data: Tensor, weight: Tensor) -> Tensor:
    """The product with other data and weights."""
    made: Tensor = getattr(b, node.op.name)(data, weight, **node.attrs)
    return made


def beside_channels(f: Folding, node: Node, value: Any) -> Any:
    """A vector under a shape in which it broadcasts against the product's result."""
    behind = node.output.ndim - 1 - result_axis(node)
    return f.reshaped(value, (prod(value.shape), *[1] * behind))

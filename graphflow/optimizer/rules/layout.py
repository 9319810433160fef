"""Rules of layout: convolutions take their channels last, and permutations sink until they cancel.

An image [batch, channels, *spatial] that is really kept as [batch, *spatial, channels] is a *permuted*
tensor: permute_dims(x, image_first). `channels_last` makes such tensors; the other rules hand them on
through what comes next, so that permutations meet and cancel, or end up at the borders of a region.

For one image, convolutions in groups of few channels on many places stay as they are, with the single-channel
ones behind them: with channels first a group is one matrix as it lies in memory, and channels are shuffled in
long pieces. Not so where weights will be cut into panels, which are for channels that come last.

An operator of several images moves if that saves more than it costs: the elements of permuted operands
against those that would have to be permuted for it. Constants are permuted when compiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.node import Node, Tensor
from graphflow.ops.channels_last import image_first, image_last, kernel_first, kernel_last
from graphflow.ops.packed_conv import MOST_AXES
from graphflow.optimizer.analysis.conv_cost import fills_vectors
from graphflow.optimizer.analysis.cost import elements
from graphflow.optimizer.driver import EveryNode
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.preparation import is_steady
from graphflow.optimizer.rule import Answer, Rule, decline
from graphflow.optimizer.rules.common import in_place_of, is_line, reduced_before_move

_REDUCTIONS = ("sum", "mean", "max", "min", "prod", "any", "all")
_ALONG_AXIS = ("batch_normalization", "softmax", "log_softmax")
_BY_AXIS = {
    "pad": ("pads",),
    "slice": ("starts", "stops", "steps"),
    "unslice": ("shape", "starts", "stops", "steps"),
    "broadcast_to": ("shape",),
}
_POOLS = ("max_pool", "avg_pool", "max_pool_gradient", "avg_pool_gradient", "max_pool_select")
_CONVOLUTIONS = {
    "conv": (image_last, kernel_last, image_first),
    "conv_input_gradient": (image_last, kernel_last, image_first),
    "conv_weight_gradient": (image_last, image_last, kernel_first),
}


# Permuted tensors


def source(tensor: Tensor) -> Tensor | None:
    """The image with channels last of which a tensor is the permutation, or None."""
    node = tensor.node
    if node.op.name != "permute_dims" or not 3 <= tensor.ndim <= 5:
        return None
    return node.inputs[0] if node.attrs["axes"] == image_first(tensor.ndim) else None


def permuted(b: Builder, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """The tensor with its axes in another order; constants and what was broadcast at once."""
    node = tensor.node
    if node.op.name == "constant":
        return b.constant(value=np.ascontiguousarray(node.attrs["value"].transpose(axes)))
    shape = tuple([tensor.shape[axis] for axis in axes])
    if node.op.name == "broadcast_to":
        inner = permuted(b, _aligned(b, node.inputs[0], tensor.ndim), axes)
        return b.broadcast_to(inner, shape=shape)
    if is_line(tensor):
        return b.reshape(tensor, shape=shape)
    return b.permute_dims(tensor, axes=tuple(axes))


def _permuted_kernel(b: Builder, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """Kernels with their axes in another order; 1x1 kernels as matrices, which a product transposes."""
    shape = tensor.shape
    moving = [axis for axis in axes if shape[axis] != 1]
    if tensor.node.op.name == "constant" or len(moving) != 2:
        return permuted(b, tensor, axes)
    matrix = b.reshape(tensor, shape=tuple([shape[axis] for axis in sorted(moving)]))
    if moving != sorted(moving):
        matrix = b.permute_dims(matrix, axes=(1, 0))
    made: Tensor = b.reshape(matrix, shape=tuple([shape[axis] for axis in axes]))
    return made


def _aligned(b: Builder, tensor: Tensor, rank: int) -> Tensor:
    """The tensor with axes of size 1 in front, as broadcasting would add them."""
    missing = rank - tensor.ndim
    if not missing:
        return tensor
    shape = (1,) * missing + tuple(tensor.shape)
    if tensor.node.op.name == "constant":
        constant: Tensor = b.constant(value=tensor.node.attrs["value"].reshape(shape))
        return constant
    made: Tensor = b.reshape(tensor, shape=shape)
    return made


def _last(b: Builder, tensor: Tensor, rank: int) -> Tensor:
    """An operand of that rank or less with its channels last."""
    found = source(tensor)
    if found is not None and tensor.ndim == rank:
        return found
    if not tensor.ndim:
        return tensor
    return permuted(b, _aligned(b, tensor, rank), image_last(rank))


def _price(tensor: Tensor) -> int:
    """The elements that have to be permuted to get an operand with its channels last."""
    node = tensor.node
    if node.op.name == "broadcast_to":
        tensor = node.inputs[0]
    if tensor.node.op.name == "constant" or is_line(tensor):
        return 0
    return elements(tensor.shape)


def _worth(node: Node, rank: int) -> bool:
    """Whether the operands that are permuted outweigh those that would have to be."""
    gained = sum([elements(t.shape) for t in node.inputs if t.ndim == rank and source(t) is not None])
    cost = sum([_price(t) for t in node.inputs if t.ndim != rank or source(t) is None])
    # With one spatial axis the permutation is its own inverse: what an operand costs looks like a gain when
    # the node is tried again, so that one as large would go back and forth.
    return gained > cost if rank == 3 else gained >= cost


_UNEVEN = "more elements would have to be permuted for it than are permuted now"


def _back(match: Match, b: Builder, made: Tensor) -> Answer:
    """The result in the order of the root; None where symbolic sizes came out otherwise."""
    return in_place_of(match, b.permute_dims(made, axes=image_first(made.ndim)))


# Rules


class _Mover:
    """The rule that moves channels, for targets whose weights will be cut into panels, or not."""

    def __init__(self, is_packed: bool) -> None:
        self.is_packed = is_packed

    def channels_last(self, match: Match, b: Builder) -> Answer:
        """conv(x, w) = permute(channels_last_conv(permute(x), permute(w))), and its gradients likewise."""
        node = match.root
        if not node.output.dtype.is_floating:
            return decline("a convolution of integers is no faster with channels last")
        if node.op.name == "conv" and any([elements((size,)) == 0 for size in node.inputs[1].shape[2:]]):
            return decline("its kernels have no elements")
        if _is_faster_first(node, self.is_packed):
            return decline("its groups of few channels on many places are quicker with channels first")
        return _with_channels_last(match, b)


def _with_channels_last(match: Match, b: Builder) -> Answer:
    node = match.root
    *orders, back = _CONVOLUTIONS[node.op.name]
    given = []
    for tensor, order in zip(node.inputs, orders):
        rank = tensor.ndim
        is_image = order is image_last
        given.append(_last(b, tensor, rank) if is_image else _permuted_kernel(b, tensor, order(rank)))
    attrs: dict[str, Any] = dict(node.attrs)
    for name, order in (("input_shape", image_last), ("kernel_shape", kernel_last)):
        if name in attrs:
            attrs[name] = tuple([attrs[name][axis] for axis in order(len(attrs[name]))])
    made = getattr(b, f"channels_last_{node.op.name}")(*given, **attrs)
    if back is kernel_first:
        return in_place_of(match, _permuted_kernel(b, made, back(made.ndim)))
    return _back(match, b, made)


_FEW_CHANNELS, _MANY_PLACES = 128, 128
"""Measured on two cores, units of ShuffleNet with channels first: 1.9 times as fast on 784 places with 34
channels a group, 1.2 times on 196 with 68, and 0.8 times on 49 with 136; the whole network with 8 images, of
which each has its own products, 0.8 times."""

_NEAR = 8
"""Nodes between a convolution of single channels and the one whose layout it follows."""

_MOVING = ("reshape", "permute_dims")


def _is_faster_first(node: Node, is_packed: bool) -> bool:
    """Whether a convolution is a product a group, each of few channels, or works on what such a one made."""
    x, w = node.inputs
    groups = node.attrs["groups"]
    if node.op.name != "conv" or groups == 1 or node.output.dtype.itemsize < 4:
        return False
    if groups != x.shape[1] or groups != w.shape[0]:
        return _is_narrow_product(node, is_packed)
    for _ in range(_NEAR):
        maker = x.node
        if maker.op.name == "conv":
            return _is_narrow_product(maker, is_packed)
        if not maker.inputs or not ("elementwise" in maker.op.traits or maker.op.name in _MOVING):
            return False
        x = maker.inputs[0]
    return False


def _is_narrow_product(node: Node, is_packed: bool) -> bool:
    """Whether a convolution of one image is a product for each group, of few channels on many places."""
    x, w = node.inputs
    if not all([isinstance(size, int) for size in (*x.shape, *w.shape)]):
        return False
    if any([size != 1 for size in w.shape[2:]]) or any(map(any, node.attrs["padding"])):
        return False
    if is_packed and _fits_panels(node):
        return False
    return (
        x.shape[0] == 1
        and node.attrs["groups"] > 1
        and 1 < elements(w.shape[1:2]) < _FEW_CHANNELS
        and elements(node.output.shape[2:]) >= _MANY_PLACES
    )


def _fits_panels(node: Node) -> bool:
    """Whether the pass `pack-weights` will cut the weights of a convolution of known sizes."""
    x, w = node.inputs
    is_plain = is_steady(w) and w.dtype.name == "float32" and w.ndim - 2 <= MOST_AXES
    return is_plain and fills_vectors(elements(x.shape[1:2]), elements(w.shape[:1]), node.attrs["groups"])


def layout_of_elementwise(match: Match, b: Builder) -> Answer:
    """f(permute(x), permute(y)) = permute(f(x, y)) for elementwise f."""
    node = match.root
    rank = node.output.ndim
    if not any([t.ndim == rank and source(t) is not None for t in node.inputs]):
        return None
    if not _worth(node, rank):
        return decline(_UNEVEN)
    given = [_last(b, tensor, rank) for tensor in node.inputs]
    return _back(match, b, b.apply(node.op, given, dict(node.attrs)))


def layout_of_quantization(match: Match, b: Builder) -> Answer:
    """quantize(permute(x)) = permute(quantize(x)) with one scale for all, and dequantize likewise."""
    node, x = match.root, source(match.root.inputs[0])
    if x is None or any([one.ndim for one in node.inputs[1:]]):
        return None
    return _back(match, b, b.apply(node.op, [x, *node.inputs[1:]], dict(node.attrs)))


def layout_of_concat(match: Match, b: Builder) -> Answer:
    """concat(permute(x), permute(y)) = permute(concat(x, y)) along the axis that becomes of it."""
    node = match.root
    rank = node.output.ndim
    if not any([source(tensor) is not None for tensor in node.inputs]):
        return None
    if not _worth(node, rank):
        return decline(_UNEVEN)
    axis = image_first(rank)[node.attrs["axis"]]
    return _back(match, b, b.concat([_last(b, tensor, rank) for tensor in node.inputs], axis=axis))


def layout_along_axis(match: Match, b: Builder) -> Answer:
    """f(permute(x), axis) = permute(f(x, axis')) for functions along one axis."""
    node, x = match.root, source(match.root.inputs[0])
    if x is None:
        return None
    attrs = {**node.attrs, "axis": image_first(x.ndim)[node.attrs["axis"]]}
    return _back(match, b, b.apply(node.op, [x, *node.inputs[1:]], attrs))


def layout_by_axis(match: Match, b: Builder) -> Answer:
    """Padding, slicing and broadcasting axis by axis commute with permutations."""
    node, x = match.root, source(match.root.inputs[0])
    if x is None or node.output.ndim != x.ndim:
        return None
    order = image_last(x.ndim)
    attrs = dict(node.attrs)
    for name in _BY_AXIS[node.op.name]:
        attrs[name] = tuple([attrs[name][axis] for axis in order])
    if node.op.name == "slice":
        attrs["axes"] = None
    return _back(match, b, b.apply(node.op, [x], attrs))


def layout_of_reduction(match: Match, b: Builder) -> Answer:
    """reduce(permute(x), axes) = permute(reduce(x, axes')); means over space leave nothing to permute."""
    return None if source(match.root.inputs[0]) is None else reduced_before_move(match, b)


def layout_of_pooling(match: Match, b: Builder) -> Answer:
    """pool(permute(x)) = permute(pool(x)), where the channels are one more spatial axis with windows of 1."""
    node = match.root
    rank = node.output.ndim
    if not any([source(tensor) is not None for tensor in node.inputs]):
        return None
    if rank > 4:
        return decline("pooling over 3 spatial axes has none left for the channels")
    if not _worth(node, rank):
        return decline(_UNEVEN)
    attrs = dict(node.attrs)
    for name in ("window", "strides", "dilation"):
        attrs[name] = (*attrs[name], 1)
    attrs["padding"] = (*attrs["padding"], (0, 0))
    if "input_shape" in attrs:
        attrs["input_shape"] = _between([attrs["input_shape"][axis] for axis in image_last(rank)])
    given = [_last(b, tensor, rank) for tensor in node.inputs]
    made = b.apply(node.op, [b.reshape(x, shape=_between(x.shape)) for x in given], attrs)
    return _back(match, b, b.reshape(made, shape=(made.shape[0], *made.shape[2:])))


def _between(shape: Sequence[Size]) -> tuple[Size, ...]:
    """[batch, *spatial, channels] as [batch, 1, *spatial, channels]."""
    return (shape[0], 1, *shape[1:])


def layout_of_resampling(match: Match, b: Builder) -> Answer:
    """resample(permute(x), axes) = permute(resample(x, axes'))."""
    node, x = match.root, source(match.root.inputs[0])
    if x is None or not set(node.attrs["axes"]).isdisjoint((0, 1)):
        return None
    attrs = dict(node.attrs)
    attrs["axes"] = tuple([axis - 1 for axis in attrs["axes"]])
    if "input_shape" in attrs:
        attrs["input_shape"] = tuple([attrs["input_shape"][axis] for axis in image_last(x.ndim)])
    return _back(match, b, b.apply(node.op, [x], attrs))


def layout_of_groups(match: Match, b: Builder) -> Answer:
    """Reshapes that part channels, or join their parts, commute with permutations."""
    node, moved = match.root, match.root.inputs[0]
    x = source(moved)
    if x is not None:
        batch, *rest = node.output.shape
        spatial, last = x.shape[1:-1], x.ndim - 1
        if batch != x.shape[0] or len(rest) != x.ndim or tuple(rest[2:]) != spatial:
            return None
        parts = b.reshape(x, shape=(batch, *spatial, *rest[:2]))
        return in_place_of(match, b.permute_dims(parts, axes=(0, last, last + 1, *range(1, last))))
    parts = moved.node.inputs[0]
    last = parts.ndim - 2
    orders = {(0, *pair, *range(1, last)): pair for pair in ((last, last + 1), (last + 1, last))}
    pair = orders.get(moved.node.attrs["axes"])
    if last < 2 or pair is None:
        return None
    kept = parts.shape[:-2]
    if node.output.ndim != last + 1 or (node.output.shape[0], *node.output.shape[2:]) != kept:
        return None
    turned = b.permute_dims(parts, axes=(*range(last), *pair))
    return _back(match, b, b.reshape(turned, shape=(*kept, node.output.shape[1])))


def _rule(function: Any, safety: str) -> Rule:
    return Rule(function.__name__, (), function, safety, "sampled", frozenset({"layout"}), function.__doc__)


CHANNELS_LAST = _rule(_Mover(False).channels_last, "rounding")
_CHANNELS_LAST_IN_PANELS = _rule(_Mover(True).channels_last, "rounding")
_ELEMENTWISE = _rule(layout_of_elementwise, "exact")

_SINKING = {
    "concat": _rule(layout_of_concat, "exact"),
    **dict.fromkeys(("quantize_linear", "dequantize_linear"), _rule(layout_of_quantization, "exact")),
    **dict.fromkeys(_ALONG_AXIS, _rule(layout_along_axis, "rounding")),
    **dict.fromkeys(_BY_AXIS, _rule(layout_by_axis, "exact")),
    **dict.fromkeys(_REDUCTIONS, _rule(layout_of_reduction, "rounding")),
    **dict.fromkeys(_POOLS, _rule(layout_of_pooling, "exact")),
    **dict.fromkeys(("resample", "resample_gradient"), _rule(layout_of_resampling, "exact")),
    "reshape": _rule(layout_of_groups, "exact"),
}

RULES: tuple[Rule, ...] = (CHANNELS_LAST, _ELEMENTWISE, *dict.fromkeys(_SINKING.values()))


def everywhere(is_packed: bool = False) -> list[tuple[Rule, EveryNode]]:
    """The rules, each with the nodes that it is tried at.

    Arguments:
        is_packed: whether the pass `pack-weights` follows.
    """
    moving = _CHANNELS_LAST_IN_PANELS if is_packed else CHANNELS_LAST

    def sinks(rule: Rule) -> EveryNode:
        return EveryNode(lambda op, child_ops: _SINKING.get(op.name) is rule and "permute_dims" in child_ops)

    def is_elementwise(op: Any, child_ops: Sequence[str]) -> bool:
        return "permute_dims" in child_ops and "elementwise" in op.traits

    return [
        (moving, EveryNode(lambda op, child_ops: op.name in _CONVOLUTIONS)),
        (_ELEMENTWISE, EveryNode(is_elementwise)),
        *[(rule, sinks(rule)) for rule in dict.fromkeys(_SINKING.values())],
    ]

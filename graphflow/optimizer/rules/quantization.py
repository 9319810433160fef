"""Rules of quantization: numbers that are turned into floats and back, with nothing lost on the way.

quantize(dequantize(q)) is q where scale and zero point are the same and the float has room: (q - z) s / s
is off by two roundings, far less than the half that would change the integer it is rounded to. The other
way round, dequantize(quantize(x)), loses what quantization rounds off, which is what a network trained
for it counts on: no rule touches that.
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match, P, variables
from graphflow.optimizer.rule import Answer, Decline, Rule, decline, rule
from graphflow.optimizer.rules.common import X, Y, Z, in_place_of, small_constant
from graphflow.optimizer.rules.movement import BINARY

SCALE, ZERO_POINT = variables("SCALE ZERO_POINT")

_PRECISION = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
_MOVES = (
    "reshape",
    "permute_dims",
    "slice",
    "broadcast_to",
    "tile",
    "repeat",
    "roll",
    "expand_dims",
    "squeeze",
    "concat",
)


def _obstacle(there: Node, back: Node) -> Decline | None:
    """Why quantizing with `back` does not undo `there`, or None if it does."""
    quantized, scale, zero_point = there.inputs
    if back.inputs[1] is not scale or back.inputs[2] is not zero_point:
        return decline("the two have different scales or zero points")
    if any([there.attrs[what] != back.attrs[what] for what in ("axis", "block_size")]):
        return decline("the two belong to different axes or blocks")
    if quantized.dtype.kind not in ("int", "uint", "narrow_int", "narrow_uint"):
        return decline(f"{quantized.dtype} has infinities, which quantizing saturates")
    digits = min(_precision(there.output.dtype), _precision(back.attrs["precision"] or scale.dtype))
    if quantized.dtype.bits + 2 >= digits:
        return decline(f"{there.output.dtype} has too few digits for all values of {quantized.dtype}")
    values = small_constant(scale)
    if values is None:
        return decline(f"the scale {scale.name} is not a constant, so it may be 0 or infinite")
    wide, dtype = values.astype(np.float64), there.output.dtype
    limits = _limits(dtype)
    reach = float(2 ** (quantized.dtype.bits + 1))
    if not np.all((wide > limits[0] * reach) & (wide * reach < limits[1])):
        return decline("the scale is so small or large that the floats would underflow or overflow")
    return None


def _precision(dtype: DType) -> int:
    """The bits of a float's significand; 0 for what is none."""
    return _PRECISION.get(dtype.name, 0)


def _limits(dtype: DType) -> tuple[float, float]:
    """The least normal number of a float dtype, and the largest."""
    if dtype.name == "bfloat16":
        return 2.0**-126, 3.0e38
    limits = np.finfo(dtype.numpy)
    return float(limits.tiny), float(limits.max)


@rule(
    P.quantize_linear(P.dequantize_linear(X, Y, Z), SCALE, ZERO_POINT), safety="exact", evidence="exhaustive"
)
def quantize_what_was_dequantized(m: Match, b: Builder) -> Answer:
    """quantize(dequantize(q)) = q with the same scale and zero point."""
    there = m.inner.node
    if there.inputs[0].type is not m.output.type:
        return None
    obstacle = _obstacle(there, m.root)
    return there.inputs[0] if obstacle is None else obstacle


@rule([P.quantize_linear(...)], safety="exact", evidence="exhaustive")
def move_quantized(m: Match, b: Builder) -> Answer:
    """quantize(move(dequantize(q))) = move(q) for one scale, where elements are moved, copied or joined."""
    move = m.root.inputs[0].node
    if move.op.name not in _MOVES or m.root.inputs[1].size != 1:
        return None
    there = [tensor.node for tensor in move.inputs]
    if any([node.op.name != "dequantize_linear" for node in there]):
        return None
    if m.rewriter.use_count(move.output) != 1:
        return decline(f"{move.name} has other users")
    obstacle = next(filter(None, [_obstacle(node, m.root) for node in there]), None)
    if obstacle is not None:
        return obstacle
    m.nodes.extend([move, *there])
    return in_place_of(m, getattr(b, move.op.name)(*[node.inputs[0] for node in there], **move.attrs))


@rule(P.quantize_linear(...), safety="exact", evidence="exhaustive")
def relu_before_quantize(m: Match, b: Builder) -> Answer:
    """quantize(relu(x)) = quantize(x) where the zero point is the least value, which saturation cuts to."""
    relu, scale, zero_point = m.root.inputs
    if relu.node.op.name != "relu":
        return None
    if not _is_least(zero_point):
        return None
    values = small_constant(scale)
    if values is None or not np.all(values.astype(np.float64) > 0):
        return decline(f"the scale {scale.name} is not known to be positive")
    m.nodes.append(relu.node)
    attrs = dict(m.root.attrs)
    return b.quantize_linear(relu.node.inputs[0], scale, zero_point, **attrs)


@rule(P.quantize_linear(P.permute_dims(X), SCALE, ZERO_POINT), safety="exact", evidence="exhaustive")
def quantize_before_permute(m: Match, b: Builder) -> Answer:
    """quantize(p(x)) = p(quantize(x)) with one scale: what is quantized is smaller, and meets other moves."""
    move = m.root.inputs[0].node
    if not _has_one_scale(m.root):
        return None
    if m.rewriter.use_count(move.output) != 1:
        return decline(f"{move.name} has other users")
    made = b.quantize_linear(move.inputs[0], *m.root.inputs[1:], **m.root.attrs)
    return in_place_of(m, b.permute_dims(made, axes=move.attrs["axes"]))


@rule([getattr(P, f)(P.dequantize_linear(...), P.dequantize_linear(...)) for f in BINARY], safety="exact")
def elementwise_of_dequantized(m: Match, b: Builder) -> Answer:
    """f(dequantize(p(x)), dequantize(p(y))) = p(f(dequantize(x), dequantize(y))), with one scale each."""
    there = [tensor.node for tensor in m.root.inputs]
    moves = [node.inputs[0].node for node in there]
    if not all([node.op.name == "dequantize_linear" and _has_one_scale(node) for node in there]):
        return None
    if not all([move.op.name == "permute_dims" for move in moves]):
        return None
    if moves[0].attrs["axes"] != moves[1].attrs["axes"]:
        return None
    if any([m.rewriter.use_count(node.output) != 1 for node in (*there, *moves)]):
        return decline("one of the permuted tensors has other users")
    m.nodes.extend([*there, *moves])
    plain = [
        b.dequantize_linear(move.inputs[0], *node.inputs[1:], **node.attrs)
        for node, move in zip(there, moves)
    ]
    made = getattr(b, m.root.op.name)(*plain, **m.root.attrs)
    return in_place_of(m, b.permute_dims(made, axes=moves[0].attrs["axes"]))


def _has_one_scale(node: Node) -> bool:
    """Whether scale and zero point are scalars, so that the node works element by element."""
    return all([not one.ndim for one in node.inputs[1:]])


def _is_least(zero_point: Tensor) -> bool:
    """Whether a zero point is the least number of its dtype."""
    values, dtype = small_constant(zero_point), zero_point.dtype
    if values is None or not dtype.kind.endswith("int"):
        return False
    low = 0 if "uint" in dtype.name else -(1 << (dtype.bits - 1))
    return bool(np.all(values.astype(np.int64) == low))


RULES: tuple[Rule, ...] = (
    quantize_what_was_dequantized,
    move_quantized,
    relu_before_quantize,
    quantize_before_permute,
    elementwise_of_dequantized,
)

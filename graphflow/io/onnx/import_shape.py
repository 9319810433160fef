"""Import of operators that move elements or change shapes."""

from __future__ import annotations

import math
from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError, ShapeError
from graphflow.io.onnx.call import Call
from graphflow.ir import dims, dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    arrange,
    casting,
    creation,
    einsum,
    linalg,
    linear_algebra,
    padding,
    rearrange,
    rounding,
    sequences,
    slicing,
    standard,
)
from graphflow.ops import shape as shape_ops

MOST_PARTS = 1 << 20
"""Parts that Split may make, used or not; a number far beyond is damage."""


def _reshape(call: Call, x: Tensor, shape: Tensor | None = None) -> Tensor:
    wanted = call.numbers(shape) if shape is not None else call.attr("shape", [])
    if not call.flag("allowzero"):
        wanted = [
            x.shape[axis] if isinstance(size, int) and size == 0 else size for axis, size in enumerate(wanted)
        ]
    return standard.reshape(x, tuple(wanted))


def _flatten(call: Call, x: Tensor) -> Tensor:
    axis = call.attr("axis", 1)
    place = axis + x.ndim if axis < 0 else axis
    return standard.reshape(x, (dims.product(x.shape[:place]), dims.product(x.shape[place:])))


def _transpose(call: Call, x: Tensor) -> Tensor:
    axes = call.attr("perm")
    return shape_ops.permute_dims(x, tuple(axes if axes is not None else reversed(range(x.ndim))))


def _squeeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    given = call.numbers(axes) if axes is not None else call.attr("axes")
    if given is None:
        given = [axis for axis, size in enumerate(x.shape) if isinstance(size, int) and size == 1]
    return shape_ops.squeeze(x, tuple(given)) if given else rounding.identity(x)


def _unsqueeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    given = call.numbers(axes) if axes is not None else call.attr("axes")
    return shape_ops.expand_dims(x, tuple(given)) if given else rounding.identity(x)


def _concat(call: Call, *xs: Tensor) -> Tensor:
    return standard.concat(*xs, axis=call.attr("axis", 1))


def _split(call: Call, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = call.attr("axis", 0)
    given = call.numbers(sizes) if sizes is not None else call.attr("split")
    if given is None:
        count, size = call.attr("num_outputs", call.wanted), x.shape[axis]
        if not call.wanted <= count <= MOST_PARTS:
            raise FileFormatError(
                f"{call.label} has {call.wanted} outputs, but num_outputs {count}", hint="get the model again"
            )
        piece = -(-size // count)
        given = [
            min(piece, max(size - piece * index, 0)) if isinstance(size, int) else piece
            for index in range(count)
        ]
    return tuple(arrange.split(x, tuple(given), axis))


def _tile(call: Call, x: Tensor, counts: Tensor, axis: Tensor | None = None) -> Tensor:
    if axis is None:
        return arrange.tile(x, call.numbers(counts))
    times = [1] * x.ndim
    times[call.number(axis)] = call.number(counts)
    return arrange.tile(x, tuple(times))


def _expand(call: Call, x: Tensor, shape: Tensor) -> Tensor:
    wanted = call.numbers(shape)
    return shape_ops.broadcast_to(x, rearrange.broadcast_shapes(x.shape, wanted))


def _shape(call: Call, x: Tensor) -> Tensor:
    part = slice(call.attr("start", 0), call.attr("end"))
    return casting.astype(shape_ops.shape_of(x)[part], dtypes.int64)


def _size(call: Call, x: Tensor) -> Tensor:
    return casting.astype(standard.prod(shape_ops.shape_of(x)), dtypes.int64)


def _pad(
    call: Call, x: Tensor, pads: Tensor | None = None, value: Any = None, axes: Tensor | None = None
) -> Tensor:
    flat = call.numbers(pads) if pads is not None else call.attr("pads", call.attr("paddings"))
    pairs = list(zip(flat[: len(flat) // 2], flat[len(flat) // 2 :]))
    filling = call.attr("value", 0.0) if pads is None else 0 if value is None else value
    if isinstance(filling, Tensor) and filling.ndim:
        filling = standard.reshape(filling, ())
    chosen = call.numbers(axes)
    if chosen is not None and len(chosen) != len(set(chosen)):
        raise ShapeError(f"axes {chosen} of Pad are listed twice")
    return padding.pad(x, pairs, call.attr("mode", "constant"), filling, chosen)


def _slice(
    call: Call,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    if starts is None or ends is None:
        axis = call.attr("axes")
        parts = call.attr("starts"), call.attr("ends"), None, axis
        return slicing.slice_(x, *(None if part is None else tuple(part) for part in parts))
    known = (call.numbers(starts), call.numbers(ends), call.numbers(steps), call.numbers(axes))
    return slicing.slice_(x, *known)


def _depth_to_space(call: Call, x: Tensor) -> Tensor:
    return nn.depth_to_space(x, call.attr("blocksize"), call.attr("mode", "DCR"))


def _space_to_depth(call: Call, x: Tensor) -> Tensor:
    return nn.space_to_depth(x, call.attr("blocksize"), call.attr("mode", "DCR"))


def _trilu(call: Call, x: Tensor, k: Tensor | None = None) -> Tensor:
    return (creation.triu if call.flag("upper", True) else creation.tril)(x, call.number(k, 0))


def _gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    left = linalg.matrix_transpose(a) if call.flag("transA") else a
    right = linalg.matrix_transpose(b) if call.flag("transB") else b
    made, alpha, beta = linalg.matmul(left, right), call.attr("alpha", 1.0), call.attr("beta", 1.0)
    made = made if alpha == 1 else _scaled(made, alpha)
    return made if c is None or beta == 0 else made + (c if beta == 1 else _scaled(c, beta))


def _scaled(x: Tensor, factor: float) -> Tensor:
    """The product, of the dtype of x."""
    if x.dtype.is_integer and math.floor(factor) == factor:
        return x * int(factor)
    return casting.astype(x * factor, x.dtype)


def _reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    return sequences.reverse_sequence(x, lengths, call.attr("time_axis", 0), call.attr("batch_axis", 1))


def _einsum(call: Call, *xs: Tensor) -> Tensor:
    equation = call.attr("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms, operands = left.split(","), list(xs)
    for place, term in enumerate(terms if len(terms) == len(xs) else ()):
        for letter in [one for one in dict.fromkeys(term) if one != "." and term.count(one) == 2]:
            operands[place], term = _on_diagonal(operands[place], term, letter)
            terms[place] = term
    if not arrow:
        found = left.replace(",", "").replace(".", "")
        right = "..." * ("..." in left) + "".join(sorted(one for one in set(found) if found.count(one) == 1))
    return einsum.einsum(f"{','.join(terms)}->{right}", *operands)


def _on_diagonal(x: Tensor, term: str, letter: str) -> tuple[Tensor, str]:
    """An operand of einsum of which a letter names two axes, which become one, the last."""
    before = term.partition("...")[0]
    width = x.ndim - len(term.replace(".", ""))
    places = [
        index if index < len(before) else index + width - (3 if "..." in term else 0)
        for index, one in enumerate(term)
        if one == letter
    ]
    return linalg.diagonal(rearrange.moveaxis(x, tuple(places), (-2, -1))), term.replace(letter, "") + letter


def _center_crop_pad(call: Call, x: Tensor, shape: Tensor) -> Tensor:
    axes = call.attr("axes")
    return nn.center_crop_pad(x, call.numbers(shape), None if axes is None else tuple(axes))


TABLE: dict[str, Any] = {
    "CenterCropPad": _center_crop_pad,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Det": lambda call, x: linear_algebra.det(x),
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Pad": _pad,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}

"""Export of what arranges elements: shapes, joining, cutting, padding, diagonals and ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.io.onnx.export_writer import LARGEST, SMALLEST, NoForm, Writer
from graphflow.ir import dims
from graphflow.ir.dims import Size
from graphflow.ir.node import Node


def reshaped(w: Writer, x: str, sizes: Sequence[Size]) -> str:
    """In another shape; one size that is not known is left to ONNX."""
    plain = [size if isinstance(size, int) else -1 for size in sizes]
    if plain.count(-1) == 1 and 0 not in plain:
        return str(w.emit("Reshape", x, w.ints(plain)))
    empty = -1 in plain or 0 in plain
    return str(w.emit("Reshape", x, w.shape(sizes), allowzero=1 if empty else None))


def filled(w: Writer, value: str, sizes: Sequence[Size]) -> str:
    """A scalar in every place."""
    return str(w.emit("Expand", value, w.shape(sizes)))


def sliced(
    w: Writer, x: str, starts: Sequence[Any], stops: Sequence[Any], steps: Sequence[int], axes: Sequence[int]
) -> str:
    """Every step-th element; None is the end that the step comes from or goes to."""
    if not axes:
        return str(w.emit("Identity", x))
    first = [(0 if step > 0 else LARGEST) if at is None else at for at, step in zip(starts, steps)]
    last = [(LARGEST if step > 0 else SMALLEST) if at is None else at for at, step in zip(stops, steps)]
    return str(w.emit("Slice", x, w.shape(first), w.shape(last), w.ints(axes), w.ints(steps)))


def padded(w: Writer, x: str, pads: Sequence[Any], mode: str = "constant", value: Any = 0) -> str:
    """With elements added, (before, after) for each axis."""
    amounts = w.shape([before for before, _ in pads] + [after for _, after in pads])
    if mode != "constant":
        return str(w.emit("Pad", x, amounts, mode=mode))
    return str(w.emit("Pad", x, amounts, w.like(value, x), mode="constant"))


def ranged(w: Writer, start: Size, count: Size, step: Size = 1) -> str:
    """The int64 vector start, start + step, ..., of so many elements."""
    return str(w.emit("Range", w.scalar(start), w.scalar(start + count * step), w.scalar(step)))


def unsqueezed(w: Writer, x: str, axes: Sequence[int]) -> str:
    """With new axes of size 1."""
    return str(w.emit("Unsqueeze", x, w.ints(axes)))


def _split(w: Writer, node: Node, x: str) -> Any:
    count, attrs = len(node.outputs), node.attrs
    sizes = [tensor.shape[attrs.axis] for tensor in node.outputs]
    if count == 1:
        return w.emit("Identity", x)
    return w.emit("Split", x, w.shape(sizes), outputs=count, axis=attrs.axis)


def _roll(w: Writer, node: Node, x: str) -> str:
    shape, attrs = node.inputs[0].shape, node.attrs
    axes, shifts = attrs.axis, attrs.shift
    flat = axes is None
    if flat:
        x, axes = reshaped(w, x, (dims.product(shape),)), (0,)
        shape = (dims.product(shape),)
    axes = axes if isinstance(axes, tuple) else (axes,)
    shifts = shifts if isinstance(shifts, tuple) else (shifts,) * len(axes)
    for shift, axis in zip(shifts, axes):
        if shape[axis] == 0:
            continue
        cut = dims.remainder(0 - shift, dims.maximum(shape[axis], 1))
        halves = [sliced(w, x, [cut], [None], [1], [axis]), sliced(w, x, [0], [cut], [1], [axis])]
        x = w.emit("Concat", *halves, axis=axis)
    return reshaped(w, x, node.output.shape) if flat else str(w.emit("Identity", x))


def _tile(w: Writer, node: Node, x: str) -> Any:
    times, shape = node.attrs.repetitions, node.inputs[0].shape
    if len(times) > len(shape):
        x = reshaped(w, x, (*(1,) * (len(times) - len(shape)), *shape))
    times = (*(1,) * (len(shape) - len(times)), *times)
    return w.emit("Tile", x, w.shape(times))


def _repeat(w: Writer, node: Node, x: str) -> str:
    shape, axis, times = node.inputs[0].shape, node.attrs.axis, node.attrs.repeats
    if axis is None:
        x, shape, axis = reshaped(w, x, (dims.product(shape),)), (dims.product(shape),), 0
    wide = (*shape[: axis + 1], times, *shape[axis + 1 :])
    return reshaped(w, w.emit("Expand", unsqueezed(w, x, [axis + 1]), w.shape(wide)), node.output.shape)


def _axes(node: Node) -> list[int]:
    axis = node.attrs.axis
    return list(axis) if isinstance(axis, tuple) else [axis]


def _slice(w: Writer, node: Node, x: str) -> str:
    attrs = node.attrs
    count = len(attrs.starts)
    axes = attrs.axes if attrs.axes is not None else range(count)
    steps = attrs.steps if attrs.steps is not None else (1,) * count
    return sliced(
        w, x, attrs.starts, attrs.stops, [1 if step is None else step for step in steps], list(axes)
    )


def _unslice(w: Writer, node: Node, x: str) -> str:
    """Padding where the step is 1, else the elements are written where the slice reads them."""
    attrs, kept = node.attrs, list(node.inputs[0].shape)
    steps = attrs.steps if attrs.steps is not None else (1,) * len(kept)
    pads: list[tuple[Size, Size]] = []
    scattered = []
    for axis, (size, whole, start, step) in enumerate(zip(kept, attrs.shape, attrs.starts, steps)):
        step = 1 if step is None else step
        first = _first(start, whole, step)
        pads.append((first, whole - size - first) if step == 1 and size != 0 else (0, 0))
        if step != 1 or (size == 0 and whole != 0):
            scattered.append((axis, first, step))
    if any(pair != (0, 0) for pair in pads):
        x = padded(w, x, pads)
        kept = [size + before + after for size, (before, after) in zip(kept, pads)]
    for axis, first, step in scattered:
        count = kept[axis]
        places = [count if place == axis else 1 for place in range(len(kept))]
        index = w.emit("Expand", reshaped(w, ranged(w, first, count, step), places), w.shape(kept))
        kept[axis] = attrs.shape[axis]
        x = w.emit("ScatterElements", filled(w, w.like(0, x), kept), index, x, axis=axis)
    return x if pads and (scattered or any(p != (0, 0) for p in pads)) else str(w.emit("Identity", x))


def _first(start: Any, size: Size, step: int) -> Size:
    """The place of the first element of a slice."""
    if start is None:
        return 0 if step > 0 else size - 1
    if isinstance(start, int) and start < 0:
        start = dims.maximum(size + start, 0 if step > 0 else -1)
    return dims.minimum(start, size if step > 0 else size - 1)


def _diagonal(w: Writer, node: Node, x: str) -> Any:
    *rest, rows, columns = node.inputs[0].shape
    offset, count = node.attrs.offset, node.output.shape[-1]
    start = offset if offset >= 0 else -offset * columns
    index = ranged(w, start, count, columns + 1)
    return w.emit("Gather", reshaped(w, x, (*rest, rows * columns)), index, axis=len(rest))


def _diagonal_matrix(w: Writer, node: Node, x: str) -> Any:
    attrs, shape = node.attrs, node.inputs[0].shape
    if shape[-1] == 0:
        return filled(w, w.like(0, x), node.output.shape)
    down = unsqueezed(w, ranged(w, 0, attrs.rows), [1])
    across = ranged(w, attrs.offset * -1, attrs.columns)
    place = ranged(w, min(attrs.offset, 0), attrs.rows)
    place = w.emit("Min", w.emit("Max", place, w.scalar(0)), w.scalar(shape[-1] - 1))
    column = unsqueezed(w, w.emit("Gather", x, place, axis=len(shape) - 1), [len(shape)])
    return w.emit("Where", w.emit("Equal", down, across), column, w.like(0, x))


def _iota(w: Writer, node: Node) -> str:
    return w.cast(ranged(w, 0, node.attrs["size"]), node.output.dtype)


def _pad(w: Writer, node: Node, x: str) -> str:
    attrs = node.attrs
    if attrs["mode"] not in ("constant", "reflect", "edge"):
        raise NoForm(f"Pad has no mode {attrs['mode']}")
    return padded(w, x, attrs.pads, attrs["mode"], attrs["value"])


TABLE: dict[str, Any] = {
    "broadcast_to": lambda w, node, x: w.emit("Expand", x, w.shape(node.output.shape)),
    "concat": lambda w, node, *xs: w.emit("Concat", *xs, axis=node.attrs.axis),
    "diagonal": _diagonal,
    "diagonal_matrix": _diagonal_matrix,
    "dimension": lambda w, node: w.scalar(node.attrs["size"], node.output.dtype),
    "expand_dims": lambda w, node, x: unsqueezed(w, x, _axes(node)),
    "iota": _iota,
    "pad": _pad,
    "permute_dims": lambda w, node, x: w.emit("Transpose", x, perm=list(node.attrs.axes) or None),
    "repeat": _repeat,
    "reshape": lambda w, node, x: reshaped(w, x, node.output.shape),
    "roll": _roll,
    "shape_of": lambda w, node, x: w.cast(w.emit("Shape", x), node.output.dtype),
    "slice": _slice,
    "split": _split,
    "squeeze": lambda w, node, x: w.emit("Squeeze", x, w.ints(_axes(node))),
    "tile": _tile,
    "unslice": _unslice,
}

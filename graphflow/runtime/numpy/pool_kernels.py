"""Max pooling into memory that is given, one spatial axis after the other as its reference does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.ops.axis_windows import Pass, passes
from graphflow.ops.windows import lowest
from graphflow.runtime.numpy.layouts import Strides, shape_of
from graphflow.runtime.numpy.workspace import Whole, typed


def max_pool_kernel(node: Node, layouts: Sequence[Strides]) -> Whole | None:
    """The kernel of `max_pool`: two workspaces, one for what is padded, one for what the passes make."""
    attrs, dtype = node.attrs, node.output.dtype.numpy
    steps = passes(attrs["window"], attrs["strides"], attrs["padding"], attrs["dilation"], attrs["ceil_mode"])
    shapes = list(_shapes(steps, shape_of(node.inputs[0])))

    def run(x: np.ndarray, out: np.ndarray, padding: np.ndarray, between: np.ndarray) -> None:
        for number, (one, (padded, made)) in enumerate(zip(steps, shapes), 1):
            pair = one.pads(x.shape[one.axis])
            if any(pair):
                x = _padded(x, one.axis, pair, typed(padding, dtype, padded))
            target = out if number == len(steps) else typed(between, dtype, made)
            if number > 1 and number < len(steps) and not any(pair):
                target = np.empty(made, dtype)  # it would write over what it reads
            _largest(x, one, target)
            x = target

    padded = max([int(np.prod(shape)) for shape, _ in shapes])
    made = max([int(np.prod(shape)) for _, shape in shapes[:-1]], default=0)
    return Whole(run, (padded * dtype.itemsize, made * dtype.itemsize), in_rows=True)


def _shapes(steps: Sequence[Pass], shape: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """For each pass the shape with its padding, and that of its result."""
    for one in steps:
        padded, made = list(shape), list(shape)
        padded[one.axis] += sum(one.pads(shape[one.axis]))
        made[one.axis] = one.positions(shape[one.axis])
        yield tuple(padded), tuple(made)
        shape = tuple(made)


def _padded(x: np.ndarray, axis: int, pair: tuple[int, int], made: np.ndarray) -> np.ndarray:
    """x with what is below all values before and behind, along an axis."""
    before, size = pair[0], x.shape[axis]
    parts = np.moveaxis(made, axis, 0)
    parts[:before] = parts[before + size :] = lowest(x.dtype)
    parts[before : before + size] = np.moveaxis(x, axis, 0)
    return made


def _largest(padded: np.ndarray, one: Pass, out: np.ndarray) -> None:
    """The largest of each window along one padded axis."""
    along, target = np.moveaxis(padded, one.axis, 0), np.moveaxis(out, one.axis, 0)
    covered = (len(target) - 1) * one.stride + 1
    for place in range(one.places):
        part = along[place * one.gap : place * one.gap + covered : one.stride]
        if place:
            np.maximum(target, part, out=target)
        else:
            np.copyto(target, part)

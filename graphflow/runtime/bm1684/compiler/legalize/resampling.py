"""Resampling: copies where each element is one of the source's, else products by a matrix for each axis."""

from __future__ import annotations

from math import prod

import numpy as np

from graphflow.ir.node import Node
from graphflow.ops.taps import Kernel, Taps, plan
from graphflow.runtime.bm1684.compiler.layers.layer import Layer
from graphflow.runtime.bm1684.compiler.layers.movement import Enlarged
from graphflow.runtime.bm1684.compiler.layers.product import RowProduct, feature_product, plane
from graphflow.runtime.bm1684.compiler.layers.window import MOST_CHANNELS
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, chip_shape, legal, sizes
from graphflow.runtime.bm1684.compiler.legalize.movement import moved, numbers
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Shape, Window


@legal("resample")
def resample(legalizer: Legalizer, node: Node) -> None:
    """A finer or coarser grid along some axes."""
    x, attrs = node.inputs[0], node.attrs
    kernel = Kernel(*[attrs[name] for name in Kernel._fields])
    steps = plan(sizes(x), attrs, kernel)
    if any(taps.outside is not None for _, _, taps in steps):
        raise Refused("some of its places lie outside of the source", hint="pad the source first")
    if all(taps.weights is None for _, _, taps in steps):
        _nearest(legalizer, node, steps)
        return
    value = legalizer.value(x)
    shape = list(sizes(x))
    for number, (axis, _, taps) in enumerate(steps):
        last = number == len(steps) - 1
        matrix = dense(taps, shape[axis])
        value = _along(legalizer, node, value, shape, axis, matrix, last)
        shape[axis] = len(matrix)


def _nearest(legalizer: Legalizer, node: Node, steps: list[tuple[int, int, Taps]]) -> None:
    x = node.inputs[0]
    source = legalizer.value(x)
    times = [1] * len(sizes(x))
    even = len(times) == 4 and source.shape == Shape(*sizes(x))
    index = numbers(x)
    for axis, length, taps in steps:
        places = taps.indices[:, 0]
        index = np.take(index, places, axis=axis)
        times[axis], rest = divmod(len(places), length)
        even = even and not rest and (places == np.arange(len(places)) // max(times[axis], 1)).all()
    if even and times[:2] == [1, 1] and times != [1, 1, 1, 1]:
        output = legalizer.output(node.output)
        legalizer.add(Enlarged(output=output, inputs=(source,), nodes=(node.name,), times=Window(*times[2:])))
        return
    moved(legalizer, node, node.output, x, index)


def dense(taps: Taps, length: int) -> np.ndarray:
    """The matrix of a resampling along one axis, (places, length).

    >>> dense(Taps(np.array([[0, 1], [1, 1]]), np.array([[0.5, 0.5], [1.0, 0.0]]), None), 2)
    array([[0.5, 0.5],
           [0. , 1. ]], dtype=float32)
    """
    matrix = np.zeros((len(taps.indices), length))
    weights = np.ones(taps.indices.shape) if taps.weights is None else taps.weights
    np.add.at(matrix, (np.arange(len(matrix))[:, None], taps.indices), weights)
    return matrix.astype(np.float32)


def _along(
    legalizer: Legalizer, node: Node, x: Value, shape: list[int], axis: int, matrix: np.ndarray, last: bool
) -> Value:
    """The product along one axis: by the matrix from the right along the last, else from the left."""
    made = [*shape[:axis], len(matrix), *shape[axis + 1 :]]
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    if inner == 1:
        items = next(
            count for count in range(1, outer + 1) if outer % count == 0 and outer // count <= MOST_CHANNELS
        )
        given, result = (Shape(items, outer // items, 1, size) for size in matrix.shape[::-1])
    else:
        area = plane(inner)
        if area is None or max(matrix.shape) > MOST_CHANNELS:
            raise Refused(
                f"it resamples an axis of {shape[axis]} before {inner} elements", hint="do it in parts"
            )
        given, result = Shape(outer, shape[axis], *area), Shape(outer, len(matrix), *area)
    if last:
        output = legalizer.output(node.output, result)
    else:
        output = legalizer.inner(f"{node.name} along {axis}", result)
    source = legalizer.alias(x, given) if x.shape != given else x
    layer: Layer
    if inner == 1:
        layer = RowProduct(output=output, inputs=(source,), nodes=(node.name,), matrix=matrix.T)
    else:
        layer = feature_product(output, source, matrix.T, nodes=(node.name,))
    legalizer.add(layer)
    if last:
        legalizer.same(node.output, legalizer.alias(output, chip_shape(made)))
    return output

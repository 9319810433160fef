"""Products of matrices: by constant weights from either side, and of two activations.

Products are 1 x 1 convolutions, rows or features on lanes; see `layers/product.py`. A tensor of three axes
has its rows on the lanes, so that a matrix that multiplies from the right reads it there, and one that
multiplies from the left has its result there: neither moves anything through DDR.
"""

from __future__ import annotations

from math import prod

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.layers.attention import BatchedProduct
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.elementwise import Binary
from graphflow.runtime.bm1684.compiler.layers.matrix import TinyProduct
from graphflow.runtime.bm1684.compiler.layers.movement import Turned
from graphflow.runtime.bm1684.compiler.layers.packing import MOST_RUN, UNIT
from graphflow.runtime.bm1684.compiler.layers.product import RowProduct, feature_product, plane
from graphflow.runtime.bm1684.compiler.layers.window import LONGEST, MOST_CHANNELS
from graphflow.runtime.bm1684.compiler.legalize.context import (
    FEW_ROWS,
    Legalizer,
    Refused,
    legal,
    sizes,
)
from graphflow.runtime.bm1684.compiler.legalize.heads import Heads
from graphflow.runtime.bm1684.compiler.legalize.hidden import FIRST, SUM
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Operation, Shape

_LARGEST_KERNEL = 8192
"""Elements of a kernel of which those of a pair of channels take 64 KiB of a lane."""


@legal("matmul")
def matmul(legalizer: Legalizer, node: Node) -> None:
    """A product of matrices, or of as many as the axes before the last two say."""
    left, right = node.inputs
    known = legalizer.constant(right)
    if known is not None and node in legalizer.hidden.roles:
        _on_positions(legalizer, node, known)
        return
    if known is not None and prod(known.shape[:-2]) == 1 and left not in legalizer.constants:
        _by_weights(legalizer, node, left, known.reshape(known.shape[-2:] if known.ndim > 1 else (-1, 1)))
        return
    known = legalizer.constant(left)
    if known is not None and prod(known.shape[:-2]) == 1 and len(sizes(right)) > 1:
        _from_left(legalizer, node, known.reshape(-1, known.shape[-1]), right)
        return
    _batched(legalizer, node)


def _checked(layer: Convolution | RowProduct | BatchedProduct) -> None:
    reason = layer.refusal()
    if reason is not None:
        raise Refused(reason, hint="see docs/bm1684.md for the sizes that products may have")


def _by_weights(legalizer: Legalizer, node: Node, x: Tensor, matrix: np.ndarray) -> None:
    """Rows by constant weights; few of them have their features on the lanes, a row an item of the batch."""
    inner, columns = matrix.shape
    shape = sizes(x)
    rows, batch = (shape[-2] if len(shape) > 1 else 1), prod(shape[:-2])
    total, names = rows * batch, (node.name,)
    if (total < FEW_ROWS and len(shape) < 3) or (rows < FEW_ROWS <= 4 * batch and total < FEW_ROWS):
        image = _image(legalizer, x, total)
        if columns > MOST_RUN or (image is None and inner > MOST_RUN):
            _wide(legalizer, node, x, matrix, total)
            return
        value = legalizer.value(x, Shape(total, inner, 1, 1) if image is None else image)
        output = legalizer.output(node.output, Shape(total, columns, 1, 1))
        layer: Convolution | RowProduct = feature_product(output, value, matrix, nodes=names)
    else:
        if len(shape) < 3 or rows < FEW_ROWS < batch:
            rows, batch = total, 1
        batch, rows = _divided(batch, rows)
        value = legalizer.value(x, Shape(batch, rows, 1, inner))
        output = legalizer.output(node.output, Shape(batch, rows, 1, columns))
        layer = RowProduct(output=output, inputs=(value,), nodes=names, matrix=matrix)
    _checked(layer)
    legalizer.add(layer)


def _image(legalizer: Legalizer, x: Tensor, total: int) -> Shape | None:
    """The image that each row was before it was flattened: a kernel that covers it reads it where it lies."""
    if x not in legalizer.values:
        return None
    root = legalizer.values[x].root
    n, c, h, w = root.shape
    fits = root.strides is None and n == total and max(h, w) <= LONGEST and 1 < h * w <= _LARGEST_KERNEL
    return root.shape if fits and (c % UNIT == 0 or c > LANES) else None


def _on_positions(legalizer: Legalizer, node: Node, matrix: np.ndarray) -> None:
    """A product of hidden layers: a position of an image for each row, features on the lanes."""
    batch, rows, inner = sizes(node.inputs[0])
    value = legalizer.value(node.inputs[0])
    if legalizer.hidden.roles[node] == FIRST:
        value = turned(legalizer, legalizer.value(node.inputs[0], Shape(batch, rows, 1, inner)), node.name)
        _turn_added(legalizer, node)
    output = legalizer.output(node.output, Shape(batch, matrix.shape[1], 1, rows))
    layer = feature_product(output, value, matrix, nodes=(node.name,))
    _checked(layer)
    legalizer.add(layer)
    _leave(legalizer, node)


def _turn_added(legalizer: Legalizer, node: Node) -> None:
    """Turn what will be added at the end of hidden layers while they are computed."""
    x = legalizer.hidden.added.get(node)
    if x is None or x not in legalizer.values:
        return
    batch, rows, features = sizes(x)
    value = legalizer.value(x, Shape(batch, rows, 1, features))
    if value in legalizer.turned:
        legalizer.added[x] = legalizer.turned[value]
    else:
        layer, legalizer.added[x] = Turned.of(value, (node.name,))
        legalizer.add(layer)


def hidden_sum(legalizer: Legalizer, node: Node) -> bool:
    """Add a tensor to what hidden layers compute, with features on the lanes, and say whether it is done."""
    if legalizer.hidden.roles.get(node) != SUM:
        return False
    known = set(legalizer.hidden.added.values())
    x, other = node.inputs if node.inputs[1] in known else node.inputs[::-1]
    batch, rows, features = sizes(other)
    if other not in legalizer.added:
        value = legalizer.value(other, Shape(batch, rows, 1, features))
        legalizer.added[other] = turned(legalizer, value, node.name)
    output = legalizer.output(node.output, Shape(batch, features, 1, rows))
    inputs = legalizer.value(x), legalizer.added[other]
    names = (node.name,)
    legalizer.add(Binary(output=output, inputs=inputs, nodes=names, operation=Operation.ADD, left=0, right=1))
    _leave(legalizer, node)
    return True


def _leave(legalizer: Legalizer, node: Node) -> None:
    """Bring what leaves hidden layers back to its rows."""
    if node.output in legalizer.hidden.ends:
        made = turned(legalizer, legalizer.value(node.output), node.name)
        legalizer.same(node.output, made)


def _wide(legalizer: Legalizer, node: Node, x: Tensor, matrix: np.ndarray, total: int) -> None:
    """A few rows of more elements than the data mover takes as channels, with the command for matrices."""
    inner, columns = matrix.shape
    given, made = (
        next(width for width in range(1, size + 1) if size % width == 0 and size // width < 4096)
        for size in (inner, columns)
    )
    value = legalizer.value(x, Shape(total, inner // given, 1, given))
    output = legalizer.output(node.output, Shape(total, columns // made, 1, made))
    legalizer.add(TinyProduct(output=output, inputs=(value,), nodes=(node.name,), matrix=matrix))


def _divided(batch: int, rows: int) -> tuple[int, int]:
    """Rows as items of the batch where there are more than can lie on the lanes."""
    for count in range(1, rows + 1):
        if rows % count == 0 and rows // count <= MOST_CHANNELS:
            return batch * count, rows // count
    raise AssertionError("one row fits")


def _from_left(legalizer: Legalizer, node: Node, matrix: np.ndarray, x: Tensor) -> None:
    """Constant weights by an activation: its first index lies on the lanes."""
    *outer, inner, columns = sizes(x)
    area = plane(columns)
    if area is None or max(matrix.shape) > MOST_CHANNELS:
        raise Refused(
            f"it multiplies {matrix.shape} by {sizes(x)}", hint="split the product, and add or join its parts"
        )
    value = legalizer.value(x, Shape(prod(outer), inner, *area))
    output = legalizer.output(node.output, Shape(prod(outer), len(matrix), *area))
    layer = feature_product(output, value, matrix.T, nodes=(node.name,))
    _checked(layer)
    legalizer.add(layer)


def _batched(legalizer: Legalizer, node: Node) -> None:
    """A product of two activations for each item of a batch."""
    left, right = node.inputs
    shapes = _matrices(sizes(left), True), _matrices(sizes(right), False)
    items, rows, columns = prod(shapes[0][:-2]), shapes[0][-2], shapes[1][-1]
    others = prod(shapes[1][:-2])
    same = shapes[0][:-2] == shapes[1][:-2] or others == 1 or items == others
    if not same or items % others:
        raise Refused(
            f"it multiplies {sizes(left)} by {sizes(right)}, and the axes before the last two differ",
            hint="use gf.broadcast_to on the factor that has fewer",
        )
    first, left_parts = _left(legalizer, left, shapes[0])
    second, right_parts, axis = _right(legalizer, right, shapes[1])
    output = legalizer.output(node.output, Shape(items, rows, 1, columns))
    layer = BatchedProduct(
        output=output,
        inputs=(first, second),
        nodes=(node.name,),
        left_parts=left_parts,
        right_parts=right_parts,
        right_axis=axis,
        repeat=items // others,
    )
    _checked(layer)
    legalizer.add(layer)


def _matrices(shape: tuple[int, ...], is_left: bool) -> tuple[int, ...]:
    """A vector as a matrix of one row or column."""
    if len(shape) > 1:
        return shape
    return (1, *shape) if is_left else (*shape, 1)


def _left(legalizer: Legalizer, x: Tensor, shape: tuple[int, ...]) -> tuple[Value, int]:
    """The left factor, rows on lanes, and how many items lie side by side within it."""
    heads = legalizer.heads.get(x)
    if heads is None:
        return legalizer.value(x, Shape(prod(shape[:-2]), shape[-2], 1, shape[-1])), 1
    return _on_rows(legalizer, heads), heads.parts


def _right(legalizer: Legalizer, x: Tensor, shape: tuple[int, ...]) -> tuple[Value, int, str]:
    """The right factor, its items side by side over w, or one after the other over c."""
    heads = legalizer.heads.get(x)
    if heads is None:
        return legalizer.value(x, Shape(prod(shape[:-2]), shape[-2], 1, shape[-1])), 1, "w"
    if not heads.turned:
        return _on_rows(legalizer, heads), heads.parts, "w"
    return _on_features(legalizer, heads), heads.parts, "c"


def _on_rows(legalizer: Legalizer, heads: Heads) -> Value:
    """(items, rows, 1, heads * size), scaled."""
    items, rows, features = sizes(heads.base)
    shape = Shape(items, rows, 1, features)
    name = heads.nodes[-1].name
    if heads.projection is not None:
        x, matrix, bias = heads.projection
        value = legalizer.value(x, shape._replace(w=len(matrix)))
        output = legalizer.inner(name, shape)
        scaled = matrix * np.float32(heads.scale)
        added = None if bias is None else bias * np.float32(heads.scale)
        legalizer.add(RowProduct(output=output, inputs=(value,), nodes=(name,), matrix=scaled, bias=added))
        return output
    value = legalizer.value(heads.base, shape)
    if heads.scale == 1.0:
        return value
    output = legalizer.inner(f"{name} scaled", shape)
    legalizer.add(
        Binary(
            output=output,
            inputs=(value,),
            nodes=(heads.nodes[0].name,),
            operation=Operation.MULTIPLY,
            left=0,
            right=heads.scale,
        )
    )
    return output


def _on_features(legalizer: Legalizer, heads: Heads) -> Value:
    """(items, heads * size, 1, rows): the projection of what is brought in with its features on the lanes."""
    items, rows, features = sizes(heads.base)
    name = heads.nodes[-1].name
    if heads.projection is None:
        return turned(legalizer, legalizer.value(heads.base, Shape(items, rows, 1, features)), name)
    x, matrix, bias = heads.projection
    given = turned(legalizer, legalizer.value(x, Shape(items, rows, 1, len(matrix))), name)
    output = legalizer.inner(name, Shape(items, features, 1, rows))
    scale = np.float32(heads.scale)
    layer = feature_product(
        output, given, matrix * scale, None if bias is None else bias * scale, nodes=(name,)
    )
    _checked(layer)
    legalizer.add(layer)
    return output


def turned(legalizer: Legalizer, value: Value, name: str) -> Value:
    """Rows on lanes, (n, rows, 1, features), as (n, features, 1, rows), through DDR."""
    if value not in legalizer.turned:
        layer, made = Turned.of(value, (name,))
        legalizer.add(layer)
        legalizer.turned[value] = made
    return legalizer.turned[value]


def row_bias(legalizer: Legalizer, node: Node) -> bool:
    """Let a product with its rows on the lanes add a constant by column, and say whether it does."""
    for x, other in (node.inputs, node.inputs[::-1]):
        data, maker = legalizer.constant(other), legalizer.maker(x)
        if node in legalizer.hidden.roles and data is not None and isinstance(maker, Convolution):
            legalizer.extend(maker, node, bias=np.ascontiguousarray(data, np.float32))
            _leave(legalizer, node)
            return True
        if data is None or not isinstance(maker, RowProduct | TinyProduct) or maker.relu:
            continue
        columns = maker.matrix.shape[1]
        fits = data.shape[-1:] == (columns,) == (data.size,) and sizes(node.output) == sizes(x)
        if fits and maker.ceiling is None:
            bias = np.ascontiguousarray(data, np.float32).reshape(-1)
            legalizer.extend(maker, node, bias=bias if maker.bias is None else bias + maker.bias)
            return True
    return False

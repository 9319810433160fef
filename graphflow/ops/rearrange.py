"""Rearranging without operators of its own: merging, moving, stacking axes, flipping, broadcasting, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape, as_shape
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import broadcast_shapes as common_shape
from graphflow.ops.inference import entries, normalize_axes, normalize_axis


@composite
def flatten(x: Any, name: str | None = None) -> Tensor:
    """Keep axis 0 and merge all others: [n, ...] becomes [n, product of the rest]. ONNX Flatten-21.

    A vector becomes a column; a scalar is refused.

    >>> import graphflow as gf
    >>> gf.flatten(gf.placeholder("image", ("batch", 1, 8, 8))).type
    float32[batch, 64]
    """
    b, x = with_tensor(x)
    if not x.ndim:
        raise ShapeError("flatten keeps axis 0, but a scalar has no axes", hint="use gf.reshape(x, (1, 1))")
    return b.reshape(x, shape=(x.shape[0], dims.product(x.shape[1:])), name=name or "flatten")


@composite
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move axes to new places, the others keeping their order. Array API `moveaxis`.

    >>> import graphflow as gf
    >>> gf.moveaxis(gf.placeholder("x", (2, 3, 4)), 0, -1).type
    float32[3, 4, 2]
    """
    b, x = with_tensor(x)
    sources = tuple(normalize_axis(axis, x.ndim, "moveaxis") for axis in entries(source))
    targets = tuple(normalize_axis(axis, x.ndim, "moveaxis") for axis in entries(destination))
    if len(sources) != len(targets) or len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
        raise AttributeValueError(
            f"moveaxis needs as many different sources as destinations, not {sources} and {targets}"
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for target, moved in sorted(zip(targets, sources)):
        order.insert(target, moved)
    return b.permute_dims(x, axes=tuple(order))


@composite
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes.

    >>> import graphflow as gf
    >>> gf.swapaxes(gf.placeholder("x", (2, 3, 4)), 0, -1).type
    float32[4, 3, 2]
    """
    b, x = with_tensor(x)
    first, second = (normalize_axis(axis, x.ndim, "swapaxes") for axis in (axis1, axis2))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    return b.permute_dims(x, axes=tuple(order))


@composite
def atleast_1d(x: Any) -> Tensor:
    """x, a scalar as a vector of one element.

    >>> import graphflow as gf
    >>> gf.atleast_1d(2.5).type
    float32[1]
    """
    return _at_least(x, 1)


@composite
def atleast_2d(x: Any) -> Tensor:
    """x with leading axes of size 1 up to rank 2, so that a vector becomes a row.

    >>> import graphflow as gf
    >>> gf.atleast_2d(gf.placeholder("x", ("n",))).type
    float32[1, n]
    """
    return _at_least(x, 2)


def _at_least(x: Any, rank: int) -> Tensor:
    b, x = with_tensor(x)
    return x if x.ndim >= rank else b.expand_dims(x, axis=tuple(range(rank - x.ndim)))


@composite
def broadcast_arrays(*xs: Any) -> list[Tensor]:
    """The tensors, broadcast to their common shape. Array API `broadcast_arrays`.

    >>> import graphflow as gf
    >>> [x.shape for x in gf.broadcast_arrays(gf.zeros((3, 1)), gf.zeros(4))]
    [(3, 4), (3, 4)]
    """
    if not xs:
        return []
    b, tensors = with_tensors(*xs)
    shape = common_shape(*[tensor.shape for tensor in tensors])
    return [x if x.shape == shape else b.broadcast_to(x, shape=shape) for x in tensors]


@composite
def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that tensors of these shapes broadcast to. NumPy `broadcast_shapes`.

    Arguments:
        shapes: sizes, which may be symbolic: a symbol equals what it meets, unless that is 1.

    Raises:
        ShapeError: if they do not broadcast.

    >>> import graphflow as gf
    >>> gf.broadcast_shapes((3, 1), ("batch", 1, 4))
    (batch, 3, 4)
    """
    return common_shape((), *[as_shape(shape) for shape in shapes])


@composite
def stack(xs: Any, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis. Array API `stack`.

    >>> import graphflow as gf
    >>> gf.stack([gf.constant([1.0, 2.0]), gf.constant([3.0, 4.0])], axis=1).type
    float32[2, 2]
    """
    if not isinstance(xs, (list, tuple)) or not xs:
        raise ShapeError("stack needs a list of at least one tensor", hint="gf.stack([x, y, z], axis=0)")
    b, tensors = with_tensors(*xs)
    place = normalize_axis(axis, tensors[0].ndim + 1, "stack")
    return b.concat(*[b.expand_dims(tensor, axis=place) for tensor in tensors], axis=place)


@composite
def unstack(x: Any, axis: int = 0) -> list[Tensor]:
    """The slices of x along an axis of static size, that axis removed. Array API `unstack`.

    >>> import graphflow as gf
    >>> [piece.type for piece in gf.unstack(gf.constant([[1, 2], [3, 4]]), axis=1)]
    [int32[2], int32[2]]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "unstack")
    size = x.shape[place]
    if not isinstance(size, int):
        raise ShapeError(
            f"unstack needs a fixed number of pieces, but axis {place} has the symbolic size {size}",
            hint="index the pieces you need, x[0], or give the axis a fixed size",
        )
    pieces = [b.slice(x, starts=(at,), stops=(at + 1,), axes=(place,)) for at in range(size)]
    return [b.squeeze(piece, axis=place) for piece in pieces]


@composite
def flip(x: Any, axis: int | Sequence[int] | None = None) -> Tensor:
    """The elements in reverse order along an axis, several, or (None) all. Array API `flip`.

    >>> import graphflow as gf
    >>> gf.flip(gf.placeholder("x", ("batch", 3)), axis=1).type
    float32[batch, 3]
    """
    b, x = with_tensor(x)
    axes = normalize_axes(axis, x.ndim, "flip")
    if not axes:
        return x
    none = (None,) * len(axes)
    return b.slice(x, starts=none, stops=none, steps=(-1,) * len(axes), axes=axes)


@composite
def meshgrid(*xs: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids of vectors: one tensor a vector, all of the grid's shape. Array API `meshgrid`.

    Arguments:
        xs: vectors (or scalars).
        indexing: "xy" puts the second vector's axis first, as pictures have it; "ij" keeps the order.

    >>> import graphflow as gf
    >>> [grid.shape for grid in gf.meshgrid(gf.constant([1, 2, 3]), gf.constant([4, 5]))]
    [(2, 3), (2, 3)]
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):
        raise AttributeValueError(f"meshgrid needs indexing 'xy' or 'ij', not {indexing!r}")
    b, tensors = with_tensors(*xs)
    vectors = [b.reshape(tensor, shape=(-1,)) if tensor.ndim == 0 else tensor for tensor in tensors]
    if any(vector.ndim != 1 for vector in vectors):
        raise ShapeError(f"meshgrid takes vectors, but got shapes {[list(v.shape) for v in vectors]}")
    count = len(vectors)
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[:2] = [1, 0]
    shape = [vectors[places.index(axis)].shape[0] for axis in range(count)]
    grids = []
    for vector, place in zip(vectors, places):
        others = tuple(axis for axis in range(count) if axis != place)
        grids.append(b.broadcast_to(b.expand_dims(vector, axis=others), shape=tuple(shape)))
    return grids

"""Shapes: the same elements under another shape, other axes, or repeated by broadcasting.

Sizes in shape arguments may be symbolic. Sizes that must agree and cannot be compared while
building are taken to be equal; the session checks them when the real sizes arrive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import as_dtype, int64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import Shape, TensorType, as_shape
from graphflow.ops.inference import entries, normalize_axes, normalize_axis, show


def total(shape: Sequence[Size]) -> Size:
    """The number of elements of a shape."""
    return dims.product(shape)


def sum_to(b: Builder, tensor: Tensor, shape: Shape) -> Tensor:
    """Undo a broadcast: sum `tensor` over the axes that broadcasting has added or stretched."""
    if tensor.shape == shape:
        return tensor
    added = tensor.ndim - len(shape)
    stretched = [
        axis + added for axis, size in enumerate(shape) if size == 1 and tensor.shape[axis + added] != 1
    ]
    if added:
        tensor = b.sum(tensor, axis=(*range(added), *stretched))
    elif stretched:
        tensor = b.sum(tensor, axis=tuple(stretched), keepdims=True)
    return tensor if tensor.shape == shape else b.reshape(tensor, shape=shape)


# reshape


def _reshape_attrs(types, attrs):
    listed = entries(attrs["shape"])
    free = [axis for axis, size in enumerate(listed) if isinstance(size, (int, np.integer)) and size == -1]
    if len(free) > 1:
        raise ShapeError(
            f"reshape to {show(listed)} leaves {len(free)} sizes open", hint="use -1 once at most"
        )
    known = as_shape([1 if axis in free else size for axis, size in enumerate(listed)])
    if not free:
        return {"shape": known}
    rest, size = total(known), types[0].size
    if rest == 0:
        raise ShapeError(
            f"reshape of {show(types[0].shape)} to {show(listed)} leaves -1 open, as another size is 0",
            hint="write the size instead of -1",
        )
    return {"shape": (*known[: free[0]], dims.floor_divide(size, rest), *known[free[0] + 1 :])}


def _computed_shape(types, attrs):
    """The attributes, where an entry that is fed is what the others leave if it turns out to be -1."""
    shape = entries(attrs["shape"])
    if -1 in shape:
        return attrs
    sizes = list(as_shape(shape))
    for axis in [axis for axis, entry in enumerate(shape) if _may_be_negative(entry)]:
        others = dims.maximum(total(shape[:axis] + shape[axis + 1 :]), 1)
        sizes[axis] = dims.given_or(shape[axis], dims.floor_divide(types[0].size, others))
    return {"shape": tuple(sizes)}


def _may_be_negative(size):
    return isinstance(size, dims.Dim) and size.symbol is not None and size.symbol.min < 0


def _reshape_type(types, attrs):
    old, new = types[0].shape, attrs["shape"]
    if dims.unify(total(old), total(new)) is None:
        raise ShapeError(
            f"reshape cannot turn {show(old)} of {total(old)} elements into {show(new)} of {total(new)}",
            hint="the sizes must multiply to the same number; one of them may be -1",
        )
    return (TensorType(types[0].dtype, new),)


@op("shape", infer=_reshape_type, normalize=_reshape_attrs, traits="injective view any_dtype")
def reshape(x, /, shape):
    """The same elements, in row-major order, under another shape.

    Arguments:
        x: a tensor of any dtype.
        shape: sizes; symbolic ones are welcome, and one may be -1: what the others leave. Also a
            tensor whose value is known while building, or fed.

    Raises:
        ShapeError: if the numbers of elements differ.

    Array API `reshape`; ONNX Reshape-21.

    >>> import graphflow as gf
    >>> gf.reshape(gf.placeholder("x", ("batch", 4, 3)), ("batch", -1)).type
    float32[batch, 12]
    """
    return np.reshape(x, shape)


reshape.computed = _computed_shape


@reshape.gradient
def _(b, node, g):
    return [b.reshape(g, shape=node.inputs[0].shape)]


# permute_dims


def _permute_attrs(types, attrs):
    rank, axes = types[0].rank, attrs["axes"]
    if axes is None:
        return {"axes": tuple(reversed(range(rank)))}
    listed = entries(axes)
    normal = tuple(normalize_axis(axis, rank, "permute_dims") for axis in listed)
    if sorted(normal) != list(range(rank)):
        raise AttributeValueError(
            f"permute_dims needs each of the {rank} axes once, but got {listed}",
            hint=f"for example {tuple(reversed(range(rank)))}",
        )
    return {"axes": normal}


def _permute_type(types, attrs):
    shape = types[0].shape
    return (TensorType(types[0].dtype, tuple([shape[axis] for axis in attrs["axes"]])),)


@op("shape", infer=_permute_type, normalize=_permute_attrs, traits="injective any_dtype")
def permute_dims(x, /, axes=None):
    """The axes in another order: axis i of the result is axis `axes[i]` of x.

    Arguments:
        x: a tensor of any dtype.
        axes: a permutation of the axes; None reverses them.

    Array API `permute_dims`; ONNX Transpose-21.

    >>> import graphflow as gf
    >>> gf.permute_dims(gf.placeholder("x", ("batch", 3, 8)), (1, 2, 0)).type
    float32[3, 8, batch]
    """
    return np.transpose(x, axes)


@permute_dims.gradient
def _(b, node, g):
    axes = node.attrs["axes"]
    return [b.permute_dims(g, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__)))]


# expand_dims and squeeze


def _expand_attrs(types, attrs):
    axes = entries(attrs["axis"])
    return {"axis": normalize_axes(axes, types[0].rank + len(axes), "expand_dims")}


def _expand_type(types, attrs):
    axes, rest = attrs["axis"], iter(types[0].shape)
    rank = types[0].rank + len(axes)
    return (TensorType(types[0].dtype, tuple([1 if axis in axes else next(rest) for axis in range(rank)])),)


@op("shape", infer=_expand_type, normalize=_expand_attrs, traits="injective view any_dtype")
def expand_dims(x, /, axis=0):
    """New axes of size 1.

    Arguments:
        x: a tensor of any dtype.
        axis: where the new axis, or axes, lie in the result.

    Array API `expand_dims`; ONNX Unsqueeze-21.

    >>> import graphflow as gf
    >>> gf.expand_dims(gf.constant([1.0, 2.0]), axis=-1).type
    float32[2, 1]
    """
    return np.expand_dims(x, axis)


@expand_dims.gradient
def _(b, node, g):
    return [b.squeeze(g, axis=node.attrs["axis"])]


def _squeeze_attrs(types, attrs):
    if attrs["axis"] is None:
        return {"axis": tuple(axis for axis, size in enumerate(types[0].shape) if size == 1)}
    return {"axis": normalize_axes(attrs["axis"], types[0].rank, "squeeze")}


def _squeeze_type(types, attrs):
    shape, axes = types[0].shape, attrs["axis"]
    for axis in axes:
        if dims.unify(shape[axis], 1) is None:
            raise ShapeError(
                f"squeeze cannot drop axis {axis} of {show(shape)}: its size is {shape[axis]}, not 1",
                hint="index the axis, or reduce over it, instead",
            )
    return (TensorType(types[0].dtype, tuple([s for axis, s in enumerate(shape) if axis not in axes])),)


@op("shape", infer=_squeeze_type, normalize=_squeeze_attrs, traits="injective view any_dtype")
def squeeze(x, /, axis=None):
    """Axes of size 1 removed.

    Arguments:
        x: a tensor of any dtype.
        axis: the axis, or axes, to remove; None removes all whose size is known to be 1.

    Raises:
        ShapeError: if such an axis has another size.

    Array API `squeeze`; ONNX Squeeze-21.

    >>> import graphflow as gf
    >>> gf.squeeze(gf.constant([[1.0, 2.0]]), axis=0).type
    float32[2]
    """
    return np.squeeze(x, axis)


@squeeze.gradient
def _(b, node, g):
    return [b.reshape(g, shape=node.inputs[0].shape)]


# broadcast_to


def _shape_attrs(types, attrs):
    return {**attrs, "shape": as_shape(attrs["shape"])}


def _broadcast_to_type(types, attrs):
    old, new = types[0].shape, attrs["shape"]
    added = len(new) - len(old)
    fits = added >= 0 and all(
        size == 1 or dims.unify(size, new[axis + added]) is not None for axis, size in enumerate(old)
    )
    if not fits:
        raise ShapeError(
            f"broadcast_to cannot stretch {show(old)} to {show(new)}",
            hint="aligned at the end, each size must be equal or 1; gf.tile repeats larger blocks",
        )
    return (TensorType(types[0].dtype, new),)


@op("shape", infer=_broadcast_to_type, normalize=_shape_attrs, traits="injective any_dtype")
def broadcast_to(x, /, shape):
    """Repeat axes of size 1, and new leading axes, up to a shape: NumPy's broadcasting.

    Arguments:
        x: a tensor of any dtype.
        shape: the sizes of the result; symbolic ones are welcome.

    Raises:
        ShapeError: if x does not broadcast to the shape.

    Array API `broadcast_to`; ONNX Expand-13.

    >>> import graphflow as gf
    >>> gf.broadcast_to(gf.constant([1.0, 2.0]), (3, 2)).type
    float32[3, 2]
    """
    return np.broadcast_to(x, shape)


@broadcast_to.gradient
def _(b, node, g):
    return [sum_to(b, g, node.inputs[0].shape)]


# Shapes as values


def _shape_of_type(types, attrs):
    return (TensorType(int64, (types[0].rank,)),)


@op("shape", infer=_shape_of_type, traits="any_dtype")
def shape_of(x, /):
    """The sizes of x, as an int64 vector: what they are when the graph runs.

    `x.shape` gives them while building, symbolically. ONNX Shape-21.

    >>> import graphflow as gf
    >>> gf.shape_of(gf.placeholder("x", ("batch", 3))).type
    int64[2]
    """
    return np.asarray(np.shape(x), np.int64)


shape_of.not_differentiable("sizes do not depend on the values", zero=True)


def _iota_attrs(types, attrs):
    return {"size": dims.as_size(attrs["size"]), "dtype": as_dtype(attrs["dtype"])}


def _iota_type(types, attrs):
    size, dtype = attrs["size"], attrs["dtype"]
    if isinstance(size, int) and size < 0:
        raise ShapeError(f"iota cannot count to the negative size {size}")
    if dtype.kind not in ("int", "uint", "float"):
        raise AttributeValueError(f"iota counts in numbers, not in {dtype}")
    return (TensorType(dtype, (size,)),)


@op("shape", infer=_iota_type, normalize=_iota_attrs)
def iota(*, size, dtype=int64):
    """The vector 0, 1, ..., size - 1, where the size may be symbolic. ONNX Range-11.

    >>> import graphflow as gf
    >>> from graphflow.ops.shape import iota
    >>> iota(size=gf.Dim("n")).type
    int64[n]
    """
    return np.arange(size).astype(dtype.numpy)


iota.not_differentiable("it has no inputs")

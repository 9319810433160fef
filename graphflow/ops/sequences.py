"""Sequences of different lengths in one tensor: each turned round in place (family indexing)."""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import int64
from graphflow.ir.opdef import op
from graphflow.ops.indexing import require_indices
from graphflow.ops.inference import normalize_axis, show


def _reversal_attrs(types, attrs):
    rank = types[0].rank
    time, batch = (normalize_axis(attrs[name], rank, "reverse_sequence") for name in attrs)
    if time == batch:
        raise AttributeValueError(
            f"reverse_sequence got axis {time} for both time and batch", hint="name two different axes"
        )
    return {"time_axis": time, "batch_axis": batch}


def _reversal_type(types, attrs):
    x, lengths = types
    require_indices(lengths, "reverse_sequence")
    count = x.shape[attrs["batch_axis"]]
    if lengths.rank != 1 or dims.unify(lengths.shape[0], count) is None:
        raise ShapeError(
            f"reverse_sequence needs lengths of shape [{count}], not {show(lengths.shape)}",
            hint="with one length for each entry of the batch axis",
        )
    return (x,)


@op("indexing", infer=_reversal_type, normalize=_reversal_attrs, traits="injective any_dtype")
def reverse_sequence(x, lengths, /, time_axis=0, batch_axis=1):
    """The first elements of each sequence in opposite order: y[t, n] = x[lengths[n] - 1 - t, n].

    What lies beyond the length stays as it is.

    Arguments:
        x: a tensor of any dtype.
        lengths: integers, one for each entry of the batch axis; those out of range are clamped.
        time_axis: the axis along which the sequences run.
        batch_axis: the axis that counts them.

    Raises:
        ShapeError: if the lengths are not a vector of the size of the batch axis.

    ONNX ReverseSequence-28.

    >>> import graphflow as gf
    >>> x, n = gf.placeholder("x", ("time", "batch", 8)), gf.placeholder("n", ("batch",), gf.int32)
    >>> gf.reverse_sequence(x, n).type
    float32[time, batch, 8]
    """
    size = x.shape[time_axis]
    places = np.arange(size)
    ends = np.minimum(lengths, np.array(size, np.uint64 if lengths.dtype.kind == "u" else np.int64))
    ends = np.maximum(ends, 0).astype(np.int64)[:, None]
    order = np.where(places < ends, ends - 1 - places, places)
    wide = tuple(size if place in (time_axis, batch_axis) else 1 for place, size in enumerate(x.shape))
    order = (order if batch_axis < time_axis else order.T).reshape(wide)
    return np.take_along_axis(x, order, time_axis)


@reverse_sequence.gradient
def _(b, node, g):
    return [b.reverse_sequence(g, node.inputs[1], **node.attrs), None]


@reverse_sequence.decomposition
def _(b, node):
    x, lengths = node.inputs
    time, batch = node.attrs["time_axis"], node.attrs["batch_axis"]
    if lengths.dtype.kind == "uint":
        lengths = b.minimum(lengths, np.iinfo(lengths.dtype.numpy).max >> 1)
    wide = b.astype(lengths, dtype=int64)
    size = b.tensor(x.shape[time], dtype=int64)
    wide = b.maximum(b.minimum(wide, size), 0)
    ends = b.reshape(wide, shape=_column(x.shape, batch))
    places = b.reshape(b.iota(size=x.shape[time], dtype=int64), shape=_column(x.shape, time))
    order = b.where(b.less(places, ends), b.subtract(b.subtract(ends, 1), places), places)
    return [b.take_along_axis(x, b.broadcast_to(order, shape=x.shape), axis=time)]


def _column(shape, axis):
    return tuple(size if place == axis else 1 for place, size in enumerate(shape))

"""Unpooling: values put back at the places where a pooling found its maxima, among zeros.

With m the unpooling by some indices, `max_unpool_gradient` is its transpose; both are linear, so
they are each other's derivatives. Where several values have one place the last of them stays, and
the others have no derivative.
"""

from __future__ import annotations

from math import prod

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops.indexing import require_indices
from graphflow.ops.windows import unify_shapes


def _unpool_attrs(types, attrs):
    return {"output_shape": as_shape(attrs["output_shape"])}


def _unpool_type(types, attrs):
    x, indices = types
    require_indices(indices, "max_unpool")
    unify_shapes(indices.shape, x.shape, "max_unpool needs an index for each element")
    return (TensorType(x.dtype, attrs["output_shape"]),)


def last_places(indices, size):
    """For each element of a flat result the position of the last index that names it, or -1."""
    flat = indices.reshape(-1)
    used = (flat >= 0) & (flat < size)
    sources = np.full(size, -1, np.int64)
    np.maximum.at(sources, flat[used].astype(np.int64), np.flatnonzero(used))
    return sources


@op("pooling", infer=_unpool_type, normalize=_unpool_attrs)
def max_unpool(x, indices, /, output_shape):
    """The elements of x at the places of a flattened result that indices name; zeros elsewhere.

    Indices that lie outside of the result are ignored; of several equal ones the last counts.

    Arguments:
        x: a tensor of any dtype.
        indices: integers of the shape of x: positions in the flattened result.
        output_shape: the shape of the result.

    Source: ONNX MaxUnpool-22.

    >>> import graphflow as gf
    >>> x, indices = gf.placeholder("x", (1, 1, 2)), gf.constant([[[1, 3]]])
    >>> gf.ops.unpooling.max_unpool(x, indices, output_shape=(1, 1, 4)).type
    float32[1, 1, 4]
    """
    size = prod(output_shape)
    sources = last_places(indices, size)
    result = np.zeros(size, x.dtype)
    result[sources >= 0] = x.reshape(-1)[sources[sources >= 0]]
    return result.reshape(output_shape)


@max_unpool.gradient
def _(b, node, g):
    return [b.max_unpool_gradient(g, node.inputs[1]), None]


def _unpool_gradient_type(types, attrs):
    g, indices = types
    require_indices(indices, "max_unpool_gradient")
    return (TensorType(g.dtype, indices.shape),)


@op("pooling", infer=_unpool_gradient_type)
def max_unpool_gradient(g, indices, /):
    """The gradient of `max_unpool`: dx[i] = g[indices[i]] of the flattened g, 0 where i does not count.

    Arguments:
        g: the cotangent of the result.
        indices: those of the unpooling.

    Returns:
        a tensor of the shape of the indices.

    >>> import graphflow as gf
    >>> g, indices = gf.placeholder("g", (1, 1, 4)), gf.constant([[[1, 3]]])
    >>> gf.ops.unpooling.max_unpool_gradient(g, indices).type
    float32[1, 1, 2]
    """
    sources = last_places(indices, g.size)
    result = np.zeros(indices.size, g.dtype)
    result[sources[sources >= 0]] = g.reshape(-1)[sources >= 0]
    return result.reshape(indices.shape)


@max_unpool_gradient.gradient
def _(b, node, u):
    return [b.max_unpool(u, node.inputs[1], output_shape=node.inputs[0].shape), None]

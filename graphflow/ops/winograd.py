"""Winograd's convolution: 3x3 kernels with 2.25 or 4 times fewer products, at the price of some digits.

F(m, 3) computes m places of a row from m + 2 elements by m + 2 products instead of 3 m:

    y = A^T ((G w) (.) (B^T x))

and a tile of m x m places by (m + 2)^2 products for each pair of channels, by the same matrices on rows
and columns. Summed over channels, the products of all tiles are (m + 2)^2 products of matrices. G w is
computed once for weights that do not change.

Within a tile NaN and infinities spread: an infinite or NaN element of x may make all m x m places NaN that
share its tile. Where x and w are finite, so is the result, unless it comes near the largest number. Errors
beside the largest magnitude of the result are about 1e-6 for m = 2 and 1e-5 for m = 4 in float32.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015).
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import only, require
from graphflow.ops.precision import wide
from graphflow.ops.windows import canonical_padding, output_sizes, unify_shapes

KERNEL = (3, 3)
_ONES = (1, 1)

INPUT = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    4: (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
}
"""B^T by m."""

WEIGHTS = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
}
"""G by m."""

OUTPUT = {
    2: ((1, 1, 1, 0), (0, 1, -1, -1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}
"""A^T by m."""


def weight_matrix(tile):
    """The matrix [(tile + 2)^2, 9] that brings 3x3 kernels to what Winograd's convolution multiplies with.

    >>> weight_matrix(2).shape
    (16, 9)
    """
    made = np.asarray(WEIGHTS[tile], np.float64)
    return np.kron(made, made)


def transformed_weights(w, tile):
    """G w G^T of kernels [3, 3, channels, out channels]: [(tile + 2)^2, channels, out channels] of w's dtype.

    >>> transformed_weights(np.ones((3, 3, 2, 5), np.float32), 2).shape
    (16, 2, 5)
    """
    made = weight_matrix(tile) @ np.asarray(w, np.float64).reshape(9, -1)
    return made.reshape(-1, *w.shape[2:]).astype(w.dtype)


def tiles(size, tile):
    """How many tiles cover an axis of so many places.

    >>> tiles(7, 4)
    2
    """
    return (size + tile - 1) // tile


def tiling(shape, tile, padding):
    """How tiles cover an image: sizes of the result, numbers of tiles, and pads for all axes of the image.

    >>> tiling((1, 5, 4, 3), 4, ((1, 1), (0, 0)))
    ((5, 2), (2, 1), ((0, 0), (1, 4), (0, 2), (0, 0)))
    """
    sizes = tuple([size + sum(pair) - 2 for size, pair in zip(shape[1:3], padding)])
    counts = tuple([tiles(size, tile) for size in sizes])
    pads = [
        (before, count * tile + 2 - size - before)
        for size, (before, _), count in zip(shape[1:3], padding, counts)
    ]
    return sizes, counts, ((0, 0), *pads, (0, 0))


def _normalize(types, attrs):
    if attrs["tile"] not in INPUT or isinstance(attrs["tile"], bool):
        raise AttributeValueError(f"winograd_conv got tile={attrs['tile']!r:.80}", hint="use 2 or 4")
    require(types[0].rank == 4, f"winograd_conv needs an image of rank 4, not {types[0].rank}")
    geometry = (types[0].shape[1:3], KERNEL, _ONES, _ONES)
    return {**attrs, "padding": canonical_padding(attrs["padding"], *geometry, "winograd_conv")}


def _type(types, attrs):
    x, u = types
    require(u.rank == 3, f"winograd_conv needs transformed weights of rank 3, not {u.rank}")
    unify_shapes(
        u.shape[:2],
        ((attrs["tile"] + 2) ** 2, x.shape[3]),
        "winograd_conv: the weights do not fit the tile and the channels",
    )
    sizes = output_sizes(x.shape[1:3], KERNEL, _ONES, attrs["padding"], _ONES, "winograd_conv")
    return (TensorType(x.dtype, (x.shape[0], *sizes, u.shape[2])),)


@op(
    "conv",
    infer=only("float", _type, "winograd_conv"),
    normalize=_normalize,
    promotion="same",
    traits="contraction",
)
@wide
def winograd_conv(x, u, /, tile=2, padding=0):
    """The convolution with 3x3 kernels, channels last, from transformed weights: y = A^T (u (.) (B^T x B)) A.

    It is `channels_last_conv` with strides, dilation and groups 1, up to rounding and the spreading of
    NaN and infinities that the module tells of.

    Arguments:
        x: floats of shape [batch, height, width, channels].
        u: G w G^T, of shape [(tile + 2)^2, channels, out channels]; see `transformed_weights`.
        tile: how many places of a row are computed together, 2 or 4.
        padding: see `conv`.

    Returns:
        [batch, *positions, out channels].

    Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015).

    >>> import graphflow as gf
    >>> x, u = gf.placeholder("x", ("batch", 8, 8, 3)), gf.placeholder("u", (16, 3, 5))
    >>> gf.ops.winograd.winograd_conv(x, u, padding="same").type
    float32[batch, 8, 8, 5]
    """
    (rows, columns), counts, pads = tiling(x.shape, tile, padding)
    padded = np.pad(x, pads)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (tile + 2, tile + 2), (1, 2))
    held = windows[:, ::tile, ::tile]  # batch, tiles, tiles, channels, places, places
    into, back = np.asarray(INPUT[tile], x.dtype), np.asarray(OUTPUT[tile], x.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        given = np.einsum("ai,bj,nhwcij->abnhwc", into, into, held, optimize=True)
        products = given.reshape((tile + 2) ** 2, -1, x.shape[3]) @ u
        products = products.reshape(tile + 2, tile + 2, x.shape[0], *counts, u.shape[2])
        made = np.einsum("pa,qb,abnhwo->nhpwqo", back, back, products, optimize=True)
    whole = made.reshape(x.shape[0], counts[0] * tile, counts[1] * tile, u.shape[2])
    return np.ascontiguousarray(whole[:, :rows, :columns])


winograd_conv.not_differentiable(
    "the optimizer makes it when gradients have been taken; differentiate conv instead"
)


@winograd_conv.decomposition
def _(b, node):
    """The same by products with Kronecker products of the matrices, on patches."""
    (x, u), tile = node.inputs, node.attrs["tile"]
    side, (batch, *_, channels), outputs = tile + 2, x.shape, u.shape[2]
    sizes, counts, pads = tiling(x.shape, tile, node.attrs["padding"])
    places = dims.product(counts)
    image = b.permute_dims(b.pad(x, pads=pads), axes=(0, 3, 1, 2))
    patches = b.im2col(image, window=(side, side), strides=(tile, tile))
    patches = b.reshape(patches, shape=(batch, channels, side * side, places))
    into, back = [
        b.constant(value=np.kron(table[tile], table[tile]).astype(x.dtype.numpy)) for table in (INPUT, OUTPUT)
    ]
    given = b.permute_dims(b.matmul(into, patches), axes=(2, 0, 3, 1))
    rows = b.reshape(given, shape=(side * side, batch * places, channels))
    products = b.reshape(b.matmul(rows, u), shape=(side * side, batch, places, outputs))
    made = b.matmul(back, b.permute_dims(products, axes=(1, 2, 0, 3)))
    made = b.permute_dims(
        b.reshape(made, shape=(batch, *counts, tile, tile, outputs)), axes=(0, 1, 3, 2, 4, 5)
    )
    whole = b.reshape(made, shape=(batch, *[count * tile for count in counts], outputs))
    return [b.slice(whole, starts=(0, 0), stops=sizes, axes=(1, 2))]


def transformed(b, w, tile):
    """`transformed_weights` in a graph, for kernels that are not constant."""
    matrix = b.constant(value=weight_matrix(tile).astype(w.dtype.numpy))
    flat = b.reshape(w, shape=(9, dims.product(w.shape[2:])))
    return b.reshape(b.matmul(matrix, flat), shape=((tile + 2) ** 2, *w.shape[2:]))

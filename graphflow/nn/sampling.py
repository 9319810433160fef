"""Spatial transformers: affine grids of positions, and images sampled at the positions of a grid."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, int64
from graphflow.ir.node import Tensor
from graphflow.ir.types import as_shape
from graphflow.nn.places import Places, around, cast, clamped, inside, read
from graphflow.nn.precision import wide
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import entries, require, show
from graphflow.ops.rearrange import unstack
from graphflow.ops.resize import one_of
from graphflow.ops.taps import MODES
from graphflow.ops.windows import unify_shapes

PADDINGS = ("zeros", "border", "reflection")


@composite
def grid_sample(
    x: Any, grid: Any, mode: str = "linear", padding_mode: str = "zeros", align_corners: bool = False
) -> Tensor:
    """Images read at the positions of a grid: y[n, c, p] = x[n, c, at grid[n, p]], interpolated.

    Positions go from -1 to 1 over an axis; they name its last axis first: (x, y) for images, (x, y, z)
    for volumes. The derivatives by x and by the grid are those of the interpolation (zero by the grid for
    "nearest").

    Arguments:
        x: [batch, channels, *spatial], 1 to 3 spatial axes; floats, or anything for "nearest".
        grid: floats [batch, *positions, spatial axes], as many axes of positions as there are spatial axes.
        mode: "linear", "nearest" (the even place in the middle of two) or "cubic" (a = -0.75).
        padding_mode: what lies outside: "zeros", what is on the "border", or a "reflection" of the image.
        align_corners: whether -1 and 1 are the centres of the outermost places, or the ends of the image.

    Returns:
        [batch, channels, *positions].

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or modes do not fit.

    ONNX GridSample-22; Jaderberg et al., "Spatial transformer networks" (2015).

    >>> import graphflow as gf
    >>> x, grid = gf.placeholder("x", ("n", 3, 32, 32)), gf.placeholder("grid", ("n", 20, 24, 2))
    >>> gf.nn.grid_sample(x, grid).type
    float32[n, 3, 20, 24]
    """
    b, (x, grid) = with_tensors(x, grid)
    one_of(mode, MODES, "mode")
    one_of(padding_mode, PADDINGS, "padding_mode")
    flag(align_corners, "align_corners")
    _check(x, grid, mode)
    sizes, kind = x.shape[2:], x.dtype
    parts = unstack(wide(b, grid), axis=-1)[::-1]
    image = b.reshape(b.iota(size=x.shape[0], dtype=int64), shape=(x.shape[0], *[1] * len(sizes)))
    places: list[Places] = []
    visible = None
    for part, size in zip(parts, sizes):
        axis = _Axis(b, size, part.dtype, padding_mode, align_corners)
        at = axis.positions(part)
        if mode != "nearest":
            places.append(around(b, axis.moved(at), mode, axis.place))
            continue
        found, seen = axis.place(axis.moved(b.round(at)))
        places.append(Places(b.expand_dims(found, axis=-1), None))
        if seen is not None:
            visible = seen if visible is None else b.logical_and(visible, seen)
    made = read(b, x if mode == "nearest" else wide(b, x), image, places)
    if visible is not None:
        made = b.where(b.expand_dims(visible, axis=-1), made, b.like(0, made))
    return cast(b, b.permute_dims(made, axes=(0, made.ndim - 1, *range(1, made.ndim - 1))), kind)


def flag(value: Any, what: str) -> None:
    """Refuse what is no bool."""
    if not isinstance(value, bool):
        raise AttributeValueError(f"{what} is True or False, not {value!r:.80}")


def _check(x: Tensor, grid: Tensor, mode: str) -> None:
    require(
        3 <= x.ndim <= 5,
        f"grid_sample needs images of batch, channels and 1 to 3 spatial axes, not of shape {show(x.shape)}",
    )
    require(
        grid.ndim == x.ndim and grid.shape[-1] == x.ndim - 2,
        f"grid_sample needs a grid of batch, {x.ndim - 2} axes of positions and a last axis of {x.ndim - 2} "
        f"for images of shape {show(x.shape)}, not {show(grid.shape)}",
    )
    unify_shapes(x.shape[:1], grid.shape[:1], "grid_sample got images and grids of different numbers")
    if not grid.dtype.is_floating:
        raise DTypeError(f"grid_sample needs floats as grid, not {grid.dtype}", hint="use gf.astype")
    if mode != "nearest" and not x.dtype.is_floating:
        raise DTypeError(f"{mode} sampling does not take {x.dtype}", hint="use floats, or mode='nearest'")


class _Axis:
    """One spatial axis: where it ends, and what is beyond."""

    def __init__(self, b: Builder, size: Size, dtype: DType, padding: str, aligned: bool) -> None:
        self.b, self.size, self.padding, self.aligned = b, size, padding, aligned
        self.start = 0.0 if aligned else -0.5
        self.end = b.subtract(b.scalar(size - 1, dtype), self.start)

    def positions(self, part: Tensor) -> Tensor:
        """Positions from -1 to 1, in places of the axis."""
        b, grown = self.b, self.b.add(part, 1)
        if self.aligned:
            return b.multiply(b.multiply(grown, 0.5), self.size - 1)
        return b.multiply(b.subtract(b.multiply(grown, self.size), 1), 0.5)

    def moved(self, at: Tensor) -> Tensor:
        """The positions, those beyond the ends clamped or reflected where the padding asks for it."""
        b = self.b
        if self.padding == "zeros":
            return at
        beyond = clamped(b, at, self.size) if self.padding == "border" else self.reflected(at)
        return b.where(inside(b, at, self.start, self.end), at, beyond)

    def reflected(self, at: Tensor) -> Tensor:
        """Positions mirrored at the ends of the axis, as often as it takes."""
        b = self.b
        span = b.maximum(b.multiply(b.subtract(self.end, self.start), 2), 1)
        away = b.remainder(b.abs(b.subtract(at, self.start)), span)
        return b.add(b.minimum(away, b.subtract(span, away)), self.start)

    def place(self, at: Tensor) -> tuple[Tensor, Tensor | None]:
        """Which place of the axis a whole position means, and whether it counts, if not all do."""
        b = self.b
        seen = inside(b, at, 0, self.size - 1) if self.padding == "zeros" else None
        at = self.reflected(at) if self.padding == "reflection" else at
        return clamped(b, at, self.size), seen


@composite
def affine_grid(theta: Any, size: Any, align_corners: bool = False) -> Tensor:
    """The grid of positions that an affine map makes of a regular one: g[n, p] = theta[n] (p, 1).

    p are the centres of the places of an image of that size, each axis going from -1 to 1, (x, y) for
    images and (x, y, z) for volumes; `grid_sample` reads another image there.

    Arguments:
        theta: matrices, floats [batch, 2, 3] for images or [batch, 3, 4] for volumes.
        size: the sizes of the spatial axes, symbolic too; or all of an image, (batch, channels, *spatial).
        align_corners: whether -1 and 1 are the centres of the outermost places, or the ends of the image.

    Returns:
        [batch, *spatial, 2 or 3].

    Raises:
        ShapeError, DTypeError: if theta and the size do not fit.

    ONNX AffineGrid-20; Jaderberg et al., "Spatial transformer networks" (2015).

    >>> import graphflow as gf
    >>> gf.nn.affine_grid(gf.placeholder("theta", ("n", 2, 3)), (20, 24)).type
    float32[n, 20, 24, 2]
    """
    b, theta = with_tensor(theta)
    flag(align_corners, "align_corners")
    count = theta.shape[1] if theta.ndim == 3 else 0
    require(
        count in (2, 3) and theta.shape[2] == count + 1,
        f"affine_grid needs matrices of shape [batch, 2, 3] or [batch, 3, 4], not {show(theta.shape)}",
    )
    if not theta.dtype.is_floating:
        raise DTypeError(f"affine_grid needs floats as theta, not {theta.dtype}", hint="use gf.astype")
    sizes = as_shape(entries(size))
    require(
        len(sizes) in (count, count + 2),
        f"affine_grid got the size {show(sizes)} for {count} spatial axes",
        f"pass {count} sizes, or {count + 2} with batch and channels",
    )
    if len(sizes) > count:
        unify_shapes(sizes[:1], theta.shape[:1], "affine_grid got a size and matrices of different batches")
        sizes = sizes[2:]
    matrix = wide(b, theta)
    columns = unstack(matrix, axis=2)
    made = None
    for column, axis in zip(columns, reversed(range(count))):
        centres = _centres(b, sizes[axis], matrix.dtype, align_corners)
        line = b.reshape(centres, shape=[-1 if place == axis else 1 for place in range(count)] + [1])
        part = b.multiply(b.reshape(column, shape=(theta.shape[0], *[1] * count, count)), line)
        made = part if made is None else b.add(made, part)
    shift = b.reshape(columns[-1], shape=(theta.shape[0], *[1] * count, count))
    return cast(b, b.add(made, shift), theta.dtype)


def _centres(b: Builder, size: Size, dtype: DType, aligned: bool) -> Tensor:
    """The centres of the places of an axis that goes from -1 to 1; 0 for a single place."""
    steps = b.multiply(b.iota(size=size, dtype=dtype), 2)
    whole = dims.maximum(size - 1, 1) if aligned else dims.maximum(size, 1)
    return b.divide(b.subtract(steps, size - 1), whole)

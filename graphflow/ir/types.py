"""Tensor types: an element type and a shape, interned so that equal types are the same object.

Interning makes comparing and hashing a type as cheap as an identity test, which is what keeps type
inference of a node, and finding its twin, at a few microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import DType

Shape: TypeAlias = tuple[Size, ...]

_interned: dict[tuple, TensorType] = {}


class TensorType:
    """The type of a tensor: `dtype` and `shape`, a tuple of ints and Dims.

    >>> from graphflow.ir.dtypes import float32
    >>> TensorType(float32, (Dim("batch"), 64))
    float32[batch, 64]
    """

    __slots__ = ("dtype", "shape", "is_static", "limits")
    dtype: DType
    shape: Shape
    is_static: bool
    limits: tuple

    def __new__(cls, dtype: DType, shape: Shape = ()) -> TensorType:
        found = _interned.get((dtype, shape))
        if found is not None and found.is_static:
            return found
        limits = tuple([size.limits if isinstance(size, Dim) else () for size in shape])
        if found is None or found.limits != limits:
            # Sizes are equal if their names are; types with other bounds (of another graph) stay apart.
            key = (dtype, shape) if found is None else (dtype, shape, limits)
            found = _interned.get(key) or _interned.setdefault(key, cls._make(dtype, shape, limits))
        return found

    @classmethod
    def _make(cls, dtype: DType, shape: Shape, limits: tuple) -> TensorType:
        if not isinstance(dtype, DType) or not isinstance(shape, tuple):
            raise DTypeError(
                f"{dtype!r:.40} and {shape!r:.80} make no type",
                hint="pass a DType such as gf.float32, and a tuple of sizes",
            )
        made = object.__new__(cls)
        made.dtype = dtype
        made.shape = shape
        made.is_static = not any(isinstance(size, Dim) for size in shape)
        made.limits = limits
        return made

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return dims.product(self.shape)

    @property
    def nbytes(self) -> Size:
        """The size in memory, in bytes."""
        return self.size * self.dtype.itemsize

    def substitute(self, values: Mapping[str, Size]) -> TensorType:
        """This type with symbolic sizes replaced."""
        if self.is_static:
            return self
        return TensorType(self.dtype, tuple(dims.substitute(size, values) for size in self.shape))

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"

    def __reduce__(self) -> tuple:
        return TensorType, (self.dtype, self.shape)


def as_shape(shape: Any, fresh: str | None = None) -> Shape:
    """A shape from what a user may write: an int, or a sequence of ints, names, Dims, None.

    Arguments:
        shape: what the user wrote.
        fresh: the prefix from which an unknown size (None) of axis i is named `<fresh>_<i>`;
            without it None is refused.

    >>> as_shape(("batch", None, 3), fresh="x")
    (batch, x_1, 3)
    """
    if isinstance(shape, (int, str, Dim)):
        shape = (shape,)
    if isinstance(shape, np.ndarray):
        shape = shape.tolist()
    if hasattr(shape, "known_value"):
        return as_shape(shape.known_value())
    if not isinstance(shape, Sequence):
        raise ShapeError(f"{shape!r:.80} is not a shape", hint="a shape is a tuple such as ('batch', 64)")
    sizes = tuple(shape)
    made = tuple(
        Dim(f"{fresh}_{axis}") if size is None and fresh is not None else dims.as_size(size)
        for axis, size in enumerate(sizes)
    )
    for axis, size in enumerate(made):
        if isinstance(size, int) and size < 0:
            raise ShapeError(
                f"axis {axis} of shape {made} has the negative size {size}",
                hint="use None or a name for a size that is not known yet",
            )
    return made

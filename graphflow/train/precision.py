"""In which type a variable is updated: float32 at least, whatever it is stored in.

In 16 bits the squares of gradients and Adam's epsilon would vanish, and small steps be lost.
"""

from __future__ import annotations

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType, float32
from graphflow.ir.node import Tensor


def working_dtype(dtype: DType) -> DType:
    """The type for what is computed and remembered of a variable of type `dtype`.

    >>> working_dtype(float32)
    float32
    """
    return float32 if dtype.itemsize < 4 else dtype


def cast(b: Builder, tensor: Tensor, dtype: DType) -> Tensor:
    """The tensor in another type; itself, without a node, if that is its type."""
    return tensor if tensor.dtype is dtype else b.astype(tensor, dtype=dtype)


def widened(b: Builder, tensor: Tensor) -> Tensor:
    """The tensor in its working type."""
    return cast(b, tensor, working_dtype(tensor.dtype))

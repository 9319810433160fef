"""How references treat 16-bit floats: computed in float32, and rounded once at the end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np


def is_half(dtype: np.dtype) -> bool:
    """Whether it is float16 or bfloat16 (which NumPy sees as raw bytes, kind "V").

    >>> is_half(np.dtype(np.float16)), is_half(np.dtype(np.int16))
    (True, False)
    """
    return dtype.itemsize == 2 and dtype.kind in "fV"


def wide(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A reference that sees float32 in place of 16-bit floats, and whose result is rounded back.

    >>> add_up = wide(lambda x: x.sum())
    >>> float(add_up(np.full(4096, 1.5, np.float16)))
    6144.0
    """

    @functools.wraps(reference)
    def computed(*arrays: np.ndarray, **attrs: Any) -> Any:
        dtype = arrays[0].dtype
        if not is_half(dtype):
            return reference(*arrays, **attrs)
        result = np.asarray(reference(*[array.astype(np.float32) for array in arrays], **attrs))
        return result.astype(dtype) if result.dtype == np.float32 else result

    return computed

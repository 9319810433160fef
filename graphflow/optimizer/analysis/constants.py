"""What a constant array is made of."""

from __future__ import annotations

from typing import Any

import numpy as np


def common_value(array: np.ndarray) -> Any:
    """The value of which all elements are copies to the bit; None if they differ, or there are none.

    >>> common_value(np.ones((2, 3), "float32")), common_value(np.array([0.0, -0.0]))
    (np.float32(1.0), None)
    """
    flat = array.reshape(-1)
    if flat.size == 0:
        return None
    first = flat[0]
    if flat.dtype.kind == "T":
        return first if (flat == first).all() else None
    if flat.size > 1:
        bits = np.ascontiguousarray(flat).view(np.uint8).reshape(flat.size, flat.itemsize)
        if (bits[-1] != bits[0]).any() or (bits != bits[0]).any():
            return None
    return first

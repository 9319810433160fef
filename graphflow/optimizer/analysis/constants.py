"""What a constant array is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

_PIECE = 1 << 18


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
        width = 8 if flat.itemsize % 8 == 0 else flat.itemsize
        words = np.ascontiguousarray(flat).view(f"u{width}").reshape(flat.size, -1)
        if (words[-1] != words[0]).any():
            return None
        # Piece by piece, since a comparison of all of them would need as much memory again.
        for start in range(0, len(words), _PIECE):
            if (words[start : start + _PIECE] != words[0]).any():
                return None
    return first

"""Read-only copies of arrays that begin at a multiple of 64 bytes, where XLA reads them as they lie.

NumPy begins the memory of large arrays 16 bytes behind such a place, and what lies there is copied once more
before a compiled program can read it. Files of GraphFlow's keep their arrays at such places, too.
"""

from __future__ import annotations

import numpy as np

ALIGNMENT = 64
_LARGE = 1 << 16  # bytes below which a second copy does not matter


class Sealed(np.ndarray):
    """Memory of an aligned copy, which nobody else has."""


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy that nobody can write to; aligned, if it is large.

    >>> copy = aligned_copy(np.ones((1000, 3000), np.float32).T)
    >>> copy.ctypes.data % 64, copy.flags.c_contiguous, copy.flags.writeable
    (0, True, False)
    """
    if array.nbytes < _LARGE or array.dtype.hasobject or array.dtype.kind == "T":
        copy = np.array(array, order="C", copy=True)
    else:
        memory = Sealed(array.nbytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        copy = np.ndarray(array.shape, array.dtype, memory, start)
        np.copyto(copy, array)
        memory.setflags(write=False)
    copy.setflags(write=False)
    return copy

"""Keep what computations free for the next ones, on request, instead of giving it back to the system.

XLA takes memory for results and temporary values in every run, and frees it. Of what is larger than 32 MiB,
and of what lies at the end of the heap, glibc gives the pages back at once; the next run gets them anew, each
cleared by the kernel when it is first written to. A step of a decoder that returns 75 MB of keys and values
spent a quarter of its time on that, an Inception-v2 of 8 images a tenth.

This tells glibc to keep freed memory in one heap, up to 2 GiB at its end. It holds for the whole process, all
that else runs in it too, so it is done only where GRAPHFLOW_KEEP_MEMORY is 1; and not where the environment
has settings for glibc already, or JAX runs already, as its threads then have heaps of their own.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache

VARIABLE = "GRAPHFLOW_KEEP_MEMORY"

SETTINGS = ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_",
             "MALLOC_TRIM_THRESHOLD_")  # fmt: skip

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""The numbers of the parameters in glibc's malloc.h."""

_KEPT = (1 << 31) - 1


@cache
def keep() -> bool:
    """Tell the C library once; whether it does so."""
    if os.environ.get(VARIABLE) != "1" or any([name in os.environ for name in SETTINGS]):
        return False
    if platform.libc_ver()[0] != "glibc" or _jax_runs():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # One heap, as those of threads hold 64 MiB at most, and larger requests bypass them.
    return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, _KEPT)])


def _jax_runs() -> bool:
    """Whether JAX has started its threads."""
    started = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", None)
    return bool(started and started())

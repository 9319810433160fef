"""Where a node comes from: the user's file and line, found at the cost of one frame.

Frames inside the package, and those of `with` blocks that end up in it, are skipped, so that an
origin is always the line a user wrote; the demo counts as a user. Origins are shared: one record a
(file, line).
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass

from graphflow.errors import GraphFlowError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DEMO = _PACKAGE + "demo.py"
_BETWEEN = contextlib.__file__


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of the user's program, and the name the node had in the model it was imported from.

    The line is 0 where no line made the node, only a file that a command was given.

    >>> str(Origin("/home/me/train.py", 12)), str(Origin("/home/me/net.onnx", 0, "conv1"))
    ('train.py:12', 'net.onnx (conv1)')
    """

    file: str
    line: int
    source_name: str | None = None

    def __str__(self) -> str:
        place = os.path.basename(self.file) + (f":{self.line}" if self.line else "")
        return place if self.source_name is None else f"{place} ({self.source_name})"


_inside: dict[str, bool] = {}
_origins: dict[tuple[str, int], Origin] = {}


def capture(depth: int = 1) -> Origin:
    """The nearest line outside the package, starting `depth` frames above the caller.

    >>> capture(0).line > 0
    True
    """
    frame = sys._getframe(depth + 1)
    while True:
        file = frame.f_code.co_filename
        inside = _inside.get(file)
        if inside is None:
            inside = is_inside(file)
        if not inside or frame.f_back is None:
            break
        frame = frame.f_back
    return origin_at(file, frame.f_lineno)


def is_inside(file: str) -> bool:
    """Whether a file is the package's own, so that no origin points to it."""
    inside = _inside[file] = file == _BETWEEN or (file.startswith(_PACKAGE) and file != _DEMO)
    return inside


def origin_at(file: str, line: int) -> Origin:
    """The shared record of a file and line."""
    key = (file, line)
    found = _origins.get(key)
    if found is None:
        found = _origins[key] = Origin(file, line)
    return found


GraphFlowError.find_running = staticmethod(capture)

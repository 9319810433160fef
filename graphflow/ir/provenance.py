"""Where a node comes from: the user's file and line, found at the cost of one frame.

Frames inside the package, those of `with` blocks that end up in it, of code that dataclasses write for
it, and of NumPy, are skipped, so that an origin is always the line a user wrote; the demo counts as a
user. Origins are shared: one record a (file, line).
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from dataclasses import dataclass
from types import FrameType

import numpy as np

from graphflow.errors import GraphFlowError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DEMO = _PACKAGE + "demo.py"
_BETWEEN = contextlib.__file__
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_GENERATED = "<string>"  # what `python -c` runs has this name, too


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
        if frame.f_back is None or not (inside or (file == _GENERATED and _is_of_package(frame))):
            break
        frame = frame.f_back
    return origin_at(file, frame.f_lineno)


def is_inside(file: str) -> bool:
    """Whether a file is the package's own, or NumPy's, so that no origin points to it."""
    own = file.startswith(_PACKAGE) and file != _DEMO
    inside = _inside[file] = file == _BETWEEN or own or file.startswith(_NUMPY)
    return inside


def _is_of_package(frame: FrameType) -> bool:
    """Whether code without a file was written for a class of the package, as a dataclass's __init__ is."""
    return str(frame.f_globals.get("__name__", "")).startswith("graphflow.")


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the user's program that is running."""
    origin = capture()
    warnings.warn_explicit(message, category, origin.file, origin.line)


def origin_at(file: str, line: int) -> Origin:
    """The shared record of a file and line."""
    key = (file, line)
    found = _origins.get(key)
    if found is None:
        found = _origins[key] = Origin(file, line)
    return found


GraphFlowError.find_running = staticmethod(capture)

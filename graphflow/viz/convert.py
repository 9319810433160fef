"""From SVG to PNG and PDF, by whichever converter there is: rsvg-convert or cairosvg."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from ctypes.util import find_library

from graphflow.errors import BackendError

_CAIRO = (
    "import sys, cairosvg\n"
    "draw = getattr(cairosvg, 'svg2' + sys.argv[1])\n"
    "draw(bytestring=sys.stdin.buffer.read(), write_to=sys.stdout.buffer, scale=float(sys.argv[2]))\n"
)
SCALE = 2
"""Pixels of a PNG for each of the SVG, so that it is sharp on screens with small ones."""


def converter(kind: str) -> list[str] | None:
    """The command that turns SVG into "png" or "pdf", from its input to its output; None if there is none."""
    scale = str(SCALE if kind == "png" else 1)
    program = shutil.which("rsvg-convert")
    if program is not None:
        return [program, "--format", kind, "--zoom", scale]
    # The package needs a library of the system, which its wheels do not bring along.
    if importlib.util.find_spec("cairosvg") is not None and find_library("cairo") is not None:
        return [sys.executable, "-c", _CAIRO, kind, scale]
    return None


def convert(command: list[str], document: str, timeout: float) -> bytes:
    """The picture that a converter makes of SVG.

    Raises:
        BackendError: if it fails, with its words.
    """
    try:
        done = subprocess.run(command, input=document.encode(), capture_output=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{command[0]} did not draw the picture: {error}", hint="write an .svg") from error
    if done.returncode or not done.stdout:
        said = " ".join(done.stderr.decode("utf-8", "replace").split()[:40])
        raise BackendError(f"{command[0]} failed: {said or done.returncode}", hint="write an .svg")
    return done.stdout

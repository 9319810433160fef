"""From SVG to PNG and PDF, by whichever converter there is: rsvg-convert or cairosvg."""

from __future__ import annotations

import importlib.util
import re
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

MOST_PIXELS = 32_000
"""Along a side: cairo draws no larger images."""
MOST_AREA = 200_000_000

_SIZE = re.compile(r'<svg [^>]*?width="([0-9.]+)" height="([0-9.]+)"')


def converter(kind: str) -> list[str] | None:
    """The command that turns SVG into "png" or "pdf", from its input to its output, but for the scale, which
    comes last; None if there is none."""
    program = shutil.which("rsvg-convert")
    if program is not None:
        return [program, "--format", kind, "--zoom"]
    # The package needs a library of the system, which its wheels do not bring along.
    if importlib.util.find_spec("cairosvg") is not None and find_library("cairo") is not None:
        return [sys.executable, "-c", _CAIRO, kind]
    return None


def convert(command: list[str], kind: str, document: str, timeout: float) -> bytes:
    """The picture that a converter makes of SVG; a smaller one where it would be too large for an image.

    Arguments:
        command: what `converter` gives for the kind.

    Raises:
        BackendError: if it fails, with its words.
    """
    scale = f"{fitting(document, SCALE if kind == 'png' else 1):.6g}"
    try:
        done = subprocess.run(
            [*command, scale], input=document.encode(), capture_output=True, timeout=timeout
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{command[0]} did not draw the picture: {error}", hint="write an .svg") from error
    if done.returncode or not done.stdout:
        said = " ".join(done.stderr.decode("utf-8", "replace").split()[:40])
        raise BackendError(f"{command[0]} failed: {said or done.returncode}", hint="write an .svg")
    return done.stdout


def fitting(document: str, scale: float) -> float:
    """The scale, or the largest at which the document is no larger than images can be."""
    found = _SIZE.search(document)
    if found is None:
        return scale
    width, height = float(found[1]), float(found[2])
    return min(scale, MOST_PIXELS / max(width, height, 1.0), (MOST_AREA / max(width * height, 1.0)) ** 0.5)

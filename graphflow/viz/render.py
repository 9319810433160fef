"""`render`: a picture in a file, by the best means there is: Graphviz, pygraphviz, or our own layout."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphflow.errors import BackendError, FileFormatError, GraphFlowError
from graphflow.files import atomic_write, checked_path, unwritable
from graphflow.viz.dot import dot_of
from graphflow.viz.picture import BUDGET, Picture, highlighted, picture
from graphflow.viz.select import select
from graphflow.viz.svg import to_svg

TIMEOUT = 20.0
_ATTEMPTS = 3
_FORMATS = ("svg", "png", "pdf", "dot")
_INSTALL = (
    "install Graphviz (apt-get install graphviz, brew install graphviz, or conda install graphviz), "
    "or pip install pygraphviz, which brings it along; .svg and .dot need neither"
)

# pygraphviz lays out inside its process and cannot be interrupted there, so it gets one of its own.
_PYGRAPHVIZ = (
    "import sys, pygraphviz\n"
    "graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode('utf-8'))\n"
    "sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog='dot'))\n"
)


class _TooSlow(Exception):
    """A renderer that did not finish in time."""


def render(
    source: Any,
    path: str | os.PathLike[str],
    budget: int = BUDGET,
    title: str | None = None,
    highlight: Iterable[Any] = (),
    timeout: float = TIMEOUT,
) -> Path:
    """Draw a graph into a file, whose ending says the format: .svg, .png, .pdf or .dot.

    The program `dot` draws it if there is one, else pygraphviz; without either an .svg is laid out
    by GraphFlow itself. If `dot` takes too long, the picture is collapsed further, with a warning.

    Arguments:
        source: a Graph, Program or Model, or tensors and Updates in any nest.
        path: the file to write; it appears whole or not at all.
        budget: the largest number of boxes.
        title: the heading; the graph's name by default.
        highlight: names, nodes or tensors to outline.
        timeout: seconds for one attempt of `dot`.

    Returns:
        The path.

    Raises:
        FileFormatError: for another ending, or if the file cannot be written.
        BackendError: if the format needs Graphviz and there is none; it says what to install.

    >>> import tempfile, graphflow as gf
    >>> folder = tempfile.mkdtemp()
    >>> render(gf.exp(gf.constant(1.0)), folder + "/g.svg").name
    'g.svg'
    """
    target = checked_path(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        raise FileFormatError(
            f"{target.name!r} does not end in a format that can be drawn",
            hint="use " + ", ".join(f".{one}" for one in _FORMATS),
        )
    _write(target, _drawn(source, kind, budget, title, highlighted(highlight), timeout))
    return target


def before_after(
    before: Any, after: Any, path: str | os.PathLike[str], budget: int = BUDGET, timeout: float = TIMEOUT
) -> Path:
    """Draw two graphs side by side into one .svg; nodes that only one of them has are outlined.

    Arguments:
        before, after: say, a program as extracted and as optimized.
        path: an .svg file.
        budget: the largest number of boxes of each.

    Returns:
        The path.

    >>> import tempfile, graphflow as gf
    >>> x = gf.constant(1.0)
    >>> before_after(gf.exp(x), gf.tanh(x), tempfile.mkdtemp() + "/both.svg").suffix
    '.svg'
    """
    target = checked_path(path)
    if target.suffix.lower() != ".svg":
        raise FileFormatError(
            f"{target.name!r} is no .svg file", hint="draw the two graphs by render() instead"
        )
    names = [{node.name for node in select(source).nodes} for source in (before, after)]
    drawn = []
    for heading, source, own, other in (("before", before, *names), ("after", after, *reversed(names))):
        title = f"{heading}: {select(source).name}"
        drawn.append(
            _drawn(source, "svg", budget, title, tuple(sorted(own - other)), timeout).decode("utf-8")
        )
    _write(target, _side_by_side(*drawn).encode("utf-8"))
    return target


def _drawn(
    source: Any, kind: str, budget: int, title: str | None, highlight: tuple[Any, ...], timeout: float
) -> bytes:
    drawing = picture(source, budget, title, highlight)
    if kind == "dot":
        return dot_of(drawing).source.encode("utf-8")
    command = _renderer(kind)
    if command is None:
        if kind == "svg":
            return to_svg(drawing).encode("utf-8")
        raise BackendError(f"a .{kind} picture needs Graphviz, which is not installed", hint=_INSTALL)
    for _ in range(_ATTEMPTS):
        try:
            return _run(command, drawing, timeout)
        except _TooSlow:
            boxes = max(1, drawing.visible // 2)
            note = f"collapsed further, since dot did not finish {drawing.visible} boxes in {timeout:g} s"
            warnings.warn(f"the picture was {note}", stacklevel=3)
            drawing = picture(source, boxes, title, highlight, note)
    if kind == "svg":
        return to_svg(drawing).encode("utf-8")
    raise BackendError(
        f"dot did not finish the picture in {timeout:g} s, nor smaller ones of it",
        hint="give a smaller budget, or write an .svg, which GraphFlow can lay out itself",
    )


def _renderer(kind: str) -> list[str] | None:
    """The command that turns DOT source into a format, or None if there is no Graphviz of any kind."""
    if importlib.util.find_spec("graphviz") is None:
        return None
    program = shutil.which("dot")
    if program is not None:
        return [program, f"-T{kind}"]
    if importlib.util.find_spec("pygraphviz") is not None:
        return [sys.executable, "-c", _PYGRAPHVIZ, kind]
    return None


def _run(command: list[str], drawing: Picture, timeout: float) -> bytes:
    source = dot_of(drawing).source.encode("utf-8")
    try:
        done = subprocess.run(command, input=source, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise _TooSlow from None
    except OSError as error:
        raise BackendError(f"{command[0]} cannot be started: {error}", hint=_INSTALL) from error
    if done.returncode or not done.stdout:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[:3]
        raise BackendError(
            f"{Path(command[0]).name} failed: {' '.join(reason) or f'exit status {done.returncode}'}",
            hint="write a .dot file to see its input",
        )
    return done.stdout


def _side_by_side(left: str, right: str) -> str:
    """One SVG with two others inside."""
    drawings = []
    x, height = 0.0, 0.0
    for text in (left, right):
        inner = text[text.index("<svg") :]
        size = re.match(r'<svg[^>]*?width="([\d.]+)(\w*)"[^>]*?height="([\d.]+)', inner, re.DOTALL)
        if size is None:
            raise GraphFlowError(
                "the drawn SVG does not say its size", hint="draw the two graphs by render()"
            )
        # Without a unit, so that all three speak of the same one.
        plain = re.sub(r'(width|height)="([\d.]+)\w+"', r'\1="\2"', inner[: inner.index(">")], count=2)
        drawings.append(f'<svg x="{x:g}" {plain.removeprefix("<svg")}{inner[inner.index(">") :]}')
        x += float(size[1]) + 40
        height = max(height, float(size[3]))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{x - 40:g}" height="{height:g}" viewBox="0 0 {x - 40:g} {height:g}">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(drawings)}</svg>\n'
    )


def _write(target: Path, content: bytes) -> None:
    """Write a picture at once, making its folder if need be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    with atomic_write(target) as file:
        file.write(content)

"""`render`: a graph as a file, whose ending says the format."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphflow.errors import AttributeValueError, BackendError, FileFormatError
from graphflow.files import atomic_write, checked_path, unwritable
from graphflow.session.profile import Profile
from graphflow.viz.convert import convert, converter
from graphflow.viz.dot import dot_of
from graphflow.viz.mermaid import mermaid_of
from graphflow.viz.model_explorer import model_explorer_text
from graphflow.viz.picture import BUDGET, Picture, highlighted, picture
from graphflow.viz.run_graphviz import INSTALL, TooSlow, renderer, run_graphviz
from graphflow.viz.svg import to_svg

TIMEOUT = 20.0
_ATTEMPTS = 3
FORMATS = {
    "svg": "svg",
    "png": "png",
    "pdf": "pdf",
    "dot": "dot",
    "gv": "dot",
    "mmd": "mermaid",
    "mermaid": "mermaid",
    "json": "model-explorer",
}
"""The format of each ending."""

ENGINES = ("auto", "own", "graphviz")


def render(
    source: Any,
    path: str | os.PathLike[str],
    budget: int = BUDGET,
    title: str | None = None,
    highlight: Iterable[Any] = (),
    timeout: float = TIMEOUT,
    *,
    color: Any = "family",
    depth: int | None = None,
    repeats: bool = True,
    weights: bool = True,
    format: str = "",
    engine: str = "auto",
) -> Path:
    """Draw a graph into a file: .svg, .png, .pdf, .dot, .mmd (Mermaid) or .json (for Model Explorer).

    Arguments:
        source: a Graph, Program or Model, or tensors and Updates in any nest.
        path: the file to write; it appears whole or not at all.
        budget: the largest number of boxes; scopes are collapsed to keep to it.
        title: the heading; the graph's name by default.
        highlight: names, nodes or tensors to outline.
        timeout: seconds for one attempt of Graphviz. If it takes longer, the picture is collapsed further,
            with a warning.
        color: what the colours tell: "family" of operators, "dtype", "bytes" or "flops" of each node,
            "target:NAME" (whether that backend can run it), a Profile of `sess.profile` (time), or a mapping
            from node names to numbers.
        depth: how many levels of scopes are opened at most; as many as the budget allows by default.
        repeats: whether blocks that repeat are drawn once, with their number.
        weights: whether weights that one node alone reads are written into its box.
        format: "svg", "png", "pdf", "dot", "mermaid" or "model-explorer"; by default the ending says it.
        engine: "own" lays out by itself, "graphviz" by `dot` or pygraphviz. "auto" is "own" for an .svg;
            for a .png or .pdf it is "own" where cairosvg or rsvg-convert can turn that into pixels, else
            "graphviz".

    Returns:
        The path.

    Raises:
        FileFormatError: for another ending, or if the file cannot be written.
        BackendError: if the format needs a program that is not there; it says what to install.
        AttributeValueError: for an argument that is none of these.

    >>> import tempfile, graphflow as gf
    >>> folder = tempfile.mkdtemp()
    >>> render(gf.exp(gf.constant(1.0)), folder + "/g.svg").name
    'g.svg'
    """
    target = checked_path(path)
    kind = _kind(target, format)
    if engine not in ENGINES:
        raise AttributeValueError(f"there is no engine {engine!r:.40}", hint="use " + ", ".join(ENGINES))
    if kind == "model-explorer":
        profile = color if isinstance(color, Profile) else None
        content = model_explorer_text(source, title, profile).encode("utf-8")
    else:
        options = {"color": color, "depth": depth, "repeats": repeats, "weights": weights}
        content = drawn(source, kind, budget, title, highlighted(highlight), timeout, engine, options)
    write(target, content)
    return target


def _kind(target: Path, format: str) -> str:
    """The format that the argument or the ending names."""
    kind = format or FORMATS.get(target.suffix.lower().removeprefix("."), "")
    if kind in FORMATS.values():
        return kind
    if format:
        raise FileFormatError(
            f"there is no format {format!r:.40}", hint="use " + ", ".join(dict.fromkeys(FORMATS.values()))
        )
    raise FileFormatError(
        f"{target.name!r} does not end in a format that can be drawn",
        hint="use " + ", ".join(f".{one}" for one in FORMATS),
    )


def drawn(
    source: Any,
    kind: str,
    budget: int,
    title: str | None,
    highlight: tuple[Any, ...],
    timeout: float,
    engine: str,
    options: dict[str, Any],
) -> bytes:
    """The content of a picture's file."""
    drawing = picture(source, budget, title, highlight, **options)
    if kind == "dot":
        return dot_of(drawing).source.encode("utf-8")
    if kind == "mermaid":
        return mermaid_of(drawing).encode("utf-8")
    command = renderer(kind)
    if engine == "own" or (engine == "auto" and (kind == "svg" or converter(kind) is not None)):
        return _by_ourselves(drawing, kind, timeout)
    if command is None:
        raise BackendError(f"a .{kind} picture needs Graphviz, which is not installed", hint=INSTALL)
    for _ in range(_ATTEMPTS):
        try:
            return run_graphviz(command, drawing, timeout)
        except TooSlow:
            boxes = max(1, drawing.visible // 2)
            note = f"collapsed further, since dot did not finish {drawing.visible} boxes in {timeout:g} s"
            warnings.warn(f"the picture was {note}", stacklevel=3)
            drawing = picture(source, boxes, title, highlight, note, **options)
    if kind == "svg":
        return to_svg(drawing).encode("utf-8")
    raise BackendError(
        f"dot did not finish the picture in {timeout:g} s, nor smaller ones of it",
        hint='give a smaller budget, or write an .svg with engine="own"',
    )


def _by_ourselves(drawing: Picture, kind: str, timeout: float) -> bytes:
    document = to_svg(drawing)
    if kind == "svg":
        return document.encode("utf-8")
    command = converter(kind)
    if command is None:
        raise BackendError(
            f"a .{kind} of our own layout needs a program that converts SVG, and there is none",
            hint="pip install cairosvg, apt-get install librsvg2-bin, or write an .svg",
        )
    return convert(command, kind, document, timeout)


def write(target: Path, content: bytes) -> None:
    """Write a picture at once, making its folder if need be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    with atomic_write(target) as file:
        file.write(content)

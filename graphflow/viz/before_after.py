"""Before and after: two graphs side by side with what became of each node, or what a pass did."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.files import checked_path
from graphflow.optimizer.explain import Report
from graphflow.optimizer.journal import Entry
from graphflow.optimizer.replay import pass_programs
from graphflow.viz import colors
from graphflow.viz.coloring import ByNote
from graphflow.viz.colors import Paint
from graphflow.viz.picture import BUDGET, picture
from graphflow.viz.render import write
from graphflow.viz.select import select
from graphflow.viz.svg import to_svg

FOLDED = Paint("folded", "#cfe4f5", "#0072b2", "#404040")
MERGED = Paint("merged", "#e5dcf5", "#6b4fa8", "#404040")
REWRITTEN = Paint("rewritten", "#fde5bd", "#a86500", "#404040")
REMOVED = Paint("removed", "#fbd5d5", "#b5121b", "#404040")
ADDED = Paint("new", "#d3f0dd", "#00753f", "#404040")
FUSED = Paint("fused into one loop", "#f0e9fb", "#7a3fb0", "#404040")
KEPT = Paint("unchanged", "#fafafa", "#8c8c8c")

_FATES = {"replace": REWRITTEN, "merge": MERGED, "fold": FOLDED, "erase": REMOVED, "insert": REWRITTEN}
_GAP = 32.0


def before_after(
    before: Any, after: Any, path: str | os.PathLike[str], budget: int = BUDGET, title: str = ""
) -> Path:
    """Draw two graphs side by side into one .svg; nodes that only one of them has are coloured.

    Arguments:
        before, after: say, a program as extracted and as optimized.
        path: an .svg file.
        budget: the largest number of boxes of each.
        title: what the two are, before the words "before" and "after".

    Returns:
        The path.

    >>> import tempfile, graphflow as gf
    >>> x = gf.constant(1.0)
    >>> before_after(gf.exp(x), gf.tanh(x), tempfile.mkdtemp() + "/both.svg").suffix
    '.svg'
    """
    names = [{node.name for node in select(source).nodes} for source in (before, after)]
    gone: dict[str, tuple[Paint, str]] = {name: (REMOVED, "") for name in names[0] - names[1]}
    new: dict[str, tuple[Paint, str]] = {name: (ADDED, "") for name in names[1] - names[0]}
    return _draw(path, (before, after), (gone, new), (title or select(before).name, ""), budget)


def draw_pass(
    report: Report, path: str | os.PathLike[str], pass_name: str = "", budget: int = BUDGET
) -> Path:
    """Draw what a pass did: the program before and after it, coloured by what became of each node.

    On the left nodes are folded into constants, merged with equal ones, rewritten by a rule, or removed
    because nobody needs them; on the right they are new, or fused into one loop with others. Each box names
    the rule. Edits inside of bodies are drawn at the node that has the body.

    Arguments:
        report: of `sess.explain(fetches)` or `model.report`.
        path: an .svg file.
        pass_name: a pass that ran; all of them together by default.
        budget: the largest number of boxes of each side.

    Returns:
        The path.

    Raises:
        GraphFlowError: if no such pass ran, or the journal kept counts only.

    >>> import tempfile, graphflow as gf
    >>> x = gf.placeholder("x", (3,))
    >>> report = gf.Session(backend="numpy").explain(gf.log(gf.nn.softmax(x)))
    >>> draw_pass(report, tempfile.mkdtemp() + "/pass.svg").suffix
    '.svg'
    """
    entries, before, after = pass_programs(report, pass_name)
    left = {node.name for node in before.order()}
    right = {node.name for node in after.order()}
    gone = _fates(entries, left - right)
    made = {
        name: entry.rule for entry in entries for name in entry.added if name in right and name not in left
    }
    new: dict[str, tuple[Paint, str]] = {name: (ADDED, f"by {rule}") for name, rule in made.items()}
    new.update({name: (ADDED, "") for name in right - left - new.keys()})
    for region in after.regions if not before.regions else ():
        new = {node.name: (FUSED, "") for node in region.nodes} | new
    what = pass_name or report.label or "the optimizer"
    counts = Counter(paint.label for paint, _ in [*gone.values(), *new.values()])
    told = ", ".join(f"{number} {label}" for label, number in counts.items()) or "nothing changed"
    return _draw(path, (before, after), (gone, new), (what, told), budget)


def _fates(entries: Iterable[Entry], gone: set[str]) -> dict[str, tuple[Paint, str]]:
    """What became of each removed node, and by which rule; what goes along with another is just removed."""
    found: dict[str, tuple[Paint, str]] = {}
    for entry in entries:
        for position, name in enumerate(entry.removed):
            if name in gone and name not in found:
                along = position > 0 and entry.kind == "merge"
                paint = REMOVED if along else _FATES.get(entry.kind, REMOVED)
                found[name] = (paint, "nobody needs it" if along else _told(entry, paint))
    found.update({name: (REMOVED, "") for name in gone - found.keys()})
    return found


def _told(entry: Entry, paint: Paint) -> str:
    if paint is MERGED:
        return f"merged with {entry.into[0].rpartition('/')[2]}" if entry.into else "merged"
    if paint is FOLDED:
        return "folded into a constant"
    return "nobody needs it" if entry.rule == "unused" else f"by {entry.rule}"


def _draw(
    path: str | os.PathLike[str],
    sides: tuple[Any, Any],
    notes: tuple[Mapping[str, tuple[Paint, str]], Mapping[str, tuple[Paint, str]]],
    words: tuple[str, str],
    budget: int,
) -> Path:
    target = checked_path(path)
    if target.suffix.lower() != ".svg":
        raise FileFormatError(
            f"{target.name!r} is no .svg file", hint="draw the two graphs by render() instead"
        )
    order = (FOLDED, MERGED, REWRITTEN, REMOVED, ADDED, FUSED, KEPT)
    documents = []
    for heading, source, told in zip(("before", "after"), sides, notes):
        coloring = ByNote("", order, told, KEPT)
        drawing = picture(source, budget, f"{heading}: {words[0]}", color=coloring, note=words[1])
        documents.append(to_svg(drawing))
    write(target, side_by_side(*documents).encode("utf-8"))
    return target


def side_by_side(left: str, right: str) -> str:
    """One SVG with two others inside."""
    drawings = []
    x, height = 0.0, 0.0
    for document in (left, right):
        inner = document[document.index("<svg") :]
        size = re.match(r'<svg[^>]*?width="([\d.]+)"[^>]*?height="([\d.]+)"', inner, re.DOTALL)
        if size is None:
            raise GraphFlowError(
                "the drawn SVG does not say its size", hint="draw the two graphs by render()"
            )
        drawings.append(f'<svg x="{x:g}" {inner.removeprefix("<svg")}')
        x += float(size[1]) + _GAP
        height = max(height, float(size[2]))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'width="{x - _GAP:g}" height="{height:g}" viewBox="0 0 {x - _GAP:g} {height:g}" role="img" '
        f'style="background:{colors.BACKGROUND};color-scheme:light">\n'
        f'<title>before and after</title>\n<rect width="100%" height="100%" fill="{colors.BACKGROUND}"/>\n'
        f"{''.join(drawings)}</svg>\n"
    )

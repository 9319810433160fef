"""`to_mermaid`: the picture of a graph as a Mermaid flowchart, which Markdown on many sites shows."""

from __future__ import annotations

from typing import Any

from graphflow.viz import colors
from graphflow.viz.boxes import Box
from graphflow.viz.colors import Paint
from graphflow.viz.picture import Picture, picture

BUDGET = 80
"""Mermaid's own layout is slow, and refuses more than 500 edges."""

_SHAPES = {
    "input": ("([", "])"),
    "variable": ("[(", ")]"),
    "constant": ("[", "]"),
    "scope": ("[[", "]]"),
    "part": ("[[", "]]"),
    "run": ("[[", "]]"),
    "node": ("(", ")"),
    "stub": ("[", "]"),
}


def to_mermaid(source: Any, budget: int = BUDGET, title: str | None = None, **options: Any) -> str:
    """A graph as a Mermaid flowchart; in Markdown, put it between ```mermaid and ```.

    Arguments:
        source, budget, title, options: as `render` has them.

    >>> import graphflow as gf
    >>> print(to_mermaid(gf.exp(gf.placeholder("x", (2,))), title="exp"))
    ---
    title: "exp"
    ---
    flowchart TB
      b0(["<b>x</b><br/>float32[2]"])
      b1("<b>exp</b><br/><b>fetched</b>")
      b0 -->|"float32[2]"| b1
      classDef c0 fill:#ffffff,stroke:#333333,color:#1a1a1a
      classDef c1 fill:#d7efe5,stroke:#008a65,color:#1a1a1a
      class b0 c0
      class b1 c1
    <BLANKLINE>
    """
    return mermaid_of(picture(source, budget, title, **options))


def mermaid_of(drawing: Picture) -> str:
    """The flowchart of a picture."""
    title = drawing.title.replace("\\", "\\\\").replace('"', '\\"')
    lines = ["---", f'title: "{title}"', "---", "flowchart TB"]
    painted: dict[Paint, list[str]] = {}
    lines += _content(drawing, "b", "  ", painted)
    for number, inset in enumerate(drawing.insets):
        owner = f"b{inset.box}" if inset.host < 0 else f"i{inset.host}b{inset.box}"
        lines.append(f'  subgraph s{number}["{_escape(f"{inset.owner} · {inset.picture.title}")}"]')
        lines += [*_content(inset.picture, f"i{number}b", "    ", painted), "  end"]
        lines.append(f"  {owner} -.- s{number}")
    for number, paint in enumerate(painted):
        lines.append(f"  classDef c{number} fill:{paint.fill},stroke:{paint.line},color:{colors.TEXT}")
    lines += [f"  class {','.join(names)} c{number}" for number, names in enumerate(painted.values())]
    return "\n".join(lines) + "\n"


def _content(drawing: Picture, prefix: str, indent: str, painted: dict[Paint, list[str]]) -> list[str]:
    lines = []
    for index, box in enumerate(drawing.boxes):
        name = f"{prefix}{index}"
        opening, closing = _SHAPES[box.kind]
        lines.append(f'{indent}{name}{opening}"{_label(box)}"{closing}')
        if box.kind != "stub":
            painted.setdefault(box.paint, []).append(name)
    for edge in drawing.edges:
        arrow = "-.-" if edge.to_stub else "-->"
        label = f'|"{_escape(edge.label)}"|' if edge.label else ""
        lines.append(f"{indent}{prefix}{edge.source} {arrow}{label} {prefix}{edge.target}")
    return lines


def _label(box: Box) -> str:
    if box.kind == "stub":
        return f"<i>{_escape(' '.join([box.title, ', '.join(box.lines)]))}</i>"
    rows = [f"<b>{_escape(box.title)}</b>", *map(_escape, box.lines)]
    return "<br/>".join([*rows, *(f"<b>{_escape(badge)}</b>" for badge in box.badges)])


def _escape(text: str) -> str:
    """Text for a quoted label: what Mermaid or HTML would read is written as an entity."""
    return "".join(f"#{ord(char)};" if char in "\"'<>&#;`\\{}|" else char for char in text)

"""A difference as one HTML page: both graphs beside each other, long runs of equal nodes folded away."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphflow.optimizer.difference import Change, Difference

_DOT = " \u00b7 "
_KEPT = 3  # equal nodes shown around what differs

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --dim: #6e7781; --back: #ffffff; --text: #1f2328;
        --removed: #ffebe9; --added: #dafbe1; --changed: #fff8c5; --renamed: #ddf4ff; --mark: #8250df; }
@media (prefers-color-scheme: dark) {
  :root { --line: #30363d; --dim: #8b949e; --back: #0d1117; --text: #e6edf3;
          --removed: #67060c66; --added: #033a16aa; --changed: #4b380088; --renamed: #0c2d6b66;
          --mark: #d2a8ff; } }
body { margin: 0; padding: 1.5rem; background: var(--back); color: var(--text);
       font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.2rem; margin: 0 0 .5rem; }
.counts span { display: inline-block; padding: .1rem .6rem; margin-right: .4rem; border-radius: 1rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; border-bottom: 1px solid var(--line); }
.head { position: sticky; top: 0; background: var(--back); font-weight: 600; }
.pair > div { padding: .15rem .6rem; min-width: 0; overflow-wrap: anywhere;
              font: 12px/1.6 ui-monospace, monospace; }
.second { border-left: 1px solid var(--line); }
.head > div { font: 600 13px/1.8 system-ui, sans-serif; }
.removed { background: var(--removed); } .added { background: var(--added); }
.changed { background: var(--changed); } .renamed { background: var(--renamed); }
.dim { color: var(--dim); }
.note { grid-column: 1 / 3; color: var(--dim); padding-bottom: 0 !important; }
.note b, .dim b { color: var(--mark); font-weight: 600; }
summary { color: var(--dim); padding: .2rem .6rem; cursor: pointer; border-bottom: 1px solid var(--line); }
.op { font-weight: 600; }
@media (max-width: 45rem) {
  body { padding: .8rem; }
  .pair { grid-template-columns: minmax(0, 1fr); } .note { grid-column: 1; }
  .second { border-left: 0; } .same > .second, .dim:empty { display: none; }
}
"""


def page(difference: Difference) -> str:
    """The whole page."""
    title = html.escape(f"{difference.left} \u2192 {difference.right}")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>{_content(difference)}\n</body></html>\n"
    )


def fragment(difference: Difference) -> str:
    """The page as a frame, for notebooks: its style stays inside of it."""
    return (
        f'<iframe title="difference" srcdoc="{html.escape(page(difference))}" '
        'style="width: 100%; height: 30rem; border: 0"></iframe>'
    )


def _content(difference: Difference) -> str:
    title = html.escape(f"{difference.left} \u2192 {difference.right}")
    counts = "".join(
        f'<span class="{kind}">{number:,} {kind}</span>'
        for kind, number in difference.counts().items()
        if number
    )
    heads = [
        f"{html.escape(name)}{_DOT}{size:,} nodes"
        for name, size in zip((difference.left, difference.right), difference.sizes)
    ]
    said = "".join(f"<p>{html.escape(text)}</p>" for text in difference.outputs)
    verdict = "<p>The two graphs compute the same.</p>" if difference.same else ""
    return (
        f'<h1>{title}</h1><p class="counts">{counts}</p>{verdict}{said}\n'
        f'<div class="pair head"><div>{heads[0]}</div><div class="second">{heads[1]}</div></div>\n'
        + "\n".join(_rows(difference.changes))
    )


def _rows(changes: Sequence[Change]) -> Iterator[str]:
    """A row for each change; runs of equal nodes inside `details`."""
    start = 0
    while start < len(changes):
        end = start
        while end < len(changes) and changes[end].kind == "same":
            end += 1
        if end == start:
            yield _row(changes[start])
            start += 1
            continue
        first = start + _KEPT if start else start
        last = end - _KEPT if end < len(changes) else end
        if last - first < 2:
            first = last = end
        yield from map(_row, changes[start:first])
        if first < last:
            hidden = "\n".join(map(_row, changes[first:last]))
            yield f"<details><summary>{last - first} equal nodes</summary>{hidden}</details>"
        yield from map(_row, changes[last:end])
        start = end


def _row(change: Change) -> str:
    kind = change.kind
    notes = ["name"] if kind == "renamed" else [html.escape(text) for text in change.what]
    if change.rule:
        notes.append(f"by <b>{html.escape(change.rule)}</b>")
    told = _DOT.join([text for text in (*notes, html.escape(change.origin)) if text])
    sides = [_node(change.path, change.before), _node(change.path, change.after)]
    if kind == "same":
        return f'<div class="pair same"><div>{sides[0]}</div><div class="second">{sides[1]}</div></div>'
    if kind == "removed":
        return (
            f'<div class="pair"><div class="removed">{sides[0]}</div>'
            f'<div class="second dim">{told}</div></div>'
        )
    if kind == "added":
        return (
            f'<div class="pair"><div class="dim">{told}</div><div class="second added">{sides[1]}</div></div>'
        )
    return (
        f'<div class="pair"><div class="note {kind}">{told}</div><div class="{kind}">{sides[0]}</div>'
        f'<div class="second {kind}">{sides[1]}</div></div>'
    )


def _node(path: str, text: str) -> str:
    """A node as text, with its operator in bold."""
    if not text:
        return ""
    name, equals, rest = text.partition(" = ")
    op, bracket, tail = rest.partition("(")
    name, op, tail = (html.escape(part) for part in (path + name, op, tail))
    return f'{name}{equals}<span class="op">{op}</span>{bracket}{tail}'

"""The manual of the commands, made from the table of bit fields and the records."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Sequence

from graphflow.runtime.bm1684.isa import fields
from graphflow.runtime.bm1684.isa.command import KINDS, Command

INTRODUCTION = """\
Commands of both engines have 128 bytes: 32 little-endian words, in which bits are counted from the least
significant bit of word 0. A kind is told by the fields under *key*; its attributes lie in the fields named.
All kinds have the attributes `id`, `wait` (the id of the other engine's command to wait for) and `last`."""

ENGINES = {"tiu": "The tensor unit (TIU)", "gdma": "The data mover (GDMA)"}


def page(note: str) -> str:
    """The page as Markdown; `note` stands below its title."""
    lines = ["# BM1684 commands", "", note, "", INTRODUCTION]
    for engine, title in ENGINES.items():
        lines += ["", f"## {title}"]
        for kind in KINDS[engine]:
            lines += ["", *_kind_lines(kind)]
        table = fields.TIU if engine == "tiu" else fields.GDMA
        lines += ["", f"### Fields of a {engine} command", ""]
        rows = [[f"`{f.name}`", str(f.first), str(f.width), f"{f.usual:#x}", f.meaning] for f in table]
        lines += _table(["field", "first bit", "bits", "usual", "meaning"], rows)
    return "\n".join(lines) + "\n"


def _kind_lines(kind: type[Command]) -> Iterator[str]:
    yield f"### {kind.__name__}"
    yield ""
    yield from (inspect.getdoc(kind) or "").splitlines()
    key = [f"{name} {' or '.join(map(str, values))}" for name, values in kind.KEY.items()]
    yield ""
    yield f"*Key*: {', '.join(key)}."
    yield ""
    shared = {field.name for field in dataclasses.fields(Command)}
    own = [(name, codec) for name, codec in kind.CODECS if name not in shared]
    rows = [[f"`{name}`", ", ".join(f"`{field}`" for field in codec.names)] for name, codec in own]
    yield from _table(["attribute", "fields"], rows)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in [heading, ["---"] * len(heading), *rows]]

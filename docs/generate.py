"""Writes the pages of the manual that are made from the code: `python docs/generate.py`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from graphflow.ir.dtypes import DTYPES, promote
from graphflow.ir.opdef import OpDef
from graphflow.ops.matrix import Column, Matrix, table_column
from graphflow.ops.onnx_vocabulary import NOTES, SPELLINGS
from graphflow.optimizer.passes.canonicalize import Canonicalize
from graphflow.optimizer.passes.fold_constants import folding
from graphflow.optimizer.pipelines import PIPELINES, level_pipeline, parse_pipeline
from graphflow.optimizer.rule import EVIDENCE, SAFETY, Rule, select
from graphflow.optimizer.rules import RULES
from graphflow.runtime.bm1684.compiler.legalize import support
from graphflow.runtime.bm1684.isa import manual
from graphflow.runtime.jax import lower
from graphflow.runtime.jax.lowering import NO_LOWERING
from graphflow.vectorize.rule import rule_of

FOLDER = Path(__file__).resolve().parent

NOTE = "<!-- Written by docs/generate.py; the tests check that it is up to date. -->"


def matrix() -> Matrix:
    """The operators against the tables of all targets."""
    return Matrix(
        [
            table_column("jax", lower.LOWERINGS, NO_LOWERING, decomposes=True),
            Column("vmap", _batching, {"assign": "it changes a variable"}),
        ]
    )


def _batching(op: OpDef) -> str:
    """How gf.vmap treats an operator: see docs/vectorization.md."""
    if op.arity == 0:
        return "shared"
    if rule_of(op) is not None:
        return "rule"
    if op.decompose is not None:
        return "expanded"
    return "" if "effect" in op.traits else "loop"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    listed = [heading, ["---"] * len(heading), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in listed]


# The rules

RULES_INTRODUCTION = """\
The {count} rewrite rules in {families} families, as [the optimizer](optimizer.md) tries them. *From* is
the lowest level that applies a rule; "-" stands for none, so that only a pipeline of your own does. The
algebra is the first sentence of the rule's documentation; in it, x and y are tensors, c and d constants."""

ALWAYS_INTRODUCTION = """\
Constant folding takes part in the same fixed point. Two further things are no rules, but kept true at
every moment: equal nodes are merged (`merge_twins`), and nodes that no output needs are gone (`unused`)."""


def rules_page() -> str:
    """Every rewrite rule: what it says, how far it can be trusted, and from which level on it is used."""
    families = [(name, list(rules)) for name, rules in groupby(RULES, _family)]
    lines = ["# Rules", "", NOTE, ""]
    lines += [RULES_INTRODUCTION.format(count=len(RULES), families=len(families)), ""]
    lines += _table(["safety", "meaning"], [[f"*{name}*", text] for name, text in SAFETY.items()])
    lines += ["", *_table(["evidence", "meaning"], [[f"*{name}*", text] for name, text in EVIDENCE.items()])]
    for family, rules in families:
        lines += ["", f"## {family}", "", *_rule_rows(rules)]
    folds = [rule for rule, _ in folding()]
    lines += ["", "## folding and merging", "", ALWAYS_INTRODUCTION, "", *_rule_rows(folds)]
    return "\n".join(lines) + "\n"


def _family(rule: Rule) -> str:
    return inspect.unwrap(rule.function).__module__.rpartition(".")[2]


def _rule_rows(rules: Iterable[Rule]) -> list[str]:
    rows = [[f"`{one.name}`", one.algebra, one.safety, one.evidence, _first_level(one)] for one in rules]
    return _table(["rule", "algebra", "safety", "evidence", "from"], rows)


def _first_level(rule: Rule) -> str:
    for level in PIPELINES:
        for step in parse_pipeline(level_pipeline(level)):
            if isinstance(step, Canonicalize) and select([rule], step.safety, step.tags.split("+")):
                return level
    return "-"


# The dtypes

PROMOTION_INTRODUCTION = """\
The dtype in which two tensors meet, from `gf.promote`. It is the smallest that holds both, as NumPy 2 has
it; bfloat16, which NumPy lacks, meets float16 in float32. Python scalars are not in the table: they take
the dtype of the tensor they meet where their kind is no higher (see [graphs](graphs.md#dtypes)). Neither
are the dtypes that are [only stored](dtypes.md), such as float8, int4 and string: each meets but itself."""

SHORT = {"bool": "bool", "uint": "u", "int": "i", "float": "f", "complex": "c"}


def promotion_page() -> str:
    """The table of promotion, with short names so that it fits a page."""
    names = [_short(str(dtype), dtype.kind, dtype.itemsize) for dtype in DTYPES]
    lines = ["# Promotion", "", NOTE, "", PROMOTION_INTRODUCTION, ""]
    lines += ["In the table " + ", ".join(
        f"{short} is {dtype}" for short, dtype in zip(names, DTYPES) if short != str(dtype)
    ) + ".", ""]  # fmt: skip
    short = dict(zip(DTYPES, names))
    rows = [[f"**{short[left]}**", *(short[promote(left, right)] for right in DTYPES)] for left in DTYPES]
    return "\n".join([*lines, *_table(["", *names], rows)]) + "\n"


def _short(name: str, kind: str, size: int) -> str:
    if name in ("bool", "bfloat16"):
        return name.replace("bfloat", "bf")
    return f"{SHORT[kind]}{8 * size}"


# The ONNX vocabulary

ONNX_INTRODUCTION = """\
How each of the {count} operators of ONNX's default domain (opset 28) is said in GraphFlow. In the
spellings x, y, a and b are tensors, and xs is a list of them; other names stand for the ONNX attribute or
input of that meaning."""


def onnx_page() -> str:
    """The table of ONNX operators."""
    lines = ["# The ONNX vocabulary", "", NOTE, ""]
    lines += [ONNX_INTRODUCTION.format(count=len(SPELLINGS)), ""]
    rows = [[f"`{name}`", f"`{said}`", NOTES.get(name, "")] for name, said in SPELLINGS.items()]
    lines += _table(["operator", "GraphFlow", "note"], rows)
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """The text of every generated page, by its name in this folder."""
    return {
        "operators.md": matrix().markdown(),
        "rules.md": rules_page(),
        "promotion.md": promotion_page(),
        "onnx-vocabulary.md": onnx_page(),
        "bm1684-commands.md": manual.page(NOTE),
        "bm1684-operators.md": support.page(NOTE),
    }


def main() -> None:
    """Write the pages whose text has changed."""
    for name, text in pages().items():
        path = FOLDER / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(text, "utf-8")
        os.replace(unfinished, path)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()

"""The matrix of operators and facets: what each operator has, and why it lacks what it lacks.

An operator carries its meaning with it; what a target makes of it stands in a table of that target.
Those tables live on higher floors, so they are passed in as columns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from graphflow.ir.opdef import NotDifferentiable, OpDef, registry

MARK = "yes"


@dataclass(frozen=True)
class Column:
    """A facet.

    Attributes:
        title: its heading.
        cell: what an operator has of it, in a word or two, or "" for nothing.
        excuses: by operator name, why it may have nothing.
        optional: whether an empty cell needs no excuse.
    """

    title: str
    cell: Callable[[OpDef], str]
    excuses: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


def table_column(
    title: str, table: Collection[str], excuses: Mapping[str, str], *, decomposes: bool = False
) -> Column:
    """The column of a target's table of operator names.

    Arguments:
        decomposes: whether the target expands an operator that it lacks.
    """

    def cell(op: OpDef) -> str:
        if op.name in table:
            return MARK
        return "expanded" if decomposes and op.decompose else ""

    return Column(title, cell, excuses)


def _gradient(op: OpDef) -> str:
    if isinstance(op.vjp, NotDifferentiable):
        return f"{'zero' if op.vjp.zero else 'none'}: {op.vjp.reason}"
    return MARK if op.vjp else ""


def _documentation(op: OpDef) -> str:
    return MARK if len(meaning(op)) > 10 else ""


INTRINSIC = (
    Column("inference", lambda op: MARK if callable(op.infer) else ""),
    Column("reference", lambda op: MARK if callable(op.reference) else ""),
    Column("gradient", _gradient),
    Column("meaning", _documentation),
    Column("decomposition", lambda op: MARK if op.decompose else "", optional=True),
)


class Matrix:
    """All registered operators against `columns`, which follow the intrinsic ones.

    >>> Matrix().cell("relu", "gradient")
    'yes'
    """

    def __init__(self, columns: Sequence[Column] = ()) -> None:
        self.columns = (*INTRINSIC, *columns)
        self.ops = sorted(registry, key=lambda op: (op.family, op.name))

    def cell(self, op_name: str, title: str) -> str:
        """What stands at an operator and a column."""
        column = next(column for column in self.columns if column.title == title)
        return column.cell(registry[op_name])

    def unexplained(self) -> list[str]:
        """The cells that are empty without an excuse, as "operator: column"."""
        return [
            f"{op.name}: {column.title}"
            for op in self.ops
            for column in self.columns
            if not (column.optional or column.cell(op) or column.excuses.get(op.name))
        ]

    def idle_excuses(self) -> list[str]:
        """Excuses that excuse nothing: the operator does not exist, or the cell is filled."""
        known = {op.name: op for op in self.ops}
        return [
            f"{name}: {column.title}"
            for column in self.columns
            for name in column.excuses
            if name not in known or column.cell(known[name])
        ]

    def __str__(self) -> str:
        titles = [column.title for column in self.columns]
        rows = [["operator", *titles]]
        rows += [[op.name, *(_short(column, op) for column in self.columns)] for op in self.ops]
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def markdown(self) -> str:
        """The page of the manual: a table for each family, with every reason spelled out."""
        shown = [
            column for column in self.columns if column.title not in ("inference", "reference", "meaning")
        ]
        lines = [_INTRODUCTION.format(count=len(self.ops), families=len({op.family for op in self.ops}))]
        family = ""
        for op in self.ops:
            if op.family != family:
                family = op.family
                lines += ["", f"## {family}", "", _row(["operator", "meaning", *(c.title for c in shown)])]
                lines.append(_row(["---"] * (len(shown) + 2)))
            cells = [column.cell(op) or _reason(column, op) for column in shown]
            lines.append(_row([f"`{_call(op)}`", meaning(op), *cells]))
        return "\n".join(lines) + "\n"


_INTRODUCTION = """\
# Operators

<!-- Written by docs/generate.py; the tests check that it is up to date. -->

The {count} operators in {families} families. Each has an inferred type (symbolic sizes included), a NumPy
reference that says what it computes, and either a gradient or the reason why there is none: *zero*
means that differentiation takes its result for a constant, *none* that asking for a gradient is an
error. *Decomposition* tells which operators can be expanded into simpler ones for a target that lacks
them."""


def meaning(op: OpDef) -> str:
    """The first sentence of an operator's documentation.

    >>> meaning(registry["relu"])
    'The positive part: y = max(x, 0); its derivative at 0 is taken to be 0.'
    """
    return " ".join((op.__doc__ or "").partition("\n\n")[0].split())


def _call(op: OpDef) -> str:
    """The call of an operator, without the marks of Python's kinds of parameters."""
    parameters = []
    for parameter in inspect.signature(op.reference).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            parameters.append(f"*{parameter.name}")
        elif parameter.default is parameter.empty:
            parameters.append(parameter.name)
        else:
            parameters.append(f"{parameter.name}={parameter.default!r}")
    return f"{op.name}({', '.join(parameters)})"


def _short(column: Column, op: OpDef) -> str:
    return column.cell(op).partition(":")[0] or (
        "-" if column.optional or column.excuses.get(op.name) else "MISSING"
    )


def _reason(column: Column, op: OpDef) -> str:
    return column.excuses.get(op.name, "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

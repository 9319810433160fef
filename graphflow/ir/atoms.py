"""The atoms of symbolic sizes (symbols, and divisions, remainders, choices of sizes): bounds and text.

A size is an int or a `Dim` (see `dims`), a sum of integer multiples of products of atoms. What is
computed here reads nothing but those terms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from graphflow.ir.dtypes import ALL_DTYPES

if TYPE_CHECKING:
    from graphflow.ir.dims import Dim, Size

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

RESERVED = frozenset({"None", "true", "false", "nan", "inf", *(dtype.name for dtype in ALL_DTYPES)})
"""Words with a meaning of their own in the text form; symbols of these names are quoted there."""


class Symbol:
    """A named unknown size with bounds; two symbols are one if and only if their names are."""

    __slots__ = ("name", "min", "max", "_text")

    def __init__(self, name: str, min: int, max: int | None) -> None:
        self.name, self.min, self.max = name, min, max
        plain = _PLAIN_NAME.match(name) and name not in RESERVED
        self._text = name if plain else f"'{json.dumps(name)[1:-1]}'"

    @property
    def key(self) -> tuple:
        return ("symbol", self.name)

    def __str__(self) -> str:
        return self._text


class Compound:
    """A floor division, remainder, maximum, minimum, `given` or `equal` that does not simplify."""

    __slots__ = ("kind", "left", "right", "key", "min", "max")

    def __init__(self, kind: str, left: Size, right: Size) -> None:
        self.kind, self.left, self.right = kind, left, right
        self.key = (kind, str(left), str(right))
        self.min, self.max = _compound_bounds(kind, bounds(left), bounds(right))

    def __str__(self) -> str:
        if self.kind not in ("//", "%"):
            return f"{self.kind}({self.left}, {self.right})"
        sign = "//" if self.kind == "//" else " % "
        return f"{_operand_text(self.left)}{sign}{_operand_text(self.right)}"


Atom: TypeAlias = Symbol | Compound
Monomial: TypeAlias = tuple[Atom, ...]
Term: TypeAlias = tuple[Monomial, int]


def terms(size: Size) -> Iterable[Term]:
    """A size as (product of atoms, factor) pairs; the constant has the empty product."""
    return (((), int(size)),) if isinstance(size, int) else size.terms


def operands_of(size: Size, kind: str) -> tuple[Size, Size] | None:
    """The two operands if a size is one "//", "%", "max" or "min" and nothing more, else None.

    >>> from graphflow.ir.dims import Dim, minimum
    >>> operands_of(minimum(Dim("n"), 3), "min")
    (3, n)
    """
    found = list(terms(size))
    if len(found) != 1 or found[0][1] != 1 or len(found[0][0]) != 1:
        return None
    (atom,) = found[0][0]
    return (atom.left, atom.right) if isinstance(atom, Compound) and atom.kind == kind else None


# Text


def dim_text(dim: Dim) -> str:
    """The expression as Python and the text form read it: `2*batch + 1`, `(h + 1)//2`."""
    shown = "".join([_term_text(monomial, factor) for monomial, factor in dim.terms])
    return shown.removeprefix(" + ") if shown.startswith(" + ") else "-" + shown.removeprefix(" - ")


def _term_text(monomial: Monomial, factor: int) -> str:
    sign = " - " if factor < 0 else " + "
    if not monomial:
        return f"{sign}{abs(factor)}"
    if len(monomial) == 1 and factor == 1:
        return f"{sign}{monomial[0]}"
    product = [f"({atom})" if _is_division(atom) else str(atom) for atom in monomial]
    return sign + "*".join(product if abs(factor) == 1 else [str(abs(factor)), *product])


def _is_division(atom: Atom) -> bool:
    return isinstance(atom, Compound) and atom.kind in ("//", "%")


def _operand_text(size: Size) -> str:
    if isinstance(size, int):
        return str(size) if size >= 0 else f"({size})"
    (monomial, factor), *others = size.terms
    alone = not others and factor == 1 and len(monomial) == 1 and not _is_division(monomial[0])
    return str(size) if alone else f"({size})"


# Bounds


def bounds(size: Size) -> tuple[int | None, int | None]:
    """Known limits of a size; None where there is none.

    >>> from graphflow.ir.dims import Dim
    >>> bounds(2 * Dim("n", min=1, max=8) + 1)
    (3, 17)
    """
    low: int | None = 0
    high: int | None = 0
    for monomial, factor in terms(size):
        least, most = _monomial_bounds(monomial)
        if factor < 0:
            least, most = most, least
        low = None if low is None or least is None else low + least * factor
        high = None if high is None or most is None else high + most * factor
    return low, high


def _monomial_bounds(monomial: Monomial) -> tuple[int | None, int | None]:
    """Limits of a product of atoms, known only where no atom can be negative."""
    low, high = 1, 1
    bounded = True
    for atom in monomial:
        if atom.min is None or atom.min < 0:
            return (atom.min, atom.max) if len(monomial) == 1 else (None, None)
        low *= atom.min
        bounded = bounded and atom.max is not None
        high *= atom.max or 0
    return low, high if bounded else None


def _compound_bounds(
    kind: str, left: tuple[int | None, int | None], right: tuple[int | None, int | None]
) -> tuple[int | None, int | None]:
    lows = [low for low in (left[0], right[0]) if low is not None]
    highs = [high for high in (left[1], right[1]) if high is not None]
    if kind == "max":
        return max(lows, default=None), max(highs) if len(highs) == 2 else None
    if kind == "min":
        return min(lows) if len(lows) == 2 else None, min(highs, default=None)
    if kind == "equal":
        return 0, 1
    if kind == "given" or left[0] is None or left[0] < 0 or right[0] is None or right[0] <= 0:
        return None, None
    if kind == "//":
        least = 0 if right[1] is None else left[0] // right[1]
        return least, None if left[1] is None else left[1] // right[0]
    return 0, None if right[1] is None else right[1] - 1

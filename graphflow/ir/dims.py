"""Sizes: an axis has an int, or a `Dim`, an integer expression over named symbols in normal form.

A Dim is a sum of integer multiples of products of *atoms*; an atom is a symbol, or a floor
division, remainder, maximum or minimum that cannot be simplified. Sums and products are kept
sorted, so two expressions that are equal as polynomials of their atoms compare equal:

    (b + 1) * 2 - 2 == 2 * b

An operation whose result is constant returns a plain int, so shapes without symbols never meet
this module. Where equality can be neither proved nor refuted, `unify` *assumes* it and reports the
assumption to whoever collects them; a session checks it when the real sizes arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from graphflow.errors import ShapeError
from graphflow.ir.assumptions import has_assumptions, take_assumptions, unify
from graphflow.ir.atoms import Atom, Compound, Monomial, Symbol, Term, bounds, dim_text, terms

__all__ = [
    "Dim", "Size", "Symbol", "as_size", "bounds", "equal", "floor_divide", "given_or", "has_assumptions",
    "maximum", "minimum", "product", "remainder", "solve", "substitute", "symbols", "symbols_of",
    "take_assumptions", "unify",
]  # fmt: skip

LONGEST = 10_000
"""Characters of the longest size: sizes double in length where the same one is used twice in each step."""


class Dim:
    """An integer size known only when the graph runs.

    `Dim("batch", min=1, max=512)` names one; arithmetic on Dims and ints gives further Dims.

    >>> batch = Dim("batch")
    >>> (batch + 1) * 2 - 2 == 2 * batch, str(batch // 2 + 3)
    (True, 'batch//2 + 3')
    """

    __slots__ = ("terms", "_hash", "_limits", "_text")
    terms: tuple[Term, ...]

    def __init__(self, name: str, min: int = 0, max: int | None = None) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ShapeError(
                f"{name!r:.80} cannot name a size", hint="use a Python identifier, for example 'batch'"
            )
        if not all(isinstance(bound, int) for bound in (min, 0 if max is None else max)):
            raise ShapeError(
                f"the size {name!r} cannot have the bounds {min!r:.40} and {max!r:.40}", hint="use ints"
            )
        if min < 0 or (max is not None and max < min):
            raise ShapeError(
                f"the size {name!r} cannot lie between {min} and {max}", hint="use 0 <= min <= max"
            )
        self.terms = (((Symbol(name, min, max),), 1),)
        self._hash: int | None = None
        self._text: str | None = None
        self._limits: tuple | None = None

    @classmethod
    def _of(cls, terms: tuple[Term, ...]) -> Dim:
        made = object.__new__(cls)
        made.terms, made._hash, made._text, made._limits = terms, None, None, None
        return made

    @property
    def symbol(self) -> Symbol | None:
        """The symbol, if this is nothing but a symbol."""
        if len(self.terms) == 1:
            monomial, factor = self.terms[0]
            if factor == 1 and len(monomial) == 1 and isinstance(monomial[0], Symbol):
                return monomial[0]
        return None

    @property
    def limits(self) -> tuple[tuple[str, int, int | None], ...]:
        """Name, min and max of each symbol in it."""
        if self._limits is None:
            found = sorted(symbols(self).items())
            self._limits = tuple([(name, symbol.min, symbol.max) for name, symbol in found])
        return self._limits

    def __str__(self) -> str:
        if self._text is None:
            self._text = dim_text(self)
        return self._text

    def __repr__(self) -> str:
        return str(self)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(str(self))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and (self is other or str(self) == str(other))

    def __add__(self, other: Size) -> Size:
        return _sum([*self.terms, *terms(other)]) if isinstance(other, (int, Dim)) else NotImplemented

    __radd__ = __add__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1 if isinstance(other, (int, Dim)) else NotImplemented

    def __rsub__(self, other: Size) -> Size:
        return self * -1 + other

    def __mul__(self, other: Size) -> Size:
        if not isinstance(other, (int, Dim)):
            return NotImplemented
        return _sum(
            [
                (joined, factor * scale)
                for left, factor in self.terms
                for right, scale in terms(other)
                if (joined := _joined(left, right)) is not None
            ]
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        return floor_divide(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    def __rfloordiv__(self, other: Size) -> Size:
        return floor_divide(other, self)

    def __mod__(self, other: Size) -> Size:
        return remainder(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    def __rmod__(self, other: Size) -> Size:
        return remainder(other, self)

    def __index__(self) -> int:
        raise ShapeError(
            f"the size {self} is known only when the graph runs",
            hint="use it symbolically (gf.reshape, gf.mean and slicing take symbolic sizes), or fix it",
        )

    __int__ = __index__


Size: TypeAlias = int | Dim


def _joined(left: Monomial, right: Monomial) -> Monomial | None:
    """The product of two products of atoms; None if it is 0, as that of equal(n, 1) and equal(n, 2)."""
    joined = sorted(left + right, key=lambda atom: atom.key)
    if not left or not right or not any(atom.key[0] == "equal" for atom in joined):
        return tuple(joined)
    kept: list[Atom] = []
    values: dict[str, str] = {}
    for atom in joined:
        kind, *sides = atom.key
        if kind == "equal" and isinstance(atom, Compound) and isinstance(atom.right, int):
            if values.setdefault(*sides) != sides[1]:
                return None
            if kept and kept[-1].key == atom.key:
                continue
        kept.append(atom)
    return tuple(kept)


def _sum(terms: Iterable[Term]) -> Size:
    total: dict[tuple, list] = {}
    for monomial, factor in terms:
        entry = total.setdefault(tuple(atom.key for atom in monomial), [monomial, 0])
        entry[1] += factor
    kept = sorted(
        ((key, monomial, factor) for key, (monomial, factor) in total.items() if factor),
        key=lambda row: (not row[0], row[0]),
    )
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][2]
    return Dim._of(tuple((monomial, factor) for _, monomial, factor in kept))


def _compound(kind: str, left: Size, right: Size) -> Size:
    length = len(str(left)) + len(str(right))
    if length > LONGEST:
        raise ShapeError(
            f"a symbolic size has become too long to follow: an expression of {length} characters",
            hint="give the size a number, or feed what comes here as a placeholder with a size of its own",
        )
    return Dim._of((((Compound(kind, left, right),), 1),))


def _divide_exactly(left: Size, right: Size) -> Size | None:
    """left / right where every term divides by the single term of `right`, else None."""
    divisors = list(terms(right))
    if len(divisors) != 1:
        return 1 if left == right else None
    by_atoms, by_factor = divisors[0]
    quotient = []
    for monomial, factor in terms(left):
        rest = list(monomial)
        for atom in by_atoms:
            match = next((other for other in rest if other.key == atom.key), None)
            if match is None:
                return None
            rest.remove(match)
        if by_factor == 0 or factor % by_factor:
            return None
        quotient.append((tuple(rest), factor // by_factor))
    return _sum(quotient)


def floor_divide(left: Size, right: Size) -> Size:
    """floor(left / right), simplified where the division is exact."""
    if right == 0:
        raise ShapeError(f"the size {left} is divided by zero")
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    exact = _divide_exactly(left, right)
    return exact if exact is not None else _compound("//", left, right)


def remainder(left: Size, right: Size) -> Size:
    """left - right * floor(left / right)."""
    if right == 0:
        raise ShapeError(f"the size {left} is divided by zero")
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    return 0 if _divide_exactly(left, right) is not None else _compound("%", left, right)


def maximum(left: Size, right: Size) -> Size:
    """The larger size; decided by the bounds of the symbols where they suffice."""
    return _extreme("max", left, right)


def minimum(left: Size, right: Size) -> Size:
    """The smaller size; decided by the bounds of the symbols where they suffice."""
    return _extreme("min", left, right)


def _extreme(kind: str, left: Size, right: Size) -> Size:
    low, high = bounds(left - right)
    if low is not None and low >= 0:
        return left if kind == "max" else right
    if high is not None and high <= 0:
        return right if kind == "max" else left
    first, second = sorted((left, right), key=str)
    return _compound(kind, first, second)


def given_or(value: Size, rest: Size) -> Size:
    """The value, or `rest` where the value turns out to be -1: a size that is fed as "what is left"."""
    if isinstance(value, int):
        return rest if value == -1 else value
    return _compound("given", value, rest)


def equal(left: Size, right: Size) -> Size:
    """1 where two sizes turn out to be equal, else 0.

    >>> equal(Dim("n"), 2), equal(Dim("n", min=1), 0)
    (equal(n, 2), 0)
    """
    low, high = bounds(left - right)
    if low == high == 0:
        return 1
    if (low is not None and low > 0) or (high is not None and high < 0):
        return 0
    first, second = (right, left) if isinstance(left, int) else (left, right)
    return _compound("equal", first, second)


def product(sizes: Iterable[Size]) -> Size:
    """The product of all sizes; 1 for none."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def symbols(size: Size) -> dict[str, Symbol]:
    """All symbols in a size, by name."""
    found: dict[str, Symbol] = {}
    pending = [size]
    while pending:
        for monomial, _ in terms(pending.pop()):
            for atom in monomial:
                if isinstance(atom, Symbol):
                    found[atom.name] = atom
                else:
                    pending += (atom.left, atom.right)
    return found


def symbols_of(shape: Iterable[Size]) -> set[str]:
    """The names of the symbols in a shape."""
    return {name for size in shape for name in symbols(size)}


_APPLY: dict[str, Callable[[Size, Size], Size]] = {
    "//": floor_divide,
    "%": remainder,
    "max": maximum,
    "min": minimum,
    "given": given_or,
    "equal": equal,
}


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """The size with symbols replaced; an int when all of them are known.

    >>> substitute(2 * Dim("n") + 1, {"n": 3})
    7
    """
    if not isinstance(size, Dim):
        return size
    done: dict[int, Size] = {}
    stack = [size]
    while stack:
        current = stack[-1]
        missing = [
            side
            for monomial, _ in current.terms
            for atom in monomial
            if isinstance(atom, Compound)
            for side in (atom.left, atom.right)
            if isinstance(side, Dim) and id(side) not in done
        ]
        if missing:
            stack += missing
            continue
        stack.pop()
        done[id(current)] = _evaluate(current, values, done)
    return done[id(size)]


def _evaluate(dim: Dim, values: Mapping[str, Size], done: Mapping[int, Size]) -> Size:
    total: Size = 0
    for monomial, factor in dim.terms:
        term: Size = factor
        for atom in monomial:
            if isinstance(atom, Symbol):
                value: Size = values.get(atom.name, Dim._of((((atom,), 1),)))
            else:
                left, right = (done.get(id(side), side) for side in (atom.left, atom.right))
                value = _APPLY[atom.kind](left, right)
            term = term * value
        total = total + term
    return total


def solve(size: Size, actual: int) -> tuple[str, int] | None:
    """The one symbol's value that makes `size` equal `actual`; None unless `size` is a*symbol + b.

    >>> solve(2 * Dim("n") + 1, 7)
    ('n', 3)
    """
    if not isinstance(size, Dim):
        return None
    offset, unknown = 0, None
    for monomial, factor in size.terms:
        if not monomial:
            offset = factor
        elif unknown is None and len(monomial) == 1 and isinstance(monomial[0], Symbol):
            unknown = (monomial[0].name, factor)
        else:
            return None
    if unknown is None or (actual - offset) % unknown[1]:
        return None
    return unknown[0], (actual - offset) // unknown[1]


def as_size(value: Any) -> Size:
    """An int or Dim from what a user may write for the size of an axis.

    >>> as_size("batch"), as_size(3)
    (batch, 3)
    """
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        return Dim(value)
    try:
        size = int(value.__index__())
    except (AttributeError, TypeError):
        if hasattr(value, "known_value"):
            return as_size(value.known_value())
        raise ShapeError(
            f"{value!r} is not a size", hint="a size is an int, a name such as 'batch', or a gf.Dim"
        ) from None
    return size

"""The text form's sizes, read: numbers, declared symbols and arithmetic, without recursion.

Operands and waiting operators are kept on two stacks, as in Dijkstra's shunting-yard algorithm, so
brackets may nest as deeply as a chain of layers makes them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from graphflow.errors import GraphFlowError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size
from graphflow.ir.tokens import Line

LONGEST_EXPRESSION = 1000
LARGEST_SIZE = 2**63 - 1

_BINARY: dict[str, tuple[int, Callable[[Size, Size], Size]]] = {
    "+": (1, operator.add),
    "-": (1, operator.sub),
    "*": (2, operator.mul),
    "//": (2, dims.floor_divide),
    "%": (2, dims.remainder),
}
_FUNCTIONS: dict[str, Callable[[Size, Size], Size]] = {
    "max": dims.maximum,
    "min": dims.minimum,
    "given": dims.given_or,
    "equal": dims.equal,
}
_NEGATE = 3


class Scope:
    """What names in values stand for: declared symbols, and arrays kept apart from the text.

    Attributes:
        read_graph: reads a graph that is a value, which takes several lines; the parser supplies it.
    """

    def __init__(self, arrays: Mapping[str, Any] | None) -> None:
        self.symbols: dict[str, Dim] = {}
        self.arrays = arrays
        self.read_graph: Callable[[Line], Any] | None = None


class _Expression:
    """An expression being read: operands, and the operators that wait for their right-hand side."""

    def __init__(self, line: Line, scope: Scope) -> None:
        self.line = line
        self.scope = scope
        self.operands: list[Size] = []
        self.waiting: list[tuple[str, int]] = []
        self.count = 0

    def read(self) -> Size:
        """The size that the longest expression from here on stands for."""
        line = self.line
        while True:
            self._operand()
            while (line.text == ")" or line.text == ",") and line.kind == "sign" and self._close():
                pass
            if line.kind == "node":
                line.fail(f"expected an operator but found {line.found()}", "put spaces around %: h % 2")
            binary = _BINARY.get(line.text) if line.kind == "sign" else None
            if binary is not None:
                self._apply(binary[0])
                self.waiting.append((line.advance(), binary[0]))
            elif not self._argument():
                break
        self._apply(0)
        if self.waiting:
            line.fail(f"expected ')' but found {line.found()}")
        return self.operands.pop()

    def _operand(self) -> None:
        """Read what may stand in front of an operand, and the operand itself."""
        line = self.line
        while True:
            self.count += 1
            if self.count > LONGEST_EXPRESSION:
                line.fail(f"this size has more than {LONGEST_EXPRESSION} parts")
            if line.take("-"):
                self.waiting.append(("negate", _NEGATE))
            elif line.take("("):
                self.waiting.append(("(", 0))
            elif line.text in _FUNCTIONS and line.ahead() == "(":
                self.waiting.append((line.advance(), 0))
                line.advance()
            else:
                self.operands.append(self._atom())
                return

    def _atom(self) -> Size:
        line = self.line
        if line.kind == "int":
            return line.take_int("a size", LARGEST_SIZE)
        if line.kind not in ("word", "symbol"):
            line.fail(
                f"expected a size but found {line.found()}", "a size is a number, a symbol, or arithmetic"
            )
        name = line.unquote(f'"{line.text[1:-1]}"') if line.kind == "symbol" else line.text
        size = self.scope.symbols.get(name)
        if size is None:
            line.fail(f"the symbol {name!r} is not declared", f"add the line: symbol {name}")
        line.advance()
        return size

    def _argument(self) -> bool:
        """Whether the first argument of a function has just ended; its comma is read."""
        if self.line.text != ",":
            return False
        self._apply(0)
        if not self.waiting:
            return False
        if self.waiting[-1][0] not in _FUNCTIONS:
            self.line.fail("expected ')' but found ','")
        self.waiting[-1] = (self.waiting[-1][0] + ",", 0)
        return self.line.take(",")

    def _close(self) -> bool:
        """Whether a ')' has closed something that this expression opened."""
        if self.line.text != ")":
            return False
        self._apply(0)
        if not self.waiting:
            return False
        opened, _ = self.waiting.pop()
        if opened in _FUNCTIONS:
            self.line.fail(f"{opened} takes two sizes")
        if opened != "(":
            right, left = self.operands.pop(), self.operands.pop()
            self._push(_FUNCTIONS[opened.removesuffix(",")], left, right)
        return self.line.take(")")

    def _apply(self, precedence: int) -> None:
        """Apply the waiting operators that bind no less than `precedence`, down to the last bracket."""
        while self.waiting and self.waiting[-1][1] >= max(precedence, 1):
            sign, _ = self.waiting.pop()
            right = self.operands.pop()
            if sign == "negate":
                self._push(operator.neg, right)
                continue
            left = self.operands.pop()
            if (
                sign == "*"
                and isinstance(left, Dim)
                and isinstance(right, Dim)
                and (_is_sum(left) or _is_sum(right))
            ):
                self.line.fail("a sum is multiplied by a symbolic size", "multiply it out")
            self._push(_BINARY[sign][1], left, right)

    def _push(self, function: Callable[..., Size], *operands: Size) -> None:
        try:
            made = function(*operands)
        except GraphFlowError as error:
            self.line.fail(error.message, error.hint)
        factors = [made] if isinstance(made, int) else [factor for _, factor in made.terms]
        if any(abs(factor) > LARGEST_SIZE for factor in factors):
            self.line.fail("this size does not fit 64 bits")
        self.operands.append(made)


def _is_sum(size: Dim) -> bool:
    return len(size.terms) > 1


def read_size(line: Line, scope: Scope) -> Size:
    """An integer, a declared symbol, or arithmetic of them. Iterative: brackets may nest deeply."""
    if line.kind == "int" and line.ahead() in (",", "]"):
        return line.take_int("a size", LARGEST_SIZE)
    return _Expression(line, scope).read()

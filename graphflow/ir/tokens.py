"""The text form's tokens: one line at a time, each token with its column, and errors that point there."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from graphflow.errors import ParseError

_TOKEN = re.compile(
    r"""
      (?P<float>  0x[01](?:\.[0-9a-f]+)?p[+-][0-9]+ | [0-9]+\.[0-9]+(?:e[+-]?[0-9]+)? | [0-9]+e[+-]?[0-9]+ )
    | (?P<int>    [0-9]+ )
    | (?P<string> " (?: [^"\\] | \\. )* " )
    | (?P<symbol> ' (?: [^'\\] | \\. )* ' )
    | (?P<node>   % (?: [A-Za-z0-9_] [A-Za-z0-9_./-]* | " (?: [^"\\] | \\. )* " ) )
    | (?P<word>   [A-Za-z_] [A-Za-z0-9_]* )
    | (?P<sign>   // | -> | \.\. | == | [{}()\[\],:=@+\-*%.] )
    | (?P<space>  [ \t\r]+ )
    | (?P<comment> \# .* )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)
_SHOWN = 100


class Line:
    """The tokens of one line, and how far they have been read.

    Attributes:
        number: counted from 1.
        kind, text: of the next token; ("end", "") at the end.
    """

    __slots__ = ("_at", "_columns", "_kinds", "_source", "_texts", "kind", "number", "text")

    def __init__(self, source: str, number: int) -> None:
        self.number = number
        self._source = source
        self._kinds: list[str] = []
        self._texts: list[str] = []
        self._columns: list[int] = []
        for found in _TOKEN.finditer(source):
            kind = found.lastgroup or "other"
            if kind == "space" or kind == "comment":
                continue
            self._kinds.append(kind)
            self._texts.append(found.group())
            self._columns.append(found.start())
            if kind == "other":
                self._at = len(self._texts) - 1
                hint = "close the string on the same line" if found.group() in "\"'" else None
                self.fail(f"{found.group()!r} means nothing here", hint)
        self._kinds.append("end")
        self._texts.append("")
        self._columns.append(len(source.rstrip()))
        self._at = -1
        self.advance()

    def become(self, other: Line) -> None:
        """Go on with another line, as a value that spans several does."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def advance(self) -> str:
        """Go to the next token; the text of this one."""
        before = self._texts[self._at]
        self._at = min(self._at + 1, len(self._kinds) - 1)
        self.kind, self.text = self._kinds[self._at], self._texts[self._at]
        return before

    def ahead(self, count: int = 1) -> str:
        """The text of the token `count` tokens after the next."""
        return self._texts[min(self._at + count, len(self._texts) - 1)]

    def take(self, text: str) -> bool:
        """Go past the token if it is the sign or word `text`."""
        if self.text == text and (self.kind == "sign" or self.kind == "word"):
            self.advance()
            return True
        return False

    def expect(self, text: str, hint: str | None = None) -> None:
        """Go past the sign or word `text`; anything else is an error."""
        if not self.take(text):
            self.fail(f"expected {text!r} but found {self.found()}", hint)

    def take_kind(self, kind: str, what: str) -> str:
        """The text of the next token, which has to be of a kind."""
        if self.kind != kind:
            self.fail(f"expected {what} but found {self.found()}")
        return self.advance()

    def take_word(self, what: str) -> str:
        """The next word."""
        return self.take_kind("word", what)

    def take_string(self, what: str) -> str:
        """The value of the next string."""
        if self.kind != "string":
            self.fail(f"expected {what} in double quotes but found {self.found()}")
        value = self.unquote(self.text)
        self.advance()
        return value

    def take_node_name(self, what: str) -> str:
        """The name in the next `%name`."""
        if self.kind != "node":
            self.fail(f"expected {what}, such as %name, but found {self.found()}")
        name = self.unquote(self.text[1:]) if self.text[1] == '"' else self.text[1:]
        self.advance()
        return name

    def take_int(self, what: str, most: int | None = None) -> int:
        """The next integer, without a sign."""
        if self.kind != "int":
            self.fail(f"expected {what} but found {self.found()}")
        if len(self.text) > 4000:
            self.fail("this integer has too many digits")
        value = int(self.text)
        if most is not None and value > most:
            self.fail(f"{what} cannot be {value}; the most is {most}")
        self.advance()
        return value

    def unquote(self, text: str) -> str:
        """The string that JSON's escapes stand for."""
        try:
            return json.loads(text)
        except ValueError as error:
            self.fail(f"this string has a wrong escape or character: {error}", "write it as JSON does")

    def end(self) -> None:
        """Nothing may follow on this line."""
        if self.kind != "end":
            self.fail(f"the line should end before {self.found()}")

    def found(self) -> str:
        """The next token, for messages."""
        return "the end of the line" if self.kind == "end" else repr(self.text[:40])

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise a ParseError that points at the next token."""
        raise self.error(message, hint)

    def error(self, message: str, hint: str | None = None) -> ParseError:
        """A ParseError that points at the next token."""
        return error_at(message, self._source, self.number, self._columns[self._at], hint)


def error_at(message: str, source: str, number: int, column: int, hint: str | None) -> ParseError:
    """A ParseError with the line, and a mark under the column."""
    start = max(0, min(column - _SHOWN // 2, len(source) - _SHOWN))
    shown = source[start : start + _SHOWN].replace("\t", " ").rstrip()
    mark = " " * (column - start) + "^"
    return ParseError(
        f"line {number}, column {column + 1}: {message}\n    {shown}\n    {mark}",
        hint=hint or "docs/text-form.md has the grammar; gf.parse_graph reads what print(graph) writes",
    )

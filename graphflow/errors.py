"""The error family: every failure a user can cause says what, where in their code, and what to do.

An error is raised close to the fault with a plain sentence and a hint, and remembers the user's line
that was running. The Builder, which knows the operands and whose line made them, completes it with
`located`; nothing below has to carry that knowledge around.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from graphflow.ir.provenance import Origin


class GraphFlowError(Exception):
    """Base of all errors that GraphFlow raises on purpose.

    Arguments:
        message: one sentence that states the fault, with the values involved.
        hint: what the user can do about it.
        operands: rows of (name, type, kind, origin) that took part.
        origin: the user's line that built the thing at fault; that which was running, by default.

    >>> print(GraphFlowError("the feed is empty", hint="feed at least one row").at_no_line())
    GraphFlowError: the feed is empty
      try: feed at least one row
    """

    find_running: Callable[[], Origin | None] = staticmethod(lambda: None)
    """Finds the user's line that is running; `graphflow.ir.provenance` supplies it."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        operands: Iterable[tuple[str, str, str, Any]] = (),
        origin: Origin | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.operands = tuple(operands)
        self.origin = origin
        self.running = self.find_running()

    def located(
        self,
        *,
        operands: Iterable[tuple[str, str, str, Any]] = (),
        origin: Origin | None = None,
        hint: str | None = None,
    ) -> Self:
        """Fill in what the raiser could not know; what is already there stays."""
        self.operands = self.operands or tuple(operands)
        self.origin = self.origin or origin
        self.hint = self.hint or hint
        return self

    def at_no_line(self) -> Self:
        """Forget which line was running, for a command whose user has written none."""
        self.running = None
        return self

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.message}"]
        rows = [
            (_short(name), _short(type_text), kind, _place(origin))
            for name, type_text, kind, origin in self.operands
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for row in rows:
            cells = "   ".join(cell.ljust(width) for cell, width in zip(row, widths))
            lines.append(f"    {cells}   {row[3]}".rstrip())
        place = self.origin or self.running
        if place is not None:
            source = linecache.getline(place.file, place.line).strip() if place.line else ""
            lines.append(f"  at {_place(place)}" + (f"      {source}" if source else ""))
        if self.hint:
            lines.append(f"  try: {self.hint}")
        return "\n".join(lines)


# What Python and NumPy raise when handed something they cannot work with. At the border to the user's code
# it becomes a GraphFlowError with the call in it.
UNFORESEEN = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, MemoryError)


def _short(text: str, limit: int = 160) -> str:
    """A text of which the middle is left out if it is long, as that of an involved size can be."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"


def _place(origin: Origin | None) -> str:
    if origin is None:
        return ""
    return os.path.basename(origin.file) + (f":{origin.line}" if origin.line else "")


class ShapeError(GraphFlowError):
    """Shapes or ranks that do not fit together."""


class DTypeError(GraphFlowError):
    """Element types that an operation does not take, or values that a type cannot hold."""


class AttributeValueError(GraphFlowError):
    """An operator's attribute is unknown, missing, or has a value it cannot take."""


class AxisNotKnown(AttributeValueError):
    """An axis is known only when it is fed, where it has to be known while building."""


class GraphError(GraphFlowError):
    """A graph is used against its rules: mixed graphs, a name used twice, a frozen graph that grows."""


class VerifyError(GraphError):
    """A graph breaks an invariant of the intermediate representation."""


class ParseError(GraphFlowError):
    """Text that is not a graph in GraphFlow's text form."""


class FeedError(GraphFlowError):
    """A feed that is unknown, missing, in excess, or of the wrong type, size or symbolic dims."""


class FetchError(GraphFlowError):
    """Something that cannot be fetched from this session."""


class GradientError(GraphFlowError):
    """A gradient that does not exist, with the edge that breaks it."""


class RewriteError(GraphFlowError):
    """A rule or pass that does not keep its contract."""


class BackendError(GraphFlowError):
    """A backend that is missing, lacks an operator, or failed while compiling or running."""


class NonFiniteError(GraphFlowError):
    """A result with NaN or infinity in a session that guards against them, with the node that makes it."""


class SessionError(GraphFlowError):
    """A session that is closed, poisoned, or bound to no graph."""


class FileFormatError(GraphFlowError):
    """A file or folder that is corrupt, foreign, of an unknown version, or cannot be written."""


class MemoryPlanError(GraphFlowError):
    """A memory plan that cannot be made within its constraints."""


@contextmanager
def needing_packages(what: str) -> Iterator[None]:
    """Say of imports inside the block which package is not installed, and who needs it.

    Raises:
        BackendError: in place of a ModuleNotFoundError for another package than this one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "graphflow"):
            raise
        raise BackendError(
            f"{what} needs the Python package {package}, which is not installed",
            hint=f"pip install {package}",
        ) from error

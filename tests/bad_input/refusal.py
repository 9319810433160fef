"""What every refusal has to offer: the right class, the user's file and line, the facts, a way out."""

from __future__ import annotations

import os
import re
import sys
from types import TracebackType
from typing import Self

from graphflow.errors import GraphFlowError


class refused:
    """A block that has to fail with a GraphFlowError of this class, well told.

    Its text has to name a line of the calling test's file, a way out after `try:`, and all the `facts`.

    Attributes:
        error: what was raised; None before.
    """

    def __init__(self, kind: type[GraphFlowError], *facts: str) -> None:
        self.kind, self.facts = kind, facts
        self.error: GraphFlowError | None = None

    def __enter__(self) -> Self:
        self.file = os.path.basename(sys._getframe(1).f_code.co_filename)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        assert error is not None, f"nothing was raised, but {self.kind.__name__} was due"
        if not isinstance(error, self.kind):
            return False
        self.error = error
        text = str(error)
        assert re.search(rf"^  at {re.escape(self.file)}:\d+", text, re.MULTILINE), f"no line in\n{text}"
        assert re.search(r"^  try: \S", text, re.MULTILINE), f"no way out in\n{text}"
        for fact in self.facts:
            assert fact in text, f"{fact!r} is missing in\n{text}"
        return True

"""What the simulator says of a command that the chip must not be given."""

from __future__ import annotations

from graphflow.errors import BackendError


class ChipFault(BackendError):
    """A command that the chip would run wrongly or not at all.

    Arguments:
        rule: which kind of fault: "alignment", "range", "unwritten", "aliasing", "order", "geometry" or
            "unsupported".
        message: one sentence that states it.
        hint: what to do about it.
    """

    def __init__(self, rule: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule

    def of(self, command: str) -> ChipFault:
        """The same fault, with the command that caused it."""
        return ChipFault(self.rule, f"{self.message}; the command is {command}", hint=self.hint or "")

"""Fit: the ways to a budget of bytes, ranked and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.report_text import table

if TYPE_CHECKING:
    from graphflow.optimizer.memory.report import LiveTensor

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Way:
    """One change, carried out on a copy.

    Attributes:
        name: "reorder", "recompute", "16 bits", "smaller batch", or several of them.
        arena_bytes, total_bytes: of the plan that it leads to.
        fits: whether that is within the budget.
        cost: what it costs, in words.
        code: what to type; "" where that way alone does not lead to the budget.
        nodes: those that are computed again, by the bytes of their values.
        operations: how many more there are, as a fraction of those of the program.
    """

    name: str
    arena_bytes: int
    total_bytes: int
    fits: bool
    cost: str
    code: str
    nodes: tuple[str, ...] = ()
    operations: float = 0.0


@dataclass(frozen=True)
class Fit:
    """What would bring a program within a budget; print it.

    Attributes:
        budget: the bytes of the arena that there may be.
        arena_bytes: the arena as it is.
        ways: those that fit in the order of how little they change, then others by their arena.
        in_use: what keeps the arena as low as it is, with the bytes that each saves.
        notes: what could not be tried, and how it can.
        least_bytes, least_by: the smallest arena of all that were tried, and how it was reached.
        peak_node, peak_at, live: the peak of that plan: node, user's line, and what is live there.
        bound_bytes: what the hungriest node needs by itself; at these sizes no order and no recomputing goes
            below that.
    """

    budget: int
    arena_bytes: int
    ways: tuple[Way, ...]
    in_use: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    least_bytes: int
    least_by: str
    peak_node: str = ""
    peak_at: str = ""
    live: tuple[LiveTensor, ...] = field(default=(), repr=False)
    bound_bytes: int = 0

    @property
    def is_possible(self) -> bool:
        """Whether the program fits, as it is or in one of the ways."""
        return self.arena_bytes <= self.budget or any(way.fits for way in self.ways)

    def require(self) -> None:
        """Raise unless it is possible.

        Raises:
            MemoryPlanError: naming the smallest arena that was found, and the values that force it.
        """
        if not self.is_possible:
            least = f"{self.least_bytes} bytes ({show_bytes(self.least_bytes)}, by {self.least_by})"
            raise MemoryPlanError(
                f"the budget of {show_bytes(self.budget)} is below the least that was found, {least}: "
                f"{self._forced()}",
                hint="raise the budget, or change what the largest of these values are for",
            )

    def _forced(self) -> str:
        place = f" ({self.peak_at})" if self.peak_at else ""
        named = [f"{one.name} {show_bytes(one.bytes)}" for one in self.live[:_SHOWN]]
        more = f" and {len(self.live) - _SHOWN} more" if len(self.live) > _SHOWN else ""
        return f"at {self.peak_node}{place} there have to be {', '.join(named)}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON has."""
        return {
            "budget_bytes": self.budget,
            "arena_bytes": self.arena_bytes,
            "is_possible": self.is_possible,
            "ways": [{**asdict(way), "nodes": list(way.nodes)} for way in self.ways],
            "in_use": [{"name": name, "saved_bytes": saved} for name, saved in self.in_use],
            "notes": list(self.notes),
            "least": {"arena_bytes": self.least_bytes, "by": self.least_by, "node": self.peak_node},
            "bound_bytes": self.bound_bytes,
        }

    def __str__(self) -> str:
        over = self.arena_bytes - self.budget
        if over <= 0:
            first = (
                f"the arena of {show_bytes(self.arena_bytes)} is within {show_bytes(self.budget)} as it is"
            )
        else:
            above = f"{show_bytes(over)} over {show_bytes(self.budget)}"
            first = f"the arena of {show_bytes(self.arena_bytes)} is {above}"
        lines = [first]
        rows = [["", "way", "arena", "in all", "costs", "by"]]
        for way in self.ways:
            sizes = [show_bytes(way.arena_bytes), show_bytes(way.total_bytes)]
            rows.append(["fits" if way.fits else "-", way.name, *sizes, way.cost, way.code or "-"])
        lines += [table(rows, right=(2, 3))] if self.ways else []
        used = [f"{name} (saves {show_bytes(saved)})" if saved else name for name, saved in self.in_use]
        lines += [f"in use already: {', '.join(used)}"] if used else []
        lines += self.notes
        if self.bound_bytes > self.budget:
            bound = show_bytes(self.bound_bytes)
            lines.append(f"at these sizes the hungriest node needs {bound} by itself, in whatever order")
        if not self.is_possible:
            lines.append(f"the least that was found is {show_bytes(self.least_bytes)}, by {self.least_by}")
            lines.append(self._forced())
        return "\n".join(lines)

"""MemoryReport: a memory plan in words, beside what the backend itself measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from graphflow.optimizer.memory.liveness import Storage
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.program import Program

_SHOWN_AT_PEAK = 6


@dataclass(frozen=True)
class LiveTensor:
    """A value that is live at the peak: name, bytes, and the user's lines that make it and read it last."""

    name: str
    bytes: int
    made_at: str
    last_read_at: str

    @property
    def places(self) -> str:
        """The two lines in words; "" where they are not known."""
        known = [("made at", self.made_at), ("last read at", self.last_read_at)]
        return ", ".join(f"{what} {line}" for what, line in known if line)


@dataclass(frozen=True)
class MemoryReport:
    """What a run needs of memory; print it.

    Attributes:
        plan: the plan it reports.
        backend: the name of the backend that was asked for its own numbers, or "".
        backend_bytes: those numbers by kind, empty where it has none.
        peak_node, peak_at: the node at which most is live, and the user's line that made it.
        live: what is live there, largest first.
    """

    plan: MemoryPlan = field(repr=False)
    backend: str = ""
    backend_bytes: dict[str, int] = field(default_factory=dict)
    peak_node: str = ""
    peak_at: str = ""
    live: tuple[LiveTensor, ...] = ()

    @property
    def arena_bytes(self) -> int:
        """The planned arena."""
        return self.plan.arena_bytes

    @property
    def lower_bound_bytes(self) -> int:
        """The bytes that no placement in this order can go below."""
        return self.plan.lower_bound_bytes

    def to_dict(self) -> dict[str, Any]:
        """Everything printed, as plain numbers and strings (JSON takes it)."""
        plan = self.plan
        return {
            "naive_bytes": plan.naive_bytes,
            "lower_bound_bytes": plan.lower_bound_bytes,
            "arena_bytes": plan.arena_bytes,
            "gap": plan.gap,
            "argument_bytes": plan.argument_bytes,
            "constant_bytes": plan.constant_bytes,
            "output_bytes": plan.output_bytes,
            "total_bytes": plan.total_bytes,
            "in_place": len(plan.in_place),
            "peak": {
                "node": self.peak_node,
                "at": self.peak_at,
                "live": [asdict(one) for one in self.live],
            },
            "backend": {"name": self.backend, "bytes": dict(self.backend_bytes)},
        }

    def __str__(self) -> str:
        plan = self.plan
        lines = [
            f"naive sum {show_bytes(plan.naive_bytes)}   "
            f"order peak {show_bytes(plan.lower_bound_bytes)} (= lower bound)   "
            f"arena {show_bytes(plan.arena_bytes)}   gap {100 * plan.gap:.1f} %",
            f"arguments {show_bytes(plan.argument_bytes)}   constants {show_bytes(plan.constant_bytes)}   "
            f"outputs {show_bytes(plan.output_bytes)}   in all {show_bytes(plan.total_bytes)}   "
            f"{len(plan.in_place)} results in place",
        ]
        lines += self._peak_lines()
        if self.backend_bytes:
            numbers = "   ".join(f"{kind} {show_bytes(size)}" for kind, size in self.backend_bytes.items())
            lines.append(f"{self.backend or 'the backend'} says: {numbers}")
        return "\n".join(lines)

    def _peak_lines(self) -> list[str]:
        """The instant of the peak, and a row for each of the largest values that are live there."""
        if not self.live:
            return []
        place = f" ({self.peak_at})" if self.peak_at else ""
        rows = [(one.name, show_bytes(one.bytes), one.places) for one in self.live[:_SHOWN_AT_PEAK]]
        rest = self.live[_SHOWN_AT_PEAK:]
        if rest:
            rows.append((f"{len(rest)} more", show_bytes(sum(one.bytes for one in rest)), ""))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        shown = [
            f"  {name:<{widths[0]}}  {size:>{widths[1]}}  {places}".rstrip() for name, size, places in rows
        ]
        return [f"peak at {self.peak_node}{place}, where {len(self.live)} values are live:", *shown]


def memory_report(
    program: Program | MemoryPlan, backend: str = "", backend_bytes: Mapping[str, int] | None = None
) -> MemoryReport:
    """The report of a program (it is planned first) or of a plan.

    Arguments:
        program: with static shapes, or its plan.
        backend, backend_bytes: the backend's name, and its own numbers (`Executable.memory()`).

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> x = gf.placeholder("x", (1000,))
    >>> y = gf.exp(x)
    >>> print(str(memory_report(extract([gf.add(y, gf.exp(y))], feeds=[x]))).splitlines()[0])
    naive sum 4.0 kB   order peak 4.0 kB (= lower bound)   arena 4.0 kB   gap 0.0 %
    """
    plan = program if isinstance(program, MemoryPlan) else plan_program(program)
    live = plan.live_at_peak()
    node = plan.order[plan.peak] if live else None
    return MemoryReport(
        plan,
        backend,
        dict(backend_bytes or {}),
        node.name if node else "",
        _line(node.origin) if node else "",
        tuple(_live_tensor(storage) for storage in live),
    )


def _live_tensor(storage: Storage) -> LiveTensor:
    reader = storage.last_reader
    return LiveTensor(
        storage.tensors[0].node.name if storage.tensors else f"inside {storage.maker.name}",
        storage.size,
        _line(storage.maker.origin),
        _line(reader.origin) if reader else "",
    )


def _line(origin: Any) -> str:
    return "" if origin is None else str(origin)

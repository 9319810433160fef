"""MemoryReport: a memory plan in words, beside what the backend itself measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphflow.ir.node import Node
from graphflow.optimizer.memory.certificate import Certificate, certify
from graphflow.optimizer.memory.liveness import Storage
from graphflow.optimizer.memory.picture import MOST_DRAWN, draw_memory, memory_svg
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.program import Program

if TYPE_CHECKING:
    from graphflow.optimizer.fit import Fit

_SHOWN_AT_PEAK = 6
_FAR, _STATES = 0.005, 200_000  # the gap above which so many states are searched, in some seconds


@dataclass(frozen=True)
class Source:
    """Where a planned program comes from, so that others like it can be made.

    Attributes:
        program: with all sizes known.
        plan: plans a program as this one was.
        make: makes it anew from what the user built, for other sizes and another precision ("" for none);
            None where that is not known.
        sizes: the values of its symbolic sizes.
        precision: that which it was made with, "" for none.
    """

    program: Program
    plan: Callable[[Program], MemoryPlan] = plan_program
    make: Callable[[Mapping[str, int], str], Program] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    precision: str = ""


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
        is_actual: whether the backend runs in this very arena, rather than in memory of its own choice.
        certificate: what has been checked of the plan, by nothing that took part in making it.
        source: how the program was made, for `fit`; None where only the plan is known.
    """

    plan: MemoryPlan = field(repr=False)
    backend: str = ""
    backend_bytes: dict[str, int] = field(default_factory=dict)
    peak_node: str = ""
    peak_at: str = ""
    live: tuple[LiveTensor, ...] = ()
    is_actual: bool = False
    certificate: Certificate | None = field(default=None, repr=False)
    source: Source | None = field(default=None, repr=False, compare=False)

    @property
    def offsets(self) -> Mapping[str, int]:
        """Where in the arena each planned value lies, by name, in bytes from its start."""
        return self.plan.offsets

    @property
    def order(self) -> Sequence[Node]:
        """The nodes in the order in which they run."""
        return self.plan.order

    @property
    def arena_bytes(self) -> int:
        """The planned arena."""
        return self.plan.arena_bytes

    @property
    def lower_bound_bytes(self) -> int:
        """The bytes that no placement in this order can go below."""
        return self.plan.lower_bound_bytes

    @property
    def naive_bytes(self) -> int:
        """The arena if every value had memory of its own for the whole run."""
        return self.plan.naive_bytes

    @property
    def total_bytes(self) -> int:
        """All memory of a run: arguments, constants, outputs, the arena, and what is needed beside it."""
        return self.plan.total_bytes

    @property
    def gap(self) -> float:
        """How far the arena is above the bound, as a fraction of the bound."""
        return self.plan.gap

    def fit(self, budget: int | str) -> Fit:
        """What would bring the arena within a budget, the least invasive first.

        Each way is carried out on a copy and planned: another order, values computed again, 16 bits, the
        largest batch that fits. That takes some seconds for a large program.

        Arguments:
            budget: bytes of the arena, as `gf.Session(memory_budget=...)` takes them: 64_000_000 or "64MB".

        Returns:
            a Fit; print it. Where nothing is enough it has the least that was found and what forces it.

        Raises:
            MemoryPlanError: for a report that was made from a plan alone.
            AttributeValueError: for what is no number of bytes.

        >>> import graphflow as gf
        >>> x = gf.placeholder("x", ("batch", 1000))
        >>> y = gf.exp(x)
        >>> sess = gf.Session(backend="numpy")
        >>> best = sess.memory(gf.sum(y * gf.sum(y)), sizes={"batch": 100}).fit("100 kB").ways[0]
        >>> best.name, best.code
        ('smaller batch', 'batch=24')
        """
        from graphflow.optimizer.counterfactuals import fit_report

        return fit_report(self, budget)

    def picture(self, path: str | os.PathLike[str], title: str = "memory") -> Path:
        """Draw the arena into an .svg file: addresses over the positions of nodes, one box for each value.

        Pointing at a box tells the value, its bytes, and the lines that made it and read it last.

        Raises:
            FileFormatError: if the file does not end in .svg, or cannot be written.
        """
        plan = self.plan
        return draw_memory(
            plan.buffers(), plan.allocation(), path, title, notes=self._notes(), peak=self._peak_place()
        )

    def _repr_svg_(self) -> str:
        """The picture, where a notebook shows the report."""
        plan = self.plan
        buffers, place = plan.buffers(), self._peak_place()
        return memory_svg(buffers, plan.allocation(), notes=self._notes(), peak=place, most=MOST_DRAWN)

    def _peak_place(self) -> str:
        return self.peak_node + (f" ({self.peak_at})" if self.peak_at else "")

    def _notes(self) -> dict[str, str]:
        return {name: _live_tensor(storage).places for name, (storage, _) in self.plan.placed().items()}

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
            "beside_bytes": plan.beside_bytes,
            "is_actual": self.is_actual,
            "total_bytes": plan.total_bytes,
            "in_place": len(plan.in_place),
            "peak": {
                "node": self.peak_node,
                "at": self.peak_at,
                "live": [asdict(one) for one in self.live],
            },
            "certificate": str(self.certificate or ""),
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
        if self.certificate is not None and self.live:
            lines.append(str(self.certificate))
        if self.is_actual:
            beside = (
                f", and needs up to {show_bytes(plan.beside_bytes)} beside it" if plan.beside_bytes else ""
            )
            lines.append(f"{self.backend or 'the backend'} runs in this arena{beside}")
        elif self.backend_bytes:
            numbers = "   ".join(self._backend_number(kind) for kind in self.backend_bytes)
            lines.append(f"{self.backend or 'the backend'} says: {numbers}")
        return "\n".join(lines)

    def _backend_number(self, kind: str) -> str:
        """One of the backend's numbers; that which compares with the arena, compared with it."""
        size = self.backend_bytes[kind]
        compared = kind == "temp" and self.plan.arena_bytes > 0
        return f"{kind} {show_bytes(size)}" + (
            f" ({size / self.plan.arena_bytes:.2f} of the arena)" if compared else ""
        )

    def _peak_lines(self) -> list[str]:
        """The instant of the peak, and a row for each of the largest values that are live there."""
        if not self.live:
            return []
        rows = [(one.name, show_bytes(one.bytes), one.places) for one in self.live[:_SHOWN_AT_PEAK]]
        rest = self.live[_SHOWN_AT_PEAK:]
        if rest:
            rows.append((f"{len(rest)} more", show_bytes(sum(one.bytes for one in rest)), ""))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        shown = [
            f"  {name:<{widths[0]}}  {size:>{widths[1]}}  {places}".rstrip() for name, size, places in rows
        ]
        return [f"peak at {self._peak_place()}, where {len(self.live)} values are live:", *shown]


def memory_report(
    program: Program | MemoryPlan,
    backend: str = "",
    backend_bytes: Mapping[str, int] | None = None,
    is_actual: bool = False,
    source: Source | None = None,
) -> MemoryReport:
    """The report of a program (it is planned first) or of a plan.

    Arguments:
        program: with static shapes, or its plan.
        backend, backend_bytes: the backend's name, and its own numbers (`Executable.memory()`).
        is_actual: whether the backend runs in the arena of this plan.
        source: how the program was made, for `MemoryReport.fit`; what a program alone tells by default.

    Raises:
        MemoryPlanError: if the plan is wrong, which is checked.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> x = gf.placeholder("x", (1000,))
    >>> y = gf.exp(x)
    >>> print(str(memory_report(extract([gf.add(y, gf.exp(y))], feeds=[x]))).splitlines()[0])
    naive sum 4.0 kB   order peak 4.0 kB (= lower bound)   arena 4.0 kB   gap 0.0 %
    """
    plan = program if isinstance(program, MemoryPlan) else _thorough_plan(program)
    if source is None and isinstance(program, Program):
        source = Source(program)
    live = plan.live_at_peak()
    node = plan.order[plan.peak] if live else None
    return MemoryReport(
        plan,
        backend,
        dict(backend_bytes or {}),
        node.name if node else "",
        _line(node.origin) if node else "",
        tuple(_live_tensor(storage) for storage in live),
        is_actual,
        certify(plan.buffers(), plan.allocation()),
        source,
    )


def _thorough_plan(program: Program) -> MemoryPlan:
    """The plan of a program, searched for longer where the quick one is far above the bound."""
    plan = plan_program(program)
    return plan_program(program, states=_STATES) if plan.gap > _FAR else plan


def _live_tensor(storage: Storage) -> LiveTensor:
    reader = storage.last_reader
    return LiveTensor(
        storage.name,
        storage.size,
        _line(storage.maker.origin),
        _line(reader.origin) if reader else "",
    )


def _line(origin: Any) -> str:
    return "" if origin is None else str(origin)

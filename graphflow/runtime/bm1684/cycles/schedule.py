"""When each command runs if both engines obey the ids and nothing else holds them up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from graphflow.runtime.bm1684.bmodel import Stage
from graphflow.runtime.bm1684.cycles.commands import cycles
from graphflow.runtime.bm1684.cycles.products import TIU_HERTZ
from graphflow.runtime.bm1684.cycles.stream import Group, Stream, streams
from graphflow.runtime.bm1684.cycles.transfers import GDMA_HERTZ
from graphflow.runtime.bm1684.isa import Command
from graphflow.runtime.bm1684.simulator.order import ordered

if TYPE_CHECKING:
    from graphflow.runtime.bm1684.cycles.layers import LayerTable

ENGINES = ("tiu", "gdma")
HERTZ = {"tiu": TIU_HERTZ, "gdma": GDMA_HERTZ}
NONE = -1


class Span(NamedTuple):
    """A command and when it runs.

    Arguments:
        command: what runs.
        group: the number of its group.
        label: its layer, or an empty text.
        cycles: of its engine's clock.
        start, end: in seconds from the start of the first group.
        stall: seconds for which its engine was idle, within the group, before it could start.
        cause: the index, in `Timeline.spans`, of the command whose end let it start, or -1.
    """

    command: Command
    group: int
    label: str
    cycles: int
    start: float
    end: float
    stall: float
    cause: int

    @property
    def engine(self) -> str:
        """Its engine."""
        return self.command.ENGINE

    @property
    def seconds(self) -> float:
        """How long it runs."""
        return self.end - self.start


@dataclass(frozen=True)
class Timeline:
    """The commands of a program in the order in which they could be issued, with their times."""

    spans: Sequence[Span] = field(repr=False)
    seconds: float

    @cached_property
    def busy(self) -> dict[str, float]:
        """For each engine, the seconds for which it works."""
        return {name: sum(span.seconds for span in self.spans if span.engine == name) for name in ENGINES}

    @cached_property
    def stalled(self) -> dict[str, float]:
        """For each engine, the seconds for which it waits for the other before it goes on."""
        return {name: sum(span.stall for span in self.spans if span.engine == name) for name in ENGINES}

    @property
    def utilisation(self) -> dict[str, float]:
        """For each engine, the part of the whole time for which it works."""
        return {name: busy / self.seconds if self.seconds else 0.0 for name, busy in self.busy.items()}

    @property
    def bound(self) -> float:
        """Seconds below which no order of these commands comes: those of the busier engine."""
        return max(self.busy.values())

    @cached_property
    def critical_path(self) -> list[int]:
        """The indices of the commands that determine the whole time, each let start by the one before it."""
        if not self.spans:
            return []
        at = max(range(len(self.spans)), key=lambda index: self.spans[index].end)
        path = [at]
        while (at := self.spans[at].cause) != NONE:
            path.append(at)
        return path[::-1]

    def worst_stalls(self, count: int = 10) -> list[tuple[Span, Span]]:
        """The commands that waited longest, each with the one of the other engine for which it waited."""
        waited = [span for span in self.spans if span.stall > 0 and span.cause != NONE]
        waited.sort(key=lambda span: -span.stall)
        return [(span, self.spans[span.cause]) for span in waited[:count]]

    def by_layer(self) -> LayerTable:
        """Cycles, multiply-adds, bytes and bounds of each layer."""
        from graphflow.runtime.bm1684.cycles.layers import layer_table

        return layer_table(self)

    def by_kind(self) -> LayerTable:
        """The same for each kind of command."""
        from graphflow.runtime.bm1684.cycles.layers import layer_table, of_kind

        return layer_table(self, of_kind, "kind")

    def __str__(self) -> str:
        lines = [f"{1e3 * self.seconds:.3f} ms for {len(self.spans)} commands"]
        for name in ENGINES:
            count = sum(span.engine == name for span in self.spans)
            lines.append(
                f"{name:>5}: {count} commands, busy {1e3 * self.busy[name]:.3f} ms "
                f"({100 * self.utilisation[name]:.1f} %), waiting {1e3 * self.stalled[name]:.3f} ms"
            )
        return "\n".join(lines)


def timeline(groups: Iterable[Group] | Stage) -> Timeline:
    """When each command of a program runs.

    An engine runs its commands one after the other; each starts when the one before it is done and the
    command of the other engine that it waits for is. A group starts when all of the one before it is done.
    Cycles are those of `cycles`, at 550 MHz (tensor unit) and 575 MHz (data mover).

    Arguments:
        groups: a stage of a .bmodel, or groups of commands with or without labels.

    Raises:
        ChipFault: if the engines wait for each other, an id is out of turn, or a command waits for one that
            does not come.
        FileFormatError: if a stream holds what is no command.
        AttributeValueError: as `cycles`.

    >>> from graphflow.runtime.bm1684 import isa
    >>> copy = isa.LinearCopy(id=1, source=1 << 32, destination=(1 << 32) + (1 << 20), length=1 << 18)
    >>> print(timeline([Stream(gdma=[copy])]))
    0.034 ms for 1 commands
      tiu: 0 commands, busy 0.000 ms (0.0 %), waiting 0.000 ms
     gdma: 1 commands, busy 0.034 ms (100.0 %), waiting 0.000 ms
    """
    spans: list[Span] = []
    now, last = 0.0, NONE
    for number, stream in enumerate(streams(groups)):
        begun = len(spans)
        spans += _run(stream, number, now, last, begun)
        if len(spans) > begun:
            last = max(range(begun, len(spans)), key=lambda index: spans[index].end)
            now = spans[last].end
    return Timeline(spans, now)


def _run(stream: Stream, number: int, now: float, last: int, index: int) -> Iterator[Span]:
    """The spans of a group that begins at a time, when the command with index `last` was done."""
    ends: dict[str, list[float]] = {name: [] for name in ENGINES}
    places: dict[str, list[int]] = {name: [] for name in ENGINES}
    for command in ordered(stream.tiu, stream.gdma):
        name = command.ENGINE
        other = "gdma" if name == "tiu" else "tiu"
        free, cause = (ends[name][-1], places[name][-1]) if ends[name] else (now, last)
        start = free
        if command.wait and ends[other][command.wait - 1] > free:
            start, cause = ends[other][command.wait - 1], places[other][command.wait - 1]
        took = cycles(command)
        end = start + took / HERTZ[name]
        label = stream.label(name, len(ends[name]))
        ends[name].append(end)
        places[name].append(index)
        index += 1
        yield Span(command, number, label, took, start, end, start - free, cause)

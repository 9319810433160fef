"""Numbers the commands of both engines, and lets each wait for the last one of the other that it depends on.

Commands come in one order in which they would be right if run one after the other. Each engine keeps its own
commands in that order. A command that reads what one of the other engine wrote before, or writes what it read
or wrote, waits for it; local memory is followed in blocks of 128 bytes of all lanes. The tensor unit never
touches DDR, so that there the order of the data mover is enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import ALIGNMENT, LANE_BYTES, LAST_ID
from graphflow.runtime.bm1684.cycles import Stream, Touch, touches

_BLOCKS = LANE_BYTES // ALIGNMENT
_OTHER = {"tiu": "gdma", "gdma": "tiu"}


class _Group:
    """The commands of one group so far, and for every block of local memory who touched it last."""

    def __init__(self) -> None:
        self.commands: dict[str, list[isa.Command]] = {"tiu": [], "gdma": []}
        self.labels: dict[str, list[str]] = {"tiu": [], "gdma": []}
        self.read = {engine: np.zeros(_BLOCKS, np.int32) for engine in _OTHER}
        self.written = {engine: np.zeros(_BLOCKS, np.int32) for engine in _OTHER}

    def add(self, command: isa.Command, label: str) -> None:
        engine = command.ENGINE
        touched = touches(command)
        number = len(self.commands[engine]) + 1
        wait = max([self.last(_OTHER[engine], touch) for touch in touched], default=0)
        self.commands[engine].append(dataclasses.replace(command, id=number, wait=wait))
        self.labels[engine].append(label)
        for touch in touched:
            marks = self.written if touch.write else self.read
            marks[engine][_blocks(touch)] = number

    def last(self, engine: str, touch: Touch) -> int:
        """The number of the last command of an engine that must be complete before bytes are touched."""
        blocks = _blocks(touch)
        last = int(self.written[engine][blocks].max(initial=0))
        return max(last, int(self.read[engine][blocks].max(initial=0))) if touch.write else last

    @property
    def full(self) -> bool:
        return max(map(len, self.commands.values())) >= LAST_ID

    def numbered(self) -> Stream:
        tiu, gdma = (tuple(self.commands[engine]) for engine in ("tiu", "gdma"))
        return Stream(tiu, gdma, tuple(self.labels["tiu"]), tuple(self.labels["gdma"]))


def synchronize(commands: Iterable[tuple[isa.Command, str]]) -> list[Stream]:
    """Groups of numbered commands, from commands in a sequential order, each with its label.

    A group ends before its ids are used up; the chip waits for both engines between groups.
    """
    groups = [_Group()]
    for command, label in commands:
        if groups[-1].full:
            groups.append(_Group())
        groups[-1].add(command, label)
    return [group.numbered() for group in groups]


def _blocks(touch: Touch) -> slice:
    return slice(touch.low // ALIGNMENT, -(-touch.high // ALIGNMENT))

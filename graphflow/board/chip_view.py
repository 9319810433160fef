"""What the board shows of a compiled model: when both engines work, and what lies in local memory."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.board.store.places import opened, read_exactly
from graphflow.errors import FileFormatError
from graphflow.runtime.bm1684.bmodel import BModel, Stage, read
from graphflow.runtime.bm1684.chip import BANKS, LANE_BYTES
from graphflow.runtime.bm1684.cycles import Timeline, local_memory_cells, timeline
from graphflow.runtime.bm1684.cycles.gantt import family
from graphflow.runtime.bm1684.cycles.schedule import ENGINES, Span

SUFFIX = ".bmodel"
MOST_BYTES = 1 << 30
MOST_COMMANDS = 400_000
MOST_FILES = 50
MOST_SPANS = 24_000
_RESOLUTION = 3000  # spans of one kind nearer than this part of the time are shown as one


def find_models(root: Path, folder: str) -> list[str]:
    """The compiled models in the folder of a run, by name."""
    try:
        with os.scandir(root / folder) as entries:
            found = [
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []
    return sorted(found)[:MOST_FILES]


def stamp_of(root: Path, folder: str, name: str) -> tuple[int, int] | None:
    """What changes whenever a model does."""
    try:
        found = os.stat(root / folder / name, follow_symlinks=False)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class ChipView:
    """A compiled model; timelines of its stages are made when they are asked for.

    Arguments:
        root, folder, name: where the file is; `find_models` named it.

    Raises:
        FileFormatError: if it is too large, damaged, or for another chip.
    """

    def __init__(self, root: Path, folder: str, name: str) -> None:
        try:
            with opened(root, os.path.join(folder, name)) as file:
                size = os.fstat(file.fileno()).st_size
                if size > MOST_BYTES:
                    raise FileFormatError(
                        f"{name!r:.80} has {size} bytes", hint=f"models of up to {MOST_BYTES} bytes are shown"
                    )
                self.model: BModel = read(read_exactly(file, 0, size))
        except OSError as error:
            raise FileFormatError(
                f"{name!r:.80} cannot be read: {error.strerror or error}", hint="look at its permissions"
            ) from error
        self.stages = [(net.name, stage) for net in self.model.nets for stage in net.stages]
        self._timelines: dict[int, Timeline] = {}

    def stage(self, number: int) -> Timeline:
        """The timeline of a stage.

        Raises:
            FileFormatError: if there is no such stage, or it has too many commands.
            ChipFault: if its commands can never run.
        """
        if not 0 <= number < len(self.stages):
            raise FileFormatError(f"there is no stage {number}", hint=f"there are {len(self.stages)}, from 0")
        found = self._timelines.get(number)
        if found is None:
            stage = self.stages[number][1]
            commands = sum(map(sum, (group.counts for group in stage.groups)))
            if commands > MOST_COMMANDS:
                raise FileFormatError(
                    f"the stage has {commands:,} commands", hint=f"up to {MOST_COMMANDS:,} are shown"
                )
            found = self._timelines[number] = timeline(stage)
        return found

    def summary(self, number: int) -> dict[str, Any]:
        """What the stages take and give, and for one of them the sums, by group and by kind of command."""
        made = self.stage(number)
        return {
            "stages": [_told(name, stage) for name, stage in self.stages],
            "seconds": made.seconds,
            "commands": len(made.spans),
            "busy": made.busy,
            "stalled": made.stalled,
            "bound": made.bound,
            "groups": _groups(made),
            "kinds": [made.by_kind().row(layer) for layer in made.by_kind().layers],
        }

    def spans(self, number: int, start: float, end: float) -> dict[str, Any]:
        """What both engines do in a part of the time: columns, in microseconds.

        Neighbours of one kind that are too near to be told apart are one; `commands` counts them.
        """
        made = self.stage(number)
        kinds: dict[str, int] = {}
        columns: dict[str, list[Any]] = {
            name: [] for name in ("engine", "kind", "group", "start", "end", "commands", "stall")
        }
        width = max(end - start, 1e-9)
        for engine, span, until, count in _merged(made, start, end, width / _RESOLUTION):
            kind = type(span.command).__name__
            columns["engine"].append(engine)
            columns["kind"].append(kinds.setdefault(f"{kind}: {family(span.command)}", len(kinds)))
            columns["group"].append(span.group)
            columns["start"].append(round(1e6 * span.start, 3))
            columns["end"].append(round(1e6 * until, 3))
            columns["commands"].append(count)
            columns["stall"].append(round(1e6 * span.stall, 3))
            if len(columns["engine"]) >= MOST_SPANS:
                break
        return {"engines": list(ENGINES), "kinds": list(kinds), "seconds": made.seconds, "spans": columns}

    def memory(self, number: int, start: float, end: float) -> dict[str, Any]:
        """What the lanes hold in a part of the time: a row for each 4 KiB, a column for each moment."""
        made = self.stage(number)
        cells, told = local_memory_cells(made, start, max(end, start + 1e-9))
        return {
            "rows": cells.shape[0],
            "columns": cells.shape[1],
            "banks": BANKS,
            "lane_bytes": LANE_BYTES,
            "meaning": {str(bit): said for bit, said in told.items()},
            "cells": base64.b64encode(np.ascontiguousarray(cells).tobytes()).decode("ascii"),
        }


def _merged(made: Timeline, start: float, end: float, least: float) -> Iterator[tuple[int, Span, float, int]]:
    """The spans of each engine in the part: engine, the first, when the last one ends, how many."""
    for number, engine in enumerate(ENGINES):
        current: tuple[Span, float, int] | None = None
        for span in made.spans:
            if span.engine != engine or span.end < start or span.start > end:
                continue
            if current is not None:
                first, until, count = current
                same = type(first.command) is type(span.command) and first.group == span.group
                if same and span.start - until < least and span.end - first.start < 8 * least:
                    current = first, span.end, count + 1
                    continue
                yield number, first, until, count
            current = span, span.end, 1
        if current is not None:
            yield number, *current


def _groups(made: Timeline) -> list[dict[str, Any]]:
    """For each group of layers: when it runs, and for how long each engine works."""
    found: dict[int, dict[str, Any]] = {}
    for span in made.spans:
        one = found.setdefault(
            span.group,
            {"group": span.group, "start": span.start, "end": span.end, **dict.fromkeys(ENGINES, 0.0)},
        )
        one["start"], one["end"] = min(one["start"], span.start), max(one["end"], span.end)
        one[span.engine] += span.seconds
        one["commands"] = one.get("commands", 0) + 1
    return list(found.values())


def _told(name: str, stage: Stage) -> dict[str, Any]:
    return {
        "net": name[:200],
        "inputs": [f"{one.name} {one.dtype}{list(one.shape)}"[:200] for one in stage.inputs[:50]],
        "outputs": [f"{one.name} {one.dtype}{list(one.shape)}"[:200] for one in stage.outputs[:50]],
        "groups": len(stage.groups),
        "coefficient_bytes": len(stage.coefficients),
        "context_bytes": stage.context_bytes,
    }

"""A timeline as trace events, which chrome://tracing and ui.perfetto.dev show."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from graphflow.files import atomic_write
from graphflow.runtime.bm1684.cycles.gantt import family
from graphflow.runtime.bm1684.cycles.schedule import ENGINES, NONE, Timeline
from graphflow.runtime.bm1684.isa import disassemble

_PROCESS = 1


def trace_events(made: Timeline) -> dict[str, Any]:
    """The timeline in Chrome's trace event format: complete events, in microseconds, one thread an engine.

    >>> from graphflow.runtime.bm1684.cycles import Stream, timeline
    >>> events = trace_events(timeline([Stream()]))["traceEvents"]
    >>> [event["args"]["name"] for event in events]
    ['tiu', 'gdma']
    """
    threads = {name: number for number, name in enumerate(ENGINES, 1)}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "thread_name", "pid": _PROCESS, "tid": number, "args": {"name": name}}
        for name, number in threads.items()
    ]
    for span in made.spans:
        details: dict[str, Any] = {
            "cycles": span.cycles,
            "group": span.group,
            "command": disassemble(span.command),
        }
        if span.label:
            details["layer"] = span.label
        if span.stall > 0 and span.cause != NONE:
            cause = made.spans[span.cause]
            details |= {"waited_us": 1e6 * span.stall, "waited_for": f"{cause.engine} {cause.command.id}"}
        events.append(
            {
                "ph": "X",
                "name": type(span.command).__name__,
                "cat": family(span.command),
                "pid": _PROCESS,
                "tid": threads[span.engine],
                "ts": 1e6 * span.start,
                "dur": 1e6 * span.seconds,
                "args": details,
            }
        )
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def write_trace(made: Timeline, path: str | os.PathLike[str]) -> Path:
    """Write the trace events of a timeline into a .json file.

    Raises:
        FileFormatError: if the file cannot be written.
    """
    with atomic_write(os.fspath(path)) as file:
        file.write(json.dumps(trace_events(made)).encode("utf-8"))
    return Path(path)

"""Events taken apart: the values of their summaries with the kind that each is shown as.

Kinds are those of TensorBoard's plugins: "scalars", "histograms", "images", "text", "pr_curves", "hparams",
"audio", "tensors" (of no plugin that is known here) and "graph". Only scalars are read at once; of all
others it is remembered where they lie.

Source: event.proto and summary.proto of tensorboard/compat/proto.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from graphflow.board.store import wire
from graphflow.board.store.wire import BYTES, FIXED32, FIXED64, VARINT, Malformed

PLUGINS = {
    name: name for name in ("scalars", "histograms", "images", "text", "pr_curves", "hparams", "audio")
}
KINDS = (*PLUGINS, "tensors", "graph")

_DIRECT = {4: "images", 5: "histograms", 6: "audio"}
_SESSION_START = 1


class Value(NamedTuple):
    """A value of a summary: its tag, kind, number (of a scalar), and where its message lies."""

    tag: bytes
    kind: str
    number: float
    start: int
    end: int


@dataclass
class Event:
    """An event.

    Attributes:
        is_restart: whether the run goes on from here, so that what came before with this step or later
            is void.
    """

    wall: float = 0.0
    step: int = 0
    values: list[Value] = field(default_factory=list)
    is_restart: bool = False


def read_event(data: bytes, start: int, end: int, kind_of: Callable[[bytes], str]) -> Event:
    """The event in data[start:end].

    Arguments:
        kind_of: the kind of a tag that an earlier value has shown, or "".

    Raises:
        Malformed: if it is none.
    """
    event = Event()
    for number, kind, first, last in wire.fields(data, start, end):
        if number == 1 and kind == FIXED64:
            event.wall = wire.double(data, first)
        elif number == 2 and kind == VARINT:
            event.step = wire.signed(first)
        elif number == 4 and kind == BYTES:
            event.values.append(Value(b"", "graph", 0.0, first, last))
        elif number == 5 and kind == BYTES:
            event.values += _summary(data, first, last, kind_of)
        elif number == 7 and kind == BYTES:
            event.is_restart = any(
                (number, kind, value) == (1, VARINT, _SESSION_START)
                for number, kind, value, _ in wire.fields(data, first, last)
            )
        elif number == 9 and kind == BYTES:
            event.values += [
                Value(b"", "graph", 0.0, begin, stop)
                for number, kind, begin, stop in wire.fields(data, first, last)
                if number == 2 and kind == BYTES
            ]
    return event


def _summary(data: bytes, start: int, end: int, kind_of: Callable[[bytes], str]) -> list[Value]:
    found = []
    for number, kind, first, last in wire.fields(data, start, end):
        if number == 1 and kind == BYTES:
            value = _value(data, first, last, kind_of)
            if value is not None:
                found.append(value)
    return found


def _value(data: bytes, start: int, end: int, kind_of: Callable[[bytes], str]) -> Value | None:
    tag, plugin, shown, number = b"", "", "", 0.0
    tensor = None
    for field_number, kind, first, last in wire.fields(data, start, end):
        if field_number == 1 and kind == BYTES:
            tag = data[first:last]
        elif field_number == 2 and kind == FIXED32:
            shown, number = "scalars", wire.single(data, first)
        elif field_number in _DIRECT and kind == BYTES:
            shown = _DIRECT[field_number]
        elif field_number == 8 and kind == BYTES:
            tensor = first, last
        elif field_number == 9 and kind == BYTES:
            plugin = plugin_name(data, first, last)
    if tensor is not None and not shown:
        shown = (
            PLUGINS.get(plugin) or kind_of(tag) or ("text" if tag.endswith(b"/text_summary") else "tensors")
        )
        if shown == "scalars":
            place = tensor_number(data, *tensor)
            if place is None:
                return Value(tag, "tensors", 0.0, start, end)
            number = wire.single(data, place[0]) if place[1] == 4 else wire.double(data, place[0])
    elif not shown and plugin == "hparams":
        shown = plugin  # these have no content but their metadata
    return Value(tag, shown, number, start, end) if shown else None


def plugin_name(data: bytes, start: int, end: int) -> str:
    """The plugin that the SummaryMetadata in data[start:end] names, or ""."""
    for number, kind, first, last in wire.fields(data, start, end):
        if number == 1 and kind == BYTES:
            for inner, inner_kind, begin, stop in wire.fields(data, first, last):
                if inner == 1 and inner_kind == BYTES:
                    return wire.text(data, begin, stop)
    return ""


def tensor_number(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the only number of a float32 or float64 TensorProto lies, and its width, if it has one."""
    width = 0
    place: tuple[int, int] | None = None
    for number, kind, first, last in wire.fields(data, start, end):
        if number == 1 and kind == VARINT:
            width = {1: 4, 2: 8}.get(first, 0)
        elif (number in (4, 5, 6) and kind == BYTES) or (number, kind) in ((5, FIXED32), (6, FIXED64)):
            place = first, last
    return (place[0], width) if place is not None and width and place[1] - place[0] == width else None


__all__ = ["KINDS", "PLUGINS", "Event", "Malformed", "Value", "plugin_name", "read_event", "tensor_number"]

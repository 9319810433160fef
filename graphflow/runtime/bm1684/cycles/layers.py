"""What each layer costs: cycles, multiply-adds and bytes, and whether computing or moving bounds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graphflow.runtime.bm1684.cycles.commands import ddr_bytes, macs, peak_cycles
from graphflow.runtime.bm1684.cycles.products import TIU_HERTZ
from graphflow.runtime.bm1684.cycles.schedule import Span, Timeline
from graphflow.runtime.bm1684.cycles.transfers import DDR_BYTES_PER_CYCLE, GDMA_HERTZ

_UNNAMED = "(no label)"


@dataclass
class Layer:
    """What the commands of a layer come to.

    Arguments:
        label: its name.
        commands: how many there are, of both engines.
        tiu_cycles, gdma_cycles: cycles of each engine.
        macs: multiply-adds; of Winograd convolutions those of the plain ones.
        ddr_bytes: bytes read from DDR and written to it.
        tiu_seconds, gdma_seconds: for how long each engine works on it.
        stall_seconds: for how long the tensor unit waited for data of the layer.
        peak_seconds: for how long it would compute at the peak of plain convolutions.
        start, end: when its first command starts and its last one is done.
    """

    label: str
    commands: int = 0
    tiu_cycles: int = 0
    gdma_cycles: int = 0
    macs: int = 0
    ddr_bytes: int = 0
    tiu_seconds: float = 0.0
    gdma_seconds: float = 0.0
    stall_seconds: float = 0.0
    peak_seconds: float = 0.0
    start: float = 0.0
    end: float = 0.0

    @property
    def bound(self) -> str:
        """What its time is at best determined by: "compute" or "transfer"."""
        return "compute" if self.tiu_seconds >= self.gdma_seconds else "transfer"

    @property
    def bound_seconds(self) -> float:
        """The seconds of its busier engine: what it takes if the other one's work is hidden."""
        return max(self.tiu_seconds, self.gdma_seconds)

    @property
    def utilisation(self) -> float:
        """The part of the peak's multiply-adds in `bound_seconds`; above 1 only by Winograd."""
        return self.peak_seconds / self.bound_seconds if self.bound_seconds else 0.0

    @property
    def roofline_seconds(self) -> float:
        """The least time by peak and bandwidth: multiply-adds at the peak, or bytes at 30.7 GB/s."""
        return max(self.peak_seconds, self.ddr_bytes / (DDR_BYTES_PER_CYCLE * GDMA_HERTZ))

    @property
    def roofline(self) -> float:
        """The part of what the roofline allows that `bound_seconds` reaches."""
        return self.roofline_seconds / self.bound_seconds if self.bound_seconds else 0.0


@dataclass(frozen=True)
class LayerTable:
    """The layers in the order of their first commands; prints as a table."""

    layers: Sequence[Layer]
    seconds: float
    what: str = "layer"

    def to_json(self) -> str:
        """The layers as a JSON list of objects, with their bounds."""
        return json.dumps([self.row(layer) for layer in self.layers], indent=1)

    def row(self, layer: Layer) -> dict[str, Any]:
        """A layer's numbers and bounds by name."""
        more = ("bound", "bound_seconds", "utilisation", "roofline_seconds", "roofline")
        return asdict(layer) | {name: getattr(layer, name) for name in more}

    def __str__(self) -> str:
        head = (self.what, "commands", "tiu cycles", "gdma cycles", "MACs", "DDR bytes", "tiu us", "gdma us")
        rows: list[tuple[str, ...]] = [(*head, "wait us", "bound", "of peak", "of roofline")]
        for layer in self.layers:
            counts = (layer.commands, layer.tiu_cycles, layer.gdma_cycles, layer.macs, layer.ddr_bytes)
            times = (layer.tiu_seconds, layer.gdma_seconds, layer.stall_seconds)
            rows.append(
                (
                    layer.label if len(layer.label) <= 40 else f"{layer.label[:39]}…",
                    *[f"{count:,}" for count in counts],
                    *[f"{1e6 * time:.1f}" for time in times],
                    layer.bound,
                    f"{100 * layer.utilisation:.0f} %",
                    f"{100 * layer.roofline:.0f} %",
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0]), *[cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:])]]
            )
            for row in rows
        ]
        return "\n".join([*lines, f"{1e3 * self.seconds:.3f} ms in all"])


def of_label(span: Span) -> str:
    """The layer of a command; those without a label are one."""
    return span.label or _UNNAMED


def of_kind(span: Span) -> str:
    """The kind of a command, with its operation or direction."""
    told = getattr(span.command, "operation", getattr(span.command, "direction", None))
    name = type(span.command).__name__
    return name if told is None else f"{name} {told.name.lower().replace('_', ' ')}"


def layer_table(made: Timeline, key: Callable[[Span], str] = of_label, what: str = "layer") -> LayerTable:
    """What the commands of a timeline cost, gathered by layer or by another key."""
    layers: dict[str, Layer] = {}
    for span in made.spans:
        label = key(span)
        layer = layers.get(label)
        if layer is None:
            layer = layers[label] = Layer(label, start=span.start)
        layer.commands += 1
        layer.start, layer.end = min(layer.start, span.start), max(layer.end, span.end)
        if span.engine == "tiu":
            layer.tiu_cycles += span.cycles
            layer.tiu_seconds += span.seconds
            layer.stall_seconds += span.stall
            layer.macs += macs(span.command)
            layer.peak_seconds += peak_cycles(span.command) / TIU_HERTZ
        else:
            layer.gdma_cycles += span.cycles
            layer.gdma_seconds += span.seconds
            layer.ddr_bytes += ddr_bytes(span.command)
    return LayerTable(list(layers.values()), made.seconds, what)

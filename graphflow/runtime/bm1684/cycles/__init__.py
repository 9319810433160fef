"""Cycles of commands and of plans for them, and a timeline of both engines."""

from graphflow.runtime.bm1684.cycles.commands import cycles, ddr_bytes, macs
from graphflow.runtime.bm1684.cycles.elementwise import (
    arithmetic_cycles,
    compare_cycles,
    linear_cycles,
    lookup_cycles,
    scalar_cycles,
    series_cycles,
    special_cycles,
)
from graphflow.runtime.bm1684.cycles.gantt import draw_timeline, timeline_svg
from graphflow.runtime.bm1684.cycles.layers import Layer, LayerTable
from graphflow.runtime.bm1684.cycles.memory_map import (
    bank_conflicts,
    draw_local_memory,
    local_memory_cells,
    local_memory_svg,
    shared_bank_seconds,
)
from graphflow.runtime.bm1684.cycles.products import (
    TIU_HERTZ,
    conv_cycles,
    depthwise_cycles,
    matmul_cycles,
    outer_cycles,
    pool_cycles,
    winograd_cycles,
)
from graphflow.runtime.bm1684.cycles.schedule import Span, Timeline, timeline
from graphflow.runtime.bm1684.cycles.stream import Stream, streams
from graphflow.runtime.bm1684.cycles.touches import Touch, touches
from graphflow.runtime.bm1684.cycles.trace import trace_events, write_trace
from graphflow.runtime.bm1684.cycles.transfers import (
    DDR_BYTES_PER_CYCLE,
    GDMA_HERTZ,
    fill_cycles,
    transfer_cycles,
)

__all__ = [
    "DDR_BYTES_PER_CYCLE",
    "GDMA_HERTZ",
    "TIU_HERTZ",
    "Layer",
    "LayerTable",
    "Span",
    "Stream",
    "Timeline",
    "Touch",
    "arithmetic_cycles",
    "bank_conflicts",
    "compare_cycles",
    "conv_cycles",
    "cycles",
    "ddr_bytes",
    "depthwise_cycles",
    "draw_local_memory",
    "draw_timeline",
    "fill_cycles",
    "linear_cycles",
    "local_memory_cells",
    "local_memory_svg",
    "lookup_cycles",
    "macs",
    "matmul_cycles",
    "outer_cycles",
    "pool_cycles",
    "scalar_cycles",
    "series_cycles",
    "shared_bank_seconds",
    "special_cycles",
    "streams",
    "timeline",
    "timeline_svg",
    "touches",
    "trace_events",
    "transfer_cycles",
    "winograd_cycles",
    "write_trace",
]

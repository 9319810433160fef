"""Pictures and traces show every command once, in files of bounded size."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.cycles import (
    Stream,
    draw_local_memory,
    draw_timeline,
    local_memory_svg,
    timeline,
    timeline_svg,
    trace_events,
    write_trace,
)
from graphflow.runtime.bm1684.cycles.drawing import Axis
from graphflow.runtime.bm1684.cycles.gantt import _COLORS, _blocks, family
from tests.runtime.bm1684.cycles.program import DDR, LOCAL, program

SVG = "{http://www.w3.org/2000/svg}"


def rectangles(svg: str, kind: str) -> list[ElementTree.Element]:
    found = ElementTree.fromstring(svg.encode()).iter(f"{SVG}rect")
    return [one for one in found if one.get("class") == kind]


def test_every_command_has_a_bar_with_its_times() -> None:
    made = timeline([program(3)])
    bars = rectangles(timeline_svg(made), "run")
    told = [bar.findtext(f"{SVG}title") or "" for bar in bars]
    assert sum("Convolution" in text and "layer conv" in text for text in told) == 3
    assert sum(text.startswith("gdma") and "TensorTransfer" in text for text in told) == 6
    axis = Axis(0, made.seconds)
    first = next(span for span in made.spans if span.engine == "tiu")
    bar = bars[told.index(next(text for text in told if text.startswith("tiu 1:")))]
    assert float(bar.get("x", "")) == pytest.approx(axis.x(first.start), abs=0.01)
    assert float(bar.get("width", "")) == pytest.approx(axis.x(first.end) - axis.x(first.start), abs=0.02)
    assert f"{first.cycles:,} cycles" in (bar.findtext(f"{SVG}title") or "")
    waits = rectangles(timeline_svg(made), "wait")
    assert any("tiu 1 waits" in (one.findtext(f"{SVG}title") or "") for one in waits)


def test_a_part_is_shown_in_more_detail() -> None:
    made = timeline([program(20)])
    middle = made.spans[len(made.spans) // 2]
    part = timeline_svg(made, start=middle.start, end=middle.end)
    assert 0 < len(rectangles(part, "run")) < len(rectangles(timeline_svg(made), "run"))
    for start, end in ((2.0, 1.0), (1.0, 1.0)):
        with pytest.raises(AttributeValueError, match="shows nothing"):
            timeline_svg(made, start=start, end=end)


def test_many_commands_make_a_small_file() -> None:
    where = isa.Operand(LOCAL)
    shape = isa.Shape(1, 1, 1, 16)
    tiu = [
        isa.Copy(id=number, wait=number, shape=shape, source=where, result=where)
        for number in range(1, 20_001)
    ]
    gdma = [
        isa.LinearCopy(id=number, wait=max(0, number - 3), source=DDR, destination=DDR, length=number % 900)
        for number in range(1, 20_001)
    ]
    made = timeline([Stream(tiu, gdma)])
    svg = timeline_svg(made)
    assert len(svg) < 2_000_000
    counted = [
        re.match(r"(\d+) commands", bar.findtext(f"{SVG}title") or "") for bar in rectangles(svg, "run")
    ]
    assert sum(int(one[1]) if one else 1 for one in counted) == 40_000
    assert len(local_memory_svg(made)) < 1_000_000


def test_neighbours_are_joined_until_they_can_be_seen() -> None:
    pieces = [(0.0, 0.5, 0), (0.5, 1.0, 1), (1.0, 9.0, 2), (9.0, 9.1, 3), (20.0, 20.1, 4)]
    assert [block.indices for block in _blocks(pieces)] == [[0, 1], [2], [3], [4]]
    assert list(_blocks([])) == []


def test_labels_are_escaped() -> None:
    given = program(2)
    labels = ["<b>&\"'\x00"] * len(given.tiu)
    made = timeline([Stream(given.tiu, given.gdma, labels, given.gdma_labels)])
    bars = rectangles(timeline_svg(made, title="a < b & c"), "run")
    assert any("layer <b>&\"'" in (bar.findtext(f"{SVG}title") or "") for bar in bars)


def test_every_kind_has_a_colour() -> None:
    made = timeline([program(2)])
    assert {family(span.command) for span in made.spans} <= set(_COLORS)
    assert family(
        isa.Fill(direction=isa.Direction.LOCAL, destination=LOCAL, destination_shape=isa.Shape(), value=0)
    )
    assert len(set(_COLORS.values())) == len(_COLORS)


def test_local_memory_shows_where_and_when() -> None:
    made = timeline([program(4)])
    root = ElementTree.fromstring(local_memory_svg(made).encode())
    paths = {path.get("class"): path.get("d") for path in root.iter(f"{SVG}path") if path.get("class")}
    assert set(paths) == {
        "loaded",
        "stored",
        "written by the tensor unit",
        "read by the tensor unit",
        "kept until it is read again",
    }
    bottom = 58 + 4 * 128
    for name, banks in (("loaded", {0, 1}), ("stored", {4, 5})):
        rows = {float(y) for y in re.findall(r"M[\d.]+,([\d.]+)h", paths[name] or "")}
        assert {int((bottom - y - 1) / 64) for y in rows} == banks


def test_an_empty_program_can_be_drawn(tmp_path: Path) -> None:
    made = timeline([])
    for draw in (draw_timeline, draw_local_memory):
        assert ElementTree.parse(draw(made, tmp_path / "empty.svg")).getroot().tag == f"{SVG}svg"


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made = timeline([program(2)])
    path = draw_timeline(made, tmp_path / "a.svg")
    assert path.read_text("utf-8") == timeline_svg(made)
    with pytest.raises(FileFormatError):
        draw_local_memory(made, tmp_path / "no folder" / "a.svg")
    events = json.loads(write_trace(made, tmp_path / "a.json").read_text("utf-8"))
    assert events == trace_events(made)


def test_trace_events_are_the_spans() -> None:
    made = timeline([program(3)])
    events = [event for event in trace_events(made)["traceEvents"] if event["ph"] == "X"]
    assert len(events) == len(made.spans)
    for event, span in zip(events, made.spans):
        assert event["ts"] == 1e6 * span.start and event["dur"] == pytest.approx(1e6 * span.seconds)
        assert event["name"] == type(span.command).__name__ and event["args"]["layer"] == span.label
    first = next(event for event in events if event["tid"] == 1)
    assert first["args"]["waited_for"] == "gdma 1"


@pytest.mark.parametrize(("end", "ticks"), [(1e-3, 11), (7.3e-6, 8), (1e-9, 11), (3.0, 7)])
def test_ticks_are_round(end: float, ticks: int) -> None:
    drawn = [part for part in Axis(0, end).drawn(0, 10) if part.startswith("<path")]
    assert len(drawn) == ticks

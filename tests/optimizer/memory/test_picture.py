"""The picture of a memory plan: every buffer in its place, hostile ids harmless, thousands drawn."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.memory import Buffer, allocate
from graphflow.optimizer.memory.picture import draw_memory, memory_svg

NAMESPACE = "{http://www.w3.org/2000/svg}"


def rectangles(document: str) -> list[tuple[str, float, float, float, float]]:
    """The tooltip of each buffer's rectangle, and its left, right, upper and lower edge."""
    found = []
    for group in ElementTree.fromstring(document.encode("utf-8")).iter(f"{NAMESPACE}g"):
        if group.get("class") == "buffer":
            box = group.find(f"{NAMESPACE}rect")
            assert box is not None
            x, y, wide, high = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
            found.append((group.findtext(f"{NAMESPACE}title") or "", x, x + wide, y, y + high))
    return found


def test_rectangles_lie_as_the_buffers_do() -> None:
    buffers = [Buffer("a", 0, 20, 10), Buffer("b", 10, 30, 30), Buffer("gone", 5, 5, 7)]
    allocation = allocate(buffers)
    drawn = {said[0]: rest for said, *rest in rectangles(memory_svg(buffers, allocation))}
    assert set(drawn) == {"a", "b"}
    a, b = drawn["a"], drawn["b"]
    assert a[0] < b[0] < a[1] < b[1]
    assert np.isclose(b[3] - b[2], 3 * (a[3] - a[2]), atol=0.05)
    lower, upper = sorted((a, b), key=lambda edges: -edges[3])
    assert np.isclose(lower[2], upper[3], atol=0.02)


def test_no_two_rectangles_overlap_and_all_are_on_the_page() -> None:
    rng = np.random.default_rng(0)
    first, length, size = rng.integers(1, 60, (3, 80))
    buffers = [Buffer(k, int(first[k]), int(first[k] + length[k]), int(size[k])) for k in range(80)]
    drawn = rectangles(memory_svg(buffers, allocate(buffers)))
    assert len(drawn) == 80
    for index, (_, left, right, upper, lower) in enumerate(drawn):
        assert 0 <= left < right <= 1100 and 0 <= upper < lower <= 460
        for _, left2, right2, upper2, lower2 in drawn[:index]:
            across = min(right, right2) - max(left, left2)
            down = min(lower, lower2) - max(upper, upper2)
            assert across < 0.02 or down < 0.02


def test_what_the_picture_says() -> None:
    buffers = [Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 5, space="local")]
    document = memory_svg(buffers, allocate(buffers), "plan", {"main": 20})
    texts = [one.text or "" for one in ElementTree.fromstring(document.encode()).iter(f"{NAMESPACE}text")]
    assert {"plan · main", "plan · local", "capacity 20 B", "peak at 0", "peak at 1", "live bytes"} <= set(
        texts
    )
    assert any("lower bound 10 B · arena 10 B · gap 0.0 %" in text for text in texts)


def test_hostile_ids_and_nothing_at_all() -> None:
    buffers = [Buffer("<script>alert('x')</script>&\x00\n\u202e", 0, 2, 10)]
    document = memory_svg(buffers, allocate(buffers), "<b>&\x00")
    assert "<script" not in document and len(rectangles(document)) == 1
    nothing = memory_svg([], allocate([]))
    assert rectangles(nothing) == [] and "there is nothing to place" in nothing
    assert rectangles(memory_svg([Buffer("a", 1, 1, 5)], allocate([Buffer("a", 1, 1, 5)]))) == []


def test_thousands_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, size = rng.integers(0, 4000, 5000), rng.integers(1, 2**40, 5000)
    buffers = [Buffer(k, int(first[k]), int(first[k]) + 9, int(size[k])) for k in range(5000)]
    place = draw_memory(buffers, allocate(buffers), tmp_path / "plan.svg", capacity=2**50)
    assert len(rectangles(place.read_text("utf-8"))) == 5000
    assert place.stat().st_size < 2_000_000


def test_notes_and_what_happens_at_the_peak() -> None:
    buffers = [Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 5)]
    document = memory_svg(buffers, allocate(buffers), notes={"a": "made at <x>:1"}, peak="exp (x.py:2)")
    said = [one[0] for one in rectangles(document)]
    assert said[0].splitlines()[1:] == ["made at <x>:1"] and len(said[1].splitlines()) == 1
    assert "peak at 1, exp (x.py:2)" in document


def test_only_svg_files_are_written(tmp_path: Path) -> None:
    buffers = [Buffer("a", 0, 2, 64)]
    with pytest.raises(gf.FileFormatError, match=r"'plan\.png' is no \.svg file"):
        draw_memory(buffers, allocate(buffers), tmp_path / "plan.png")
    assert not list(tmp_path.iterdir())

"""MemoryReport: what it prints, and the same as plain data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import memory_report, plan_program
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.program import Program, extract


def skipping() -> Program:
    x = gf.placeholder("x", (1000, 1000))
    skip = gf.exp(x, name="skip")
    up = gf.sum(gf.sin(gf.tan(skip, name="up")), axis=0, keepdims=True, name="column_sums")
    return extract([gf.sum(gf.add(skip, up, name="joined"))], feeds=[x])


def test_it_names_the_peak_and_the_users_lines() -> None:
    text = str(memory_report(skipping()))
    first, second, third, *rows, checked = text.splitlines()
    assert checked.startswith("checked: 3 buffers lie where they may, no two live ones overlap")
    assert re.fullmatch(
        r"naive sum 16\.0 MB   order peak 8\.0 MB \(= lower bound\)   arena 8\.0 MB   gap 0\.0 %", first
    )
    assert second.startswith("arguments 4.0 MB   constants 0 B   outputs 4 B")
    assert re.match(r"peak at column_sums \(test_memory_report\.py:\d+\), where 3 values are live:", third)
    line = r"test_memory_report\.py:\d+"
    assert any(re.fullmatch(rf"  skip +4\.0 MB  made at {line}, last read at {line}", row) for row in rows)


def test_it_stands_beside_the_backends_numbers() -> None:
    report = memory_report(skipping(), "jax", {"temp": 4_096_000, "arguments": 12})
    assert str(report).splitlines()[-1] == "jax says: temp 4.1 MB (0.51 of the arena)   arguments 12 B"
    assert report.arena_bytes == report.lower_bound_bytes == 8_004_000


def test_many_live_tensors_are_summed_up() -> None:
    x = gf.placeholder("x", (16,))
    parts = [gf.exp(gf.multiply(x, float(k))) for k in range(1, 11)]
    total = parts[0]
    for part in parts[1:]:
        total = gf.add(part, total)
    program = extract([gf.sum(total)], feeds=[x])
    early = ("placeholder", "constant", "multiply", "exp")
    wide = sorted(program.order(), key=lambda node: (node.op.name not in early, node.id))
    report = memory_report(plan_program(program, order=wide))
    assert re.search(r"^  4 more +256 B$", str(report), re.MULTILINE)


def test_it_is_json() -> None:
    data = json.loads(json.dumps(memory_report(skipping(), "jax", {"temp": 1}).to_dict()))
    assert data["arena_bytes"] == 8_004_000 and data["gap"] == 0
    assert data["peak"]["node"] == "column_sums"
    assert {one["name"] for one in data["peak"]["live"]} == {"skip", "up", "column_sums"}
    assert data["backend"] == {"name": "jax", "bytes": {"temp": 1}}


def test_a_program_that_needs_no_arena() -> None:
    x = gf.placeholder("x", (2,))
    report = memory_report(extract([x], feeds=[x]))
    assert "peak at" not in str(report) and report.to_dict()["peak"]["live"] == []
    assert np.isfinite(report.plan.gap)


def test_bytes_in_words() -> None:
    shown = [show_bytes(count) for count in (0, 999, 1000, 999_949, 999_950, 10**9, 3 * 10**12, 10**16)]
    assert shown == ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.0 GB", "3.0 TB", "10000.0 TB"]


def test_a_plan_that_is_wrong_gets_no_certificate() -> None:
    plan = plan_program(skipping())
    assert memory_report(plan).certificate is not None
    (first, *_), moved = plan.storage_offsets, dict(plan.storage_offsets)
    moved[first] += 64
    with pytest.raises(MemoryPlanError, match="the allocation is wrong"):
        memory_report(replace(plan, storage_offsets=moved))
    with pytest.raises(MemoryPlanError, match="bytes are needed at instant"):
        memory_report(replace(plan, lower_bound_bytes=plan.arena_bytes + 1))


def test_the_picture_has_every_value_with_its_lines(tmp_path: Path) -> None:
    report = memory_report(skipping())
    path = report.picture(tmp_path / "memory.svg", "skipping")
    drawn = ElementTree.parse(path).getroot()
    said = [one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert said[0] == "skipping" and len(said) == 1 + len(report.plan.buffers())
    assert any(re.match(r"skip: 4\.0 MB at \d+.*\nmade at test_memory_report\.py:\d+", one) for one in said)
    shown = report._repr_svg_()
    assert shown.count('class="buffer"') == len(said) - 1 and "peak at" in shown and "column_sums" in shown


@pytest.mark.parametrize(("count", "peak"), [(0, 0), (1, 4 + 64), (2**40, 2**43)])
def test_nothing_and_very_much(count: int, peak: int) -> None:
    x = gf.placeholder("x", (count,))
    report = memory_report(extract([gf.sum(gf.exp(x) * gf.tanh(x))], feeds=[x]))
    assert report.arena_bytes == report.lower_bound_bytes == peak
    assert report.plan.argument_bytes == 4 * count and report.total_bytes >= 8 * count
    assert ("8.8 TB" in str(report)) == (count == 2**40)
    assert "<svg" in report._repr_svg_()


def test_more_than_can_be_counted_names_the_largest_value() -> None:
    x = gf.placeholder("x", (2**40, 1))
    program = extract([gf.sum(gf.matmul(x, gf.reshape(x, (1, -1)), name="outer"))], feeds=[x])
    with pytest.raises(MemoryPlanError, match=r"more than 2\*\*60 bytes; outer alone has \d{25}") as caught:
        plan_program(program)
    assert "test_memory_report.py" in str(caught.value)


def test_values_with_one_name_are_told_apart() -> None:
    report = memory_report(skipping())
    assert len({one.id for one in report.plan.buffers()}) == len(report.plan.storage_offsets)

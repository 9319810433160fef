"""MemoryReport: what it prints, and the same as plain data."""

from __future__ import annotations

import json
import re

import numpy as np

import graphflow as gf
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
    first, second, third, *rows = text.splitlines()
    assert re.fullmatch(
        r"naive sum 16\.0 MB   order peak 8\.0 MB \(= lower bound\)   arena 8\.0 MB   gap 0\.0 %", first
    )
    assert second.startswith("arguments 4.0 MB   constants 0 B   outputs 4 B")
    assert re.match(r"peak at column_sums \(test_memory_report\.py:\d+\), where 3 values are live:", third)
    line = r"test_memory_report\.py:\d+"
    assert any(re.fullmatch(rf"  skip +4\.0 MB  made at {line}, last read at {line}", row) for row in rows)


def test_it_stands_beside_the_backends_numbers() -> None:
    report = memory_report(skipping(), "jax", {"temp": 4_096_000, "arguments": 12})
    assert str(report).splitlines()[-1] == "jax says: temp 4.1 MB   arguments 12 B"
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

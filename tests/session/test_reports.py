"""What a session tells without running: the optimizer's report and the memory plan."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, SessionError
from graphflow.optimizer.explain import AT_SIZES


def test_explain_tells_what_was_rewritten(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    y = gf.exp(x * 1.0) + gf.exp(x)
    with gf.Session(backend=backend) as sess:
        report = sess.explain(y)
        assert (report.before.nodes, report.after.nodes) == (6, 4)  # exp(x) + exp(x) is 2 exp(x)
        assert "after O2" in str(report) and report.missed() is not None and sess.compiles == []
        assert sess.explain(y, feeds=["exp:0", "exp_1:0"]).before.nodes == 3
        with pytest.raises(FeedError, match="nothing that is fetched needs"):
            sess.explain(gf.exp(x), feeds=[x, y])


def test_memory_needs_sizes_or_a_run(backend: str) -> None:
    x = gf.placeholder("x", ("n", 10))
    y = gf.exp(x)
    z = y * y + x
    with gf.Session(backend=backend) as sess:
        with pytest.raises(SessionError, match="depends on the size n") as caught:
            sess.memory(z)
        assert "sizes={'n': 32}" in str(caught.value)
        with pytest.raises(SessionError, match="no size 'm'"):
            sess.memory(z, {"m": 3})
        assert sess.memory(z, {"n": 3}).plan.output_bytes == 120
        assert not sess.memory(z, {"n": 3}).backend_bytes
        sess.run(z, {x: np.zeros((5, 10))})
        report = sess.memory(z)
        assert report.plan.output_bytes == 200 and report.plan.argument_bytes == 200
        if backend == "jax":
            assert report.backend == "jax" and report.backend_bytes["arguments"] == 200
        assert "arena" in str(report)


def test_memory_of_an_update_counts_what_is_donated() -> None:
    pytest.importorskip("jax")
    w = gf.variable("w", (1000,))
    update = gf.assign(w, w * 2.0)
    for donate, aliased in ((True, 4000), (False, 0)):
        with gf.Session(donate=donate) as sess:
            sess.run(update)
            assert sess.memory(update).backend_bytes["aliased"] == aliased


def test_sizes_that_disagree_are_refused() -> None:
    x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("m",))
    with gf.Session(backend="numpy") as sess, pytest.raises(FeedError, match="needs n == m"):
        sess.memory(x + y, {"n": 1, "m": 2})


def test_explain_counts_with_the_sizes_that_it_is_told(backend: str) -> None:
    x = gf.placeholder("x", ("n", 10))
    y = gf.mean(gf.exp(x * 1.0) @ np.ones((10, 10), np.float32), axis=1)
    with gf.Session(backend=backend) as sess:
        one, many = sess.explain(y), sess.explain(y, sizes={"n": 32})
        assert "counted with n = 1" in str(one) and "counted with n = 32" in str(many)
        assert "it is chosen once the sizes" in str(one) and "it is chosen once the sizes" not in str(many)
        assert many.before.flops == 32 * one.before.flops
        general = [line for line in many.lines if AT_SIZES not in line.pass_name]
        assert [line.rule for line in general] == [line.rule for line in one.lines]
        saved = {line.rule: line.flops for line in general}
        assert (
            saved["neutral_element"] == 32 * {line.rule: line.flops for line in one.lines}["neutral_element"]
        )
        assert sess.explain(y, sizes={"n": 1}).before == one.before
        assert many.diff("canonicalize") and many.of("exp") and many.replay(1) is not None
        with pytest.raises(SessionError, match="the report depends on the size n"):
            sess.explain(y, sizes={})
        with pytest.raises(SessionError, match="no size 'm'"):
            sess.explain(y, sizes={"m": 3})


def test_explain_tells_what_is_edited_once_sizes_are_known() -> None:
    x = gf.placeholder("x", ("n", 10))
    y = gf.exp(gf.concat([x, gf.tanh(x)])[:3])
    with gf.Session(backend="numpy") as sess:
        assert sess.explain(y).note == ""
        report = sess.explain(y, sizes={"n": 1})
    assert report.note == "1 more edit by slice_of_everything once it is known that n = 1"
    assert str(report).endswith(report.note)


def test_memory_compiles_if_told(backend: str) -> None:
    x = gf.placeholder("x", ("n", 10))
    y = gf.sum(gf.exp(x) * gf.tanh(x))
    with gf.Session(backend=backend) as sess:
        assert not sess.memory(y, {"n": 3}).backend_bytes and not sess.compiles
        report = sess.memory(y, {"n": 3}, compiled=True)
        assert len(sess.compiles) == 1 and report.backend == backend and report.backend_bytes
        sess.memory(y, {"n": 3}, compiled=True)
        sess.run(y, {x: np.zeros((3, 10))})
        assert len(sess.compiles) == 1


def test_xlas_numbers_stand_beside_a_program_in_segments() -> None:
    pytest.importorskip("jax")
    h = x = gf.placeholder("x", (64, 64))
    for _ in range(12):
        h = gf.sin(h @ x)
    whole, parts = gf.Session(), gf.Session(segment_nodes=6)
    plans = [sess.memory(h, compiled=True) for sess in (whole, parts)]
    assert "segments" in parts.compiles[0].note and not whole.compiles[0].note
    for report in plans:
        assert report.backend_bytes["arguments"] == report.plan.argument_bytes == 64 * 64 * 4
        assert 0 < report.backend_bytes["temp"] <= 4 * report.arena_bytes
        assert "jax says: " in str(report) and "of the arena)" in str(report)


def budgeted(batch: object, budget: int) -> tuple[gf.Session, list, int]:
    """A session with a budget, what is fetched, and the arena without one for a batch of 256."""
    with gf.Graph() as graph:
        x = gf.placeholder("x", (batch, 64))
        h = x
        for _ in range(6):
            h = gf.nn.gelu(gf.layers.dense(h, 64))
        loss = gf.mean(gf.square(h - x))
        fetches = [loss, gf.train.SGD(0.1).minimize(loss)]
    free = gf.Session(graph, backend="numpy").memory(fetches, {} if batch == 256 else {"batch": 256})
    return gf.Session(graph, backend="numpy", memory_budget=budget), fetches, free.arena_bytes


def test_explain_tells_what_is_computed_again() -> None:
    budget = 450_000
    sess, fetches, free = budgeted(256, budget)
    assert free > budget
    report = sess.explain(fetches)
    fitted, again = report.fitted, report.recomputed
    assert fitted is not None and again
    assert fitted.after.peak_bytes <= budget < fitted.before.peak_bytes
    assert fitted.before.nodes == report.after.nodes
    assert fitted.after.flops - fitted.before.flops == sum(one.flops for one in again) > 0
    assert all(one.bytes in (0, 256 * 64 * 4) and "test_reports.py" in one.origin for one in again)
    names = {node.name for node in report.optimized.order()}
    assert {one.node for one in again} <= names
    text = str(report)
    assert "after fitting 450.0 kB" in text and again[0].node in text.partition("recomputed")[2]
    assert [row["node"] for row in report.to_dict()["recomputed"]] == [one.node for one in again]
    assert report.to_dict()["fitted"]["before"]["nodes"] == report.after.nodes


def test_explain_waits_for_sizes_and_says_what_does_not_fit() -> None:
    sess, fetches, free = budgeted("batch", 450_000)
    assert "shows once the sizes are given" in sess.explain(fetches).note
    report = sess.explain(fetches, sizes={"batch": 256})
    assert report.recomputed and report.fitted is not None
    assert sess.explain(fetches, sizes={"batch": 2}).fitted is None
    tight, fetches, _ = budgeted("batch", 1_000)
    report = tight.explain(fetches, sizes={"batch": 256})
    assert "below the least that was found" in report.note and report.fitted is None
    large, fetches, _ = budgeted(256, free)
    report = large.explain(fetches)
    assert report.fitted is None and report.recomputed == [] and "fitted" not in report.to_dict()

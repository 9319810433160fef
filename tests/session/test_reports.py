"""What a session tells without running: the optimizer's report and the memory plan."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, SessionError


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

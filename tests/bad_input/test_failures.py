"""Runs that fail when they are under way: nothing is applied by halves, and what is lost is said to be."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, SessionError
from tests.bad_input.refusal import refused

HUGE = 10_000_000  # an outer product of this size has 400 TB, more than an address can tell apart


def greedy() -> SimpleNamespace:
    """A graph that updates two variables, and fetches an outer product whose size is that of the feed."""
    x = gf.placeholder("x", ("n",))
    a = gf.variable("a", (3,), initializer=gf.initializers.ones())
    b = gf.variable("b", (3,))
    outer = gf.expand_dims(x, axis=1) * gf.expand_dims(x, axis=0)
    update = gf.group(gf.assign(a, a + 1.0), gf.assign(b, a + b + gf.mean(x)))
    return SimpleNamespace(x=x, a=a, b=b, outer=outer, update=update)


def overrun(sess: gf.Session, net: SimpleNamespace) -> None:
    sess.run([net.outer, net.update], {net.x: np.zeros(HUGE, np.float32)})


def values(sess: gf.Session) -> list[Any]:
    return [sess.variables["a"].tolist(), sess.variables["b"].tolist(), sess.step]


@pytest.mark.parametrize(("backend", "donate"), [("numpy", True), ("numpy", False), ("jax", False)])
def test_a_failure_that_loses_nothing(backend: str, donate: bool) -> None:
    net = greedy()
    with gf.Session(backend=backend, donate=donate) as sess:
        sess.run(net.update, {net.x: [1.0, 3.0]})
        before = values(sess)
        for _ in range(2):
            with pytest.raises(BackendError) as caught:
                overrun(sess, net)
            assert "test_failures.py:" in str(caught.value) and "try: " in str(caught.value)
            assert values(sess) == before == [[2.0] * 3, [3.0] * 3, 1]
        assert sess.run(net.outer, {net.x: [2.0]}).tolist() == [[4.0]]
        sess.run(net.update, {net.x: [1.0]})
        assert values(sess) == [[3.0] * 3, [6.0] * 3, 2]


def test_a_failure_of_a_donated_call_poisons_the_session_until_it_is_restored(tmp_path) -> None:
    net = greedy()
    with gf.Session(backend="jax") as sess:
        sess.run(net.update, {net.x: [1.0, 3.0]})
        sess.save_checkpoint(tmp_path)
        with pytest.raises(SessionError, match=r"lost the values of 'a', 'b'.*RESOURCE_EXHAUSTED") as caught:
            overrun(sess, net)
        shown = str(caught.value)
        assert "test_failures.py:" in shown and "float32[3]" in shown and "restore_checkpoint" in shown
        uses: list[Callable[[], Any]] = [
            lambda: sess.run(net.a),
            lambda: sess.run(net.update, {net.x: [1.0]}),
            lambda: sess.variables["b"],
            lambda: sess.make_callable(net.a)(),
            lambda: sess.save_checkpoint(tmp_path),
        ]
        for use in uses:
            with refused(SessionError, "lost the values", "restore_checkpoint", "variables.update"):
                use()
        assert sess.run(net.outer, {net.x: [2.0]}).tolist() == [[4.0]]  # what needs no variable goes on
        with refused(gf.FileFormatError):
            sess.restore_checkpoint(tmp_path / "missing")
        sess.restore_checkpoint(tmp_path)
        assert values(sess) == [[2.0] * 3, [3.0] * 3, 1]
        sess.run(net.update, {net.x: [1.0]})
        assert values(sess) == [[3.0] * 3, [6.0] * 3, 2]


LATER: dict[str, Callable[[gf.Session, SimpleNamespace, Any], Any]] = {
    "reading a variable": lambda sess, net, folder: sess.variables["a"],
    "fetching it": lambda sess, net, folder: sess.run(net.a),
    "another update": lambda sess, net, folder: sess.run(net.update, {net.x: [1.0]}),
    "a checkpoint": lambda sess, net, folder: sess.save_checkpoint(folder),
    "a profile": lambda sess, net, folder: sess.profile(net.a),
}


@pytest.mark.parametrize("case", LATER)
def test_a_failure_in_the_background_is_found_at_the_next_use(tmp_path, case: str) -> None:
    net = greedy()
    with gf.Session(backend="jax") as sess:
        step = sess.make_callable([net.outer, net.update], [net.x])
        step([1.0])
        sess.save_checkpoint(tmp_path)
        step(np.zeros(HUGE, np.float32))  # the callable returns before the computation fails
        for _ in range(2):
            with refused(SessionError, "lost the values", "Out of memory", "try: restore"):
                LATER[case](sess, net, tmp_path)
        sess.restore_checkpoint(tmp_path)
        step([1.0])
        assert values(sess) == [[3.0] * 3, [5.0] * 3, 2]


def test_an_update_alone_is_waited_for() -> None:
    x = gf.placeholder("x", ("n",))
    a = gf.variable("a", (), initializer=gf.initializers.ones())
    outer = gf.expand_dims(x, axis=1) * gf.expand_dims(x, axis=0)
    update = gf.assign(a, a + gf.max(gf.cumulative_sum(outer, axis=1)))
    with gf.Session(backend="jax") as sess:
        sess.run(update, {x: [1.0, 1.0]})
        with refused(SessionError, "lost the values of 'a'"):
            sess.run(update, {x: np.zeros(HUGE, np.float32)})
        assert sess.step == 1


def test_setting_all_lost_values_heals_the_session() -> None:
    net = greedy()
    with gf.Session(backend="jax") as sess:
        with pytest.raises(SessionError, match="lost the values"):
            overrun(sess, net)
        sess.variables.update({"a": np.zeros(3), net.b: np.ones(3)})
        sess.run(net.update, {net.x: [1.0]})
        assert values(sess) == [[1.0] * 3, [2.0] * 3, 1]


def test_what_is_found_out_while_compiling_loses_nothing(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = greedy()
    with gf.Session(backend=backend) as sess:
        sess.run(net.update, {net.x: [1.0, 3.0]})

        def broken(*arguments: Any, **options: Any) -> Any:
            raise BackendError("the compiler gave up", hint="use another one")

        with monkeypatch.context() as patched:
            patched.setattr(type(sess.backend), "compile", broken)
            with pytest.raises(BackendError, match="the compiler gave up"):
                sess.run([net.update, net.outer], {net.x: [1.0]})
        assert values(sess) == [[2.0] * 3, [3.0] * 3, 1]
        sess.run([net.update, net.outer], {net.x: [1.0]})
        assert values(sess) == [[3.0] * 3, [6.0] * 3, 2]

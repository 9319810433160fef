"""Runs that fail, and runs in parallel: nothing is applied by halves, and lost values are owned up to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, SessionError
from graphflow.runtime.backend import get_backend

jax = pytest.importorskip("jax")


class Fragile:
    """The jax backend, except that its executables call `sabotage` on (old values, outputs) of updates."""

    def __init__(self) -> None:
        self.inner = get_backend("jax")
        self.sabotage: Callable[[list[Any], Any], None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def compile(self, program: Any, options: Any) -> Any:
        inner = self.inner.compile(program, options)
        owner = self

        class Executable:
            updated, kept, uses_key = inner.updated, inner.kept, inner.uses_key

            def __init__(self) -> None:
                self.program = inner.program

            def __call__(self, updated: Any, kept: Any, feeds: Any, key: Any) -> Any:
                if owner.sabotage is None or not updated:
                    return inner(updated, kept, feeds, key)
                outputs = inner(updated, kept, feeds, key)
                owner.sabotage(list(updated), outputs)
                return outputs

        return Executable()


def build() -> tuple[gf.Tensor, gf.Tensor, gf.Update]:
    a = gf.variable("a", (3,), initializer=gf.initializers.ones())
    b = gf.variable("b", (3,), initializer=gf.initializers.zeros())
    return a, b, gf.group(gf.assign(a, a + 1.0), gf.assign(b, a + b))


def burn(updated: list[Any], outputs: Any) -> None:
    raise RuntimeError("the device caught fire")


def test_a_failure_after_donation_poisons_the_session(tmp_path) -> None:
    a, b, update = build()
    fragile = Fragile()
    with gf.Session(backend=fragile) as sess:
        sess.run(update)
        sess.save_checkpoint(tmp_path)
        fragile.sabotage = burn
        with pytest.raises(SessionError, match=r"lost the values of 'a', 'b'.*caught fire") as caught:
            sess.run([update, a])
        shown = str(caught.value)
        assert "restore_checkpoint" in shown and "variables.update" in shown and "donate=False" in shown
        fragile.sabotage = None
        step = sess.make_callable(a)
        for use in (lambda: sess.run(a), lambda: sess.run(update), lambda: sess.variables["b"], step):
            with pytest.raises(SessionError, match=r"lost the values of.*caught fire"):
                use()
        with pytest.raises(SessionError, match="lost the values"):
            sess.save_checkpoint(tmp_path)
        assert sess.step == 1
        sess.restore_checkpoint(tmp_path)
        assert sess.run(a).tolist() == [2.0] * 3 and sess.step == 1
        assert sess.run([a, b, update])[1].tolist() == [1.0] * 3


def test_setting_the_lost_variables_heals_the_session() -> None:
    a, b, update = build()
    fragile = Fragile()
    with gf.Session(backend=fragile) as sess:
        fragile.sabotage = burn
        with pytest.raises(SessionError, match="lost"):
            sess.run(update)
        fragile.sabotage = None
        sess.variables[a] = [5.0] * 3
        assert sess.run(a).tolist() == [5.0] * 3
        with pytest.raises(SessionError, match="lost the values of 'b'"):
            sess.run(update)
        sess.variables.update({b: [1.0] * 3})
        sess.run(update)
        assert sess.variables[b].tolist() == [6.0] * 3


def test_without_donation_a_failure_changes_nothing() -> None:
    a, b, update = build()
    fragile = Fragile()
    with gf.Session(backend=fragile, donate=False) as sess:
        sess.run(update)
        fragile.sabotage = burn
        with pytest.raises(BackendError, match="the run failed: RuntimeError: the device caught fire"):
            sess.run(update)
        fragile.sabotage = None
        assert sess.variables[a].tolist() == [2.0] * 3 and sess.step == 1
        sess.run(update)
        assert sess.variables[b].tolist() == [3.0] * 3 and sess.step == 2


def test_a_buffer_that_vanished_is_reported_as_lost() -> None:
    update = build()[2]
    with gf.Session() as sess:
        sess.run(update)
        sess.variables.arrays["a"].delete()
        with pytest.raises(SessionError, match="lost the values of 'a'"):
            sess.run(update)
        assert sess.variables["b"].tolist() == [1.0] * 3
        assert sess.step == 1


def test_results_that_fail_late_cost_the_variables_only_if_these_failed_too() -> None:
    a, _, update = build()
    fragile = Fragile()
    with gf.Session(backend=fragile) as sess:
        sess.run([a, update])
        fragile.sabotage = lambda updated, outputs: outputs[0][0].delete()
        with pytest.raises(RuntimeError, match="deleted"):
            sess.run([a, update])
        assert sess.variables[a].tolist() == [3.0] * 3 and sess.step == 2
        fragile.sabotage = lambda updated, outputs: [array.delete() for part in outputs for array in part]
        with pytest.raises(SessionError, match="lost the values of 'a', 'b'"):
            sess.run([a, update])
        assert sess.step == 2


def test_a_reference_that_fails_changes_nothing() -> None:
    v = gf.variable("v", (2,), initializer=gf.initializers.ones())
    x = gf.placeholder("x", (2,))
    update = gf.assign(v, gf.multiply(v, x, name="culprit"))
    with gf.Session(backend="numpy", level="O0") as sess:
        sess.run(update, {x: [2.0, 2.0]})
        definition = gf.registry["multiply"]
        original = definition.reference

        def broken(*arrays: Any) -> Any:
            raise MemoryError("no memory left")

        definition.reference = broken
        try:
            with pytest.raises(BackendError, match=r"culprit.*no memory left") as caught:
                sess.run(update, {x: [2.0, 2.0]})
        finally:
            definition.reference = original
        assert "test_step.py" in str(caught.value)
        assert sess.variables[v].tolist() == [2.0, 2.0] and sess.step == 1


# Threads


def run_in_threads(*bodies: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not failures, failures[0]
    assert not any(thread.is_alive() for thread in threads)


def test_updates_from_several_threads_are_all_applied(backend: str, counter) -> None:
    with gf.Session(backend=backend) as sess:

        def work() -> None:
            for _ in range(50):
                sess.run(counter.add, {counter.by: 1})

        run_in_threads(*[work] * 4)
        assert int(sess.variables["count"]) == 200 and sess.step == 200
        assert len(sess.compiles) == 1


def test_readers_see_whole_updates(backend: str) -> None:
    a = gf.variable("a", (64,), initializer=gf.initializers.zeros())
    b = gf.variable("b", (64,), initializer=gf.initializers.zeros())
    update = gf.group(gf.assign(a, a + 1.0), gf.assign(b, b - 1.0))
    total = a + b
    with gf.Session(backend=backend) as sess:
        step = sess.make_callable(total)

        def write() -> None:
            for _ in range(200):
                sess.run(update)

        def read() -> None:
            for _ in range(200):
                assert not np.any(sess.run(total))
                assert not np.any(np.asarray(step()))

        run_in_threads(write, read, read)
        assert sess.variables[a][0] == 200.0


def test_one_program_is_compiled_once_by_many_threads(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    y = gf.exp(x) + 1.0
    start = threading.Barrier(4)
    with gf.Session(backend=backend) as sess:

        def work() -> None:
            start.wait()
            for size in (1, 2, 3):
                assert sess.run(y, {x: np.zeros(size)}).tolist() == [2.0] * size

        run_in_threads(*[work] * 4)
        assert len(sess.compiles) == 3


def test_a_new_thread_has_no_default_graph() -> None:
    gf.constant(1.0)

    def work() -> None:
        with pytest.raises(SessionError, match="this thread has not built one"):
            gf.Session(backend="numpy")
        y = gf.constant(2.0) * 3.0
        with gf.Session(backend="numpy") as sess:
            assert sess.run(y) == 6.0

    run_in_threads(work)

"""Wrong fetches, sessions and threads: refused with the near name or the right kind, nothing applied."""

from __future__ import annotations

import threading
import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, FetchError, GraphError, SessionError
from tests.bad_input.refusal import refused

LEAVES: dict[str, Any] = {
    "None": None,
    "a number": 3,
    "a float": 0.5,
    "an array": np.zeros(2),
    "an object": object(),
    "a class": gf.Tensor,
    "bytes": b"loss",
    "a function": gf.exp,
    "a set": {"loss"},
    "a generator": (name for name in ["loss"]),
}
Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize("case", LEAVES)
@pytest.mark.parametrize("nest", [lambda leaf: leaf, lambda leaf: [["loss"], {"a": (leaf,)}]])
def test_what_cannot_be_fetched(backend: str, case: str, nest: Callable[[Any], Any]) -> None:
    w = gf.variable("w", (2,))
    loss = gf.sum(w, name="loss")
    update = gf.assign(w, w + 1.0)
    with gf.Session(backend=backend) as sess:
        for act in (sess.run, sess.make_callable, sess.explain, sess.memory, sess.profile):
            with refused(FetchError, "cannot be fetched", "tensors, updates, names"):
                act([update, nest(LEAVES[case])])
        assert sess.step == 0 and sess.run(loss) == 0.0


@pytest.mark.parametrize("name", ["los", "loss:1", "loss:x", "loss:-1", "", "/loss", "loss:0:0", " loss"])
def test_names_that_are_not_there(backend: str, name: str) -> None:
    w = gf.variable("w", (2,))
    gf.sum(w, name="loss")
    with gf.Session(backend=backend) as sess:
        with refused(FetchError, f"no tensor {name!r}"):
            sess.run([gf.assign(w, w + 1.0), name])
        assert sess.step == 0


def test_a_near_name_is_offered(backend: str) -> None:
    gf.sum(gf.constant([1.0]), name="training_loss")
    with gf.Session(backend=backend) as sess, refused(FetchError, "did you mean 'training_loss'?"):
        sess.run("trainig_loss")


def test_nothing_and_nests_of_nothing_can_be_fetched(backend: str) -> None:
    w = gf.variable("w", (2,))
    update = gf.assign(w, w + 1.0)
    with gf.Session(backend=backend) as sess:
        assert sess.run([]) == [] and sess.run({}) == {} and sess.run(()) == ()
        assert sess.run({"a": [], "b": ((), {"c": update})}) == {"a": [], "b": ((), {"c": None})}
        found = sess.run(Pair(left=w, right=[update, "w", "w:0"]))
        assert isinstance(found, Pair) and found.left.tolist() == [1.0, 1.0] and found.right[0] is None
        assert sess.step == 2


def test_another_graph(backend: str) -> None:
    w = gf.variable("w", (2,))
    update = gf.assign(w, w + 1.0)
    with gf.Graph("other"):
        stranger = gf.constant(1.0, name="stranger")
        other = gf.assign(gf.variable("v", ()), 1.0)
    with gf.Session(backend=backend) as sess:
        with refused(FetchError, "stranger:0", "'other'", "gf.Session(graph)", "float32[]"):
            sess.run([update, stranger])
        with refused(FetchError, "'other'"):
            sess.run([update, other])
        with refused(gf.FeedError, "stranger:0", "'other'"):
            sess.run([update, w], {stranger: 1.0})
        with refused(SessionError, "no variable"):
            sess.variables[other.variables[0]] = 1.0
        assert sess.step == 0 and sess.variables[w].tolist() == [0.0, 0.0]


def test_two_updates_of_one_variable(backend: str) -> None:
    w = gf.variable("w", (2,))
    first = gf.assign(w, w + 1.0)
    second = gf.assign(w, w * 2.0)
    with gf.Session(backend=backend) as sess:
        with refused(FetchError, "'w'", "separate runs"):
            sess.run([first, second])
        with refused(GraphError, "'w'", "separate runs"):
            gf.group(first, second)
        assert sess.step == 0 and sess.run([first, first, w])[2].tolist() == [0.0, 0.0]
        assert sess.variables[w].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("value", ["x", None, 3, [3], gf.float32])
def test_what_is_no_update(value: Any) -> None:
    with refused(GraphError, "is no update"):
        gf.group(gf.assign(gf.variable("w", ()), 1.0), value)


def test_an_update_of_nothing(backend: str) -> None:
    gf.constant(1.0)
    with gf.Session(backend=backend) as sess, refused(gf.GraphFlowError, "changes nothing"):
        sess.run(gf.group())


# Sessions


@pytest.mark.parametrize(
    ("keywords", "kind", "facts"),
    [
        ({"backend": "jaxx"}, BackendError, ["'jaxx'", "did you mean 'jax'"]),
        ({"backend": "tpu"}, BackendError, ["'tpu'", "numpy"]),
        ({"backend": None}, BackendError, ["None is no backend"]),
        ({"backend": np}, BackendError, ["is no backend"]),
        ({"backend": 3}, BackendError, ["3 is no backend"]),
        ({"level": "O4"}, SessionError, ["'O4'", "O0, O1, O2, O3"]),
        ({"level": 2}, SessionError, ["2", "O2"]),
        ({"level": None}, SessionError, ["None"]),
        ({"level": np.zeros(2)}, SessionError, ["O0"]),
        ({"seed": -1}, SessionError, ["-1", "2**64"]),
        ({"seed": 2**64}, SessionError, ["2**64"]),
        ({"seed": "a"}, SessionError, ["'a'"]),
        ({"seed": 0.5}, SessionError, ["0.5"]),
        ({"seed": None}, SessionError, ["None"]),
        ({"graph": 3}, SessionError, ["int is no graph"]),
        ({"graph": "default"}, SessionError, ["str is no graph"]),
    ],
)
def test_sessions_that_cannot_be(keywords: dict[str, Any], kind: type, facts: list[str]) -> None:
    gf.constant(1.0)
    with refused(kind, *facts):
        gf.Session(**{"backend": "numpy", **keywords})


def test_a_closed_session(backend: str, tmp_path) -> None:
    w = gf.variable("w", ())
    sess = gf.Session(backend=backend)
    step = sess.make_callable(w)
    step()
    sess.close()
    sess.close()
    uses: list[Callable[[], Any]] = [
        lambda: sess.run(w),
        lambda: sess.run([]),
        lambda: sess.make_callable(w),
        step,
        lambda: sess.explain(w),
        lambda: sess.memory(w),
        lambda: sess.profile(w),
        lambda: sess.variables["w"],
        lambda: sess.variables.update({"w": 1.0}),
        lambda: sess.save_checkpoint(tmp_path),
        lambda: sess.restore_checkpoint(tmp_path),
    ]
    for use in uses:
        with pytest.raises(SessionError, match="the session is closed") as caught:
            use()
        assert "test_fetches.py:" in str(caught.value) and "try: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_session_in_a_second_thread(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    y = x * 2.0
    found: list[Any] = []
    with gf.Session(backend=backend) as sess:

        def work() -> None:
            found.append(sess.run(y, {x: [1.0, 2.0]}).tolist())
            try:
                gf.Session(backend=backend)
            except SessionError as error:
                found.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(timeout=60)
    assert found[0] == [2.0, 4.0]
    assert "this thread has not built one" in found[1] and "test_fetches.py:" in found[1]


# Graphs that grow


def test_growing_in_a_loop_is_warned_about_with_its_line(backend: str) -> None:
    x = gf.placeholder("x", ())
    with gf.Session(backend=backend) as sess, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for number in range(8):
            y = x + float(number)
            assert sess.run(y, {x: 1.0}) == 1.0 + number
    (warning,) = [one for one in seen if "has grown between runs" in str(one.message)]
    assert warning.filename == __file__ and "test_fetches.py:" in str(warning.message)
    assert "freeze" in str(warning.message)


def test_a_frozen_graph(backend: str) -> None:
    w = gf.variable("w", (2,))
    y = w + 1.0
    gf.default_graph().freeze()
    count = len(gf.default_graph())
    for build in (
        lambda: y + 1.0,
        lambda: gf.constant(1.0),
        lambda: gf.placeholder("x", ()),
        lambda: gf.variable("v", ()),
        lambda: gf.gradients(y, [w]),
        lambda: gf.assign(w, w),
        lambda: gf.random.normal((2,)),
    ):
        with pytest.raises(GraphError, match="is frozen") as caught:
            build()
        assert "test_fetches.py:" in str(caught.value) and "try: " in str(caught.value)
    assert len(gf.default_graph()) == count
    with gf.Session(backend=backend) as sess:
        assert sess.run(y).tolist() == [1.0, 1.0]

"""The state of a session: first values, reading and setting, and what a failed run leaves of it."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, SessionError
from graphflow.session.variables import session_key


def test_first_values_depend_on_seed_and_name_only() -> None:
    def values(backend: str, seed: int, names: str) -> dict[str, np.ndarray]:
        with gf.Graph() as graph:
            for name in names:
                gf.variable(name, (3, 4))
        with gf.Session(graph, backend=backend, seed=seed) as sess:
            return dict(sess.variables)

    first = values("numpy", 1, "abc")
    again = values("jax", 1, "cab")
    assert list(first) == ["a", "b", "c"]
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert value.dtype == np.float32 and np.ptp(value) > 0
    assert not np.array_equal(first["a"], first["b"])
    assert not np.array_equal(first["a"], values("numpy", 2, "a")["a"])


def test_variables_are_initialised_when_first_needed(backend: str) -> None:
    a = gf.variable("a", (2,), initializer=gf.initializers.ones())
    b = gf.variable("b", (2,), initializer=gf.initializers.ones())
    with gf.Session(backend=backend) as sess:
        assert "0 of them" in repr(sess.variables)
        sess.run(a)
        assert "1 of them" in repr(sess.variables)
        c = gf.variable("c", (2,), initializer=gf.initializers.constant(5.0))
        np.testing.assert_array_equal(sess.run(a + b + c), [7.0, 7.0])
        assert len(sess.variables) == 3 and a in sess.variables and "c" in sess.variables


def test_reading_and_setting(backend: str) -> None:
    w = gf.variable("w", (2,))
    n = gf.variable("n", (), dtype=gf.int64)
    with gf.Session(backend=backend) as sess:
        sess.variables.update({w: [1.0, 2.0], "n": 2**40})
        assert sess.variables["w:0"].tolist() == [1.0, 2.0]
        assert int(sess.variables[n]) == 2**40 and sess.variables[n].dtype == np.int64
        sess.variables["w"] = np.array([3.0, 4.0])
        assert sess.run(w).tolist() == [3.0, 4.0]
        assert {name: value.tolist() for name, value in sess.variables.items()} == {
            "w": [3.0, 4.0],
            "n": 2**40,
        }


def test_setting_several_is_all_or_nothing(backend: str) -> None:
    gf.variable("a", (2,), initializer=gf.initializers.zeros())
    gf.variable("b", (2,), initializer=gf.initializers.zeros())
    with gf.Session(backend=backend) as sess:
        with pytest.raises(FeedError, match=r"the variable 'b' has shape \[2\], the value \[3\]"):
            sess.variables.update({"a": [1.0, 1.0], "b": [1.0, 1.0, 1.0]})
        assert sess.variables["a"].tolist() == [0.0, 0.0]


def test_wrong_names_and_values_are_refused() -> None:
    gf.variable("weight", (2,))
    with gf.Graph():
        foreign = gf.variable("weight", (2,))
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(SessionError, match="no variable 'wieght'") as caught:
            sess.variables["wieght"]
        assert "'weight'" in str(caught.value)
        for key in (foreign, 3, None):
            with pytest.raises(SessionError, match="no variable"):
                sess.variables[key] = [1.0, 2.0]
        with pytest.raises(FeedError, match="not converted to float32"):
            sess.variables["weight"] = np.array([1, 2])
        with pytest.raises(FeedError, match=r"has shape \[2\], the value \[\]"):
            sess.variables["weight"] = 1.0


def test_the_session_key_holds_seed_and_step() -> None:
    assert session_key(2**64 - 1, 2**33 + 1).tolist() == [2**32 - 1, 2**32 - 1, 2, 1]

"""Memory that is shared nowhere: results, feeds, constants and variables never change with one another."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf


@pytest.fixture(params=["O0", "O2", "O3"])
def level(request: pytest.FixtureRequest) -> str:
    return request.param


def test_one_value_for_two_variables(backend: str, level: str) -> None:
    a, b = gf.variable("a", (3,)), gf.variable("b", (3,))
    value = gf.placeholder("value", (3,))
    both = gf.group(gf.assign(a, value), gf.assign(b, value))
    first, second = gf.assign(a, a + 1.0), gf.assign(b, b * 10.0)
    with gf.Session(backend=backend, level=level) as sess:
        sess.run(both, {value: np.ones(3)})
        for _ in range(3):
            sess.run(first)
        sess.run(second)
        assert (sess.variables[a][0], sess.variables[b][0]) == (4.0, 10.0)
        sess.run(both, {value: np.ones(3)})
        sess.run(gf.group(first, second))
        assert (sess.variables[a][0], sess.variables[b][0]) == (2.0, 10.0)


def test_a_variable_that_takes_anothers_value(backend: str, level: str) -> None:
    a = gf.variable("a", (2, 3))
    b = gf.variable("b", (3, 2), initializer=gf.initializers.ones())
    copy, stay = gf.assign(a, gf.reshape(b, (2, 3))), gf.assign(b, b)
    raise_a, raise_b = gf.assign(a, a + 1.0), gf.assign(b, b * 5.0)
    with gf.Session(backend=backend, level=level) as sess:
        for update in (copy, raise_a, stay, raise_a):
            sess.run(update)
        assert (sess.variables[a][0, 0], sess.variables[b][0, 0]) == (3.0, 1.0)
        sess.run([copy, b])
        sess.run(raise_b)
        assert (sess.variables[a][0, 0], sess.variables[b][0, 0]) == (1.0, 5.0)


def test_a_constant_that_a_variable_takes(backend: str, level: str) -> None:
    constant = gf.constant([1.0, 2.0])
    a = gf.variable("a", (2,))
    take, more = gf.assign(a, constant), gf.assign(a, a + 1.0)
    with gf.Session(backend=backend, level=level) as sess:
        for update in (take, more, more):
            sess.run(update)
        fetched = sess.run(constant)
        fetched[:] = 9.0
        assert sess.run(constant).tolist() == [1.0, 2.0] and sess.variables[a].tolist() == [3.0, 4.0]


def test_results_may_be_written_to(backend: str, level: str) -> None:
    a = gf.variable("a", (4,), initializer=gf.initializers.ones())
    x = gf.placeholder("x", (4,))
    fed = np.zeros(4, np.float32)
    fetches = [a, x, gf.reshape(a, (2, 2)), gf.reshape(x, (2, 2)), gf.identity(a), gf.stop_gradient(x)]
    with gf.Session(backend=backend, level=level) as sess:
        for result in sess.run(fetches, {x: fed}):
            assert result.flags.writeable and not np.shares_memory(result, fed)
            result[...] = 7.0
        assert sess.run(a).tolist() == [1.0] * 4 and sess.variables[a].tolist() == [1.0] * 4
        assert fed.tolist() == [0.0] * 4
        results = sess.run(fetches, {x: fed})
        pairs = [(i, j) for i in range(6) for j in range(i) if np.shares_memory(results[i], results[j])]
        assert pairs == []


def test_results_on_the_device_outlive_updates(backend: str, level: str) -> None:
    a = gf.variable("a", (4,), initializer=gf.initializers.ones())
    x = gf.placeholder("x", (4,))
    more, take = gf.assign(a, a + x), gf.assign(a, x)
    with gf.Session(backend=backend, level=level) as sess:
        held = sess.run([a, gf.reshape(a, (2, 2))], to_numpy=False)
        step, put = sess.make_callable([a, more], [x]), sess.make_callable(take, [x])
        seen = [step(np.ones(4, np.float32))[0] for _ in range(3)]
        given = sess.run(x * 1.5, {x: np.ones(4)}, to_numpy=False)
        put(given)
        step(given)
        sess.run(more, {x: given})
        assert [np.asarray(one).reshape(-1).tolist() for one in held] == [[1.0] * 4] * 2
        assert [float(np.asarray(one)[0]) for one in seen] == [1.0, 2.0, 3.0]
        assert np.asarray(given).tolist() == [1.5] * 4 and sess.variables[a].tolist() == [4.5] * 4


def test_values_that_are_set_stay_the_callers(backend: str) -> None:
    a, b = gf.variable("a", (4,)), gf.variable("b", (4,))
    update = gf.group(gf.assign(a, a + 1.0), gf.assign(b, b + 2.0))
    array = np.ones(4, np.float32)
    with gf.Session(backend=backend) as sess:
        sess.variables.update({a: array, b: array})
        array[:] = 50.0
        sess.run(update)
        on_device = sess.run(a, to_numpy=False)
        sess.variables.update({a: on_device, b: on_device})
        sess.run(update)
        assert np.asarray(on_device).tolist() == [2.0] * 4
        assert (sess.variables[a][0], sess.variables[b][0]) == (3.0, 4.0)


def test_one_initial_array_for_several_variables(backend: str) -> None:
    array = np.ones(4, np.float32)
    initial = gf.initializers.value(array)
    names = [
        gf.variable(name, initializer=start) for name, start in zip("abcd", [array, array, initial, initial])
    ]
    updates = [gf.assign(variable, variable + float(place)) for place, variable in enumerate(names)]
    with gf.Session(backend=backend) as sess, gf.Session(backend=backend) as other:
        for update in updates:
            sess.run(update)
        assert [float(sess.variables[name][0]) for name in "abcd"] == [1.0, 2.0, 3.0, 4.0]
        assert [float(other.variables[name][0]) for name in "abcd"] == [1.0] * 4 and array.tolist() == [
            1.0
        ] * 4

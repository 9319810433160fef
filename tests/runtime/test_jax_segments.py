"""Programs compiled in segments give what they give in one piece, and fail as they do."""

from __future__ import annotations

from itertools import count
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.errors import BackendError, SessionError
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.backend import CompileOptions, get_backend
from graphflow.runtime.jax.calls import dispatcher
from graphflow.runtime.jax.segmented import SegmentedExecutable


def compiled(program: Program, most: int | None, **options: Any) -> Any:
    made = get_backend("jax").compile(program, CompileOptions(segment_nodes=most, **options))
    assert isinstance(made, SegmentedExecutable) == (most is not None)
    return made


def both(program: Program, most: int, *feeds: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The fetches in one piece, and in segments."""
    one, cut = (compiled(program, each)((), (), feeds, None)[0] for each in (None, most))
    return list(map(np.asarray, one)), list(map(np.asarray, cut))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=14, max_size=18), st.integers(0, 9))
@settings(max_examples=3)
def test_elementwise_graphs_agree_bit_for_bit(steps: list[tuple[int, int]], seed: int) -> None:
    operators = [
        gf.maximum,
        gf.add,
        gf.subtract,
        lambda x, y: gf.abs(x),
        lambda x, y: gf.sign(y) - x,
        gf.minimum,
    ]
    with gf.Graph():
        x = gf.placeholder("x", (5,))
        pool = [x, gf.negative(x)]
        for kind, back in steps:
            pool.append(operators[kind](pool[-1], pool[-min(back, len(pool))]))
        program = extract([pool[-1], pool[6]], feeds=[x])
    value = np.random.default_rng(seed).normal(size=5).astype(np.float32)
    value[:2] = -0.0, np.inf
    if len(program.order()) > 8:
        for one, cut in zip(*both(program, 8, value), strict=True):
            assert one.tobytes() == cut.tobytes()


def test_a_program_of_no_more_nodes_is_left_alone() -> None:
    x = y = gf.placeholder("x", (2,))
    for _ in range(9):
        y = gf.sin(y)
    program = extract([y], feeds=[x])
    assert not hasattr(compiled(program, None), "note")
    options = CompileOptions(segment_nodes=10)
    assert not isinstance(get_backend("jax").compile(program, options), SegmentedExecutable)
    assert isinstance(compiled(program, 9), SegmentedExecutable)


def test_equal_layers_compile_once() -> None:
    x = h = gf.placeholder("x", (2, 8))
    w = [gf.constant(np.eye(8, dtype=np.float32) * (1 + index / 50)) for index in range(48)]
    for index in range(48):
        h = h + gf.tanh(gf.matmul(h, w[index]))
    program = extract([h], feeds=[x])
    value = np.linspace(-1, 1, 16).astype(np.float32).reshape(2, 8)
    executable = compiled(program, 24)
    assert len(executable._plan.steps) > 10 and executable.compilations <= 4
    one = compiled(program, None)((), (), [value], None)[0][0]
    np.testing.assert_allclose(executable((), (), [value], None)[0][0], one, rtol=1e-5)
    numbers = executable.memory()
    assert numbers["outputs"] == 64 and 0 < numbers["temp"] < 4096
    assert "HloModule" in executable.text()


def test_64_bit_types_and_fetches_from_the_middle() -> None:
    x = gf.placeholder("x", (3,), dtype=gf.float64)
    n = gf.placeholder("n", (3,), dtype=gf.int64)
    y, k = x, n
    inner = []
    for _ in range(6):
        y, k = gf.sin(y) + gf.constant(1e-12, dtype=gf.float64), k * 3 + 1
        inner += [y, k]
    program = extract([inner[4], inner[4], k, y, x], feeds=[x, n])
    values = np.array([0.1, 1e300, -0.0]), np.array([1, 3_000_000_019, -7], np.int64)
    one, cut = both(program, 8, *values)
    for left, right in zip(one, cut, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_allclose(left, right, rtol=1e-15)
    assert not jax.config.jax_enable_x64


def test_results_share_no_memory() -> None:
    x = y = gf.placeholder("x", (4,))
    for _ in range(8):
        y = gf.sin(y)
    program = extract([y, y, x, x], feeds=[x])
    value = jax.numpy.ones(4)
    fetches, _ = compiled(program, 4)((), (), [value], None)
    addresses = [array.unsafe_buffer_pointer() for array in (*fetches, value)]
    assert len(set(addresses)) == 5
    # The memory of intermediates is handed on, that of the feed is not.
    assert np.asarray(value).tolist() == [1.0] * 4


def test_control_flow_runs_inside_segments() -> None:
    x = y = gf.placeholder("x", (3,))
    for _ in range(3):
        y = gf.cond(gf.sum(y) > 0.0, lambda y=y: gf.sin(y) - 0.5, lambda y=y: gf.cos(y))
        y = gf.while_loop(lambda state: gf.sum(state) < 2.0, lambda state: state + 0.7, y)
    for one, cut in zip(*both(extract([y], feeds=[x]), 6, np.array([0.1, -0.3, 0.9], np.float32))):
        np.testing.assert_allclose(one, cut, rtol=1e-6)


# Through a session


def training(
    segment_nodes: int | None, dropout: float = 0.0, **options: Any
) -> tuple[gf.Session, Any, list[Any]]:
    gf.reset_default_graph()
    x = h = gf.placeholder("x", ("batch", 6))
    for index in range(4):
        h = gf.layers.dense(h, 6, activation=gf.tanh)
        if dropout and index % 2:
            h = gf.layers.dropout(h, dropout)
    loss = gf.mean(h * h)
    train = gf.train.SGD(0.1, momentum=0.9).minimize(loss)
    session = gf.Session(segment_nodes=segment_nodes, **options)
    return session, x, [loss, train, h]


def test_training_with_random_numbers_agrees(rng: np.random.Generator) -> None:
    batch = rng.normal(size=(5, 6)).astype(np.float32)
    results = []
    for most in (None, 60):
        session, x, fetches = training(most, dropout=0.2)
        losses = [session.run(fetches, {x: batch})[0] for _ in range(3)]
        results.append((losses, session.variables.snapshot()))
    (one, before), (cut, after) = results
    np.testing.assert_allclose(cut, one, rtol=1e-5)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    record = session.compiles[0]
    assert " segments of " in record.note and record.note in str(record)


def test_a_callable_takes_other_sizes_and_refuses_wrong_ones_before_it_runs() -> None:
    session, x, fetches = training(60)
    step = session.make_callable(fetches, [x])
    for rows in (3, 4):
        assert step(jax.numpy.ones((rows, 6)))[2].shape == (rows, 6)
    before = session.variables.snapshot()
    with pytest.raises(gf.FeedError):
        step(jax.numpy.ones((3, 5)))
    for name, value in session.variables.snapshot().items():
        np.testing.assert_array_equal(value, before[name])


def test_wrong_arguments_are_refused_before_anything_runs() -> None:
    x = y = gf.placeholder("x", (4,))
    for _ in range(8):
        y = gf.sin(y)
    executable = compiled(extract([y], feeds=[x]), 4)
    with pytest.raises(BackendError, match=r"argument 0 is float32\[5\], but .* float32\[4\]"):
        executable((), (), [np.zeros(5, np.float32)], None)
    with pytest.raises(BackendError, match="takes 1 arrays, not 2"):
        executable.flat(np.zeros(4, np.float32), np.zeros(4, np.float32))


@pytest.mark.parametrize("donate", [True, False])
def test_a_failure_half_way_costs_what_was_handed_over(donate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[bool] = []
    numbers = count()

    def breaking(compiled: Any) -> Any:
        """A call that fails in its turn, from the second on, when asked to."""
        call, number = dispatcher(compiled), next(numbers)

        def run(*arrays: Any) -> Any:
            if broken and number > 0:
                raise RuntimeError("out of memory")
            return call(*arrays)

        return run

    monkeypatch.setattr("graphflow.runtime.jax.segmented.dispatcher", breaking)
    x = gf.placeholder("x", (4,))
    w = gf.variable("w", (4,), initializer=gf.initializers.ones())
    new = y = w + x
    for _ in range(6):
        y = gf.sin(y)
    fetches, feed = [y, gf.assign(w, new)], {x: np.ones(4, np.float32)}
    session = gf.Session(segment_nodes=6, donate=donate)
    session.run(fetches, feed)
    broken.append(True)
    with pytest.raises(SessionError if donate else BackendError, match="out of memory"):
        session.run(fetches, feed)
    broken.clear()
    if donate:
        with pytest.raises(SessionError, match="restore"):
            session.run(w)
        session.variables[w] = np.zeros(4)
        assert session.run(w).tolist() == [0.0] * 4
    else:
        assert session.run(w).tolist() == [2.0] * 4
    assert session.step == 1


def test_the_report_tells_how_it_will_be_compiled() -> None:
    y = gf.placeholder("x", ("n",))
    for _ in range(12):
        y = gf.sin(y)
    cut, whole = gf.Session(segment_nodes=8).explain(y), gf.Session().explain(y)
    assert str(cut).splitlines()[-1] == cut.note == "1 program of 13 nodes in 5 segments of 3 kinds"
    assert whole.note == "" and "segments" not in str(whole)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "many", True])
def test_what_is_no_number_of_nodes_is_refused(wrong: Any) -> None:
    gf.constant(1.0)
    with pytest.raises(SessionError, match="segment_nodes is"):
        gf.Session(segment_nodes=wrong)

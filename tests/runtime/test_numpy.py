"""The numpy backend: same values as the references, nothing aliased, values freed, failures located."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import float32
from graphflow.ir.graph import Graph, default_graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ir.types import TensorType
from graphflow.ops.declare import builtin
from graphflow.optimizer.program import extract
from graphflow.runtime.backend import Backend, CompileOptions, get_backend
from graphflow.runtime.numpy.backend import NumpyBackend
from graphflow.runtime.numpy.executor import NumpyExecutable


def custom(reference: Callable[..., Any], outputs: int = 1, traits: str = "") -> OpDef:
    """An operator outside the registry whose outputs have the type of its first input."""
    return OpDef(
        reference,
        family="custom",
        name=reference.__name__,
        infer=lambda types, attrs: (types[0],) * outputs,
        traits=frozenset(traits.split()),
        promotion=None,
        normalize=None,
        version=1,
    )


def compiled(fetches: list[Tensor], updates: Any = (), feeds: Any = (), training: bool | None = False) -> Any:
    program = extract(fetches, [node for update in updates for node in update.assigns], feeds, training)
    return NumpyBackend().compile(program, CompileOptions())


def test_it_is_found_by_name_and_keeps_the_protocol() -> None:
    backend: Backend = get_backend("numpy")
    assert isinstance(backend, NumpyBackend) and backend.name == "numpy"
    assert ",fuse," in backend.pipeline("O2") and backend.pipeline("O2").endswith(",place")
    assert backend.pipeline("O0") == "verify"
    x = gf.placeholder("x", (2,))
    assert backend.refusal(x.node) is None
    assert compiled([x], feeds=[x]).memory() == {}


def test_values_and_updates(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (3, 2))
    w = gf.variable("w", (2,))
    scale = gf.variable("scale", ())
    y = gf.multiply(gf.add(x, w), scale)
    run = compiled([y, w], [gf.assign(w, gf.add(w, gf.exp(w)))], [x])
    assert run.updated == ("w",) and run.kept == ("scale",) and not run.uses_key
    given, old = rng.normal(size=(3, 2)).astype("f4"), np.array([1.0, np.nan], "f4")
    (result, read), (new,) = run([old], [np.float32(2)], [given], None)
    np.testing.assert_array_equal(result, (given + old) * np.float32(2))
    np.testing.assert_array_equal(read, old)
    np.testing.assert_array_equal(new, old + np.exp(old))
    assert result.dtype == new.dtype == np.float32


def test_an_updated_variable_need_not_be_read() -> None:
    w = gf.variable("w", (2,))
    run = compiled([], [gf.assign(w, gf.constant([1.0, 2.0]))])
    fetches, (new,) = run([np.zeros(2, "f4")], [], [], None)
    assert fetches == [] and new.tolist() == [1, 2]


def test_it_agrees_with_the_interpreter_on_a_deep_chain(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (4,))
    y = x
    for _ in range(3000):
        y = gf.multiply(gf.add(y, x), 0.5)
    value = rng.normal(size=4).astype("f4")
    ((result,), _) = compiled([y], feeds=[x])([], [], [value], None)
    np.testing.assert_array_equal(result, evaluate([y], {x: value})[0])


def test_results_alias_nothing() -> None:
    x = gf.placeholder("x", (2, 2))
    w = gf.variable("w", (2,))
    c = gf.constant([5.0, 6.0])
    flat = Builder(default_graph()).apply(custom(view_of), (x,))
    doubled = gf.add(x, x)
    view = Builder(default_graph()).apply(custom(view_of), (doubled,))
    run = compiled([x, x, flat, w, c, doubled, doubled, view], [gf.assign(w, w)], [x])
    given, old = np.ones((2, 2), "f4"), np.zeros(2, "f4")
    fetches, (new,) = run([old], [], [given], None)
    everything = [*fetches, new, given, old, c.node.attrs.value]
    for index, one in enumerate(everything):
        assert not any(np.shares_memory(one, other) for other in everything[index + 1 :])
    for result in (*fetches, new):
        result[...] = 7
    assert given.tolist() == [[1, 1], [1, 1]] and old.tolist() == [0, 0]
    assert c.node.attrs.value.tolist() == [5, 6]


def view_of(x: np.ndarray, /) -> np.ndarray:
    """A reference that returns a view."""
    return x[:]


def test_put_and_get_copy() -> None:
    backend = NumpyBackend()
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for made in (backend.put(array), backend.get(array)):
        np.testing.assert_array_equal(made, array)
        assert not np.shares_memory(made, array)


def test_values_are_freed_after_their_last_use() -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def fresh(x: np.ndarray, /) -> np.ndarray:
        nonlocal most
        made = x + 1
        alive.append(weakref.ref(made))
        most = max(most, sum(one() is not None for one in alive))
        return made

    op = custom(fresh)
    x = gf.placeholder("x", (1000,))
    builder = Builder(default_graph())
    y = x
    for _ in range(50):
        y = builder.apply(op, (y,))
    ((result,), _) = compiled([y], feeds=[x])([], [], [np.zeros(1000, "f4")], None)
    assert result[0] == 50
    assert most == 2


def test_the_session_key_reaches_the_nodes_that_read_it() -> None:
    key = builtin(default_graph(), "session_key")
    run = compiled([key])
    assert run.uses_key
    words = np.array([1, 2, 3, 4], "u4")
    ((seen,), _) = run([], [], [], words)
    assert seen.tolist() == [1, 2, 3, 4] and not np.shares_memory(seen, words)


def test_several_outputs_and_an_unused_one() -> None:
    def both(x: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        return x + 1, x - 1

    x = gf.placeholder("x", (2,))
    up, down = Builder(default_graph()).apply(custom(both, outputs=2), (x,))
    value = np.array([1, 2], "f4")
    assert compiled([down], feeds=[x])([], [], [value], None)[0][0].tolist() == [0, 1]
    fetches, _ = compiled([down, up], feeds=[x])([], [], [value], None)
    assert [one.tolist() for one in fetches] == [[0, 1], [2, 3]]


def test_feeding_an_intermediate_tensor_cuts_what_is_above() -> None:
    x = gf.placeholder("x", (2,))
    y = gf.exp(x)
    ((result,), _) = compiled([gf.add(y, 1.0)], feeds=[y])([], [], [np.array([1, 2], "f4")], None)
    assert result.tolist() == [2, 3]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 1e38])
def test_awkward_values_pass_without_warnings(value: float) -> None:
    x = gf.placeholder("x", (1,))
    fed = np.array([value], "f4")
    ((result,), _) = compiled([gf.multiply(x, x)], feeds=[x])([], [], [fed], None)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(result, fed * fed)


def test_empty_arrays() -> None:
    x = gf.placeholder("x", (0, 3))
    ((result,), _) = compiled([gf.exp(x)], feeds=[x])([], [], [np.zeros((0, 3), "f4")], None)
    assert result.shape == (0, 3)


# Failures


def test_a_failing_reference_is_reported_with_its_node_and_line() -> None:
    def fragile(x: np.ndarray, /) -> np.ndarray:
        raise ValueError("singular matrix")

    x = gf.placeholder("x", (2,))
    y = Builder(default_graph()).apply(custom(fragile), (gf.exp(x),), name="solve_it")
    run = compiled([y], feeds=[x])
    with pytest.raises(BackendError) as caught:
        run([], [], [np.zeros(2, "f4")], None)
    text = str(caught.value)
    assert "fragile 'solve_it' failed while it ran: ValueError: singular matrix" in text
    assert "test_numpy.py:" in text and "float32[2]" in text
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (lambda x, /: x.astype("f8"), r"gave float64\[2\] at 'odd', where float32\[2\] is declared"),
        (lambda x, /: x[:1], r"gave float32\[1\]"),
        (lambda x, /: (x, x), "gave 2 values"),
    ],
)
def test_a_reference_that_breaks_its_declared_type_is_reported(reference: Any, message: str) -> None:
    x = gf.placeholder("x", (2,))
    y = Builder(default_graph()).apply(custom(reference), (x,), name="odd")
    with pytest.raises(BackendError, match=message):
        compiled([y], feeds=[x])([], [], [np.zeros(2, "f4")], None)


def test_a_missing_feed_is_found_while_compiling() -> None:
    x = gf.placeholder("x", (2,))
    with pytest.raises(BackendError, match="needs placeholder 'x'"):
        compiled([gf.exp(x)])
    flag = builtin(default_graph(), "training_flag")
    with pytest.raises(BackendError, match="needs training_flag"):
        compiled([flag], training=None)
    assert compiled([flag], training=True)([], [], [], None)[0][0] == np.True_


def test_two_threads_may_share_an_executable() -> None:
    from concurrent.futures import ThreadPoolExecutor

    x = gf.placeholder("x", (100,))
    run: NumpyExecutable = compiled([gf.multiply(gf.add(x, x), x)], feeds=[x])

    def once(seed: int) -> bool:
        value = np.full(100, seed, "f4")
        return bool((run([], [], [value], None)[0][0] == 2 * value * value).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(once, range(64)))


def test_a_graph_of_several_programs_is_untouched() -> None:
    with Graph() as graph:
        x = gf.placeholder("x", (2,))
        y = gf.exp(x)
    count = len(graph)
    compiled([y], feeds=[x])
    assert len(graph) == count and y.type is TensorType(float32, (2,))

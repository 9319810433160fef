"""The arena of the numpy backend: the bits of a run without it, with dead memory poisoned; and its limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.errors import BackendError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import default_graph
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.numpy.arena import Arena
from graphflow.runtime.numpy.backend import NumpyBackend
from graphflow.runtime.numpy.executor import NumpyExecutable
from tests.ops.facets import call
from tests.properties.programs import Program, programs
from tests.properties.test_regions import build
from tests.runtime.test_numpy import custom
from tests.samples import all_samples

POISON = 0xFF  # a NaN in every float
SAMPLES = all_samples()


class Both:
    """A program without and with an arena, in which all memory that is not needed is poisoned."""

    def __init__(
        self,
        fetches: Sequence[gf.Tensor],
        feeds: Sequence[gf.Tensor],
        pipeline: str = "fuse",
        block: int = 64,
    ) -> None:
        program = optimize(extract(list(fetches), feeds=list(feeds), training=False), pipeline=pipeline)
        self.plain = NumpyExecutable(program, block)
        self.own = NumpyExecutable(program, block, in_arena=True)
        self.own.poison = POISON

    def __call__(self, *arrays: np.ndarray, runs: int = 2) -> list[np.ndarray]:
        """The results in the arena, which are those without it, in several runs."""
        key = np.arange(4, dtype=np.uint32) if self.plain.uses_key else None
        expected, _ = self.plain([], [], arrays, key)
        before = [array.tobytes() for array in arrays]
        for _ in range(runs):
            found, _ = self.own([], [], arrays, key)
            for index, (own, other) in enumerate(zip(found, expected, strict=True)):
                assert own.dtype == other.dtype and own.shape == other.shape
                if own.dtype.kind == "T":
                    assert own.tolist() == other.tolist(), f"output {index}"
                else:
                    assert own.tobytes() == other.tobytes(), f"output {index}"
                assert own.flags.writeable and not any(np.shares_memory(own, one) for one in arrays)
                assert not any(np.shares_memory(own, one) for one in found[:index])
                if self.arena is not None:
                    assert not np.shares_memory(own, self.arena.memory)
        assert [array.tobytes() for array in arrays] == before
        return found

    @property
    def arena(self) -> Arena | None:
        return self.own._arenas._idle

    def kinds(self, name: str) -> list[str]:
        """How the nodes of an operator run."""
        units = self.own._arenas.placing.units
        return [unit.kind for unit in units if name in {tensor.node.op.name for tensor in unit.results}]


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


# All operators


@settings(max_examples=12)
@given(programs(), st.sampled_from([16, 200, 1 << 18]))
def test_random_programs_keep_their_bits(program: Program, block: int) -> None:
    inputs, fetches = build(program)
    for pipeline in ("eliminate", "fuse,schedule"):
        Both(fetches, inputs, pipeline, block)(*program.arrays)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_each_operator_keeps_its_bits(name: str) -> None:
    for number, sample in enumerate(SAMPLES[name]):
        one = call(name, sample)
        with one.node.graph as graph:
            feeds, operands, arrays = _fed(one.node.inputs, one.arrays, turned=number % 2 == 1)
            made = _results(Builder(graph).apply(one.node.op, operands, dict(one.node.attrs)))
            near = [gf.identity(tensor) for tensor in made]
            sums = [gf.sum(one, axis=axis) for one in near if _adds(one) for axis in range(one.ndim)]
        Both([*near, *sums], feeds, "fold-constants,fuse")(*arrays)


def _results(made: Any) -> list[gf.Tensor]:
    return [made] if isinstance(made, gf.Tensor) else list(made)


def _adds(tensor: gf.Tensor) -> bool:
    return tensor.dtype.kind == "float" and tensor.type.is_static


def _fed(given: Any, arrays: Any, turned: bool) -> Any:
    """Operands that are made by a node each: copies, or views with their axes in the opposite order."""
    feeds, operands, fed = [], [], []
    for number, (tensor, array) in enumerate(zip(given, arrays)):
        text = tensor.dtype.kind == "string"
        source = gf.placeholder(
            f"s{number}{turned}", array.shape[::-1] if turned else array.shape, tensor.dtype
        )
        copied = source if text else gf.reshape(gf.stack([source, source]), (2, *source.shape))[1]
        operands.append(gf.permute_dims(copied, tuple(range(array.ndim))[::-1]) if turned else copied)
        feeds.append(source)
        fed.append(np.array(array.T if turned else array, order="C"))
    return feeds, operands, fed


# What lies where


def test_chains_run_in_place_and_views_take_nothing() -> None:
    x = gf.placeholder("x", (100, 10))
    y = gf.exp(x)
    for _ in range(5):
        y = gf.sin(gf.reshape(gf.permute_dims(gf.reshape(y, (10, 100))), (1000,)))
        y = gf.sqrt(gf.abs(gf.reshape(y, (100, 10))))
    both = Both([gf.sum(y)], [x], "eliminate")
    both(np.linspace(-1, 1, 1000, dtype="f4").reshape(100, 10))
    plan = both.own.plan
    assert both.kinds("abs") == ["kernel"] * 5 and set(both.kinds("permute_dims")) == {"view"}
    assert set(both.kinds("reshape")) == {"view", "kernel"}, "a transposed array is not reshaped in place"
    assert len(plan.in_place) == 15 and plan.arena_bytes == 4032 + 4000
    assert both.arena.memory.nbytes == plan.arena_bytes and both.arena.memory.ctypes.data % 64 == 0


def test_the_arena_is_kept_from_run_to_run() -> None:
    x = gf.placeholder("x", (50,))
    both = Both([gf.sum(gf.exp(x) * gf.sin(x))], [x], "eliminate")
    both(np.arange(50, dtype="f4"))
    kept = both.arena
    assert both(np.ones(50, "f4"))[0] != both(np.zeros(50, "f4"))[0]
    assert both.arena is kept


def test_results_are_arrays_of_their_own() -> None:
    x = gf.placeholder("x", (4, 6))
    c = gf.constant([5.0, 6.0])
    y = gf.exp(x)
    z = gf.sin(y)
    fetches = [
        y,
        y,
        gf.permute_dims(z),
        gf.reshape(gf.cos(z), (24,)),
        x,
        c,
        gf.permute_dims(x),
        z[1:],
        gf.nn.relu(y),
    ]
    found = Both(fetches, [x], "eliminate")(np.ones((4, 6), "f4"))
    for array in found:
        array[...] = 7
    assert c.node.attrs.value.tolist() == [5, 6]


def test_a_returned_value_that_is_written_in_place_is_counted_once() -> None:
    x = gf.placeholder("x", (100,))
    both = Both([gf.nn.relu(gf.sin(gf.exp(x)))], [x], "eliminate")
    both(np.linspace(-3, 3, 100, dtype="f4"))
    assert both.own.plan.arena_bytes == 0 and both.own.plan.output_bytes == 400
    assert both.own.plan.in_place == ("sin", "relu")


def test_updated_variables() -> None:
    w, x = gf.variable("w", (3, 2)), gf.placeholder("x", (4, 3))
    loss = gf.sum(gf.square(x @ w))
    train = gf.train.Adam(0.1).minimize(loss)
    both = []
    for level in ("O0", "O2"):
        with gf.Session(backend="numpy", level=level) as sess:
            feeds = np.random.default_rng(0).normal(size=(3, 4, 3)).astype("f4")
            losses = [sess.run([loss, train], {x: feed})[0] for feed in feeds]
            both.append((np.array(losses), sess.variables["w"]))
    np.testing.assert_allclose(both[0][0], both[1][0], rtol=1e-6)
    np.testing.assert_allclose(both[0][1], both[1][1], rtol=1e-5)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.int8, bool, np.complex64, np.uint64])
def test_any_dtype_lies_in_the_arena(dtype: Any) -> None:
    x = gf.placeholder("x", (7, 5), np.dtype(dtype))
    y = gf.where(gf.equal(x, gf.flip(x)), x, gf.concat([x[1:], x[:1]], axis=0))
    both = Both([gf.equal(y, gf.roll(y, 1))], [x], "eliminate")
    both(np.random.default_rng(0).integers(0, 3, (7, 5)).astype(dtype))
    assert both.own.plan.arena_bytes > 0


def test_text_found_sizes_and_emptiness_stay_outside() -> None:
    x = gf.placeholder("x", (6,))
    text = gf.astype(gf.astype(gf.exp(x), gf.string), gf.float32)
    some = gf.sin(gf.compress(x > 0, x))
    none = gf.exp(x[3:3])
    fetches = [gf.exp(text), gf.sum(gf.exp(some)), some, gf.concat([none, x], axis=0)]
    found = Both(fetches, [x], "eliminate")(np.array([1, -1, 2, 0, -0.0, np.nan], "f4"))
    assert found[2].shape == (2,)


def test_a_scalar_graph_and_one_without_memory() -> None:
    x = gf.placeholder("x", ())
    assert Both([x], [x])(np.float32(3) * ones())[0] == 3
    assert Both([gf.exp(gf.sin(x)) + 1], [x], "eliminate")(ones())[0].shape == ()


def test_arguments_that_are_not_row_major_run_without_the_arena() -> None:
    x = gf.placeholder("x", (30, 20))
    both = Both([gf.sum(gf.exp(x), axis=0)], [x], "eliminate")
    both(np.asfortranarray(np.random.default_rng(0).normal(size=(30, 20)).astype("f4")))
    assert both.arena is None
    both(np.ones((30, 20), "f4"))
    assert both.arena is not None


# Surprises


def turned(x: np.ndarray, /) -> np.ndarray:
    """A reference whose result lies in another order than its operand."""
    return np.asfortranarray(x * 2)


def part(x: np.ndarray, /) -> np.ndarray:
    """A reference that returns a view."""
    return x[:]


def test_a_result_that_lies_otherwise_than_assumed_is_planned_anew() -> None:
    x = gf.placeholder("x", (33, 65))
    y = Builder(default_graph()).apply(custom(turned), (gf.exp(x),))
    fetches = [gf.sum(gf.sin(y) * 0.3), gf.sum(y, axis=0)]
    both = Both(fetches, [x], "eliminate")
    both(np.random.default_rng(0).normal(size=(33, 65)).astype("f4"), runs=1)
    assert both.arena is None and list(both.own._arenas._facts) == [_node(both, "turned").output]
    both(np.random.default_rng(1).normal(size=(33, 65)).astype("f4"))
    assert both.arena is not None


def test_views_by_references_of_users_are_copied_in_time() -> None:
    x = gf.placeholder("x", (40,))
    y = Builder(default_graph()).apply(custom(part), (gf.exp(x),))
    z = gf.sin(gf.cos(gf.exp(x) * 2))
    Both([gf.sum(y * z), Builder(default_graph()).apply(custom(part), (x,))], [x], "eliminate")(ones(40))


def _node(both: Both, name: str) -> Any:
    return next(node for node in both.own.program.order() if node.op.name == name)


def test_a_wrong_plan_shows() -> None:
    x = gf.placeholder("x", (100,))
    y = gf.exp(x)
    both = Both([gf.sum(gf.sin(y)), gf.sum(y * y)], [x], "eliminate")
    both(ones(100))
    plan = both.own.plan
    storage = plan.liveness.storage(_node(both, "exp").output)
    storage.last -= 1
    with pytest.raises(AssertionError, match="output 1"):
        both(ones(100))


# Errors, threads, reports


def broken(x: np.ndarray, /) -> np.ndarray:
    """An operator that fails on negative numbers."""
    if x.min() < 0:
        raise ValueError("negative")
    return x + 1


def test_errors_name_the_node_its_operands_and_the_line() -> None:
    x = gf.placeholder("x", (4,))
    y = Builder(default_graph()).apply(custom(broken), (gf.sin(x),), name="fragile")
    both = Both([gf.sum(gf.exp(y))], [x], "eliminate")
    both(ones(4))
    with pytest.raises(
        BackendError, match="broken 'fragile' failed while it ran: ValueError: negative"
    ) as one:
        both.own([], [], [-ones(4)], None)
    assert "float32[4]" in str(one.value) and "test_numpy_arena.py" in str(one.value)
    both(ones(4))


def test_errors_of_kernels_name_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gf.placeholder("x", (4, 4))
    both = Both([gf.sum(gf.matmul(gf.exp(x), x, name="product"))], [x], "eliminate")
    both(ones(4, 4))
    units = [bound for unit, bound in both.arena._units if unit.results[0].node.op.name == "matmul"]

    def fails(*arrays: np.ndarray) -> None:
        raise MemoryError("no more")

    units[0].compute = fails
    with pytest.raises(BackendError, match="matmul 'product' failed while it ran: MemoryError") as one:
        both.own([], [], [ones(4, 4)], None)
    assert "smaller batches" in str(one.value) and "float32[4, 4]" in str(one.value)


def test_a_users_operator_that_refuses_blocks_runs_whole() -> None:
    def whole(x: np.ndarray, /) -> np.ndarray:
        if x.size < 500:
            raise ValueError("too small")
        return x * 3

    x = gf.placeholder("x", (1000,))
    y = Builder(default_graph()).apply(custom(whole, traits="elementwise in_place"), (gf.exp(x),))
    both = Both([gf.sum(gf.sqrt(y)), gf.max(y)], [x])
    for _ in range(2):
        both(np.linspace(0, 1, 1000, dtype="f4"))


def test_threads_have_an_arena_each() -> None:
    x = gf.placeholder("x", (100, 40))
    y = x
    for _ in range(3):
        y = gf.tanh(y @ gf.permute_dims(y) @ y * 0.01) + y
    run = NumpyExecutable(extract([gf.sum(y, axis=0)], feeds=[x]), in_arena=True)
    rng = np.random.default_rng(0)
    feeds = [rng.normal(size=(100, 40)).astype("f4") for _ in range(4)]
    expected = [run([], [], [feed], None)[0][0] for feed in feeds]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(6):
            if run([], [], [feeds[number]], None)[0][0].tobytes() != expected[number].tobytes():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _mlp() -> Any:
    x = gf.placeholder("x", ("batch", 16))
    hidden = gf.layers.dense(x, 32, activation=gf.nn.relu)
    loss = gf.mean(gf.square(gf.layers.dense(hidden, 16) - x))
    return x, loss, gf.train.SGD(0.01).minimize(loss)


def test_the_session_reports_the_arena_it_runs_in() -> None:
    x, loss, train = _mlp()
    sess = gf.Session(backend="numpy")
    before = sess.memory([loss, train], sizes={"batch": 64})
    sess.run([loss, train], {x: ones(64, 16)})
    after = sess.memory([loss, train])
    assert before.arena_bytes == after.arena_bytes and before.is_actual and after.is_actual
    assert "numpy runs in this arena" in str(after) and after.to_dict()["is_actual"]
    (plan,) = sess._cache._plans.values()
    (variant,) = plan.variants.values()
    assert variant.executable._arenas._idle.memory.nbytes == after.arena_bytes
    assert variant.executable.memory() == {"arena": after.arena_bytes, "beside it": after.plan.beside_bytes}


def test_without_the_pass_and_at_level_0_values_are_allocated_one_by_one() -> None:
    x, loss, train = _mlp()
    for options in ({"level": "O0"}, {"exclude": ["place"]}):
        sess = gf.Session(backend="numpy", **options)
        sess.run([loss, train], {x: ones(64, 16)})
        report = sess.memory([loss, train])
        assert not report.is_actual and "runs in this arena" not in str(report)
    assert NumpyBackend().memory_plan(extract([loss], feeds=[x], training=False)) is None


# Kernels at sizes at which blocks and BLAS come in


@pytest.mark.parametrize(
    "compute, shapes",
    [
        (lambda x, w: gf.nn.conv(x, w, padding=1), [(2, 8, 12, 12), (16, 8, 3, 3)]),
        (lambda x, w: gf.nn.conv(x, w), [(1, 16, 9, 9), (8, 16, 1, 1)]),
        (lambda x, w: gf.nn.conv(x, w, strides=2, padding=1, groups=4), [(3, 8, 9, 11), (8, 2, 3, 3)]),
        (lambda x, w: gf.nn.max_pool(x, 3, strides=2, padding=1), [(2, 4, 13, 12), (1,)]),
        (lambda x, w: gf.nn.max_pool(x, (2, 1), strides=1), [(2, 4, 5, 6), (1,)]),
        (lambda x, w: gf.nn.softmax(x @ w), [(40, 65), (65, 70)]),
        (lambda x, w: gf.nn.layer_norm(x, w, w), [(40, 65), (65,)]),
        (lambda x, w: gf.nn.gelu(gf.permute_dims(x, (1, 0))) @ w, [(65, 40), (65, 3)]),
        (lambda x, w: gf.mean(gf.permute_dims(x, (2, 0, 1)) * w, axis=1), [(30, 20, 10), (20,)]),
    ],
)
def test_kernels_and_their_gradients(compute: Callable[..., gf.Tensor], shapes: Any) -> None:
    x, w = (gf.placeholder(name, shape) for name, shape in zip("xw", shapes))
    y = compute(gf.exp(x), gf.exp(w) * 0.1)
    loss = gf.sum(gf.sin(y))
    slopes = [slope for slope in gf.gradients(loss, [x, w]) if slope is not None]
    both = Both([gf.sum(y, axis=0), loss, *slopes], [x, w], "fuse,schedule", 4096)
    both(*[np.random.default_rng(0).normal(size=shape).astype("f4") for shape in shapes])
    assert both.own.plan.lower_bound_bytes <= both.own.plan.arena_bytes

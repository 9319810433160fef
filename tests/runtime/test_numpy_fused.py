"""Regions on NumPy: loops over blocks give the bits of node-by-node runs, and blame the node that fails."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.numpy import kernels
from graphflow.runtime.numpy.executor import NumpyExecutable
from graphflow.runtime.numpy.fused import FusedStep, scratch
from tests.runtime.test_numpy import custom

AWKWARD = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-40, 3.7, -88.0, 700.0]
)
SMALL = 64


class Runs:
    """A program run node by node and in blocks, with the fused steps of the latter."""

    def __init__(
        self, fetches: Sequence[gf.Tensor], feeds: Sequence[gf.Tensor], block_bytes: int = SMALL
    ) -> None:
        program = extract(list(fetches), feeds=list(feeds), training=False)
        self.plain = NumpyExecutable(extract(list(fetches), feeds=list(feeds), training=False))
        self.program = optimize(program, pipeline="fuse")
        self.fused = NumpyExecutable(self.program, block_bytes)
        self.steps = [step for step in self.fused._steps if isinstance(step, FusedStep)]

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """The results in blocks, once they are known to be those without."""
        expected, _ = self.plain([], [], arrays, None)
        found, _ = self.fused([], [], arrays, None)
        for own, other in zip(found, expected, strict=True):
            assert own.dtype == other.dtype and own.shape == other.shape
            assert own.tobytes() == other.tobytes()
            assert own.flags.owndata and own.flags.writeable
        return found

    @property
    def cut(self) -> list[bool]:
        """For each region, whether it ran in blocks with the last operands."""
        return [any(blocks is not None for blocks, _ in step.cuts.values()) for step in self.steps]


def values(dtype: Any, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(count) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, count, dtype=kind, endpoint=True)
    made = np.where(rng.random(count) < 0.3, rng.choice(AWKWARD, count), rng.normal(size=count) * 3)
    with np.errstate(all="ignore"):
        return (made + 1j * rng.permutation(made) if kind.kind == "c" else made).astype(kind)


DTYPES = [
    np.float32,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    np.int32,
    np.uint8,
    np.int64,
    np.bool_,
    np.complex64,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda kind: np.dtype(kind).name)
def test_every_elementwise_operator_gives_the_same_bits_in_blocks(dtype: Any) -> None:
    """Each with a comparison behind it, which is a region of two."""
    count = 357
    ran = 0
    for op in gf.registry:
        if "elementwise" not in op.traits or op.arity not in (1, 2, 3) or op.family in ("strings", "random"):
            continue
        if op.name == "astype_float8":
            continue
        with gf.Graph():
            arrays = [values(dtype, count, seed) for seed in range(op.arity)]
            if op.name == "where":
                arrays[0] = arrays[0] != arrays[1]
            feeds = [gf.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
            try:
                y = op(*feeds, **({"dtype": gf.float32} if "dtype" in op.attributes else {}))
                z = gf.not_equal(y, y)
            except gf.GraphFlowError:
                continue
            if op.name == "bitcast" and y.shape != feeds[0].shape:
                continue
            runs = Runs([gf.logical_or(gf.logical_not(z), z), gf.where(z, y, y)], feeds)
            runs(*arrays)
            single = Runs([gf.where(gf.reshape(z, z.shape), y, gf.stop_gradient(y))], feeds)
            single(*arrays)
            ran += 1
    assert ran >= (3 if dtype is np.bool_ else 9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_, np.complex128])
def test_kernels_have_the_bits_of_references_also_in_place(dtype: Any) -> None:
    checked = 0
    for name in (*kernels._UFUNCS, *kernels._OF_ITS_TYPE):
        op = gf.registry[name]
        with gf.Graph():
            arrays = [values(dtype, 200, seed) for seed in range(op.arity or 0)]
            try:
                y = op(*[gf.placeholder(f"x{i}", (200,), array.dtype) for i, array in enumerate(arrays)])
            except gf.GraphFlowError:
                continue
            node = y.node
            if any(tensor.dtype.numpy != array.dtype for tensor, array in zip(node.inputs, arrays)):
                continue
            kernel = kernels.kernel_of(node)
            if kernel is None:
                continue
            with np.errstate(all="ignore"):
                expected = op.reference(*arrays)
                out = np.empty(200, y.dtype.numpy)
                kernel(*arrays, out)
                assert out.tobytes() == expected.tobytes(), name
                if out.dtype == arrays[0].dtype:
                    over = arrays[0].copy()
                    kernel(over, *arrays[1:], over)
                    assert over.tobytes() == expected.tobytes(), name
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 1000])
def test_sizes_around_a_block(size: int) -> None:
    x = gf.placeholder("x", (size,))
    runs = Runs([gf.sqrt(gf.exp(x) * 2.0 + 1.0)], [x])
    runs(values(np.float32, size))
    assert runs.cut == [size > 16]


SHAPES = [
    ((6, 50), (50,)), ((6, 50), (6, 1)), ((6, 50), (1, 50)), ((6, 50), ()), ((1, 300), (300,)),
    ((4, 5, 6, 7), (5, 1, 1)), ((4, 5, 6, 7), (4, 1, 6, 1)), ((4, 5, 6, 7), (1, 7)), ((300, 1), (1, 3)),
    ((2, 1, 70), (3, 1)), ((5, 1, 60), (5, 4, 1)), ((3, 1, 200), (3, 1, 200)),
]  # fmt: skip


@pytest.mark.parametrize("first, second", SHAPES)
def test_broadcast_operands_are_sliced(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    x, y = gf.placeholder("x", first), gf.placeholder("y", second)
    z = gf.nn.sigmoid((x + y) * y) - x
    runs = Runs([gf.exp(z) + z], [x, y])
    arrays = [values(np.float32, int(np.prod(shape)), 7).reshape(shape) for shape in (first, second)]
    runs(*arrays)
    assert runs.cut == [True]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "any", "all", "argmax", "logsumexp"])
@pytest.mark.parametrize("axis", [-1, (1, 2), 0, None, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_keep_their_bits(name: str, axis: Any, keepdims: bool) -> None:
    if name == "argmax" and isinstance(axis, tuple):
        axis = 1
    x = gf.placeholder("x", (23, 7, 9))
    y = gf.tanh(x) * 3.0
    y = y > 0.5 if name in ("any", "all") else y
    total = getattr(gf, name, None) or getattr(gf.nn, name)
    runs = Runs([total(y, axis=axis, keepdims=keepdims)], [x], block_bytes=256)
    runs(values(np.float32, 23 * 63, 3).reshape(23, 7, 9))
    (step,) = runs.steps
    rowwise = any(rows for _, rows in step.cuts.values())
    assert rowwise == (name not in ("argmax", "logsumexp") and axis in (-1, (1, 2)))


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.float64, np.bool_])
@pytest.mark.parametrize("name", ["sum", "mean", "prod"])
def test_reductions_of_other_dtypes(name: str, dtype: Any) -> None:
    x = gf.placeholder("x", (40, 33), dtype)
    y = gf.where(gf.not_equal(x, x), x, gf.where(gf.equal(x, 0), x, x))
    Runs([getattr(gf, name)(y, axis=1)], [x], block_bytes=200)(values(dtype, 40 * 33).reshape(40, 33))


def test_rows_too_long_for_a_block_are_reduced_afterwards() -> None:
    x = gf.placeholder("x", (3, 500))
    runs = Runs([gf.sum(gf.exp(x) * 0.5, axis=1)], [x])
    runs(values(np.float32, 1500).reshape(3, 500))
    assert runs.cut == [True] and not any(rows for _, rows in runs.steps[0].cuts.values())


def test_a_contraction_runs_whole_and_its_epilogue_in_blocks(rng: np.random.Generator) -> None:
    x, w, b = gf.placeholder("x", (40, 8)), gf.placeholder("w", (8, 16)), gf.placeholder("b", (16,))
    runs = Runs([gf.nn.relu(x @ w + b) * 2.0], [x, w, b])
    runs(*[rng.normal(size=tensor.shape).astype(np.float32) for tensor in (x, w, b)])
    (step,) = runs.steps
    assert [one.node.op.name for one in step.first] == ["matmul"] and len(step.looped) == 3
    assert runs.cut == [True]


def test_operands_in_another_order_run_node_by_node(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (30, 20))
    for y in (gf.permute_dims(x, (1, 0)), x[::-1, :], x[:, ::-1]):
        runs = Runs([gf.exp(y) * 2.0 + 1.0], [x])
        runs(rng.normal(size=(30, 20)).astype(np.float32))
        assert runs.cut == [False]


@pytest.mark.parametrize("take", [lambda x: x[:, 3:15], lambda x: x[4:, :], lambda x: x[::2, ::3]])
def test_slices_run_in_blocks(take: Callable[[Any], Any], rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (30, 20))
    runs = Runs([gf.exp(take(x)) * 2.0 + 1.0], [x])
    runs(rng.normal(size=(30, 20)).astype(np.float32))
    assert runs.cut == [True]


def test_buffers_are_few_and_in_the_cache() -> None:
    x = gf.placeholder("x", (1000,))
    y = x
    for _ in range(20):
        y = gf.exp(y) * 0.5
    runs = Runs([y], [x])
    assert runs.steps[0].loop is not None and runs.steps[0].loop.buffers == 1
    left, right = gf.exp(x), gf.sin(x)
    runs = Runs([(left + right) * (left - right)], [x])
    runs(values(np.float32, 1000))
    assert runs.steps[0].loop is not None and runs.steps[0].loop.buffers == 3
    assert all(piece.ctypes.data % 64 == 0 and piece.size == 128 for piece in scratch(3, 100))


def test_mixed_widths_share_no_memory_wrongly() -> None:
    x = gf.placeholder("x", (500,), gf.float64)
    small = gf.astype(x * 2.0, gf.int8)
    flag = small > gf.constant(np.int8(3))
    runs = Runs([gf.where(flag, gf.astype(small, gf.float64), x) + gf.astype(flag, gf.float64)], [x])
    runs(np.linspace(-9, 9, 500))


def test_symbolic_sizes_and_empty_batches() -> None:
    x = gf.placeholder("x", ("n", 5))
    total = gf.sum(gf.exp(x) * 2.0, axis=1)
    with gf.Session(backend="numpy") as session:
        for count in (0, 1, 9):
            array = np.linspace(0, 1, count * 5, dtype=np.float32).reshape(count, 5)
            np.testing.assert_array_equal(session.run(total, {x: array}), evaluate([total], {x: array})[0])


def test_sizes_that_the_run_finds() -> None:
    x = gf.placeholder("x", (200,))
    found = gf.astype(gf.argwhere(x > 0.0), gf.float32)
    runs = Runs([gf.sqrt(found * 2.0 + 1.0)], [x])
    made = runs(values(np.float32, 200))
    assert made[0].shape[0] > 50 and runs.cut == [True]


def failing(x: np.ndarray, /) -> np.ndarray:
    if not np.all(x < 5):
        raise ValueError("five or more")
    return x


def shape_of_whole(x: np.ndarray, /) -> np.ndarray:
    if x.shape != (300,):
        raise ValueError("only whole arrays")
    return np.negative(x)


def test_an_error_inside_names_the_node_and_the_whole_operands() -> None:
    x = gf.placeholder("x", (300,))
    op = custom(failing, traits="elementwise")
    y = op(gf.negative(x), name="checked")
    runs = Runs([gf.exp(y) * 2.0], [x])
    runs(-np.ones(300, np.float32) * 4)
    with pytest.raises(BackendError, match="five or more") as caught:
        runs.fused([], [], [-np.arange(300, dtype=np.float32)], None)
    assert "'checked'" in str(caught.value) and "float32[300]" in str(caught.value)
    assert "test_numpy_fused.py" in str(caught.value)
    assert runs.steps[0].loop is not None  # the data were to blame, not the blocks
    runs(-np.ones(300, np.float32))


def test_an_operator_that_takes_whole_arrays_only_gets_them() -> None:
    x = gf.placeholder("x", (300,))
    runs = Runs([gf.exp(custom(shape_of_whole, traits="elementwise")(x * 2.0)) + 1.0], [x])
    runs(values(np.float32, 300))
    assert runs.steps[0].loop is None


def test_what_converges_in_company_is_not_cut() -> None:
    a = gf.placeholder("a", (100,), gf.float64)
    slope = gf.registry["random_gamma_slope"](a, a)
    runs = Runs([gf.exp(slope * 2.0)], [a])
    runs(np.linspace(0.1, 30, 100))
    assert runs.cut == [False]


def test_values_are_freed_and_fetches_kept() -> None:
    x = gf.placeholder("x", (300,))
    y = gf.exp(x)
    runs = Runs([y * 2.0 + y, y, gf.sort(y)], [x])
    first = runs(values(np.float32, 300))
    assert not np.shares_memory(first[0], first[1])
    slots: list[Any] = [None] * len(runs.fused._slots)
    slots[runs.fused._feeds[0]] = values(np.float32, 300)
    with np.errstate(all="ignore"):
        for step in runs.fused._steps:
            step.run(slots, {})
    assert sum(slot is not None for slot in slots) == 3


def test_threads_do_not_share_buffers() -> None:
    x = gf.placeholder("x", (20_000,))
    y = x
    for _ in range(8):
        y = gf.sin(y) * 1.5
    runs = Runs([y], [x], 1024)
    arrays = [values(np.float32, 20_000, seed) for seed in range(4)]
    failures: list[BaseException] = []

    def work(array: np.ndarray) -> None:
        try:
            for _ in range(3):
                runs(array)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_no_warnings_of_overflow() -> None:
    x = gf.placeholder("x", (300,))
    runs = Runs([gf.log(gf.exp(x * 1e30)) / 0.0], [x])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs(values(np.float32, 300))


def test_a_stale_table_is_passed_over() -> None:
    x = gf.placeholder("x", (300,))
    program = optimize(extract([gf.exp(x) * 2.0], feeds=[x]), pipeline="fuse")
    program.outputs = [program.outputs[0].node.inputs[0]]
    (made,), _ = NumpyExecutable(program, SMALL)([], [], [np.zeros(300, np.float32)], None)
    np.testing.assert_array_equal(made, np.ones(300, np.float32))

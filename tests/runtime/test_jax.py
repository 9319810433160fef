"""The jax backend: what is compiled, what is captured, what is donated, and what failures say."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError
from graphflow.ir.dtypes import DTYPES
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import registry
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.backend import CompileOptions, get_backend

jax = pytest.importorskip("jax")

from graphflow.runtime.jax.lower import INLINE_BYTES, lower  # noqa: E402
from graphflow.runtime.jax.lowering import LOWERINGS, NO_LOWERING, lowering  # noqa: E402

KEEP = CompileOptions(donate=False)


def compiled(program: Program, **options: Any) -> Any:
    return get_backend("jax").compile(program, CompileOptions(**options))


def run(program: Program, *feeds: Any, **options: Any) -> list[np.ndarray]:
    fetches, _ = compiled(program, **options)((), (), feeds, None)
    return [np.asarray(value) for value in fetches]


def test_every_operator_has_a_lowering_or_a_reason() -> None:
    ours = {op.name for op in registry}
    assert ours - LOWERINGS.keys() - NO_LOWERING.keys() == set()
    assert not LOWERINGS.keys() & NO_LOWERING.keys()


def test_a_lowering_is_entered_once() -> None:
    with pytest.raises(ValueError, match="add has a JAX lowering already"):
        lowering("add")(lambda x, y: x)


def test_values_are_those_of_the_references(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (3, 4))
    y = gf.exp(x * 2.0) + gf.constant(rng.normal(size=4).astype(np.float32))
    value = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(
        run(extract([y], feeds=[x]), value)[0], evaluate([y], {x: value})[0], rtol=1e-6
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_passes_through_exactly(dtype: Any) -> None:
    x = gf.placeholder("x", (3,), dtype=dtype)
    value = np.array([0, 1, 1], dtype.numpy)
    given, constant, large = run(
        extract([x, gf.constant(value), gf.constant(np.tile(value, 2000))], feeds=[x]), value
    )
    for result in (given, constant, large[:3]):
        assert result.dtype == dtype.numpy and result.tobytes() == value.tobytes()


def test_64_bits_are_computed_in_64_bits() -> None:
    x = gf.placeholder("x", (), dtype=gf.float64)
    n = gf.placeholder("n", (), dtype=gf.int64)
    program = extract([gf.exp(x), n * n], feeds=[x, n])
    results = run(program, np.array(1.0), np.array(3_000_000_019, np.int64))
    assert abs(results[0] - np.e) < 1e-15 and results[1] == 3_000_000_019**2
    assert not jax.config.jax_enable_x64


def test_large_constants_are_arguments_and_small_ones_are_inlined() -> None:
    size = INLINE_BYTES // 4
    x = gf.placeholder("x", (size,))
    large, small = np.arange(size, dtype=np.float32), np.arange(size - 1, dtype=np.float32)
    program = extract([x + gf.constant(large), gf.constant(small) * 2.0], feeds=[x])
    lowered = lower(program)
    assert [array.nbytes for array in lowered.constants] == [INLINE_BYTES]
    executable = compiled(program)
    assert executable.memory()["arguments"] == 2 * INLINE_BYTES
    fetches, _ = executable((), (), [np.ones(size, np.float32)], None)
    np.testing.assert_array_equal(np.asarray(fetches[0]), large + 1)
    np.testing.assert_array_equal(np.asarray(fetches[1]), small * 2)


def test_names_of_nodes_reach_the_compiled_text() -> None:
    x = gf.placeholder("x", (3,))
    with gf.name_scope("head"):
        y = gf.exp(x, name="rises")
    assert "head/rises" in compiled(extract([y], feeds=[x])).text()


def swap() -> Program:
    a, b = gf.variable("a", (2,)), gf.variable("b", (2,))
    updates = [update.assigns[0] for update in (gf.assign(a, b), gf.assign(b, a))]
    return extract([a], updates)


def test_updated_variables_are_donated() -> None:
    executable = compiled(swap())
    assert executable.updated == ("a", "b") and executable.kept == () and not executable.uses_key
    assert executable.memory()["aliased"] == 16
    put = get_backend("jax").put
    old = [put(np.array([1.0, 2.0], np.float32)), put(np.array([3.0, 4.0], np.float32))]
    fetches, new = executable(old, (), (), None)
    assert np.asarray(fetches[0]).tolist() == [1.0, 2.0]
    assert [np.asarray(value).tolist() for value in new] == [[3.0, 4.0], [1.0, 2.0]]
    assert all(array.is_deleted() for array in old)


def test_nothing_is_donated_on_request() -> None:
    executable = compiled(swap(), donate=False)
    put = get_backend("jax").put
    old = [put(np.zeros(2, np.float32)), put(np.ones(2, np.float32))]
    executable(old, (), (), None)
    assert executable.memory()["aliased"] == 0
    assert [np.asarray(array).tolist() for array in old] == [[0.0, 0.0], [1.0, 1.0]]


def test_a_variable_that_is_written_but_not_read_is_donated_all_the_same() -> None:
    v = gf.variable("v", (2,))
    kept = gf.variable("kept", (2,))
    executable = compiled(extract([], gf.assign(v, kept * 2.0).assigns))
    assert (executable.updated, executable.kept) == (("v",), ("kept",))
    put = get_backend("jax").put
    old, other = put(np.zeros(2, np.float32)), put(np.ones(2, np.float32))
    fetches, (new,) = executable([old], [other], (), None)
    assert list(fetches) == [] and np.asarray(new).tolist() == [2.0, 2.0]
    assert old.is_deleted() and not other.is_deleted()


def test_put_and_get_copy() -> None:
    backend = get_backend("jax")
    memory = np.zeros(256, np.float32)
    offset = (-memory.ctypes.data) % 64 // 4
    aligned = memory[offset : offset + 64]
    placed = backend.put(aligned)
    aligned[:] = 1.0
    got = backend.get(placed)
    assert not got.any() and got.flags.writeable
    got[:] = 2.0
    assert not np.asarray(placed).any()
    assert backend.put(np.arange(2)).dtype == np.int64


def test_a_missing_lowering_is_refused_with_the_node_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(LOWERINGS, "exp")
    x = gf.placeholder("x", (2,))
    y = gf.exp(x, name="culprit")
    with pytest.raises(BackendError, match=r"culprit \(exp\): it has no JAX lowering") as caught:
        compiled(extract([y], feeds=[x]))
    assert "test_jax.py" in str(caught.value)
    with pytest.raises(BackendError, match="'culprit': the operator exp has no JAX lowering"):
        lower(extract([y], feeds=[x]))


def test_an_operator_without_a_lowering_is_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(LOWERINGS, "softplus")
    x = gf.placeholder("x", (3,))
    y = registry["softplus"](x)
    value = np.array([-1.0, 0.0, 2.0], np.float32)
    for level in ("O0", "O2"):
        with gf.Session(level=level) as sess:
            np.testing.assert_allclose(sess.run(y, {x: value}), np.logaddexp(value, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda x: x[:1], r"gives float32\[1\], but the graph says float32\[2\]"),
        (lambda x: x.astype("int32"), r"gives int32\[2\], but the graph says float32\[2\]"),
        (lambda x: (x, x), r"gives float32\[2\], float32\[2\], but the graph says float32\[2\]"),
        (lambda x: 1 / 0, "failed: division by zero"),
    ],
)
def test_a_wrong_lowering_is_found_out(monkeypatch: pytest.MonkeyPatch, rule: Any, message: str) -> None:
    monkeypatch.setitem(LOWERINGS, "exp", rule)
    x = gf.placeholder("x", (2,))
    y = gf.exp(x, name="culprit")
    with pytest.raises(BackendError, match=message) as caught:
        compiled(extract([y], feeds=[x]))
    shown = str(caught.value)
    assert "'culprit' (exp)" in shown and "test_jax.py" in shown and "placeholder" in shown


def test_a_failure_of_the_compiler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError("internal: out of registers")

    monkeypatch.setattr(jax, "jit", lambda *arguments, **keywords: type("J", (), {"lower": broken}))
    with pytest.raises(BackendError, match="XLA cannot compile the program of 1 nodes: internal"):
        compiled(extract([gf.constant(1.0)]))


def test_the_compilation_cache_holds_what_a_session_compiles_and_nothing_else(tmp_path: Path) -> None:
    x = gf.placeholder("x", (17, 3))
    y = gf.exp(x) * 3.0
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]
    folder = tmp_path / "new" / "cache"
    with gf.Session(cache_dir=folder) as sess:
        first = sess.run(y, {x: np.zeros((17, 3))})
    entries = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if "-atime" not in path.name}
    assert len(entries) == 1
    assert [getattr(jax.config, name) for name in names] == before
    jax.jit(lambda a: a * 5.0 + 1.0)(np.zeros(33, np.float32))
    with gf.Session(cache_dir=str(folder)) as sess:
        np.testing.assert_array_equal(sess.run(y, {x: np.zeros((17, 3))}), first)
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if "-atime" not in path.name}
    assert after == entries


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"compilation cache .* cannot be used"):
        compiled(extract([gf.constant(1.0)]), cache_dir=str(tmp_path / "file" / "cache"))


def test_compiling_in_threads_keeps_64_bits_local() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (), dtype=gf.float64)
        program = extract([x * 3.0], feeds=[x])
    results: list[Any] = []

    def work() -> None:
        results.append(run(program, np.array(0.1))[0])
        results.append(np.asarray(jax.numpy.asarray(0.1)).dtype)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(map(str, results)) == sorted([str(0.1 * 3.0)] * 4 + ["float32"] * 4)


@pytest.mark.gpu
def test_the_device_is_a_gpu() -> None:
    x = gf.placeholder("x", (2,))
    with gf.Session() as sess:
        result = sess.run(x * 2.0, {x: [1.0, 2.0]}, to_numpy=False)
        assert next(iter(result.devices())).platform == "gpu"
        assert np.asarray(result).tolist() == [2.0, 4.0]


def test_large_constants_are_read_where_they_lie():
    weights = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)
    x, w = gf.placeholder("x", (2, 300)), gf.constant(weights)
    kept = w.node.attrs.value
    (placed,) = compiled(extract([gf.matmul(x, w)], feeds=[x])).flat.args
    if jax.default_backend() == "cpu":
        assert placed.unsafe_buffer_pointer() == kept.ctypes.data
    weights[:] = 0.0  # the user's array is no part of the graph
    given = np.ones((2, 300), np.float32)
    found = gf.Session(level="O0").run(gf.matmul(x, w), {x: given})
    np.testing.assert_allclose(found, given @ kept, atol=1e-4)

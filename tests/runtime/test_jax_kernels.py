"""Machine code against the reference of `packed_conv`, for this processor and for narrower ones."""

from __future__ import annotations

import dataclasses
import threading
from math import inf, nan

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.packed_conv import packed, packed_conv
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.backend import CompileOptions
from graphflow.runtime.jax import lower_packed
from graphflow.runtime.jax.backend import JaxBackend
from graphflow.runtime.jax.kernels import library
from graphflow.runtime.jax.kernels.machine import Machine
from graphflow.runtime.jax.lower_packed import Added, by_kernel
from graphflow.runtime.jax.lowering import LOWERINGS

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="kernels are for the CPU")

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
CASES = {
    "rows": ((37, 300), (), 100, {}),
    "a single number": ((1, 1), (), 1, {}),
    "3x3 with padding": ((2, 9, 11, 5), (3, 3), 20, {"padding": 1}),
    "1x1": ((2, 12, 12, 24), (1, 1), 70, {}),
    "stride and uneven padding": ((2, 9, 11, 8), (3, 3), 20, {"strides": 2, "padding": ((1, 0), (0, 2))}),
    "dilation": ((1, 9, 11, 8), (3, 2), 7, {"strides": (2, 1), "dilation": (1, 2)}),
    "colours": ((2, 21, 23, 3), (5, 5), 33, {"strides": 2, "padding": 2}),
    "groups": ((3, 8, 8, 60), (1, 1), 24, {"groups": 3}),
    "signals in groups": ((5, 17, 12), (3,), 33, {"padding": 2, "dilation": 2, "groups": 3}),
    "depthwise": ((2, 9, 11, 20), (3, 3), 20, {"padding": 1, "groups": 20}),
    "depthwise with strides": ((1, 14, 14, 37), (5, 5), 37, {"strides": 2, "padding": 2, "groups": 37}),
    "many pieces": ((2, 40, 40, 64), (3, 3), 72, {"padding": 1}),
}


def operands(name: str, bias: bool = True, addend: bool = True, seed: int = 0):
    """Arrays and attributes of a case: x, w, rest, and all attributes but what is added and the bounds."""
    shape, kernel, outputs, given = CASES[name]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, np.float32)
    groups = given.get("groups", 1)
    w = rng.standard_normal((*kernel, shape[-1] // groups, outputs), np.float32)
    panels = gf.constant(packed(w, groups, 16))
    plain = packed_conv(gf.constant(x), panels, kernel=kernel, outputs=outputs, **given)
    attrs = {key: plain.node.attrs[key] for key in ("strides", "padding", "dilation", "groups")}
    rest = [rng.standard_normal(outputs, np.float32)] * bias
    rest += [rng.standard_normal(plain.shape, np.float32)] * addend
    return x, w, rest, {"kernel": kernel, "outputs": outputs, **attrs}


def reference(x, w, rest, attrs, added):
    return packed_conv.reference(x, packed(w, attrs["groups"], 4), *rest, **attrs, **added._asdict())


def machines() -> list[Machine]:
    here = library.machine()
    narrower = [(8, 16), (4, 32), (4, 16)] if here.lanes == 16 else [(4, 16)]
    return [here, *[dataclasses.replace(here, lanes=lanes, registers=count) for lanes, count in narrower]]


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: f"{machine.lanes}x{machine.registers}")
@pytest.mark.parametrize("name", CASES)
def test_kernels_compute_the_reference(name: str, machine: Machine) -> None:
    x, w, rest, attrs = operands(name)
    added = Added(True, True, -2.0, inf)
    panels = packed(w, attrs["groups"], machine.lanes)
    made = jax.jit(lambda *given: by_kernel(machine, given[0], given[1], given[2:], added, attrs))
    np.testing.assert_allclose(made(x, panels, *rest), reference(x, w, rest, attrs, added), **CLOSE)


@pytest.mark.parametrize("addend", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["rows", "3x3 with padding", "depthwise"])
def test_what_is_added_may_be_missing(name: str, bias: bool, addend: bool) -> None:
    x, w, rest, attrs = operands(name, bias, addend)
    added = Added(bias, addend, -inf, 1.5)
    made = by_kernel(
        library.machine(), x, packed(w, attrs["groups"], library.machine().lanes), rest, added, attrs
    )
    np.testing.assert_allclose(made, reference(x, w, rest, attrs, added), **CLOSE)


@pytest.mark.parametrize("name", ["rows", "3x3 with padding", "depthwise"])
def test_numbers_that_are_none_stay_where_they_are(name: str) -> None:
    x, w, _, attrs = operands(name, bias=False, addend=False)
    flat = x.reshape(-1)
    flat[0], flat[flat.size // 2], flat[-1] = nan, inf, -inf
    panels = packed(w, attrs["groups"], library.machine().lanes)
    for bounds in ((-inf, inf), (0.0, 6.0)):
        added = Added(False, False, *bounds)
        made = np.asarray(by_kernel(library.machine(), x, panels, [], added, attrs))
        wanted = reference(x, w, [], attrs, added)
        np.testing.assert_array_equal(np.isnan(made), np.isnan(wanted))
        np.testing.assert_allclose(made, wanted, **CLOSE)


def test_a_row_does_not_depend_on_the_others() -> None:
    x, w, _, attrs = operands("rows", False, False)
    panels, added = packed(w, 1, library.machine().lanes), Added(False, False, -inf, inf)
    whole = np.asarray(by_kernel(library.machine(), x, panels, [], added, attrs))
    for count in (1, 2, 5, 8):
        part = np.asarray(by_kernel(library.machine(), x[:count], panels, [], added, attrs))
        np.testing.assert_array_equal(part, whole[:count])


def test_several_threads_may_call_at_once() -> None:
    x, w, rest, attrs = operands("many pieces")
    panels, added = packed(w, 1, library.machine().lanes), Added(True, True, -inf, inf)
    call = jax.jit(lambda *given: by_kernel(library.machine(), given[0], given[1], given[2:], added, attrs))
    wanted = np.asarray(call(x, panels, *rest))
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(np.asarray(call(x, panels, *rest)), wanted):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_xla_computes_the_same_where_kernels_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_packed.library, "missing", lambda: "they are left out")
    for name in ("rows", "groups", "depthwise", "stride and uneven padding"):
        x, w, rest, attrs = operands(name)
        added = Added(True, True, 0.0, 1.0)
        made = LOWERINGS["packed_conv"](x, packed(w, attrs["groups"], 16), *rest, **attrs, **added._asdict())
        np.testing.assert_allclose(made, reference(x, w, rest, attrs, added), **CLOSE)


def test_a_session_calls_them_from_level_two_on() -> None:
    rng = np.random.default_rng(0)
    x = gf.placeholder("x", (2, 3, 16, 16))
    w = gf.constant(rng.standard_normal((8, 3, 3, 3), np.float32))
    y = gf.nn.relu(gf.nn.conv(x, w, padding=1) + gf.constant(rng.standard_normal((8, 1, 1), np.float32)))
    image = rng.standard_normal((2, 3, 16, 16), np.float32)
    wanted = gf.Session(y.graph, backend="numpy", level="O0").run(y, {x: image})
    for level, called in (("O1", False), ("O2", True), ("O3", True)):
        np.testing.assert_allclose(gf.Session(y.graph, level=level).run(y, {x: image}), wanted, **CLOSE)
        program = optimize(extract([y], feeds=[x]), pipeline=JaxBackend().pipeline(level))
        assert ("graphflow_product" in JaxBackend().compile(program, CompileOptions()).text()) == called


def test_nothing_is_missing() -> None:
    assert library.missing() == ""  # what setup.cfg requires is enough, with the jaxlib at hand


def test_the_tiles_fit_into_registers() -> None:
    for lanes, registers in ((16, 32), (8, 16), (4, 32), (4, 16)):
        machine = Machine("any", "", lanes, registers)
        for kind in (False, True):
            tiles = machine.tiles(kind)
            assert set(tiles) == set(range(1, machine.most_vectors + 1))
            for vectors, rows in tiles.items():
                assert rows[-1] == 1 and list(rows) == sorted(rows, reverse=True)
                assert rows[0] * vectors + vectors + 1 <= registers

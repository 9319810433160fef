"""The simulator runs whole programs in any order that the ids allow, and refuses what the chip must not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.errors import AttributeValueError, FeedError, FileFormatError
from graphflow.runtime.bm1684 import bmodel, isa
from graphflow.runtime.bm1684.bmodel import BModel, CommandGroup, Net, Stage, Storage, TensorInfo
from graphflow.runtime.bm1684.isa import Constant, Direction, Operand, Operation, Pads, Shape, Window
from graphflow.runtime.bm1684.simulator import ORDERS, ChipFault, Simulator, simulate
from graphflow.runtime.bm1684.simulator.memory import Access
from graphflow.runtime.bm1684.simulator.order import check_races, ordered, overlap
from tests.runtime.bm1684 import vendor_runtime

LOCAL, DDR = 0x0800_0000, 0x1_0000_0000
COEFFICIENTS, CONTEXT = 0x1_0510_0000, 0x1_0520_0000
SHAPE = Shape(1, 64, 4, 8)


def load(identity: int, wait: int, source: int, offset: int, shape: Shape = SHAPE) -> isa.Command:
    return isa.TensorTransfer(
        id=identity,
        wait=wait,
        direction=Direction.LOAD,
        source=source,
        destination=LOCAL + offset,
        source_shape=shape,
        destination_shape=shape,
    )


def store(identity: int, wait: int, offset: int, destination: int, shape: Shape = SHAPE) -> isa.Command:
    return isa.TensorTransfer(
        id=identity,
        wait=wait,
        direction=Direction.STORE,
        source=LOCAL + offset,
        destination=destination,
        source_shape=shape,
        destination_shape=shape,
    )


def add(identity: int, wait: int, left: int, right: int | float, result: int, **more: Any) -> isa.Command:
    return isa.Arithmetic(
        operation=Operation.ADD,
        id=identity,
        wait=wait,
        left=Operand(LOCAL + left),
        right=Constant.of(right) if isinstance(right, float) else Operand(LOCAL + right),
        result=Operand(LOCAL + result),
        shape=SHAPE,
        **more,
    )


def run(tiu: Sequence[isa.Command], gdma: Sequence[isa.Command], order: str = "together") -> Simulator:
    """A chip after a group, with 0, 1, 2, ... in the first 64 KiB of DDR."""
    chip = Simulator(1 << 20)
    chip.memory.set(DDR, np.arange(1 << 14, dtype=np.float32))
    chip.run(CommandGroup(isa.encode_stream(tiu), isa.encode_stream(gdma)), order)
    return chip


def refused(
    rule: str, tiu: Sequence[isa.Command], gdma: Sequence[isa.Command], match: str | None = None
) -> None:
    with pytest.raises(ChipFault, match=match) as caught:
        run(tiu, gdma)
    assert caught.value.rule == rule
    assert caught.value.hint


# Whole programs


def convolving(batch: int) -> Stage:
    """relu(convolution(x) + bias) of (batch, 3, 8, 8), with the coefficients in the file."""
    rng = np.random.default_rng(7)
    weights = rng.normal(size=(64, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=64).astype(np.float32)
    units = np.zeros((64, 9, 4), np.float32)
    units[:, :, :3] = weights.reshape(64, 3, 9).transpose(0, 2, 1)
    x, y = Shape(batch, 3, 8, 8), Shape(batch, 64, 8, 8)
    gdma = [
        load(1, 0, COEFFICIENTS, 0, Shape(1, 64, 1, 36)),
        load(2, 0, COEFFICIENTS + units.nbytes, 1024, Shape(1, 64, 1, 1)),
        load(3, 0, CONTEXT, 4096, x),
        store(4, 2, 32768, CONTEXT + 65536, y),
    ]
    tiu = [
        isa.Convolution(
            id=1,
            wait=3,
            result=Operand(LOCAL + 16384),
            input=Operand(LOCAL + 4096),
            weights=Operand(LOCAL, strides=Shape(1, 18, 6, 2)),
            bias=Operand(LOCAL + 1024),
            result_shape=y,
            input_shape=x,
            kernel=Window(3, 3),
            pads=Pads(1, 1, 1, 1),
        ),
        isa.Arithmetic(
            id=2,
            operation=Operation.MAXIMUM,
            result=Operand(LOCAL + 32768),
            left=Operand(LOCAL + 16384),
            right=Constant.of(0.0),
            shape=y,
        ),
    ]
    return Stage(
        inputs=(TensorInfo("x", "float32", tuple(x), CONTEXT),),
        outputs=(TensorInfo("y", "float32", tuple(y), CONTEXT + 65536),),
        groups=(CommandGroup(isa.encode_stream(tiu), isa.encode_stream(gdma)),),
        context_address=CONTEXT,
        context_bytes=1 << 18,
        coefficients=units.tobytes() + bias.tobytes(),
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_file_computes_a_convolution_in_every_order(order: str, batch: int) -> None:
    model = bmodel.read(bmodel.write(BModel((Net("net", (convolving(1), convolving(3))),))))
    x = np.random.default_rng(batch).normal(size=(batch, 3, 8, 8)).astype(np.float32)
    rng = np.random.default_rng(7)
    weights, bias = rng.normal(size=(64, 3, 3, 3)).astype(np.float32), rng.normal(size=64)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
    )
    expected = np.einsum("nchwij,ocij->nohw", windows.astype(np.float64), weights)
    expected = np.maximum(expected + bias.astype(np.float32)[None, :, None, None], 0)
    made = simulate(model, {"x": x}, order, seed=batch)["y"]
    np.testing.assert_allclose(made, expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.skipif(not vendor_runtime.available(), reason="GRAPHFLOW_BM1684_CMODEL names no library")
def test_the_vendor_s_runtime_takes_the_file(tmp_path: Path) -> None:
    """Its loader accepts what the writer wrote, and its two engine threads compute the same."""
    model = BModel((Net("net", (convolving(1), convolving(3))),))
    bmodel.save(model, tmp_path / "net.bmodel")
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 3, 8, 8)).astype(np.float32)
        theirs = vendor_runtime.run(tmp_path / "net.bmodel", "net", [x], [(batch, 64, 8, 8)])[0]
        np.testing.assert_allclose(simulate(model, {"x": x})["y"], theirs, atol=1e-5)


def test_inputs_that_fit_no_stage_are_refused() -> None:
    model = BModel((Net("net", (convolving(1),)),))
    x = np.zeros((1, 3, 8, 8), np.float32)
    assert simulate(model, {"x": x})["y"].shape == (1, 64, 8, 8)
    for feeds in ({"z": x}, {"x": x[:, :2]}, {"x": x.astype(np.float64)}, {}, {"x": x, "z": x}):
        with pytest.raises(FeedError, match="no stage for the inputs") as caught:
            simulate(model, feeds)
        assert caught.value.hint == "feed x float32[1, 3, 8, 8]"


@pytest.mark.parametrize("storage", Storage)
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_inputs_lie_in_ddr_as_the_file_says(storage: Storage, batch: int) -> None:
    from graphflow.runtime.bm1684.simulator.program import restored, stored

    dtype = ("float32", "int16", "int8")[storage]
    values = np.arange(batch * 6).reshape(batch, 2, 3).astype(dtype)
    info = TensorInfo("x", dtype, values.shape, DDR, storage)
    data = np.frombuffer(stored(values, info).tobytes(), np.uint8)
    assert data.size == info.bytes
    assert (restored(data, info) == values).all()
    if storage is Storage.FOURS and batch == 4:
        assert data[:8].tolist() == [0, 6, 12, 18, 1, 7, 13, 19]


# Synchronisation


def test_both_engines_in_step_compute() -> None:
    chip = run([add(1, 1, 0, 1.0, 1024)], [load(1, 0, DDR, 0), store(2, 1, 1024, DDR + 65536)])
    made = chip.memory.get(DDR + 65536, 4 * 2048).view(np.float32)
    assert (made == np.arange(2048) + 1).all()


@pytest.mark.parametrize("order", ORDERS)
def test_missing_waits_are_found_in_every_order(order: str) -> None:
    """A load over what the tensor unit still reads, and a store of what is not computed yet."""
    first = [load(1, 0, DDR, 0), load(2, 0, DDR + 8192, 0)]
    late = [load(1, 0, DDR, 0), load(2, 0, DDR, 1024), store(3, 0, 1024, DDR + 65536)]
    for tiu, gdma in (([add(1, 1, 0, 1.0, 2048)], first), ([add(1, 1, 0, 1.0, 1024)], late)):
        with pytest.raises(ChipFault, match="neither waits for the other") as caught:
            run(tiu, gdma, order)
        assert caught.value.rule == "order"


def test_waiting_for_an_older_command_covers_what_came_before_it() -> None:
    """An engine is in order: an id that an earlier command waited for need not be said again."""
    tiu = [add(1, 2, 0, 1024, 2048), add(2, 0, 0, 1024, 3072)]
    gdma = [load(1, 0, DDR, 0), load(2, 0, DDR, 1024), store(3, 2, 2048, DDR + 65536)]
    run([*tiu], [*gdma, store(4, 0, 3072, DDR + 131072)])


def test_circles_and_wrong_ids_are_refused() -> None:
    refused("order", [add(1, 1, 0, 1.0, 0)], [load(1, 1, DDR, 0)], "wait for each other")
    refused(
        "order", [add(1, 2, 0, 1.0, 0)], [load(1, 0, DDR, 0)], "waits for command 2 of an engine that runs 1"
    )
    refused("order", [], [load(2, 0, DDR, 0)], "has the id 2")
    with pytest.raises(AttributeValueError, match="no order 'backwards'"):
        run([], [], "backwards")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=8), st.lists(st.integers(0, 8), max_size=8), st.integers(0, 99))
def test_every_order_obeys_the_ids(waits: list[int], others: list[int], seed: int) -> None:
    tiu = [add(at, min(wait, len(others)), 0, 1.0, 0) for at, wait in enumerate(waits, 1)]
    gdma = [load(at, min(wait, len(waits)), DDR, 0) for at, wait in enumerate(others, 1)]
    for order in ORDERS:
        done = {"tiu": 0, "gdma": 0}
        try:
            for command in ordered(tiu, gdma, order, seed):
                assert command.id == done[command.ENGINE] + 1
                assert command.wait <= done["gdma" if command.ENGINE == "tiu" else "tiu"]
                done[command.ENGINE] += 1
        except ChipFault as fault:
            assert "wait for each other" in fault.message
        else:
            assert done == {"tiu": len(tiu), "gdma": len(gdma)}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6), st.data())
def test_races_are_pairs_that_can_run_in_both_orders(
    waits: list[int], others: list[int], data: st.DataObject
) -> None:
    """Two commands touch one byte; it is a race if the engines can run either of them first."""
    tiu = [add(at, min(wait, len(others)), 0, 1.0, 0) for at, wait in enumerate(waits, 1)]
    gdma = [load(at, min(wait, len(waits)), DDR, 0) for at, wait in enumerate(others, 1)]
    if not tiu or not gdma:
        return
    try:
        orders = [list(ordered(tiu, gdma, order)) for order in ("tiu first", "gdma first")]
    except ChipFault:
        return
    one, two = data.draw(st.sampled_from(tiu)), data.draw(st.sampled_from(gdma))
    byte = [Access("local", True, 0, (1,), (1,), 1)]
    touched = [
        [(command, byte if command is chosen else []) for command in stream]
        for stream, chosen in ((tiu, one), (gdma, two))
    ]
    if orders[0].index(one) < orders[0].index(two) and orders[1].index(two) < orders[1].index(one):
        with pytest.raises(ChipFault, match="neither waits"):
            check_races(*touched)
    else:
        check_races(*touched)


SMALL = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(*[st.tuples(st.integers(0, 40), st.integers(60, 63), SMALL, st.tuples(*[st.integers(0, 9)] * 2))] * 2)
def test_overlap_is_that_of_the_bytes(one: Any, two: Any) -> None:
    made = []
    for offset, lane, (n, lanes, w), (outer, inner) in (one, two):
        sizes = (n, min(lanes, 64 - lane), w)
        start = lane * 512 * 1024 + 4 * offset
        made.append(Access("local", True, start, sizes, (4 * outer, 512 * 1024, 4 * inner), 4))
    cells = [set(access.cells().tolist()) for access in made]
    assert overlap(*made) == bool(cells[0] & cells[1])


# Refusals


def test_unaligned_addresses_are_refused() -> None:
    refused("alignment", [add(1, 1, 4, 1.0, 1024)], [load(1, 0, DDR, 0)], r"lane0\+0x4 is to lie aligned")
    refused("alignment", [], [load(1, 0, DDR + 2, 0)], "source")
    odd = Operand(LOCAL + 2, strides=Shape(1, 1, 1, 1))
    refused("alignment", [dataclasses.replace(add(1, 1, 0, 1.0, 1024), left=odd)], [load(1, 0, DDR, 0)])


def test_what_reaches_out_of_memory_is_refused() -> None:
    end = 512 * 1024
    refused("range", [], [load(1, 0, DDR, end - 128, Shape(1, 64, 8, 8))], "reaches 524416 bytes into lanes")
    refused("range", [], [load(1, 0, DDR + (1 << 20) - 128, 0)], "beyond the end of ddr")
    refused("range", [], [load(1, 0, 0x2000, 0)], "not in DDR|in no memory")
    refused("range", [add(1, 0, 0x2000 - LOCAL, 1.0, 0)], [], "not in local memory")


def test_reading_what_was_never_written_is_refused() -> None:
    refused("unwritten", [add(1, 1, 1024, 1.0, 2048)], [load(1, 0, DDR, 0)], r"lane0\+0x400")
    refused("unwritten", [], [load(1, 0, DDR + 65536 - 64, 0)], r"reads ddr\+0x10000")
    half = load(1, 0, DDR, 0, Shape(1, 32, 4, 8))
    refused("unwritten", [add(1, 1, 0, 1.0, 2048)], [half], r"lane32\+0x0")


def test_results_on_operands_are_refused_unless_element_upon_element() -> None:
    run([add(1, 1, 0, 1.0, 0)], [load(1, 0, DDR, 0)])
    beside = Operand(LOCAL + 64, strides=Shape(32, 32, 8, 1))
    refused("aliasing", [dataclasses.replace(add(1, 1, 0, 1.0, 0), result=beside)], [load(1, 0, DDR, 0)])
    pool = isa.MaximumPool(
        id=1,
        wait=1,
        result=Operand(LOCAL),
        input=Operand(LOCAL),
        result_shape=SHAPE,
        input_shape=SHAPE,
    )
    refused("aliasing", [pool], [load(1, 0, DDR, 0)], "its result lies on an operand")


def test_windows_that_leave_the_input_are_refused() -> None:
    pool = isa.MaximumPool(
        id=1,
        wait=1,
        result=Operand(LOCAL + 1024),
        input=Operand(LOCAL),
        result_shape=SHAPE,
        input_shape=SHAPE,
        kernel=Window(3, 3),
        pads=Pads(1, 0, 1, 1),
    )
    refused("geometry", [pool], [load(1, 0, DDR, 0)], "over h the kernel reaches 6 of 5")


def test_what_the_chip_has_no_path_for_is_refused() -> None:
    mixed = dataclasses.replace(add(1, 1, 0, 1.0, 1024), right=Constant(0, isa.Precision.INT8))
    refused("unsupported", [mixed], [load(1, 0, DDR, 0)], "FLOAT32, INT8 meet")
    half = dataclasses.replace(add(1, 1, 0, 1.0, 1024), left=Constant(0, isa.Precision.FLOAT16))
    refused("unsupported", [half], [load(1, 0, DDR, 0)])
    power = isa.SpecialFunction(
        id=1,
        wait=1,
        operation=Operation.POWER_OF_TWO,
        result=Operand(LOCAL + 1024),
        source=Operand(LOCAL),
        shape=SHAPE,
    )
    refused("unsupported", [power], [load(1, 0, DDR, 0)], "POWER_OF_TWO is not simulated")


def test_fields_with_an_effect_that_is_not_simulated_are_refused() -> None:
    fine = add(1, 1, 0, 1.0, 1024)
    run([dataclasses.replace(fine, others=(("keep", 1),))], [load(1, 0, DDR, 0)])
    for name, value in (("lanes_low", 1), ("enable", 0), ("stride1_h", 0), ("stride_code0", 1)):
        strange = dataclasses.replace(fine, others=((name, value),))
        refused("unsupported", [strange], [load(1, 0, DDR, 0)], f"its field {name} is")
    empty = dataclasses.replace(fine, shape=Shape(1, 0, 4, 8))
    refused("geometry", [empty], [load(1, 0, DDR, 0)], "its shape has a size of 0")


def test_more_memory_than_a_board_has_is_refused() -> None:
    with pytest.raises(ChipFault, match="bytes of DDR"):
        Simulator(1 << 50)


def test_a_fault_tells_the_command() -> None:
    with pytest.raises(ChipFault, match=r"tiu 1 after gdma 1: Arithmetic result=lane0\+0x800"):
        run([add(1, 1, 1024, 1.0, 2048)], [load(1, 0, DDR, 0)])


def test_noise_is_refused_or_runs_but_never_crashes() -> None:
    """Commands with random bits: each a designed error, or a command that runs."""
    rng = np.random.default_rng(11)
    good = isa.encode(add(1, 0, 0, 1.0, 1024)), isa.encode(load(1, 0, DDR, 0))
    chip = Simulator(1 << 20)
    chip.memory.set(DDR, np.arange(1 << 14, dtype=np.float32))
    for trial in range(300):
        engine = trial % 2
        data = bytearray(good[engine])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(1024))
            data[at // 8] ^= 1 << at % 8
        streams = {"tiu": bytes(data)} if engine == 0 else {"gdma": bytes(data)}
        try:
            chip.run(CommandGroup(**streams))
        except (ChipFault, FileFormatError) as error:
            assert error.hint

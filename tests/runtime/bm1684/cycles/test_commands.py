"""Cycles of every kind of command are what the vendor's own estimates say, over a recorded grid of sizes.

The estimates are computed in fp32 here and there, so that theirs and ours may be one cycle apart, or one
in a million. With GRAPHFLOW_BM1684_CMODEL set, they are asked again for other sizes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from graphflow.errors import AttributeValueError
from graphflow.runtime.bm1684 import cycles, isa
from tests.runtime.bm1684 import record_cycles, vendor

LOCAL, DDR = 0x0800_0000, 1 << 32


def ours(name: str, arguments: dict[str, Any]) -> int:
    """Our answer to a recorded question."""
    if name in ("transfer", "fill"):
        return cycles.cycles(mover(name, arguments))
    given = dict(arguments)
    for key in ("precision", "result_precision"):
        if key in given:
            given[key] = isa.Precision[given[key]]
    if "operation" in given:
        given["operation"] = isa.Operation[given["operation"]]
    if "step" in given:
        given["step"] = tuple(given["step"])
    return getattr(cycles, name)(**given)


def mover(name: str, a: dict[str, Any]) -> isa.Command:
    """The command of the data mover that a question is about."""
    direction = isa.Direction[a["direction"]]
    there = LOCAL if direction in (isa.Direction.LOAD, isa.Direction.LOCAL) else DDR
    known: dict[str, Any] = {
        "direction": direction,
        "destination": there,
        "source_format": isa.Format[a["source_format"]],
        "destination_format": isa.Format[a["destination_format"]],
        "explicit_strides": True,
        "destination_shape": isa.Shape(*a["destination_shape"]),
        "destination_strides": isa.Shape(*a["destination_strides"]),
    }
    if name == "fill":
        return isa.Fill(value=0, **known)
    known |= {
        "source": a["address"],
        "source_shape": isa.Shape(*a["source_shape"]),
        "source_strides": isa.Shape(*a["source_strides"]),
    }
    if a["transpose"]:
        return isa.TransposeTransfer(function=a["transpose"], **known)
    if a["source_format"] != a["destination_format"]:
        return isa.ConvertTransfer(**known)
    return isa.TensorTransfer(accumulate=a["accumulate"], **known)


def wrong(answers: dict[str, list[Any]]) -> list[str]:
    """The questions to which ours is another answer."""
    told = []
    for name, pairs in answers.items():
        for arguments, theirs in pairs:
            made = ours(name, arguments)
            if abs(made - theirs) > max(1, 1e-6 * theirs):
                told.append(f"{name}({arguments}) is {made}, not {theirs}")
    return told


def test_recorded_estimates() -> None:
    answers = json.loads(record_cycles.FILE.read_text("utf-8"))
    assert sum(len(pairs) for pairs in answers.values()) > 1000
    assert wrong(answers) == []


@pytest.mark.slow
@pytest.mark.skipif(not record_cycles.LIBRARY.is_file(), reason="the vendor's estimates are not there")
def test_estimates_of_other_sizes() -> None:
    call = [sys.executable, "-m", "tests.runtime.bm1684.record_cycles", "20"]
    done = subprocess.run(call, cwd=vendor.ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert wrong(json.loads(done.stdout)) == []


# Commands and plans: one answer for both


def operand(lane: int = 0, precision: isa.Precision = isa.Precision.FLOAT32) -> isa.Operand:
    return isa.Operand(LOCAL + lane * 0x8_0000, precision)


def convolution(**more: Any) -> isa.Convolution:
    given: dict[str, Any] = {"result": operand(), "input": operand(), "weights": operand()}
    given |= {"result_shape": isa.Shape(2, 96, 14, 14), "input_shape": isa.Shape(2, 70, 14, 14)}
    return isa.Convolution(**given | {"kernel": isa.Window(3, 2)} | more)


SHAPE = isa.Shape(2, 70, 5, 9)
ELEMENTWISE = {"result": operand(3), "shape": SHAPE}
SIDES = {"left": operand(), "right": operand()}
WINDOWED = {"result": operand(3), "input": operand(), "result_shape": SHAPE, "input_shape": SHAPE}
POOLED = WINDOWED | {"kernel": isa.Window(3, 2), "step": isa.Window(1, 2)}
INT8 = isa.Precision.INT8
ADD, DIVIDE = isa.Operation.ADD, isa.Operation.DIVIDE

KINDS: list[tuple[isa.Command, int]] = [
    (convolution(), cycles.conv_cycles(2, 96, 14, 14, 70, 3, 2)),
    (convolution(result=operand(40)), cycles.conv_cycles(2, 96, 14, 14, 70, 3, 2, lane=40)),
    (convolution(bias=operand()), cycles.conv_cycles(2, 96, 14, 14, 70, 3, 2, True)),
    (
        convolution(input=operand(0, INT8), step=isa.Window(3, 2)),
        cycles.conv_cycles(2, 96, 14, 14, 70, 3, 2, step=(3, 2), precision=INT8),
    ),
    (
        isa.WinogradConvolution(**WINDOWED, weights=operand(3), bias=operand()),
        cycles.winograd_cycles(*SHAPE, 70, True, lane=3),
    ),
    (
        isa.DepthwiseConvolution(**POOLED, weights=operand(3)),
        cycles.depthwise_cycles(*SHAPE, 3, 2, step_w=2, lane=3),
    ),
    (isa.MaximumPool(**POOLED), cycles.pool_cycles("maximum", *SHAPE, 3, 2, step_w=2, lane=3)),
    (
        isa.AveragePool(**POOLED, factor=isa.Constant.of(0.1)),
        cycles.pool_cycles("average", *SHAPE, 3, 2, step_w=2, lane=3),
    ),
    (isa.Arithmetic(**ELEMENTWISE, **SIDES, operation=ADD), cycles.arithmetic_cycles(ADD, *SHAPE, lane=3)),
    (isa.Copy(**ELEMENTWISE, source=operand()), cycles.arithmetic_cycles(isa.Operation.COPY, *SHAPE, lane=3)),
    (
        isa.Choose(**ELEMENTWISE, **SIDES, operation=isa.Operation.SELECT_EQUAL, value=isa.Constant.of(1.0)),
        cycles.arithmetic_cycles(isa.Operation.SELECT_EQUAL, *SHAPE, lane=3),
    ),
    (
        isa.ScalarArithmetic(**ELEMENTWISE, **SIDES, operation=DIVIDE),
        cycles.scalar_cycles(DIVIDE, *SHAPE, lane=3),
    ),
    (
        isa.SpecialFunction(**ELEMENTWISE, source=operand(), operation=isa.Operation.TO_INTEGER),
        cycles.special_cycles(isa.Operation.TO_INTEGER, *SHAPE, lane=3),
    ),
    (
        isa.Series(**ELEMENTWISE, source=operand(), table=0x300C00, terms=7),
        cycles.series_cycles(7, *SHAPE, lane=3),
    ),
    (
        isa.TableLookup(**ELEMENTWISE, index=operand(), table=0x300400, blocks=8),
        cycles.lookup_cycles(*SHAPE, lane=3),
    ),
    (
        isa.Linear(
            **ELEMENTWISE, source=operand(), bias=operand(), operation=isa.Operation.MULTIPLY_ACCUMULATE
        ),
        cycles.linear_cycles(*SHAPE, lane=3),
    ),
    (
        isa.Compare(
            **SIDES,
            larger=operand(2),
            chosen=LOCAL + 5 * 0x8_0000,
            if_greater=operand(),
            otherwise=operand(),
            shape=SHAPE,
            operation=isa.Operation.LARGER_AND_SELECT,
        ),
        cycles.compare_cycles(isa.Operation.LARGER_AND_SELECT, *SHAPE, lane=5),
    ),
]


@pytest.mark.parametrize(("command", "planned"), KINDS, ids=lambda part: type(part).__name__)
def test_commands_and_plans_agree(command: isa.Command, planned: int) -> None:
    assert cycles.cycles(command) == planned
    assert cycles.cycles(isa.decode(command.ENGINE, isa.encode(command))) == planned


@pytest.mark.parametrize("transposed", [False, True])
def test_products_and_their_sizes(transposed: bool) -> None:
    rows, inner = 10, 100
    stored = (inner, rows) if transposed else (rows, inner)
    slices, width = 4, 32  # of the stored columns: 3 whole slices, and what is left
    last = stored[1] - (slices - 1) * width if stored[1] > width else stored[1]
    slices = 4 if stored[1] > width else 1
    command = isa.MatrixMultiply(
        result=operand(),
        left=operand(),
        right=operand(),
        result_shape=isa.Shape(1, 13, 1, 16),
        left_shape=isa.Shape(stored[0], slices, 1, width if slices > 1 else stored[1]),
        left_last_width=last,
        left_transposed=transposed,
        accumulate=True,
    )
    assert cycles.cycles(command) == cycles.matmul_cycles(rows, inner, 13, 16, False, True)
    assert cycles.macs(command) == rows * inner * 13 * 16


def test_an_outer_combination() -> None:
    command = isa.OuterCombine(
        operation=DIVIDE,
        result=operand(),
        left=operand(),
        right=operand(),
        result_shape=isa.Shape(1, 3, 1, 20),
        left_shape=isa.Shape(1, 2, 1, 8),
        left_last_width=5,
    )
    assert cycles.cycles(command) == 13 * 2 * 30 == cycles.outer_cycles(DIVIDE, 13, 3, 20)


# The data mover


def load(shape: isa.Shape, **more: Any) -> isa.TensorTransfer:
    known = {"direction": isa.Direction.LOAD, "source": DDR, "destination": LOCAL}
    return isa.TensorTransfer(**known | {"source_shape": shape, "destination_shape": shape} | more)


def test_a_load_costs_by_its_shortest_runs() -> None:
    wide, narrow = isa.Shape(1, 64, 28, 28), isa.Shape(1, 12544, 2, 2)
    for shape in (wide, narrow):
        run = 4 * shape.h * shape.w
        assert cycles.cycles(load(shape)) == cycles.transfer_cycles(200704, run, isa.Direction.LOAD)
    assert cycles.cycles(load(narrow)) > 1.8 * cycles.cycles(load(wide))


def test_accumulating_and_transposing_halve_the_rate() -> None:
    shape = isa.Shape(1, 64, 28, 28)
    plain = cycles.cycles(load(shape))
    moved = isa.TransposeTransfer(
        direction=isa.Direction.LOAD,
        source=DDR,
        destination=LOCAL,
        source_shape=shape,
        destination_shape=isa.Shape(64, 1, 28, 28),
    )
    for slow in (load(shape, accumulate=True), moved):
        assert cycles.cycles(slow) > 1.9 * plain


@pytest.mark.parametrize(("direction", "start"), [("LOAD", 124), ("STORE", 41)])
def test_a_matrix_moves_by_rows_and_slices(direction: str, start: int) -> None:
    way = isa.Direction[direction]
    loads = way is isa.Direction.LOAD
    matrix, local = isa.Shape(1, 1, 50, 70), isa.Shape(50, 5, 1, 16)
    command = isa.MatrixTransfer(
        direction=way,
        source=DDR if loads else LOCAL,
        destination=LOCAL if loads else DDR,
        source_shape=matrix if loads else local,
        destination_shape=local if loads else matrix,
    )
    moved = 50 * (70 if loads else 80) * 4  # a store reads its last slice whole
    assert cycles.cycles(command) == int((start + moved / (2 * 29.565)) * 1.1079546)
    assert cycles.ddr_bytes(command) == 50 * 70 * 4


def test_bytes_of_ddr() -> None:
    shape = isa.Shape(2, 3, 4, 5)
    assert cycles.ddr_bytes(load(shape)) == 480
    assert cycles.ddr_bytes(load(shape, source=0x1000_0000)) == 0  # from L2
    copied = isa.LinearCopy(source=DDR, destination=DDR + 4096, length=120)
    assert cycles.ddr_bytes(copied) == 960
    into = {"source_format": isa.Format.INT8, "destination_format": isa.Format.FLOAT32}
    known = {"direction": isa.Direction.LOAD, "source": DDR, "destination": LOCAL}
    shapes = {"source_shape": shape, "destination_shape": shape}
    assert cycles.ddr_bytes(isa.ConvertTransfer(**known, **shapes, **into)) == 120
    assert cycles.ddr_bytes(convolution()) == 0


def test_multiply_adds() -> None:
    assert cycles.macs(convolution()) == 2 * 96 * 14 * 14 * 70 * 6
    assert cycles.macs(isa.WinogradConvolution(**WINDOWED, weights=operand(3))) == 2 * 70 * 45 * 70 * 9
    assert cycles.macs(isa.DepthwiseConvolution(**POOLED, weights=operand(3))) == 2 * 70 * 45 * 6
    assert cycles.macs(isa.MaximumPool(**POOLED)) == 0


def test_every_kind_has_a_formula() -> None:
    from graphflow.runtime.bm1684.cycles.commands import _CYCLES

    assert set(_CYCLES) == {kind for kinds in isa.KINDS.values() for kind in kinds}


def test_what_has_no_formula_is_told() -> None:
    with pytest.raises(AttributeValueError, match="no formula for TiuCommand"):
        cycles.cycles(isa.TiuCommand())
    with pytest.raises(AttributeValueError, match="no pool 'median'"):
        cycles.pool_cycles("median", 1, 1, 1, 1, 1, 1)


def test_figures_of_the_manual() -> None:
    """A head of 197 tokens; Winograd and Series against what they replace."""
    scores, mixed = cycles.conv_cycles(1, 197, 1, 197, 64, 1, 1), cycles.conv_cycles(1, 197, 1, 64, 197, 1, 1)
    as_products = cycles.matmul_cycles(197, 64, 13, 16) + cycles.matmul_cycles(197, 197, 4, 16)
    assert (scores + mixed, as_products) == (3452, 53781)
    plain, faster = cycles.conv_cycles(1, 256, 14, 14, 256, 3, 3), cycles.winograd_cycles(1, 256, 14, 14, 256)
    assert plain / faster == pytest.approx(2.3, abs=0.1)
    assert cycles.conv_cycles(1, 64, 112, 112, 3, 7, 7, step=(2, 2)) == 784 * (49 * 2 * 2.5 + 3)

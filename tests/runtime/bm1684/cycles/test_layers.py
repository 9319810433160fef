"""Layers add up to the whole, and their bounds are those of peak and bandwidth."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.cycles import Stream, conv_cycles, timeline, winograd_cycles
from tests.runtime.bm1684.cycles.program import BYTES, program

MEGA = 550e3
"""Cycles of a millisecond."""


def test_layers_add_up() -> None:
    made = timeline([program(4)])
    table = made.by_layer()
    assert [layer.label for layer in table.layers] == ["conv", "scale"]
    conv, scale = table.layers
    assert (conv.commands, scale.commands) == (8, 8)
    assert conv.tiu_cycles == 4 * conv_cycles(1, 64, 28, 28, 64, 3, 3)
    assert conv.macs == 4 * 64 * 784 * 64 * 9 and scale.macs == 0
    assert conv.ddr_bytes == scale.ddr_bytes == 4 * BYTES
    assert conv.tiu_seconds + scale.tiu_seconds == pytest.approx(made.busy["tiu"])
    assert conv.gdma_seconds + scale.gdma_seconds == pytest.approx(made.busy["gdma"])
    assert conv.stall_seconds + scale.stall_seconds == pytest.approx(made.stalled["tiu"])


def test_bounds() -> None:
    conv, scale = timeline([program(4)]).by_layer().layers
    assert (conv.bound, scale.bound) == ("compute", "transfer")
    assert conv.utilisation == pytest.approx(conv.macs / 2048 / conv.tiu_cycles)
    assert 0.95 < conv.utilisation < 1 and scale.utilisation == 0
    assert scale.roofline_seconds == pytest.approx(4 * BYTES / 30.69e9, rel=1e-3)
    assert 0.9 < scale.roofline <= 1


def test_integers_have_a_higher_peak() -> None:
    where = isa.Operand(0x0800_0000, isa.Precision.INT8)
    shape = isa.Shape(4, 64, 28, 28)
    command = isa.Convolution(
        id=1, input=where, weights=where, result=where, input_shape=shape, result_shape=shape
    )
    (layer,) = timeline([Stream([command])]).by_layer().layers
    assert layer.label == "(no label)"
    assert layer.peak_seconds == pytest.approx(4 * 64 * 784 * 64 / (64 * 256) / 550e6)


def test_json_and_text_say_the_same() -> None:
    table = timeline([program(2)]).by_layer()
    rows = json.loads(table.to_json())
    assert [row["label"] for row in rows] == ["conv", "scale"]
    assert rows[0]["macs"] == table.layers[0].macs and rows[1]["bound"] == "transfer"
    head, conv, scale, total = str(table).splitlines()
    assert head.startswith("layer") and f"{rows[0]['tiu_cycles']:,}" in conv and "transfer" in scale
    assert total.endswith("ms in all")


def test_kinds_are_gathered_by_operation_and_direction() -> None:
    table = timeline([program(3)]).by_kind()
    assert [(layer.label, layer.commands) for layer in table.layers] == [
        ("TensorTransfer load", 3),
        ("Convolution", 3),
        ("ScalarArithmetic multiply", 3),
        ("TensorTransfer store", 3),
    ]
    assert str(table).startswith("kind")


def resnet50() -> Iterator[tuple[int, int, int, int, int]]:
    """Output channels, output size, input channels, kernel and step of each convolution of ResNet-50."""
    yield 64, 112, 3, 7, 2
    size, channels = 56, 64
    for stage, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(count):
            step = 2 if stage and not block else 1
            yield width, size, channels, 1, 1
            size //= step
            yield width, size, width, 3, step
            yield 4 * width, size, width, 1, 1
            if not block:
                yield 4 * width, size, channels, 1, step
            channels = 4 * width
    yield 1000, 1, 2048, 1, 1


def milliseconds(precision: isa.Precision, items: int, winograd: bool) -> float:
    """An image's convolutions alone; with Winograd also the stem as 1 x 7 over 21 channels."""
    total = 0
    for oc, size, ic, kernel, step in resnet50():
        took = conv_cycles(
            items, oc, size, size, ic, kernel, kernel, True, step=(step, step), precision=precision
        )
        if winograd and kernel == 3 and step == 1:
            took = min(took, winograd_cycles(items, oc, size, size, ic, True, precision=precision))
        if winograd and ic == 3:
            took = conv_cycles(items, oc, size, size, 21, 1, 7, True, step=(1, 2), precision=precision)
        total += took
    return total / MEGA / items


def test_whole_nets_come_to_what_was_computed_before() -> None:
    """The convolutions of ResNet-50, and a block of ViT-B over 197 tokens as convolutions of 1 x 1."""
    assert milliseconds(isa.Precision.FLOAT32, 1, False) == pytest.approx(4.28, abs=0.01)
    assert milliseconds(isa.Precision.INT8, 1, True) == pytest.approx(1.84, abs=0.01)
    assert milliseconds(isa.Precision.INT8, 4, True) == pytest.approx(0.46, abs=0.01)

    def product(rows: int, inner: int, bias: bool = True) -> int:
        return conv_cycles(1, rows, 1, 197, inner, 1, 1, bias)

    heads = 12 * (product(197, 64, False) + conv_cycles(1, 197, 1, 64, 197, 1, 1))
    block = 4 * product(768, 768) + heads + product(3072, 768) + product(768, 3072)
    assert block / MEGA == pytest.approx(1.40, abs=0.01)

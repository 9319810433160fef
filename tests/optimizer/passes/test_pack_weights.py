"""The pass `pack-weights`: its option, what it reports, and whole networks behind `layout`."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.analysis.cost import total_flops
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.passes.layout import permutations
from graphflow.optimizer.pipelines import level_pipeline, optimize, parse_pipeline, print_pipeline
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rules import packing
from tests.optimizer.rewriting import build, show

STEPS = "layout{packed=true},pack-weights"
WHOLE = f"{level_pipeline('O2')},{STEPS}"


@pytest.fixture(autouse=True)
def single_rows_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices are left to XLA for one row; here they are packed, to keep networks small."""
    monkeypatch.setattr(packing, "ROW_BYTES", 0)


def test_options_have_a_text_form() -> None:
    (step,) = parse_pipeline("pack-weights")
    assert print_pipeline([step]) == "pack-weights{lanes=16}"
    assert parse_pipeline("pack-weights{lanes=8}") != [step]
    with pytest.raises(AttributeValueError, match="no panels of 0 lanes"):
        parse_pipeline("pack-weights{lanes=0}")


@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_lanes_are_the_width_of_panels(lanes: int) -> None:
    program = build("x: float32[4,64] -> matmul(x, constant(np.ones((64, 20), 'f')))")
    made = optimize(program, pipeline=f"pack-weights{{lanes={lanes}}}", check=True)
    (node,) = [node for node in made.order() if node.op.name == "packed_conv"]
    assert node.inputs[1].shape == (1, -(-20 // lanes), 64, lanes)


def test_programs_without_products_are_left_alone() -> None:
    text = "x: float32[2,3,4] -> reshape(reshape(relu(x), (6, 4)), (24,))"
    program, journal = build(text), Journal("entries")
    assert show(optimize(program, pipeline="pack-weights", journal=journal)) == show(build(text))
    assert journal.edits == 0


def test_a_second_run_changes_nothing_and_the_report_counts() -> None:
    text = (
        "x: float32[2,3,64] -> relu(matmul(x, constant(np.ones((64, 20), 'f'))) + constant(np.ones(20, 'f')))"
    )
    program, journal = build(text), Journal("entries")
    made = optimize(program, pipeline="pack-weights,pack-weights", journal=journal, check=True)
    notes = [record.note for record in journal.passes]
    assert [note.startswith("products with their weights in panels: 1") for note in notes] == [True, False]
    assert [entry.rule for entry in journal.entries].count("product_in_panels") == 1
    assert sum([node.op.name == "packed_conv" for node in made.order()]) == 1


def test_levels_do_not_pack_by_themselves() -> None:
    assert not any(["pack-weights" in level_pipeline(level) for level in ("O0", "O1", "O2", "O3")])


NETWORKS: list[tuple[str, dict[str, Any], tuple[int, int, int, int]]] = [
    # products in panels; those with a bias, with something added, with bounds
    ("resnet50", {"blocks": (1, 1, 1, 1), "width": 8, "image": 32, "classes": 70}, (18, 18, 4, 13)),
    ("mobilenet_v2", {"width": 0.25, "image": 32, "stages": ((1, 16, 1, 1), (6, 24, 2, 2))}, (11, 11, 2, 7)),
]


@pytest.mark.parametrize(("name", "sizes", "counts"), NETWORKS)
def test_networks_keep_their_values_and_lose_what_follows_products(
    networks: ModuleType, name: str, sizes: dict[str, Any], counts: tuple[int, ...]
) -> None:
    with gf.Graph():
        net = getattr(networks, name)(weights="constant", **sizes)
        plain = extract(net.outputs, feeds=net.inputs)
        made = optimize(extract(net.outputs, feeds=net.inputs), pipeline=WHOLE, check=True)
    products = [node.attrs for node in made.order() if node.op.name == "packed_conv"]
    bounded = [attrs.lower != -np.inf or attrs.upper != np.inf for attrs in products]
    found = (len(products), sum([a.bias for a in products]), sum([a.addend for a in products]), sum(bounded))
    assert found == counts
    assert permutations(Rewriter(made)) == 1
    assert _left(made).keys() <= {"max_pool", "mean"}
    _assert_same(plain, made, net)


def _left(program: Program) -> Counter[str]:
    """What else there is to compute."""
    moving = {"placeholder", "constant", "packed_conv", "reshape", "permute_dims"}
    return Counter([node.op.name for node in program.order() if node.op.name not in moving])


def _assert_same(plain: Program, made: Program, net: Any) -> None:
    rng = np.random.default_rng(2)
    feeds = [rng.standard_normal([int(size) for size in feed.shape], np.float32) for feed in plain.feeds]
    wanted = evaluate(plain.outputs, dict(zip(plain.feeds, feeds)))
    found = evaluate(made.outputs, dict(zip(made.feeds, feeds)))
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * float(np.abs(other).max()))


def test_operations_are_counted_as_before() -> None:
    text = "x: float32[1,16,8,8] -> conv(x, constant(np.ones((32, 16, 3, 3), 'f')), padding=1)"
    before = total_flops(build(text).order())
    assert total_flops(optimize(build(text), pipeline=STEPS).order()) == before


def test_one_row_and_a_matrix_that_stays_in_the_caches_are_left_to_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    for size, packs in ((512, False), (1024, True)):
        text = f"x: float32[1,{size}] -> matmul(x, constant(np.ones(({size}, 1024), 'f')))"
        journal = Journal("remarks")
        made = optimize(build(text), pipeline="pack-weights", journal=journal)
        assert ("packed_conv" in [node.op.name for node in made.order()]) is packs
        assert ["one row by" in remark.reason for remark in journal.remarks] == [True] * (not packs)


def test_variables_stay_without_a_second_copy() -> None:
    with gf.Graph():
        x, w = gf.placeholder("x", (1, 16, 8, 8)), gf.variable("w", (32, 16, 3, 3))
        made = optimize(extract([gf.nn.conv(x, w)], feeds=[x]), pipeline=STEPS)
    assert not [node for node in made.order() if node.op.name in ("packed_conv", "constant")]


def test_weights_that_are_packed_are_not_kept_as_they_were() -> None:
    text = "x: float32[1,16,8,8] -> conv(x, constant(np.ones((32, 16, 3, 3), 'f')), padding=1)"
    made = optimize(build(text), pipeline=STEPS)
    held = [node.output.shape for node in made.order() if node.op.name == "constant"]
    assert held == [(1, 2, 144, 16)]

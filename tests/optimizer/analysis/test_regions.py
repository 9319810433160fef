"""Which nodes become a region, what it is called, and the sentence for each reason not to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.analysis.regions import Limits, Region, class_of, find_regions


def regions_of(*outputs: gf.Tensor, limits: Limits | None = None) -> tuple[list[Region], dict[str, str]]:
    said: dict[str, str] = {}
    found = find_regions(
        outputs[0].graph.nodes, outputs, limits, lambda node, reason: said.setdefault(node.name, reason)
    )
    return list(found), said


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", ("n", 8))


def test_every_operator_has_a_class() -> None:
    table = {op.name: op.traits for op in gf.registry}
    assert "reduction" in table["sum"] and "contraction" in table["conv"]
    x = gf.placeholder("x", (2, 4, 6, 6))
    w = gf.placeholder("w", (4, 4, 3, 3))
    made = [x * 2.0, gf.permute_dims(x, (0, 2, 3, 1)), gf.argmax(x, axis=1), gf.nn.conv(x, w), gf.sort(x)]
    kinds = ["elementwise", "injective", "reduction", "contraction", "opaque"]
    assert [class_of(tensor.node) for tensor in made] == kinds
    assert class_of(gf.split(x, 2)[0].node) == "opaque"  # it has two results
    assert class_of(gf.astype(x, gf.float8_e4m3fn).node) == "opaque"  # nothing computes with these


def test_a_chain_is_one_region(x: gf.Tensor) -> None:
    (region,), said = regions_of(gf.tanh(gf.exp(x) * 2.0))
    assert region.name == "fused_0: exp+multiply+tanh" and region.kind == "elementwise"
    assert (region.title, region.operators) == ("fused_0", "exp+multiply+tanh")
    assert region.domain == x.shape and not said
    assert [tensor.node.op.name for tensor in region.inputs] == ["placeholder", "constant"]
    assert region.output is region.nodes[-1].output


def test_a_diamond_is_one_region(x: gf.Tensor) -> None:
    top = gf.exp(x)
    (region,), said = regions_of(gf.sin(top) + gf.cos(top) * top)
    assert region.operators == "exp+sin+cos+multiply+add" and not said


def test_long_names_are_cut(x: gf.Tensor) -> None:
    y = x
    for _ in range(9):
        y = gf.exp(y)
    (region,), _ = regions_of(y)
    assert region.operators == "exp+exp+exp+exp+4 more+exp" and len(region.nodes) == 9


def test_a_reduction_ends_a_region_and_says_so(x: gf.Tensor) -> None:
    total = gf.sum(gf.exp(x) * 2.0, axis=1, keepdims=True)
    regions, said = regions_of(gf.tanh(x / total) + 1.0)
    assert [region.operators for region in regions] == ["exp+multiply+sum", "divide+tanh+add"]
    assert [region.kind for region in regions] == ["reduction", "elementwise"]
    assert said == {"sum": "the reduction over axis 1 feeds divide, an elementwise operator of another shape"}


def test_a_contraction_takes_its_epilogue_and_broadcast_prologues(x: gf.Tensor) -> None:
    w, b, scale = gf.variable("w", (8, 16)), gf.variable("b", (16,)), gf.variable("scale", (16,))
    bias = gf.reshape(b, (1, 16))
    (region,), said = regions_of(gf.nn.relu((x @ w) * gf.exp(scale * 2.0) + bias))
    assert [node.op.name for node in region.nodes][-3:] == ["multiply", "add", "relu"]
    assert {node.op.name for node in region.nodes} >= {"matmul", "exp", "reshape"} and len(region.nodes) == 7
    assert region.kind == "contraction" and region.domain == region.output.shape and not said


def test_conv_bias_relu() -> None:
    x, w, b = gf.placeholder("x", (1, 3, 8, 8)), gf.variable("w", (4, 3, 3, 3)), gf.variable("b", (4, 1, 1))
    (region,), _ = regions_of(gf.nn.relu(gf.nn.conv(x, w) + b))
    assert region.operators == "conv+add+relu"


def test_only_one_contraction_is_taken(x: gf.Tensor) -> None:
    w = gf.variable("w", (8, 8))
    first, second = x @ w, gf.matmul(x, w, name="second")
    (region,), said = regions_of(gf.exp(first) + second)
    assert region.kind == "contraction" and len(region.nodes) == 3
    assert said == {"matmul": "the region of add has second already"}


def case_fetched(x: gf.Tensor) -> list[gf.Tensor]:
    y = gf.exp(x, name="y")
    return [y, gf.tanh(y)]


def case_two_users(x: gf.Tensor) -> list[gf.Tensor]:
    y = gf.exp(x, name="y")
    return [gf.sort(gf.tanh(y)), gf.sort(gf.sin(y))]


def case_meet_again(x: gf.Tensor) -> list[gf.Tensor]:
    y = gf.exp(x, name="y")
    return [gf.tanh(y) + gf.sort(y)]


def case_opaque_reader(x: gf.Tensor) -> list[gf.Tensor]:
    return [gf.sort(gf.exp(x, name="y"))]


def case_opaque(x: gf.Tensor) -> list[gf.Tensor]:
    return [gf.exp(gf.sort(x, name="y"))]


def case_injective_reader(x: gf.Tensor) -> list[gf.Tensor]:
    return [gf.tanh(gf.permute_dims(gf.exp(x, name="y"), (1, 0)))]


def case_contraction_reader(x: gf.Tensor) -> list[gf.Tensor]:
    return [gf.tanh(gf.exp(x, name="y") @ gf.variable("w", (8, 3)))]


def case_nothing_to_join(x: gf.Tensor) -> list[gf.Tensor]:
    return [gf.sum(gf.permute_dims(x, (1, 0), name="y"), axis=1)]


def case_spread_contraction(x: gf.Tensor) -> list[gf.Tensor]:
    return [gf.exp(gf.matmul(x, gf.variable("w", (8, 1)), name="y") + x)]


@pytest.mark.parametrize(
    "case, words",
    [
        (case_fetched, "it is fetched"),
        (case_two_users, "2 users that never meet again: tanh, sin"),
        (case_meet_again, "1 user outside of the region of add, where its values meet again: sort"),
        (case_opaque_reader, "it feeds sort: an opaque operator runs by itself"),
        (case_opaque, "sort is opaque"),
        (case_injective_reader, "it feeds permute_dims: what moves elements can only begin a region"),
        (case_contraction_reader, "it feeds matmul: what reads whole rows or windows can only begin"),
        (case_nothing_to_join, "sum reduces it without a loop before that it could join"),
        (case_spread_contraction, "the loop is over [n, 8], and would read [n, 1] in another way"),
    ],
)
def test_each_decline_has_its_sentence(
    x: gf.Tensor, case: Callable[[gf.Tensor], list[gf.Tensor]], words: str
) -> None:
    _, said = regions_of(*case(x))
    assert words in said["y"]


def test_limits_are_kept_and_named(x: gf.Tensor) -> None:
    y = x
    for _ in range(10):
        y = gf.exp(y)
    regions, said = regions_of(y, limits=Limits(max_nodes=4))
    assert [len(region.nodes) for region in regions] == [2, 4, 4]
    assert said["exp_5"] == "the region of exp_9 would exceed the limit of 4 nodes"
    with gf.Graph():
        parts = [gf.placeholder(f"p{index}", (4,)) for index in range(6)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        regions, said = regions_of(total, limits=Limits(max_inputs=3))
        assert all(len(region.inputs) <= 3 for region in regions) and len(regions) == 2
        assert "would exceed the limit of 3 inputs" in said["add_2"]


def test_a_target_chooses_classes(x: gf.Tensor) -> None:
    y = gf.sum(gf.exp(x) * 2.0, axis=1)
    regions, said = regions_of(y, limits=Limits(classes=frozenset({"elementwise"})))
    assert [region.operators for region in regions] == ["exp+multiply"]
    assert said["multiply"] == "it feeds sum: the target fuses no reduction operators"


def test_nothing_is_fused_twice_and_numbers_are_those_of_the_order(x: gf.Tensor) -> None:
    y = gf.exp(x) * 2.0
    z = gf.sort(y)
    regions, _ = regions_of(gf.sin(z) + 1.0, gf.cos(z) - 1.0)
    assert [region.title for region in regions] == ["fused_0", "fused_1", "fused_2"]
    assert len({node for region in regions for node in region.nodes}) == sum(len(r.nodes) for r in regions)
    assert [region.operators for region in regions] == ["exp+multiply", "sin+add", "cos+subtract"]


def test_scalars_and_empty_graphs() -> None:
    x = gf.placeholder("x", ())
    assert [one.operators for one in regions_of(gf.exp(x) + 1.0)[0]] == ["exp+add"]
    assert find_regions([], []) == ()
    with gf.Graph():
        assert regions_of(gf.constant(np.float32(1.0)))[0] == []


def test_a_long_chain_with_side_arms_is_no_deeper_than_a_short_one() -> None:
    x = y = gf.placeholder("x", (4,))
    for index in range(15_000):
        y = gf.add(y, x) if index % 3 else gf.exp(y)
    regions, _ = regions_of(y)
    assert sum(len(region.nodes) for region in regions) == 15_000
    assert max(len(region.nodes) for region in regions) == 64

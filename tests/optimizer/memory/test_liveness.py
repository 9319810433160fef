"""Liveness: who shares memory with whom, and when what is needed for the last time."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.errors import MemoryPlanError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.optimizer.memory.liveness import Liveness, analyse
from graphflow.optimizer.program import extract


def live(fetches: list[Tensor], feeds: list[Tensor], in_place: bool = True) -> Liveness:
    program = extract(fetches, feeds=feeds)
    return analyse(program.order(), program.outputs, in_place)


def kinds(result: Liveness) -> dict[str, str]:
    return {tensor.node.name: storage.kind for storage in result.storages for tensor in storage.tensors}


def shares(result: Liveness) -> list[list[str]]:
    """The names of values that lie in one storage, for storages with several."""
    groups = [[tensor.node.name for tensor in storage.tensors] for storage in result.storages]
    return [group for group in groups if len(group) > 1]


def transposing() -> OpDef:
    """A view that changes the order of the elements."""
    return OpDef(
        lambda x, /: x.T,
        family="custom",
        name="transposed",
        infer=lambda types, attrs: (types[0],),
        traits=frozenset({"view"}),
        promotion=None,
        normalize=None,
        version=1,
    )


def test_kinds_of_storage() -> None:
    x = gf.placeholder("x", (4,))
    w = gf.variable("w", (4,))
    c = gf.constant([1.0, 2.0, 3.0, 4.0], name="c")
    y = gf.add(gf.multiply(x, w, name="product"), c, name="y")
    result = live([gf.exp(gf.tan(gf.exp(y)), name="z"), y], [x])
    found = kinds(result)
    assert (found["x"], found["w"], found["c"], found["y"], found["z"]) == (
        "argument", "argument", "constant", "output", "output",
    )  # fmt: skip


def test_a_chain_runs_in_one_storage() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(gf.exp(gf.exp(x)))
    result = live([y], [x])
    assert shares(result) == [["exp", "exp_1", "exp_2"]]
    assert [node.name for node in result.in_place] == ["exp_1", "exp_2"]
    assert shares(live([y], [x], in_place=False)) == []


def test_what_is_read_later_is_not_overwritten() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.exp(y, name="z")
    result = live([gf.sin(gf.add(z, y, name="sum"), name="out")], [x])
    assert result.storage(result.order[2].output) is not result.storage(result.order[1].output)
    assert shares(result) == [["z", "sum", "out"]]


def test_an_elementwise_operator_takes_whichever_operand_dies() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.tan(x, name="z")
    result = live([gf.sin(gf.subtract(gf.subtract(y, z, name="d"), y, name="e"))], [x])
    assert shares(result) == [["z", "d", "e", "sin"]]


def test_a_long_chain_in_one_storage_is_linear_work() -> None:
    x = gf.placeholder("x", (4,))
    y = x
    for _ in range(20_000):
        y = gf.negative(y)
    result = live([y], [x])
    assert len(result.storages) == 2 and len(result.in_place) == 19_999


def test_arguments_constants_and_outputs_are_not_overwritten() -> None:
    x = gf.placeholder("x", (4,))
    w = gf.variable("w", (4,))
    c = gf.constant([1.0, 2.0, 3.0, 4.0])
    y = gf.tan(x, name="y")
    result = live([gf.exp(w), gf.exp(c), gf.exp(x), y, gf.exp(y)], [x])
    assert shares(result) == [] and result.in_place == []


def test_another_type_is_not_written_over() -> None:
    x = gf.placeholder("x", (4, 1))
    y = gf.placeholder("y", (4,))
    wide = gf.add(gf.exp(x, name="tall"), gf.exp(y, name="flat"), name="wide")
    result = live([gf.sin(wide, name="out")], [x, y])
    assert shares(result) == [["wide", "out"]]


def test_views_share_and_prolong() -> None:
    x = gf.placeholder("x", (2, 3))
    y = gf.exp(x, name="y")
    flat = gf.reshape(y, (6,), name="flat")
    z = gf.sin(gf.exp(x))
    result = live([gf.tan(flat, name="t"), z], [x])
    storage = result.storage(result.order[1].output)
    assert [tensor.node.name for tensor in storage.tensors] == ["y", "flat", "t"]


def test_a_node_does_not_overwrite_what_it_reads_through_another_view() -> None:
    x = gf.placeholder("x", (3, 3))
    y = gf.exp(x, name="y")
    turned = Builder(default_graph()).apply(transposing(), (y,), name="turned")
    total = gf.add(y, turned, name="total")
    result = live([total], [x])
    assert shares(result) == [["y", "turned"]]


def test_nothing_is_written_through_a_transposed_view() -> None:
    x = gf.placeholder("x", (3, 3))
    turned = Builder(default_graph()).apply(transposing(), (gf.exp(x),), name="turned")
    result = live([gf.sin(turned)], [x])
    assert result.in_place == []


def test_an_operand_read_twice_by_its_last_reader_may_be_overwritten() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.exp(x, name="y")
    result = live([gf.multiply(y, y, name="square")], [x])
    assert shares(result) == [["y", "square"]]


def test_outputs_that_are_not_their_own_memory_are_copied() -> None:
    x = gf.placeholder("x", (2, 3))
    y = gf.exp(x)
    flat = gf.reshape(y, (6,))
    result = live([x, y, y, flat], [x])
    # y takes its memory along; x, the second y and the view of y are copies.
    assert result.copied_bytes == 3 * 24
    assert [storage.kind for storage in result.storages] == ["argument", "output"]


def test_last_readers_and_instants() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.sum(y, name="z")
    result = live([gf.add(z, gf.sum(gf.sin(z)), name="out")], [x])
    storage = result.storage(result.order[1].output)
    assert (storage.first, storage.last) == (1, 3)
    assert storage.last_reader is not None and storage.last_reader.name == "z"


def test_a_symbolic_size_is_refused_with_the_line() -> None:
    x = gf.placeholder("x", ("batch", 4))
    with pytest.raises(MemoryPlanError, match=r"symbolic type float32\[batch, 4\]") as caught:
        live([gf.exp(x)], [x])
    assert "test_liveness.py" in str(caught.value)

"""Segments: they make up the program, read what is ready, and are alike where they are said to be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ir.attrs import EMPTY
from graphflow.ir.collector import paused_collector
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.segment import Segmentation, crossing_costs, cut_program, depth_order, program_weight
from graphflow.runtime.segment_kinds import segment_program

UNARY = (gf.tanh, gf.negative, gf.abs, gf.sin)
BINARY = (gf.add, gf.maximum, gf.subtract, gf.multiply)


def run_in_segments(cut: Segmentation, feeds: dict[Tensor, Any]) -> list[np.ndarray]:
    """The program's outputs, each segment evaluated as the program of its kind."""
    values = dict(feeds)
    kinds = [segment_program(kind) for kind in cut.kinds]
    for segment in cut.segments:
        given = [values.get(each, each.node.attrs.get("value")) for each in segment.inputs]
        program = kinds[segment.kind]
        made = evaluate(program.outputs, dict(zip(program.feeds, given, strict=True)))
        values.update(zip(segment.outputs, made, strict=True))
        for tensor in segment.freed:
            del values[tensor]
    return [values[tensor] for tensor in cut.program.outputs]


@st.composite
def programs(draw: Any) -> Program:
    """Random elementwise graphs in which some blocks are repeated."""
    with gf.Graph():
        x = gf.placeholder("x", (3,))
        pool = [x, gf.constant([0.5, -1.0, 2.0])]
        block = draw(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 6), st.integers(1, 6)), min_size=1))
        for turn in range(draw(st.integers(1, 6))):
            for kind, first, second in block:
                left, right = pool[-min(first, len(pool))], pool[-min(second, len(pool))]
                if kind < 4:
                    pool.append(UNARY[kind](left))
                elif kind < 8:
                    pool.append(BINARY[kind - 4](left, right))
                else:
                    pool.append(left + float(turn))
        chosen = draw(st.lists(st.integers(2, len(pool) - 1), min_size=1, max_size=3))
        return extract([pool[index] for index in chosen], feeds=[x])


@given(programs(), st.integers(1, 9))
def test_segments_make_up_the_program(program: Program, budget: int) -> None:
    cut = cut_program(program, budget)
    x = np.array([0.25, -3.0, 7.5], np.float32)
    fed = {program.feeds[0]: x}
    ready = set(program.feeds)
    for segment in cut.segments:
        assert all(tensor in ready or tensor.node.op.name == "constant" for tensor in segment.inputs)
        assert {segment.inputs[place] for place in segment.donated} <= set(segment.freed)
        ready.update(segment.outputs)
    made = [node for segment in cut.segments for node in segment.nodes if node.op.name != "constant"]
    assert set(program.order()) - set(made) <= {
        node for node in program.order() if node.op.name in ("constant", "placeholder")
    }
    if any(tensor in program.feeds for tensor in program.outputs):
        return
    for got, wanted in zip(run_in_segments(cut, fed), evaluate(program.outputs, fed), strict=True):
        assert got.tobytes() == wanted.tobytes()


@given(programs(), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_segments_of_a_kind_are_the_same_function(program: Program, budget: int, seed: int) -> None:
    cut = cut_program(program, budget)
    rng = np.random.default_rng(seed)
    for segment in cut.segments:
        first = cut.kinds[segment.kind]
        assert [each.type for each in segment.inputs] == [each.type for each in first.inputs]
        assert segment.donated == first.donated
        arrays = [rng.normal(size=each.shape).astype(each.dtype.numpy) for each in segment.inputs]
        one, other = (
            evaluate(made.outputs, dict(zip(made.feeds, arrays, strict=True)))
            for made in (segment_program(segment), segment_program(first))
        )
        assert [value.tobytes() for value in one] == [value.tobytes() for value in other]


def layered(layers: int, width: int = 4) -> tuple[Program, Tensor]:
    x = gf.placeholder("x", (2, width))
    h = x
    for index in range(layers):
        w = gf.variable(f"w{index}", (width, width))
        h = h + gf.tanh(gf.matmul(gf.nn.layer_norm(h), w))
    return extract([h], feeds=[x]), x


def test_equal_layers_make_few_kinds() -> None:
    program, _ = layered(48)
    cut = cut_program(program, 30)
    assert len(cut.segments) >= 8 and len(cut.kinds) <= 4
    assert cut.note.startswith(f"1 program of {len(program):,} nodes in {len(cut.segments)} segments of ")


def test_a_layer_larger_than_the_budget_is_cut_alike_each_time() -> None:
    program, _ = layered(24)
    cut = cut_program(program, 3)
    assert len(cut.segments) >= 48 and len(cut.kinds) <= 6


def test_an_update_follows_its_gradient() -> None:
    x = h = gf.placeholder("x", (2, 4))
    weights = [gf.variable(f"w{index}", (4, 4)) for index in range(3)]
    for w in weights:
        h = gf.tanh(gf.matmul(h, w))
    slopes = gf.gradients(gf.sum(h), weights)
    assigned = [gf.assign(w, w - slope) for w, slope in zip(weights, slopes)]
    program = extract([h], [update.assigns[0] for update in assigned], feeds=[x])
    order = {node: place for place, node in enumerate(depth_order(program))}
    last, middle, first = (order[tensor.node] for tensor in reversed(program.updates))
    assert last < middle < first


def branches(count: int, chain: int = 0) -> Program:
    """Wide values of one input, folded from the last to the first, and a chain of small ones beside."""
    x = y = gf.placeholder("x", (8,))
    wide = [gf.tanh(gf.broadcast_to(gf.expand_dims(x + float(index), 0), (64, 8))) for index in range(count)]
    total = wide[-1]
    for each in wide[-2::-1]:
        total = gf.maximum(each, gf.sin(total))
    for _ in range(chain):
        y = gf.cos(y)
    return extract([gf.sum(total), y], feeds=[x])


def made_in_order(cut: Segmentation) -> list[Node]:
    return [node for segment in cut.segments for node in segment.nodes if node.op.name != "constant"]


def crossing(order: Sequence[Node], program: Program) -> float:
    sequence = [node for node in order if node.op.name not in ("constant", "placeholder")]
    return crossing_costs(sequence, program.outputs).max()


def test_segments_follow_a_schedule_in_which_less_is_alive() -> None:
    program = branches(12)
    shallow = cut_program(program, 6)
    program = optimize(program, pipeline="schedule")
    cut = cut_program(program, 6)
    order = made_in_order(cut)
    assert order == [node for node in program.schedule if node in set(order)]
    held, planned = crossing(depth_order(program), program), crossing(order, program)
    assert held > 11 * 64 * 8 * 4 and planned < 3.5 * 64 * 8 * 4
    assert sum(len(kind.nodes) for kind in cut.kinds) <= 1.1 * sum(len(kind.nodes) for kind in shallow.kinds)
    fed = {program.feeds[0]: np.linspace(-2, 2, 8).astype(np.float32)}
    for got, wanted in zip(run_in_segments(cut, fed), evaluate(program.outputs, fed), strict=True):
        assert got.tobytes() == wanted.tobytes()


def test_a_schedule_is_not_followed_where_repetition_would_be_lost() -> None:
    program = optimize(branches(24, chain=96), pipeline="schedule")
    small = [node for node in program.schedule if node.op.name == "cos"]
    order = [node for node in program.schedule if node.op.name != "cos"]
    places = np.sort(np.random.default_rng(0).integers(1, len(order), len(small)))
    for place, node in reversed(list(zip(places.tolist(), small))):
        order.insert(place, node)
    program.schedule = order
    cut = cut_program(program, 6)
    assert crossing(order, program) < 0.5 * crossing(depth_order(program), program)
    computed = set(made_in_order(cut))
    assert made_in_order(cut) == [node for node in depth_order(program) if node in computed]
    program.schedule = ()
    assert cut.note == cut_program(program, 6).note


@given(programs(), st.integers(1, 9))
def test_segments_follow_one_order_or_the_other(program: Program, budget: int) -> None:
    program = optimize(program, pipeline="schedule")
    cut = cut_program(program, budget)
    fed: set[Node] = set()  # what is made of constants alone may be made in several segments
    for node in program.order():
        if node.op.name == "placeholder" or any(tensor.node in fed for tensor in node.inputs):
            fed.add(node)
    order = [node for node in made_in_order(cut) if node in fed]
    allowed = [
        [node for node in each if node in fed and node.op.name != "placeholder"]
        for each in (depth_order(program), program.schedule)
    ]
    assert order in allowed
    ready = set(program.feeds)
    for segment in cut.segments:
        assert all(tensor in ready or tensor.node.op.name == "constant" for tensor in segment.inputs)
        ready.update(segment.outputs)


def test_small_constants_that_differ_become_inputs_and_others_do_not() -> None:
    x = y = gf.placeholder("x", (4,))
    for number in range(40):
        y = gf.tanh(y * 0.5) + float(number)
    cut = cut_program(extract([y], feeds=[x]), 6)
    repeated = max(cut.kinds, key=lambda kind: sum(segment.kind == kind.kind for segment in cut.segments))
    held = [node.attrs.value.item() for node in repeated.nodes if node.op.name == "constant"]
    assert set(held) == {0.5}
    assert sum(tensor.node.op.name == "constant" for tensor in repeated.inputs) >= 2
    fed = {cut.program.feeds[0]: np.linspace(-1, 1, 4).astype(np.float32)}
    np.testing.assert_array_equal(run_in_segments(cut, fed)[0], evaluate(cut.program.outputs, fed)[0])


def test_expansions_of_constants_are_made_where_they_are_read() -> None:
    x = y = gf.placeholder("x", (50, 100))
    zeros = gf.broadcast_to(gf.constant(0.0), (50, 100))
    for _ in range(30):
        y = gf.maximum(gf.sin(y), zeros)
    cut = cut_program(extract([y], feeds=[x]), 8)
    assert len(cut.segments) > 4
    assert not any(tensor.node.op.name == "broadcast_to" for each in cut.segments for tensor in each.inputs)


def test_long_chains_of_constants_are_not_repeated_in_each_segment() -> None:
    x = y = gf.placeholder("x", (3,))
    base = gf.constant([1.0, 2.0, 3.0])
    for _ in range(20):
        base = gf.sin(base)
    for _ in range(20):
        y = gf.tanh(y) + base
    cut = cut_program(extract([y], feeds=[x]), 5)
    assert sum(len(segment.nodes) for segment in cut.segments) < 20 + 40 + 5 * len(cut.segments)


def test_random_streams_stand_outside_so_that_their_names_tell_nothing_apart() -> None:
    x = y = gf.placeholder("x", (8,))
    for _ in range(24):
        y = gf.tanh(y) + gf.random.uniform((8,))
    program = extract([y], feeds=[x])
    cut = cut_program(program, 16)
    assert len(cut.streams) == 24 and len(cut.segments) > 4 and len(cut.kinds) <= 3


def test_bodies_count_and_are_never_cut() -> None:
    def body(state: Tensor) -> Tensor:
        for _ in range(10):
            state = gf.tanh(state)
        return state

    x = gf.placeholder("x", (3,))
    y = x
    for _ in range(4):
        y = gf.while_loop(lambda state: gf.sum(state) > 0.0, body, y)
    program = extract([y], feeds=[x])
    assert program_weight(program) > 40
    cut = cut_program(program, 5)
    assert len(cut.segments) == 4 and len({segment.kind for segment in cut.segments}) <= 2


def test_costs_are_the_bytes_alive_at_each_cut() -> None:
    x = gf.placeholder("x", (4,))
    first = gf.sin(x)
    second = gf.sum(first)
    third = first * second
    sequence = [tensor.node for tensor in (first, second, third)]
    own = 256
    assert crossing_costs(sequence, [third]).tolist() == [0, 16 + own, 16 + 4 + 2 * own, 0]


def test_symbolic_sizes_count_as_one() -> None:
    x = y = gf.placeholder("x", ("n", 3))
    for _ in range(20):
        y = gf.sin(y)
    assert len(cut_program(extract([y], feeds=[x]), 5).segments) >= 4


def test_a_chain_of_a_million_nodes() -> None:
    x = gf.placeholder("x", (2,))
    program = extract([gf.negative(x)], feeds=[x])
    tensor = program.outputs[0]
    kind, negative, names = (tensor.type,), registry["negative"], count()
    with paused_collector():
        for _ in range(999_999):
            tensor = program.add(negative, (tensor,), EMPTY, kind, f"n{next(names)}", None).outputs[0]
    program.outputs = [tensor]
    cut = cut_program(program, 2000)
    assert 500 <= len(cut.segments) <= 670 and len(cut.kinds) <= 3


@pytest.mark.parametrize("budget", [1, 1000])
def test_a_program_that_computes_nothing(budget: int) -> None:
    x = gf.placeholder("x", (2,))
    cut = cut_program(extract([x, gf.constant(1.0)], feeds=[x]), budget)
    assert cut.segments == () and cut.kinds == ()

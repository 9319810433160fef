"""Random programs: regions are disjoint and convex, and running them in blocks changes no bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program as Extracted
from graphflow.optimizer.program import extract
from graphflow.runtime.numpy.executor import NumpyExecutable
from tests.properties.languages import GraphFlow
from tests.properties.programs import Program, programs

OWN = GraphFlow()
BLOCKS = (8, 16, 64, 200)


def build(program: Program) -> tuple[list[gf.Tensor], list[gf.Tensor]]:
    """Inputs and fetches: the results, a scalar of all of them, and its gradients."""
    with gf.Graph():
        inputs = [gf.placeholder(f"v{i}", array.shape, array.dtype) for i, array in enumerate(program.arrays)]
        values = program.run(OWN, inputs)
        head = program.head(OWN, values)
        slopes = gf.gradients(head, [inputs[number] for number in program.leaves])
    return inputs, [*[values[number] for number in program.results()], head, *slopes]


def assert_convex(program: Extracted) -> None:
    """No node is in two regions, and no way that leaves a region comes back to it."""
    order = program.order()
    home = {node: region for region in program.regions for node in region.nodes}
    assert len(home) == sum(len(region.nodes) for region in program.regions)
    assert set(home) <= set(order)
    fetched = {tensor.node for tensor in program.outputs}
    for region in program.regions:
        inside, last = set(region.nodes), region.nodes[-1]
        assert len(inside) > 1 and not fetched & (inside - {last})
        below: set[object] = set()
        for node in order:
            reads = {tensor.node for tensor in node.inputs}
            from_outside = {one for one in reads if one in below}
            if node in inside:
                assert not from_outside
                assert {one for one in reads if one not in inside} <= {one.node for one in region.inputs}
            elif from_outside or reads & inside:
                below.add(node)
                assert reads & inside <= {last}


@settings(max_examples=15)
@given(programs())
def test_regions_are_disjoint_and_convex_and_blocks_change_no_bit(program: Program) -> None:
    inputs, fetches = build(program)
    plain = NumpyExecutable(optimize(extract(fetches, feeds=inputs, training=False), pipeline="eliminate"))
    fused = optimize(extract(fetches, feeds=inputs, training=False), pipeline="fuse")
    assert_convex(fused)
    key = np.zeros(4, np.uint32) if plain.uses_key else None
    expected, _ = plain([], [], program.arrays, key)
    for block_bytes in BLOCKS[:: 1 + len(program.steps) % 2]:
        found, _ = NumpyExecutable(fused, block_bytes)([], [], program.arrays, key)
        for own, other in zip(found, expected, strict=True):
            assert own.dtype == other.dtype and own.shape == other.shape
            assert own.tobytes() == other.tobytes(), f"blocks of {block_bytes}\n{program}"

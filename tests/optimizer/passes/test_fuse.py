"""The pass fuse: a side table that survives copies and ends with the next edit, and what reports say."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.optimizer.explain import Report
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.passes.fuse import Fuse
from graphflow.optimizer.pipelines import optimize, parse_pipeline, print_pipeline
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.runtime.backend import CompileOptions
from graphflow.runtime.jax.backend import JaxBackend


def fused(fetches: list[gf.Tensor], pipeline: str = "fuse", journal: Journal | None = None) -> Program:
    return optimize(extract(fetches), pipeline=pipeline, journal=journal)


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", ("n", 8))


def test_its_options_have_a_string_form() -> None:
    (step,) = parse_pipeline("fuse{nodes=3}")
    assert step == Fuse(nodes=3) and print_pipeline([step]) == "fuse{nodes=3,inputs=32}"


def test_nodes_stay_as_they_are(x: gf.Tensor) -> None:
    journal = Journal("remarks")
    program = extract([gf.exp(x) * 2.0], feeds=[x])
    before = [node.op.name for node in program.order()]
    optimize(program, pipeline="fuse", journal=journal)
    assert [node.op.name for node in program.order()] == before
    assert journal.edits == 0 and journal.passes[-1].note == "2 nodes in 1 regions"
    assert not journal.passes[-1].changed


def test_a_later_edit_empties_the_table(x: gf.Tensor) -> None:
    y = gf.exp(gf.negative(gf.negative(x))) * 2.0
    assert len(fused([y]).regions) == 1
    assert len(fused([y], "canonicalize{safety=exact},fuse").regions[0].nodes) == 2
    assert fused([y], "fuse,canonicalize{safety=exact}").regions == ()
    assert len(fused([y], "canonicalize{safety=exact},fuse,canonicalize{safety=exact}").regions) == 1


def test_specialising_carries_it(x: gf.Tensor) -> None:
    program = extract([gf.sum(gf.exp(x) * 2.0, axis=1)], feeds=[x])
    optimize(program, pipeline="fuse")
    copy = specialize(program, {"n": 5})
    (region,) = copy.regions
    assert region.domain == (5, 8) and region.name == program.regions[0].name
    assert all(node.graph is copy for node in region.nodes)
    assert all(tensor.graph is copy for tensor in region.inputs)


def test_limits_are_options(x: gf.Tensor) -> None:
    y = gf.exp(gf.exp(gf.exp(gf.exp(x))))
    assert [len(region.nodes) for region in fused([y], "fuse{nodes=2}").regions] == [2, 2]


def test_bodies_have_none(x: gf.Tensor) -> None:
    start = gf.placeholder("start", (3,))
    y = gf.scan(lambda carry, _: (gf.exp(carry) * 2.0, carry), start, length=4)[0]
    journal = Journal("remarks")
    program = fused([gf.sin(y) + 1.0], "bodies,fuse", journal)
    assert [region.operators for region in program.regions] == ["sin+add"]
    assert [remark.node for remark in journal.remarks] == ["scan"]


def report(*fetches: gf.Tensor, backend: str = "numpy") -> Report:
    with gf.Session(fetches[0].graph, backend=backend) as session:
        return session.explain(list(fetches))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_reports_name_regions_and_what_was_missed(x: gf.Tensor, backend: str) -> None:
    total = gf.sum(gf.exp(x), axis=1, keepdims=True)
    told = report(gf.tanh(x / total), backend=backend)
    assert [region.operators for region in told.regions] == ["exp+sum", "divide+tanh"]
    (remark,) = told.missed("fuse")
    assert remark.node == "sum" and remark.origin.startswith("test_fuse.py:")
    assert remark.reason == "the reduction over axis 1 feeds divide, an elementwise operator of another shape"
    assert told.missed() == []
    text = str(told)
    assert "exp+sum            1" in text and 'declined at 1 node: report.missed("fuse") says why' in text


def test_xla_gets_the_names(x: gf.Tensor) -> None:
    program = specialize(fused([gf.sum(gf.exp(x) * 2.0, axis=1)]), {"n": 3})
    program.feeds = [program.placeholders["x"]]
    text = JaxBackend().compile(program, CompileOptions()).text()
    assert "fused_0/exp" in text and "fused_0/sum" in text


def test_many_kinds_of_regions_are_summed_up() -> None:
    x = gf.placeholder("x", (4, 4))
    ends = []
    for f in (gf.exp, gf.sin, gf.cos, gf.tan, gf.tanh, gf.floor, gf.ceil, gf.sinh, gf.cosh, gf.asinh):
        ends.append(gf.sort(f(x) * 2.0))
    assert "... and 2 regions of 2 other kinds" in str(report(*ends))


def test_level_o0_has_no_regions(x: gf.Tensor) -> None:
    with gf.Session(x.graph, backend="numpy", level="O0") as session:
        assert session.explain(gf.exp(x) * 2.0).regions == ()

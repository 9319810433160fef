"""Ways to a budget: each leads where it says, they are ranked, and the impossible is named."""

from __future__ import annotations

import json

import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, MemoryPlanError
from graphflow.optimizer.fit import Fit, Way
from graphflow.optimizer.memory import memory_report, plan_program
from graphflow.optimizer.memory.report import MemoryReport
from graphflow.optimizer.program import extract


def perceptron(layers: int) -> tuple[gf.Graph, list]:
    """A perceptron with a step of gradient descent."""
    with gf.Graph() as graph:
        h = x = gf.placeholder("x", ("batch", 64))
        for _ in range(layers):
            h = gf.nn.gelu(gf.layers.dense(h, 64))
        loss = gf.mean(gf.square(h - x), name="loss")
        return graph, [loss, gf.train.SGD(0.1).minimize(loss)]


@pytest.fixture
def training() -> tuple[gf.Graph, list]:
    return perceptron(6)


def planned(training: tuple[gf.Graph, list], batch: int = 512, **options: object) -> MemoryReport:
    graph, fetches = training
    with gf.Session(graph, backend="jax", **options) as session:
        return session.memory(fetches, {"batch": batch})


def by_name(fit: Fit) -> dict[str, Way]:
    return {way.name: way for way in fit.ways}


def test_each_way_leads_where_it_says(training) -> None:
    pytest.importorskip("jax")
    report = planned(training)
    budget = report.arena_bytes * 6 // 10
    fit = report.fit(budget)
    ways = by_name(fit)
    assert set(ways) == {"recompute", "16 bits", "smaller batch"} and fit.is_possible
    assert all(way.fits == (way.arena_bytes <= budget) for way in fit.ways)
    assert [way.fits for way in fit.ways] == sorted([way.fits for way in fit.ways], reverse=True)

    again = ways["recompute"]
    assert again.fits and again.nodes and 0 < again.operations < 0.3
    assert f"memory_budget={budget:_}" in again.code
    assert planned(training, memory_budget=budget).arena_bytes == again.arena_bytes

    assert planned(training, precision="bfloat16").arena_bytes == ways["16 bits"].arena_bytes

    batch = int(ways["smaller batch"].code.removeprefix("batch="))
    assert planned(training, batch).arena_bytes == ways["smaller batch"].arena_bytes <= budget
    assert planned(training, batch + 1).arena_bytes > budget


def test_what_is_in_use_already_is_told(training) -> None:
    fit = planned(training).fit("1GB")
    assert fit.ways == () and fit.is_possible
    assert "is within 1.0 GB as it is" in str(fit)
    assert dict(fit.in_use).keys() == {"the chosen order", "results in place"}
    assert all(saved >= 0 for _, saved in fit.in_use)
    narrow = planned(training, precision="float16").fit("1GB")
    assert ("float16 where it will do", 0) in narrow.in_use


def test_another_order_where_none_was_chosen() -> None:
    x = gf.placeholder("x", (100, 100))
    early = gf.exp(x)  # it need not be there while the product is made
    report = memory_report(extract([gf.sum(early + gf.sum(gf.matmul(gf.sin(x), gf.cos(x))))], feeds=[x]))
    fit = report.fit(report.arena_bytes - 1)
    way = by_name(fit)["reorder"]
    assert (way.fits, way.code) == (True, 'gf.Session(level="O2")')
    assert (report.arena_bytes, way.arena_bytes) == (160_000, 120_000)
    assert fit.ways[0] is way and "chosen order" not in dict(fit.in_use)
    assert fit.notes == ("16 bits and other sizes are tried for reports of sess.memory and gf.plan_memory",)


def test_the_impossible_names_the_least_and_what_forces_it() -> None:
    pytest.importorskip("jax")
    fit = planned(perceptron(2)).fit("2 kB")
    assert not fit.is_possible and {"batch=1, recompute", "16 bits, recompute"} <= by_name(fit).keys()
    assert fit.least_bytes == min(way.arena_bytes for way in fit.ways) > 2000
    assert fit.bound_bytes > 2000
    largest = max(fit.live, key=lambda one: one.bytes)
    with pytest.raises(MemoryPlanError, match="below the least that was found") as caught:
        fit.require()
    assert f"{fit.least_bytes} bytes" in str(caught.value) and largest.name in str(caught.value)
    assert "test_counterfactuals.py" in str(caught.value)
    for said in ("the hungriest node needs", "the least that was found is", largest.name):
        assert said in str(fit)
    assert [way.code for way in fit.ways if way.name == "recompute"] == [""]


def test_fixed_sizes_say_how_a_batch_becomes_one() -> None:
    with gf.Graph() as graph:
        x = gf.placeholder("x", (1000,))
        y = gf.sum(gf.exp(x) * gf.tanh(x))
    with gf.Session(graph, backend="numpy") as session:
        fit = session.memory(y).fit(100)
    assert not fit.is_possible and 'gf.placeholder("x", ("batch", ...))' in fit.notes[0]


def test_sizes_that_are_not_proportional_and_a_size_that_is_zero() -> None:
    with gf.Graph() as graph:
        x = gf.placeholder("x", ("n",))
        y = gf.sum(gf.matmul(gf.exp(x)[:, None], gf.sin(x)[None, :]))
    with gf.Session(graph, backend="numpy") as session:
        fit = session.memory(y, {"n": 2**20}).fit("4 kB")
        size = int(by_name(fit)["smaller n"].code.removeprefix("n="))
        assert (
            session.memory(y, {"n": size}).arena_bytes
            <= 4000
            < session.memory(y, {"n": size + 1}).arena_bytes
        )
        assert session.memory(y, {"n": 0}).fit(1).is_possible


@pytest.mark.parametrize("budget", ["much", 0, -1, True, 1.5, None, ""])
def test_budgets_that_are_none(training, budget: object) -> None:
    with pytest.raises(AttributeValueError, match=r"budget is|no number of bytes"):
        planned(training).fit(budget)


def test_a_report_of_a_plan_alone_cannot_be_asked() -> None:
    x = gf.placeholder("x", (10,))
    report = memory_report(plan_program(extract([gf.sum(gf.exp(x))], feeds=[x])))
    with pytest.raises(MemoryPlanError, match="from a plan alone"):
        report.fit(1)


def test_it_is_json_and_a_table(training) -> None:
    fit = planned(training).fit("500 kB")
    data = json.loads(json.dumps(fit.to_dict()))
    assert data["budget_bytes"] == 500_000 and len(data["ways"]) == len(fit.ways)
    assert data["least"]["arena_bytes"] <= data["arena_bytes"]
    heads = str(fit).splitlines()[1].split()
    assert heads == ["way", "arena", "in", "all", "costs", "by"]


def test_asking_changes_nothing(training) -> None:
    report = planned(training)
    before = str(report)
    first, second = report.fit("1 MB"), report.fit("1 MB")
    assert first.ways == second.ways and str(report) == before

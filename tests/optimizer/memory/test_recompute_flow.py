"""`Choice`: the least sum, and of several such choices the one that recomputes most, as networkx finds."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from graphflow.optimizer.memory.maximum_flow import END, START, Network
from graphflow.optimizer.memory.recompute_flow import Choice


def oracle(
    needed: set[int], needs: dict[int, list[int]], keep: dict[int, int], cost: dict[int, int]
) -> tuple[int, list[int]]:
    """The least sum and what is recomputed, by the minimum cut of the whole network."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(["start", "end"])
    graph.add_edges_from([("start", (value, "needed")) for value in needed])
    for value, sources in needs.items():
        graph.add_edge((value, "needed"), (value, "again"), capacity=keep[value])
        graph.add_edge((value, "again"), "end", capacity=cost[value])
        for source in sources:
            graph.add_edge((value, "again"), (source, "needed"))
            if source not in needs:
                graph.add_edge((source, "needed"), "end", capacity=keep[source])
    least, (side, _) = networkx.minimum_cut(graph, "start", "end")
    wanted, found = set(needed), []
    for value in sorted(needs, reverse=True):
        if value in wanted and (value, "again") in side:
            found.append(value)
            wanted.update(needs[value])
    return least, found[::-1]


def price(
    chosen: list[int],
    needed: set[int],
    needs: dict[int, list[int]],
    keep: dict[int, int],
    cost: dict[int, int],
) -> int:
    wanted, total = set(needed), 0
    for value in sorted(keep, reverse=True):
        if value in wanted and value in chosen:
            wanted.update(needs[value])
        if value in wanted:
            total += cost[value] if value in chosen else keep[value]
    return total


@pytest.mark.parametrize("seed", range(300))
def test_the_choice_is_the_minimum_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 25))
    needed = {int(value) for value in rng.choice(count, max(1, count // 3), replace=False)}
    candidates = [value for value in range(count) if value in needed or rng.random() < 0.8]
    needs = {
        value: [
            int(source)
            for source in rng.choice(value, min(value, int(rng.integers(0, 4))), replace=False)
            if source not in needed
        ]
        for value in candidates
    }
    keep = {value: int(rng.integers(0, 10)) for value in range(count)}
    cost = {value: int(rng.integers(0, 5)) for value in candidates}
    found = Choice(needed, needs, keep, cost).recomputed
    least, expected = oracle(needed, needs, keep, cost)
    assert price(found, needed, needs, keep, cost) == least
    assert found == expected


def test_what_one_value_needs_is_decided_without_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(network: Network) -> int:
        raise AssertionError("a chain needs no flow")

    monkeypatch.setattr(Network, "send", refuse)
    count = 20_000
    needs = {value: [value - 1] if value else [] for value in range(count)}
    choice = Choice({count - 1}, needs, dict.fromkeys(range(count), count), dict.fromkeys(range(count), 1))
    assert choice.recomputed == list(range(count))


def test_parts_are_cut_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    send = Network.send

    def counted(network: Network) -> int:
        sizes.append(len(network.edges))
        return send(network)

    monkeypatch.setattr(Network, "send", counted)
    needs: dict[int, list[int]] = {}
    for block in range(0, 3_000, 3):  # two values that both need a third
        needs.update({block: [], block + 1: [block], block + 2: [block]})
    keep, cost = dict.fromkeys(needs, 5), {value: 3 if value % 3 == 0 else 4 for value in needs}
    needed = {value for value in needs if value % 3}
    assert Choice(needed, needs, keep, cost).recomputed == []
    assert len(sizes) == 1_000 and max(sizes) == 8
    assert Choice(needed, needs, keep, {**cost, 0: 1}).recomputed == [0, 1, 2]


@pytest.mark.parametrize("seed", range(30))
def test_flows_are_as_large_as_those_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 12))
    network, graph = Network(count), networkx.DiGraph()
    graph.add_nodes_from(range(count))
    for source in range(count):
        for target in range(count):
            if source != target and rng.random() < 0.4:
                capacity = int(rng.integers(0, 20))
                network.connect(source, target, capacity)
                graph.add_edge(source, target, capacity=capacity)
    assert network.send() == networkx.maximum_flow_value(graph, START, END)
    side = network.before_the_cut()
    assert side[START] and not side[END]
    crossing = sum(data["capacity"] for a, b, data in graph.edges(data=True) if side[a] and not side[b])
    assert crossing == networkx.maximum_flow_value(graph, START, END)
    assert network.send() == 0

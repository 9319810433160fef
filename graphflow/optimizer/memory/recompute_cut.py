"""What to keep for the second half and what to compute again: a minimum cut, for a price of a byte.

Each value v of the first half has two marks: whether the second half *needs* it, and whether it is
*recomputed*. What the second half reads is needed; what a recomputed value reads is needed, too. A needed
value is either kept, which costs its bytes times the price, or recomputed, which costs its operations. All
of this is a network,

    start -> needed(v)                     if the second half reads v; it cannot be cut
    needed(v) -> recomputed(v)             price * bytes of v
    recomputed(v) -> end                   operations of v
    recomputed(v) -> needed(u)             for what v reads; it cannot be cut

and the least sum is its minimum cut (`recompute_flow` finds it). A higher price recomputes more, cheap
elementwise values first.

To compute everything again at once would need all of it at once. So values may be held at *borders*, which
divide the first half into windows: nothing that is read across a border is recomputed, and the second half
computes one window again at a time, as in T. Chen et al., "Training Deep Nets with Sublinear Memory Cost",
2016, with whose square root of n windows n blocks need the memory of about two roots of n. Borders lie
where little crosses. The cut within windows is after "Recomputation by minimum cut" of PyTorch's functorch.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from graphflow.optimizer.memory.recompute import RecomputeProblem
from graphflow.optimizer.memory.recompute_flow import Choice


def held_values(problem: RecomputeProblem, windows: int) -> frozenset[int]:
    """The homes that are read across the borders of so many windows of about equal bytes."""
    last = _last_readers(problem)
    crossing = [0] * (problem.split + 2)
    for home, reader in enumerate(last):
        if reader > home and problem.movable[home]:
            crossing[home] += problem.bytes[home]
            crossing[reader] -= problem.bytes[home]
    crossing = list(accumulate(crossing))
    made = list(accumulate(problem.bytes[: problem.split + 1]))
    borders = []
    for number in range(1, windows):
        aims = [made[-1] * (4 * number + shift) // (4 * windows) for shift in (-1, 1)]
        low, high = (bisect_left(made, aim) for aim in aims)
        borders.append(min(range(low, high + 1), key=crossing.__getitem__))
    return frozenset(
        home
        for home, reader in enumerate(last)
        if reader > home and bisect_left(borders, home) < bisect_left(borders, reader)
    )


def _last_readers(problem: RecomputeProblem) -> list[int]:
    """For each home of the first half, the last node there that reads it."""
    last = list(range(problem.split + 1))
    for place, needs in enumerate(problem.needs[: problem.split + 1]):
        for home in needs:
            last[home] = place
    return last


def all_recomputed(problem: RecomputeProblem, held: frozenset[int] = frozenset()) -> list[int]:
    """The homes that are recomputed if bytes are beyond price, in order."""
    found: set[int] = set()
    pending = list(problem.wanted)
    while pending:
        home = pending.pop()
        if home not in found and problem.movable[home] and home not in held:
            found.add(home)
            pending += problem.needs[home]
    return sorted(found)


def cut(problem: RecomputeProblem, price: float, held: frozenset[int] = frozenset()) -> list[int]:
    """The homes that are recomputed at a price, in operations a byte, in order.

    Arguments:
        held: homes that are not recomputed.
    """
    candidates = all_recomputed(problem, held)
    wanted = set(problem.wanted)
    needs = {home: [source for source in problem.needs[home] if source not in wanted] for home in candidates}
    keep = {source: int(price * problem.bytes[source]) for sources in needs.values() for source in sources}
    keep.update((home, int(price * problem.bytes[home])) for home in candidates)
    cost = {home: problem.costs[home] for home in candidates}
    return Choice(wanted.intersection(candidates), needs, keep, cost).recomputed

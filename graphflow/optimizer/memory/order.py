"""`choose_order`: an order of nodes in which less is live at once than in the given one, or that one.

Several orders are made and the best is taken: walks from the ends (`list_order.depth_first`), list
scheduling by three rules (`list_order.ListOrder`), and, where most is live, a search for the best order
of a section (`exact_order`). Large graphs get fewer of them, by their number of nodes and never by the
clock, so that the same graph always gets the same order. In the end the given order and the best one are
compared as the memory plan sees them, and the given one stays unless the other needs less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphflow.ir.collector import paused_collector
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.regions import Region
from graphflow.optimizer.memory.exact_order import Improvement
from graphflow.optimizer.memory.lifetimes import Lifetimes, lower_bound
from graphflow.optimizer.memory.list_order import RULES, ListOrder, depth_first, ranks
from graphflow.optimizer.memory.liveness import analyse
from graphflow.optimizer.memory.order_problem import OrderProblem
from graphflow.optimizer.memory.plan import ALIGNMENT

STATES = 4000
"""How many downsets the search for the best order looks at, unless told."""

_MOST_BYTES = 1 << 62  # beyond that sums do not fit into 64 bits, nor such a program into any machine
_FEW, _MANY = 5_000, 40_000  # nodes up to which all orders are made, and up to which most are


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order of nodes, and how it was found.

    Attributes:
        nodes: in the order in which they are to run.
        method: what found it; "given" if none was better.
        peak, given_peak: the most bytes live at once in it, and in the given one, as `plan_program` counts
            them; where sizes are unknown or there are regions, as `OrderProblem` does.
        peaks: for each order that was made, its peak as `OrderProblem` counts.
        bound: bytes below which no order can be, in the same count.
        is_best: whether it is known that no order (in which regions stay together) has a lower peak.
    """

    nodes: tuple[Node, ...] = field(repr=False)
    method: str
    peak: int
    given_peak: int
    peaks: dict[str, int]
    bound: int
    is_best: bool

    @property
    def saved(self) -> float:
        """By how much the peak is lower, as a fraction of that of the given order."""
        return 1 - self.peak / self.given_peak if self.given_peak else 0.0


@paused_collector()
def choose_order(
    order: Sequence[Node],
    outputs: Sequence[Tensor],
    regions: Sequence[Region] = (),
    states: int = STATES,
) -> Ordering:
    """An order in which the nodes can run with little live at once.

    Arguments:
        order: the given one, in which they can run.
        outputs: what is returned.
        regions: groups of nodes that run together, each when its last one does in the given order, which
            is then the one with which others are compared.
        states: how many downsets the search may look at; 0 for no search.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (100, 100))
    >>> wide = [gf.matmul(x, gf.exp(x + float(k))) for k in range(3)]
    >>> sums = [gf.sum(each) for each in wide]
    >>> found = choose_order(x.graph.nodes, [sums[0] + sums[1] + sums[2]])
    >>> found.given_peak, found.peak, found.is_best
    (160000, 80000, True)
    """
    problem = OrderProblem(order, outputs, regions)
    bound = problem.lower_bound
    if problem.total_bytes > _MOST_BYTES:
        return Ordering(tuple(order), "given", bound, bound, {}, bound, False)
    given = problem.peak(range(len(problem)))
    peaks = {"given": given}
    best, method, is_best = list(range(len(problem))), "given", given <= bound
    if not is_best:
        lowest = given
        for name, tasks in _candidates(problem):
            peaks[name] = problem.peak(tasks)
            if peaks[name] < lowest:
                best, method, lowest = tasks, name, peaks[name]
            if lowest <= bound:
                break
        best, method, is_best = _improved(problem, best, method, states, peaks)
    if len(problem) < len(problem.nodes):
        order = problem.order_of(range(len(problem)))
    return _compared(problem, order, outputs, best, method, peaks, bound, is_best)


def _candidates(problem: OrderProblem) -> Iterator[tuple[str, list[int]]]:
    """Orders by name, as many as the number of nodes allows."""
    count = len(problem.nodes)
    reach = 12 if count <= _FEW else 6 if count <= _MANY else 1
    shallow = depth_first(problem, True)
    yield "depth-first, shallow ends first", shallow
    if count <= _MANY:
        yield "depth-first", depth_first(problem, False)
    ranking = ranks(shallow)
    rules = RULES if count <= _FEW else RULES[:2] if count <= _MANY else RULES[:1]
    for rule in rules:
        yield f"list scheduling, {rule}", ListOrder(problem, ranking, rule, reach).run()
    if count <= _FEW:
        given = list(range(len(problem)))
        yield "list scheduling, follow the given order", ListOrder(problem, given, "follow", reach).run()


def _improved(
    problem: OrderProblem, tasks: list[int], method: str, states: int, peaks: dict[str, int]
) -> tuple[list[int], str, bool]:
    """The order after a search where most is live, its name, and whether it is known to be the best."""
    if not states:
        return tasks, method, False
    search = Improvement(problem, tasks, states)
    before = search.peak
    search.run()
    if search.peak == before:
        return tasks, method, search.complete
    peaks["search"] = search.peak
    return search.order, f"search from {method}", search.complete


def _compared(
    problem: OrderProblem,
    order: Sequence[Node],
    outputs: Sequence[Tensor],
    tasks: list[int],
    method: str,
    peaks: dict[str, int],
    bound: int,
    is_best: bool,
) -> Ordering:
    """The better of the given order and another, as the memory plan counts."""
    name = "search" if method.startswith("search") else method
    given_peak, peak = peaks["given"], peaks[name]
    nodes = tuple(order) if method == "given" else tuple(problem.order_of(tasks))
    static = all(tensor.type.is_static for node in problem.nodes for tensor in node.outputs)
    if static and len(problem) == len(problem.nodes):
        given_peak = planned_peak(order, outputs)
        peak = given_peak if method == "given" else planned_peak(nodes, outputs)
    if method != "given" and peak >= given_peak:
        return Ordering(tuple(order), "given", given_peak, given_peak, peaks, bound, False)
    return Ordering(nodes, method, peak, given_peak, peaks, bound, is_best)


def planned_peak(order: Sequence[Node], outputs: Sequence[Tensor]) -> int:
    """The most bytes of temporaries live at once: the lower bound of the memory plan for an order.

    Raises:
        MemoryPlanError: if a size is unknown.
    """
    found = [storage for storage in analyse(order, outputs).storages if storage.kind == "temporary"]
    first = np.array([storage.first for storage in found], np.int64)
    last = np.array([storage.last for storage in found], np.int64)
    size = np.array([storage.size for storage in found], np.int64)
    alignment, everywhere = np.full_like(size, ALIGNMENT), np.full_like(size, -1)
    return lower_bound(Lifetimes(first, last, size, alignment, everywhere))[0]

"""Placing buffers: arena, gap and time of the allocator, beside greedy planners, on hard and large instances.

    python benchmarks/memory.py [FILE.csv ...] [--capacity BYTES] [--seconds 60] [--graphs] [--xla]

Files hold instances as `id,lower,upper,size`, live in [lower, upper); with a capacity the search stops
where it is kept. Without files there are the generated instances alone:

- perfect packings: a rectangle of time and memory cut up by straight cuts, so that the best arena is known;
- crowds: the same with a part of the buffers left out and lives moved a little, so that there is some waste;
- large ones, up to 100,000 buffers, placed by the quick methods alone.

With --graphs there are whole networks instead, for inference and a training step of Adam, and the light
models that come with the package onnx: what every value would take by itself, the order's peak before and
after `schedule`, the arena, and the time of choosing the order and of placing. --xla compiles the light
ones as well, for the ratio of XLA's own temporary bytes.

The peers are the two planners of TensorFlow Lite (Pisarchyk and Lee, 2020), written here from the paper:
greedy by size, and greedy by breadth, both with the best gap. Every allocation is checked by `certify`.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx

import graphflow as gf
from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import Buffer, MemoryReport, allocate, certify, plan_program, read_buffers
from graphflow.optimizer.memory.order import choose_order, planned_peak
from graphflow.optimizer.memory.units import read_bytes, show_bytes
from graphflow.optimizer.program import Program, specialize

_SLOW = 5_000  # buffers above which the peers, which are quadratic here, are left out


# Instances


def packing(count: int, rng: np.random.Generator, span: int = 1000, height: int = 2**20) -> list[Buffer]:
    """`count` buffers that fill [0, span) x [0, height) without waste."""
    pieces = [(0, span, height)]
    while len(pieces) < count:
        areas = np.array([(last - first) * size for first, last, size in pieces], float)
        chosen = int(rng.choice(len(pieces), p=areas / areas.sum()))
        first, last, size = pieces[chosen]
        if rng.random() < 0.5 and last - first > 1:
            cut = int(rng.integers(first + 1, last))
            pieces[chosen : chosen + 1] = [(first, cut, size), (cut, last, size)]
        elif size > 1:
            cut = int(rng.integers(1, size))
            pieces[chosen : chosen + 1] = [(first, last, cut), (first, last, size - cut)]
    return [Buffer(index, *pieces[index]) for index in rng.permutation(len(pieces))]


def crowd(count: int, rng: np.random.Generator) -> list[Buffer]:
    """A perfect packing of which some buffers are missing and some live a little shorter."""
    kept = [one for one in packing(count, rng) if rng.random() < 0.93]
    lives = [max(one.first + 1, one.last - int(rng.integers(0, 4)) * (rng.random() < 0.3)) for one in kept]
    return [Buffer(one.id, one.first, int(last), one.size) for one, last in zip(kept, lives)]


def steady(count: int, rng: np.random.Generator) -> list[Buffer]:
    """Buffers of similar sizes and lives, as many at any time."""
    first = rng.integers(0, 2 * count, count)
    last = first + np.ceil(rng.exponential(50, count)).astype(int)
    return _buffers(first, last, np.ceil(rng.lognormal(7, 1, count)))


def training(count: int, rng: np.random.Generator) -> list[Buffer]:
    """Activations that live until the backward pass has reached them, and short-lived ones beside."""
    layers = count // 4
    born = np.concatenate([np.arange(layers), rng.integers(0, 2 * layers, count - layers)])
    dies = born + rng.integers(1, 40, count)
    dies[:layers] = 2 * layers - born[:layers]
    return _buffers(born, dies, np.exp(rng.normal(12, 1.5, count)))


def anything(count: int, rng: np.random.Generator) -> list[Buffer]:
    """Lives of all lengths, sizes that are powers of two."""
    first = rng.integers(0, count, count)
    last = first + np.ceil(10 ** rng.uniform(0, 3.5, count)).astype(int)
    return _buffers(first, last, 2.0 ** rng.integers(6, 20, count))


def crossing(count: int, rng: np.random.Generator) -> list[Buffer]:
    """Lives between any two instants, so that half of the buffers are live at once."""
    ends = np.sort(rng.integers(0, count, (2, count)), axis=0)
    return _buffers(ends[0], ends[1] + 1, rng.integers(1, 2**20, count))


def _buffers(first: np.ndarray, last: np.ndarray, size: np.ndarray) -> list[Buffer]:
    rows = zip(first.tolist(), last.tolist(), size.astype(np.int64).tolist())
    return [Buffer(index, *row) for index, row in enumerate(rows)]


# Peers


def greedy_by_size(buffers: Sequence[Buffer]) -> int:
    """The arena of TensorFlow Lite's greedy by size."""
    return _arena(sorted(buffers, key=lambda one: -one.size))


def greedy_by_breadth(buffers: Sequence[Buffer]) -> int:
    """The arena of TensorFlow Lite's greedy by breadth: the instants with most live bytes first."""
    first, last, size = np.array([(one.first, one.last, one.size) for one in buffers], np.int64).T
    instants = np.unique(first)
    breadths = [int(size[(first <= instant) & (instant < last)].sum()) for instant in instants]
    order: dict[int, None] = {}
    for place in sorted(range(len(instants)), key=lambda place: -breadths[place]):
        live = np.flatnonzero((first <= instants[place]) & (instants[place] < last))
        order.update(dict.fromkeys(live[np.argsort(-size[live], kind="stable")].tolist()))
    return _arena([buffers[index] for index in order])


def _arena(order: Sequence[Buffer]) -> int:
    """Place in this order, each into the smallest gap that holds it, and tell where the highest ends."""
    placed: list[tuple[int, int, int, int]] = []
    for one in order:
        taken = sorted(row for row in placed if row[2] < one.last and one.first < row[3])
        below, best, room = 0, -1, -1
        for start, end, _, _ in taken:
            if start - below >= one.size and (best < 0 or start - below < room):
                best, room = below, start - below
            below = max(below, end)
        offset = below if best < 0 else best
        placed.append((offset, offset + one.size, one.first, one.last))
    return max((row[1] for row in placed), default=0)


# Rows


def compare(name: str, buffers: list[Buffer], capacity: int | None, seconds: float | None) -> bool:
    """Print a row; whether the arena keeps to the capacity, or is at the bound without one."""
    start = time.perf_counter()
    try:
        allocation = allocate(buffers, capacity, seconds)
        failed = ""
    except MemoryPlanError:
        failed = "  over the capacity"
        allocation = allocate(buffers)
    taken = time.perf_counter() - start
    certify(buffers, allocation)
    bound = allocation.lower_bound_bytes
    peers = ["-", "-"]
    if len(buffers) <= _SLOW:
        arenas = (greedy_by_size(buffers), greedy_by_breadth(buffers))
        peers = [f"{100 * (arena / bound - 1):.1f} %" for arena in arenas]
    naive = sum(one.size for one in buffers)
    print(
        f"{name:<26}{len(buffers):>8,}{naive:>18,}{bound:>15,}{allocation.arena_bytes:>15,}"
        f"{100 * allocation.gap:>8.2f} %{taken:>9.2f}{peers[0]:>11}{peers[1]:>12}{failed}",
        flush=True,
    )
    return not failed and (capacity is not None or allocation.arena_bytes == bound)


def heading(title: str) -> None:
    """The heads of the columns."""
    print(f"\n{title}")
    print(
        f"{'':<26}{'buffers':>8}{'naive sum':>18}{'lower bound':>15}{'arena':>15}{'gap':>10}{'seconds':>9}"
        f"{'by size':>11}{'by breadth':>12}"
    )


def hard() -> Iterator[tuple[str, list[Buffer]]]:
    """Generated instances for the search."""
    for count in (50, 100, 200, 400):
        yield f"packing of {count}", packing(count, np.random.default_rng(count))
    for count in (100, 200, 400):
        yield f"crowd of {count}", crowd(count, np.random.default_rng(count))


# Networks

GRAPHS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("digits_cnn", {"batch": 64}, True),
    ("digits_cnn", {"batch": 64, "train": True}, True),
    ("resnet50", {"batch": 1}, True),
    ("resnet50", {"batch": 8, "train": True}, False),
    ("mobilenet_v2", {"batch": 1}, True),
    ("mobilenet_v2", {"batch": 8, "train": True}, False),
    ("unet", {"batch": 1}, False),
    ("unet", {"batch": 1, "train": True}, False),
    ("bert", {"batch": 1}, False),
    ("bert", {"batch": 4, "train": True}, False),
    ("gpt2", {"batch": 1}, False),
    ("gpt2", {"batch": 4, "train": True}, False),
    ("lstm", {"batch": 16}, True),
    ("lstm", {"batch": 16, "train": True}, True),
)
"""Networks of benchmarks/networks.py, how they are built, and whether XLA compiles them in little time."""


def network_rows() -> Iterator[tuple[str, gf.Graph, list[Any], bool]]:
    """The label, graph and fetches of each network, and whether XLA compiles it in little time."""
    for name, options, is_light in GRAPHS:
        network = networks.NETWORKS[name](**options)
        is_trained = network.train is not None
        fetches = [network.loss, network.train] if is_trained else network.outputs
        label = f"{name} {'training' if is_trained else 'inference'}, {options['batch']}"
        yield label, network.graph, list(fetches), is_light
    for path in sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx")):
        model = gf.onnx.load(path)
        yield f"{path.stem.replace('_', ' ')}, ONNX", model.graph, list(model.outputs.values()), False


def compare_graph(label: str, graph: gf.Graph, fetches: list[Any], xla: bool) -> bool:
    """Print a row for a network; whether its arena is within 0.5 % of the bound."""
    with gf.Session(graph) as session:
        report = session.memory(fetches, compiled=xla)
    assert report.source is not None
    given, order_seconds, plan_seconds = _timed(report.source.program)
    buffers = [replace(one, size=-(-one.size // 64) * 64) for one in report.plan.buffers()]
    bound = report.lower_bound_bytes
    peers = [f"{100 * (peer(buffers) / bound - 1):.1f} %" for peer in (greedy_by_size, greedy_by_breadth)]
    print(
        f"{label:<28}{len(report.plan.order):>6,}{show_bytes(report.naive_bytes):>10}{show_bytes(given):>10}"
        f"{show_bytes(bound):>10}{show_bytes(report.arena_bytes):>10}{100 * report.gap:>7.2f} %"
        f"{order_seconds:>8.2f}{plan_seconds:>8.2f}{peers[0]:>9}{peers[1]:>9}{_ratio(report):>8}",
        flush=True,
    )
    return report.gap <= 0.005


def _timed(program: Program) -> tuple[int, float, float]:
    """The peak of the order without `schedule`, and the seconds of choosing an order and of placing."""
    plain = specialize(program, {})
    plain.schedule = ()
    order = plain.order()
    start = time.perf_counter()
    choose_order(order, plain.outputs)
    chosen = time.perf_counter()
    plan_program(program)
    return planned_peak(order, plain.outputs), chosen - start, time.perf_counter() - chosen


def _ratio(report: MemoryReport) -> str:
    temporary = report.backend_bytes.get("temp")
    return "-" if temporary is None else f"{report.arena_bytes / temporary:.2f}"


def graphs(xla: bool) -> None:
    """Rows for all networks."""
    print(
        f"\nnetworks: arena and peaks; the gaps of the greedy planners; our arena / XLA's temporary bytes\n"
        f"{'':<28}{'nodes':>6}{'naive':>10}{'given':>10}{'bound':>10}{'arena':>10}{'gap':>9}{'order s':>8}"
        f"{'plan s':>8}{'by size':>9}{'breadth':>9}{'of XLA':>8}"
    )
    kept = [compare_graph(*row, xla and is_light) for *row, is_light in network_rows()]
    print(f"{sum(kept)} of {len(kept)} within 0.5 % of the bound")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="instances as id,lower,upper,size")
    parser.add_argument("--capacity", type=read_bytes, help="of the instances in the files")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each hard instance (60)")
    parser.add_argument("--quick", action="store_true", help="place the files by the quick methods alone")
    parser.add_argument("--graphs", action="store_true", help="networks instead of instances")
    parser.add_argument("--xla", action="store_true", help="compile the light networks, for XLA's numbers")
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}"
    )
    if options.graphs or options.xla:
        graphs(options.xla)
        return
    if options.files:
        heading("instances from files; the last columns are the gaps of the greedy planners")
        limit = None if options.quick else options.seconds
        kept = [compare(path.stem, read_buffers(path), options.capacity, limit) for path in options.files]
        print(f"{sum(kept)} of {len(kept)} {'within the capacity' if options.capacity else 'at the bound'}")
    heading(f"hard instances, up to {options.seconds:g} s each")
    kept = [compare(name, buffers, None, options.seconds) for name, buffers in hard()]
    print(f"{sum(kept)} of {len(kept)} at the bound")
    heading("large instances, without a search")
    for kind in (steady, training, anything, crossing):
        for count in (10_000, 100_000):
            buffers = kind(count, np.random.default_rng(0))
            compare(f"{kind.__name__} {count:,}", buffers, None, None)


if __name__ == "__main__":
    main()

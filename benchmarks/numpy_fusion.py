"""Regions as loops over blocks on the numpy backend, against node by node and against NumPy by hand.

    python benchmarks/numpy_fusion.py [--only chain,rows] [--rounds 20] [--elements 4194304] [--block-kib 256]

Each row is an expression over float32 arrays. It is run three ways: as its nodes one after the other (the
program without regions), with its region as a loop over blocks (after the pass `fuse`), and as the plain
NumPy expression a user would write. The three results are compared to the bit before anything is timed:
the script fails if they differ. Then the three take turns, call by call, so that what else the machine does
hits all alike; shown are the best time of each, and the medians of the ratios of neighbouring calls.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from heading import heading

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.numpy.executor import NumpyExecutable

TARGET = 2.0


@dataclass(frozen=True)
class Row:
    """An expression of an array x, in either language `m`, and whether the target is for it."""

    compute: Callable[[Any, Any], Any]
    shape: Callable[[int], tuple[int, ...]] = lambda elements: (elements,)
    target: bool = False


class ByHand:
    """NumPy with the names of GraphFlow, and scalars of the dtype of x."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def scalar(self, value: float) -> Any:
        return np.float32(value)


class Own:
    """GraphFlow with the same names."""

    def __getattr__(self, name: str) -> Any:
        return getattr(gf, name)

    def scalar(self, value: float) -> Any:
        return value


def chain(m: Any, x: Any) -> Any:
    y = x
    for _ in range(5):
        y = y * m.scalar(1.01) + m.scalar(0.5)
    return y


def diamond(m: Any, x: Any) -> Any:
    left, right = x * m.scalar(2.0) + m.scalar(1.0), x - m.scalar(0.5)
    return m.maximum(left * right, m.scalar(0.0)) + left * m.scalar(0.5) - right


def transcendental(m: Any, x: Any) -> Any:
    y = m.tanh(x * m.scalar(0.5)) + m.scalar(1.0)
    y = m.sqrt(m.exp(y) - m.scalar(0.25)) / m.scalar(3.0)
    return m.maximum(-y, m.scalar(-0.7)) * y


def rows(m: Any, x: Any) -> Any:
    y = (x * m.scalar(2.0) + m.scalar(1.0)) * x - m.scalar(1.0)
    return m.sum(y * y, axis=1)


def bias_and_scale(m: Any, x: Any) -> Any:
    bias = x[0]
    return m.maximum((x + bias) * m.scalar(0.1) - bias, m.scalar(0.0)) + x


def _square(elements: int) -> tuple[int, ...]:
    return (elements // 1024, 1024)


ROWS = {
    "chain": Row(chain, target=True),
    "diamond": Row(diamond),
    "transcendental": Row(transcendental),
    "rows": Row(rows, _square),
    "bias_and_scale": Row(bias_and_scale, _square),
}


def prepare(row: Row, elements: int, block_bytes: int) -> tuple[dict[str, Callable[[], np.ndarray]], str]:
    """The three ways to compute a row, known to agree, and the name of its region."""
    shape = row.shape(elements)
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    with gf.Graph():
        x = gf.placeholder("x", shape)
        y = row.compute(Own(), x)
        plain = NumpyExecutable(optimize(extract([y], feeds=[x]), pipeline="eliminate"))
        program = optimize(extract([y], feeds=[x]), pipeline="fuse")
        fused = NumpyExecutable(program, block_bytes)
    ways = {
        "fused": lambda: fused([], [], [array], None)[0][0],
        "node by node": lambda: plain([], [], [array], None)[0][0],
        "by hand": lambda: row.compute(ByHand(), array),
    }
    with np.errstate(all="ignore"):
        results = [way().tobytes() for way in ways.values()]
    if len(set(results)) != 1:
        raise SystemExit("the results differ")
    return ways, ", ".join(region.operators for region in program.regions)


def measure(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Best seconds of each way, and the median over rounds of its time by that of the first way."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            with np.errstate(all="ignore"):
                start = time.perf_counter()
                ways[name]()
                taken[name].append(time.perf_counter() - start)
    first = taken[next(iter(ways))]
    ratios = {
        name: statistics.median([other / own for own, other in zip(first, times)])
        for name, times in taken.items()
    }
    return {name: min(times) for name, times in taken.items()}, ratios


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ROWS), help="which rows, separated by commas")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--elements", type=int, default=1 << 22, help="of the array x")
    parser.add_argument("--block-kib", type=int, default=256, help="the size of a block")
    options = parser.parse_args()
    if set(options.only.split(",")) - set(ROWS) or options.rounds < 1:
        parser.error(f"choose rows among {', '.join(ROWS)}, and --rounds of at least 1")
    print(heading())
    print(f"{options.elements:,} float32, blocks of {options.block_kib} KiB")
    print(
        f"{'expression':15} {'fused ms':>9} {'nodes ms':>9} {'hand ms':>9} {'vs nodes':>9} {'vs hand':>8}"
        "   region"
    )
    reached = True
    for name in options.only.split(","):
        ways, region = prepare(ROWS[name], options.elements, options.block_kib * 1024)
        best, ratios = measure(ways, options.rounds)
        times = " ".join(f"{seconds * 1e3:9.2f}" for seconds in best.values())
        print(
            f"{name:15} {times} {ratios['node by node']:9.2f} {ratios['by hand']:8.2f}   {region}", flush=True
        )
        reached &= not ROWS[name].target or ratios["node by node"] >= TARGET
    print(
        f"target: the chain at least {TARGET} times as fast as node by node; "
        + ("reached" if reached else "not reached")
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

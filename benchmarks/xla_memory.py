"""Programs whose memory XLA:CPU blows up, whatever order they are given in, and the same cut into segments.

    python benchmarks/xla_memory.py [--only pairs,branches] [--small]

XLA:CPU orders operators anew, for concurrency rather than memory: where many of them are ready at once, it
runs what all of them need first, and holds it. Two programs show it:

- pairs: the joint histograms of all pairs of columns, after github.com/openxla/xla/issues/35719: the
  indices of all pairs are made before the first histogram is counted;
- branches: wide products of one input, folded together from the last to the first, so that an order that
  takes inputs as they are written is as bad.

Each runs in a process of its own as plain JAX under `jax.jit`, the peer; as a session compiles it in one
piece; and in segments. Shown are the most bytes alive in the order that the optimizer planned; XLA's temp
bytes, for segments with what lies between them (`memory()["temp"]`); what was really there: the most, over
the calls of compiled functions, of the bytes of live arrays and that call's temp; the peak of resident
memory in an undisturbed run; and the process's ru_maxrss, which counts Python, JAX and the compiler too. All
but the last are above what was there before the run. Results are compared. The exit code is 1 if one piece
takes less than 2.5 times the plan, so that the case shows nothing, or segments more than 1.25 times.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from heading import heading
from memory_numpy import _peak, _reset_peak, _resident

import graphflow as gf
from graphflow.runtime.jax import backend, segmented
from graphflow.runtime.jax.calls import dispatcher, memory_bytes

WAYS = ("jax.jit", "one piece", "segments")
SHOWS, KEEPS = 2.5, 1.25
MB = 1e6


@dataclass(frozen=True)
class Case:
    """The same program for both: a graph, a function of arrays, and what they are given."""

    fetches: list[Any]
    feeds: dict[Any, np.ndarray]
    peer: Callable[..., Any]
    segment_nodes: int


def pairs(small: bool) -> Case:
    """The joint histograms of eight columns, each with each."""
    columns, length = (4, 200_000) if small else (8, 2_000_000)
    kinds = range(10, 10 + columns)
    rng = np.random.default_rng(0)
    data = [gf.placeholder(f"column{index}", (length,), dtype=gf.uint8) for index in range(columns)]
    ones = gf.ones((length,), dtype=gf.int32)
    counts = []
    for rows, x in zip(kinds, data):
        for width, y in zip(kinds, data):
            index = gf.reshape(gf.astype(x, gf.int32) * width + gf.astype(y, gf.int32), (length, 1))
            zeros = gf.zeros((rows * width,), dtype=gf.int32)
            counts.append(gf.reshape(gf.scatter_nd_add(zeros, index, ones), (rows, width)))

    def peer(*arrays: Any) -> list[Any]:
        made = []
        for rows, x in zip(kinds, arrays):
            for width, y in zip(kinds, arrays):
                index = x.astype(jnp.int32) * width + y
                made.append(jnp.bincount(index, length=rows * width).reshape(rows, width))
        return made

    values = [rng.integers(0, kind, length).astype(np.uint8) for kind in kinds]
    return Case(counts, dict(zip(data, values)), peer, 20)


def branches(small: bool) -> Case:
    """24 wide products of one input, folded from the last to the first."""
    count, size = (8, 512) if small else (24, 2048)
    rng = np.random.default_rng(0)
    x = gf.placeholder("x", (size, 64))
    weights = [gf.placeholder(f"w{index}", (64, size)) for index in range(count)]
    made = [gf.tanh(gf.matmul(x, each)) for each in weights]
    total = made[-1]
    for each in made[-2::-1]:
        total = gf.maximum(each, gf.sin(total))

    def peer(x: Any, *weights: Any) -> list[Any]:
        made = [jnp.tanh(x @ each) for each in weights]
        total = made[-1]
        for each in made[-2::-1]:
            total = jnp.maximum(each, jnp.sin(total))
        return [jnp.sum(total)]

    feeds = {each: rng.normal(size=each.shape).astype(np.float32) for each in (x, *weights)}
    return Case([gf.sum(total)], feeds, peer, 10)


CASES = {"pairs": pairs, "branches": branches}


class _Watch:
    """In place of `dispatcher`: calls that, while it is on, wait and note what is there.

    Attributes:
        most: the most bytes of live arrays and the call's own temp so far.
    """

    def __init__(self) -> None:
        self.on = False
        self.most = 0

    def __call__(self, compiled: Any) -> Callable[..., Any]:
        call, temp = dispatcher(compiled), memory_bytes(compiled)["temp"]

        def watched(*arrays: Any) -> Any:
            made = call(*arrays)
            if self.on:
                jax.block_until_ready(made)
                self.most = max(self.most, live_bytes() + temp)
            return made

        return watched


def live_bytes() -> int:
    """The bytes of all arrays that are alive, as JAX knows them."""
    return sum([array.nbytes for array in jax.live_arrays() if not array.is_deleted()])


def measure(name: str, way: str, small: bool) -> dict[str, Any]:
    """What a process says of itself."""
    watch = _Watch()
    backend.dispatcher = segmented.dispatcher = watch
    case = CASES[name](small)
    started = time.perf_counter()
    if way == "jax.jit":
        arrays = [jnp.asarray(value) for value in case.feeds.values()]
        compiled = jax.jit(case.peer).lower(*arrays).compile()
        found: dict[str, Any] = {"temp": memory_bytes(compiled)["temp"]}
        run = watch(compiled)
    else:
        sess = gf.Session(segment_nodes=case.segment_nodes if way == "segments" else None)
        report = sess.memory(case.fetches, compiled=True)
        run = sess.make_callable(case.fetches, list(case.feeds))
        arrays = [jnp.asarray(value) for value in case.feeds.values()]
        found = {"temp": report.backend_bytes["temp"], "planned": report.plan.lower_bound_bytes}
        found["note"] = sess.compiles[-1].note
    found["compile"] = time.perf_counter() - started
    gc.collect()
    _reset_peak()
    before = _resident()
    started = time.perf_counter()
    made = [np.asarray(array) for array in jax.block_until_ready(run(*arrays))]
    found |= {"run": time.perf_counter() - started, "resident": _peak() - before}
    live, watch.on = live_bytes(), True
    jax.block_until_ready(run(*arrays))
    sums = [array.sum(dtype=np.float64).item() for array in made]
    found |= {"live": watch.most - live, "results": sums}
    return found | {"maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _in_process(name: str, way: str, small: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, way, *(["--small"] if small else [])]
    limits = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | limits)
    return json.loads(done.stdout.splitlines()[-1])


def compare(name: str, small: bool) -> bool:
    """Print the rows of a case; whether it shows the blow-up, and segments keep the plan."""
    found = {way: _in_process(name, way, small) for way in WAYS}
    planned = found["segments"]["planned"]
    for way, row in found.items():
        sizes = "".join(f"{row[what] / MB:>10.1f}" for what in ("temp", "live", "resident", "maxrss"))
        ratio = f"{row['live'] / planned:>7.2f}x"
        print(
            f"{name:<10}{way:<11}{planned / MB:>9.1f}{sizes}{ratio}{row['compile']:>10.1f}{row['run']:>8.2f}"
        )
    print(f"{'':<10}{found['segments']['note']}")
    results = [np.array(row["results"]) for row in found.values()]
    same = all([np.allclose(results[0], other, rtol=1e-3) for other in results[1:]])
    shows = min(found[way]["live"] for way in WAYS[:2]) >= SHOWS * planned
    keeps = found["segments"]["live"] <= KEEPS * planned
    print(f"{'':<10}results agree: {same}; blown up in one piece: {shows}; kept by segments: {keeps}")
    return same and shows and keeps


def main() -> int:
    """Run the cases; 1 if one of them does not show what it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(CASES), help="names of cases, joined by commas")
    parser.add_argument("--small", action="store_true", help="small arrays, to try the script")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, way = given.child
        print(json.dumps(measure(name, way, given.small)))
        return 0
    print(heading())
    print(
        f"\n{'MB':<21}{'planned':>9}{'temp':>10}{'there':>10}{'resident':>10}{'maxrss':>10}{'there':>8}"
        f"{'compile s':>10}{'run s':>8}"
    )
    return int(not all([compare(name, given.small) for name in given.only.split(",")]))


if __name__ == "__main__":
    sys.exit(main())

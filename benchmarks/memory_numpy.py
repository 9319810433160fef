"""The memory that runs on the numpy backend really take, against their plan, and the time.

    python benchmarks/memory_numpy.py [--only resnet50,mlp] [--rounds 5]

Each network runs in three ways, each in a process of its own: naively, every value being kept until the run
ends; node by node, each value freed after its last use; and in an arena. The first two run the nodes as they
are, the third what `gf.Session(backend="numpy")` runs. Measured is the process's peak of resident memory
(ru_maxrss) during three runs, above its resident memory right before them, when the program is optimised and
variables and feeds are there. The allocator is told to take arrays from 64 KiB on from fresh pages and to
give them back (MALLOC_MMAP_THRESHOLD_), so that what was freed before does not count as there. Beside it
stands the plan: the arena, what operators need beside it, and the results; those of one run are let go before
the next one begins.

The results of all three are compared to the bit, by a hash. In a last process node by node and the arena take
turns, and the medians of the ratios of neighbouring runs are shown.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
from heading import heading
from networks import Network

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.numpy.backend import NumpyBackend
from graphflow.runtime.numpy.executor import NumpyExecutable

WAYS = ("naive", "freeing", "arena")
RUNS = 3
MB = 1e6


def _mlp() -> Network:
    with gf.Graph("mlp") as graph:
        make = networks._Weights("variable", True, 0)
        x = gf.placeholder("x", (32, 64))
        h = gf.nn.relu(make.dense(gf.nn.relu(make.dense(x, 64)), 64))
        return make.finish("mlp", graph, x, make.dense(h, 10), {}, (32,))


def _transformer() -> Network:
    return networks.gpt2(batch=8, length=128, vocabulary=2000, features=256, heads=4, layers=6, train=True)


CASES: dict[str, Callable[[], Network]] = {
    "resnet50": lambda: networks.resnet50(batch=4),
    "transformer_step": _transformer,
    "mlp": _mlp,
}


def _program(net: Network, pipeline: str) -> Program:
    wanted = net.outputs if net.loss is None else [net.loss]
    assigns = [] if net.train is None else list(net.train.assigns)
    feeds = [*net.inputs, *([] if net.labels is None else [net.labels])]
    program = extract(wanted, assigns, feeds, net.train is not None)
    return optimize(program, pipeline=pipeline)


class _Subject:
    """A network, ready to run in one of the ways."""

    def __init__(self, name: str, way: str) -> None:
        net = CASES[name]()
        pipeline = NumpyBackend().pipeline("O2")
        if way != "arena":
            pipeline = pipeline.partition(",fuse")[0]
        program = _program(net, pipeline)
        self.run = NumpyExecutable(program)
        if way == "naive":
            for step in self.run._steps:
                step.frees = ()
        session = gf.Session(net.graph, backend="numpy", level="O0")
        self.updated = [session.variables[name] for name in self.run.updated]
        self.kept = [session.variables[name] for name in self.run.kept]
        session.close()
        self.feeds = list(net.feeds().values())

    def __call__(self) -> list[np.ndarray]:
        fetches, updates = self.run(self.updated, self.kept, self.feeds, None)
        return [*fetches, *updates]


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(name: str, way: str) -> dict[str, Any]:
    """What a process says of itself."""
    subject = _Subject(name, way)
    plan = subject.run.plan
    _warm_up()
    gc.collect()
    _reset_peak()
    before = _resident()
    for _ in range(RUNS):
        made = None
        made = subject()
    peak = _peak() - before
    digest = hashlib.sha256()
    for array in made or ():
        digest.update(np.ascontiguousarray(array).tobytes())
    found: dict[str, Any] = {"peak": peak, "digest": digest.hexdigest()}
    if plan is not None:
        found |= {"arena": plan.arena_bytes, "beside": plan.beside_bytes, "outputs": plan.output_bytes}
        found |= {"naive": plan.naive_bytes, "bound": plan.lower_bound_bytes}
    return found


def _warm_up() -> None:
    """Let BLAS take the buffers that it keeps."""
    square = np.ones((512, 512), np.float32)
    np.matmul(square, square)


def _reset_peak() -> None:
    """Forget the peak so far, where the kernel can (Linux); else memory was given back before."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        print("the peak could not be reset, and may be that of the preparations", file=sys.stderr)


def _peak() -> int:
    """The peak of resident memory since then, in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare_times(name: str, rounds: int) -> dict[str, Any]:
    """The best times of node by node, of regions without an arena, and of the arena; and ratios."""
    net_arena, plain = _Subject(name, "arena"), _Subject(name, "freeing")
    fused = _Subject(name, "arena")
    fused.run = NumpyExecutable(fused.run.program, in_arena=False)
    subjects = {"freeing": plain, "fused": fused, "arena": net_arena}
    times: dict[str, list[float]] = {way: [] for way in subjects}
    for number in range(rounds + 1):
        for way, subject in subjects.items():
            started = time.perf_counter()
            subject()
            if number:
                times[way].append(time.perf_counter() - started)
    found: dict[str, Any] = {way: min(taken) for way, taken in times.items()}
    for way in ("freeing", "fused"):
        found[f"over_{way}"] = statistics.median(a / b for a, b in zip(times[way], times["arena"]))
    return found


def _in_process(name: str, way: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, way, "--rounds", str(rounds)]
    # For times, the allocator is as everywhere.
    limits = {} if way == "time" else {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **limits})
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the tables; exit with 1 if results differ or a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=5, help="of the times; 0 for none")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, way = given.child
        print(json.dumps(compare_times(name, given.rounds) if way == "time" else measure(name, way)))
        return
    print(heading())
    missed = False
    print(f"{'network':<18}{'naive':>9}{'freeing':>9}{'arena':>9}  {'planned':>9} = arena + beside + results")
    for name in given.only.split(","):
        found = {way: _in_process(name, way, 0) for way in WAYS}
        own = found["arena"]
        planned = own["arena"] + own["beside"] + own["outputs"]
        peaks = [found[way]["peak"] for way in WAYS]
        shown = "".join(f"{peak / MB:>9.1f}" for peak in peaks)
        parts = " + ".join(f"{own[part] / MB:.1f}" for part in ("arena", "beside", "outputs"))
        error, share = peaks[2] / planned - 1, peaks[2] / peaks[0]
        same = len({one["digest"] for one in found.values()}) == 1
        print(f"{name:<18}{shown}  {planned / MB:>9.1f} = {parts} MB")
        print(f"{'':<18}{100 * error:+.1f} % of the plan, {100 * share:.0f} % of naive; bits alike: {same}")
        missed |= not same or (name != "mlp" and (abs(error) > 0.1 or share > 0.5))
    if not given.rounds:
        sys.exit(missed)
    print(f"\n{'network':<18}{'freeing':>10}{'fused':>10}{'arena':>10}   times as fast as freeing, as fused")
    for name in given.only.split(","):
        times = _in_process(name, "time", max(given.rounds, 200 if name == "mlp" else 0))
        shown = "".join(f"{1e3 * times[way]:>8.2f}ms" for way in ("freeing", "fused", "arena"))
        print(f"{name:<18}{shown}   {times['over_freeing']:.2f} {times['over_fused']:.2f}")
    sys.exit(missed)


if __name__ == "__main__":
    main()

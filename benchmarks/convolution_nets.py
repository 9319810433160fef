"""Inference of convolutional networks on the CPU, laid out by GraphFlow against the same graph as it is.

    python benchmarks/convolution_nets.py [--only resnet50,mobilenet_v2] [--batches 1,8] [--small]

Every network is a graph in NCHW. *Plain* compiles it at level O0, which changes nothing: each convolution
becomes one XLA convolution in NCHW, as jax.jit would have it, with the weights as arguments. *O2* and *O3*
compile the same graph at these levels, with the weights as variables, which a run may change, and with
weights that are constants. Outputs are compared before anything is timed: the script fails where they differ.

All are compiled with the same XLA flags in one process, take the same image from device memory, are waited
for, and take turns; shown are the best times, and the median of plain's time over each one's of its round.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from networks import NETWORKS

import graphflow as gf

TARGET = 1.6
CLOSE = 1e-4
KINDS = [
    ("plain", "variable", "O0"),
    ("O2", "variable", "O2"),
    ("O2 constant", "constant", "O2"),
    ("O3 constant", "constant", "O3"),
]
SMALL: dict[str, dict[str, Any]] = {
    "resnet50": {"image": 64, "width": 16, "blocks": (1, 1, 1, 1)},
    "mobilenet_v2": {"image": 64, "width": 0.5},
    "unet": {"image": 32, "width": 8, "depth": 2},
}


def prepare(name: str, weights: str, level: str, batch: int, small: bool) -> Callable[[], Any]:
    """A function that runs the network once, without waiting."""
    net = NETWORKS[name](batch=batch, weights=weights, **(SMALL[name] if small else {}))
    (image,) = net.feeds().values()
    array = jax.numpy.asarray(image)
    session = gf.Session(net.graph, level=level)
    call = session.make_callable(net.outputs[0], net.inputs)
    return lambda: call(array)


def compare(calls: dict[str, Callable[[], Any]]) -> float:
    """The largest difference of an output from the plain one, beside the largest output."""
    wanted = np.asarray(calls["plain"]())
    worst = max(np.abs(np.asarray(call()) - wanted).max() for call in calls.values())
    return float(worst / np.abs(wanted).max())


def measure(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, one a round."""
    seconds: dict[str, list[float]] = {kind: [] for kind in calls}
    for _ in range(rounds):
        for kind, call in calls.items():
            start = time.perf_counter()
            call().block_until_ready()
            seconds[kind].append(time.perf_counter() - start)
    return seconds


def row(name: str, batch: int, rounds: int, small: bool) -> float:
    """Print a network's lines; the ratio of O2 with constant weights, or of O3 where that is larger."""
    calls = {kind: prepare(name, weights, level, batch, small) for kind, weights, level in KINDS}
    difference = compare(calls)
    if not difference < CLOSE:
        sys.exit(f"{name}: outputs differ by {difference:.1e}")
    seconds = measure(calls, rounds)
    ratios = {
        kind: statistics.median(plain / own for plain, own in zip(seconds["plain"], seconds[kind]))
        for kind in calls
    }
    for kind in calls:
        print(f"{name:<14}{batch:>6}  {kind:<13}{1e3 * min(seconds[kind]):>9.1f}{ratios[kind]:>9.2f}")
    return max(ratios["O2 constant"], ratios["O3 constant"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", default="resnet50,mobilenet_v2", help="names of networks: " + ", ".join(SMALL)
    )
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--small", action="store_true", help="small networks, to try the script")
    options = parser.parse_args()
    flags = os.environ.get("XLA_FLAGS", "")
    versions = f"jax {jax.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    print(f"{platform.machine()}, {os.cpu_count()} cores; {versions}; XLA_FLAGS={flags!r}")
    print(f"{'network':<14}{'batch':>6}  {'compiled':<13}{'ms':>9}{'ratio':>9}")
    worst = min(
        row(name, int(batch), options.rounds, options.small)
        for name in options.only.split(",")
        for batch in options.batches.split(",")
    )
    print(f"least ratio of the better of O2 and O3 with constant weights: {worst:.2f} (target {TARGET})")


if __name__ == "__main__":
    main()

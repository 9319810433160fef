"""Training and inference of whole networks at every level, against the same graph at O0.

    python benchmarks/levels.py [--only lstm,unet] [--kinds train,infer] [--rounds 15]

No level may be slower than O0, which compiles the graph as it was written: the script fails where the
median ratio is below 0.97. The networks are those of `networks.py`, made small enough to compile in
seconds; the optimizer does not depend on their width.

All levels of a network are compiled in one process, take the same arrays from device memory and take
turns. A step counts as done when the variables have their new values. To wait for the loss alone is not
enough: a network in several segments hands it out before its last segment has run, which would then be
counted as the time of whichever level comes next. Times are of the processor, all threads together, as
other processes disturb those less than times by the clock; ratios by the clock stand beside them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
from heading import heading
from networks import NETWORKS

import graphflow as gf

TARGET = 0.97
LEVELS = ("O0", "O1", "O2", "O3")
SHORTEST = 0.01  # seconds; shorter steps are repeated
TRANSFORMER = {"batch": 2, "length": 64, "vocabulary": 2000, "features": 256, "heads": 4, "layers": 3}
SIZES: dict[str, dict[str, Any]] = {
    "digits_cnn": {"batch": 32},
    "lstm": {"batch": 16, "length": 32, "units": 128},
    "bert": TRANSFORMER,
    "gpt2": TRANSFORMER,
    "unet": {"batch": 2, "image": 64, "width": 16, "depth": 3},
    "resnet50": {"batch": 2, "image": 64, "width": 32, "blocks": (1, 1, 1, 1)},
    "mobilenet_v2": {"batch": 4, "image": 96},
}

Times = tuple[float, float]
"""Seconds of the processor, and by the clock."""


def prepare(name: str, level: str, train: bool) -> Callable[[], None]:
    """A function that takes one step, or runs the network once, and waits until all of it is done."""
    net = NETWORKS[name](train=train, **SIZES[name])
    session = gf.Session(net.graph, level=level)
    feeds = net.feeds(SIZES[name]["batch"])
    call = session.make_callable([net.loss, net.train] if train else net.outputs, list(feeds))
    arrays = [jax.numpy.asarray(array) for array in feeds.values()]

    def step() -> None:
        jax.block_until_ready([made for made in call(*arrays) if made is not None])
        jax.block_until_ready(list(session.variables.arrays.values()))

    step()
    return step


def repeats(step: Callable[[], None]) -> int:
    """How often a step has to run to take long enough."""
    start = time.perf_counter()
    step()
    return max(1, int(SHORTEST / (time.perf_counter() - start)))


def measured(step: Callable[[], None], count: int) -> Times:
    """What a step takes, the mean of several."""
    busy, start = time.process_time(), time.perf_counter()
    for _ in range(count):
        step()
    return (time.process_time() - busy) / count, (time.perf_counter() - start) / count


def ratios(first: list[Times], own: list[Times]) -> list[float]:
    """The medians of O0's time over a level's of the same round: of the processor, and by the clock."""
    return [statistics.median(a[kind] / b[kind] for a, b in zip(first, own)) for kind in (0, 1)]


def row(name: str, train: bool, rounds: int) -> float:
    """Print a network's lines; the least ratio of its levels."""
    steps = {level: prepare(name, level, train) for level in LEVELS}
    count = repeats(steps["O0"])
    times: dict[str, list[Times]] = {level: [] for level in LEVELS}
    for _ in range(rounds):
        for level, step in steps.items():
            times[level].append(measured(step, count))
    found = {level: ratios(times["O0"], own) for level, own in times.items()}
    for level, (busy, clock) in found.items():
        best = 1e3 * min(time_of[0] for time_of in times[level])
        kind = "train" if train else "infer"
        print(f"{name:<14}{kind:<7}{level:<6}{best:>9.2f}{busy:>8.2f}{clock:>8.2f}", flush=True)
    return min(busy for busy, _ in found.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(SIZES), help="names of networks")
    parser.add_argument("--kinds", default="train,infer")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(heading())
    print(f"{'network':<14}{'kind':<7}{'level':<6}{'cpu ms':>9}{'ratio':>8}{'clock':>8}")
    worst = min(
        row(name, kind == "train", options.rounds)
        for name in options.only.split(",")
        for kind in options.kinds.split(",")
    )
    print(f"least ratio of a level to O0: {worst:.2f} (target {TARGET})")
    sys.exit(worst < TARGET)


if __name__ == "__main__":
    main()

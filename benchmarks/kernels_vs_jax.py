"""Functions compiled by GraphFlow against `jax.jit` of the same: where the optimizer gains, and where not.

    python benchmarks/kernels_vs_jax.py [--only "lstm,stable"] [--rounds 150] [--quick] [--strict]

The kernels lie in `benchmarks/kernels`, one file a subject; `ordinary.py` has those that XLA compiles as
well by itself, whose rows are to stay at 1. Each is one function in GraphFlow and in JAX, both as users
write it. GraphFlow's goes through `gf.Session(level=...).make_callable`, JAX's through `jax.jit`, or
`jax.jit` of `jax.value_and_grad` where gradients are taken. Both get equal arrays, on the device, leave
their results there, and are waited for; XLA's flags and threads are those of the process.

Results are compared before anything is timed, and the script fails where they differ by more than the
kernel allows, beside the largest element. Functions that overflow or cancel as they stand, which GraphFlow
is given so, are compared in time with the careful function of JAX's library; how far both are from float64 is
shown, and what the naive text does in JAX: its error, "inf" where NaN or infinities came out for numbers, and
how long it takes beside the careful one.

The sides then take turns, in random order. In a turn each is called twice, of which the second is timed: the
first brings its arrays and weights into the caches, from which those of the sides before have driven them.
A round is a few turns; its ratio is JAX's best time in it over GraphFlow's, so that what else the machine
does hits both alike. Shown are the best times of all, and the median of the ratios with the interval in which
the true median lies with 95 %. Rounds are added until the interval of the claimed ratio is 0.02 wide,
whatever the ratio is, or there are --rounds of them, or they have taken 20 s.

Where arrays lie in memory changes the time of some kernels by a fifth, with either compiler. So every round
gives each side arrays of its own, just allocated, in random order. Programs that hold weights are compiled
four times, on all sides, each for a quarter of the rounds. "again" is JAX's function jitted once more and
measured against the first as GraphFlow's is: what it differs from 1 by is what the machine adds.

A row is *claimed* at O2 or at O3 and counts with that level. Where O3 gives the program of O2, it is not
measured; "=" says that GraphFlow's program is the one XLA makes of JAX's function, so that any other ratio
than 1 is noise; only other rows can fail --strict.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from heading import heading
from kernels import branches, convolutions, derivatives, models, ordinary, products, stable
from kernels.kernel import Kernel, Make
from train_step import RecordingBackend

import graphflow as gf

LEVELS = ("O2", "O3")
TARGET, LEAST = 1.3, 0.97
ROUND_SECONDS, ROW_SECONDS = 0.02, 20
FEWEST_ROUNDS, WIDTH = 25, 0.02
BUILDS = 4

GROUPS = (products, convolutions, stable, derivatives, branches, models, ordinary)
"""The files of kernels."""

Side = Callable[..., Any]


@dataclass
class Row:
    """A kernel ready to run: JAX twice, maybe naively too, GraphFlow at the levels whose programs differ."""

    kernel: Kernel
    sides: dict[str, Side]
    texts: dict[str, str]

    def at(self, level: str) -> str:
        """The side that stands for a level."""
        return level if level in self.sides else LEVELS[0]

    def arrays(self) -> list[Any]:
        """The inputs, on the device, in memory of their own."""
        return [jnp.array(array, copy=True).block_until_ready() for array in self.kernel.arrays]

    def run(self, name: str) -> list[Any]:
        """The results of one side."""
        return jax.tree_util.tree_leaves(self.sides[name](*self.arrays()))

    def holds_weights(self) -> bool:
        """Whether JAX's program has constants that are too long to be printed."""
        return "constant({...})" in self.texts["JAX"]


def prepare(kernel: Kernel) -> Row:
    """Compile all sides."""
    row = Row(kernel, {}, {})
    arrays = row.arrays()
    careful = kernel.careful or kernel.plain
    functions = {"JAX": careful, "again": careful}
    if kernel.careful is not None:
        functions["naive"] = kernel.plain
    for name, function in functions.items():
        compiled = jax.jit(_plain(kernel, function))
        row.sides[name] = compiled
        if name != "again":
            row.texts[name] = program_text(compiled.lower(*arrays).compile().as_text())
    for level in LEVELS:
        backend = RecordingBackend()
        step = _own(kernel, level, backend)
        step(*arrays)
        text = program_text(backend.latest.text())
        if text not in [row.texts[other] for other in LEVELS if other in row.texts]:
            row.sides[level], row.texts[level] = step, text
    return row


def _plain(kernel: Kernel, function: Callable[..., Any]) -> Callable[..., Any]:
    """JAX's side, with gradients where they are asked for; each call gives another function to compile."""
    if not kernel.gradient:
        return lambda *arrays: function(*arrays)
    floating = tuple([place for place, array in enumerate(kernel.arrays) if array.dtype.kind == "f"])
    return jax.value_and_grad(function, floating)


def _own(kernel: Kernel, level: str, backend: RecordingBackend) -> Callable[..., Any]:
    """GraphFlow's side at a level."""
    with gf.Graph():
        inputs = [
            gf.placeholder(f"x{place}", array.shape, array.dtype) for place, array in enumerate(kernel.arrays)
        ]
        result = kernel.build(*inputs)
        if kernel.gradient:
            floating = [tensor for tensor in inputs if tensor.dtype.is_floating]
            result = [result, gf.gradients(result, floating)]
        return gf.Session(backend=backend, level=level).make_callable(result, inputs)


def program_text(text: str) -> str:
    """An optimised HLO program without what only names things: instructions are numbered as they come."""
    body = text[text.index("\n%") if "\n%" in text else text.index("\nENTRY") :]
    body = re.sub(r", metadata=\{[^}]*\}|/\*index=\d+\*/", "", body)
    numbers: dict[str, str] = {}
    named = r"%[\w.\-]+|\b[\w.\-]+(?=: [a-z]+\d*\[)"
    return re.sub(named, lambda name: numbers.setdefault(name[0].lstrip("%"), f"%{len(numbers)}"), body)


# Comparing


def difference(own: Sequence[Any], other: Sequence[Any]) -> float:
    """The largest difference of a result, beside its largest element; inf where NaN or infinities differ."""
    worst = 0.0
    for one, two in zip(own, other, strict=True):
        one, two = np.asarray(one, np.float64), np.asarray(two, np.float64)
        if one.shape != two.shape:
            return math.inf
        with np.errstate(invalid="ignore"):
            error = np.max(np.abs(one - two), initial=0.0) / max(np.max(np.abs(two), initial=0.0), 1e-30)
        worst = max(worst, float(error) if np.isfinite(error) else math.inf)
    return worst


def check(row: Row) -> str:
    """What is to be said of the results; SystemExit where GraphFlow's are not those of the function."""
    kernel = row.kernel
    theirs = row.run("JAX")
    found = [row.run(level) for level in LEVELS if level in row.sides]
    apart = max([difference(own, theirs) for own in found])
    if not apart < kernel.close:
        raise SystemExit(f"{kernel.name}: the results differ by {apart}")
    if kernel.exact is None:
        return f"differ by {apart:.0e}"
    given = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in kernel.arrays]
    wanted = [kernel.exact(*given)]
    error, careful, naive = (
        difference(results[:1], wanted) for results in (found[-1], theirs, row.run("naive"))
    )
    return f"error {error:.0e}, JAX {careful:.0e}, naive {naive:.0e}"


# Timing


@dataclass
class Times:
    """What a row's sides have taken.

    Attributes:
        best: the least seconds of each side.
        ratios: JAX's best time in each round over that of each side.
    """

    best: dict[str, float]
    ratios: dict[str, list[float]]

    def median(self, name: str) -> float:
        """The median ratio of a side."""
        return statistics.median(self.ratios[name])

    def interval(self, name: str) -> tuple[float, float]:
        """Where the true median lies with 95 %: ranks of the sorted ratios, by the sign test."""
        found = sorted(self.ratios[name])
        reach = 0.98 * math.sqrt(len(found))
        low, high = math.floor(len(found) / 2 - reach), math.ceil(len(found) / 2 + reach)
        return found[max(low, 0)], found[min(high, len(found) - 1)]


def measure(row: Row, rounds: int) -> Times:
    """Time rounds of one build of the programs, or of several; see above."""
    times = Times(dict.fromkeys(row.sides, math.inf), {name: [] for name in row.sides})
    builds = BUILDS if row.holds_weights() else 1
    calls = _calls(row)
    for build in range(builds):
        if build:
            row = prepare(row.kernel)
        _measure_build(row, times, calls, (rounds // builds, FEWEST_ROUNDS // builds, ROW_SECONDS / builds))
    return times


def _measure_build(row: Row, times: Times, calls: int, limits: tuple[int, int, float]) -> None:
    """Add rounds to the times until the interval of the claimed ratio is narrow."""
    claimed = row.at(row.kernel.level)
    most, fewest, seconds = limits
    start = time.perf_counter()
    for turn in range(most):
        taken = _round(row, random.Random(turn), calls)
        for name in taken:
            times.ratios[name].append(taken["JAX"] / taken[name])
            times.best[name] = min(times.best[name], taken[name])
        low, high = times.interval(claimed)
        if turn + 1 >= fewest and (high - low <= WIDTH or time.perf_counter() - start > seconds):
            return


def _calls(row: Row) -> int:
    """How often a side is called in a round."""
    arrays = row.arrays()
    start = time.perf_counter()
    jax.block_until_ready(row.sides["JAX"](*arrays))
    return max(2, min(50, int(ROUND_SECONDS / len(row.sides) / (time.perf_counter() - start))))


def _round(row: Row, luck: random.Random, calls: int) -> dict[str, float]:
    """The best time of each side in one round, with new arrays."""
    names = list(row.sides)
    arrays = {name: row.arrays() for name in luck.sample(names, len(names))}
    taken = dict.fromkeys(names, math.inf)
    for _ in range(calls):
        for name in luck.sample(names, len(names)):
            given, side = arrays[name], row.sides[name]
            jax.block_until_ready(side(*given))
            start = time.perf_counter()
            jax.block_until_ready(side(*given))
            taken[name] = min(taken[name], time.perf_counter() - start)
    return taken


# The table


def chosen(wanted: str) -> list[Make]:
    """The kernels that are asked for: by their function's name, by words of it, or by their file's name."""
    makes = [make for group in GROUPS for make in group.KERNELS]
    if not wanted:
        return makes
    names = wanted.split(",")
    found = [
        make
        for group in GROUPS
        for make in group.KERNELS
        if any([name in make.__name__ or group.__name__.endswith("." + name) for name in names])
    ]
    if not found:
        raise SystemExit(
            f"there is no kernel {wanted!r}; there are {', '.join([one.__name__ for one in makes])}"
        )
    return found


def report(make: Make, rounds: int, texts: bool) -> dict[str, float]:
    """Print a kernel's line; its ratios by level, and as claimed."""
    kernel = make()
    row = prepare(kernel)
    remark = check(row)
    times = measure(row, rounds)
    found = {level: times.median(row.at(level)) for level in LEVELS}
    low, high = times.interval(row.at(kernel.level))
    cells = [f"{1e3 * times.best['JAX']:9.3f}"]
    for level in LEVELS:
        cells.append(f"{1e3 * times.best[level]:9.3f}" if level in row.sides else f"{'same':>9}")
    cells += [f"{found[level]:7.2f}{'*' if level == kernel.level else ' '}" for level in LEVELS]
    cells += [f"{low:7.2f}-{high:.2f}", f"{times.median('again'):7.2f}"]
    same = row.texts[row.at(kernel.level)] == row.texts["JAX"]
    if same:
        remark = f"= {remark}"
    if "naive" in times.ratios:
        remark += f" at {1 / times.median('naive'):.2f} of the time"
    print(f"{kernel.name:38}{''.join(cells)}  {remark}", flush=True)
    if texts:
        for name, text in row.texts.items():
            print(f"--- {name}\n{text}")
    again = times.median("again")
    return {**found, "claimed": found[kernel.level], "high": high, "again": again, "same": float(same)}


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(statistics.fmean([math.log(value) for value in values]))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="names of kernels or of their files, with commas")
    parser.add_argument("--rounds", type=int, default=150, help="the most rounds of a row")
    parser.add_argument("--quick", action="store_true", help="8 rounds: a look, no measurement")
    parser.add_argument("--hlo", action="store_true", help="print the compiled programs, too")
    parser.add_argument("--strict", action="store_true", help=f"fail if a claimed ratio is below {LEAST}")
    options = parser.parse_args()
    print(heading())
    header = f"{'JAX ms':>9}{'O2 ms':>9}{'O3 ms':>9}{'JAX/O2':>8}{'JAX/O3':>8}{'95 %':>12}{'again':>7}"
    print(f"{'kernel':38}{header}  results (* claimed)", flush=True)
    rows = [
        report(make, 8 if options.quick else options.rounds, options.hlo) for make in chosen(options.only)
    ]
    for column in (*LEVELS, "claimed"):
        values = [row[column] for row in rows]
        print(
            f"{len(rows)} kernels, {column}: geometric mean {geometric_mean(values):.2f}, "
            f"least {min(values):.2f}"
        )
    others = [row["again"] for row in rows]
    print(f"JAX against itself: {min(others):.2f} to {max(others):.2f}")
    low = [row for row in rows if row["claimed"] < LEAST and not row["same"]]
    sure = sum([row["high"] < LEAST for row in low])
    print(
        f"target: mean at least {TARGET}, no row below {LEAST}; {len(low)} below, {sure} of them beyond doubt"
        if low
        else f"no row is below {LEAST}"
    )
    return int(bool(low and options.strict))


if __name__ == "__main__":
    sys.exit(main())

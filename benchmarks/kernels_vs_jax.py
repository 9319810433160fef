"""Functions compiled by GraphFlow against `jax.jit` of the same: where the optimizer gains, and where not.

    python benchmarks/kernels_vs_jax.py [--only "lstm,softmax"] [--quick] [--strict]

The kernels lie in `benchmarks/kernels`, one file a subject; `ordinary.py` has those that XLA compiles as
well by itself, whose rows are to stay at 1. Each is one function in GraphFlow and in JAX, both as users
write it. GraphFlow's goes through `gf.Session(level=...).make_callable`, JAX's through `jax.jit`, or
`jax.jit` of `jax.value_and_grad` where gradients are taken. Both get the same arrays, on the device, leave
their results there, and are waited for; XLA's flags and threads are those of the process.

Results are compared before anything is timed, and the script fails where they differ by more than the
kernel allows, beside the largest element. Functions that overflow or cancel as they stand, which GraphFlow
is given so, are compared in time with the careful function of JAX's library; how far both are from float64 is
shown, and what the naive text does in JAX: its error, "inf" where NaN or infinities came out for numbers, and
how long it takes beside the careful one.

The sides then take turns, in rounds. A round's ratio is JAX's best time in it over GraphFlow's, so that
what else the machine does hits both alike; shown are the best times, and the median of the ratios. A row is
*claimed* at O2 or at O3 and counts with that level. Where O3 gives the program of O2, it is not measured; "="
says that GraphFlow's program is the one XLA makes of JAX's function, so that any other ratio than 1 is noise;
only other rows can fail --strict.
"""

from __future__ import annotations

import argparse
import math
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
ROUND_SECONDS = 0.02

GROUPS = (products, convolutions, stable, derivatives, branches, models, ordinary)
"""The files of kernels."""

Side = Callable[[], list[Any]]


@dataclass
class Row:
    """A kernel ready to run: JAX, some also naively, and GraphFlow at the levels whose programs differ."""

    kernel: Kernel
    sides: dict[str, Side]
    texts: dict[str, str]

    def at(self, level: str) -> str:
        """The side that stands for a level."""
        return level if level in self.sides else LEVELS[0]


def prepare(kernel: Kernel) -> Row:
    """Compile all sides, and place the arrays."""
    arrays = [jnp.asarray(array) for array in kernel.arrays]
    row = Row(kernel, {}, {})
    functions = {"JAX": kernel.careful or kernel.plain}
    if kernel.careful is not None:
        functions["naive"] = kernel.plain
    for name, function in functions.items():
        compiled = jax.jit(_plain(kernel, function))
        row.sides[name] = _waiting(compiled, arrays)
        row.texts[name] = program_text(compiled.lower(*arrays).compile().as_text())
    for level in LEVELS:
        backend = RecordingBackend()
        step = _own(kernel, level, backend)
        side = _waiting(step, arrays)
        side()
        text = program_text(backend.latest.text())
        if text not in [row.texts[other] for other in LEVELS if other in row.texts]:
            row.sides[level], row.texts[level] = side, text
    return row


def _plain(kernel: Kernel, function: Callable[..., Any]) -> Callable[..., Any]:
    """JAX's side, with gradients where they are asked for."""
    if not kernel.gradient:
        return function
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


def _waiting(call: Callable[..., Any], arrays: Sequence[Any]) -> Side:
    def side() -> list[Any]:
        return jax.tree_util.tree_leaves(jax.block_until_ready(call(*arrays)))

    return side


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
    theirs = row.sides["JAX"]()
    found = [row.sides[level]() for level in LEVELS if level in row.sides]
    apart = max([difference(own, theirs) for own in found])
    if not apart < kernel.close:
        raise SystemExit(f"{kernel.name}: the results differ by {apart}")
    if kernel.exact is None:
        return f"differ by {apart:.0e}"
    given = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in kernel.arrays]
    wanted = [kernel.exact(*given)]
    error, careful, naive = (
        difference(results[:1], wanted) for results in (found[-1], theirs, row.sides["naive"]())
    )
    return f"error {error:.0e}, JAX {careful:.0e}, naive {naive:.0e}"


# Timing


def measure(sides: dict[str, Side], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """The best seconds of each side, and the median ratio of JAX's time to that of each."""
    start = time.perf_counter()
    sides["JAX"]()
    calls = max(1, min(50, int(ROUND_SECONDS / len(sides) / max(time.perf_counter() - start, 1e-6))))
    best = dict.fromkeys(sides, math.inf)
    ratios: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for turn in range(rounds):
        taken = dict.fromkeys(sides, math.inf)
        for call in range(calls):
            first = (turn + call) % len(order)
            for name in order[first:] + order[:first]:
                start = time.perf_counter()
                sides[name]()
                taken[name] = min(taken[name], time.perf_counter() - start)
        for name in order:
            ratios[name].append(taken["JAX"] / taken[name])
            best[name] = min(best[name], taken[name])
    return best, {name: statistics.median(found) for name, found in ratios.items()}


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
    best, ratios = measure(row.sides, rounds)
    found = {level: ratios[row.at(level)] for level in LEVELS}
    cells = [f"{1e3 * best['JAX']:9.3f}"]
    for level in LEVELS:
        cells.append(f"{1e3 * best[level]:9.3f}" if level in row.sides else f"{'same':>9}")
    cells += [f"{found[level]:7.2f}{'*' if level == kernel.level else ' '}" for level in LEVELS]
    same = row.texts[row.at(kernel.level)] == row.texts["JAX"]
    if same:
        remark = f"= {remark}"
    if "naive" in ratios:
        remark += f" at {1 / ratios['naive']:.2f} of the time"
    print(f"{kernel.name:38}{''.join(cells)}  {remark}", flush=True)
    if texts:
        for name, text in row.texts.items():
            print(f"--- {name}\n{text}")
    return {**found, "claimed": found[kernel.level], "same": float(same)}


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(statistics.fmean([math.log(value) for value in values]))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="names of kernels or of their files, with commas")
    parser.add_argument("--quick", action="store_true", help="5 rounds instead of 25")
    parser.add_argument("--hlo", action="store_true", help="print the compiled programs, too")
    parser.add_argument("--strict", action="store_true", help=f"fail if a claimed ratio is below {LEAST}")
    options = parser.parse_args()
    print(heading())
    header = f"{'JAX ms':>9}{'O2 ms':>9}{'O3 ms':>9}{'JAX/O2':>8}{'JAX/O3':>8}"
    print(f"{'kernel':38}{header}  results (* claimed)", flush=True)
    rows = [report(make, 5 if options.quick else 25, options.hlo) for make in chosen(options.only)]
    for column in (*LEVELS, "claimed"):
        values = [row[column] for row in rows]
        print(
            f"{len(rows)} kernels, {column}: geometric mean {geometric_mean(values):.2f}, "
            f"least {min(values):.2f}"
        )
    low = sum([row["claimed"] < LEAST and not row["same"] for row in rows])
    print(
        f"target: mean at least {TARGET}, no row below {LEAST}; {low} below"
        if low
        else f"no row is below {LEAST}"
    )
    return int(bool(low and options.strict))


if __name__ == "__main__":
    sys.exit(main())

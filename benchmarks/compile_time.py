"""Compile time of very large graphs on the jax backend, against plain jitted JAX of the same function.

    python benchmarks/compile_time.py [--only chain,dense,transformer] [--nodes 5000] [--full] [--rounds 10]

Three programs of about so many nodes: a chain of elementwise operators, a net of dense layers that each have
weights of their own, and a training step of a deep transformer. GraphFlow cuts them into segments and
compiles each kind of segment once; plain JAX compiles them as one. `--full` is the size at which the
difference matters, 20,000 nodes, where plain JAX takes minutes.

Both sides get the same arrays and are compared before anything is timed: the script fails if they differ.
Compile times include GraphFlow's optimizer and JAX's tracing, each measured once, in one process. Then
single calls alternate, so that whatever else the machine does hits both alike; the ratio of running times
is the median over the rounds.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from train_step import BETA1, BETA2, EPSILON, RATE, adam_step, transformer

import graphflow as gf

SMALL, FULL = 5_000, 20_000
SECONDS = {"chain": 5.0, "dense": 20.0}
"""The most that compiling `FULL` nodes may take."""
RATIO = 1.15
TRANSFORMER_NODES = 420
"""About what one layer of the training step has, after the optimizer."""


@dataclass
class Sides:
    """Both sides of a row: functions that compute, and wait for, the result; and what compiling took."""

    own: Callable[[], Any]
    other: Callable[[], Any]
    own_seconds: float
    other_seconds: float
    note: str


def compile_own(fetches: Any, feeds: list[Any], arrays: list[Any], values: dict[str, Any]) -> Any:
    """A function that runs once and waits for it, the seconds of its first run, and the session's note.

    It waits for results and variables: segments after the one that makes the loss are part of a step.
    """
    session = gf.Session()
    session.variables.update(values)
    start = time.perf_counter()
    call = session.make_callable(fetches, feeds)

    def step() -> Any:
        made = jax.tree_util.tree_leaves(call(*arrays))
        return jax.block_until_ready((made, list(session.variables.arrays.values())))

    step()
    taken = time.perf_counter() - start
    record = session.compiles[-1]
    return step, taken, record.note or f"1 program of {record.nodes:,} nodes"


def compile_other(function: Any, *arrays: Any) -> tuple[Any, float]:
    """The jitted function, compiled, and the seconds until its first result."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arrays))
    return function, time.perf_counter() - start


def chain(nodes: int) -> Sides:
    """tanh, multiply, add and maximum in turn, on 4,096 numbers."""
    value = np.linspace(-2, 2, 4096).astype(np.float32)

    def build(m: Any, x: Any, scale: Any) -> Any:
        for _ in range(nodes // 4):
            x = m.maximum(m.tanh(x) * scale + 0.25, -0.5)
        return x

    with gf.Graph():
        x, scale = gf.placeholder("x", value.shape), gf.placeholder("scale", ())
        fetch = build(gf, x, scale)
        arrays = [jnp.asarray(value), jnp.float32(1.5)]
        step, own_seconds, note = compile_own(fetch, [x, scale], arrays, {})
    plain, other_seconds = compile_other(jax.jit(lambda x, scale: build(jnp, x, scale)), *arrays)
    return Sides(
        lambda: step()[0][0],
        lambda: jax.block_until_ready(plain(*arrays)),
        own_seconds,
        other_seconds,
        note,
    )


def dense(nodes: int) -> Sides:
    """Residual layers x + tanh(x w + b) of 64 units, batch 32, each with a w and b of its own."""
    rng = np.random.default_rng(0)
    layers = nodes // 4
    values = {}
    for layer in range(layers):
        values[f"w{layer}"] = rng.standard_normal((64, 64), np.float32) / np.float32(64)
        values[f"b{layer}"] = rng.standard_normal(64, np.float32) / np.float32(64)
    value = jnp.asarray(rng.standard_normal((32, 64), np.float32))
    with gf.Graph():
        x = h = gf.placeholder("x", (32, 64))
        for layer in range(layers):
            w, b = gf.variable(f"w{layer}", (64, 64)), gf.variable(f"b{layer}", (64,))
            h = gf.tanh(gf.matmul(h, w) + b) + h
        step, own_seconds, note = compile_own(h, [x], [value], values)

    def net(params: dict[str, Any], h: Any) -> Any:
        for layer in range(layers):
            h = jnp.tanh(h @ params[f"w{layer}"] + params[f"b{layer}"]) + h
        return h

    params = {name: jnp.asarray(array) for name, array in values.items()}
    plain, other_seconds = compile_other(jax.jit(net), params, value)
    return Sides(
        lambda: step()[0][0],
        lambda: plain(params, value).block_until_ready(),
        own_seconds,
        other_seconds,
        note,
    )


def deep_transformer(nodes: int) -> Sides:
    """A training step with Adam of a transformer of width 128, batch 2, length 32."""
    layers = max(1, nodes // TRANSFORMER_NODES)
    model = transformer(np.random.default_rng(0), batch=2, length=32, layers=layers)
    batch = [jnp.asarray(model.inputs), jnp.asarray(model.labels)]
    with gf.Graph():
        x = gf.placeholder("x", model.inputs.shape, model.inputs.dtype)
        y = gf.placeholder("y", model.labels.shape, model.labels.dtype)
        loss = model.graph(x, y)
        weights = dict(loss.graph.variables)
        train = gf.train.Adam(RATE, BETA1, BETA2, EPSILON).minimize(loss)
        with gf.Session(level="O0") as drawing:
            start = {name: drawing.variables[name] for name in weights}
        step, own_seconds, note = compile_own([loss, train], [x, y], batch, start)
    params = {name: jnp.array(value) for name, value in start.items()}
    zeros = ({name: jnp.zeros_like(value) for name, value in params.items()} for _ in range(2))
    state = [params, *zeros, jnp.zeros((), jnp.int32)]
    jitted = adam_step(model.loss)
    began = time.perf_counter()
    _, *state[:] = jitted(*state, *batch)
    jax.block_until_ready(state)
    other_seconds = time.perf_counter() - began

    def other() -> Any:
        value, *state[:] = jitted(*state, *batch)
        return jax.block_until_ready((value, state))[0]

    return Sides(lambda: step()[0][0], other, own_seconds, other_seconds, note)


ROWS: dict[str, Callable[[int], Sides]] = {"chain": chain, "dense": dense, "transformer": deep_transformer}


def check(name: str, sides: Sides) -> None:
    """Raise unless both sides compute the same, up to rounding."""
    own, other = (np.asarray(side(), np.float64) for side in (sides.own, sides.other))
    difference = np.max(np.abs(own - other)) / max(np.max(np.abs(other)), 1e-12)
    if own.shape != other.shape or not difference < 1e-3:
        raise SystemExit(f"{name}: the results differ by {difference}")


def measure(sides: Sides, rounds: int) -> tuple[float, float, float]:
    """Median seconds of either side, and the median of the rounds' ratios."""
    times: dict[str, list[float]] = {"own": [], "other": []}
    for turn in range(rounds):
        for side in ("own", "other") if turn % 2 else ("other", "own"):
            start = time.perf_counter()
            getattr(sides, side)()
            times[side].append(time.perf_counter() - start)
    ratio = statistics.median([own / other for own, other in zip(times["own"], times["other"])])
    return statistics.median(times["own"]), statistics.median(times["other"]), ratio


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ROWS), help="which rows, separated by commas")
    parser.add_argument("--nodes", type=int, default=SMALL, help=f"size of the programs (default {SMALL})")
    parser.add_argument("--full", action="store_true", help=f"the same as --nodes {FULL}; takes minutes")
    parser.add_argument("--rounds", type=int, default=10, help="timed calls of each side")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(ROWS)
    if unknown or options.rounds < 1 or options.nodes < 8:
        parser.error(f"choose rows among {', '.join(ROWS)}, --rounds from 1 and --nodes from 8 on")
    nodes = FULL if options.full else options.nodes
    device = jax.devices()[0]
    versions = f"jax {jax.__version__}, numpy {np.__version__}, graphflow {gf.__version__}"
    print(f"python {platform.python_version()}, {versions}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, {device.platform}: {device.device_kind}")
    print(f"{'program':12} {'compile s':>10} {'JAX':>8} {'times':>6}   {'run ms':>8} {'JAX':>8} {'ratio':>6}")
    missed = 0
    for name in options.only.split(","):
        sides = ROWS[name](nodes)
        check(name, sides)
        own, other, ratio = measure(sides, options.rounds)
        missed += ratio > RATIO or (nodes >= FULL and sides.own_seconds > SECONDS.get(name, float("inf")))
        faster = sides.other_seconds / sides.own_seconds
        print(
            f"{name:12} {sides.own_seconds:10.2f} {sides.other_seconds:8.2f} {faster:6.1f}   "
            f"{own * 1e3:8.2f} {other * 1e3:8.2f} {ratio:6.2f}   {sides.note}",
            flush=True,
        )
    limits = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in SECONDS.items())
    print(f"targets: running ratio at most {RATIO}; at {FULL:,} nodes {limits}; {missed} rows miss them")
    return 0


if __name__ == "__main__":
    sys.exit(main())

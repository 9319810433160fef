"""An LSTM over 200 steps, forward and backward, by gf.scan against the same function by jax.lax.scan.

    python benchmarks/scan.py [--sizes 32x64x128,8x32x32] [--steps 200] [--repeats 100]

Both sides compute the mean of the squared outputs and its gradients with respect to the weights, from the
same weights and input, in float32: GraphFlow by `gf.nn.lstm` and `gf.gradients`, JAX by `lax.scan` and
`jax.value_and_grad` under `jax.jit`. Both multiply the input of all steps with its weights before the
loop. Before anything is timed the results are compared: the script fails if they disagree. Then single
calls alternate, so that whatever else the machine does hits both alike; the table shows the medians, and
the median of the ratios of neighbouring calls.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from heading import heading

import graphflow as gf

TARGET = 1.05
TOLERANCE = 1e-4


class Size(NamedTuple):
    """One comparison."""

    batch: int
    features: int
    units: int


Arrays = dict[str, np.ndarray]
Side = Callable[[], list[Any]]


def weights(size: Size, rng: np.random.Generator) -> Arrays:
    rows = 4 * size.units
    shapes = {"w": (rows, size.features), "r": (rows, size.units), "b": (rows,)}
    scale = size.units**-0.5
    return {name: scale * rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def graphflow(values: Arrays, x: np.ndarray) -> Side:
    """The loss and the gradients by GraphFlow, as a function that waits for them."""
    with gf.Graph():
        given = gf.placeholder("x", x.shape)
        own = [gf.variable(name, initializer=value) for name, value in values.items()]
        y, _ = gf.nn.lstm(given, *own)
        loss = gf.mean(gf.square(y))
        call = gf.Session().make_callable([loss, *gf.gradients(loss, own)], [given])
    placed = jnp.asarray(x)
    return lambda: jax.block_until_ready(call(placed))


def hand_written(values: Arrays, x: np.ndarray) -> Side:
    """The same in JAX."""

    def loss(p: Arrays, x: Any) -> Any:
        sums, turned = x @ p["w"].T + p["b"], p["r"].T
        zero = jnp.zeros((x.shape[1], turned.shape[0]), x.dtype)

        def step(state: Any, now: Any) -> Any:
            h, c = state
            i, o, f, n = jnp.split(now + h @ turned, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(n)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return jnp.mean(jnp.square(jax.lax.scan(step, (zero, zero), sums)[1]))

    compiled = jax.jit(jax.value_and_grad(loss))
    params = {name: jnp.asarray(value) for name, value in values.items()}
    placed = jnp.asarray(x)

    def run() -> list[Any]:
        value, slopes = compiled(params, placed)
        return jax.block_until_ready([value, *[slopes[name] for name in values]])

    return run


def check(own: Side, other: Side) -> float:
    """Raise unless both sides agree; their largest difference, relative to the largest number."""
    worst = 0.0
    for one, two in zip(own(), other(), strict=True):
        one, two = np.asarray(one), np.asarray(two)
        worst = max(worst, float(np.max(np.abs(one - two)) / np.max(np.abs(two))))
    if not worst < TOLERANCE:
        raise SystemExit(f"the results of both sides differ by {worst:.1e}")
    return worst


def measure(own: Side, other: Side, repeats: int) -> tuple[float, float, float]:
    """Median seconds of a call of each side, taken alternately, and the median ratio of neighbours."""
    times: dict[Side, list[float]] = {own: [], other: []}
    for turn in range(repeats):
        for side in (own, other) if turn % 2 else (other, own):
            start = time.perf_counter()
            side()
            times[side].append(time.perf_counter() - start)
    ratio = statistics.median(first / second for first, second in zip(*times.values()))
    return statistics.median(times[own]), statistics.median(times[other]), ratio


def sizes_from(text: str) -> list[Size]:
    return [Size(*map(int, part.split("x"))) for part in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", default="32x64x128,8x32x32", help="batch x features x units, separated by commas"
    )
    parser.add_argument("--steps", type=int, default=200, help="the length of the sequences")
    parser.add_argument("--repeats", type=int, default=100, help="timed calls of each side")
    options = parser.parse_args()
    try:
        sizes = sizes_from(options.sizes)
    except (TypeError, ValueError):
        parser.error(f"--sizes {options.sizes} is no list such as 32x64x128,8x32x32")
    if options.repeats < 1 or options.steps < 1 or min(min(size) for size in sizes) < 1:
        parser.error("choose sizes, --steps and --repeats of at least 1")
    print(heading())
    print(
        f"LSTM, {options.steps} steps     {'GraphFlow ms':>13} {'JAX ms':>9} {'ratio':>7}   results differ by"
    )
    late = 0
    for size in sizes:
        rng = np.random.default_rng(0)
        values = weights(size, rng)
        x = rng.standard_normal((options.steps, size.batch, size.features), np.float32)
        own, other = graphflow(values, x), hand_written(values, x)
        difference = check(own, other)
        first, second, ratio = measure(own, other, options.repeats)
        late += ratio > TARGET
        shown = f"B={size.batch} I={size.features} H={size.units}"
        print(
            f"{shown:20} {first * 1e3:13.3f} {second * 1e3:9.3f} {ratio:7.3f}   {difference:.1e}", flush=True
        )
    print(f"target: at most {TARGET}; {late} above it" if late else f"target: at most {TARGET}; reached")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Forward and backward of representative operators on the jax backend, against plain jitted JAX.

    python benchmarks/operators.py [--only matmul,conv] [--rounds 40] [--hlo]

Each row takes a function of a few arrays, its scalar loss, and the loss's gradients with respect to all
floating-point arrays: once built with GraphFlow's functions and run by `make_callable`, once written by
hand in jax.numpy and jitted with `jax.value_and_grad`. Both get the same arrays, on the device, and are
waited for. Before anything is timed, losses and gradients are compared: the script fails if they differ.

The two then take turns in rounds, first one, then the other; a round's ratio compares calls made within
milliseconds of one another, so that what else the machine does hits both alike. Shown are the best time
of each side and the median of the ratios. With `--hlo` the compiled programs are compared, too.
"""

from __future__ import annotations

import argparse
import math
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
from train_step import RecordingBackend, report_opcodes

import graphflow as gf

TARGET = 1.05
CLOSE = 1e-3
ROUND_SECONDS = 0.02


@dataclass(frozen=True)
class Row:
    """One comparison: the same loss in GraphFlow and in JAX, and the arrays it takes."""

    own: Callable[..., Any]
    other: Callable[..., Any]
    arrays: Sequence[np.ndarray]


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


# The rows. `square` makes a scalar loss with a gradient that depends on the result.


def square(m: Any, y: Any) -> Any:
    return m.sum(y * y)


def matmul(rng: np.random.Generator) -> Row:
    def loss(m: Any) -> Callable[..., Any]:
        return lambda x, y: square(m, m.matmul(x, y))

    return Row(loss(gf), loss(jnp), [normal(rng, 512, 512), normal(rng, 512, 512)])


def batched_matmul(rng: np.random.Generator) -> Row:
    def loss(m: Any) -> Callable[..., Any]:
        return lambda x, y: square(m, m.matmul(x, y))

    return Row(loss(gf), loss(jnp), [normal(rng, 32, 128, 128), normal(rng, 32, 128, 128)])


def _conv(x: Any, w: Any, strides: int, groups: int) -> Any:
    return jax.lax.conv_general_dilated(
        x, w, (strides, strides), ((1, 1), (1, 1)), dimension_numbers=("NCHW", "OIHW", "NCHW"),
        feature_group_count=groups,
    )  # fmt: skip


def conv(rng: np.random.Generator) -> Row:
    return Row(
        lambda x, w: square(gf, gf.nn.conv(x, w, padding=1)),
        lambda x, w: square(jnp, _conv(x, w, 1, 1)),
        [normal(rng, 8, 16, 32, 32), normal(rng, 32, 16, 3, 3)],
    )


def conv_stride_2(rng: np.random.Generator) -> Row:
    return Row(
        lambda x, w: square(gf, gf.nn.conv(x, w, strides=2, padding=1)),
        lambda x, w: square(jnp, _conv(x, w, 2, 1)),
        [normal(rng, 8, 32, 32, 32), normal(rng, 32, 32, 3, 3)],
    )


def max_pool(rng: np.random.Generator) -> Row:
    window = (1, 1, 2, 2)
    return Row(
        lambda x: square(gf, gf.nn.max_pool(x, 2)),
        lambda x: square(jnp, jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")),
        [normal(rng, 16, 32, 32, 32)],
    )


def layer_norm(rng: np.random.Generator) -> Row:
    def other(x: Any, scale: Any, offset: Any) -> Any:
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        return square(jnp, centred * jax.lax.rsqrt(variance + 1e-5) * scale + offset)

    return Row(
        lambda x, scale, offset: square(gf, gf.nn.layer_norm(x, scale, offset)),
        other,
        [normal(rng, 1024, 512), normal(rng, 512), normal(rng, 512)],
    )


def cross_entropy(rng: np.random.Generator) -> Row:
    def other(logits: Any, labels: Any) -> Any:
        logs = jax.nn.log_softmax(logits)
        return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=-1))

    return Row(gf.nn.cross_entropy, other, [normal(rng, 512, 1000), rng.integers(0, 1000, 512, np.int32)])


def embedding(rng: np.random.Generator) -> Row:
    return Row(
        lambda table, words: square(gf, gf.take(table, words, axis=0)),
        lambda table, words: square(jnp, jnp.take(table, words, axis=0)),
        [normal(rng, 4096, 256), rng.integers(0, 4096, (16, 128), np.int32)],
    )


def attention(rng: np.random.Generator) -> Row:
    def other(q: Any, k: Any, v: Any) -> Any:
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(0, 1, 3, 2)
        allowed = jnp.arange(q.shape[2])[:, None] >= jnp.arange(k.shape[2])
        weights = jax.nn.softmax(jnp.where(allowed, scores, 0.7 * jnp.finfo(jnp.float32).min), axis=-1)
        return square(jnp, weights @ v)

    return Row(
        lambda q, k, v: square(gf, gf.nn.attention(q, k, v, causal=True)),
        other,
        [normal(rng, 4, 4, 128, 32) for _ in range(3)],
    )


def gelu_chain(rng: np.random.Generator) -> Row:
    def other(x: Any, gate: Any, bias: Any) -> Any:
        return square(jnp, jnp.tanh(jax.nn.gelu(x + bias, approximate=False) * jax.nn.sigmoid(gate)) + x)

    def own(x: Any, gate: Any, bias: Any) -> Any:
        return square(gf, gf.tanh(gf.nn.gelu(x + bias) * gf.nn.sigmoid(gate)) + x)

    return Row(own, other, [normal(rng, 256, 1024), normal(rng, 256, 1024), normal(rng, 1024)])


def variance(rng: np.random.Generator) -> Row:
    def loss(m: Any) -> Callable[..., Any]:
        return lambda x: square(m, m.var(x, axis=1) * m.sum(x, axis=1)) + square(m, m.sum(x, axis=0))

    return Row(loss(gf), loss(jnp), [normal(rng, 1024, 1024)])


def cumulative_sum(rng: np.random.Generator) -> Row:
    return Row(
        lambda x: square(gf, gf.cumulative_sum(x, axis=1)),
        lambda x: square(jnp, jnp.cumsum(x, axis=1)),
        [normal(rng, 256, 1024)],
    )


def top_k(rng: np.random.Generator) -> Row:
    return Row(
        lambda x: square(gf, gf.top_k(x, 8)[0]),
        lambda x: square(jnp, jax.lax.top_k(x, 8)[0]),
        [normal(rng, 256, 1024)],
    )


ROWS: dict[str, Callable[[np.random.Generator], Row]] = {
    row.__name__: row
    for row in (
        matmul, batched_matmul, conv, conv_stride_2, max_pool, layer_norm, cross_entropy, embedding,
        attention, gelu_chain, variance, cumulative_sum, top_k,
    )
}  # fmt: skip


# Measuring


@dataclass
class Sides:
    """Both sides of a row, as functions that compute loss and gradients and wait for them."""

    own: Callable[[], Any]
    other: Callable[[], Any]
    texts: tuple[str, str]


def prepare(row: Row) -> Sides:
    """Compile both sides, and place the arrays."""
    backend = RecordingBackend()
    with gf.Graph():
        inputs = [gf.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(row.arrays)]
        loss = row.own(*inputs)
        leaves = [tensor for tensor in inputs if tensor.dtype.is_floating]
        step = gf.Session(backend=backend).make_callable([loss, *gf.gradients(loss, leaves)], inputs)
    arrays = [jnp.asarray(array) for array in row.arrays]
    numbers = tuple(i for i, array in enumerate(row.arrays) if array.dtype.kind == "f")
    compiled = jax.jit(jax.value_and_grad(row.other, numbers))
    text = compiled.lower(*arrays).compile().as_text()

    def own() -> Any:
        return jax.block_until_ready(step(*arrays))

    def other() -> Any:
        return jax.block_until_ready(compiled(*arrays))

    own()
    return Sides(own, other, (backend.latest.text(), text))


def check(name: str, sides: Sides) -> float:
    """Raise unless losses and gradients agree; their largest difference relative to the largest value."""
    value, slopes = sides.other()
    worst = 0.0
    for own, other in zip(sides.own(), [value, *slopes], strict=True):
        own, other = np.asarray(own, np.float64), np.asarray(other, np.float64)
        difference = np.max(np.abs(own - other)) / max(np.max(np.abs(other)), 1e-12)
        if own.shape != other.shape or not difference < CLOSE:
            raise SystemExit(f"{name}: the results differ by {difference}")
        worst = max(worst, float(difference))
    return worst


def measure(sides: Sides, rounds: int) -> tuple[float, float, float]:
    """Best seconds of a call of either side, and the median ratio of a round."""
    start = time.perf_counter()
    sides.other()
    calls = max(1, int(ROUND_SECONDS / 2 / max(time.perf_counter() - start, 1e-6)))
    best = {sides.own: math.inf, sides.other: math.inf}
    ratios = []
    for turn in range(rounds):
        taken = {sides.own: math.inf, sides.other: math.inf}
        for call in range(calls):
            for side in list(taken)[:: 1 if (turn + call) % 2 else -1]:
                start = time.perf_counter()
                side()
                taken[side] = min(taken[side], time.perf_counter() - start)
        ratios.append(taken[sides.own] / taken[sides.other])
        best = {side: min(best[side], taken[side]) for side in best}
    return best[sides.own], best[sides.other], statistics.median(ratios)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ROWS), help="which rows, separated by commas")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of about 20 ms or two calls")
    parser.add_argument("--hlo", action="store_true", help="compare the compiled programs, too")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(ROWS)
    if unknown or options.rounds < 1:
        parser.error(f"choose rows among {', '.join(ROWS)}, and --rounds of at least 1")
    print(heading())
    print(f"{'operator':16} {'GraphFlow ms':>13} {'JAX ms':>9} {'ratio':>7}   results differ by")
    late = 0
    for name in options.only.split(","):
        sides = prepare(ROWS[name](np.random.default_rng(0)))
        difference = check(name, sides)
        own, other, ratio = measure(sides, options.rounds)
        late += ratio > TARGET
        print(f"{name:16} {own * 1e3:13.3f} {other * 1e3:9.3f} {ratio:7.3f}   {difference:.1e}", flush=True)
        if options.hlo:
            report_opcodes(sides.texts)
    print(f"target: at most {TARGET}; {late} above it" if late else f"target: at most {TARGET}; reached")
    return 0


if __name__ == "__main__":
    sys.exit(main())

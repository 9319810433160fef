"""What a run costs beyond the computation: `sess.run` and `make_callable` against the same jitted function.

Each row compares a GraphFlow call with a call of one `jax.jit` function of the same mathematics, with
feeds and results placed alike: NumPy arrays in and out for `sess.run`, device arrays in and out for
`make_callable`. The calls take turns in rounds; shown are medians over the rounds, of the times and of
the ratio within a round.

    python benchmarks/session_overhead.py [--rounds N] [--calls N] [--check]
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

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

import graphflow as gf

ROWS, INPUTS = 8, 16
IMAGES = np.linspace(-1, 1, ROWS * INPUTS, dtype=np.float32).reshape(ROWS, INPUTS)
RATE = 0.01

Call = Callable[[], object]


@dataclass
class Row:
    """A GraphFlow call beside its peer, and the ratio that is promised (None: shown only)."""

    name: str
    ours: Call
    peer: Call
    target: float | None


def forward_graph() -> tuple[gf.Tensor, gf.Tensor]:
    """Eight rows of exp(-(x w + b)^2), elementwise: so little work that what is measured is the call."""
    x = gf.placeholder("x", ("batch", INPUTS))
    w = gf.variable("w", (INPUTS,), initializer=gf.initializers.ones())
    b = gf.variable("b", (INPUTS,))
    h = x * w + b
    return x, gf.exp(-(h * h))


def forward_jax(w: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    """The same by hand."""
    h = x * w + b
    return jnp.exp(-(h * h))


def forward_rows() -> list[Row]:
    """The function alone, no state changes."""
    with gf.Graph("forward") as graph:
        x, y = forward_graph()
    sess = gf.Session(graph)
    step = sess.make_callable(y, [x])
    jitted = jax.jit(forward_jax)
    w, b = (jnp.asarray(sess.variables[name]) for name in ("w", "b"))
    placed = jnp.asarray(IMAGES)
    np.testing.assert_allclose(sess.run(y, {x: IMAGES}), jitted(w, b, IMAGES), rtol=1e-5)
    return [
        Row(
            "sess.run, forward",
            lambda: sess.run(y, {x: IMAGES}),
            lambda: np.asarray(jitted(w, b, IMAGES)),
            1.6,
        ),
        Row("make_callable, forward", lambda: step(placed), lambda: jitted(w, b, placed), 1.15),
    ]


def training_rows() -> list[Row]:
    """A gradient step: two variables change in each run."""
    with gf.Graph("training") as graph:
        x, y = forward_graph()
        loss = gf.sum(y)
        w, b = graph.variables["w"], graph.variables["b"]
        dw, db = gf.gradients(loss, [w, b])
        train = gf.group(gf.assign(w, w - dw * RATE), gf.assign(b, b - db * RATE))

    def jax_step(w: jax.Array, b: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        value, (dw, db) = jax.value_and_grad(lambda w, b: forward_jax(w, b, x).sum(), argnums=(0, 1))(w, b)
        return value, w - dw * RATE, b - db * RATE

    jitted = jax.jit(jax_step, donate_argnums=(0, 1))
    placed = jnp.asarray(IMAGES)
    session, other = gf.Session(graph), gf.Session(graph)
    state = {
        use: [jnp.array(session.variables["w"]), jnp.array(session.variables["b"])]
        for use in ("host", "device")
    }
    step = other.make_callable([loss, train], [x])

    def peer_host() -> np.ndarray:
        value, *state["host"] = jitted(*state["host"], IMAGES)
        return np.asarray(value)

    def peer_device() -> jax.Array:
        value, *state["device"] = jitted(*state["device"], placed)
        return value

    np.testing.assert_allclose(session.run([loss, train], {x: IMAGES})[0], peer_host(), rtol=1e-5)
    np.testing.assert_allclose(step(placed)[0], peer_device(), rtol=1e-5)
    return [
        Row("sess.run, training", lambda: session.run([loss, train], {x: IMAGES}), peer_host, 1.6),
        Row("make_callable, training", lambda: step(placed), peer_device, 1.15),
    ]


def tensorflow_rows() -> list[Row]:
    """tensorflow's compat.v1 Session on the forward graph, where it can be imported."""
    try:
        import tensorflow as tf
    except ImportError:
        return []
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, (None, INPUTS))
        w = v1.get_variable("w", (INPUTS,))
        b = v1.get_variable("b", (INPUTS,))
        y = tf.exp(-tf.square(x * w + b))
        sess = v1.Session()
        sess.run(v1.global_variables_initializer())
    with gf.Graph("forward") as graph:
        ours_x, ours_y = forward_graph()
    ours = gf.Session(graph)
    return [
        Row(
            f"sess.run, forward (peer: tensorflow {tf.__version__} compat.v1)",
            lambda: ours.run(ours_y, {ours_x: IMAGES}),
            lambda: sess.run(y, {x: IMAGES}),
            None,
        )
    ]


def measure(row: Row, rounds: int, repeats: int) -> tuple[float, float, float]:
    """Median microseconds of our call and of its peer, and the median over the rounds of their ratio.

    The two take turns, so that both see the same machine; rows are measured one after the other, as the
    threads of one row's computation would disturb the others.
    """
    calls = (row.ours, row.peer)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(200):
        row.ours(), row.peer()
    for _ in range(rounds):
        for call, taken in zip(calls, times):
            started = time.perf_counter()
            for _ in range(repeats):
                call()
            taken.append((time.perf_counter() - started) / repeats * 1e6)
    ours, peer = map(statistics.median, times)
    return ours, peer, statistics.median(first / second for first, second in zip(*times))


def main() -> int:
    """Measure and print; with --check return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--calls", type=int, default=50, help="calls a round")
    parser.add_argument("--check", action="store_true", help="fail if a ratio is above its target")
    options = parser.parse_args()
    processor = platform.processor() or platform.machine()
    print(f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"jax {jax.__version__} on {jax.default_backend()}, numpy {np.__version__}")
    rows = [*forward_rows(), *training_rows(), *tensorflow_rows()]
    print(f"{'':<40} {'graphflow':>10} {'peer':>10} {'ratio':>7} {'target':>8}")
    missed = 0
    for row in rows:
        ours, peer, ratio = measure(row, options.rounds, options.calls)
        target = "" if row.target is None else f"<= {row.target}"
        missed += row.target is not None and ratio > row.target
        print(f"{row.name:<40} {ours:8.2f}us {peer:8.2f}us {ratio:7.2f} {target:>8}")
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""A training step of GraphFlow against the hand-written, jitted JAX step with the same maths.

    python benchmarks/train_step.py [--models mlp,cnn,transformer] [--repeats 100] [--hlo]

Three models are trained with Adam: a perceptron, a convolutional net and a 4-layer transformer. Both
sides start from the same weights, take the same batches from device memory, donate their state, and
are waited for after every step: the loss, and every weight and moment. Before anything is timed the
first losses of both are compared: the script fails if they disagree. Then single steps alternate, so
that whatever else the machine does hits both alike; the table shows the medians and the ratio of
GraphFlow's to JAX's.
`--hlo` also counts the operations of the two compiled programs, where they differ.
"""

from __future__ import annotations

import argparse
import collections
import math
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from heading import heading

import graphflow as gf
from graphflow.runtime.jax.backend import JaxBackend

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
TARGET = 1.03
CHECKED_STEPS = 5

Params = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """One comparison.

    Attributes:
        graph: builds the loss from the two placeholders, in GraphFlow.
        loss: the same in JAX, from the variables by name and the two arrays.
        inputs, labels: a batch.
    """

    name: str
    graph: Callable[[Any, Any], Any]
    loss: Callable[[Params, Any, Any], Any]
    inputs: np.ndarray
    labels: np.ndarray


# The hand-written side


def dense(p: Params, name: str, x: Any) -> Any:
    return x @ p[f"{name}/kernel"] + p[f"{name}/bias"]


def cross_entropy(logits: Any, labels: Any) -> Any:
    """As gf.nn.cross_entropy: the mean of the labels' log-probabilities, NaN for labels out of range."""
    logs = jax.nn.log_softmax(logits)
    classes = jnp.arange(logits.shape[-1], dtype=labels.dtype)
    picked = jnp.sum(jnp.where(labels[..., None] == classes, logs, 0), axis=-1)
    valid = (labels >= 0) & (labels < logits.shape[-1])
    return jnp.mean(jnp.where(valid, -picked, jnp.nan))


def adam_step(loss: Callable[..., Any]) -> Callable[..., Any]:
    """(params, first moments, second moments, count, batch) -> loss and the new four, donated."""

    def step(params: Params, first: Params, second: Params, count: Any, x: Any, y: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(params, x, y)
        count = count + 1
        t = count.astype(jnp.float32)
        unbias1, unbias2 = -jnp.expm1(t * math.log(BETA1)), -jnp.expm1(t * math.log(BETA2))
        new_params, new_first, new_second = {}, {}, {}
        for name, w in params.items():
            g = slopes[name]
            m = new_first[name] = BETA1 * first[name] + (1 - BETA1) * g
            v = new_second[name] = BETA2 * second[name] + (1 - BETA2) * (g * g)
            new_params[name] = w - RATE * ((m / unbias1) / (jnp.sqrt(v / unbias2) + EPSILON))
        return value, new_params, new_first, new_second, count

    return jax.jit(step, donate_argnums=(0, 1, 2, 3))


# The models, each in GraphFlow and in JAX


def perceptron(rng: np.random.Generator, batch: int = 128) -> Model:
    def graph(x: Any, y: Any) -> Any:
        h = gf.layers.dense(x, 512, activation=gf.nn.relu)
        h = gf.layers.dense(h, 256, activation=gf.nn.relu)
        return gf.nn.cross_entropy(gf.layers.dense(h, 10), y)

    def loss(p: Params, x: Any, y: Any) -> Any:
        h = jax.nn.relu(dense(p, "dense", x))
        h = jax.nn.relu(dense(p, "dense_1", h))
        return cross_entropy(dense(p, "dense_2", h), y)

    inputs = rng.standard_normal((batch, 784), np.float32)
    return Model("mlp", graph, loss, inputs, rng.integers(0, 10, batch, np.int32))


def convolutional(rng: np.random.Generator, batch: int = 32) -> Model:
    def graph(x: Any, y: Any) -> Any:
        h = gf.nn.max_pool(gf.layers.conv(x, 16, 3, activation=gf.nn.relu), 2)
        h = gf.nn.max_pool(gf.layers.conv(h, 32, 3, activation=gf.nn.relu), 2)
        return gf.nn.cross_entropy(gf.layers.dense(gf.reshape(h, (batch, 32 * 7 * 7)), 10), y)

    def conv(p: Params, name: str, x: Any) -> Any:
        y = jax.lax.conv_general_dilated(
            x, p[f"{name}/kernel"], (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")
        )
        return y + p[f"{name}/bias"][:, None, None]

    def pool(x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss(p: Params, x: Any, y: Any) -> Any:
        h = pool(jax.nn.relu(conv(p, "conv", x)))
        h = pool(jax.nn.relu(conv(p, "conv_1", h)))
        return cross_entropy(dense(p, "dense", h.reshape(batch, -1)), y)

    inputs = rng.standard_normal((batch, 1, 28, 28), np.float32)
    return Model("cnn", graph, loss, inputs, rng.integers(0, 10, batch, np.int32))


def transformer(rng: np.random.Generator, batch: int = 8, length: int = 64, layers: int = 4) -> Model:
    vocabulary, width, heads = 256, 128, 4
    size = width // heads

    def graph(x: Any, y: Any) -> Any:
        h = gf.layers.embedding(x, vocabulary, width)
        for _ in range(layers):
            normal = gf.layers.layer_norm(h)
            h = h + gf.layers.multi_head_attention(normal, heads, causal=True)
            wide = gf.layers.dense(gf.layers.layer_norm(h), 4 * width, activation=gf.nn.gelu)
            h = h + gf.layers.dense(wide, width)
        return gf.nn.cross_entropy(gf.layers.dense(gf.layers.layer_norm(h), vocabulary), y)

    def layer_norm(p: Params, name: str, x: Any) -> Any:
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}/scale"] + p[f"{name}/offset"]

    def attention(p: Params, name: str, x: Any) -> Any:
        def project(part: str) -> Any:
            return dense(p, f"{name}/{part}", x).reshape(batch, length, heads, size).transpose(0, 2, 1, 3)

        q, k, v = project("query"), project("key"), project("value")
        scores = (q / math.sqrt(size)) @ k.transpose(0, 1, 3, 2)
        allowed = jnp.arange(length)[:, None] >= jnp.arange(length)
        weights = jax.nn.softmax(jnp.where(allowed, scores, 0.7 * jnp.finfo(jnp.float32).min), axis=-1)
        joined = (weights @ v).transpose(0, 2, 1, 3).reshape(batch, length, width)
        return dense(p, f"{name}/output", joined)

    def loss(p: Params, x: Any, y: Any) -> Any:
        h = p["embedding/table"][x]
        norms, attentions, denses = (
            _numbered(kind) for kind in ("layer_norm", "multi_head_attention", "dense")
        )
        for _ in range(layers):
            h = h + attention(p, next(attentions), layer_norm(p, next(norms), h))
            wide = jax.nn.gelu(dense(p, next(denses), layer_norm(p, next(norms), h)), approximate=False)
            h = h + dense(p, next(denses), wide)
        return cross_entropy(dense(p, next(denses), layer_norm(p, next(norms), h)), y)

    words = rng.integers(0, vocabulary, (batch, length + 1), np.int32)
    return Model(
        "transformer", graph, loss, np.ascontiguousarray(words[:, :-1]), np.ascontiguousarray(words[:, 1:])
    )


def _numbered(kind: str) -> Any:
    """The names that layers of one kind get, one after the other."""
    yield kind
    for number in range(1, 1000):
        yield f"{kind}_{number}"


MODELS = {"mlp": perceptron, "cnn": convolutional, "transformer": transformer}


# Measuring


@dataclass
class Sides:
    """Both training steps of one model, as functions that take a step, wait for all of it, give the loss."""

    graphflow: Callable[[], float]
    hand_written: Callable[[], float]
    texts: tuple[str, str]


def prepare(model: Model) -> Sides:
    """Compile both sides, from the same weights."""
    backend = RecordingBackend()
    with gf.Graph():
        x = gf.placeholder("x", model.inputs.shape, model.inputs.dtype)
        y = gf.placeholder("y", model.labels.shape, model.labels.dtype)
        loss = model.graph(x, y)
        weights = {name: tensor for name, tensor in loss.graph.variables.items()}
        train = gf.train.Adam(RATE, BETA1, BETA2, EPSILON).minimize(loss)
        session = gf.Session(backend=backend)
    start = session.run(weights)
    own_step = session.make_callable([loss, train], [x, y])
    batch = jnp.asarray(model.inputs), jnp.asarray(model.labels)

    def graphflow() -> float:
        value = own_step(*batch)[0]
        return jax.block_until_ready((value, session.variables.arrays))[0]

    params = {name: jnp.array(value) for name, value in start.items()}
    zeros = ({name: jnp.zeros_like(value) for name, value in params.items()} for _ in range(2))
    state = [params, *zeros, jnp.zeros((), jnp.int32)]
    step = adam_step(model.loss)
    compiled = step.lower(*state, *batch).compile().as_text()

    def hand_written() -> float:
        value, *state[:] = step(*state, *batch)
        return jax.block_until_ready((value, state))[0]

    graphflow()
    hand_written()
    return Sides(graphflow, hand_written, (backend.latest.text(), compiled))


class RecordingBackend(JaxBackend):
    """The jax backend, keeping what it compiled last for a look inside."""

    latest: Any = None

    def compile(self, program: Any, options: Any) -> Any:
        self.latest = super().compile(program, options)
        return self.latest


def check(model: Model, sides: Sides) -> float:
    """Raise unless the losses of the next steps agree; their largest relative difference."""
    worst = 0.0
    for step in range(CHECKED_STEPS):
        own, other = float(sides.graphflow()), float(sides.hand_written())
        difference = abs(own - other) / max(abs(other), 1e-12)
        if not difference < 1e-3:
            raise SystemExit(f"{model.name}: at step {step + 2} GraphFlow's loss is {own}, JAX's {other}")
        worst = max(worst, difference)
    return worst


def measure(sides: Sides, repeats: int) -> tuple[float, float]:
    """Median seconds of a step of both sides, taken alternately."""
    times: dict[Callable[[], float], list[float]] = {sides.graphflow: [], sides.hand_written: []}
    for turn in range(repeats):
        order = list(times) if turn % 2 else list(times)[::-1]
        for side in order:
            start = time.perf_counter()
            side()
            times[side].append(time.perf_counter() - start)
    own, other = (statistics.median(taken) for taken in times.values())
    return own, other


def opcodes(text: str) -> collections.Counter:
    """How often each operation occurs in an HLO text, fused computations included."""
    return collections.Counter(re.findall(r"= \S+ ([a-z][a-z0-9-]*)\(", text))


def report_opcodes(texts: tuple[str, str]) -> None:
    own, other = map(opcodes, texts)
    rows = [(name, own[name], other[name]) for name in sorted(own | other) if own[name] != other[name]]
    print(f"    HLO operations: {own.total()} against {other.total()}; where they differ:")
    for name, count, wanted in rows:
        print(f"      {name:24} {count:5} {wanted:5}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="mlp,cnn,transformer", help="which, separated by commas")
    parser.add_argument("--repeats", type=int, default=100, help="timed steps of each side")
    parser.add_argument("--hlo", action="store_true", help="compare the compiled programs, too")
    options = parser.parse_args()
    unknown = set(options.models.split(",")) - set(MODELS)
    if unknown or options.repeats < 1:
        parser.error(f"choose models among {', '.join(MODELS)}, and --repeats of at least 1")
    print(heading())
    print(f"{'model':12} {'GraphFlow ms':>13} {'JAX ms':>9} {'ratio':>7}   losses differ by")
    late = 0
    for name in options.models.split(","):
        model = MODELS[name](np.random.default_rng(0))
        sides = prepare(model)
        difference = check(model, sides)
        own, other = measure(sides, options.repeats)
        late += own / other > TARGET
        print(
            f"{name:12} {own * 1e3:13.3f} {other * 1e3:9.3f} {own / other:7.3f}   {difference:.1e}",
            flush=True,
        )
        if options.hlo:
            report_opcodes(sides.texts)
    print(f"target: at most {TARGET}; {late} above it" if late else f"target: at most {TARGET}; reached")
    return 0


if __name__ == "__main__":
    sys.exit(main())

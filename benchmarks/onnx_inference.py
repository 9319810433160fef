"""Inference of ONNX models on the CPU: GraphFlow against onnxruntime, and against plain JAX.

    PYTHONPATH=. python benchmarks/onnx_inference.py [--models resnet50,bert] [--batches 1,8] [--quick]

Models are the nine light models of the package onnx with random weights, MobileNet-v2, a BERT-base-sized
encoder over 128 tokens, a step of a GPT-2-small-sized decoder that holds 127 tokens, an LSTM and a U-Net.
All three sides get the same file and the same arrays in host memory, and are waited for until the outputs are
in host memory. *onnxruntime* is its CPU provider at its highest level; *plain JAX* is the model as it is,
each node one JAX function, in one jax.jit with the weights as arguments; GraphFlow optimises at --level.
Outputs are compared before anything is timed: the script fails where they differ.

All have two threads (on more cores, start it with `taskset -c 0,1`), run in one process and take turns, with
a pause before each turn, as onnxruntime's threads go on spinning for 49 ms. In a turn a side is called for
60 ms, once at least, before the call that counts: cores that have slept, and caches that hold another's
weights, cost up to half again. Shown are the median times, and the medians of the others' time over
GraphFlow's of the same round: above 1, GraphFlow is faster.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
import onnx
import onnxruntime
from heading import heading
from onnx_models import MODELS, model

import graphflow as gf
from graphflow.cli.bench_sides import PAUSE, warm_up
from graphflow.optimizer.program import extract
from graphflow.runtime.jax.lower import lower
from graphflow.runtime.jax.lower_conv import xla_conv
from graphflow.runtime.jax.lowering import LOWERINGS

THREADS = 2
CLOSE = 1e-3
GOALS = {"onnxruntime": (0.9, 0.5), "plain JAX": (1.3, 0.0)}
"""Of the geometric mean, and of each model."""

Call = Callable[[], Sequence[np.ndarray]]


def ours(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray], level: str) -> Call:
    """GraphFlow's side."""
    loaded = gf.onnx.load(proto)
    session = gf.Session(loaded.graph, level=level)
    inputs = [loaded.inputs[name] for name in feeds]
    step = session.make_callable(list(loaded.outputs.values()), inputs)
    arrays = list(feeds.values())
    return lambda: [np.asarray(array) for array in step(*arrays)]


def plain(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> Call:
    """JAX's side."""
    loaded = gf.onnx.load(proto)
    inputs = [loaded.inputs[name] for name in feeds]
    program = extract(list(loaded.outputs.values()), feeds=inputs, training=False)
    rule = LOWERINGS["conv"]
    LOWERINGS["conv"] = xla_conv  # groups as JAX has them, not as products and shifts
    try:
        lowered = lower(program)
        with jax.enable_x64(True):
            weights = [jax.numpy.array(array) for array in lowered.constants]
            arrays = list(feeds.values())
            compiled = jax.jit(lowered.function).lower(*weights, *arrays).compile()
    finally:
        LOWERINGS["conv"] = rule
    return lambda: [np.asarray(array) for array in compiled(*weights, *arrays)]


def theirs(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> Call:
    """onnxruntime's side."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, dict(feeds))


def difference(made: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference of outputs, as a part of the largest number of each."""
    return max(
        float(np.max(np.abs(one - other)) / max(np.max(np.abs(other)), 1e-30))
        for one, other in zip(made, wanted, strict=True)
    )


def measured(calls: Mapping[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, one a round."""
    seconds: dict[str, list[float]] = {side: [] for side in calls}
    sides = list(calls)
    for turn in range(rounds + 1):
        for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
            time.sleep(PAUSE)
            warm_up(calls[side])
            start = time.perf_counter()
            calls[side]()
            if turn:
                seconds[side].append(time.perf_counter() - start)
    return seconds


def row(name: str, batch: int, options: argparse.Namespace) -> dict[str, float]:
    """Print a line; the ratios to the others."""
    proto, feeds = model(name, batch, options.small)
    calls = {"GraphFlow": ours(proto, feeds, options.level), "onnxruntime": theirs(proto, feeds)}
    if not options.no_plain:
        calls["plain JAX"] = plain(proto, feeds)
    wanted = calls["onnxruntime"]()
    for side, call in calls.items():
        found = difference(call(), wanted)
        if not found < CLOSE:
            sys.exit(f"{name}: the outputs of {side} differ by {found:.1e}")
    seconds = measured(calls, options.rounds)
    ratios = {
        side: statistics.median(a / b for a, b in zip(seconds[side], seconds["GraphFlow"]))
        for side in list(calls)[1:]
    }
    times = "".join(f"{1e3 * statistics.median(values):>13.2f}" for values in seconds.values())
    print(f"{name:<15}{batch:>6}{times}" + "".join(f"{one:>9.2f}" for one in ratios.values()), flush=True)
    return ratios


def summary(rows: Sequence[Mapping[str, float]]) -> None:
    """Print the geometric means and the goals."""
    for side, (goal, least) in GOALS.items():
        found = [ratios[side] for ratios in rows if side in ratios]
        if found:
            mean = math.exp(statistics.fmean(map(math.log, found)))
            floor = (
                f", the least {min(found):.2f} (goal {least})" if least else f", the least {min(found):.2f}"
            )
            print(f"throughput of {side} x: geometric mean {mean:.2f} (goal {goal}){floor}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=",".join(MODELS), help="names, with commas")
    parser.add_argument("--batches", default="1,8", help="sizes, with commas")
    parser.add_argument("--level", default="O3", choices=("O1", "O2", "O3"), help="of the optimizer (O3)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="batch 1 alone, in 5 rounds")
    parser.add_argument("--small", action="store_true", help="small models, to try the script")
    parser.add_argument("--no-plain", action="store_true", help="leave plain JAX out")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.rounds = "1", 5
    names = options.models.split(",")
    unknown = sorted(set(names) - set(MODELS))
    if unknown or options.rounds < 1:
        parser.error(f"choose among {', '.join(MODELS)}, and --rounds of at least 1")
    print(heading())
    flags = os.environ.get("XLA_FLAGS", "")
    print(f"onnxruntime {onnxruntime.__version__}, {THREADS} threads; level {options.level}; {flags=!s}")
    sides = ["GraphFlow", "onnxruntime"] + ["plain JAX"] * (not options.no_plain)
    titles = "".join(f"{side + ' ms':>13}"[-15:] for side in sides)
    print(f"{'model':<15}{'batch':>6}{titles}" + "".join(f"{'/ ' + s:>9.9}" for s in ("ort", "JAX")))
    summary([row(name, int(batch), options) for name in names for batch in options.batches.split(",")])
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast the graph engine is: build a large graph, differentiate it, clean it (O1).

    python benchmarks/engine.py [--nodes 100000] [--skip-peers]

The graph is a deep net of elementwise layers in which each layer reads the one before and one from
far back, so that tensors have several users; a fifth of its nodes are redundant (products with 1,
duplicates), as they are in graphs that programs write. Times are the best of `--repeats` runs, in
microseconds a node: of the nodes built, of the nodes that the gradients add, and for O1 (extraction
included) of the nodes that go in. The growth exponent is log(t2 / t1) / log(n2 / n1) between a
quarter and twice the nodes; 1 is linear.

Peers build the same net with the same operators, in the same run, where they can be imported:
tensorflow (compat.v1) and pytensor. They are so much slower that they get fewer nodes; each is
compared with GraphFlow on as many nodes, and both do it `--repeats` times, the best run counting.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WIDTH, SPAN, WEIGHTS = 16, 12, 32
NODES_A_LAYER = 8


def layers_for(nodes: int) -> int:
    """How many layers make about so many nodes."""
    return max(1, (nodes - WEIGHTS - 2) // NODES_A_LAYER)


def net(x: Any, weights: list[Any], count: int, tanh: Callable, multiply: Callable, add: Callable) -> Any:
    """The last layer's output, in any library's functions. Eight nodes a layer, the constant included."""
    history = [x]
    for index in range(count):
        h, skip, w = history[-1], history[max(0, index - SPAN)], weights[index % WEIGHTS]
        scaled = multiply(h, w)
        same = multiply(multiply(h, w), 1.0)
        history.append(tanh(add(add(scaled, skip), add(same, h))))
    return history[-1]


# GraphFlow


def measure(nodes: int) -> dict[str, float]:
    """Seconds and node counts of one run."""
    import graphflow as gf
    from graphflow.optimizer.pipelines import optimize
    from graphflow.optimizer.program import extract

    gc.collect()
    with gf.Graph() as graph:
        start = time.perf_counter()
        x = gf.placeholder("x", ("batch", WIDTH))
        weights = [gf.variable(f"w{index}", (WIDTH,)) for index in range(WEIGHTS)]
        loss = gf.sum(net(x, weights, layers_for(nodes), gf.tanh, gf.multiply, gf.add))
        built, building = len(graph.nodes), time.perf_counter() - start
        start = time.perf_counter()
        gradients = gf.gradients(loss, weights)
        added, differentiating = len(graph.nodes) - built, time.perf_counter() - start
        start = time.perf_counter()
        program = extract([loss, *gradients], feeds=[x])
        extracted, extracting = len(program.nodes), time.perf_counter() - start
        start = time.perf_counter()
        optimize(program, "O1")
        optimizing = time.perf_counter() - start
    return {
        "built": built, "building": building, "added": added, "differentiating": differentiating,
        "extracted": extracted, "extracting": extracting,
        "optimizing": optimizing, "left": len(program.nodes),
    }  # fmt: skip


def best(nodes: int, repeats: int) -> dict[str, float]:
    """The smallest time of each step over several runs."""
    runs = [measure(nodes) for _ in range(repeats)]
    return {key: min(run[key] for run in runs) for key in runs[0]}


def per_node(result: dict[str, float]) -> tuple[float, float, float, float]:
    """Microseconds a node: build, gradients, extraction, extraction and O1."""
    extracting = result["extracting"] / result["extracted"]
    return (
        1e6 * result["building"] / result["built"],
        1e6 * result["differentiating"] / result["added"],
        1e6 * extracting,
        1e6 * (extracting + result["optimizing"] / result["extracted"]),
    )


# Peers


def tensorflow_peer(nodes: int) -> tuple[float, float, float]:
    """tensorflow's compat.v1: microseconds a node for build and gradients (no rewriting to call)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow.compat.v1 as tf

    graph = tf.Graph()
    with graph.as_default():
        start = time.perf_counter()
        x = tf.placeholder(tf.float32, (None, WIDTH))
        weights = [tf.placeholder(tf.float32, (WIDTH,)) for _ in range(WEIGHTS)]
        loss = tf.reduce_sum(net(x, weights, layers_for(nodes), tf.tanh, tf.multiply, tf.add))
        built, building = len(graph.get_operations()), time.perf_counter() - start
        start = time.perf_counter()
        tf.gradients(loss, weights)
        added, differentiating = len(graph.get_operations()) - built, time.perf_counter() - start
    return 1e6 * building / built, 1e6 * differentiating / added, math.nan


def pytensor_peer(nodes: int) -> tuple[float, float, float]:
    """pytensor: microseconds a node for build, gradients, and its canonicalize and merge rewrites."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import get_mode
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.traversal import applys_between

    sys.setrecursionlimit(10**6)
    start = time.perf_counter()
    x = pt.matrix("x", dtype="float32")
    weights = [pt.vector(f"w{index}", dtype="float32") for index in range(WEIGHTS)]
    loss = pt.sum(net(x, weights, layers_for(nodes), pt.tanh, pt.mul, pt.add))
    building = time.perf_counter() - start
    built = len(list(applys_between([x, *weights], [loss])))
    start = time.perf_counter()
    gradients = pytensor.grad(loss, weights)
    differentiating = time.perf_counter() - start
    added = len(list(applys_between([x, *weights], [loss, *gradients]))) - built
    start = time.perf_counter()
    function_graph = FunctionGraph([x, *weights], [loss, *gradients], clone=True)
    rewriter = get_mode("FAST_COMPILE").including("canonicalize").optimizer
    rewriter.rewrite(function_graph)
    rewriting = time.perf_counter() - start
    return 1e6 * building / built, 1e6 * differentiating / added, 1e6 * rewriting / (built + added)


PEERS = {"tensorflow": (tensorflow_peer, 20_000), "pytensor": (pytensor_peer, 3_000)}


# Report


def machine() -> str:
    """One line on what the numbers were measured on."""
    processor = platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def versions() -> str:
    """The versions of what took part."""
    import graphflow

    found = [f"graphflow {getattr(graphflow, '__version__', 'from source')}", f"numpy {np.__version__}"]
    for name in PEERS:
        if name in sys.modules:
            found.append(f"{name} {sys.modules[name].__version__}")
    return ", ".join(found)


def row(name: str, nodes: int, times: tuple[float, ...]) -> None:
    """One line of the table."""
    cells = "".join(f"{'-' if math.isnan(value) else format(value, '.1f'):>12}" for value in times)
    print(f"{name:<24}{nodes:>10,}{cells}")


def growth(small: dict[str, float], large: dict[str, float]) -> tuple[float, float, float, float]:
    """The growth exponents of build, gradients, extraction, and extraction with O1."""

    def exponent(keys: tuple[str, ...], size: str) -> float:
        times = [sum(result[key] for key in keys) for result in (small, large)]
        return math.log(times[1] / times[0]) / math.log(large[size] / small[size])

    return (
        exponent(("building",), "built"),
        exponent(("differentiating",), "added"),
        exponent(("extracting",), "extracted"),
        exponent(("extracting", "optimizing"), "extracted"),
    )


def compare(repeats: int, skip: bool) -> None:
    """Rows for the peers that can be imported, and how many times faster GraphFlow is at that size."""
    for name, (peer, nodes) in PEERS.items():
        if skip or importlib.util.find_spec(name) is None:
            print(f"{name:<24}{'':>10}  {'skipped' if skip else 'not installed'}")
            continue
        own = per_node(best(nodes, repeats))
        runs = [peer(nodes) for _ in range(repeats)]
        build, gradients, rewriting = (min(times) for times in zip(*runs))
        row("graphflow", nodes, own)
        row(name, nodes, (build, gradients, math.nan, rewriting))
        ratios = (build / own[0], gradients / own[1], math.nan, rewriting / own[3])
        cells = ["-" if math.isnan(ratio) else f"{ratio:.0f}x" for ratio in ratios]
        print(f"{'  slower by':<34}" + "".join(f"{cell:>12}" for cell in cells))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of the graph engine, in microseconds a node.")
    parser.add_argument(
        "--nodes", type=int, default=100_000, help="nodes of the forward graph (default 100000)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the best counts (default 3)")
    parser.add_argument("--skip-peers", action="store_true", help="leave out tensorflow and pytensor")
    options = parser.parse_args()
    measure(2_000)  # imports and memo tables
    heads = "".join(f"{head:>12}" for head in ("build", "gradients", "extract", "with O1"))
    print(f"{'microseconds a node':<24}{'nodes':>10}{heads}")
    results = {
        size: best(size, options.repeats) for size in (options.nodes // 4, options.nodes, options.nodes * 2)
    }
    for size, result in results.items():
        row("graphflow", size, per_node(result))
    small, middle, large = results.values()
    row("growth exponent", int(large["built"]), growth(small, large))
    print(f"{'':<24}{'':>10}  O1 took {int(middle['extracted']):,} nodes to {int(middle['left']):,}")
    compare(options.repeats, options.skip_peers)
    print(f"\n{machine()}\n{versions()}")


if __name__ == "__main__":
    main()

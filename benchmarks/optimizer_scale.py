"""How the optimizer scales: O2 on graphs of 25,000 to 200,000 nodes, beside pytensor on the same expressions.

    python benchmarks/optimizer_scale.py [--nodes 100000] [--skip-peers]

Three graphs:

    transformer   the training graph (loss and gradients) of a decoder, as many blocks as make so many nodes
    elementwise   a random graph of elementwise operators, each of two of the last 64 tensors; 1 in 8 of its
                  nodes is redundant (a product with 1, a double negation, an exp under a log)
    chain         one unary operator after the other

Times are the best of `--repeats` runs, in microseconds for each node that goes in, extraction not included.
They are those of the processor, which both sides keep busy by one thread: what else the machine does counts
for neither.
The growth exponent is log(t2 / t1) / log(n2 / n1) between a quarter and twice the nodes; 1 is linear.

The peer builds the elementwise graph and the chain with the same operators in the same run, and applies
what O2 does: its merge, canonicalize, stabilize and specialize rewrites, without fusion and in-place ones.
It is so much slower that it gets fewer nodes; GraphFlow is measured on as many for that row. Both take turns,
and the ratio is the median of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

WINDOW, WIDTH = 64, 16
UNARY = ("tanh", "exp", "sin", "negative", "square", "abs")
BINARY = ("add", "multiply", "subtract", "maximum")
PEER_NODES = 2_000
PEER_ROUNDS = 5

Functions = dict[str, Callable[..., Any]]


def elementwise(functions: Functions, x: Any, nodes: int) -> Any:
    """The last tensors of a random graph, summed up."""
    rng = np.random.default_rng(0)
    tensors, kinds = [x], rng.random(nodes)
    picks, which = rng.integers(0, WINDOW, (nodes, 2)), rng.integers(0, 60, nodes)
    for (first, second), kind, number in zip(picks, kinds, which):
        left, right = tensors[-1 - first % len(tensors)], tensors[-1 - second % len(tensors)]
        if kind < 0.04:
            made = functions["multiply"](left, 1.0)
        elif kind < 0.08:
            made = functions["negative"](functions["negative"](left))
        elif kind < 0.12:
            made = functions["log"](functions["exp"](left))
        elif kind < 0.5:
            made = functions[UNARY[number % len(UNARY)]](left)
        else:
            made = functions[BINARY[number % len(BINARY)]](left, right)
        tensors.append(made)
    total = tensors[-1]
    for tensor in tensors[-WINDOW:-1]:
        total = functions["add"](total, tensor)
    return total


def chain(functions: Functions, x: Any, nodes: int) -> Any:
    """One operator after the other."""
    for number in range(nodes):
        x = functions[("tanh", "sin", "abs")[number % 3]](x)
    return x


def transformer(blocks: int) -> tuple[list[Any], list[Any]]:
    """The loss of a decoder with its gradients, and the feeds."""
    import graphflow as gf

    width, heads, length = 32, 4, 8
    tokens = gf.placeholder("tokens", ("batch", length), dtype=gf.int32)
    labels = gf.placeholder("labels", ("batch", length), dtype=gf.int32)
    h = gf.take(gf.variable("embedding", (50, width)), tokens, axis=0)
    for number in range(blocks):
        with gf.name_scope(f"block{number}"):
            h = h + gf.layers.multi_head_attention(gf.layers.layer_norm(h), heads, causal=True)
            inner = gf.layers.dense(gf.layers.layer_norm(h), 2 * width, activation=gf.nn.gelu)
            h = h + gf.layers.dense(inner, width)
    loss = gf.nn.cross_entropy(gf.layers.dense(h, 50), labels)
    weights = list(loss.graph.variables.values())
    return [loss, *gf.gradients(loss, weights)], [tokens, labels]


# GraphFlow


def own_functions() -> Functions:
    """The operators by name."""
    import graphflow as gf

    return {name: getattr(gf, name) for name in (*UNARY, *BINARY, "log")}


def built(kind: str, nodes: int) -> tuple[list[Any], list[Any]]:
    """The fetches and feeds of a graph of about so many nodes."""
    import graphflow as gf

    if kind == "transformer":
        with gf.Graph():
            one = len(transformer(1)[0][0].graph.nodes)
        with gf.Graph():
            two = len(transformer(2)[0][0].graph.nodes)
        return transformer(max(1, round((nodes - one) / (two - one)) + 1))
    x = gf.placeholder("x", ("batch", WIDTH))
    make = elementwise if kind == "elementwise" else chain
    return [make(own_functions(), x, nodes)], [x]


def measure(kind: str, nodes: int, repeats: int, level: str = "O2") -> tuple[int, int, float]:
    """How many nodes go in and come out, and the best time in seconds."""
    import graphflow as gf
    from graphflow.optimizer.journal import Journal
    from graphflow.optimizer.pipelines import optimize
    from graphflow.optimizer.program import extract

    best, before, after = math.inf, 0, 0
    with gf.Graph():
        fetches, feeds = built(kind, nodes)
        for _ in range(repeats):
            program = extract(fetches, feeds=feeds, training=True)
            before = len(program.nodes)
            gc.collect()
            start = time.process_time()
            optimize(program, level, journal=Journal("counts"))
            best = min(best, time.process_time() - start)
            after = len(program.nodes)
    return before, after, best


# The peer


def pytensor_seconds(kind: str, nodes: int, repeats: int) -> tuple[int, float]:
    """How many nodes go in, and the best time of those rewrites."""
    import pytensor.tensor as pt
    from pytensor.compile.mode import get_mode
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.traversal import applys_between

    sys.setrecursionlimit(10**6)
    functions = {
        "tanh": pt.tanh, "exp": pt.exp, "sin": pt.sin, "negative": pt.neg, "square": pt.sqr, "abs": pt.abs,
        "add": pt.add, "multiply": pt.mul, "subtract": pt.sub, "maximum": pt.maximum, "log": pt.log,
    }  # fmt: skip
    best, count = math.inf, 0
    for _ in range(repeats):
        x = pt.matrix("x", dtype="float32")
        y = (elementwise if kind == "elementwise" else chain)(functions, x, nodes)
        count = len(list(applys_between([x], [y])))
        graph = FunctionGraph([x], [y], clone=True)
        rewriter = get_mode("FAST_COMPILE").including("canonicalize", "stabilize", "specialize").optimizer
        gc.collect()
        start = time.process_time()
        rewriter.rewrite(graph)
        best = min(best, time.process_time() - start)
    return count, best


# Report


def rows(kind: str, nodes: int, repeats: int) -> Iterator[str]:
    """A line for each size, and one for the growth."""
    found = []
    for size in (nodes // 4, nodes, nodes * 2):
        before, after, seconds = measure(kind, size, repeats)
        found.append((before, seconds))
        yield f"{kind:<14}{before:>10,}{after:>10,}{seconds:>10.2f}{1e6 * seconds / before:>12.1f}"
    (small, first), _, (large, last) = found
    yield f"{'  growth':<14}{'':>30}{math.log(last / first) / math.log(large / small):>12.2f}"


def peer_rows(repeats: int) -> Iterator[str]:
    """A line for each graph that the peer can build, with the ratio."""
    if importlib.util.find_spec("pytensor") is None:
        yield "pytensor is not installed"
        return
    for kind in ("elementwise", "chain"):
        theirs, ours, count = [], [], 0
        for _ in range(PEER_ROUNDS):  # in turns, so that what else the machine does hits both alike
            count, seconds = pytensor_seconds(kind, PEER_NODES, repeats)
            before, _, own = measure(kind, PEER_NODES, 20 * repeats)  # in a part of the time of the peer's
            theirs.append(1e6 * seconds / count)
            ours.append(1e6 * own / before)
        ratio = statistics.median([one / other for one, other in zip(theirs, ours)])
        yield (
            f"{kind:<14}{count:>10,}  pytensor {min(theirs):,.0f} us a node, graphflow {min(ours):.1f}: "
            f"{ratio:,.0f}x, the median of {PEER_ROUNDS} rounds"
        )


def machine() -> str:
    """One line on what the numbers were measured on."""
    import graphflow

    processor = platform.processor() or platform.machine()
    versions = f"graphflow {getattr(graphflow, '__version__', 'from source')}, numpy {np.__version__}"
    if "pytensor" in sys.modules:
        versions += f", pytensor {sys.modules['pytensor'].__version__}"
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} cores, {system}\n{versions}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Microseconds a node of the optimizer at O2.")
    parser.add_argument("--nodes", type=int, default=100_000, help="nodes of the middle size (100000)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the best counts (3)")
    parser.add_argument("--kinds", default="transformer,elementwise,chain", help="which graphs, with commas")
    parser.add_argument("--skip-peers", action="store_true", help="leave out pytensor")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    measure("chain", 1_000, 1)  # imports and memo tables
    print(f"{'O2':<14}{'nodes in':>10}{'out':>10}{'seconds':>10}{'us a node':>12}")
    for kind in options.kinds.split(","):
        for line in rows(kind, options.nodes, options.repeats):
            print(line, flush=True)
    if not options.skip_peers:
        for line in peer_rows(options.repeats):
            print(line, flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()

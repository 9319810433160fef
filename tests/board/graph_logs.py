"""Log directories with graphs, journals, memory plans, profiles and a compiled model, some hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.bm1684 import bmodel
from graphflow.runtime.bm1684.backend import Bm1684Backend
from graphflow.runtime.bm1684.compiler.driver import compile_program
from tests.board.logs import HOSTILE


def network(layers: int = 5, width: int = 8) -> tuple[Any, Any, Any]:
    """A small network with alike scopes, its input, and the loss and training step."""
    with gf.Graph("small"):
        x = gf.placeholder("x", (4, width))
        h = x
        start = np.full((width, width), 0.1, np.float32)
        for layer in range(layers):
            with gf.name_scope(f"layer{layer}"):
                w = gf.variable("w", initializer=start)
                # the rules have something to do: x * 1, and the same sum twice
                h = gf.tanh(gf.matmul(h * 1.0, w) + 1.0) + gf.tanh(gf.matmul(h, w) + 1.0)
        loss = gf.mean(gf.square(h))
        return x, loss, gf.train.SGD(0.1).minimize(loss)


def write_graph_run(folder: Path, steps: int = 3) -> None:
    """A run with everything that the pages of graphs show, and a compiled model."""
    x, loss, train = network()
    feeds = {x: np.ones(x.shape, np.float32)}
    with gf.train.SummaryWriter(folder) as writer, gf.Session(x.graph, backend="numpy") as sess:
        writer.graph(x.graph)
        writer.explain(sess.explain([train, loss]))
        report = sess.memory([train, loss])
        writer.memory(report, report.fit(max(report.arena_bytes // 2, 1)))
        writer.profile(sess.profile([train, loss], feeds, repeats=1))
        watch = gf.train.watch(loss, every=1)
        for step in range(steps):
            wanted = {"loss": loss, "train": train, **watch.fetches(step)}
            found = sess.run(wanted, feeds)
            writer.scalar("loss", float(found["loss"]), step)
            watch.write(writer, {tag: found[tag] for tag in watch.tensors}, step)
        writer.scalar("quantization.error/layer0/w", 0.25, 0)
    write_model(folder / "small.bmodel")


def write_model(place: Path) -> None:
    """A compiled model: a convolution and what follows it."""
    with gf.Graph("chip"):
        x = gf.placeholder("image", (1, 3, 8, 8))
        kernel = gf.constant(np.full((4, 3, 3, 3), 0.1, np.float32))
        y = gf.nn.relu(gf.nn.conv(x, kernel, padding=1)) + 1.0
        backend = Bm1684Backend()
        program = optimize(extract([y], feeds=[x]), pipeline=backend.pipeline("O2"), refusal=backend.refusal)
        compiled = compile_program(program)
    bmodel.save(bmodel.BModel((bmodel.Net("chip", (compiled.stage,)),)), place)


def write_side(folder: Path, kind: str, content: Any) -> None:
    """A side file of a run as an attacker may write it, and an event file that makes it a run."""
    if not folder.exists():
        with gf.train.SummaryWriter(folder) as writer:
            writer.scalar("one", 1.0, 0)
        (folder / "graphflow").mkdir()
    schema = "explain" if kind == "journal" else kind
    if isinstance(content, dict):
        content = json.dumps({"schema": f"graphflow.{schema}", "version": 1, **content})
    (folder / "graphflow" / f"{kind}.json").write_text(content)


def node(name: str, *inputs: str, op: str = "exp", shape: Any = (2,), **more: Any) -> dict[str, Any]:
    """A record of a node."""
    outputs = [{"dtype": "float32", "shape": list(shape)}]
    return {"name": name, "op": op, "inputs": list(inputs), "outputs": outputs, "line": "a.py:1",
            "scope": name.rpartition("/")[0], "attrs": {}, "flops": 1, "bytes": 8, **more}  # fmt: skip


def chain(count: int, scopes: int = 0) -> list[dict[str, Any]]:
    """Nodes one after another, in so many scopes."""
    names = [
        f"scope{number * scopes // count}/n{number}" if scopes else f"n{number}" for number in range(count)
    ]
    return [node(name, *names[max(place - 1, 0) : place]) for place, name in enumerate(names)]


def write_graph_logs(folder: Path) -> Path:
    """A good run and a hostile one; where they are."""
    write_graph_run(folder / "good")
    hostile = f"{HOSTILE}/</script>"
    write_side(folder / "odd", "graph", {"nodes": [node(hostile, "no such"), node("x", hostile, op=HOSTILE)]})
    rows = [{"name": hostile, "op": HOSTILE, "type": HOSTILE, "line": HOSTILE, "seconds": 1e-3}]
    write_side(folder / "odd", "profile", {"rows": rows, "backend": HOSTILE})
    values = [
        {"name": HOSTILE, "node": hostile, "offset": 0, "bytes": 10, "first": 0, "last": 1, "kind": HOSTILE}
    ]
    write_side(folder / "odd", "memory", {"values": values, "order": [hostile], "arena_bytes": 10})
    entry = {"sequence": 0, "rule": HOSTILE, "kind": "fold", "removed": [hostile], "reason": HOSTILE}
    step = {"pass_name": HOSTILE, "entries": [0, 1], "removed": [hostile], "nodes": []}
    write_side(
        folder / "odd", "journal",
        {"nodes": [node(hostile)], "entries": [entry], "steps": [step], "passes": [{"name": HOSTILE}]},
    )  # fmt: skip
    return folder

"""Loading a large ONNX model: gf.onnx.load against reading the bytes of its files.

    PYTHONPATH=. python benchmarks/onnx_load.py [--gigabytes 1] [--matrices 64] [--folder /tmp]

Two models with the same weights are written: one with the data inside (at most 2 GB), one with it in a file
beside the model. Each way runs in a process of its own, in turns: *read* reads the files into memory, *load*
makes a Model, *load, read* also adds up every weight, which is when a map of a file is read; it has no goal.
Shown are the best seconds, and the most memory beyond what the process took before: bytes of its own, and in
all, where pages of mapped files are counted, too, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FORMS = ("inside", "external")
WAYS = ("read", "load", "load, read")
MOST_TIME, MOST_MEMORY = 2.0, 1.1
"""The goals: times the time of reading the file, and times its size."""


def write(folder: Path, gigabytes: float, count: int) -> None:
    """Write both models: a chain of `count` products."""
    size = max(1, int((gigabytes * 2**30 / 4 / count) ** 0.5))
    rng = np.random.default_rng(0)
    names = [f"w{number}" for number in range(count)]
    read = ["x", *[f"h{number}" for number in range(count)]]
    nodes = [helper.make_node("MatMul", pair, [made]) for *pair, made in zip(read, names, read[1:])]
    tensors = [numpy_helper.from_array(rng.random((size, size), np.float32), name) for name in names]
    given, made = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name in (read[0], read[-1])
    ]
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(
        helper.make_graph(nodes, "chain", [given], [made], tensors), opset_imports=opsets, ir_version=10
    )
    for form in FORMS:
        (folder / form).mkdir()
        outside = form == "external"
        onnx.save(model, folder / form / "net.onnx", save_as_external_data=outside, location="net.data")


class Peak:
    """The most memory that this process takes beyond what it takes now, looked at every 2 ms."""

    def __enter__(self) -> Peak:
        self.before = self.most = _memory()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._look_once()
        self._done.set()
        self._watch.join()
        self.own, self.all = [most - before for most, before in zip(self.most, self.before)]

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self._look_once()

    def _look_once(self) -> None:
        self.most = tuple(map(max, zip(self.most, _memory())))


def _memory() -> tuple[int, ...]:
    """Bytes in memory that belong to no file, and all."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("RssAnon", "VmRSS"):
            found[name] = int(rest.split()[0]) * 1024
    return found.get("RssAnon", 0), found.get("VmRSS", 0)


def act(way: str, folder: Path) -> Callable[[], Any]:
    """What is timed."""
    if way == "read":
        return lambda: [path.read_bytes() for path in sorted(folder.iterdir())]
    import graphflow as gf

    one = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    gf.onnx.load(
        helper.make_model(
            helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "warm", one[:1], one[1:])
        )
    )
    path = folder / "net.onnx"
    if way == "load":
        return lambda: gf.onnx.load(path)

    def load_and_add() -> Any:
        model = gf.onnx.load(path)
        constants = [node for node in model.graph.nodes if node.op.name == "constant"]
        return model, sum(float(node.attrs["value"].sum()) for node in constants)

    return load_and_add


def child(way: str, folder: str) -> None:
    """Measure one way, and say it in JSON."""
    run = act(way, Path(folder))
    with Peak() as peak:
        start = time.perf_counter()
        kept = run()
        seconds = time.perf_counter() - start
    del kept
    print(json.dumps({"seconds": seconds, "own": peak.own, "all": peak.all}))


def measured(way: str, folder: Path) -> dict[str, float]:
    """What one process finds."""
    command = [sys.executable, __file__, "--child", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--matrices", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="where the files lie while it runs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return 0
    print(
        f"python {platform.python_version()}, onnx {onnx.__version__}, numpy {np.__version__}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
    print(
        f"{'model':<10}{'':<12}{'seconds':>9}{'times':>8}{'own memory':>12}{'in all':>9}   of the file's size"
    )
    late = 0
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(folder, options.gigabytes, options.matrices)
        for form in FORMS:
            late += table(form, folder / form, options.rounds)
    print(f"goals: {MOST_TIME} times the time of reading, {MOST_MEMORY} times the size; {late} missed")
    return 0


def table(form: str, folder: Path, rounds: int) -> int:
    """Print the rows of a model; how many goals are missed."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(measured(way, folder))
    best = {way: min(row["seconds"] for row in rows) for way, rows in found.items()}
    late = 0
    for way, rows in found.items():
        times = best[way] / best["read"]
        own, everything = (max(row[kind] for row in rows) / size for kind in ("own", "all"))
        late += way == "load" and (times > MOST_TIME) + (everything > MOST_MEMORY)
        print(f"{form:<10}{way:<12}{best[way]:>9.3f}{times:>8.2f}{own:>12.2f}{everything:>9.2f}", flush=True)
    return late


if __name__ == "__main__":
    sys.exit(main())

"""The process in which one side of a benchmark runs: `python -m graphflow.cli.bench_worker SPEC.json`.

It loads a model, runs it once, writes the outputs to files, and says what that took in a line of JSON on
standard output. Then it runs as often as each line of standard input says, and answers with the seconds.
A process of its own has threads, caches and memory to itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.cli.bench_sides import warm_up
from graphflow.errors import GraphFlowError
from graphflow.ir.dtypes import as_dtype

Run = Callable[[], Sequence[np.ndarray]]


def main(path: str) -> None:
    """Serve as a JSON file says: engine, model, threads, level, and a row for each input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    spec = json.loads(Path(path).read_text("utf-8"))
    _use_cores(spec["threads"])
    feeds = {row["name"]: _read(row) for row in spec["inputs"]}
    try:
        _serve(spec, feeds, lambda said: print(json.dumps(said), file=answers, flush=True))
    except GraphFlowError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}), file=answers, flush=True)
    except Exception as error:  # of another library, whose reason is all there is
        print(json.dumps({"error": f"{spec['engine']}: {error!s:.500}"}), file=answers, flush=True)


def _serve(spec: dict[str, Any], feeds: dict[str, np.ndarray], say: Callable[[Any], None]) -> None:
    prepare = _onnxruntime if spec["engine"] == "onnxruntime" else _graphflow
    load = prepare(spec)
    before, start = peak_bytes(), time.perf_counter()
    run = load(feeds)
    loaded = time.perf_counter()
    outputs = run()
    first = time.perf_counter()
    run()
    for index, output in enumerate(outputs):
        output.astype(np.float64).tofile(Path(spec["outputs"]) / str(index))
    say({"load": loaded - start, "first": first - loaded, "before": before, "peak": peak_bytes()})
    for line in sys.stdin:
        warm_up(run)
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        say(seconds)


def _read(row: dict[str, Any]) -> np.ndarray:
    return np.fromfile(row["file"], as_dtype(row["dtype"]).numpy).reshape(row["shape"])


def _use_cores(count: int) -> None:
    """Let this process, and the pools of threads that it will start, have so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def peak_bytes() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


# Engines: what is imported first, so that it counts neither as time nor as memory of the model.


def _graphflow(spec: dict[str, Any]) -> Callable[[dict[str, np.ndarray]], Run]:
    from graphflow.cli.options import load_model
    from graphflow.runtime.backend import get_backend
    from graphflow.session.session import Session

    backend = get_backend(spec["engine"])

    def load(feeds: dict[str, np.ndarray]) -> Run:
        model = load_model(spec["model"])
        chosen = model.signatures[spec["signature"]]
        session = Session(model.graph, backend=backend, level=spec["level"])
        inputs = [chosen.inputs[name] for name in feeds]
        step = session.make_callable(list(chosen.outputs.values()), inputs)
        arrays = list(feeds.values())
        return lambda: [np.asarray(array) for array in step(*arrays)]

    return load


def _onnxruntime(spec: dict[str, Any]) -> Callable[[dict[str, np.ndarray]], Run]:
    import onnxruntime

    def load(feeds: dict[str, np.ndarray]) -> Run:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = spec["threads"]
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(spec["model"], options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, feeds)

    return load


if __name__ == "__main__":
    main(sys.argv[1])

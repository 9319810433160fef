"""The sides of a benchmark: each a process of its own that waits for its turn, and what was measured."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import graphflow
from graphflow.errors import BackendError, FileFormatError

TURN_SECONDS = 0.05
"""About how long the runs of a turn that count take."""

WARM_SECONDS = 0.06

PAUSE = 0.08
"""Seconds before a turn: onnxruntime's threads go on waiting for work, on a core each, for 49 ms."""


@dataclass
class Side:
    """What one engine has to do, and what it took.

    Attributes:
        name: what tables call it.
        engine: "onnxruntime", or a backend.
        model: the path of what it loads.
        load, first: seconds until the model is there, and of its first run.
        before, peak: the most bytes of the process before it loads the model, and in all.
        seconds: of each run that counts.
    """

    name: str
    engine: str
    model: str
    load: float = 0.0
    first: float = 0.0
    before: int = 0
    peak: int = 0
    seconds: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        """The seconds that this part of the runs, in percent, stays below."""
        return float(np.percentile(self.seconds, part))


@dataclass
class Task:
    """What all sides run.

    Attributes:
        signature: the name of the model's function.
        level: how much GraphFlow optimises.
        inputs: arrays by name.
        folder: where files can lie while it lasts.
    """

    signature: str
    level: str
    threads: int
    inputs: Mapping[str, np.ndarray]
    folder: Path


def warm_up(run: Callable[[], Any]) -> None:
    """Run until cores that slept are awake, and caches hold what a run needs: for 60 ms, once at least."""
    ready = time.perf_counter() + WARM_SECONDS
    run()
    while time.perf_counter() < ready:
        run()


@contextmanager
def started(side: Side, task: Task) -> Iterator[subprocess.Popen[str]]:
    """The process of a side, once it has run the model for the first time.

    Raises:
        BackendError: if it cannot, with the reason.
    """
    place = task.folder / f"{side.name.replace(' ', '_')}"
    place.mkdir()
    inputs = []
    for index, (name, array) in enumerate(task.inputs.items()):
        file = place / f"input{index}"
        array.tofile(file)
        row = {"name": name, "file": str(file), "dtype": array.dtype.name, "shape": list(array.shape)}
        inputs.append(row)
    spec = {
        "engine": side.engine, "model": side.model, "signature": task.signature, "level": task.level,
        "threads": task.threads, "inputs": inputs, "outputs": str(place),
    }  # fmt: skip
    (place / "spec.json").write_text(json.dumps(spec), "utf-8")
    command = [sys.executable, "-m", "graphflow.cli.bench_worker", str(place / "spec.json")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        try:
            said = _answer(process, side)
            side.load, side.first = said["load"], said["first"]
            side.before, side.peak = said["before"], said["peak"]
            yield process
        finally:
            process.kill()


def _environment() -> dict[str, str]:
    """Where this package is found by others, too."""
    root = str(Path(graphflow.__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _answer(process: subprocess.Popen[str], side: Side) -> Any:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise BackendError(
            f"the process of {side.name} ended with status {process.wait()}",
            hint="a process that is killed has used up the memory: use a smaller batch",
        )
    said = json.loads(line)
    if isinstance(said, dict) and "error" in said:
        raise BackendError(f"{side.name}: {said['error']}", hint=said.get("hint") or "")
    return said


def _turn(process: subprocess.Popen[str], side: Side, runs: int) -> list[float]:
    if process.stdin is not None:
        print(runs, file=process.stdin, flush=True)
    seconds: list[float] = _answer(process, side)
    return seconds


def measure(sides: Sequence[Side], task: Task, turns: int) -> Iterator[None]:
    """Let the sides take turns; yields after each round.

    Raises:
        BackendError: if one fails.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(started(side, task)) for side in sides]
        counts = []
        for process, side in zip(processes, sides):
            seconds = min(_turn(process, side, 2))
            counts.append(max(1, math.ceil(TURN_SECONDS / max(seconds, 1e-6))))
        for _ in range(turns):
            for process, side, count in zip(processes, sides, counts):
                time.sleep(PAUSE)
                side.seconds += _turn(process, side, count)
            yield


def largest_difference(one: Side, other: Side, task: Task) -> float:
    """The largest difference of what two sides gave, as a part of the largest number of the same output.

    Raises:
        FileFormatError: if they gave arrays of other sizes.
    """
    worst = 0.0
    place, against = [task.folder / side.name.replace(" ", "_") for side in (one, other)]
    for index in range(len([path for path in place.iterdir() if path.name.isdigit()])):
        made, wanted = np.fromfile(place / str(index)), np.fromfile(against / str(index))
        if made.shape != wanted.shape:
            raise FileFormatError(
                f"{one.name} gives {made.size} numbers as output {index}, {other.name} {wanted.size}",
                hint="graphflow check says where a model goes another way",
            )
        same = (made == wanted) | (np.isnan(made) & np.isnan(wanted))
        largest = np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0.0)
        if not same.all():
            with np.errstate(invalid="ignore"):
                found = np.abs(made - wanted)[~same]
            worst = (
                max(worst, float(np.max(found / max(largest, 1e-300))))
                if np.isfinite(found).all()
                else math.inf
            )
    return worst

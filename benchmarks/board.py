"""How long the board's store takes for a large log directory, beside TensorBoard's own EventAccumulator.

    python benchmarks/board.py [--tags 12345] [--points 1000] [--runs 1] [--skip-tensorboard]

Writes so many scalar tags with so many points each, in so many runs, and measures

    tag list, first curve     from opening on: until all tags are listed and a curve has points
    complete                  until everything is read
    reopened                  a new process with the index of the last one: tag list and a whole curve
    one curve                 reading and thinning out a whole curve then
    memory                    the most that the process took

each in a process of its own. TensorBoard reads the same files with no limit on points, as the store does
(its default keeps 1,000 of each tag). The targets are 3 s, 120 s, 3 s and 500 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf
from graphflow.train import event_encoding
from graphflow.train.checksum import masked_crc32c, masked_crc32c_of_rows

ROOT = Path(__file__).resolve().parent.parent

_PEAK = """
def peak():
    # not getrusage, whose maximum a new process takes over from the one that started it
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
"""

_STORE = """
import json, os, sys, time
start = time.perf_counter()
from graphflow.board.store import LogDirectory
imported = time.perf_counter() - start
folder, index, tags = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.perf_counter()
first = None
with LogDirectory(folder, index=index, refresh=1.0) as log:
    while first is None:
        runs = log.runs()
        if runs and all(run.tags >= tags for run in runs):
            listed = log.tags(runs[0].name, "scalars")
            if len(listed) >= tags and log.scalars(runs[0].name, listed[-1].name, 500).step.size:
                first = time.perf_counter() - start
                break
        time.sleep(0.01)
    log.wait()
    complete = time.perf_counter() - start
    start = time.perf_counter()
    curve = log.scalars(runs[-1].name, listed[len(listed) // 2].name, 500)
    once = time.perf_counter() - start
    points = sum(run.points for run in log.runs())
    start = time.perf_counter()
closed = time.perf_counter() - start
memory = peak()
print(json.dumps(dict(first=first, complete=complete, curve=once, count=curve.count, points=points,
                      closed=closed, memory=memory, imported=imported)))
"""

_TENSORBOARD = """
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
folder = sys.argv[1]
start = time.perf_counter()
points, first = 0, None
for name in sorted(os.listdir(folder)):
    accumulator = EventAccumulator(os.path.join(folder, name), {"scalars": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    points += len(tags) * len(accumulator.Scalars(tags[0]))
complete = time.perf_counter() - start
memory = peak()
print(json.dumps(dict(first=complete, complete=complete, points=points, memory=memory)))
"""


def write_run(path: Path, tags: list[str], points: int, seed: int) -> None:
    """An event file such as SummaryWriter makes, with a point for each tag at each step."""
    rng = np.random.default_rng(seed)
    by_length: dict[int, list[int]] = {}
    for place, tag in enumerate(tags):
        by_length.setdefault(len(tag), []).append(place)
    curves = np.exp(-np.linspace(0, 3, points))[:, None] + 0.05 * rng.standard_normal((points, len(tags)))
    with open(path, "wb") as file:
        file.write(event_encoding.record(event_encoding.event(1.7e9, 0, event_encoding.version_payload())))
        for step in range(points):
            parts: list[bytes] = [b""] * len(tags)
            for places in by_length.values():
                for place, record in zip(
                    places, _records([tags[p] for p in places], step, curves[step, places])
                ):
                    parts[place] = record
            file.write(b"".join(parts))


def _records(tags: list[str], step: int, values: np.ndarray) -> list[bytes]:
    """The records of one step for tags of one length."""
    value = event_encoding.bytes_field(1, tags[0]) + b"\x15\0\0\0\0"
    payload = event_encoding.bytes_field(5, event_encoding.bytes_field(1, value))
    message = event_encoding.event(1.7e9 + step, step, payload)
    header = struct.pack("<Q", len(message))
    rows = np.tile(np.frombuffer(message, np.uint8), (len(tags), 1))
    end = len(message) - 5
    rows[:, end - len(tags[0]) : end] = np.frombuffer("".join(tags).encode(), np.uint8).reshape(len(tags), -1)
    rows[:, -4:] = values.astype("<f4")[:, None].view(np.uint8)
    sums = masked_crc32c_of_rows(rows).astype("<u4")[:, None].view(np.uint8)
    first = np.frombuffer(header + struct.pack("<I", masked_crc32c(header)), np.uint8)
    whole = np.concatenate([np.tile(first, (len(tags), 1)), rows, sums], axis=1)
    joined, width = whole.tobytes(), whole.shape[1]
    return [joined[place : place + width] for place in range(0, len(joined), width)]


def measured(program: str, *arguments: str) -> dict[str, float]:
    """What a program in a process of its own printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + program, *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Write the files, measure and print."""
    parser = argparse.ArgumentParser(description="Reading a large log directory.")
    parser.add_argument("--tags", type=int, default=12_345, help="scalar tags in each run (default 12345)")
    parser.add_argument("--points", type=int, default=1000, help="points of each tag (default 1000)")
    parser.add_argument("--runs", type=int, default=1, help="runs (default 1)")
    parser.add_argument("--skip-tensorboard", action="store_true", help="measure the store alone")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="graphflow-board-"))
    try:
        tags = [f"block_{place // 97}/unit_{place % 97}/loss" for place in range(options.tags)]
        name, first = "events.out.tfevents.1700000000.host", None
        for run in range(options.runs):
            place = folder / "logs" / f"run{run:03d}" / name
            place.parent.mkdir(parents=True)
            if first is None:
                first = place
                write_run(first, tags, options.points, seed=0)
            else:
                shutil.copyfile(first, place)
        report(folder, options)
    finally:
        shutil.rmtree(folder)


def report(folder: Path, options: argparse.Namespace) -> None:
    """Measure the store, once anew and once with its index, and TensorBoard."""
    logs = folder / "logs"
    size = sum(path.stat().st_size for path in logs.rglob("*") if path.is_file())
    arguments = (str(logs), str(folder / "index"), str(options.tags))
    new, again = measured(_STORE, *arguments), measured(_STORE, *arguments)
    peer = {} if options.skip_tensorboard else measured(_TENSORBOARD, str(logs))
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, graphflow {gf.__version__}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"{options.runs} runs x {options.tags} tags x {options.points} points, {size / 1e6:.0f} MB")
    rows = [
        ("tag list, first curve", new["first"], peer.get("first"), 3.0),
        ("complete", new["complete"], peer.get("complete"), 120.0),
        ("reopened, tag list and curve", again["first"], peer.get("first"), 3.0),
        ("one curve, 500 of its points", again["curve"], None, None),
    ]
    print(f"{'':<30}{'store':>10}{'TensorBoard':>13}{'ratio':>8}{'target':>9}")
    for name, own, other, target in rows:
        beside = f"{other:11.2f} s{other / own:7.1f}x" if other else " " * 21
        print(f"{name:<30}{own:8.3f} s{beside}{f'{target:7.0f} s' if target else ''}")
    memory = f"{peer['memory']:10.0f} MB{peer['memory'] / new['memory']:7.1f}x" if peer else " " * 21
    print(f"{'memory, at most':<30}{new['memory']:7.0f} MB{memory}{500:6d} MB")
    print(
        f"memory when reopened {again['memory']:.0f} MB; points {new['points']:.0f}, "
        f"a curve has {again['count']}"
    )


if __name__ == "__main__":
    main()

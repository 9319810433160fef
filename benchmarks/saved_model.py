"""Saving and loading weights: gf.saved_model against the safetensors library's own functions and NumPy's.

    python benchmarks/saved_model.py [--gigabytes 1] [--arrays 64] [--folder /tmp]

Each way saves the same float32 arrays and loads them again, each in a process of its own, whose memory
beyond the arrays themselves is watched: the peak of what it has in memory without the pages of files, which
the system takes back when it needs them. The ways take turns in rounds, and the best round of each counts.

Saving is timed until the file is on the disk (fsync), which the libraries leave out and which is added to
them here; GraphFlow also hashes what it writes. Loading is timed twice: until the arrays are there, and until
every element has been added up, as a map of a file is read only then.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

WAYS = ("graphflow folder", "graphflow file", "graphflow read", "safetensors", "numpy npz")
PEER = "safetensors"


def arrays(gigabytes: float, count: int) -> dict[str, np.ndarray]:
    """The weights, as views of one block: `count` matrices."""
    columns = 1024
    rows = max(1, int(gigabytes * 2**30 / 4 / columns / count))
    rng = np.random.default_rng(0)
    return {f"layer{number}/kernel": rng.random((rows, columns), np.float32) for number in range(count)}


def model(weights: dict[str, np.ndarray]) -> Any:
    """A graph that reads every weight."""
    import graphflow as gf
    from graphflow.ir.attrs import read_only

    for array in weights.values():
        array.setflags(write=False)
    with gf.Graph("weights") as graph:
        made = {name: gf.variable(name, initializer=read_only(array)) for name, array in weights.items()}
        outputs = {name: gf.identity(tensor[0, 0]) for name, tensor in made.items()}
    return gf.Model(graph, outputs=outputs, weights=weights)


class Peak:
    """The most memory that this process takes beyond what it takes now, looked at every 2 ms."""

    def __enter__(self) -> Peak:
        self.before = self.most = _anonymous()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._watch.join()
        self.bytes = max(self.most, _anonymous()) - self.before

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self.most = max(self.most, _anonymous())


def _anonymous() -> int:
    """Bytes in memory that belong to no file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def timed(act: Callable[[], Any]) -> tuple[float, int, Any]:
    with Peak() as peak:
        start = time.perf_counter()
        result = act()
        seconds = time.perf_counter() - start
    return seconds, peak.bytes, result


def synced(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def saver(way: str, place: Path, weights: dict[str, np.ndarray]) -> Callable[[], Any]:
    """What saves the weights; what it needs is imported and built beforehand."""
    if way.startswith("graphflow"):
        import graphflow as gf

        made = model(weights)
        gf.saved_model.save(place.with_name("warm"), model({"w": np.zeros((1, 1), np.float32)}))
        return lambda: gf.saved_model.save(place, made)
    if way == "safetensors":
        from safetensors.numpy import save_file

        return lambda: (save_file(weights, place), synced(place))
    return lambda: (np.savez(place, **weights), synced(place))


def loader(way: str, place: Path) -> Callable[[], dict[str, np.ndarray]]:
    """What loads the weights."""
    if way.startswith("graphflow"):
        import graphflow as gf

        gf.saved_model.load(place.with_name("warm"))
        if way.endswith("read"):
            return lambda: gf.saved_model.load(place, mapped=False).weights
        return lambda: gf.saved_model.load(place).weights
    if way == "safetensors":
        from safetensors.numpy import load_file

        return lambda: load_file(place)
    return lambda: dict(np.load(place))


def place_of(way: str, folder: Path) -> Path:
    return folder / {"graphflow folder": "model", "graphflow file": "model.gfm", "graphflow read": "model",
                     "safetensors": "w.safetensors", "numpy npz": "w.npz"}[way]  # fmt: skip


def child(way: str, folder: Path, gigabytes: float, count: int) -> None:
    """Save or load in this process, and print the figures as JSON."""
    place = place_of(way, folder)
    if os.environ["STEP"] == "save":
        weights = arrays(gigabytes, count)
        seconds, peak, _ = timed(saver(way, place, weights))
        print(json.dumps({"save": seconds, "save_bytes": peak}))
        return
    seconds, peak, weights = timed(loader(way, place))
    used, used_peak, total = timed(
        lambda: sum(float(array.sum(dtype=np.float64)) for array in weights.values())
    )
    figures = {"load": seconds, "use": seconds + used, "load_bytes": max(peak, used_peak), "total": total}
    print(json.dumps(figures))


def measured(way: str, step: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", way, "--folder", str(folder),
               "--gigabytes", str(options.gigabytes), "--arrays", str(options.arrays)]  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "STEP": step}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def table(best: dict[str, dict[str, float]]) -> None:
    """One row a way; ratios are to the safetensors library's own."""
    print(f"{'':18}{'save':>16}{'load':>18}{'load and use':>17}{'memory to save':>17}{'to load':>12}")
    for way, row in best.items():
        ratios = {step: row[step] / best[PEER][step] for step in ("save", "load", "use")}
        print(
            f"{way:18}{row['save']:8.2f} s {ratios['save']:5.2f}x{row['load']:10.4f} s {ratios['load']:5.3f}x"
            f"{row['use']:8.2f} s {ratios['use']:5.2f}x{row['save_bytes'] / 1e6:13.0f} MB"
            f"{row['load_bytes'] / 1e6:9.0f} MB"
        )


def main() -> int:
    """Measure all ways, and compare."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--gigabytes", type=float, default=1.0)
    options.add_argument("--arrays", type=int, default=64)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", default=tempfile.gettempdir())
    options.add_argument("--child", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        child(given.child, Path(given.folder), given.gigabytes, given.arrays)
        return 0
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, safetensors {safetensors.__version__}"
    )
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; "
          f"{given.gigabytes} GB in {given.arrays} arrays, best of {given.rounds} rounds")  # fmt: skip
    best: dict[str, dict[str, float]] = {}
    totals = set()
    folder = Path(tempfile.mkdtemp(prefix="graphflow-saved-", dir=given.folder))
    try:
        for _ in range(given.rounds):
            for way in WAYS:
                found = measured(way, "save", folder, given) | measured(way, "load", folder, given)
                totals.add(found.pop("total"))
                kept = best.setdefault(way, found)
                best[way] = {name: min(value, kept[name]) for name, value in found.items()}
    finally:
        shutil.rmtree(folder)
    table(best)
    if len(totals) != 1:
        print(f"the ways did not load the same: {totals}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

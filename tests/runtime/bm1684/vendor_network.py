"""Runs whole .bmodel files on the vendor's functional simulator, in a child process.

The file is written, read again there, and its words are given to the vendor's library one after the other, in
an order that obeys their ids.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphflow.runtime.bm1684 import bmodel, isa
from graphflow.runtime.bm1684.chip import DDR_BASE
from graphflow.runtime.bm1684.simulator.order import ordered
from graphflow.runtime.bm1684.simulator.program import choose_stage, restored, stored
from tests.runtime.bm1684.vendor import LIBRARY, ROOT, Simulator

MORE = 1 << 20
"""DDR behind the last byte that the file names."""


def run(
    path: Path, feeds: Mapping[str, np.ndarray], order: str = "together", library: str = LIBRARY
) -> dict[str, np.ndarray]:
    """The outputs of a file for inputs by name.

    Raises:
        RuntimeError: if the vendor's simulator ends on the way.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        np.savez(given, **feeds)
        call = [sys.executable, "-m", "tests.runtime.bm1684.vendor_network", library]
        call += [str(path), str(given), str(made), order]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise RuntimeError(f"the vendor's simulator ended: {done.stdout[-500:]} {done.stderr[-500:]}")
        with np.load(made) as arrays:
            return {name: arrays[name] for name in arrays.files}


def main(library: str, path: str, given: str, made: str, order: str) -> None:
    """Run the file on the arrays of `given`, and write its outputs to `made`."""
    model = bmodel.load(path)
    with np.load(given) as arrays:
        feeds = {name: arrays[name] for name in arrays.files}
    stage = choose_stage(model, feeds)
    ends = [stage.coefficient_address + len(stage.coefficients), stage.context_address + stage.context_bytes]
    simulator = Simulator(library, max(ends) - DDR_BASE + MORE)
    # Not a number wherever nothing was written, so that what should not be read would show in the outputs.
    simulator.local[:] = simulator.ddr[stage.context_address - DDR_BASE :] = 0xFF
    _put(simulator, stage.coefficient_address, np.frombuffer(stage.coefficients, np.uint8))
    for info in stage.inputs:
        _put(simulator, info.address, np.ascontiguousarray(stored(feeds[info.name], info)))
    for group in stage.groups:
        tiu, gdma = [*isa.decode_stream("tiu", group.tiu)], [*isa.decode_stream("gdma", group.gdma)]
        words = [np.frombuffer(data, np.uint32).reshape(-1, 32) for data in (group.tiu, group.gdma)]
        for command in ordered(tiu, gdma, order):
            engine = int(command.ENGINE == "gdma")
            print(engine, command.id, flush=True)
            simulator.run(words[engine][command.id - 1], engine)
    results = {}
    for info in stage.outputs:
        start = info.address - DDR_BASE
        results[info.name] = restored(simulator.ddr[start : start + info.bytes], info)
    np.savez(made, **results)


def _put(simulator: Simulator, address: int, data: np.ndarray) -> None:
    raw = data.reshape(-1).view(np.uint8)
    simulator.ddr[address - DDR_BASE : address - DDR_BASE + raw.size] = raw


if __name__ == "__main__":
    main(*sys.argv[1:])

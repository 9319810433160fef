"""Plays scenes on the vendor's functional simulator, in a child process: a failed assertion there ends it.

`GRAPHFLOW_BM1684_CMODEL` names the library; `make vendor-simulator` fetches it and says how to set it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphflow.runtime.bm1684 import isa
from tests.runtime.bm1684.scene import LANE, LANES, Scene, gather, scatter

LIBRARY = os.environ.get("GRAPHFLOW_BM1684_CMODEL", "")
ROOT = Path(__file__).resolve().parents[3]
DDR_BYTES, L2_BYTES = 16 << 20, 4 << 20


def play(scenes: Sequence[Scene], library: str = LIBRARY) -> list[np.ndarray]:
    """The window after each scene."""
    return _play(scenes, library)[0]


def tables(library: str = LIBRARY) -> np.ndarray:
    """The part of L2 that holds the constant tables."""
    return _play([], library)[1]


def _play(scenes: Sequence[Scene], library: str) -> tuple[list[np.ndarray], np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        arrays = {}
        for index, scene in enumerate(scenes):
            arrays[f"{index}/window"] = scene.window
            arrays[f"{index}/engines"] = np.array([c.ENGINE == "gdma" for c in scene.commands], np.uint8)
            arrays[f"{index}/words"] = np.frombuffer(isa.encode_stream(scene.commands), np.uint32)
        np.savez(given, **arrays)
        call = [sys.executable, "-m", "tests.runtime.bm1684.vendor", library, str(given), str(made)]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=600)
        if done.returncode:
            reached = [int(line) for line in done.stdout.splitlines() if line.isdecimal()]
            name = scenes[reached[-1]].name if reached else "none"
            said = [
                line for line in (done.stdout + done.stderr).splitlines() if "ssert" in line or "rror" in line
            ]
            raise RuntimeError(f"the vendor's simulator ended in scene {name!r}: {said[:3]}")
        with np.load(made) as results:
            return [results[str(index)] for index in range(len(scenes))], results["tables"]


class _LocalMemory(ctypes.Structure):
    _fields_ = [("raw", ctypes.c_void_p)]


class Simulator:
    """The vendor's simulator; a process can have one."""

    def __init__(self, library: str, ddr_bytes: int = DDR_BYTES) -> None:
        self.library = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        self.library.cmodel_init.argtypes = [ctypes.c_int, ctypes.c_int64]
        self.library.get_local_mem.restype = ctypes.POINTER(_LocalMemory)
        for name in ("get_l2_sram", "get_global_memaddr"):
            getattr(self.library, name).restype = ctypes.c_void_p
            getattr(self.library, name).argtypes = [ctypes.c_int]
        self.library.get_atomic_function.restype = ctypes.c_void_p
        self.library.get_atomic_function.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        if self.library.cmodel_init(0, ddr_bytes):
            raise RuntimeError("the vendor's simulator does not start")
        self.local = self._view(self.library.get_local_mem(0).contents.raw, LANES * LANE)
        self.l2 = self._view(self.library.get_l2_sram(0), L2_BYTES)
        self.ddr = self._view(self.library.get_global_memaddr(0), ddr_bytes)

    @staticmethod
    def _view(pointer: int | None, size: int) -> np.ndarray:
        return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_uint8)), shape=(size,))

    def run(self, words: np.ndarray, engine: int) -> None:
        """One command, on the tensor unit (0) or the data mover (1)."""
        buffer = np.ascontiguousarray(words, np.uint32).copy()
        place = buffer.ctypes.data
        found = self.library.get_atomic_function(place, engine)
        if not found:
            raise RuntimeError("the vendor's simulator knows no such command")
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)(found)(0, place)


def main(library: str, given: str, made: str) -> None:
    """Play the scenes of one file and write the windows to another."""
    simulator = Simulator(library)
    results = {}
    with np.load(given) as arrays:
        for index in range(len(arrays.files) // 3):
            print(index, flush=True)
            scatter(arrays[f"{index}/window"], simulator.local, simulator.l2, simulator.ddr)
            engines, words = arrays[f"{index}/engines"], arrays[f"{index}/words"].reshape(-1, 32)
            for engine, command in zip(engines, words):
                simulator.run(command, int(engine))
            results[str(index)] = gather(simulator.local, simulator.l2, simulator.ddr)
    np.savez(made, tables=simulator.l2[0x30_0000:0x30_4000], **results)


if __name__ == "__main__":
    main(*sys.argv[1:])

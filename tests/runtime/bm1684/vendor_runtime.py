"""Runs a .bmodel through the vendor's own runtime on the simulated chip, in a child process.

The runtime (libbmrt) and its driver (libbmlib) lie beside the simulator that GRAPHFLOW_BM1684_CMODEL names.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.bm1684.vendor import LIBRARY, ROOT

LIBRARIES = ("libbmlib.so", "libbmrt.so")


def available() -> bool:
    """Whether the runtime lies beside the simulator."""
    return bool(LIBRARY) and all((Path(LIBRARY).parent / name).exists() for name in LIBRARIES)


def run(
    path: Path, net: str, given: Sequence[np.ndarray], made: Sequence[tuple[int, ...]]
) -> list[np.ndarray]:
    """The outputs, of shapes `made`, of a net of a file whose inputs and outputs are fp32, in its order."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.savez(place / "given.npz", *given)
        (place / "made.json").write_text(json.dumps([list(shape) for shape in made]))
        call = [sys.executable, "-m", "tests.runtime.bm1684.vendor_runtime", str(path), net, folder]
        libraries = {**os.environ, "LD_LIBRARY_PATH": str(Path(LIBRARY).parent)}
        done = subprocess.run(call, cwd=ROOT, env=libraries, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise RuntimeError(f"the vendor's runtime failed: {done.stdout[-500:]} {done.stderr[-500:]}")
        with np.load(place / "made.npz") as arrays:
            return [arrays[f"arr_{index}"] for index in range(len(made))]


class _Shape(ctypes.Structure):
    _fields_ = [("rank", ctypes.c_int), ("sizes", ctypes.c_int * 8)]

    @classmethod
    def of(cls, sizes: tuple[int, ...]) -> _Shape:
        return cls(len(sizes), (ctypes.c_int * 8)(*sizes))


def main(path: str, net: str, folder: str) -> None:
    """Run the file on the input in the folder, and write the output there."""
    ctypes.CDLL(LIBRARY, mode=ctypes.RTLD_GLOBAL)
    driver, runtime = (
        ctypes.CDLL(str(Path(LIBRARY).parent / name), mode=ctypes.RTLD_GLOBAL) for name in LIBRARIES
    )
    with np.load(Path(folder) / "given.npz") as arrays:
        given = [np.ascontiguousarray(arrays[f"arr_{index}"]) for index in range(len(arrays.files))]
    made = [np.zeros(shape, np.float32) for shape in json.loads((Path(folder) / "made.json").read_text())]
    device = ctypes.c_void_p()
    assert driver.bm_dev_request(ctypes.byref(device), 0) == 0
    runtime.bmrt_create.restype = ctypes.c_void_p
    runtime.bmrt_load_bmodel.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    runtime.bmrt_load_bmodel.restype = runtime.bmrt_launch_data.restype = ctypes.c_bool
    handle = ctypes.c_void_p(runtime.bmrt_create(device))
    assert runtime.bmrt_load_bmodel(handle, path.encode())
    sides: list[Any] = []
    for tensors in (given, made):
        places = (ctypes.c_void_p * len(tensors))(*[tensor.ctypes.data for tensor in tensors])
        sides += [places, (_Shape * len(tensors))(*[_Shape.of(one.shape) for one in tensors]), len(tensors)]
    assert runtime.bmrt_launch_data(handle, net.encode(), *sides, True)
    np.savez(Path(folder) / "made.npz", *made)


if __name__ == "__main__":
    main(*sys.argv[1:])

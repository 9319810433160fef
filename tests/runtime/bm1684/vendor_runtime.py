"""Runs a .bmodel through the vendor's own runtime on the simulated chip, in a child process.

The runtime (libbmrt) and its driver (libbmlib) lie beside the simulator that GRAPHFLOW_BM1684_CMODEL names.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.runtime.bm1684.vendor import LIBRARY, ROOT

LIBRARIES = ("libbmlib.so", "libbmrt.so")


def available() -> bool:
    """Whether the runtime lies beside the simulator."""
    return bool(LIBRARY) and all((Path(LIBRARY).parent / name).exists() for name in LIBRARIES)


def run(path: Path, net: str, given: np.ndarray, made: tuple[int, ...]) -> np.ndarray:
    """The output, of shape `made`, of a net in a file with one input and one output of fp32."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.savez(place / "given.npz", given=given, made=np.array(made))
        call = [sys.executable, "-m", "tests.runtime.bm1684.vendor_runtime", str(path), net, folder]
        libraries = {**os.environ, "LD_LIBRARY_PATH": str(Path(LIBRARY).parent)}
        done = subprocess.run(call, cwd=ROOT, env=libraries, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"the vendor's runtime failed: {done.stdout[-500:]} {done.stderr[-500:]}")
        result: np.ndarray = np.load(place / "made.npy")
        return result


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
        given, made = arrays["given"], np.zeros(arrays["made"], np.float32)
    device = ctypes.c_void_p()
    assert driver.bm_dev_request(ctypes.byref(device), 0) == 0
    runtime.bmrt_create.restype = ctypes.c_void_p
    runtime.bmrt_load_bmodel.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    runtime.bmrt_load_bmodel.restype = runtime.bmrt_launch_data.restype = ctypes.c_bool
    handle = ctypes.c_void_p(runtime.bmrt_create(device))
    assert runtime.bmrt_load_bmodel(handle, path.encode())
    shapes = _Shape.of(given.shape), _Shape()
    places = [(ctypes.c_void_p * 1)(array.ctypes.data) for array in (given, made)]
    sides = [(place, ctypes.byref(shape), 1) for place, shape in zip(places, shapes)]
    assert runtime.bmrt_launch_data(handle, net.encode(), *sides[0], *sides[1], True)
    np.save(Path(folder) / "made.npy", made)


if __name__ == "__main__":
    main(*sys.argv[1:])

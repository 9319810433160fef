"""Fetches the vendor's functional simulator into a cache outside the checkout: `make vendor-simulator`.

It comes in a public wheel of the vendor's compiler, of which four libraries are unpacked and nothing is
installed. The tests compare with it where GRAPHFLOW_BM1684_CMODEL names it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

WHEEL = "tpu_mlir==1.18.1"
PYTHON = "3.10"
"""The Python of the wheel; the libraries need none."""

MOST_SECONDS = 600
"""For how long the wheel may be on its way."""

LIBRARIES = ("libcmodel_1684.so", "libbmrt.so", "libbmlib.so", "libbackend_1684.so")


def cache() -> Path:
    """The folder for the libraries: below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "graphflow" / WHEEL.replace("==", "-")


def unpack(wheel: Path, folder: Path) -> None:
    """Put the libraries of a wheel into a folder, each all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        missing = [name for name in LIBRARIES if name not in members]
        if missing:
            raise SystemExit(f"{wheel.name} holds no {missing[0]}")
        for name in LIBRARIES:
            unfinished = folder / f"{name}.partial"
            unfinished.write_bytes(archive.read(members[name]))
            os.replace(unfinished, folder / name)


def fetch(folder: Path) -> None:
    """Put the libraries into a folder, from the package registry.

    Raises:
        SystemExit: if they cannot run here, or the registry does not give the wheel.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SystemExit(
            f"{WHEEL} holds libraries for Linux on x86-64 alone; the other tests work without them"
        )
    print(f"Fetching {WHEEL} (228 MB, once)", file=sys.stderr)
    with tempfile.TemporaryDirectory() as place:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            place,
            "--retries",
            "1",
        ]
        choice = ["--python-version", PYTHON, "--only-binary=:all:", WHEEL]
        try:
            failed = subprocess.run([*pip, *choice], timeout=MOST_SECONDS).returncode
        except subprocess.TimeoutExpired:
            failed = 1
        if failed:
            raise SystemExit(f"{WHEEL} cannot be fetched: see above; the other tests work without it")
        unpack(next(Path(place).glob("*.whl")), folder)


def main(arguments: Sequence[str] = ()) -> None:
    """Fetch what is not there, and say how to use it; with `--path`, say where it is alone."""
    folder = cache()
    library = folder / LIBRARIES[0]
    if not all((folder / name).exists() for name in LIBRARIES):
        fetch(folder)
    print(library if "--path" in arguments else f"export GRAPHFLOW_BM1684_CMODEL={library}")


if __name__ == "__main__":
    main(sys.argv[1:])

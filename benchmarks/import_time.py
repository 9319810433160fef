"""How long `import graphflow` takes in a fresh interpreter, beside `import numpy`, which it contains.

    python benchmarks/import_time.py [--runs 11]

Interpreters with one and the other take turns; shown are medians. The target is at most 0.3 s, with
nothing but NumPy loaded.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
TARGET = 0.3

_TIMED = """
import sys, time
before = time.perf_counter()
import {name}
print(time.perf_counter() - before, "jax" in sys.modules)
"""


def seconds(name: str) -> float:
    """The time of one import in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(name=name)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    taken, has_jax = done.stdout.split()
    if has_jax == "True":
        raise SystemExit(f"import {name} loads jax")
    return float(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The time of `import graphflow` in a fresh interpreter.")
    parser.add_argument("--runs", type=int, default=11, help="interpreters each (default 11)")
    options = parser.parse_args()
    seconds("graphflow")  # writes the byte code
    pairs = [(seconds("numpy"), seconds("graphflow")) for _ in range(options.runs)]
    alone, whole = (statistics.median(times) for times in zip(*pairs))
    print(f"import numpy       {alone:.3f} s")
    print(f"import graphflow   {whole:.3f} s   ratio {whole / alone:.2f}   target at most {TARGET} s")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"numpy {numpy.__version__}"
    )


if __name__ == "__main__":
    main()

"""Measures the algorithms of convolutions on this machine, and keeps what it found in a file.

Off by default: the environment variable GRAPHFLOW_AUTOTUNE names the file, and switches it on. A record
holds for a processor, a number of cores, a version of JAX, a dtype and a geometry, so that one file serves
several. It is written whole under another name and put in place, as another process may be reading. Where it
cannot be read or written, a warning says so, and what was measured holds for the process.
"""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphflow.errors import FileFormatError
from graphflow.files import atomic_write
from graphflow.ir.node import Node
from graphflow.ops.packed_conv import packed
from graphflow.optimizer.passes.layout import TIMERS
from graphflow.optimizer.preparation import is_steady
from graphflow.runtime.jax.kernels import library
from graphflow.runtime.jax.lowering import LOWERINGS

VARIABLE = "GRAPHFLOW_AUTOTUNE"
"""Names the file of measurements."""

NAME = "jax"

_FORMAT = "graphflow-autotune-1"
_ROUNDS = 7

Times = dict[str, float]

_unkept: dict[tuple[str, str], Times] = {}
"""What could not be written, by file and key."""

_warned: set[str] = set()


def is_on() -> bool:
    """Whether convolutions are to be measured."""
    return bool(os.environ.get(VARIABLE))


def times_of(node: Node, algorithms: Sequence[str]) -> Times:
    """The seconds that a `channels_last_conv` takes by each algorithm, from the file or measured now."""
    path, key = os.environ.get(VARIABLE, ""), _key(node)
    known = _unkept.get((path, key)) or _records(path).get(key, {})
    missing = [name for name in algorithms if name not in known]
    if missing:
        known = {**known, **_measured(node, missing)}
        _keep(path, key, known)
    return {name: known[name] for name in algorithms}


def _records(path: str) -> dict[str, Times]:
    """What the file holds; nothing, with a warning, if it cannot be read."""
    try:
        return _read(path) if path else {}
    except FileFormatError as error:
        _warn(path, error)
        return {}


def _keep(path: str, key: str, times: Times) -> None:
    """Add a record to the file, unless it holds something else or cannot be written."""
    if not path:
        return
    try:
        _write(path, {**_read(path), key: times})
    except FileFormatError as error:
        _unkept[path, key] = times
        _warn(path, error)


def _warn(path: str, error: FileFormatError) -> None:
    if path not in _warned:
        _warned.add(path)
        warnings.warn(f"convolutions are measured in each process: {error.message}", stacklevel=2)


def _key(node: Node) -> str:
    """All that the times depend on, in one line."""
    attrs = ", ".join(f"{name}={value}" for name, value in node.attrs.items() if name != "algorithm")
    types = " * ".join(str(tensor.type) for tensor in node.inputs)
    constant = "constant" if is_steady(node.inputs[1]) else "variable"
    place = f"{platform.machine()} {_processor()} {os.cpu_count()} cores, jax {jax.__version__}"
    return f"{place}: {types} {constant}, {attrs}"


def _read(path: str) -> dict[str, Times]:
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if found["format"] != _FORMAT:
            raise ValueError(f"its format is {found['format']!r:.40}")
        records = found["records"]
        return {
            str(key): {name: _seconds(one) for name, one in times.items()} for key, times in records.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(
            f"{path!r} holds no measurements of convolutions: {error}",
            hint=f"{VARIABLE} names a file that graphflow writes: name another, or remove this one",
        ) from error


def _seconds(value: Any) -> float:
    """A time that was measured: a number above 0."""
    seconds = float(value)
    if not 0 < seconds < inf:
        raise ValueError(f"{value!r} is no time")
    return seconds


@cache
def _processor() -> str:
    """The processor's model; platforms tell its family alone."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = next((line for line in file if line.startswith("model name")), "")
    except OSError:
        found = ""
    return found.partition(":")[2].strip() or platform.processor()


def _write(path: str, records: dict[str, Times]) -> None:
    text = json.dumps({"format": _FORMAT, "records": records}, indent=1, sort_keys=True)
    with atomic_write(path) as file:
        file.write(text.encode())


def _measured(node: Node, algorithms: Sequence[str]) -> Times:
    """The best of several runs of each algorithm, which take turns."""
    with jax.enable_x64(True):
        calls = {name: _prepared(node, name) for name in algorithms}
    best = dict.fromkeys(algorithms, float("inf"))
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def _prepared(node: Node, algorithm: str) -> Callable[[], Any]:
    """A function that runs the convolution once and waits for it."""
    rng = np.random.default_rng(0)
    x, w = [
        jnp.asarray(rng.standard_normal(tensor.shape).astype(tensor.dtype.numpy)) for tensor in node.inputs
    ]
    attrs: dict[str, Any] = {name: value for name, value in node.attrs.items() if name != "algorithm"}
    if algorithm == "packed":
        kernel, outputs = w.shape[:-2], w.shape[-1]
        w = jnp.asarray(packed(np.asarray(w), attrs["groups"], library.machine().lanes))
        bounds = {"lower": -inf, "upper": inf, "bias": False, "addend": False}
        lowering, attrs = LOWERINGS["packed_conv"], {**attrs, **bounds, "kernel": kernel, "outputs": outputs}
    elif algorithm.startswith("winograd"):
        tile = int(algorithm[-1])
        w = jnp.asarray(rng.standard_normal(((tile + 2) ** 2, *w.shape[2:])).astype(w.dtype))
        lowering, attrs = LOWERINGS["winograd_conv"], {"tile": tile, "padding": attrs["padding"]}
    else:
        lowering, attrs = LOWERINGS["channels_last_conv"], {**attrs, "algorithm": algorithm}
    compiled = jax.jit(lambda x, w: lowering(x, w, **attrs)).lower(x, w).compile()
    compiled(x, w).block_until_ready()
    return lambda: compiled(x, w).block_until_ready()


TIMERS[NAME] = times_of

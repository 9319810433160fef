"""`graphflow bench`: how long a model takes and how much memory, beside onnxruntime or another backend."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.cli.options import add_level, add_model, add_sizes, command, load_model, read_sizes, whole
from graphflow.errors import AttributeValueError, BackendError
from graphflow.ir.dims import symbols_of

if TYPE_CHECKING:
    from graphflow.cli.bench_sides import Side, Task
    from graphflow.model import Model
    from graphflow.model.model import Signature

_PEERS = ("onnxruntime", "numpy", "jax")
_MIB = 1 << 20


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "bench",
        "measure how long a model takes and how much memory",
        """
        graphflow bench demo_out/model --batch 32
        graphflow bench resnet50.onnx --against onnxruntime
        graphflow bench net.tflite --against onnxruntime --threads 1 --json times.json
        graphflow bench demo_out/model --batch 1 --backend numpy --against jax
        """,
        _act,
    )
    add_model(made)
    add_level(made)
    made.add_argument("--backend", default="jax", metavar="NAME", help="jax, numpy or an installed one (jax)")
    made.add_argument(
        "--against",
        action="append",
        default=[],
        choices=_PEERS,
        help="what else runs the model, in turns; may be repeated",
    )
    made.add_argument(
        "--batch", type=whole(1), metavar="N", help="the size of the inputs' first axis where it is not fixed"
    )
    add_sizes(made)
    made.add_argument("--threads", type=whole(1), default=2, metavar="N", help="cores for each side (2)")
    made.add_argument("--turns", type=whole(1), default=20, metavar="N", help="of about 50 ms each (20)")
    made.add_argument("--signature", metavar="NAME", help="which function of a model that has several")
    made.add_argument(
        "--json", metavar="FILE", help="write the figures as JSON, every run's seconds included"
    )


def _act(options: argparse.Namespace) -> None:
    from graphflow.cli.bench_sides import Side, Task, largest_difference, measure
    from graphflow.data.progress import progress

    model = load_model(options.model)
    name = model.default if options.signature is None else options.signature
    chosen = _signature(model, name)
    sizes = _sizes(chosen, options)
    inputs = _drawn(chosen, sizes)
    own = Side(f"{options.backend} {options.level}", options.backend, options.model)
    with tempfile.TemporaryDirectory(prefix="graphflow-bench-") as folder:
        task = Task(name, options.level, options.threads, inputs, Path(folder))
        peers = [
            Side(peer, peer, _file_for(peer, model, options, Path(folder)))
            for peer in dict.fromkeys(options.against)
        ]
        sides = [own, *peers]
        rounds = measure(sides, task, options.turns)
        for _ in progress(range(options.turns), "measuring", "turn"):
            next(rounds)
        next(rounds, None)
        apart = {peer.name: largest_difference(own, peer, task) for peer in peers}
    count = _batch(inputs, options)
    print(_text(options, task, sides, apart, count))
    if options.json is not None:
        _write(options.json, sides, apart, count)


def _signature(model: Model, name: str) -> Signature:
    if name not in model.signatures:
        raise AttributeValueError(
            f"the model has no signature {name!r:.80}",
            hint="it has " + ", ".join(map(repr, model.signatures)),
        )
    return model.signatures[name]


# What is run


def _sizes(chosen: Signature, options: argparse.Namespace) -> dict[str, int]:
    """The values of the symbolic sizes."""
    sizes = read_sizes(options.size)
    needed = {name for tensor in chosen.inputs.values() for name in symbols_of(tensor.shape)}
    firsts = {name for tensor in chosen.inputs.values() for name in symbols_of(tensor.shape[:1])}
    if options.batch is not None:
        if not firsts:
            raise AttributeValueError(
                "--batch has no effect: the first axes of the model's inputs have fixed sizes",
                hint="leave it out",
            )
        sizes = {**dict.fromkeys(sorted(firsts), options.batch), **sizes}
    unknown, missing = sorted(sizes.keys() - needed), sorted(needed - sizes.keys())
    if unknown:
        raise AttributeValueError(
            f"the model has no size {unknown[0]!r}",
            hint=f"its sizes are {', '.join(sorted(needed)) or 'fixed'}",
        )
    if missing:
        given = ["--batch 1"] if set(missing) <= firsts else [f"--size {name}=32" for name in missing]
        raise AttributeValueError(
            f"the model's inputs depend on the sizes {', '.join(missing)}", hint="add " + " ".join(given)
        )
    return sizes


def _drawn(chosen: Signature, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Normal numbers, and integers 0 and 1, which are good indices."""
    from graphflow.prove.inputs import drawn

    words = [name for name, tensor in chosen.inputs.items() if tensor.dtype.kind == "string"]
    if words:
        raise AttributeValueError(
            f"the input {words[0]!r} is text, which is not made up", hint="measure the part behind it"
        )
    rng = np.random.default_rng(0)
    return {name: drawn(tensor, sizes, rng) for name, tensor in chosen.inputs.items()}


def _batch(inputs: dict[str, np.ndarray], options: argparse.Namespace) -> int:
    """How many items a run counts for."""
    if options.batch is not None:
        return int(options.batch)
    firsts = {array.shape[0] for array in inputs.values() if array.ndim}
    return firsts.pop() if len(firsts) == 1 else 1


def _file_for(peer: str, model: Model, options: argparse.Namespace, folder: Path) -> str:
    """The path of what a peer loads: the model's own file, or one in ONNX's format."""
    if peer != "onnxruntime":
        return str(options.model)
    import importlib.util

    from graphflow.io import onnx

    if importlib.util.find_spec("onnxruntime") is None:
        raise BackendError("onnxruntime is not installed", hint="pip install 'graphflow-compiler[bench]'")
    if str(options.model).endswith(".onnx"):
        return str(options.model)
    path = folder / "model.onnx"
    onnx.save(model, path, signature=options.signature)
    return str(path)


# What is said


def _rows(count: int) -> list[tuple[str, Callable[[Side], str]]]:
    return [
        ("latency, median ms", lambda side: f"{1e3 * side.percentile(50):.3f}"),
        ("         90 % below", lambda side: f"{1e3 * side.percentile(90):.3f}"),
        ("         99 % below", lambda side: f"{1e3 * side.percentile(99):.3f}"),
        ("throughput, items/s", lambda side: f"{count / side.percentile(50):.1f}"),
        ("load, ms", lambda side: f"{1e3 * side.load:.0f}"),
        ("first run, ms", lambda side: f"{1e3 * side.first:.0f}"),
        ("peak memory, MiB", lambda side: f"{side.peak / _MIB:.0f}"),
        ("  beyond the engine", lambda side: f"{(side.peak - side.before) / _MIB:.0f}"),
        ("runs", lambda side: str(len(side.seconds))),
    ]


def _text(
    options: argparse.Namespace, task: Task, sides: Sequence[Side], apart: dict[str, float], count: int
) -> str:
    fed = ", ".join(f"{name} {array.dtype.name}{list(array.shape)}" for name, array in task.inputs.items())
    cores = f"{task.threads} core" + "s" * (task.threads != 1)
    lines = [f"{options.model}: {fed}", f"{cores} each, {platform.system()} {platform.machine()}", ""]
    lines.append(" " * 20 + "".join(f"{side.name:>14}" for side in sides))
    lines += [f"{title:<20}" + "".join(f"{said(side):>14}" for side in sides) for title, said in _rows(count)]
    for peer in sides[1:]:
        ratio = peer.percentile(50) / sides[0].percentile(50)
        lines += [
            "",
            f"{ratio:.{2 if ratio >= 0.1 else 4}f} times the throughput of {peer.name}; "
            f"the outputs differ by at most {apart[peer.name]:.1e} of their largest number",
        ]
    return "\n".join(lines)


def _write(path: str, sides: Sequence[Side], apart: dict[str, float], count: int) -> None:
    from graphflow.files import atomic_write

    rows = {
        side.name: {
            "load": side.load, "first": side.first, "peak_bytes": side.peak,
            "bytes_before_loading": side.before, "seconds": side.seconds,
            "difference": apart.get(side.name, 0.0),
        }
        for side in sides
    }  # fmt: skip
    with atomic_write(path) as file:
        file.write(json.dumps({"batch": count, "sides": rows}, indent=1).encode())
    print("wrote", path)

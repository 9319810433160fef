"""`graphflow plan`: the memory a model needs and how it fits a budget, or that of buffers in a CSV file."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphflow.cli.options import (
    add_level,
    add_sizes,
    check_sizes,
    command,
    load_model,
    read_sizes,
)
from graphflow.errors import AttributeValueError

if TYPE_CHECKING:
    from graphflow.optimizer.memory import Allocation, Buffer

_SECONDS_TO_FIT, _SECONDS = 60.0, 5.0
_FOR_TABLES = ("capacity", "seconds", "output")
_FOR_MODELS: dict[str, Any] = {
    "size": [],
    "fit": None,
    "backend": None,
    "precision": None,
    "memory_budget": None,
}


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "plan",
        "plan the memory of a model or of a table of buffers, and compare it with the lower bound",
        """
        graphflow plan demo_out/model --size batch=32
        graphflow plan demo_out/model --size batch=32 --json > memory.json
        graphflow plan demo_out/model --size batch=256 --fit 1MB --picture memory.svg
        graphflow plan demo_out/model --size batch=256 --backend jax
        graphflow plan buffers.csv --capacity 1MiB --output placed.csv --picture placed.svg
        """,
        _act,
    )
    made.add_argument(
        "model",
        metavar="MODEL",
        help="a saved model (a folder or .gfm), an .onnx or .tflite file, or a .csv file of buffers "
        "with id,lower,upper,size",
    )
    add_level(made)
    add_sizes(made)
    made.add_argument("--json", action="store_true", help="print everything as JSON")
    made.add_argument("--picture", metavar="FILE", help="draw addresses over time into FILE (.svg)")
    model = made.add_argument_group("for a model")
    model.add_argument(
        "--fit", metavar="BYTES", type=_bytes, help="rank what would bring the arena within so many bytes"
    )
    model.add_argument(
        "--backend", metavar="NAME", help="where it would run (numpy); jax compiles it and adds XLA's numbers"
    )
    model.add_argument("--precision", choices=("bfloat16", "float16"), help="compute products in 16 bits")
    model.add_argument(
        "--memory-budget",
        metavar="BYTES",
        type=_bytes,
        help="compute values again to keep within so many bytes",
    )
    table = made.add_argument_group("for a .csv file")
    table.add_argument(
        "--capacity", metavar="BYTES", type=_bytes, help="what there is, such as 1048576, 64MB or 64MiB"
    )
    table.add_argument(
        "--seconds",
        metavar="S",
        type=_seconds,
        help=f"how long to search at most ({_SECONDS_TO_FIT:g} to keep to a capacity, else {_SECONDS:g})",
    )
    table.add_argument("--output", metavar="FILE", help="write the table with offsets into FILE (.csv)")


def _bytes(text: str) -> int:
    from graphflow.optimizer.memory.units import read_bytes

    try:
        return read_bytes(text)
    except AttributeValueError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _act(options: argparse.Namespace) -> None:
    if Path(options.model).suffix.lower() == ".csv" and not Path(options.model).is_dir():
        _plan_table(options)
        return
    for name in _FOR_TABLES:
        if getattr(options, name) is not None:
            raise AttributeValueError(f"--{name} is for .csv files", hint="leave it out for a model")
    from graphflow.model import plan_memory

    sizes = read_sizes(options.size)
    model = load_model(options.model)
    check_sizes(model, sizes)
    report = plan_memory(
        model, sizes, options.level, options.backend or "numpy",
        precision=options.precision, memory_budget=options.memory_budget,
    )  # fmt: skip
    fit = None if options.fit is None else report.fit(options.fit)
    if options.json:
        print(json.dumps({**report.to_dict(), **({} if fit is None else {"fit": fit.to_dict()})}, indent=1))
    else:
        print("\n\n".join(map(str, [report] if fit is None else [report, fit])))
    if options.picture is not None:
        report.picture(options.picture, Path(options.model).name)
        _tell_written(options, [options.picture])
    if fit is not None:
        fit.require()


def _plan_table(options: argparse.Namespace) -> None:
    from graphflow.optimizer.memory import allocate, certify, read_buffers, write_offsets
    from graphflow.optimizer.memory.picture import draw_memory

    for name, unset in _FOR_MODELS.items():
        if getattr(options, name) != unset:
            shown = name.replace("_", "-")
            raise AttributeValueError(f"--{shown} is for models", hint="leave it out for a .csv file")
    buffers = read_buffers(options.model)
    limit = options.seconds
    if limit is None:
        limit = _SECONDS if options.capacity is None else _SECONDS_TO_FIT
    start = time.perf_counter()
    allocation = allocate(buffers, options.capacity, limit)
    taken = time.perf_counter() - start
    checked = str(certify(buffers, allocation, options.capacity))
    rows = _rows(buffers, allocation, options.capacity, taken)
    if options.json:
        print(json.dumps({"spaces": rows, "seconds": taken, "checked": checked}, indent=1))
    else:
        print("\n".join([*_table(rows), checked]))
    if options.output is not None:
        write_offsets(options.output, buffers, allocation)
    if options.picture is not None:
        title = Path(options.model).stem
        draw_memory(buffers, allocation, options.picture, title, options.capacity)
    _tell_written(options, [options.output, options.picture])


def _tell_written(options: argparse.Namespace, paths: list[str | None]) -> None:
    for path in filter(None, paths):
        print("wrote", path, file=sys.stderr if options.json else sys.stdout)


def _rows(
    buffers: list[Buffer], allocation: Allocation, capacity: int | None, seconds: float
) -> list[dict[str, Any]]:
    """What the table says of each space."""
    rows: list[dict[str, Any]] = []
    for space, arena in allocation.arenas.items():
        members = [buffer for buffer in buffers if buffer.space == space]
        bound = arena.lower_bound_bytes
        rows.append(
            {
                "space": space,
                "buffers": len(members),
                "naive_bytes": sum(buffer.size for buffer in members),
                "lower_bound_bytes": bound,
                "arena_bytes": arena.arena_bytes,
                "capacity_bytes": capacity,
                "gap": arena.arena_bytes / bound - 1 if bound else 0.0,
                "is_smallest": arena.is_smallest,
                "peak_instant": arena.peak_instant,
                "seconds": seconds,
            }
        )
    return rows


def _table(rows: list[dict[str, Any]]) -> list[str]:
    heads = f"{'naive sum':>18}{'lower bound':>18}{'arena':>18}{'gap':>9}{'seconds':>9}"
    lines = [f"{'space':<12}{'buffers':>9}{heads}"]
    for row in rows:
        lines.append(
            f"{row['space']:<12}{row['buffers']:>9,}{row['naive_bytes']:>18,}{row['lower_bound_bytes']:>18,}"
            f"{row['arena_bytes']:>18,}{100 * row['gap']:>7.2f} %{row['seconds']:>9.2f}"
        )
    for row in rows:
        notes = [f"most is live at instant {row['peak_instant']}"]
        if row["capacity_bytes"] is not None:
            notes.append(f"the capacity of {row['capacity_bytes']:,} bytes is kept")
        if row["is_smallest"]:
            notes.append("no smaller arena exists")
        lines.append(f"{row['space']}: {'; '.join(notes)}")
    return lines

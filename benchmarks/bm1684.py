"""Networks compiled for the BM1684: how long they take by the chip's cycle formulas, and how exact they are.

    python benchmarks/bm1684.py [--only resnet50,vit_block] [--small] [--no-run] [--vendor] [--layers]

Every network is compiled in fp32 for one image or sequence, and its commands are put on the timeline of both
engines: *ms*. Beside it stand

    target: what it is to take at most; for MobileNet-v2, 1.35 times its bound.
    tpu-mlir: what the commands that TPU-MLIR 1.18.1 writes for the same network take by the same kind of
        timeline. These are recorded figures, not measured here: an earlier timeline, which charged pools less
        and the start of a store more, was given the commands that the compiler of the public wheel wrote for
        ResNet-50, and those of the vendor's published yolov5s_bm1684_f32.bmodel.
    tiu, gdma: for how long each engine is busy.
    bound: max(tiu, the bytes that must be moved at 30.7 GB/s): what they would take if nothing waited.
    of peak: multiply-adds at the peak of plain convolutions, as a part of the time; Winograd can pass 100 %.
    ddr: bytes from and to DDR over those that must be moved: constants as chosen, inputs and outputs.
    banks: microseconds for which both engines work on one bank of the lanes at the same time, of those for
        which both work. The chip may be slower then; the cycle formulas do not charge for it.
    groups: parts in which the layers stay in local memory, and the slices of those that are cut.
    error: of the outputs that GraphFlow's simulator computes from the words of the file, beside those of the
        backend numpy: the largest difference over the largest output.

With --vendor, and GRAPHFLOW_BM1684_CMODEL naming the vendor's functional simulator (`make vendor-simulator`),
the file is run on that and through the vendor's runtime too; their errors are taken in the same way, and
"ours to theirs" is the difference of the two simulators. Nothing has run on silicon.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from networks import NETWORKS, Network

import graphflow as gf
from graphflow.deploy import Compiled
from graphflow.runtime.bm1684.cycles import DDR_BYTES_PER_CYCLE, GDMA_HERTZ, Timeline, shared_bank_seconds

CLOSE = 1e-3
SLACK = 1.35


@dataclass(frozen=True)
class Case:
    """A network with what it is to take, what TPU-MLIR's commands take, and a small size of it."""

    small: dict[str, Any]
    milliseconds: float | None = None
    recorded: float | None = None
    compile_seconds: float | None = None
    traffic: float | None = None


CASES = {
    "resnet50": Case({"image": 64, "width": 16, "blocks": (1, 1, 1, 1)}, 4.2, 5.86, 30, 1.25),
    "yolov5s": Case({"image": 128, "width": 8}, 12.5, 18.0),
    "mobilenet_v2": Case({"image": 64, "width": 0.5}),
    "vit_block": Case({"length": 33, "features": 64, "heads": 2}, 1.7),
    "digits_cnn": Case({}),
}


def build(name: str, small: bool) -> tuple[Network, gf.Model]:
    """A network for one image or sequence, and the model of it."""
    net = NETWORKS[name](batch=1, weights="constant", **(CASES[name].small if small else {}))
    outputs = {f"y{index}": tensor for index, tensor in enumerate(net.outputs)}
    return net, gf.Model(inputs=net.inputs, outputs=outputs)


def error(made: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The largest difference beside the largest number, of the worst output."""
    return max(float(np.abs(one - two).max() / np.abs(two).max()) for one, two in zip(made, wanted))


class Table:
    """Prints a row for each network, and counts what misses its target."""

    columns = (
        "net",
        "ms",
        "target",
        "tpu-mlir",
        "tiu",
        "gdma",
        "bound",
        "of peak",
        "ddr",
        "commands",
        "banks",
        "groups",
    )
    widths = (14, 8, 8, 9, 8, 8, 8, 8, 6, 9, 11, 12)

    def __init__(self) -> None:
        self.missed: list[str] = []
        self.line(self.columns)

    def line(self, cells: tuple[str, ...]) -> None:
        rest = [cell.rjust(wide) for cell, wide in zip(cells[1:], self.widths[1:])]
        print(cells[0].ljust(self.widths[0]), *rest, flush=True)

    def row(self, name: str, made: Compiled, small: bool) -> None:
        case, run = CASES[name], made.cycles
        table = run.by_layer()
        tiu = sum([layer.tiu_seconds for layer in table.layers])
        gdma = sum([layer.gdma_seconds for layer in table.layers])
        peak = sum([layer.peak_seconds for layer in table.layers]) / run.seconds
        moved, needed = made.memory.moved[0], made.memory.compulsory[0]
        bound = max(tiu, needed / (DDR_BYTES_PER_CYCLE * GDMA_HERTZ))
        target = SLACK * 1e3 * bound if name == "mobilenet_v2" else case.milliseconds
        times = [f"{1e3 * one:.3f}" for one in (tiu, gdma, bound)]
        groups = [len(group.slices) or 1 for group in made.stages[0].plan.groups]
        told = (
            "" if target is None else f"{target:.2f}",
            "" if case.recorded is None else f"{case.recorded:.2f}",
        )
        together = sum(run.busy.values()) - _either(run)
        banks = f"{1e6 * shared_bank_seconds(run):.0f}/{1e6 * together:.0f}"
        sizes = f"{100 * peak:.0f} %", f"{moved / needed:.2f}", str(len(run.spans)), banks
        cut = [str(count) for count in groups if count > 1]
        parts = f"{len(groups)} ({','.join(cut)})" if cut else str(len(groups))
        if small:
            told = "", ""
        self.line((name, f"{1e3 * run.seconds:.3f}", *told, *times, *sizes, parts))
        if not small:
            self.check(name, "ms", 1e3 * run.seconds, target)
            self.check(name, "ddr", moved / needed, case.traffic)

    def check(self, name: str, what: str, value: float, most: float | None) -> None:
        """Note a number that is larger than it is to be."""
        if most is not None and value > most:
            self.missed.append(f"{name}: {what} {value:.2f}, to be at most {most:.2f}")


def _either(run: Timeline) -> float:
    """For how long one engine works at least."""
    total = end = 0.0
    for span in sorted(run.spans, key=lambda span: span.start):
        total += max(0.0, span.end - max(span.start, end))
        end = max(end, span.end)
    return total


def run(name: str, net: Network, made: Compiled, vendor: bool) -> tuple[str, float]:
    """What the outputs of the file are worth, in words, and the worst error."""
    feeds = net.feeds()
    with gf.Session(net.graph, backend="numpy") as session:
        wanted = session.run(net.outputs, feeds)
    given = {tensor.node.name: array for tensor, array in feeds.items()}
    start = time.perf_counter()
    ours = list(made.simulate(given).values())
    said = [f"simulated in {time.perf_counter() - start:.1f} s", f"error {error(ours, wanted):.1e}"]
    worst = error(ours, wanted)
    if vendor:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.bmodel"
            made.save(path)
            more, theirs = on_vendor(path, made, given)
        worst = max(worst, *[error(one, wanted) for one in theirs])
        names = ("vendor's simulator", "vendor's runtime")
        said += [f"{who}: error {error(one, wanted):.1e}" for who, one in zip(names, theirs)]
        said += [f"ours to theirs {error(ours, theirs[0]):.1e}", more]
    return "; ".join(said), worst


def on_vendor(
    path: Path, made: Compiled, given: dict[str, np.ndarray]
) -> tuple[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    """How long the vendor's simulator and runtime took, and their outputs."""
    from tests.runtime.bm1684 import vendor_network, vendor_runtime

    stage = made.bmodel.nets[0].stages[0]
    start = time.perf_counter()
    simulated = vendor_network.run(path, given)
    middle = time.perf_counter()
    inputs, shapes = [given[one.name] for one in stage.inputs], [one.shape for one in stage.outputs]
    ran = vendor_runtime.run(path, made.name, inputs, shapes)
    took = f"they took {middle - start:.1f} and {time.perf_counter() - middle:.1f} s"
    return took, ([simulated[one.name] for one in stage.outputs], ran)


def main() -> None:
    """Print the table; fail where an output is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(CASES), help="names of networks, joined by commas")
    parser.add_argument("--small", action="store_true", help="small sizes, for a try; no targets")
    parser.add_argument("--no-run", action="store_true", help="compile only: no errors are shown")
    parser.add_argument("--vendor", action="store_true", help="run on the vendor's simulator and runtime too")
    parser.add_argument("--layers", action="store_true", help="print what each layer takes")
    parser.add_argument("--strict", action="store_true", help="fail where a target is missed")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(CASES):
        parser.error(f"there is no network {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if options.vendor:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
        if not os.environ.get("GRAPHFLOW_BM1684_CMODEL"):
            sys.exit("GRAPHFLOW_BM1684_CMODEL names no library: make vendor-simulator fetches it")
    print(f"python {platform.python_version()}, numpy {np.__version__}, graphflow {gf.__version__}")
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; times of the chip are computed")
    table = Table()
    for name in names:
        net, model = build(name, options.small)
        start = time.perf_counter()
        made = gf.compile(model)
        seconds = time.perf_counter() - start
        table.row(name, made, options.small)
        table.check(name, "seconds to compile", seconds, CASES[name].compile_seconds)
        said, worst = ("", 0.0) if options.no_run else run(name, net, made, options.vendor)
        size = f"{len(made.stages[0].ddr.data) / 1e6:.1f} MB of coefficients"
        print(f"    compiled in {seconds:.1f} s; {size}{'; ' if said else ''}{said}", flush=True)
        if options.layers:
            print(made.cycles.by_layer())
        if not worst < CLOSE:
            sys.exit(f"{name}: outputs differ by {worst:.1e}")
    for one in table.missed:
        print("missed:", one)
    if options.strict and table.missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
